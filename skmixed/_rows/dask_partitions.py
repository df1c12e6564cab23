"""dask collections: their columns, and partitions that hold the same rows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from skmixed._rows.columns import as_table
from skmixed._rows.messages import (
    NOT_FOR_DASK,
    NOT_LIKE_ARRAY,
    NOT_LIKE_FRAME,
    OTHER_LENGTH,
    OTHER_PARTITIONS,
    OTHER_RANGE,
    OTHER_ROWS,
    UNKNOWN_CHUNKS,
    UNKNOWN_DIVISIONS,
)


def is_dask(X):
    """Whether X is a dask collection."""
    return type(X).__module__.partition(".")[0] == "dask"


def refuse_dask(X, message=NOT_FOR_DASK, **words):
    """Refuse a dask collection where rows must be in memory."""
    if is_dask(X):
        raise TypeError(message.format(given=type(X).__name__, **words))


def empty_table(X):
    """Make a table without rows that has the columns of X."""
    if not hasattr(X, "_meta"):
        raise TypeError(NOT_FOR_DASK.format(given=type(X).__name__))
    empty = as_table(X._meta)  # refuses vectors
    return empty if is_frame(X) else np.empty((0, X.shape[1]), X.dtype)


def as_labels(groups):
    """Take the column of a table of one; leave other groups as they are."""
    if not is_dask(groups) or groups.ndim != 2 or groups.shape[1] != 1:
        return groups
    return groups[groups.columns[0]] if is_frame(groups) else groups[:, 0]


def empty_labels(groups):
    """Make labels without rows, of one factor or in a column for each; None without groups."""
    meta = getattr(groups, "_meta", None)
    if isinstance(meta, np.ndarray) and groups.ndim == 2:
        return np.empty((0, groups.shape[1]), groups.dtype)
    return meta


def is_frame(X):
    return isinstance(X._meta, pd.DataFrame)


def align(X, rows):
    """Bring `rows`, a dictionary of vectors or None, to the partitions of X.

    Groups may have a column for each of several factors.
    """
    match = _match_series if is_frame(X) else _match_array
    X = X if is_frame(X) else X.rechunk({1: -1})
    left_out = {name for name, v in rows.items() if v is None and name != "y"}
    return X, [None if name in left_out else match(X, name, v) for name, v in rows.items()]


def _match_series(X, name, values):
    kinds = pd.Series | pd.DataFrame if name == "groups" else pd.Series
    if not isinstance(getattr(values, "_meta", None), kinds):
        raise TypeError(NOT_LIKE_FRAME.format(name=name, given=type(values).__name__))
    if X.known_divisions and values.known_divisions:
        _check_range(X, name, values)
        same = X.divisions == values.divisions
        return values if same else values.repartition(divisions=X.divisions, force=True)
    if X.npartitions != values.npartitions:
        given = {"given": values.npartitions, "expected": X.npartitions}
        raise ValueError(OTHER_PARTITIONS.format(name=name, **given) + UNKNOWN_DIVISIONS)
    return values


def _check_range(X, name, values):
    """Refuse what reaches beyond X, which dask cannot bring to its divisions."""
    (first, *_, last), (expected_first, *_, expected_last) = values.divisions, X.divisions
    try:
        beyond = first < expected_first or last > expected_last
    except TypeError:  # labels that cannot be compared
        beyond = True
    if beyond:
        given, expected = f"{first!r} to {last!r}", f"{expected_first!r} to {expected_last!r}"
        raise ValueError(OTHER_RANGE.format(name=name, given=given, expected=expected))


def _match_array(X, name, values):
    is_array = isinstance(getattr(values, "_meta", None), np.ndarray)
    if is_array and values.ndim == 2 and name == "groups":
        values = values.rechunk({1: -1})
    elif not is_array or values.ndim != 1:
        raise TypeError(NOT_LIKE_ARRAY.format(name=name, given=type(values).__name__))
    if not (math.isnan(X.shape[0]) or math.isnan(values.shape[0])):
        if len(X) != len(values):
            raise ValueError(OTHER_LENGTH.format(name=name, given=len(values), rows=len(X)))
        return values.rechunk({0: X.chunks[0]})
    if X.numblocks[0] != values.numblocks[0]:
        given = {"given": values.numblocks[0], "expected": X.numblocks[0]}
        raise ValueError(
            OTHER_PARTITIONS.format(name=name, **given) + UNKNOWN_CHUNKS.format(name=name)
        )
    return values


def check_same_rows(X, **rows):
    """Check in a partition that all have the rows of X."""
    for name, values in rows.items():
        if values is None:
            continue
        if len(values) != X.shape[0]:
            raise ValueError(OTHER_LENGTH.format(name=name, given=len(values), rows=X.shape[0]))
        if isinstance(values, pd.Series | pd.DataFrame) and not values.index.equals(X.index):
            raise ValueError(OTHER_ROWS.format(name=name))
