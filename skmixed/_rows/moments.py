"""Sums over rows that can be made anywhere, added up and fitted."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import combinations
from typing import Any, Self

import pandas as pd
from sklearn.base import BaseEstimator

from skmixed._numerics.leave_out.folds import hardly_left
from skmixed._numerics.linalg.digits import SQUARES_LEFT
from skmixed._numerics.moments.cells import Cells, FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments as Sums
from skmixed._public import public
from skmixed._rows.chosen_columns import SLOPES, find_feature_columns
from skmixed._rows.columns import as_table
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import SEVERAL, by_factor, group_columns, same_groups_named
from skmixed._rows.labels import check_same_labels
from skmixed._rows.messages import LINEAR, LITTLE_LEFT, OTHER_MOMENTS
from skmixed._rows.reader import INTERCEPT, read_training_rows, sum_up
from skmixed._rows.sums_of_model import listed, slopes_of


@public("skmixed")
@dataclass(frozen=True, eq=False)
class GroupedMoments:
    """All that a fit needs to know of some rows: their cross-products, in total and by group.

    Rows in many files, on many machines, or at sites that may not share them are summed up
    where they are; the sums are added with ``+`` and given to a model's `fit_moments`. The fit
    is that of all rows together. Rows are taken off again with ``-``. The object is small (a
    number for each group and column; with several grouping factors, one for each pair of
    groups that meet, too) and can be pickled.

    Attributes
    ----------
    sums : object
        The cross-products: arrays ``labels``, ``n_rows``, ``shift``, ``T`` (all rows) and ``C``
        (by group). Of several factors ``factors``, with such sums of each, and ``cells``, where
        their groups meet.
    column_names : tuple of str or None
        Names of the columns of X, the group column included.
    n_columns : int
        Number of columns of X, likewise.
    group_by : str, int, tuple, list of these or None
        The group column, or the columns of several factors.
    group_name : str
        What the groups are called; of several factors the names, one after the other.
    slopes : tuple of str, or dict of these
        Columns that may get random slopes; of several factors by name.
    dtypes : tuple of str or None
        Types of the columns of a DataFrame of pandas, for `slopes` that choose by type.
    factors : tuple of str
        Names of the factors, if there are several.

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

    Pupils in schools, marked by raters, in two files:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmixed import RandomInterceptRegressor
    >>> rng = np.random.default_rng(0)
    >>> files = []
    >>> for _ in range(2):
    ...     rows = pd.DataFrame({"school": rng.integers(0, 20, 300), "x": rng.normal(size=300)})
    ...     rows["rater"] = rng.choice(list("ABCDE"), 300)
    ...     rows["mark"] = rows["x"] + np.sin(rows["school"]) + rng.normal(size=300)
    ...     rows["mark"] += rows["rater"].map({"A": 1, "B": -1}).fillna(0)
    ...     files.append(rows)
    >>> both = ["school", "rater"]
    >>> total = sum(
    ...     GroupedMoments.from_rows(rows.drop(columns="mark"), rows["mark"], group_by=both)
    ...     for rows in files
    ... )
    >>> model = RandomInterceptRegressor(group_by=both).fit_moments(total)
    >>> model.random_effects_["rater"].round(2).T
    rater           A     B     C     D     E
    (Intercept)  1.04 -0.92 -0.15  0.06 -0.03
    """

    sums: Sums | FactorMoments
    column_names: tuple | None
    n_columns: int
    group_by: str | int | tuple | list | None
    group_name: str
    slopes: tuple | dict
    dtypes: tuple | None = None
    factors: tuple = ()

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        slopes: Any = (),
        group_by: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Sum up rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            Numeric features and, if `group_by` is set, the group column.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row; required unless `group_by` is set. Of several factors a
            table with a column for each, as `fit` takes it.
        slopes : "all", str, int, list, slice, mask, callable or dict, default=()
            Columns that may get random slopes, as `RandomSlopeRegressor` takes them: with
            several factors a dictionary has those of each. A model may use fewer of them.
        group_by : str, int, tuple or list of these, default=None
            The group column of X, or those of several factors, as the estimators take it.
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
            group_by=group_by.tolist() if hasattr(group_by, "tolist") else group_by,
            group_name=columns.group_name,
            slopes=slopes_of(columns),
            dtypes=tuple(map(_name, X.dtypes)) if isinstance(X, pd.DataFrame) else None,
            factors=tuple(columns.factor_names),
        )

    def __add__(self, other: GroupedMoments) -> GroupedMoments:
        """Add up the rows of both, groups aligned on their labels."""
        if not isinstance(other, GroupedMoments):
            return NotImplemented
        self._check_alike(other, "added")
        return replace(self, sums=self.sums + other.sums)

    def __sub__(self, other: GroupedMoments) -> GroupedMoments:
        """Take off rows that were summed up: groups without rows left are not there.

        What is left has fewer digits, the less there is of it: where it is less than 1% of the
        squares of a column, that is an error. Then add up the sums of the others.
        """
        if not isinstance(other, GroupedMoments):
            return NotImplemented
        self._check_alike(other, "subtracted")
        left = self.sums - other.sums
        lost = hardly_left(self.sums, left)
        if len(lost):
            column = [INTERCEPT, *self._features, "y"][lost[0]]
            raise ValueError(LITTLE_LEFT.format(share=SQUARES_LEFT, column=column))
        return replace(self, sums=left)

    def __radd__(self, other):
        """Let `sum` begin with 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __getstate__(self):
        return {**vars(self), "sums": _as_arrays(self.sums)}

    def __setstate__(self, state):
        vars(self).update(state, sums=_from_arrays(state["sums"]))

    def __repr__(self):
        columns = list(self.column_names or range(self.n_columns))
        if self.factors:
            parts = zip(self.factors, self.sums.factors, strict=True)
            n_groups = {name: len(factor.labels) for name, factor in parts}
        else:
            n_groups = len(self.sums.labels)
        return (
            f"GroupedMoments(n_rows={self.n_rows}, n_groups={n_groups}, columns={columns}, "
            f"slopes={listed(self.slopes)})"
        )

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight.

        Returns
        -------
        int
            Rows of all groups.
        """
        by_group = self.sums.factors[0] if self.factors else self.sums
        return int(by_group.n_rows.sum())

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

    @property
    def _features(self):
        """Names of the columns of X that are not the groups."""
        empty = self.empty_table()
        return empty.columns.delete(group_columns(empty, self.group_by))

    def _check_alike(self, other, verb):
        """Refuse moments of other columns or factors, or with labels of another kind."""
        for name in ("n_columns", "column_names", "factors", "slopes"):
            one, two = getattr(self, name), getattr(other, name)
            if one != two:
                raise ValueError(OTHER_MOMENTS.format(verb=verb, name=name, one=one, two=two))
        one, two = self.group_by, other.group_by
        if not same_groups_named(one, two):
            raise ValueError(OTHER_MOMENTS.format(verb=verb, name="group_by", one=one, two=two))
        check_same_labels(other.sums, self.sums, self.factors)


def _as_arrays(sums):
    """Turn sums into plain arrays: pickles and skops then know the public class alone."""
    if isinstance(sums, FactorMoments):
        cells = [vars(sums.cells[pair]) for pair in sorted(sums.cells)]
        return {"factors": [_as_arrays(factor) for factor in sums.factors], "cells": cells}
    return {field.name: getattr(sums, field.name) for field in fields(sums)}


def _from_arrays(state):
    if "factors" not in state:
        return Sums(**state)
    factors = tuple(_from_arrays(factor) for factor in state["factors"])
    pairs = combinations(range(len(factors)), 2)
    cells = {pair: Cells(**part) for pair, part in zip(pairs, state["cells"], strict=True)}
    return FactorMoments(factors, cells)


class _Rows(BaseEstimator):
    """The least that can read rows: it knows the group column and the slopes."""

    _parameter_constraints = {"slopes": [*SLOPES, dict], "group_by": SEVERAL}
    _uses_groups = True
    _needs_groups = False
    _words = LINEAR
    _takes_several = True

    def __init__(self, slopes, group_by):
        self.slopes = slopes
        self.group_by = group_by

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        return tags

    def _find_slopes(self, X, factors):
        return [
            find_feature_columns(X, chosen, self.group_by, parameter="slopes")
            for chosen in by_factor(self.slopes, factors, self.group_by, "slopes", default=[])
        ]

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
