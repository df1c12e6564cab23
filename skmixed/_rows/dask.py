"""Fits, predictions and scores of dask arrays and DataFrames, a partition at a time.

Workers sum up their partitions, the sums are added up in a tree, and the model is solved where
`fit` was called. dask is imported once a dask collection arrives, not before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from itertools import repeat
from operator import add
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from skmixed._numerics.linalg.digits import SAME_SUMS
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments, merge
from skmixed._numerics.moments.second_pass import ConstantColumns, LeftOver, hardly_vary
from skmixed._rows.dask_partitions import (
    align,
    as_labels,
    check_same_rows,
    empty_labels,
    empty_table,
    is_frame,
)
from skmixed._rows.factors import (
    factors_as_fitted,
    is_several,
    of_factor,
    refuse_several,
    split_groups,
    take_factors,
)
from skmixed._rows.features import read_target
from skmixed._rows.labels import (
    check_enough_moments,
    check_same_labels,
    check_weights,
    refuse_missing,
)
from skmixed._rows.messages import (
    ALL_EMPTY,
    GIVEN_TWICE,
    OTHER_GROUPS_AGAIN,
    OTHER_ROWS_AGAIN,
    missing_in_predict,
)
from skmixed._rows.reader import (
    Columns,
    RowsAgain,
    TrainingRows,
    check_clusters,
    find_group_by,
    number_groups,
    read_rows_and_target,
    rows_of_model,
    sum_up,
)
from skmixed._rows.threads import one_blas_thread
from skmixed._warn import warn

# Sums that are added up in one task.
SPLIT_EVERY = 8
# What workers need to know to check and sum up rows ...
OF_COLUMNS = ("n_features_in_", "feature_names_in_")
# ... and what they need not know to predict, unless the uncertainty is asked for.
OF_INFERENCE = ("_seen", "_fitted")


class Part(NamedTuple):
    """What a partition, or several, add to the whole; sums are None if there are no rows."""

    sums: Any = None  # whatever can be added
    n_rows: int = 0
    n_missing: Any = 0  # labels; of several factors, of each


@dataclass(frozen=True)
class FirstPass:
    """Moments of some rows, and which columns are constant in all of their groups."""

    moments: GroupedMoments | FactorMoments
    constant: ConstantColumns | None  # without groups, and of several factors, read once
    factors: tuple[str, ...] = ()

    def __add__(self, other):
        check_same_labels(other.moments, self.moments, self.factors)
        constant = self.constant and self.constant + other.constant
        return replace(self, moments=self.moments + other.moments, constant=constant)


@dataclass(frozen=True)
class PartitionsAgain:
    """Rows of dask collections that the workers can pass over a second time.

    Attributes
    ----------
    model : estimator
        Knows how to read them.
    X, rows : dask collections
        As for `_add_up_partitions`.
    constant : ConstantColumns or None
        What the first pass has found.
    """

    model: Any
    X: Any
    rows: tuple
    constant: ConstantColumns | None

    def vary_within(self, lines):
        """Whether a column varies within groups where the lines can hardly see it."""
        return any(column not in self.constant.values for column in hardly_vary(lines))

    def sum_up_what_is_left(self, lines):
        """Lines -> lines with more digits."""
        left = _add_up_partitions(_sum_up_what_is_left, self.model, self.X, self.rows, lines)
        if abs(left.n - lines.n) > SAME_SUMS * lines.n:
            raise ValueError(OTHER_ROWS_AGAIN.format(first=lines.n, second=left.n))
        return left.as_lines(lines)

    def sum_up_clusters(self, residuals, with_squares):
        """Residuals -> sums by cluster."""
        more = (residuals, with_squares)
        sums = _add_up_partitions(_sum_up_clusters, self.model, self.X, self.rows, *more)
        n = residuals.equations.n
        if abs(sums.n - n) > SAME_SUMS * n:
            raise ValueError(OTHER_ROWS_AGAIN.format(first=n, second=sums.n))
        return sums


# ---------------------------------------------------------------------------- for the methods


def sum_up_partitions(model, X, y, groups, sample_weight):
    """Rows -> moments; what is learned of the columns; and the rows, to be read again."""
    groups = as_labels(groups)
    columns = _learn_columns(model, X, groups).with_target(getattr(y, "_meta", None))
    if groups is None and model.group_by is None:
        number_groups(model, None, 0)  # warns, once
    on_workers = clone(model)
    known = {name: vars(model)[name] for name in OF_COLUMNS if name in vars(model)}
    vars(on_workers).update(known, _columns=columns)
    rows = (y, groups, sample_weight)
    first = _add_up_partitions(_sum_up, on_workers, X, rows, columns)
    check_enough_moments(first.moments)
    return first.moments, columns, PartitionsAgain(on_workers, X, rows, first.constant)


def predict_partitions(model, X, groups=None, *, method="predict", return_std=False):
    """Predict lazily: a Series with X's index and divisions, or an array with X's chunks."""
    groups = as_labels(groups)
    _check_ready(model, X, groups, method)
    X, (groups,) = align(X, {"groups": groups})
    if not return_std:
        return _predict_lazily(_without_inference(model), X, groups, method)
    model._check_knows_std("return_std")
    return tuple(_predict_lazily(_snapshot(model), X, groups, method, part=i) for i in (0, 1))


def score_partitions(model, X, y, groups, sample_weight):
    """R2 as `r2_score` has it, from sums over the residuals of the partitions."""
    groups = as_labels(groups)
    _check_ready(model, X, groups, "predict")
    rows = (y, groups, sample_weight)
    sums = _add_up_partitions(_sum_up_residuals, _without_inference(model), X, rows)
    if sums.n_rows.sum() < 2:
        message = "R^2 score is not well-defined with less than two samples."
        warn(message, UndefinedMetricWarning)
        return math.nan
    mean = sums.shift[2] + sums.T[0, 2] / sums.n
    _, residual, total = np.diag(sums.around(np.array([0.0, 0.0, mean])).T)
    if total == 0:
        return float(residual == 0)
    return float(1 - residual / total)


# --------------------------------------------------------------------- columns, on the client


def _check_columns(model, X, groups, *, reset):
    """Check or learn the names and the number of columns; return a table without rows."""
    empty = empty_table(X)
    group_by = find_group_by(model, reset=reset)
    if groups is not None and group_by is not None:
        raise ValueError(GIVEN_TWICE.format(group_by=group_by))
    validate_data(model, empty, reset=reset, skip_check_array=True)
    return empty


def _learn_columns(model, X, groups):
    empty = _check_columns(model, X, groups, reset=True)
    labels = None if groups is None else take_factors(empty_labels(groups))
    if model.group_by is not None:
        labels = split_groups(empty, model.group_by)[1]
    if model._needs_groups:
        check_clusters(model, labels)
    if is_several(labels) and model._uses_groups:
        refuse_several(model, list(labels.columns))
    return Columns.of(model, empty, labels)


def _check_ready(model, X, groups, method):
    """Refuse at once what would fail in all partitions."""
    check_is_fitted(model)
    _check_columns(model, X, groups, reset=False)
    no_labels = groups is None and model._columns.group_by is None and method == "predict"
    if no_labels and getattr(model, "n_groups_", 0):
        raise ValueError(missing_in_predict(model, method))


def _snapshot(model, without=()):
    """Copy a fitted model, so that what is computed later is that of this fit."""
    copy = clone(model)
    vars(copy).update({k: v for k, v in vars(model).items() if k not in without})
    return copy


def _without_inference(model):
    copy = _snapshot(model, OF_INFERENCE)
    copy._seen = None  # marks it as fitted
    return copy


# ------------------------------------------------------------------------- partitions -> sums


def _add_up_partitions(function, model, X, rows, *more):
    """Apply a function to all partitions, and add up the parts it returns in a tree."""
    from dask import compute, delayed

    X, rows = align(X, dict(zip(("y", "groups", "sample_weight"), rows, strict=True)))
    more = [delayed(value) for value in (model, *more)]  # once, not in every task
    if is_frame(X):
        meta = pd.Series(dtype=object)
        parts = X.map_partitions(function, *rows, *more, meta=meta, enforce_metadata=False)
        parts = parts.to_delayed()
    else:
        # not optimised one by one: what X and y are both made from is made once
        blocks = [
            repeat(None) if v is None else v.to_delayed(optimize_graph=False).ravel()
            for v in (X, *rows)
        ]
        parts = [delayed(function)(*block, *more) for block in zip(*blocks, strict=False)]
    while len(parts) > 1:
        batches = gen_batches(len(parts), SPLIT_EVERY)
        parts = [delayed(_add_up)(parts[batch]) for batch in batches]
    (total,) = compute(*parts)
    _refuse_missing(total, model._columns)
    if total.sums is None and total.n_rows:
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if total.sums is None:
        raise ValueError(ALL_EMPTY.format(n_partitions=X.npartitions))
    return total.sums


def _refuse_missing(total, columns):
    if not columns.factors:
        refuse_missing(total.n_missing, total.n_rows, "in fit")
        return
    n_missing = np.broadcast_to(total.n_missing, len(columns.factors))
    for name, n in zip(columns.factor_names, n_missing, strict=True):
        with of_factor(name):
            refuse_missing(int(n), total.n_rows, "in fit")


def _add_up(parts):
    sums = [part.sums for part in parts if part.sums is not None]
    return Part(
        reduce(add, sums) if sums else None,
        sum(part.n_rows for part in parts),
        sum(part.n_missing for part in parts),
    )


def _sum_up(X, y, groups, sample_weight, model, columns):
    """Sum up a partition: rows -> moments."""
    rows, part = _read_partition(X, y, groups, sample_weight, model)
    if rows is None:
        return part
    rows = rows_of_model(model, rows)
    moments, constant = sum_up(rows, columns), None
    if rows.codes is not None and not columns.factors:
        every_column = range(1, len(moments.shift))
        constant = RowsAgain(rows).constant_among(every_column)
    factors = tuple(columns.factor_names)
    return part._replace(sums=FirstPass(moments, constant, factors))


def _sum_up_what_is_left(X, y, groups, sample_weight, model, lines):
    """Sum up a partition that the lines know."""
    rows, part = _read_partition(X, y, groups, sample_weight, model)
    if rows is None:
        return part
    X, y, codes, labels, weight = RowsAgain(rows).rows
    if not len(lines.labels):  # clusters may have no lines
        codes = None
    if codes is not None:
        codes = _positions_among(lines, labels)[codes]
    with one_blas_thread():
        return part._replace(sums=LeftOver.from_rows(lines, X, y, codes, weight))


def _sum_up_clusters(X, y, groups, sample_weight, model, residuals, with_squares):
    """Sum up a partition, cluster by cluster."""
    rows, part = _read_partition(X, y, groups, sample_weight, model)
    if rows is None:
        return part
    again = RowsAgain(rows)
    if len(residuals.lines.labels):
        _positions_among(residuals.lines, again.rows.labels)
    with one_blas_thread():
        return part._replace(sums=again.sum_up_clusters(residuals, with_squares))


def _positions_among(lines, labels):
    """Where labels are among those of the lines."""
    known, _, positions = merge(lines.labels, labels)
    if len(known) > len(lines.labels):
        n_new = len(known) - len(lines.labels)
        raise ValueError(OTHER_GROUPS_AGAIN.format(n_new=n_new))
    return positions


def _read_partition(X, y, groups, sample_weight, model):
    """Check the rows of a partition; None if there is none to sum up. Count them."""
    check_same_rows(X, y=y, groups=groups, sample_weight=sample_weight)
    n_rows = len(y)
    if n_rows == 0:
        return None, Part()
    X, y, groups = read_rows_and_target(model, X, y, groups)
    if model._columns.factors:
        groups = factors_as_fitted(groups, model._columns)
    n_missing = 0
    if groups is not None and (model._uses_groups or model._needs_groups):
        n_missing = np.count_nonzero(np.asarray(pd.isna(groups)), axis=0)
    part = Part(None, n_rows, n_missing)
    if np.any(n_missing) or _all_zero(sample_weight):
        return None, part
    weight = check_weights(sample_weight, X)
    codes, labels = None, np.array([])
    if groups is not None:
        codes, labels = number_groups(model, groups, n_rows)
    return TrainingRows(X, y, codes, labels, weight), part


def _sum_up_residuals(X, y, groups, sample_weight, model):
    """Sum up a partition: residuals and y, as if they were a feature and its target."""
    check_same_rows(X, y=y, groups=groups, sample_weight=sample_weight)
    n_rows = len(y)
    if n_rows == 0 or _all_zero(sample_weight):
        return Part(n_rows=n_rows)
    y = read_target(y)
    residuals = (y - model.predict(X, groups=groups))[:, None]
    one_group = np.zeros(n_rows, dtype=np.intp), np.array([0])
    weight = check_weights(sample_weight, X)
    return Part(GroupedMoments.from_rows(residuals, y, *one_group, weight), n_rows)


def _all_zero(sample_weight):
    return sample_weight is not None and not np.any(sample_weight)


# ---------------------------------------------------------------------------- lazy predictions


def _predict_lazily(model, X, groups, method, part=None):
    from dask import delayed
    from dask.array import blockwise

    options = {"model": delayed(model), "method": method, "part": part}
    if is_frame(X):
        meta = pd.Series(dtype=np.float64, index=X._meta.index)
        return X.map_partitions(_predict, groups, meta=meta, **options)
    options.update(dtype=np.float64, meta=np.empty(0), concatenate=True, align_arrays=False)
    labels = (None, None) if groups is None else (groups, "ik"[: groups.ndim])
    return blockwise(_predict, "i", X, "ij", *labels, **options)


def _predict(X, groups, *, model, method, part):
    """Predict a partition; `part` 0 or 1 of a pair if there are standard deviations."""
    check_same_rows(X, groups=groups)
    answer = np.empty(0)
    if X.shape[0]:
        options = {"groups": groups} if method == "predict" else {}
        if part is not None:
            options["return_std"] = True
        answer = getattr(model, method)(X, **options)
        answer = answer if part is None else answer[part]
    return pd.Series(answer, X.index) if isinstance(X, pd.DataFrame) else answer
