"""The criterion -2 log L, integrated over random effects, and its exact gradient.

Modes u and Hessians H move with the parameters. With the derivatives of `Integral` as if they
were free, and, by differentiating g(u) = 0 and H = I + A W A',

    t_i = W_i' A_i'B_j A_i,    c_j = dI/du + sum_i t_i A_i,    h_j = H_j^-1 c_j,    B_j = dI/dH,
    r_i = -2 residual_i + t_i - W_i A_i'h_j,      d/dbeta = X'r,
    d/dLambda = dI/dLambda + sum_j [Z'(t - W A'h) u' + Z'residual h' + 2 Z'WZ Lambda B]_j.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skmixed._numerics.likelihoods.collapse import collapse
from skmixed._numerics.likelihoods.design import Design
from skmixed._numerics.likelihoods.families import Family
from skmixed._numerics.likelihoods.integral import Integral, laplace, quadrature
from skmixed._numerics.likelihoods.modes import Modes, find_modes
from skmixed._numerics.likelihoods.rows import CHUNK_ROWS, Chunk, LikelihoodRows
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import multiply

# With more nodes chunks are shorter.
NODES_IN_CHUNK = 9


@dataclass(frozen=True)
class Evaluation:
    """The criterion at some parameters.

    Attributes
    ----------
    value : float
        Without the constant of the data.
    by_beta : ndarray of shape (p,)
    by_factor : ndarray of shape (q, q)
        As if all entries were free.
    u : ndarray of shape (q, n_groups)
        Modes in units of Lambda.
    """

    value: float
    by_beta: Array
    by_factor: Array
    u: Array


class _Part(NamedTuple):
    """What the groups of a chunk contribute."""

    value: float
    by_eta: Array
    by_factor: Array
    u: Array


@dataclass(frozen=True)
class Criterion:
    """-2 log L of some rows.

    Attributes
    ----------
    rows : LikelihoodRows
    family : Family
    n_nodes : int
        Nodes of the quadrature; 1 is Laplace's approximation.
    """

    rows: LikelihoodRows
    family: Family
    n_nodes: int = 1

    def evaluate(self, beta: Array, Lambda: Array, u: Array | None = None) -> Evaluation:
        """Find modes from u on, then the criterion and its gradient.

        Parameters
        ----------
        beta : ndarray of shape (p,)
        Lambda : ndarray of shape (q, q)
        u : ndarray of shape (q, n_groups), optional
            Where modes may be; 0 by default.
        """
        rows = self.rows
        u = np.zeros((rows.q, rows.n_groups)) if u is None else u.copy()
        value, by_beta, by_factor = 0.0, np.zeros(rows.p), np.zeros((rows.q,) * 2)
        for chunk in rows.chunks(
            self.family, NODES_IN_CHUNK * CHUNK_ROWS // max(self.n_nodes, NODES_IN_CHUNK)
        ):
            fixed = rows.predict(chunk.X, beta)
            part = self._of_chunk(chunk, fixed, Lambda, u[:, chunk.groups])
            value += part.value
            by_beta += rows.transpose(chunk.X, part.by_eta)
            by_factor += part.by_factor
            u[:, chunk.groups] = part.u
        return Evaluation(value, by_beta, by_factor, u)

    def _of_chunk(self, chunk: Chunk, fixed: Array, Lambda: Array, u: Array) -> _Part:
        """Evaluate the groups of a chunk, whose fixed effects have linear predictors."""
        collapsed = collapse(self.family, chunk, fixed)
        if collapsed is not None:
            chunk, fixed = collapsed.chunk, np.zeros(len(collapsed.chunk.y))
        modes = find_modes(self.family, chunk, fixed, Lambda, u)
        integral = self._integrate(chunk, modes, Lambda)
        third = self.family.third(modes.slopes, chunk.y, chunk.w)
        by_eta, by_factor = _gradient(chunk, modes, third, integral, Lambda)
        value = float(integral.value.sum())
        if collapsed is not None:
            value, by_eta = value + collapsed.value, collapsed.spread(by_eta)
        return _Part(value, by_eta, by_factor, modes.u)

    def _integrate(self, chunk: Chunk, modes: Modes, Lambda: Array) -> Integral:
        if self.n_nodes == 1:
            return laplace(self.family, chunk, modes)
        return quadrature(self.family, chunk, modes, Lambda, self.n_nodes)

    @property
    def constant(self) -> float:
        """What is to be added for the saturated terms of the data."""
        return -2 * self.family.constant(self.rows.y, self.rows.w)


def _gradient(
    chunk: Chunk, modes: Modes, third: Array, integral: Integral, Lambda: Array
) -> tuple[Array, Array]:
    """Differentiate by eta of each row, and by Lambda."""
    A, slopes, Z = modes.A, modes.slopes, Design.of(chunk, np.eye(len(chunk.Z)))
    B = integral.by_hessian
    t = A.quadratic(B)
    t *= third
    h = modes.solve(integral.by_u + A.sum(t))
    moved = A.along(h)
    moved *= slopes.weight
    np.subtract(t, moved, out=moved)
    r = moved - 2 * integral.residual
    by_factor = integral.by_factor + Z.sum(moved) @ modes.u.T + Z.sum(slopes.residual) @ h.T
    by_factor += 2 * np.einsum("abk,bck->ac", Z.gram(slopes.weight), multiply(Lambda, B))
    return r, by_factor
