"""Conditional modes of the random effects of all groups of a chunk at once.

With b = Lambda u and A = Lambda'Z', group j's modes minimise the convex

    f(u) = -sum_i log p(y_i | x_i'beta + A_i'u) + u'u / 2,
    gradient g = u - A r,  Hessian H = I + A W A'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.likelihoods.design import Design
from skmixed._numerics.likelihoods.families import Family, Slopes, exponential
from skmixed._numerics.likelihoods.rows import Chunk
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import (
    cholesky,
    solve_lower,
    solve_lower_transposed,
)

# Newton decrements g'H^-1 g at which modes are found: errors of 1e-9 conditional standard
# deviations. A step squares what it leaves, so the step after one of SMALL is the last.
EXACT = 1e-18
SMALL = 1e-9
# A step is halved until the slope along it has fallen to this share.
SLOPE_LEFT = 0.5
MOST_STEPS = 200


@dataclass(frozen=True)
class Modes:
    """Modes of a chunk's groups, and what the rows say there.

    Attributes
    ----------
    u : ndarray of shape (q, k)
        Modes in units of Lambda.
    L : ndarray of shape (q, q, k)
        Cholesky factors of H.
    A : Design
        Random columns times Lambda.
    eta, e : ndarray of shape (m,)
        Linear predictors and exponentials.
    slopes : Slopes
        Derivatives of the rows' log-likelihood.
    """

    u: Array
    L: Array
    A: Design
    eta: Array
    e: Array
    slopes: Slopes

    def solve(self, B: Array) -> Array:
        """Return H^-1 B for B of shape (q, k)."""
        rows = solve_lower(self.L, B[:, None].copy())
        return solve_lower_transposed(self.L, rows)[:, 0]

    @property
    def inverse(self) -> Array:
        """H^-1, shape (q, q, k)."""
        q, k = self.u.shape
        eye = np.broadcast_to(np.eye(q)[:, :, None], (q, q, k)).copy()
        return solve_lower_transposed(self.L, solve_lower(self.L, eye))

    @property
    def log_determinant(self) -> Array:
        """log|H|, shape (k,)."""
        return np.asarray(2 * np.log(np.einsum("aak->ak", self.L)).sum(axis=0))


def find_modes(family: Family, chunk: Chunk, fixed: Array, Lambda: Array, u: Array) -> Modes:
    """Take Newton steps, each group's own halved where it goes too far.

    A step goes too far if the slope of f along it has turned up, to more than half of what it
    was down: f may have risen then. Steps of a convex f that pass lower |g|.

    Parameters
    ----------
    fixed : ndarray of shape (m,)
        Linear predictor of the fixed effects.
    Lambda : ndarray of shape (q, q)
    u : ndarray of shape (q, k)
        Where to start.
    """
    A = Design.of(chunk, Lambda)
    step, slope = np.zeros_like(u), np.full(u.shape[1], np.inf)
    for _ in range(MOST_STEPS):
        eta = A.along(u + step)
        eta += fixed
        e = exponential(eta.copy() if chunk.sign is None else chunk.sign * eta)
        slopes = family.slopes(e, chunk.y, chunk.w)
        g = u + step - A.sum(slopes.residual)
        # slopes of the last, smallest steps are rounding
        fine = (_dot(g, step) <= SLOPE_LEFT * slope) | (slope <= SMALL)
        u = np.where(fine, u + step, u)
        L = cholesky(_hessian(A, slopes.weight), least=1.0)
        newton = -_solve(L, g)
        decrement = -_dot(g, newton)
        if np.all(fine & ((decrement <= EXACT) | (slope <= SMALL))):
            break
        slope = np.where(fine, decrement, slope)
        step = np.where(fine, newton, step / 2)
    return Modes(u, L, A, eta, e, slopes)


def _hessian(A: Design, weight: Array) -> Array:
    H = A.gram(weight)
    for a in range(len(H)):
        H[a, a] += 1.0
    return H


def _solve(L: Array, B: Array) -> Array:
    return solve_lower_transposed(L, solve_lower(L, B[:, None].copy()))[:, 0]


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(np.einsum("ak,ak->k", a, b))
