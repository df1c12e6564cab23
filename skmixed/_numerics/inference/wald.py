"""Tests that several linear combinations of coefficients are 0, by their covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, solve_triangular

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    GRAM_ERROR,
    ROUNDING_UP_TO,
    ROWS_TOLERANCE,
    SAME_SUMS,
)


def independent_rows(L: Array) -> Array:
    """Return as many rows as the rank of L, which combine its rows.

    Parameters
    ----------
    L : ndarray of shape (k, p)
        Contrasts, none of them 0.

    Returns
    -------
    ndarray of shape (rank, p)
        L itself if its rank is k. If not, U'L with the left singular vectors U, so that the
        eigenvectors of L cov L' that have a variance stay what they are.
    """
    lengths = np.linalg.norm(L, axis=1, keepdims=True)
    rank = np.linalg.matrix_rank(L / lengths, tol=ROWS_TOLERANCE)
    if rank == len(L):
        return L
    U = np.linalg.svd(L, full_matrices=False)[0]
    return np.asarray(U[:, :rank].T @ L)


def uncorrelated(values: Array, cov: Array) -> tuple[float, Array]:
    """Return the F statistic of contrasts, and uncorrelated combinations that it is made of.

    As lmerTest's ``contestMD``: with the eigenvectors P of the covariance the contrasts P'v are
    uncorrelated, and

        F = v' cov^-1 v / k = mean of their squared t statistics.

    Each of these has degrees of freedom of its own, and F those of `combined_df`.

    Parameters
    ----------
    values : ndarray of shape (k,)
        The contrasts v.
    cov : ndarray of shape (k, k)
        Their covariance.

    Returns
    -------
    statistic : float
        NaN if the covariance is singular.
    combinations : ndarray of shape (k, k)
        P'.

    References
    ----------
    Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest package: tests
    in linear mixed effects models. Journal of Statistical Software, 82(13).
    doi:10.18637/jss.v082.i13
    """
    sd = np.sqrt(np.maximum(np.diag(cov), 0.0))
    correlations = cov / np.outer(*[np.where(sd > 0, sd, 1.0)] * 2)
    root, failed = lapack.dpotrf(correlations, lower=1)
    if failed or np.diag(root).min() ** 2 < ROUNDING_UP_TO * GRAM_ERROR:
        return np.nan, np.eye(len(cov))
    z = solve_triangular(root, values / sd, lower=True)
    # of a root, not of cov: half of the digits would go where standard errors differ widely
    P = np.linalg.svd(sd[:, None] * np.tril(root))[0]
    return float(np.mean(z**2)), P.T


def combined_df(nu: Array) -> float:
    """Return the degrees of freedom of a mean of squares of independent t variables.

    The mean of F with k and df degrees of freedom, df / (df - 2), is set equal to that of the
    mean of the squares, sum_m nu_m / (nu_m - 2) / k. It does not exist where some nu_m <= 2;
    df then is 2, as lmerTest has it. A single t keeps its own.

    Parameters
    ----------
    nu : ndarray of shape (k,)
        Degrees of freedom of each.

    Returns
    -------
    float
        inf if all are.
    """
    if len(nu) == 1:
        return float(nu[0])
    if np.any(nu <= 2):
        return 2.0
    excess = np.sum(1 / (nu - 2))
    return float(2 + len(nu) / excess) if excess else np.inf


def sequential_contrasts(G: Array) -> Array:
    """Return contrasts of type I: each column given those before it.

    Parameters
    ----------
    G : ndarray of shape (p, p)
        Cross-products of the columns in their order, positive definite.

    Returns
    -------
    ndarray of shape (p, p)
        Row i holds the coefficients of all columns in the coefficient of column i when those
        after it are left out: L' of ``G = L D L'``, with 1 on the diagonal.
    """
    scale = np.sqrt(np.diag(G))
    root = np.linalg.cholesky(G / np.outer(scale, scale)).T
    return np.asarray(root / np.diag(root)[:, None] * scale / scale[:, None])


def products_with_dummies(R: Array) -> NDArray[np.intp]:
    """Find columns that look like the product of two others, one of which is 0 or 1.

    If a is 0 or 1 and c = a x, then sum a = sum a^2, a'c = sum c, a'x = sum c and x'c = c'c.
    Columns for which this holds to the last digits are unlikely to be anything else.

    Parameters
    ----------
    R : ndarray of shape (1 + p, 1 + p)
        Cross-products of (1, X), not around means.

    Returns
    -------
    ndarray of shape (n_found, 3)
        Positions of a, x and c in each row, the ones counted as 0.
    """
    sums, squares = R[0], np.diag(R)
    size = np.sqrt(np.outer(squares, squares))

    def same(one: Array, other: Array, unit: Array) -> NDArray[np.bool_]:
        return np.asarray(np.abs(one - other) <= SAME_SUMS * unit)

    found = []
    own = same(R, squares[None, :], size)  # x'c = c'c, axes x c
    for a in np.flatnonzero(same(sums, squares, squares) & (squares < R[0, 0])):
        within = same(R[a], sums, size[0])  # a'c = sum c
        matched = same(R[a][:, None], sums[None, :], size[0])  # a'x = sum c
        products = own & matched & within[None, :]
        x, c = np.nonzero(products)
        different = (x != c) & (x != a) & (c != a) & (x > 0) & (c > 0) & (squares[c] > 0)
        found += [(a, i, j) for i, j in zip(x[different], c[different], strict=True)]
    return np.array(found, dtype=np.intp).reshape(-1, 3)
