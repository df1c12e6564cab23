"""Sums over rows that can be made anywhere, added up and fitted."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import pandas as pd
from sklearn.base import BaseEstimator

from skmixed._numerics.moments.moments import GroupedMoments as Sums
from skmixed._public import public
from skmixed._rows.chosen_columns import SLOPES, find_feature_columns
from skmixed._rows.columns import as_table
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import SEVERAL, refuse_group_by
from skmixed._rows.labels import check_same_kind
from skmixed._rows.messages import LINEAR
from skmixed._rows.reader import read_training_rows, sum_up


@public("skmixed")
@dataclass(frozen=True, eq=False)
class GroupedMoments:
    """All that a fit needs to know of some rows: their cross-products, in total and by group.

    Rows in many files, on many machines, or at sites that may not share them are summed up
    where they are; the sums are added with ``+`` and given to a model's `fit_moments`. The fit
    is that of all rows together. The object is small (a number for each group and column) and
    can be pickled.

    Attributes
    ----------
    sums : object
        The cross-products: arrays ``labels``, ``n_rows``, ``shift``, ``T`` (all rows) and ``C``
        (by group).
    column_names : tuple of str or None
        Names of the columns of X, the group column included.
    n_columns : int
        Number of columns of X, likewise.
    group_by : str, int or None
        The group column.
    group_name : str
        What the groups are called.
    slopes : tuple of str
        Columns that may get random slopes.
    dtypes : tuple of str or None
        Types of the columns of a DataFrame of pandas, for `slopes` that choose by type.

    See Also
    --------
    RandomInterceptRegressor.partial_fit : Batches, one after the other.

    Examples
    --------
    >>> from skmixed import GroupedMoments, RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> parts = [slice(0, 60), slice(60, 180)]
    >>> total = sum(
    ...     GroupedMoments.from_rows(X[part], y[part], subject[part], slopes="Days")
    ...     for part in parts
    ... )
    >>> total
    GroupedMoments(n_rows=180, n_groups=18, columns=['Days'], slopes=['Days'])
    >>> RandomSlopeRegressor("Days").fit_moments(total).coef_.round(2)
    array([10.47])
    """

    sums: Sums
    column_names: tuple | None
    n_columns: int
    group_by: str | int | None
    group_name: str
    slopes: tuple
    dtypes: tuple | None = None

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        slopes: Any = (),
        group_by: str | int | None = None,
        sample_weight: Any = None,
    ) -> Self:
        """Sum up rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            Numeric features and, if `group_by` is set, the group column.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,), optional
            Group label of each row; required unless `group_by` is set.
        slopes : "all", str, int, list, slice, mask or callable, default=()
            Columns that may get random slopes, as `RandomSlopeRegressor` takes them. A model
            may use fewer of them.
        group_by : str or int, default=None
            The group column of X, as the estimators take it.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row.

        Returns
        -------
        GroupedMoments
            The sums.

        Raises
        ------
        ValueError
            As `fit` of the estimators does for rows it cannot use, and if there are no groups.
        """
        if groups is None and group_by is None:
            raise ValueError(
                "`groups` must be given, or group_by='column', but got neither. Moments are "
                "sums by group."
            )
        slopes = list(slopes) if isinstance(slopes, tuple) else slopes
        refuse_group_by(group_by, "GroupedMoments")
        reader = _Rows(slopes, group_by)
        reader._validate_params()
        given = {"X": X, "y": y, "groups": groups, "sample_weight": sample_weight}
        X, y, groups, sample_weight = take_rows(**given)
        X = as_table(X)
        rows, columns = read_training_rows(reader, X, y, groups, sample_weight)
        names = getattr(reader, "feature_names_in_", None)
        return cls(
            sums=sum_up(rows, columns),
            column_names=None if names is None else tuple(names.tolist()),
            n_columns=reader.n_features_in_,
            group_by=group_by,
            group_name=columns.group_name,
            slopes=tuple(columns.slope_terms),
            dtypes=tuple(map(_name, X.dtypes)) if isinstance(X, pd.DataFrame) else None,
        )

    def __add__(self, other: GroupedMoments) -> GroupedMoments:
        """Add up the rows of both, groups aligned on their labels."""
        if not isinstance(other, GroupedMoments):
            return NotImplemented
        for name in ("n_columns", "column_names", "slopes", "group_by"):
            one, two = getattr(self, name), getattr(other, name)
            if one != two:
                raise ValueError(
                    "Only moments of the same columns can be added, but they differ in "
                    f"{name}: {one!r} and {two!r}. Sum up the same columns, in the same order."
                )
        check_same_kind(pd.Index(other.sums.labels), pd.Index(self.sums.labels))
        return replace(self, sums=self.sums + other.sums)

    def __radd__(self, other):
        """Let `sum` begin with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __getstate__(self):
        # as plain arrays: pickles and skops then know this class alone
        sums = {field.name: getattr(self.sums, field.name) for field in fields(self.sums)}
        return {**vars(self), "sums": sums}

    def __setstate__(self, state):
        vars(self).update(state, sums=Sums(**state["sums"]))

    def __repr__(self):
        columns = list(self.column_names or range(self.n_columns))
        return (
            f"GroupedMoments(n_rows={self.n_rows}, n_groups={len(self.sums.labels)}, "
            f"columns={columns}, slopes={list(self.slopes)})"
        )

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight.

        Returns
        -------
        int
            Rows of all groups.
        """
        return int(self.sums.n_rows.sum())

    def empty_table(self) -> pd.DataFrame:
        """Make a table without rows that has the columns, to find columns in.

        Returns
        -------
        DataFrame of shape (0, n_columns)
            Its names are positions if the columns had none.
        """
        names = self.column_names or range(self.n_columns)
        empty = pd.DataFrame(columns=list(names))
        if self.dtypes is None:
            return empty
        return empty.astype(dict(zip(names, self.dtypes, strict=True)))


class _Rows(BaseEstimator):
    """The least that can read rows: it knows the group column and the slopes."""

    _parameter_constraints = {"slopes": SLOPES, "group_by": SEVERAL}
    _uses_groups = True
    _words = LINEAR

    def __init__(self, slopes, group_by):
        self.slopes = slopes
        self.group_by = group_by

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        return tags

    _takes_several = False

    def _find_slopes(self, X, factors):
        found = find_feature_columns(X, self.slopes, self.group_by, parameter="slopes")
        return [found for _ in factors]

    def _find_random_only(self, X, terms, factors, slopes):
        return [[] for _ in factors]


_Rows.__name__ = "GroupedMoments"  # what errors of scikit-learn call it


def _name(dtype):
    """Name a type so that pandas finds it again; "object" if it would not."""
    try:
        pd.api.types.pandas_dtype(str(dtype))
    except (TypeError, NotImplementedError):
        return "object"
    return str(dtype)
