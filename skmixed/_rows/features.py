"""Columns of X that hold numbers, and what is said of those that do not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils import check_array, column_or_1d

from skmixed._rows.columns import dense_column
from skmixed._rows.labels import check_real
from skmixed._rows.messages import (
    ENCODE,
    FROM_DATES,
    FROM_DURATIONS,
    HOLDS_THE_GROUPS,
    LEAVE_OUT,
    MISSING_IN_X,
    MISSING_IN_Y,
    NOT_FINITE,
    NOT_NUMERIC,
    PASS_GROUPS,
    SPLIT_COMPLEX,
)

COLUMNS_SHOWN = 10
# What errors say of cells that are not numbers, and of those that are not finite.
SIGNS_OF_CELLS = (
    *("convert", "promot", "must be numeric", "float()", "sequence", "ambiguous", "Complex"),
    *("NaN", "infinity"),
)
# What to do with values, by what pandas calls them.
TEXT = frozenset({"string", "bytes"})
ADVICE = {
    frozenset({"datetime64", "datetime", "date", "time", "period"}): FROM_DATES,
    frozenset({"timedelta64", "timedelta"}): FROM_DURATIONS,
    TEXT: ENCODE,
    frozenset({"complex"}): SPLIT_COMPLEX,
}
# Kinds of NumPy types that are durations, dates and complex numbers.
NEVER_NUMBERS = "mMc"


class Column(NamedTuple):
    """A column of X, or y."""

    name: str
    dtype: Any
    values: pd.Series
    key: str | int = ""  # what `group_by` would call it

    @property
    def numbers(self):
        """Its numbers, with NaN where there is none."""
        never = self.values.dtype.kind in NEVER_NUMBERS
        numbers = self.values if never else pd.to_numeric(self.values, errors="coerce")
        if numbers.dtype.kind in NEVER_NUMBERS:
            return pd.Series(np.nan, numbers.index)
        return numbers.astype(np.float64)

    @property
    def no_numbers(self):
        """Values that are there, but are no numbers."""
        return self.values[self.numbers.isna() & self.values.notna()]

    @property
    def kind(self):
        """What those values are, in the words of pandas; of numbers as text, what all are."""
        values = self.no_numbers
        return pd.api.types.infer_dtype(values if len(values) else self.values)

    @property
    def type(self):
        """The type of the column, and of its objects."""
        if not pd.api.types.is_object_dtype(self.dtype):
            return str(self.dtype)
        return f"object of {type(self.no_numbers.iloc[0]).__name__}"


def numeric_columns(X, *, groups=None, positions=None):
    """Make numbers of decimals, and refuse the types that are never numbers.

    Parameters
    ----------
    X : table
        The features.
    groups : array-like, optional
        The groups, if they are known, so that no other column can be meant for them.
    positions : sequence of int, optional
        Where the columns stood in the table as it was handed in, if some were taken out.

    Returns
    -------
    table
        X, with floats in place of the decimals of pyarrow.
    """
    dtypes = _dtypes(X)
    never = [i for i, dtype in enumerate(dtypes) if _is_never_a_number(dtype)]
    if never:
        _refuse([_column(X, i, positions) for i in never], groups)
    decimals = [i for i, dtype in enumerate(dtypes) if str(dtype).startswith("decimal")]
    if decimals and isinstance(X, pd.DataFrame):
        X = X.astype({X.columns[i]: "double[pyarrow]" for i in decimals})
    return X


@contextmanager
def cells_explained(X, y=None, *, groups=None, positions=None):
    """Name the columns with cells at fault, where scikit-learn's checks say that some are.

    Parameters
    ----------
    X : table
        The features.
    y : array-like, optional
        The target.
    groups, positions : object
        As for `numeric_columns`.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        if any(sign in str(error) for sign in SIGNS_OF_CELLS):
            _explain(X, positions, y, groups, error)
        raise


def complete(values):
    """Fill up missing values for a linear model.

    A column with missing values becomes two: its mean stands where one is missing, and the
    second column says where. Coefficients are then those of the rows that are complete.
    """
    missing = np.isnan(values)
    some = missing.any(axis=0)
    if not some.any():
        return values
    n_there = np.maximum(len(missing) - missing.sum(axis=0), 1)
    means = np.where(missing, 0.0, values).sum(axis=0) / n_there
    return np.column_stack([np.where(missing, means, values), missing[:, some]])


def read_target(y):
    """Check a target on its own; return a vector of numbers."""
    try:
        target = column_or_1d(check_array(y, ensure_2d=False, input_name="y"))
        if target.dtype == object:
            target = target.astype(np.float64)
        check_real(target, "y")
    except (ValueError, TypeError) as error:
        _explain_target(y, error)
        raise
    return target


def _explain(X, positions, y, groups, error):
    """Raise an error that names columns, if there are any to name."""
    X = X if hasattr(X, "shape") else np.array(X, dtype=object)  # a nested list
    if len(X.shape) != 2:
        return  # the error says so
    columns = (
        [] if "Input y" in str(error) else [_column(X, i, positions) for i in _suspects(X)]
    )
    no_numbers = [column for column in columns if len(column.no_numbers)]
    if no_numbers:
        _refuse(no_numbers, groups, error)
    for column_is_at_fault, message in ((np.isnan, MISSING_IN_X), (np.isinf, NOT_FINITE)):
        counts = {c.name: np.count_nonzero(column_is_at_fault(c.numbers)) for c in columns}
        if any(counts.values()):
            raise ValueError(message.format(columns=_count(counts, X.shape[0]))) from error
    if y is not None:
        _explain_target(y, error)


def _explain_target(y, error):
    if y is None or np.ravel(y).shape != np.shape(y)[:1]:
        return  # no vector, and the error says so
    y = Column("y", np.asarray(y).dtype, _series(np.ravel(y)))
    if len(y.no_numbers):
        example = y.no_numbers.iloc[0]
        raise ValueError(
            f"y must be numeric, but got {y.type}, such as {example!r}."
        ) from error
    n_missing = np.count_nonzero(np.isnan(y.numbers))
    if n_missing:
        raise ValueError(MISSING_IN_Y.format(n=n_missing, n_rows=len(y.values))) from error


def _suspects(X):
    """Positions of the columns that may be at fault; of an array of floats, those that are."""
    if issparse(X):
        X = X.tocoo()
        return np.unique(X.col[~np.isfinite(X.data) | np.iscomplex(X.data)])
    if isinstance(X, np.ndarray) and X.dtype.kind == "f":
        return np.flatnonzero(~np.isfinite(X).all(axis=0))
    return range(np.shape(X)[1])


def _column(X, position, positions=None):
    """Take a column out of any table."""
    if hasattr(X, "iloc"):
        values = X.iloc[:, position]
    elif hasattr(X, "columns"):  # polars
        values = X[X.columns[position]]
    else:
        values = dense_column(X.tocsc() if issparse(X) else X, position)
    if hasattr(X, "columns"):
        name = key = str(X.columns[position])
    else:
        key = int(position if positions is None else positions[position])
        name = f"x{key}"
    return Column(name, values.dtype, _series(values), key)


def _series(values):
    """Values of any column as objects, or as the numbers that they are."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biufcmM":
        return pd.Series(np.asarray(values))
    objects = values.tolist() if hasattr(values, "tolist") else values.to_list()
    return pd.Series(objects, dtype=object)


def _dtypes(X):
    """Types of the columns of a frame, or of an array; none of what has no types."""
    if hasattr(X, "columns"):
        return list(getattr(X, "dtypes", []))
    is_table = len(getattr(X, "shape", ())) == 2
    return [X.dtype] * X.shape[1] if is_table else []


def _is_never_a_number(dtype):
    """Whether no column of a type can be taken for numbers; text and objects may be."""
    if hasattr(dtype, "is_numeric"):  # polars
        return not (dtype.is_numeric() or str(dtype) in ("Boolean", "Null", "Object"))
    return dtype.kind in NEVER_NUMBERS


def _refuse(columns, groups, error=None):
    """Name columns that cannot be numbers, with their types, and say what to do with each."""
    text = [column for column in columns if column.kind in TEXT]
    of_groups = [column for column in columns if _holds(column, groups)]
    advice = [HOLDS_THE_GROUPS.format(name=each.name, key=each.key) for each in of_groups]
    if groups is None and text:
        advice = [PASS_GROUPS.format(key=text[0].key)]
    kinds = {column.kind for column in columns if not _holds(column, groups)}
    advice += [what_to_do for these, what_to_do in ADVICE.items() if kinds & these]
    others = kinds - frozenset().union(*ADVICE)
    advice += [LEAVE_OUT] if others else []
    named = _list(f"{column.name} ({column.type})" for column in columns)
    message = NOT_NUMERIC.format(columns=named, advice=" ".join(advice))
    of_objects = pd.api.types.is_object_dtype(columns[0].dtype)
    if others and of_objects and isinstance(error, TypeError):  # as scikit-learn's checks ask
        raise TypeError(f"{message} Python says: {error}") from error
    raise ValueError(message) from error


def _holds(column, groups):
    """Whether the values of a column are the labels of the groups."""
    if np.ndim(groups) != 1:
        return False
    labels = pd.Series(np.asarray(groups), dtype=object)
    return column.values.astype(object).equals(labels)


def _count(counts, n_rows):
    """Put counts by column in words."""
    return _list(f"{name} ({n} of {n_rows})" for name, n in counts.items() if n)


def _list(words):
    words = list(words)
    more = ", ..." if len(words) > COLUMNS_SHOWN else ""
    return ", ".join(words[:COLUMNS_SHOWN]) + more
