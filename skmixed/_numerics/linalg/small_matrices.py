"""Linear algebra on many small matrices at once.

The index of the matrix comes last: A of shape (r, q, k) holds k matrices of shape (r, q), so
that each step works on whole vectors over them, and thousands of 2 x 2 systems cost no more
calls than one. Several sets of matrices have the index of the set first: (s, r, q, k).
"""

from __future__ import annotations

from math import prod

import numpy as np

from skmixed._numerics.linalg.arrays import Array


def multiply(A: Array, B: Array) -> Array:
    """Return A B_k for one A, or several, of shape (..., r, q); shape (..., r, m, k)."""
    shape = (*A.shape[:-1], *B.shape[1:])
    if A.size == 1:  # BLAS is slow there
        return np.asarray(A.item() * B).reshape(shape)
    # all rows of all A, times all columns of all B_k, in a single product
    product: Array = A.reshape(prod(A.shape[:-1]), len(B)) @ B.reshape(
        len(B), prod(B.shape[1:])
    )
    return product.reshape(shape)


def multiply_transposed(B: Array, A: Array) -> Array:
    """Return B_k A' for B of shape (..., r, q, k) and A (..., m, q); shape (..., r, m, k)."""
    # with one row of all B_k at a time as a matrix of shape (q, k)
    return np.asarray(np.matmul(A[..., None, :, :], B))


def cholesky(A: Array, least: float | None = None) -> Array:
    """Return lower Cholesky factors of positive definite A_k, shape (..., q, q, k).

    No square on a diagonal is below `least`, if it is known; less is rounding.
    """
    R = np.zeros_like(A)
    for i in range(A.shape[-2]):
        for j in range(i + 1):
            left = A[..., i, j, :]
            if j:
                left = left - _dot(R[..., i, :j, :], R[..., j, :j, :])
            if i == j and least is not None:
                left = np.maximum(left, least)
            R[..., i, j, :] = left / R[..., j, j, :] if j < i else np.sqrt(left)
    return R


def cholesky_semidefinite(A: Array, null: Array | float) -> Array:
    """Return lower factors R with R R' = A for semidefinite A of shape (q, q, k).

    Column i is 0 if the square left on its diagonal is no more than null[i]: row i of A then
    depends on those before it.
    """
    R = np.zeros_like(A)
    null = np.broadcast_to(null, A.shape[1:])
    for i in range(len(A)):
        for j in range(i):
            there = R[j, j] > 0
            R[i, j] = there * (A[i, j] - _dot(R[i, :j], R[j, :j])) / (R[j, j] + ~there)
        square = A[i, i] - _dot(R[i, :i], R[i, :i])
        R[i, i] = np.sqrt(np.where(square > null[i], square, 0.0))
    return R


def solve_lower(R: Array, B: Array) -> Array:
    """Return R_k^-1 B_k for lower R (..., q, q, k) and B (..., q, m, k); overwrites B."""
    for i in range(R.shape[-2]):
        for j in range(i):
            B[..., i, :, :] -= R[..., i, j, None, :] * B[..., j, :, :]
        B[..., i, :, :] /= R[..., i, i, None, :]
    return B


def solve_lower_transposed(R: Array, B: Array) -> Array:
    """Return R_k'^-1 B_k like `solve_lower`, for the transposed R; overwrites B."""
    q = R.shape[-2]
    for i in reversed(range(q)):
        for j in range(i + 1, q):  # R'_ij = R_ji
            B[..., i, :, :] -= R[..., j, i, None, :] * B[..., j, :, :]
        B[..., i, :, :] /= R[..., i, i, None, :]
    return B


def gram(B: Array) -> Array:
    """Return sum_k B_k' B_k for B of shape (..., r, m, k); shape (..., m, m)."""
    return np.asarray(np.matmul(B, B.swapaxes(-1, -2)).sum(axis=-3))


def gram_by_matrix(B: Array) -> Array:
    """Return B_k' B_k for B of shape (..., r, m, k); shape (..., m, m, k)."""
    products: Array = np.einsum("...rak,...rbk->...abk", B, B)
    return products


def sum_of_outer(A: Array, B: Array) -> Array:
    """Return sum_k A_k (x) B_k for (..., a, b, k), (..., c, d, k); shape (..., a, b, c, d)."""
    # a matrix with a row for (a, b), times one with a column for (c, d), over k
    *sets, a, b, k = A.shape
    c, d = B.shape[-3:-1]
    rows, columns = A.reshape(*sets, a * b, k), B.reshape(*sets, c * d, k)
    outer: Array = rows @ columns.swapaxes(-1, -2)
    return outer.reshape(*sets, a, b, c, d)


def quadratic_form(E: Array, P: Array) -> Array:
    """tr(E_i A E_j B) of all i and j, for P_abcd, a sum of A_ab B_cd; shape (..., i, j)."""
    square = P.shape[-1] ** 2
    rows = E.reshape(len(E), square)
    # axes d a in one, and b c in the other
    matrix = np.moveaxis(P, -1, -4).reshape(*P.shape[:-4], square, square)
    form: Array = rows @ matrix @ rows.T
    return form


def _dot(A: Array, B: Array) -> Array:
    products: Array = np.einsum("...ik,...ik->...k", A, B)
    return products
