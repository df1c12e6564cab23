"""Group means, and which columns vary within groups and between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.moments import Array
from skmixed._numerics.ratio import CONSTANT_WITHIN


def group_means(
    X: NDArray[Any],
    codes: NDArray[np.intp],
    n_groups: int,
    sample_weight: Array | None = None,
) -> tuple[Array, Array]:
    """Average every column over each group, in float64.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Numeric and finite.
    codes : ndarray of shape (n_rows,)
        Group of each row; every group from 0 to n_groups - 1 has a row.
    n_groups : int
        Number of groups.
    sample_weight : ndarray of shape (n_rows,), optional
        Positive weights.

    Returns
    -------
    sizes : ndarray of shape (n_groups,)
        Sum of the weights in each group.
    means : ndarray of shape (n_groups, n_columns)
        Means around a shift, so that a large offset costs no digits.
    """
    sizes = np.bincount(codes, sample_weight, n_groups).astype(np.float64)
    shift = X.mean(axis=0, dtype=np.float64)
    means = np.empty((n_groups, X.shape[1]))
    for i, x in enumerate(X.T):
        d = x - shift[i]
        if sample_weight is not None:
            d *= sample_weight
        means[:, i] = shift[i] + np.bincount(codes, d, n_groups) / sizes
    return sizes, means


def which_vary(
    X: NDArray[Any],
    codes: NDArray[np.intp],
    sizes: Array,
    means: Array,
    sample_weight: Array | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell for every column whether it varies within groups, and whether between them.

    Parameters
    ----------
    X, codes, sample_weight : ndarray
        As `group_means` takes them.
    sizes, means : ndarray
        What it returns.

    Returns
    -------
    within, between : ndarray of shape (n_columns,), dtype bool
        False where a share of at most 1e-12 of the scatter, or rounding, is of that kind.
    """
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    columns = zip(X.T, means.T, strict=True)
    within = np.array([weight @ (x - mean[codes]) ** 2 for x, mean in columns])
    between = sizes @ (means - sizes @ means / sizes.sum()) ** 2
    rounding = 8 * np.finfo(np.float64).eps * np.abs(means).max(axis=0)
    least = np.maximum(CONSTANT_WITHIN * (within + between), sizes.sum() * rounding**2)
    return within > least, between > least
