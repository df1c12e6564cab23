"""Columns of X that are chosen by a parameter."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd

from skmixed._rows.columns import as_table
from skmixed._rows.factors import take_columns
from skmixed._rows.strata import columns_taken_out
from skmixed._sklearn_private import get_column_indices

# What the parameters that name columns may be.
SLOPES = [str, Integral, slice, "array-like", callable]


def find_feature_columns(X, columns, group_by, *, parameter, variance_by=None):
    """Positions of chosen columns among the features, that is, without the group column.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray or sparse matrix
        Features and, if `group_by` is set, the groups.
    columns : "all", str, int, list, slice, mask or callable
        As `sklearn.compose.ColumnTransformer` takes columns. A callable is given the features.
    group_by : str, int, tuple, list of these or None
        The group columns.
    parameter : str
        Which parameter named the columns; for errors.
    variance_by : str, int or None, default=None
        The column of strata.

    Returns
    -------
    list of int
        Positions in the order given.
    """
    X = as_table(X)
    features = np.delete(np.arange(X.shape[1]), columns_taken_out(X, group_by, variance_by))
    if isinstance(columns, str) and columns == "all":
        return list(range(len(features)))
    if callable(columns):
        X = take_columns(X, features)
        features, columns = np.arange(X.shape[1]), columns(X)
    try:
        positions = [features.tolist().index(i) for i in _positions(X, columns)]
    except (ValueError, TypeError) as error:  # or what cannot be the name of a column
        names = list(X.columns) if hasattr(X, "columns") else f"0 to {X.shape[1] - 1}"
        raise ValueError(
            f"{parameter}={columns!r} must be feature columns of X, but the columns of X are "
            f"{names}"
            + (f" and {group_by!r} holds the groups" if group_by is not None else "")
            + (f" and {variance_by!r} the strata." if variance_by is not None else ".")
        ) from error
    if len(set(positions)) < len(positions):
        raise ValueError(f"{parameter}={columns!r} must name each column once.")
    return positions


def _positions(X, key):
    mask = np.asarray(key)
    if mask.dtype == bool and mask.shape != (X.shape[1],):
        raise ValueError(f"a mask of length {mask.size} does not fit")
    n_columns = X.shape[1]
    if hasattr(X, "columns"):
        X = pd.DataFrame(columns=list(X.columns))  # scikit-learn 1.8 knows no newer polars
    return [i % n_columns for i in np.atleast_1d(get_column_indices(X, key)).tolist()]
