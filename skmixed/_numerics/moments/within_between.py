"""How much columns vary within groups, and how much between them: of rows, and of moments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    CONSTANT_UP_TO,
    CONSTANT_WITHIN,
    RELATIVE_ERROR,
    SHARE_ERROR,
)
from skmixed._numerics.moments.coordinates import around_means
from skmixed._numerics.moments.moments import dense
from skmixed._numerics.moments.own_lines import OwnLines


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
        False where nothing but rounding is of that kind; between groups also where a share of
        1e-12 of the scatter is.
    """
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    within = np.empty(X.shape[1])
    for i, (x, mean) in enumerate(zip(X.T, means.T, strict=True)):
        d = x - mean[codes]
        d -= (np.bincount(codes, weight * d, len(sizes)) / sizes)[codes]  # rounding of means
        within[i] = weight @ d**2
    between = sizes @ (means - sizes @ means / sizes.sum()) ** 2
    offset, n = np.abs(means).max(axis=0), sizes.sum()
    return within > _rounding(0.0, offset, n), between > _rounding(within + between, offset, n)


def count_where_varying(
    X: Any, codes: NDArray[np.integer[Any]], sizes: Array
) -> tuple[NDArray[np.intp], Array]:
    """Count the groups in which each column varies, and their rows.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_rows, n_columns)
        Numeric and finite.
    codes : ndarray of shape (n_rows,)
        Group of each row; every group from 0 to n_groups - 1 has a row.
    sizes : ndarray of shape (n_groups,)
        Number of rows in each group, or sum of their weights.

    Returns
    -------
    n_groups, n_rows : ndarray of shape (n_columns,)
        The rows are sums of sizes.
    """
    rows = np.arange(len(codes))
    first, last = np.empty((2, len(sizes)), dtype=np.intp)
    first[codes[::-1]] = rows[::-1]
    last[codes] = rows
    n_groups, n_rows = np.zeros(X.shape[1], dtype=np.intp), np.zeros(X.shape[1])
    for i in range(X.shape[1]):
        x = dense(X[:, [i]])[:, 0] if hasattr(X, "tocsr") else X[:, i]
        varies = x[first] != x[last]
        # most groups are told by two of their rows, and only the others are looked at whole
        open_ = np.flatnonzero(~varies[codes])
        differs = x[open_] != x[last[codes[open_]]]
        varies[codes[open_[differs]]] = True
        n_groups[i], n_rows[i] = np.count_nonzero(varies), sizes[varies].sum()
    return n_groups, n_rows


def shares(lines: OwnLines) -> tuple[Array, Array]:
    """Return the shares of each column's variation that lie within groups, and between them.

    Parameters
    ----------
    lines : OwnLines
        Moments of D = [1, X, y].

    Returns
    -------
    within, between : ndarray of shape (n_columns - 1,)
        Of X and y; exactly 0 where nothing but rounding is of that kind, NaN for constant
        columns.
    """
    lines = lines.with_taken(np.zeros_like(lines.taken))
    within, between = scatter(lines)
    total = (within + between)[1:]
    constant = total <= RELATIVE_ERROR**2 * lines.squares[1:]
    total = np.where(constant, np.nan, total)
    within, between = within[1:] / total, between[1:] / total
    between = np.where(between < SHARE_ERROR, 0.0, between)  # NaN stays
    # the smaller one has all its digits, and so has the rest
    few_within = within < between
    return np.where(few_within, within, 1 - between), np.where(few_within, 1 - within, between)


def scatter(lines: OwnLines) -> tuple[Array, Array]:
    """Split the squares of the columns around their means by where they lie.

    With group sizes n_j and means m_j, D around its mean, those between groups are
    sum_j n_j m_j^2, and the rest is within them.

    Parameters
    ----------
    lines : OwnLines
        Moments of D = [1, X, y].

    Returns
    -------
    within, between : ndarray of shape (n_columns,)
        Exactly 0 for a column that does not vary in that way.
    """
    lines = around_means(lines)
    between = np.sum(lines.B[0] ** 2, axis=-1)  # B[0] holds sqrt(n_j) m_j
    within = np.diag(lines.within) + np.sum(lines.B[1:] ** 2, axis=(0, 2))
    least = np.maximum(CONSTANT_UP_TO * lines.noise, RELATIVE_ERROR**2 * lines.squares)
    within = np.where(within > least, within, 0.0)
    between = np.where(between > _rounding(within + between, lines.shift, lines.n), between, 0)
    within[0] = between[0] = 0.0  # the ones
    return within, between


def _rounding(scatter: Array | float, offset: Array, n: float) -> Array:
    """Scatter that may be rounding: a share of the whole, or digits lost to an offset."""
    return np.maximum(CONSTANT_WITHIN * scatter, n * (RELATIVE_ERROR * offset) ** 2)
