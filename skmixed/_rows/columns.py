"""Which column of X holds the groups."""

from __future__ import annotations

import re
from numbers import Integral

import numpy as np
from scipy.sparse import issparse

# What the parameter that names it may be.
GROUP_BY = [str, Integral, None]


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


def split_group_column(X, group_by, parameter="group_by"):
    """Take the group column out of X.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray, sparse matrix or nested list
        Features and, among them, the groups.
    group_by : str or int
        Name (DataFrame only) or position of the column, or name of a pandas index level.
    parameter : str, default="group_by"
        Which parameter named it; for errors.

    Returns
    -------
    X : same type as X
        The other columns. For an ndarray this is a view if the group column is the first or
        the last.
    groups : Series, Index or ndarray
        The group column.
    """
    X = as_table(X)
    position = find_group_column(X, group_by, parameter)
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


def find_group_column(X, group_by, parameter="group_by"):
    """Position of the group column in X.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray or sparse matrix
        Features and, among them, the groups.
    group_by : str or int
        Name (DataFrame only) or position of the column, or name of a pandas index level.
    parameter : str, default="group_by"
        Which parameter named it; for errors.

    Returns
    -------
    int or None
        Its position, not negative; None for an index level.
    """
    n_columns = X.shape[1]
    if isinstance(group_by, bool | np.bool_):
        raise ValueError(
            f"{parameter}={group_by} must be the name or the position of a column of X."
        )
    if not isinstance(group_by, str | Integral):
        raise ValueError(
            f"{parameter}={group_by!r} must be the name or the position of a column of X."
        )
    if not isinstance(group_by, str):
        if not -n_columns <= group_by < n_columns:
            raise ValueError(
                f"{parameter}={group_by} must be the position of a column of X, but X has "
                f"{n_columns} columns."
            )
        return group_by % n_columns
    if not hasattr(X, "columns"):
        raise ValueError(
            f"{parameter}={group_by!r} names a column, so X must be a DataFrame, but got "
            f"{type(X).__name__}. Pass a DataFrame (in a pipeline, "
            "transformer.set_output(transform='pandas')) or the column's position, as in "
            f"{parameter}=0."
        )
    columns = list(X.columns)
    if group_by in columns:
        return columns.index(group_by)
    levels = [name for name in X.index.names if name is not None] if hasattr(X, "iloc") else []
    if group_by in levels:
        return None
    raise ValueError(
        f"{parameter}={group_by!r} must be a column of X"
        + (f" or a level of its index, {levels}" if levels else "")
        + f", but the columns that arrived are {columns}. {_remedy(group_by, columns)}"
    )


def _remedy(group_by, columns):
    meant = _read_formula(group_by)
    if len(meant) and all(name in columns for factor in meant for name in factor):
        factors = [factor if len(factor) > 1 else factor[0] for factor in meant]
        return (
            "A list has an entry for each factor, and a tuple joins labels: "
            f"group_by={factors if len(factors) > 1 else factors[0]!r}."
        )
    return (
        "If a transformer dropped or renamed it, pass it through: ColumnTransformer(..., "
        "remainder='passthrough', verbose_feature_names_out=False)."
    )


def _read_formula(text):
    """Columns of each factor of a formula, as in (1 | a/b) + (1 | c), or of a list as text."""
    terms = re.findall(r"\|([^|()]+)", text) or re.split("[+,]", text)
    factors = []
    for term in terms:
        parts = [part.strip() for part in term.split("/")]
        for i in range(len(parts)):  # a/b is a and a:b
            factors.append(tuple(":".join(parts[: i + 1]).split(":")))
    return list(dict.fromkeys(factors))
