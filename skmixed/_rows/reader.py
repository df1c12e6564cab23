"""Rows as they are handed in -> checked rows -> moments."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_is_fitted,
    check_X_y,
    validate_data,
)

from skmixed._numerics.least_squares.cluster_sums import ClusterSums
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments, dense
from skmixed._numerics.moments.second_pass import ConstantColumns, LeftOver, hardly_vary
from skmixed._rows.columns import as_table, dense_column
from skmixed._rows.containers import take_rows
from skmixed._rows.dask_partitions import refuse_dask
from skmixed._rows.factors import (
    factors_as_fitted,
    is_several,
    of_factor,
    parts_of,
    refuse_several,
    split_groups,
    take_columns,
    take_factors,
)
from skmixed._rows.features import cells_explained, numeric_columns
from skmixed._rows.labels import (
    check_finite_moments,
    check_real,
    check_squares,
    check_weights,
    encode_groups,
    kind_of_labels,
)
from skmixed._rows.messages import (
    COLUMN_OF_GROUPS,
    GIVEN_TWICE,
    LOST_BY_SCIKIT_LEARN,
    MISSING_IN_FIT,
    NAMED_INTERCEPT,
    NO_CLUSTERS,
    SEVERAL_CLUSTERS,
)
from skmixed._rows.strata import columns_taken_out
from skmixed._rows.threads import one_blas_thread
from skmixed._warn import is_called_from, warn
from skmixed.exceptions import MissingGroupsWarning, NotAvailableError

INTERCEPT = "(Intercept)"
# Rows by which a column of X is told from the labels of groups, before all are compared.
ROWS_COMPARED_FIRST = 100


class TrainingRows(NamedTuple):
    """Checked rows of a fit; codes are positions in labels, or None without groups."""

    X: Any
    y: np.ndarray
    codes: np.ndarray | tuple[np.ndarray, ...] | None
    labels: np.ndarray | tuple[np.ndarray, ...]
    sample_weight: np.ndarray | None


@dataclass(frozen=True)
class Columns:
    """What a fit learns of the columns of X.

    Attributes
    ----------
    terms : tuple of str
        Names of the features: the columns without the group.
    slopes : tuple of int
        Positions among the features of those whose slope differs between groups.
    group_name : str
        What the groups are called; of several factors the names, one after the other.
    group_by : str, int, tuple, list of these or None
        Which columns of X hold the groups.
    random_only : tuple of int
        Those of the slopes that are not fixed effects, too.
    group : tuple of int
        Positions of the groups, and of the strata, among the columns of X; empty if they are
        none of them.
    target : str or None
        Name of y, if it has one.
    factors : tuple of Columns
        What there is to know of each factor, where there are several: slopes and name.
    siblings : tuple of str
        Names of all factors, where there are several.
    variance_by : str, int or None
        Which column of X holds the strata of rows whose residual variances differ.
    """

    terms: tuple[str, ...]
    slopes: tuple[int, ...]
    group_name: str
    group_by: Any
    random_only: tuple[int, ...] = ()
    group: tuple[int, ...] = ()
    target: str | None = None
    factors: tuple[Columns, ...] = ()
    siblings: tuple[str, ...] = ()
    variance_by: Any = None

    @classmethod
    def of(cls, model, X, groups):
        """Learn of the columns, once scikit-learn's checks have counted and named them.

        Parameters
        ----------
        model : estimator
            Has `group_by`, `n_features_in_`, `_find_slopes` and `_find_random_only`.
        X : table
            As it was handed in, or one without rows.
        groups : array-like or None
            Labels, perhaps with a name.
        """
        names = _name_columns(model)
        group = _find_group(model, X)
        terms = tuple(np.delete(names, list(group)))
        if is_several(groups) and not model._uses_groups:
            groups = groups.iloc[:, 0]
        if is_several(groups):
            return cls._of_several(model, X, terms, list(groups.columns), group)
        name = getattr(groups, "name", None)
        name = "group" if name is None else str(name) or "group"
        slopes = tuple(model._find_slopes(X, (name,))[0])
        random_only = tuple(model._find_random_only(X, terms, (name,), [slopes])[0])
        variance_by = find_variance_by(model, reset=True)
        return cls(
            terms, slopes, name, model.group_by, random_only, group, variance_by=variance_by
        )

    @classmethod
    def _of_several(cls, model, X, terms, names, group):
        variance_by = find_variance_by(model, reset=True)
        slopes = [tuple(part) for part in model._find_slopes(X, names)]
        random_only = [tuple(o) for o in model._find_random_only(X, terms, names, slopes)]
        known = {"group": group, "siblings": tuple(names)}
        factors = tuple(
            cls(terms, of_factor, name, model.group_by, only, **known)
            for name, of_factor, only in zip(names, slopes, random_only, strict=True)
        )
        every, only = (tuple(sorted(set().union(*part))) for part in (slopes, random_only))
        name = ", ".join(names)
        known |= {"factors": factors, "variance_by": variance_by}
        return cls(terms, every, name, model.group_by, only, **known)

    @property
    def names(self):
        """Names of all factors; of one, its own."""
        return self.siblings or (self.group_name,)

    @property
    def factor_names(self):
        """Names of several factors; empty for one."""
        return [factor.group_name for factor in self.factors]

    @property
    def slope_terms(self):
        """Names of the columns that have slopes."""
        return [self.terms[position] for position in self.slopes]

    def with_target(self, y):
        """Learn the name of y."""
        name = getattr(y, "name", None)
        return self if name is None else replace(self, target=str(name))

    def with_group(self, values):
        """Line up values of the features with the columns of X: 0 for the group."""
        # each position among the columns of X is one further for each group before it
        positions = [position - i for i, position in enumerate(self.group)]
        return np.insert(values, positions, 0.0)

    def without_group(self, values):
        """Take values of the features out of those of the columns of X."""
        return np.delete(values, list(self.group))

    @property
    def random(self):
        """Positions of the random columns in D = [1, X, y], that of ones first."""
        return (0, *(1 + position for position in self.slopes))


def read_training_rows(model, X, y, groups=None, sample_weight=None):
    """Check the rows of a fit, learn of their columns, and number their groups.

    Parameters
    ----------
    model : estimator
        Whose `n_features_in_` and `feature_names_in_` are set.
    X, y, groups, sample_weight : array-likes
        As for its `fit`.

    Returns
    -------
    rows : TrainingRows
        The rows.
    columns : Columns
        What is learned.
    """
    given = take_rows(X=X, y=y, groups=groups, sample_weight=sample_weight)
    rows, groups = _read_with_target(model, *given, reset=True)
    return rows, Columns.of(model, given[0], groups).with_target(given[1])


def read_further_rows(model, X, y, groups=None, sample_weight=None):
    """Check rows, with target and weights, that must have the columns of the fit."""
    given = take_rows(X=X, y=y, groups=groups, sample_weight=sample_weight)
    return _read_with_target(model, *given, reset=False)[0]


def read_rows(model, X, groups=None):
    """Check rows to predict; return X without the group column, and the groups."""
    X, groups = take_rows(X=X, groups=groups)
    X, groups = split_off_groups(model, X, groups, reset=False)
    checks = _checks(model, null_model=True)
    known = _what_is_known(model, groups, reset=False)
    X = numeric_columns(X, **known)
    with cells_explained(X, **known):
        if not _takes_columns_out(model, reset=False):
            X = validate_data(model, X, reset=False, **checks)
        else:
            X = check_array(X, **checks)
        check_real(X, "X")
    return X, groups


def read_rows_and_target(model, X, y, groups=None, *, reset=False):
    """Check rows and their target; return X without the group column, y and the groups."""
    X, y, groups = take_rows(X=X, y=y, groups=groups)
    X, groups = split_off_groups(model, X, groups, reset=reset, y=y)
    checks = _checks(model, null_model=groups is not None or not reset)
    known = _what_is_known(model, groups, reset=reset)
    X = numeric_columns(X, **known)
    with cells_explained(X, y, **known):
        if not _takes_columns_out(model, reset=reset):
            X, y = validate_data(model, X, y, reset=reset, y_numeric=True, **checks)
        else:
            X, y = check_X_y(X, y, y_numeric=True, **checks)
        check_real(X, "X")
        check_real(y, "y")
        assert_all_finite(y, input_name="y")  # None in an object array is NaN by now
    return X, y, groups


def by_features_alone(model, X):
    """Give a fitted model as it were without its group column, if X is without it."""
    check_is_fitted(model)
    columns, names = model._columns, getattr(X, "columns", None)
    if not _takes_columns_out(model, reset=False):
        return model
    if names is not None and columns.variance_by in list(names):
        return _by_features_and_strata(model, X)
    if np.shape(X)[1:] != (len(columns.terms),):
        return model
    if names is not None:
        index = getattr(X, "index", None)
        there = {*names, *getattr(index, "names", [getattr(index, "name", None)])}
        groups = [] if columns.group_by is None else parts_of(columns.group_by)
        strata = [] if columns.variance_by is None else [columns.variance_by]
        if there.intersection([*(name for part in groups for name in part), *strata]):
            return model
    known = {"n_features_in_": len(columns.terms)}
    if hasattr(model, "coef_"):
        known["coef_"] = columns.without_group(model.coef_)
    if hasattr(model, "feature_names_in_"):
        known["feature_names_in_"] = np.array(columns.terms, dtype=object)
    alone = copy(model)
    bare = replace(columns, group_by=None, group=(), variance_by=None)
    vars(alone).update(known, _columns=bare)
    return alone


def _by_features_and_strata(model, X):
    """Give a model as it were without its group column, if X has the strata alone."""
    columns, names = model._columns, list(X.columns)
    features = [name for name in names if name != columns.variance_by]
    if columns.group_by is None or features != list(columns.terms):
        return model
    strata = replace(columns, group_by=None, group=(names.index(columns.variance_by),))
    known = {"n_features_in_": len(names), "feature_names_in_": np.array(names, dtype=object)}
    alone = copy(model)
    coef = strata.with_group(columns.without_group(model.coef_))
    vars(alone).update(known, coef_=coef, _columns=strata)
    return alone


def find_group_by(model, *, reset):
    """Which column holds the groups: what the parameter says in a fit, and after it the fit."""
    return model.group_by if reset else model._columns.group_by


def find_variance_by(model, *, reset):
    """Which column holds the strata, likewise; None for models without that parameter."""
    return getattr(model if reset else model._columns, "variance_by", None)


def number_groups(model, groups, n_rows):
    """Codes and labels of the groups of a fit; a warning and no labels without groups."""
    if not (model._uses_groups or model._needs_groups):
        return None, np.array([])
    if model._needs_groups:
        check_clusters(model, groups)
    if groups is None:
        lost = is_called_from("sklearn.model_selection")
        message = LOST_BY_SCIKIT_LEARN if lost else MISSING_IN_FIT
        name, pooled = type(model).__name__, model._words.pooled
        warn(message.format(name=name, pooled=pooled), MissingGroupsWarning)
        return None, np.array([])
    if is_several(groups):
        refuse_several(model, list(groups.columns))
        parts = [_number_factor(name, groups[name], n_rows) for name in groups]
        return tuple(zip(*parts, strict=True))
    codes, labels = encode_groups(groups, n_rows)
    return codes, labels.to_numpy()


def check_clusters(model, groups):
    """Refuse fits with cluster-robust errors that have no clusters, or several factors."""
    given = {"kind": model.standard_errors, "name": type(model).__name__}
    if groups is None:
        raise ValueError(NO_CLUSTERS.format(**given))
    if is_several(groups):
        message = SEVERAL_CLUSTERS.format(**given, factors=list(groups.columns))
        raise NotAvailableError(message)


def _number_factor(name, labels, n_rows):
    with of_factor(name):
        codes, labels = encode_groups(labels, n_rows)
    return codes, labels.to_numpy()


def warn_about_column_of_groups(model, rows, columns, *, one_of_several=False):
    """Warn of a feature that is the grouping: its labels, or numbers for them by its name."""
    if columns.factors:
        for factor, part in zip(columns.factors, _by_factor(rows), strict=True):
            warn_about_column_of_groups(model, part, factor, one_of_several=True)
        return
    if rows.codes is None or len(rows.labels) < 2:
        return
    equal = _columns_of_labels(rows)
    for position, term in enumerate(columns.terms):
        if position in equal:
            as_numbers = ""
        elif term == columns.group_name and _numbers_the_groups(rows, position):
            as_numbers = ", as numbers"
        else:
            continue
        column = term if hasattr(model, "feature_names_in_") else int(position)
        by = f", or pass group_by={column!r} in place of `groups`, which takes it out of X"
        given = {"column": term, "as_numbers": as_numbers}
        given["or_group_by"] = "" if one_of_several or columns.group_by is not None else by
        warn(COLUMN_OF_GROUPS.format(**given), UserWarning)


def _by_factor(rows):
    """Rows with the labels of one of several factors after the other."""
    for codes, labels in zip(rows.codes, rows.labels, strict=True):
        yield rows._replace(codes=codes, labels=labels)


def _columns_of_labels(rows):
    """Positions of the features whose values are the labels of the groups."""
    X, codes = rows.X, rows.codes
    if rows.labels.dtype.kind not in "biuf" and kind_of_labels(rows.labels) != "number":
        return []
    labels = rows.labels.astype(np.float64)
    first = np.linspace(0, len(codes) - 1, ROWS_COMPARED_FIRST).astype(int)
    alike = dense(X[first]) == labels[codes[first], np.newaxis]
    return [
        position
        for position in np.flatnonzero(alike.all(axis=0))
        if np.array_equal(dense_column(X, position), labels[codes])
    ]


def _numbers_the_groups(rows, position):
    """Whether a feature has a number for each group, and for each another."""
    column = dense_column(rows.X, position)
    of_group = np.empty(len(rows.labels))
    of_group[rows.codes] = column
    alike = np.array_equal(of_group[rows.codes], column)
    return alike and len(np.unique(of_group)) == len(of_group)


def sum_up(rows, columns):
    """Rows -> moments."""
    with one_blas_thread():
        if columns.factors:
            random = [factor.random for factor in columns.factors]
            moments = FactorMoments.from_rows(*rows, random=random)
        else:
            moments = GroupedMoments.from_rows(*rows, random=columns.random)
    check_finite_moments(moments)
    check_squares(rows, moments, columns.terms)
    return moments


def rows_of_model(model, rows):
    """Leave out labels that are those of clusters alone, where groups have no effects."""
    return rows if model._uses_groups else rows._replace(codes=None, labels=np.array([]))


def rows_that_count(rows):
    """Leave out rows of weight 0, and groups of nothing else."""
    X, y, codes, labels, weight = rows
    if weight is None or weight.all():
        return rows
    kept = weight > 0
    X, y, weight = X[kept], y[kept], weight[kept]
    if isinstance(codes, tuple):
        parts = zip(codes, labels, strict=True)
        codes, labels = zip(*(_present(*part, kept) for part in parts), strict=True)
    elif codes is not None:
        codes, labels = _present(codes, labels, kept)
    return TrainingRows(X, y, codes, labels, weight)


class RowsAgain:
    """Checked rows that can be passed over a second time."""

    def __init__(self, rows):
        self._given = rows

    def vary_within(self, lines):
        """Whether a column varies within groups where the lines can hardly see it."""
        few = hardly_vary(lines)
        return bool(few) and len(self.constant_among(few).values) < len(few)

    def constant_among(self, columns):
        """Which of some columns of D are constant in each group."""
        X, y, codes, labels, _ = self.rows
        return ConstantColumns.from_rows(X, y, codes, labels, columns)

    def sum_up_what_is_left(self, lines):
        """Lines -> lines with more digits."""
        X, y, codes, _, weight = self.rows
        codes = codes if len(lines.labels) else None  # clusters may have no lines
        return LeftOver.from_rows(lines, X, y, codes, weight).as_lines(lines)

    def sum_up_clusters(self, residuals, with_squares):
        """Residuals -> sums by cluster."""
        return ClusterSums.from_rows(residuals, *self.rows, with_squares=with_squares)

    @cached_property
    def rows(self):
        """Those that have a weight, with labels that are those of the moments."""
        return rows_that_count(self._given)


def _present(codes, labels, kept):
    """Codes of the rows that are kept, and their labels."""
    present, codes = np.unique(codes[kept], return_inverse=True)
    return codes, labels[present]


def _read_with_target(model, X, y, groups, sample_weight, *, reset):
    X, y, groups = read_rows_and_target(model, X, y, groups, reset=reset)
    if not reset and model._columns.factors:
        groups = factors_as_fitted(groups, model._columns)
    sample_weight = check_weights(sample_weight, X)
    codes, labels = number_groups(model, groups, len(y))
    return TrainingRows(X, y, codes, labels, sample_weight), groups


def split_off_groups(model, X, groups, *, reset, y="no_validation"):
    """Take the group column out of X, if one is named."""
    refuse_dask(X)
    group_by, groups = find_group_by(model, reset=reset), take_factors(groups)
    variance_by = find_variance_by(model, reset=reset)
    if group_by is not None and groups is not None:
        raise ValueError(GIVEN_TWICE.format(group_by=group_by))
    if _takes_columns_out(model, reset=reset):
        validate_data(model, X, y, reset=reset, skip_check_array=True)
    taken = [] if variance_by is None else columns_taken_out(X, group_by, variance_by)
    given = X
    if group_by is not None:
        X, groups = split_groups(X, group_by)
    if variance_by is not None:
        given = as_table(given)
        X = take_columns(given, np.delete(np.arange(given.shape[1]), taken))
    null_model = groups is not None or not reset
    if null_model and hasattr(X, "columns") and len(X.columns) == 0:
        X = np.empty((len(X), 0))  # check_array does not take a frame without columns
    return X, groups


def _checks(model, *, null_model):
    """Options of scikit-learn's checks; a null model has no features."""
    checks = {"accept_sparse": ("csr", "csc"), "estimator": model}
    return {**checks, "ensure_min_features": 0} if null_model else checks


def _takes_columns_out(model, *, reset):
    """Whether some columns of X are no features."""
    names = find_group_by(model, reset=reset), find_variance_by(model, reset=reset)
    return any(name is not None for name in names)


def _what_is_known(model, groups, *, reset):
    """Tell what errors about the features, without columns taken out, must know."""
    named = find_group_by(model, reset=reset), find_variance_by(model, reset=reset)
    taken = [position for position in named if isinstance(position, Integral)]
    positions = np.delete(np.arange(model.n_features_in_), taken) if taken else None
    return {"groups": groups, "positions": positions}


def _name_columns(model):
    """Names of the columns of X."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        names = np.array([f"x{i}" for i in range(model.n_features_in_)], dtype=object)
    if INTERCEPT in names:
        raise ValueError(NAMED_INTERCEPT)
    return names


def _find_group(model, X):
    """Positions of the groups among the columns of X."""
    return tuple(columns_taken_out(X, model.group_by, find_variance_by(model, reset=True)))
