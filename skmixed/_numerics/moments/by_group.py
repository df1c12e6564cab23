"""Cross-products of all columns, group by group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array

# Cross-products of groups are made in chunks that stay in the second-level cache.
CHUNK_PRODUCTS = 2**17


def cross_products_by_group(
    X: Any,
    y: NDArray[Any],
    codes: NDArray[np.integer[Any]],
    n_groups: int,
    *,
    shift: Array,
    sample_weight: Array | None = None,
    chunk: int = CHUNK_PRODUCTS,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]]:
    """Yield D_j' W D_j of the groups, some groups at a time.

    Parameters
    ----------
    X, y, codes, sample_weight : as for `GroupedMoments.from_rows`
        The rows; those with a negative code are left out.
    n_groups : int
        Number of groups.
    shift : ndarray of shape (n_columns,)
        What to take off each column of D = [1, X, y].
    chunk : int
        About how many numbers to make at a time, and from how many.

    Yields
    ------
    groups : ndarray of shape (n_some_groups,)
        Which groups.
    rows : ndarray of shape (n_some_rows,)
        Positions of their rows, sorted by group.
    D : ndarray of shape (n_columns, n_some_rows)
        These rows.
    products : ndarray of shape (n_columns, n_columns, n_some_groups)
        Their cross-products.
    """
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    order = np.argsort(codes, kind="stable")
    # rows of group j are order[starts[j] : starts[j + 1]]; negative codes come before all
    starts = np.searchsorted(codes, np.arange(n_groups + 1), sorter=order)
    per_group = len(shift) * max(len(shift), len(y) // n_groups)
    size = max(chunk // per_group, 1)
    for first in range(0, n_groups, size):
        groups = np.arange(first, min(first + size, n_groups))
        begin, end = starts[groups], starts[groups[-1] + 1]
        rows = order[begin[0] : end]
        D = shifted_columns(X[rows], y[rows], shift)
        WD = D if sample_weight is None else D * sample_weight[rows]
        products = np.empty((len(D), len(D), len(groups)))
        # column i with those from i on, summed up over each group's run of rows
        for i, d in enumerate(D):
            products[i, i:] = np.add.reduceat(WD[i:] * d, begin - begin[0], axis=1)
            products[i:, i] = products[i, i:]
        yield groups, rows, D, products


def shifted_columns(X: Any, y: NDArray[Any], shift: Array) -> Array:
    """Return D' = [1, X, y]' - shift, shape (n_columns, n_rows)."""
    X = X.toarray() if hasattr(X, "toarray") else X
    D = np.ones((len(shift), len(y)))
    np.subtract(X.T, shift[1:-1, None], out=D[1:-1])
    np.subtract(y, shift[-1], out=D[-1])
    return D
