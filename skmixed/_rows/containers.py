"""Containers of rows: those that must be collected first, other arrays, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from skmixed._rows.columns import dense_column
from skmixed._rows.messages import (
    ANOTHER_ORDER,
    NAMES_NOT_LABELS,
    NO_LABELS,
    NOT_COLLECTED,
    NOT_FOR_NUMPY,
    NOT_ROWS,
    SPARSE_VECTOR,
)
from skmixed._warn import warn

# Packages whose tables are elsewhere, such as in a database ...
ELSEWHERE = ("duckdb", "ibis", "pyspark")
# ... and methods that fetch their rows, or those of a lazy frame: the first that there is.
FETCH = ("to_pandas", "toPandas", "df", "collect")
# What must have one value for each row.
VECTORS = ("y", "sample_weight")


def take_rows(**rows):
    """Take rows as they are handed in: containers that can be read, in one order.

    Parameters
    ----------
    **rows : array-likes or None
        X, y, groups, sample_weight: whichever there are, by name.

    Returns
    -------
    list of array-likes or None
        In the order given. Arrays of other libraries are NumPy's, groups in one column are a
        vector, and what is masked, but for groups, is NaN.

    Raises
    ------
    TypeError
        If rows are not in memory, or not where NumPy can read them.
    ValueError
        If groups are a name, or a list of them.

    Warns
    -----
    UserWarning
        If indexes of pandas hold the same labels in another order. What is returned has the
        index of the first, so that rows that are read again do not warn again.
    """
    rows = {name: _take(name, values) for name, values in rows.items()}
    if "groups" in rows:
        _refuse_names(rows["groups"], rows.get("X"))
        rows["groups"] = _one_column(rows["groups"])
    indexed = {n: v for n, v in rows.items() if isinstance(v, pd.DataFrame | pd.Series)}
    first = next(iter(indexed), None)
    other = [n for n in indexed if _in_another_order(indexed[first].index, indexed[n].index)]
    if other:
        warn(
            ANOTHER_ORDER.format(first=first, other=" and ".join(other), one=other[0]),
            UserWarning,
        )
        index = indexed[first].index
        rows |= {name: indexed[name].set_axis(index) for name in other}
    return list(rows.values())


def _take(name, values):
    """Refuse what cannot be read, and make NumPy's arrays of others."""
    if isinstance(values, np.ma.MaskedArray):
        return values if name == "groups" else _with_nan(values)
    if values is None or isinstance(values, np.ndarray | pd.DataFrame | pd.Series):
        return values
    if isinstance(values, Mapping | Set) and not issparse(
        values
    ):  # a sparse one of keys is a table
        raise TypeError(NOT_ROWS.format(name=name, given=type(values).__name__))
    if name == "groups" and isinstance(values, str):  # before X is found to hold text
        raise ValueError(NO_LABELS.format(groups=values, name=values))
    _refuse_not_collected(name, values)
    if name in VECTORS and issparse(values):
        raise TypeError(SPARSE_VECTOR.format(name=name))
    if hasattr(values, "to_native"):  # a frame of narwhals
        return _take(name, values.to_native())
    if hasattr(values, "column_names"):  # a table of pyarrow
        return values.to_pandas()
    if not hasattr(values, "__dlpack__"):
        return values
    try:
        return np.asarray(values)
    except Exception as error:  # each library has its own: on another device, with gradients
        message = NOT_FOR_NUMPY.format(name=name, given=_class(values), error=error)
        raise TypeError(message) from error


def _refuse_names(groups, X):
    """Refuse names of columns in place of labels, before X is found to hold text."""
    if not isinstance(groups, list | tuple) or not hasattr(X, "columns"):
        return
    names = [name for name in groups[: len(X.columns)] if isinstance(name, str)]
    if 0 < len(groups) == len(names) < len(X) and set(names) <= set(X.columns):
        raise ValueError(NAMES_NOT_LABELS.format(groups=names))


def _one_column(groups):
    """Take a table or an array of one column for the labels that it holds."""
    if len(getattr(groups, "shape", ())) != 2 or groups.shape[1] != 1:
        return groups
    if isinstance(groups, np.matrix):
        return np.asarray(groups).ravel()
    return groups.iloc[:, 0] if hasattr(groups, "iloc") else dense_column(groups, 0)


def _with_nan(masked):
    """Put NaN where an array is masked."""
    if not np.ma.is_masked(masked):
        return masked.data
    numbers = masked.dtype.kind in "biuf"
    return masked.astype(np.float64 if numbers else object).filled(np.nan)


def _refuse_not_collected(name, values):
    given = _class(values)
    elsewhere = given.partition(".")[0] in ELSEWHERE or type(values).__name__ == "LazyFrame"
    fetch = next((method for method in FETCH if hasattr(type(values), method)), None)
    if elsewhere and fetch:
        raise TypeError(NOT_COLLECTED.format(name=name, given=given, fetch=fetch))


def _class(values):
    """Name the class and its package, such as polars.LazyFrame."""
    package = type(values).__module__.partition(".")[0].lstrip("_")
    return f"{package}.{type(values).__name__}"


def _in_another_order(one, other):
    """Whether two indexes hold the same labels in different orders."""
    numeric = pd.api.types.is_numeric_dtype(one)
    if one.is_(other) or len(one) != len(other) or one.nlevels != other.nlevels:
        return False
    if numeric != pd.api.types.is_numeric_dtype(other) or one.equals(other):
        return False
    if one.is_monotonic_increasing and other.is_monotonic_increasing:
        return False  # both sorted, so some labels differ
    if numeric and (one.min(), one.max()) != (other.min(), other.max()):
        return False  # told at once, as after `reset_index` of some of the rows
    return _sum_of_hashes(one, numeric) == _sum_of_hashes(other, numeric)


def _sum_of_hashes(index, numeric):
    """Sum up what does not depend on the order, and hardly ever agrees for other labels."""
    index = index.astype(np.float64) if numeric else index  # 1 is 1.0
    return pd.util.hash_pandas_object(index, index=False, categorize=False).to_numpy().sum()
