"""Which columns of X hold the groups, and which are chosen by a parameter."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from skmixed._sklearn_private import get_column_indices

# What the parameters that name columns may be.
GROUP_BY = [str, Integral, None]
SLOPES = [str, Integral, slice, "array-like", callable]


def as_table(X):
    """Turn nested lists into an array and a pyarrow table into a frame; refuse vectors."""
    if hasattr(X, "column_names"):
        return X.to_pandas()
    if not hasattr(X, "shape"):
        X = np.asarray(X, dtype=object)
    if len(X.shape) != 2:
        raise ValueError(
            f"Expected 2D array for X, got {len(X.shape)}D array instead, of shape "
            f"{tuple(X.shape)}. Reshape your data either using X.reshape(-1, 1) if it has a "
            "single column or X.reshape(1, -1) if it has a single row."
        )
    return X


def split_group_column(X, group_by):
    """Take the group column out of X.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray, sparse matrix or nested list
        Features and, among them, the groups.
    group_by : str or int
        Name (DataFrame only) or position of the column, or name of a pandas index level.

    Returns
    -------
    X : same type as X
        The other columns. For an ndarray this is a view if the group column is the first or
        the last.
    groups : Series, Index or ndarray
        The group column.
    """
    X = as_table(X)
    position = find_group_column(X, group_by)
    if position is None:
        return X, X.index.get_level_values(group_by)
    others = np.delete(np.arange(X.shape[1]), position)
    if hasattr(X, "iloc"):
        return X.iloc[:, others], X.iloc[:, position]
    if hasattr(X, "columns"):  # polars
        return X.drop(X.columns[position]), X[X.columns[position]]
    if hasattr(X, "tocsc"):
        return X.tocsc()[:, others], X.tocsc()[:, [position]].toarray().ravel()
    groups = X[:, position]
    if position == 0:
        return X[:, 1:], groups
    if position == X.shape[1] - 1:
        return X[:, :-1], groups
    return np.delete(X, position, axis=1), groups


def dense_column(X, position):
    """Take one column out of an array or a sparse matrix."""
    return X[:, [position]].toarray().ravel() if issparse(X) else X[:, position]


def find_group_column(X, group_by):
    """Position of the group column in X.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray or sparse matrix
        Features and, among them, the groups.
    group_by : str or int
        Name (DataFrame only) or position of the column, or name of a pandas index level.

    Returns
    -------
    int or None
        Its position, not negative; None for an index level.
    """
    n_columns = X.shape[1]
    if isinstance(group_by, bool | np.bool_):
        raise ValueError(
            f"group_by={group_by} must be the name or the position of a column of X."
        )
    if not isinstance(group_by, str | Integral):
        raise ValueError(
            f"group_by={group_by!r} must be the name or the position of a column of X."
        )
    if not isinstance(group_by, str):
        if not -n_columns <= group_by < n_columns:
            raise ValueError(
                f"group_by={group_by} must be the position of a column of X, but X has "
                f"{n_columns} columns."
            )
        return group_by % n_columns
    if not hasattr(X, "columns"):
        raise ValueError(
            f"group_by={group_by!r} names a column, so X must be a DataFrame, but got "
            f"{type(X).__name__}. Pass a DataFrame (in a pipeline, "
            "transformer.set_output(transform='pandas')) or the column's position, as in "
            "group_by=0."
        )
    columns = list(X.columns)
    if group_by in columns:
        return columns.index(group_by)
    levels = [name for name in X.index.names if name is not None] if hasattr(X, "iloc") else []
    if group_by in levels:
        return None
    raise ValueError(
        f"group_by={group_by!r} must be a column of X"
        + (f" or a level of its index, {levels}" if levels else "")
        + f", but the columns that arrived are {columns}. If a transformer dropped or renamed "
        "it, pass it through: ColumnTransformer(..., remainder='passthrough', "
        "verbose_feature_names_out=False)."
    )


def find_feature_columns(X, columns, group_by, *, parameter):
    """Positions of chosen columns among the features, that is, without the group column.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray or sparse matrix
        Features and, if `group_by` is set, the groups.
    columns : "all", str, int, list, slice, mask or callable
        As `sklearn.compose.ColumnTransformer` takes columns. A callable is given the features.
    group_by : str, int or None
        The group column.
    parameter : str
        Which parameter named the columns; for errors.

    Returns
    -------
    list of int
        Positions in the order given.
    """
    X = as_table(X)
    features = np.arange(X.shape[1])
    if group_by is not None:
        group = find_group_column(X, group_by)
        features = np.delete(features, [] if group is None else group)
    if isinstance(columns, str) and columns == "all":
        return list(range(len(features)))
    if callable(columns):
        X = X if group_by is None else split_group_column(X, group_by)[0]
        features, columns = np.arange(X.shape[1]), columns(X)
    try:
        positions = [features.tolist().index(i) for i in _positions(X, columns)]
    except (ValueError, TypeError) as error:  # or what cannot be the name of a column
        names = list(X.columns) if hasattr(X, "columns") else f"0 to {X.shape[1] - 1}"
        raise ValueError(
            f"{parameter}={columns!r} must be feature columns of X, but the columns of X are "
            f"{names}"
            + (f" and {group_by!r} holds the groups." if group_by is not None else ".")
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
