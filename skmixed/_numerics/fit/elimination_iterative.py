"""Elimination of factors that cross, without dense blocks: conjugate gradients, and probes.

What needs H for few columns is solved for. What needs all of it - log|V|, and the sums over
levels of the diagonal blocks of Z'V^-1 Z - is a mean over random vectors z of signs, of which
what is known exactly is no part. With A = I + O, whose diagonal blocks are I, and G~ = G_0 + Q
for the blocks G_0 of G~ (`crossed`):

    log|A| = E [z'log(A) z - z'O z]
    T G~   = T_0 G_0 + T_0 Q T_0' - T_0 Q H_2 Q T_0',   T = (I + G~ Psi)^-1.

The middle term has no diagonal blocks; H_2 = P A^-1 P' = E [P A^-1 z z'P']. Of the factor that
is eliminated, K G - B A^-1 B' with B = K N P, and the diagonal blocks of B'B are known:

    B A^-1 B' = B B' - B O B' + ... = E [B A^-1 z z'B' - B z z'B' + (B O z z'B')_0] + (B B'),

where ()_0 is a sum over levels of the others, each by itself, whose mean is 0.

All of these are traces of z'M z, and most of their variance is where A is far from I: in
directions q in which all levels of a factor go the same way. These are taken out of the
probes, tr M = sum q'M q + E z~'M z~ with z~ = z - sum q q'z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.crossed import Crossed, CrossedAt, by_level
from skmixed._numerics.fit.elimination import Eliminated, Rows, sum_by, times
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.conjugate_gradients import Solved, conjugate_gradients
from skmixed._numerics.linalg.small_matrices import gram

# Lengths of residuals at the end, as shares of those of right-hand sides: where a solution is
# wanted, and where a mean or a square, whose errors are of second order.
TOL, LAX_TOL = 1e-7, 1e-4
# Smaller ones are rounding.
LEAST_TOL = 1e-13
# Steps after which conjugate gradients give up.
MAX_STEPS = 2000
# Rows whose variances are solved for at a time.
BATCH_ROWS = 32


class NotSolvedError(ValueError):
    """Conjugate gradients did not converge.

    Attributes
    ----------
    n_steps : int
        The steps that they were allowed.
    """

    def __init__(self, n_steps: int) -> None:
        super().__init__(
            f"conjugate gradients did not converge in {n_steps} steps: the factors hang "
            "together too weakly. Join small levels, or leave a factor out."
        )
        self.n_steps = n_steps


class NeedsExactError(ValueError):
    """What is asked for needs the exact solver.

    Attributes
    ----------
    what : str
        What is asked for.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} need the exact solver.")
        self.what = what


@dataclass(frozen=True)
class IterativeElimination:
    """The random effects of factors that cross, eliminated at given Lambda.

    It has the methods of `Elimination`.

    Attributes
    ----------
    at : CrossedAt
        The largest factor eliminated, and an operator for what is left.
    signs : ndarray of shape (size, n_probes)
        The probes z, in the coordinates of A: 1 and -1.
    """

    at: CrossedAt
    signs: NDArray[np.int8] = field(repr=False)

    @property
    def crossed(self) -> Crossed:
        """The factors."""
        return self.at.crossed

    # ------------------------------------------------------------------- what probes tell

    @cached_property
    def vectors(self) -> Array:
        """The directions q, and the probes without these, in columns."""
        q = self.at.common_directions()
        return np.hstack([q, self.signs - q @ (q.T @ self.signs)])

    @cached_property
    def probes(self) -> Solved:
        """A^-1 of these vectors."""
        return self._solved(self.vectors, LAX_TOL)

    @cached_property
    def log_dets(self) -> Array:
        """log|V| as each probe has it."""
        probes = self.probes
        # the first entry of a Lanczos matrix is z'A z / z'z
        shares = probes.logarithms() - (probes.diagonal[0] - 1)
        squares = np.einsum("km,km->m", self.vectors, self.vectors)
        return np.asarray(self.at.log_det_of_blocks + self._by_probe(squares * shares))

    @property
    def log_det(self) -> float:
        """log|V|, the mean over the probes."""
        return float(self.log_dets.mean())

    @cached_property
    def traces_by_probe(self) -> list[Array]:
        """Sums over levels of the diagonal blocks of Z'V^-1 Z, shapes (n_probes, q, q)."""
        at, crossed, e = self.at, self.crossed, self.crossed.largest
        Pz = at.to_effects(crossed.split(self.vectors))
        Px = at.to_effects(crossed.split(self.probes.x))
        (GPz, NPz), (GPx, NPx) = at.times_G(Pz), at.times_G(Px)
        traces = [np.zeros(0)] * len(crossed.problem.q)
        Bz, Bx = by_level(at.own.K, NPz), by_level(at.own.K, NPx)
        traces[e] = at.own.KG.sum(axis=-1) - self._by_probe(_sums(Bx - Bz, Bz))
        for f, block in at.blocks.items():
            Qz, Qx = (GP[f] - by_level(at.G_0[f], Pv[f]) for GP, Pv in ((GPz, Pz), (GPx, Px)))
            second = _sums(by_level(block.K, Qx), by_level(block.K, Qz))
            traces[f] = block.KG.sum(axis=-1) - self._by_probe(second)
            known, zero_mean = self._of_eliminated(f, Pz[f], by_level(block.H, Qz))
            traces[e] -= known + self._by_probe(zero_mean)
        return traces

    def _by_probe(self, values: Array) -> Array:
        """Return z'M z as each probe has it, of values for each vector."""
        n = len(values) - self.signs.shape[1]
        return np.asarray(values[n:] + values[:n].sum(axis=0))

    def _of_eliminated(self, f: int, Pz: Array, POz: Array) -> tuple[Array, Array]:
        """Sum the blocks of B B', and of B O z z'B', over the levels of one factor."""
        crossed, e = self.crossed, self.crossed.largest
        of_e, of_f = crossed.levels(e, f)
        KN = times(self.at.own.K[..., of_e], crossed.values(e, f))
        pairs = sum_by(of_f, KN[:, None, :, None] * KN[:, None, :], crossed.problem.n_levels[f])
        known = np.einsum("abcdk,cdk->ab", pairs, self.at.blocks[f].H)
        zero_mean = np.einsum("abcdk,ckm,dkm->mab", pairs, Pz, POz)
        return known, (zero_mean + zero_mean.swapaxes(1, 2)) / 2

    def traces(self) -> list[Array]:
        """Return the sums over levels of the diagonal blocks of Z'V^-1 Z."""
        return [trace.mean(axis=0) for trace in self.traces_by_probe]

    # ------------------------------------------------------------------- what is solved for

    def reduce(self, C: Sequence[Array]) -> tuple[Array, list[Array]]:
        """Return sum_f C_f' H C_f of columns (q_f, m, J_f), and the reduced columns.

        With these stand H of them, side by side, but for the factor that is eliminated.
        """
        square, left, B = self._reduced(C, TOL)
        reduced = list(C)
        for f in self.crossed.left:
            reduced[f] = np.concatenate([left[f], B[f]], axis=2).swapaxes(1, 2)
        return square, reduced

    def square(self, C: Sequence[Array]) -> Array:
        """Return sum_f C_f' H C_f alone."""
        return self._reduced(C, LAX_TOL)[0]

    def solve(self, reduced: list[Array]) -> list[Array]:
        """Return B = H C, shapes (q_f, m, J_f), of reduced columns."""
        e, m = self.crossed.largest, self._n_columns(reduced)
        B = [part[:, m:] for part in reduced]
        B[e] = times(self.at.own.H, self._left_of_eliminated(reduced))
        return B

    def scores(self, reduced: list[Array], B: list[Array]) -> list[Array]:
        """Return U = Z'V^-1 D, shapes (q_f, m, J_f), of reduced columns."""
        m = self._n_columns(reduced)
        GB, _ = self.at.times_G({f: _turned(B[f]) for f in self.crossed.left})
        U = [part[:, :m] for part in reduced]
        for f in self.crossed.left:
            U[f] = U[f] - GB[f].swapaxes(1, 2)
        U[self.crossed.largest] = times(self.at.own.K, self._left_of_eliminated(reduced))
        return U

    def variances(self, rows: Sequence[Rows]) -> Array:
        """Return z'Hz of sparse rows z over (a, level) of each factor, by solves."""
        n, problem = rows[0].shape[0], self.crossed.problem
        total = np.empty(n)
        for start in range(0, n, BATCH_ROWS):
            some = slice(start, start + BATCH_ROWS)
            C = [
                part[some].toarray().reshape(-1, q, J).swapaxes(0, 1)
                for part, q, J in zip(rows, problem.q, problem.n_levels, strict=True)
            ]
            total[some] = np.diag(self.square(C))
        return total

    def covariances(self) -> list[Array]:
        """Refuse: H of each level takes a solve for each."""
        raise NeedsExactError("Covariances of the random effects of all levels")

    @property
    def parts(self) -> list[Eliminated]:
        """Refuse: there are no dense blocks."""
        raise NeedsExactError("Second derivatives of the criterion")

    def _reduced(
        self, C: Sequence[Array], tol: float
    ) -> tuple[Array, dict[int, Array], dict[int, Array]]:
        """Return C'H C, and C~ and H_2 C~ of what is left, shapes (q_f, J_f, m)."""
        at, crossed, e = self.at, self.crossed, self.crossed.largest
        NHC = at.reduce(_turned(C[e]))
        left = {f: C[f].swapaxes(1, 2) - NHC[f] for f in crossed.left}
        b = crossed.join(at.from_effects(left))
        solved = self._solved(b, tol)
        # b'A^-1 b, but for the square of what is missing in x
        square = solved.x.T @ (b + solved.residual)
        square = (square + square.T) / 2 + gram(times(at.own.F, C[e]))
        return square, left, at.to_effects(crossed.split(solved.x))

    def _left_of_eliminated(self, reduced: list[Array]) -> Array:
        """C_j - N_j B_2."""
        m = self._n_columns(reduced)
        NB = self.at.times_N({f: _turned(reduced[f][:, m:]) for f in self.crossed.left})
        return reduced[self.crossed.largest] - NB.swapaxes(1, 2)

    def _n_columns(self, reduced: list[Array]) -> int:
        return int(reduced[self.crossed.largest].shape[1])

    def _solved(self, b: Array, tol: float) -> Solved:
        """Return A^-1 b; more exactly where effects are large, since they leave less of C."""
        tol = max(tol / self.at.mean_scale, LEAST_TOL)
        solved = conjugate_gradients(self.at.times_A, b, tol=tol, max_steps=MAX_STEPS)
        if not solved.converged:
            raise NotSolvedError(solved.n_steps)
        return solved


def _sums(y: Array, v: Array) -> Array:
    """Symmetric part of sum_k y_ak v_bk, shape (m, a, b), for (a, k, m) and (b, k, m)."""
    sums: Array = np.einsum("akm,bkm->mab", y, v)
    return (sums + sums.swapaxes(1, 2)) / 2


def _turned(C: Any) -> Array:
    """Have columns side by side: (q, m, J) becomes (q, J, m)."""
    return np.ascontiguousarray(C.swapaxes(1, 2))
