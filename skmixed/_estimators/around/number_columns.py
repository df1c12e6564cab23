"""The columns of any table that hold numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_array

from skmixed._rows.features import cells_explained, numeric_columns

NO_SLOPES = (
    "`slopes` must name columns that hold numbers, but these do not: {names}. Encode them as "
    "numbers, or leave them out."
)
KINDS = "biuf"  # of NumPy's types
OBJECTS = {"boolean", "integer", "floating", "mixed-integer-float", "decimal"}


def number_columns(X):
    """Positions of the columns that hold numbers; categories and text are none."""
    if hasattr(X, "iloc"):
        return [i for i, dtype in enumerate(X.dtypes) if _is_numeric(dtype)]
    if hasattr(X, "columns"):  # polars
        return [i for i, d in enumerate(X.dtypes) if d.is_numeric() or str(d) == "Boolean"]
    if X.dtype == object:
        inferred = [pd.api.types.infer_dtype(X[:, i]) for i in range(X.shape[1])]
        return [i for i, kind in enumerate(inferred) if kind in OBJECTS]
    if X.dtype.kind == "c":
        numeric_columns(X)  # refuses them
    return list(range(X.shape[1])) if X.dtype.kind in KINDS else []


def read_numbers(X, positions, model):
    """Take columns out of a table, as float64.

    Parameters
    ----------
    X : DataFrame of pandas or polars, or ndarray
        The features.
    positions : list of int
        Columns that hold numbers.
    model : estimator
        For errors.

    Returns
    -------
    ndarray of shape (n_rows, n_positions)
        NaN where a value is missing; infinity is refused.
    """
    if not positions:
        return np.empty((X.shape[0], 0))
    table = X.iloc[:, positions] if hasattr(X, "iloc") else X[:, positions]
    known = {"groups": (), "positions": positions}
    table = numeric_columns(table, **known)
    with cells_explained(table, **known):
        return check_array(
            table,
            dtype=np.float64,
            ensure_all_finite="allow-nan",
            ensure_min_samples=0,
            estimator=model,
            input_name="X",
        )


def refuse_text_slopes(X, columns, numbers):
    """Refuse slope columns that hold no numbers."""
    others = [columns.terms[i] for i in columns.slopes if i not in numbers]
    if others:
        raise ValueError(NO_SLOPES.format(names=", ".join(others)))


def _is_numeric(dtype):
    numeric = pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
    return numeric and not pd.api.types.is_complex_dtype(dtype) and not _is_category(dtype)


def _is_category(dtype):
    return isinstance(dtype, pd.CategoricalDtype)
