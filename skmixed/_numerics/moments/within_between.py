"""How much columns vary within groups, and how much between them: of rows, and of moments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CONSTANT_WITHIN, SHARE_ERROR
from skmixed._numerics.moments.coordinates import around_means
from skmixed._numerics.moments.moments import GroupedMoments


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
    for i, x in enumerate(X.T):  # a column at a time, so that X is never copied whole
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
    """Find out of every column whether it varies within groups, and whether between them.

    Parameters
    ----------
    X, codes : ndarray
        As `group_means` takes them.
    sizes, means : ndarray
        What it returns.
    sample_weight : ndarray of shape (n_rows,), optional
        As `group_means` takes it.

    Returns
    -------
    within, between : ndarray of shape (n_columns,), dtype bool
        False where a share of at most 1e-12 of the scatter, or rounding, is of that kind.
    """
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    columns = zip(X.T, means.T, strict=True)
    within = np.array([weight @ (x - mean[codes]) ** 2 for x, mean in columns])
    between = sizes @ (means - sizes @ means / sizes.sum()) ** 2
    least = _rounding(within + between, np.abs(means).max(axis=0), sizes.sum())
    return within > least, between > least


def share_between(moments: GroupedMoments) -> Array:
    """Return the share of each column's variation that lies between groups.

    The sum of squares around the mean is that of the group means, weighted by the sizes of
    the groups, plus that within groups.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of D = [1, X, y].

    Returns
    -------
    ndarray of shape (n_columns - 1,)
        Of X and y; exactly 0 or 1 where the rest is rounding, NaN for constant columns.
    """
    # row 0 of T, and C[0], are sums of the columns: D has the ones first
    sums, square = moments.T[0, 1:], np.diag(moments.T)[1:]
    total = square - sums**2 / moments.n
    between = np.sum(moments.C[0, 1:] ** 2 / moments.sizes, axis=1) - sums**2 / moments.n
    noise = (8 * np.finfo(np.float64).eps * moments.shift[1:]) ** 2 * moments.n
    constant = total <= noise + SHARE_ERROR**2 * square
    share = np.where(constant, np.nan, between / np.where(constant, 1.0, total))
    share = np.where(share < SHARE_ERROR, 0.0, share)  # NaN stays
    return np.where(share > 1 - SHARE_ERROR, 1.0, share)


def scatter(moments: GroupedMoments) -> tuple[Array, Array]:
    """Split the scatter of D = [1, X, y] into that within groups and that between them.

    With group sizes n_j and c_j = 1_j' W D_j, D around its mean,

        between = sum_j c_j c_j' / n_j,    within = T - between.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of the rows.

    Returns
    -------
    within, between : ndarray of shape (n_columns, n_columns)
        Exactly 0 for a column that does not vary in that way.
    """
    moments = around_means(moments)
    c = moments.C[0] / np.sqrt(moments.sizes)  # a column for each group
    between = c @ c.T
    within = moments.T - between
    least = _rounding(np.diag(moments.T), moments.shift, moments.n)
    for part in (within, between):
        absent = np.diag(part) <= least
        part[absent] = 0.0
        part[:, absent] = 0.0
    return within, between


def _rounding(scatter: Array, offset: Array, n: float) -> Array:
    """Scatter that may be rounding: a share of the whole, or digits lost to an offset."""
    lost = 8 * np.finfo(np.float64).eps * np.abs(offset)
    return np.maximum(CONSTANT_WITHIN * scatter, n * lost**2)
