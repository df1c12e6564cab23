"""Whether the squares of columns can be summed, of rows that are not summed up."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse

from skmixed._rows.labels import SMALLEST_SQUARE
from skmixed._rows.messages import TOO_LARGE, TOO_SMALL


def check_sizes(X, terms):
    """Refuse columns whose squares overflow, or vanish though their values differ.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_rows, n_columns)
        Finite numbers.
    terms : sequence of str
        Names of the columns.
    """
    if not X.shape[1]:
        return
    low, high = _range_of_columns(X)
    with np.errstate(over="ignore"):
        largest = X.shape[0] * np.maximum(np.abs(low), np.abs(high)) ** 2
        if not np.isfinite(np.sum(largest)):
            raise ValueError(TOO_LARGE)
    spread = high - low
    for position in np.flatnonzero((spread > 0) & (spread**2 < SMALLEST_SQUARE)):
        name = f"The column {terms[position]}"
        raise ValueError(TOO_SMALL.format(name=name, spread=spread[position]))


def _range_of_columns(X):
    """Smallest and largest value of each column."""
    low, high = X.min(axis=0), X.max(axis=0)
    if issparse(X):
        low, high = low.toarray().ravel(), high.toarray().ravel()
    return low.astype(np.float64), high.astype(np.float64)
