"""Conjugate gradients for many right-hand sides at once, and what they tell of a logarithm.

Columns go their own way, with step lengths of their own; they share each product with A.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array

# Numbers of a block of rows that stay in cache while several vectors are updated there.
CHUNK_NUMBERS = 2**15


@dataclass(frozen=True)
class Solved:
    """Solutions of A x = b for the columns of b.

    Attributes
    ----------
    x, residual : ndarray of shape (size, m)
        The solutions, and b - A x.
    n_steps : int
        Products with A.
    converged : bool
        Whether all residuals are within the tolerance.
    diagonal, beside : ndarray of shape (n_steps, m)
        Tridiagonal matrices of the Lanczos process that begins with each column of b; ones
        and zeros once a column has converged. The last row of `beside` is not used.
    """

    x: Array
    residual: Array
    n_steps: int
    converged: bool
    diagonal: Array
    beside: Array

    def logarithms(self) -> Array:
        """Return b'log(A) b / b'b of each column, by Gauss's quadrature."""
        T = self.diagonal.T[:, :, None] * np.eye(self.n_steps)
        i = np.arange(self.n_steps - 1)
        T[:, i, i + 1] = T[:, i + 1, i] = self.beside[:-1].T
        nodes, vectors = np.linalg.eigh(T)
        weights = vectors[:, 0] ** 2
        return np.asarray(np.sum(weights * np.log(nodes), axis=1))


def conjugate_gradients(
    multiply: Callable[[Array], Array], b: Array, *, tol: float, max_steps: int
) -> Solved:
    """Solve A x = b for positive definite A.

    Parameters
    ----------
    multiply : callable
        Returns A p for p of shape (size, m).
    b : ndarray of shape (size, m)
        Right-hand sides, in columns.
    tol : float
        Length of a residual at the end, as a share of that of b.
    max_steps : int
        Products with A allowed.

    Returns
    -------
    Solved
    """
    x, r = np.zeros_like(b), b.copy()
    p = b.copy()
    square = _dots(r, r)
    enough = tol**2 * square
    alphas: list[Array] = []
    betas: list[Array] = []
    while len(alphas) < max_steps and np.any(square > enough):
        Ap = multiply(p)
        moves = square > enough
        alpha = _ratios(square, _dots(p, Ap), moves)
        new = _advance(alpha, p, Ap, x, r)
        beta = _ratios(new, square, moves)
        _turn(beta, r, p)
        square = new
        alphas.append(alpha)
        betas.append(beta)
    diagonal, beside = _tridiagonal(np.array(alphas), np.array(betas), b.shape[1])
    converged = not np.any(square > enough)
    return Solved(x, r, len(alphas), converged, diagonal, beside)


def _tridiagonal(alphas: Array, betas: Array, m: int) -> tuple[Array, Array]:
    """Return the diagonals of the Lanczos matrices, given the steps of conjugate gradients."""
    if not len(alphas):
        return np.ones((1, m)), np.zeros((1, m))
    moved = alphas > 0
    inverse = np.divide(1.0, alphas, out=np.ones_like(alphas), where=moved)
    diagonal = inverse.copy()
    diagonal[1:] += np.where(moved[1:], betas[:-1] * inverse[:-1], 0.0)
    goes_on = np.vstack([moved[1:], np.zeros((1, m), np.bool_)])
    return diagonal, np.where(goes_on, np.sqrt(betas) * inverse, 0.0)


def _ratios(a: Array, b: Array, where: NDArray[np.bool_]) -> Array:
    return np.divide(a, b, out=np.zeros_like(a), where=where)


def _dots(a: Array, b: Array) -> Array:
    """Return the scalar products of columns."""
    products: Array = np.einsum("km,km->m", a, b)
    return products


def _advance(alpha: Array, p: Array, Ap: Array, x: Array, r: Array) -> Array:
    """Move x and r in place; return the squares of r."""
    square = np.zeros(len(alpha))
    for some in _chunks(p):
        x[some] += alpha * p[some]
        r[some] -= alpha * Ap[some]
        square += _dots(r[some], r[some])
    return square


def _turn(beta: Array, r: Array, p: Array) -> None:
    """Set p to r + beta p."""
    for some in _chunks(p):
        p[some] *= beta
        p[some] += r[some]


def _chunks(a: Array) -> list[slice]:
    step = max(CHUNK_NUMBERS // max(a.shape[1], 1), 1)
    return [slice(i, i + step) for i in range(0, len(a), step)]
