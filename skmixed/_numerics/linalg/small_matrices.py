"""Linear algebra on many small matrices at once, the matrix index last.

Each step works on whole vectors over the matrices, so that thousands of 2 x 2 systems cost
no more calls than one. Several sets of them have the index of the set before that.
"""

from __future__ import annotations

from math import prod

import numpy as np

from skmixed._numerics.linalg.arrays import Array


def multiply(A: Array, B: Array) -> Array:
    """Return A B for one A of shape (r, q) and many B of shape (q, m, k); shape (r, m, k)."""
    if A.size == 1:  # BLAS is slow there
        return np.asarray(A[0, 0] * B)
    shape = B.shape[1:]
    product: Array = A @ B.reshape(len(B), prod(shape))
    return product.reshape(len(A), *shape)


def multiply_each(A: Array, B: Array) -> Array:
    """Return A B for each A of shape (s, r, q) and many B; shape (r, m, s, k)."""
    product = multiply(A.reshape(prod(A.shape[:2]), len(B)), B)
    return product.reshape(*A.shape[:2], *B.shape[1:]).transpose(1, 2, 0, 3)


def cholesky(A: Array) -> Array:
    """Return lower Cholesky factors of positive definite matrices of shape (q, q, ..., k)."""
    R = np.zeros_like(A)
    for i in range(len(A)):
        for j in range(i + 1):
            left = A[i, j] - _dot(R[i, :j], R[j, :j]) if j else A[i, j]
            R[i, j] = left / R[j, j] if j < i else np.sqrt(left)
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
    """Return R^-1 B for lower R (q, q, ..., k) and B (q, m, ..., k); overwrites B."""
    for i in range(len(R)):
        for j in range(i):
            B[i] -= R[i, j] * B[j]
        B[i] /= R[i, i]
    return B


def solve_lower_transposed(R: Array, B: Array) -> Array:
    """Return R'^-1 B like `solve_lower`, for the transposed R; overwrites B."""
    for i in reversed(range(len(R))):
        for j in range(i + 1, len(R)):
            B[i] -= R[j, i] * B[j]
        B[i] /= R[i, i]
    return B


def subtract_product(A: Array, F: Array, B: Array) -> Array:
    """Return A - F' B for A (q, m, ..., k), F (r, q, ..., k) and B (r, m, ..., k)."""
    return np.asarray(A - np.einsum("ra...,rm...->am...", F, B))


def gram(B: Array) -> Array:
    """Return sum_k B_k' B_k for B of shape (..., r, m, k); shape (..., m, m)."""
    return np.asarray(np.matmul(B, np.swapaxes(B, -1, -2)).sum(axis=-3))


def gram_by_matrix(B: Array) -> Array:
    """Return B_k' B_k for B of shape (r, m, k); shape (m, m, k)."""
    products: Array = np.einsum("rak,rbk->abk", B, B)
    return products


def _dot(A: Array, B: Array) -> Array:
    products: Array = np.einsum("i...,i...->...", A, B)
    return products
