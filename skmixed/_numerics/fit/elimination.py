"""Elimination of the random effects of several factors, one factor after another.

A factor whose levels lie each within one level of all others that are left is eliminated on
its own: what is left is a problem of the same form, with the same cells. Where there is none,
the largest factor is eliminated, and all that is left is dense (`elimination_dense`).

Axes stand in the order a b (random columns), m n (other columns), k (levels), as with one
factor. For a level j of the factor e that is eliminated, with the levels that it lies in as 2,

    H_j = Lam_e (I + Lam_e' G_j Lam_e)^-1 Lam_e',   K_j = I - G_j H_j,
    G_2 -= N_j' H_j N_j,   C_2 -= N_j' H_j C_j.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import (
    cholesky,
    gram,
    gram_by_matrix,
    multiply,
    solve_lower,
)

Positions = NDArray[np.intp]
Pair = tuple[int, int]
Rows: TypeAlias = "sparse.csr_array[Any]"


@dataclass
class Remainder:
    """What is left of G and of the cells of a problem, changed by each step.

    Attributes
    ----------
    G : list of ndarray of shape (q_f, q_f, J_f)
    cells : dict of tuple of int to ndarray of shape (q_f, q_g, n_cells)
        With f < g.
    """

    G: list[Array]
    cells: dict[Pair, Array]

    @classmethod
    def of(cls, problem: FactorsProblem) -> Remainder:
        values = {pair: cells.values for pair, cells in problem.cells.items()}
        return cls(list(problem.G), values)

    def between(self, f: int, g: int) -> Array:
        """Return the cells of two factors in any order, as they are sorted for f < g."""
        return self.cells[f, g] if f < g else self.cells[g, f].swapaxes(0, 1)

    def subtract(self, f: int, g: int, change: Array) -> None:
        """Subtract from cells, not in place."""
        pair = (f, g) if f < g else (g, f)
        self.cells[pair] = self.cells[pair] - (change if f < g else change.swapaxes(0, 1))


@dataclass
class Covariances:
    """H = Lam (I + Lam' G Lam)^-1 Lam' of a level with itself, and with those it meets."""

    own: list[Array]
    cells: dict[Pair, Array]

    between = Remainder.between


@dataclass(frozen=True)
class Level:
    """H_j and what comes with it, for all levels of one factor.

    Attributes
    ----------
    log_det : float
        sum_j log|I + Lam' G_j Lam|.
    F, H, K, KG : ndarray of shape (q, q, J)
        F'F = H, K = I - G H, and K G.
    """

    log_det: float
    F: Array
    H: Array
    K: Array
    KG: Array

    @classmethod
    def of(cls, G: Array, Lambda: Array) -> Level:
        if len(G) == 1:
            Psi = Lambda[0, 0] ** 2
            K = 1 / (1 + Psi * G)
            return cls(-float(np.log(K).sum()), Lambda[0, 0] * np.sqrt(K), Psi * K, K, K * G)
        A = multiply(Lambda.T, multiply(Lambda.T, G).swapaxes(0, 1))
        A[np.diag_indices(len(A))] += 1
        R = cholesky(A, least=1.0)
        F = solve_lower(R, np.repeat(Lambda.T[..., None], G.shape[-1], axis=-1))
        H = gram_by_matrix(F)
        # K = (I + G Psi)^-1 = I - G H, where nothing small is left unless G Psi is large
        K = np.eye(len(G))[..., None] - times(G, H)
        log_det = 2 * float(np.log(np.einsum("aak->ak", R)).sum())
        KG = times(K, G)
        return cls(log_det, F, H, K, (KG + KG.swapaxes(0, 1)) / 2)


class Eliminated(ABC):
    """A factor, or several, eliminated at given Lambda.

    Attributes
    ----------
    log_det : float
        Its share in log|V|.
    own : Level
        Of the factor that is eliminated level by level.
    """

    log_det: float
    own: Level

    @abstractmethod
    def forward(self, C: list[Array]) -> Array:
        """Reduce the columns C of what is left; return C' H C of what is eliminated.

        C has shapes (q_f, m, J_f); lists are changed, arrays are not.
        """

    @abstractmethod
    def backward(self, C: list[Array], B: list[Array]) -> None:
        """Find B = H C, given the reduced C, and B of the factors eliminated later."""

    @abstractmethod
    def scores(self, C: list[Array], B: list[Array], U: list[Array]) -> None:
        """Find U = Z'V^-1 D, given the reduced C, and B."""

    @abstractmethod
    def traces(self, H: Covariances, S: list[Array]) -> None:
        """Find sum_j of the diagonal blocks of Z'V^-1 Z, and H on the cells.

        It is called last step first: each finds what later ones have left in H.
        """

    @abstractmethod
    def covariances(self, H: Covariances) -> None:
        """Find H of each level; called last step first."""

    @abstractmethod
    def variances(self, rows: list[Rows]) -> Array:
        """Reduce rows over the levels of what is left; return z'Hz of what is eliminated.

        For each factor there is a sparse row over (a, level).
        """


class Step(ABC):
    """Which factors are eliminated, and where their levels meet others: no numbers."""

    @abstractmethod
    def at(self, left: Remainder, Lambdas: Sequence[Array], *, invert: bool) -> Eliminated:
        """Eliminate; `left` becomes what is left."""


@dataclass(frozen=True)
class NestedStep(Step):
    """A factor whose levels lie each within one level of the factors that are left.

    Attributes
    ----------
    factor : int
        The factor.
    outer : tuple of int
        The factors that are left.
    level : dict of int to ndarray of shape (J,)
        Which of their levels each level lies in.
    cell : dict of int to ndarray of shape (J,)
        The cell of the two.
    meeting : dict of tuple of int to ndarray of shape (J,)
        The cell of two such levels.
    n_levels : tuple of int
        Of all factors.
    """

    factor: int
    outer: tuple[int, ...]
    level: dict[int, Positions]
    cell: dict[int, Positions]
    meeting: dict[Pair, Positions]
    n_levels: tuple[int, ...]

    @classmethod
    def of(cls, problem: FactorsProblem, e: int, outer: Sequence[int]) -> NestedStep:
        level, cell, meeting = {}, {}, {}
        for f in outer:
            pair = (e, f) if e < f else (f, e)
            cells = problem.cells[pair]
            own, other = (cells.first, cells.second) if e < f else (cells.second, cells.first)
            cell[f] = np.argsort(own, kind="stable")
            level[f] = other[cell[f]]
        for i, f in enumerate(outer):
            for g in outer[i + 1 :]:
                meeting[f, g] = problem.cells[f, g].find(level[f], level[g])
        return cls(e, tuple(outer), level, cell, meeting, problem.n_levels)

    def at(self, left: Remainder, Lambdas: Sequence[Array], *, invert: bool) -> Eliminated:
        e = self.factor
        own = Level.of(left.G[e], Lambdas[e])
        # N_j' stacked over the factors it lies in
        parts = [left.between(e, f)[..., self.cell[f]] for f in self.outer]
        slices, start = {}, 0
        for f, part in zip(self.outer, parts, strict=True):
            slices[f] = slice(start, start + part.shape[1])
            start += part.shape[1]
        N = np.concatenate(parts, axis=1) if parts else np.zeros((len(own.F), 0, 0))
        if parts:
            FN = times(own.F, N)
            for i, f in enumerate(self.outer):
                NHN = times_transposed(FN[:, slices[f]], FN[:, slices[f]])
                left.G[f] = left.G[f] - sum_by(self.level[f], NHN, self.n_levels[f])
                for g in self.outer[i + 1 :]:
                    NHN = times_transposed(FN[:, slices[f]], FN[:, slices[g]])
                    n_cells = left.cells[f, g].shape[-1]
                    left.subtract(f, g, sum_by(self.meeting[f, g], NHN, n_cells))
        return NestedLevels(self, own.log_det, own, N, slices)


@dataclass(frozen=True)
class NestedLevels(Eliminated):
    """Such a factor at given Lambda."""

    step: NestedStep
    log_det: float
    own: Level
    N: Array
    slices: dict[int, slice]

    def forward(self, C: list[Array]) -> Array:
        FC = times(self.own.F, C[self.step.factor])
        if self.step.outer:
            HC = times_transposed(self.own.F, FC)
            for f in self.step.outer:
                change = times_transposed(self.N[:, self.slices[f]], HC)
                C[f] = C[f] - sum_by(self.step.level[f], change, self.step.n_levels[f])
        return gram(FC)

    def backward(self, C: list[Array], B: list[Array]) -> None:
        B[self.step.factor] = times(self.own.H, self._left(C, B))

    def scores(self, C: list[Array], B: list[Array], U: list[Array]) -> None:
        U[self.step.factor] = times(self.own.K, self._left(C, B))

    def traces(self, H: Covariances, S: list[Array]) -> None:
        e, total = self.step.factor, self.own.KG.sum(axis=-1)
        if self.step.outer:
            outer = self._outer(H)
            KN = times(self.own.K, self.N)
            total = total - np.einsum("ack,bck->ab", times(KN, outer), KN)
            self._store(H, outer)
        else:
            H.own[e] = self.own.H
        S[e] = total

    def covariances(self, H: Covariances) -> None:
        if self.step.outer:
            self._store(H, self._outer(H))
        else:
            H.own[self.step.factor] = self.own.H

    def variances(self, rows: list[Rows]) -> Array:
        e = self.step.factor
        J = self.step.n_levels[e]
        here = rows[e]
        each = np.arange(J)
        within = here @ block_matrix(self.own.F.swapaxes(0, 1), each, each, (J, J))
        if self.step.outer:
            HN = times(self.own.H, self.N)
            for f in self.step.outer:
                shape = (J, self.step.n_levels[f])
                change = here @ block_matrix(
                    HN[:, self.slices[f]], each, self.step.level[f], shape
                )
                rows[f] = sparse.csr_array(rows[f] - change)
        return np.asarray(within.multiply(within).sum(axis=1)).ravel()

    def _left(self, C: list[Array], B: list[Array]) -> Array:
        """C_j - N_j B_2."""
        left = C[self.step.factor]
        for f in self.step.outer:
            left = left - times(self.N[:, self.slices[f]], B[f][..., self.step.level[f]])
        return left

    def _outer(self, H: Covariances) -> Array:
        """H of the levels that each level lies in, shape (Q, Q, J)."""
        Q, J = self.N.shape[1:]
        outer = np.empty((Q, Q, J))
        for i, f in enumerate(self.step.outer):
            outer[self.slices[f], self.slices[f]] = H.own[f][..., self.step.level[f]]
            for g in self.step.outer[i + 1 :]:
                cells = H.cells[f, g][..., self.step.meeting[f, g]]
                outer[self.slices[f], self.slices[g]] = cells
                outer[self.slices[g], self.slices[f]] = cells.swapaxes(0, 1)
        return outer

    def _store(self, H: Covariances, outer: Array) -> None:
        """H_jj = H_j + H_j N_j H_2 N_j' H_j, and H_j2 = -H_j N_j H_2."""
        e = self.step.factor
        HN = times(self.own.H, self.N)
        with_outer = times(HN, outer)
        H.own[e] = self.own.H + times(with_outer, HN.swapaxes(0, 1))
        for f in self.step.outer:
            part = -with_outer[:, self.slices[f]]
            cells = np.empty_like(part)
            cells[..., self.step.cell[f]] = part
            if e < f:
                H.cells[e, f] = cells
            else:
                H.cells[f, e] = cells.swapaxes(0, 1)


@dataclass(frozen=True)
class Elimination:
    """All steps at given Lambda.

    Attributes
    ----------
    problem : FactorsProblem
        The moments.
    parts : list of Eliminated
        In the order of elimination.
    """

    problem: FactorsProblem
    parts: list[Eliminated] = field(repr=False)

    @classmethod
    def at(
        cls,
        problem: FactorsProblem,
        steps: Sequence[Step],
        Lambdas: Sequence[Array],
        *,
        invert: bool,
    ) -> Elimination:
        """Eliminate all factors; `invert` prepares for derivatives and variances."""
        left = Remainder.of(problem)
        return cls(problem, [step.at(left, Lambdas, invert=invert) for step in steps])

    @property
    def log_det(self) -> float:
        """log|V|."""
        return sum(part.log_det for part in self.parts)

    def reduce(self, C: Sequence[Array]) -> tuple[Array, list[Array]]:
        """Return sum_f C_f' H C_f of columns (q_f, m, J_f), and the reduced columns."""
        left = list(C)
        m = C[0].shape[1]
        square = np.zeros((m, m))
        for part in self.parts:
            square += part.forward(left)
        return square, left

    def square(self, C: Sequence[Array]) -> Array:
        """Return sum_f C_f' H C_f alone."""
        return self.reduce(C)[0]

    def solve(self, reduced: list[Array]) -> list[Array]:
        """Return B = H C, shapes (q_f, m, J_f), of reduced columns."""
        B = list(reduced)
        for part in reversed(self.parts):
            part.backward(reduced, B)
        return B

    def scores(self, reduced: list[Array], B: list[Array]) -> list[Array]:
        """Return U = Z'V^-1 D, shapes (q_f, m, J_f), of reduced columns."""
        U = list(reduced)
        for part in self.parts:
            part.scores(reduced, B, U)
        return U

    def traces(self) -> list[Array]:
        """Return the sums over levels of the diagonal blocks of Z'V^-1 Z."""
        H, S = self._none(), [np.zeros((q, q)) for q in self.problem.q]
        for part in reversed(self.parts):
            part.traces(H, S)
        return S

    def covariances(self) -> list[Array]:
        """Return H of each level, shapes (q_f, q_f, J_f)."""
        H = self._none()
        for part in reversed(self.parts):
            part.covariances(H)
        return H.own

    def variances(self, rows: Sequence[Rows]) -> Array:
        """Return z'Hz of sparse rows z over (a, level) of each factor."""
        left = list(rows)
        total = np.zeros(rows[0].shape[0])
        for part in self.parts:
            total += part.variances(left)
        return total

    def _none(self) -> Covariances:
        return Covariances([np.zeros(0)] * len(self.problem.q), {})


def nested_order(problem: FactorsProblem) -> tuple[list[int], list[int]]:
    """Return the factors that are nested in all that are left, in turn, and the others."""
    nested: list[int] = []
    left = list(range(len(problem.q)))
    while left:
        for e in left:
            others = [f for f in left if f != e]
            n_cells = [len(problem.cells[min(e, f), max(e, f)].first) for f in others]
            if all(n == problem.n_levels[e] for n in n_cells):
                break
        else:
            return nested, left
        nested.append(e)
        left.remove(e)
    return nested, left


# ------------------------------------------------------------------ many small matrices


def times(A: Array, B: Array) -> Array:
    """Return A_k B_k for (a, b, k) and (b, c, k)."""
    product = A[:, :1] * B[:1]
    for b in range(1, len(B)):
        product += A[:, b : b + 1] * B[b : b + 1]
    return np.asarray(product)


def times_transposed(A: Array, B: Array) -> Array:
    """Return A_k' B_k for (b, a, k) and (b, c, k)."""
    return times(A.swapaxes(0, 1), B)


def sum_by(position: Positions, values: Array, n: int) -> Array:
    """Add up the last axis by position, which has n values."""
    rows = values.reshape(-1, values.shape[-1])
    sums = [np.bincount(position, weights=row, minlength=n) for row in rows]
    return np.array(sums, dtype=np.float64).reshape(*values.shape[:-1], n)


def block_matrix(
    blocks: Array, rows: Positions, columns: Positions, shape: tuple[int, int]
) -> sparse.csr_array:
    """Return a sparse matrix over (a, row) and (b, column) of blocks (q, r, k)."""
    q, r, _ = blocks.shape
    i = np.arange(q)[:, None, None] * shape[0] + rows
    j = np.arange(r)[None, :, None] * shape[1] + columns
    i, j = np.broadcast_arrays(i, j)
    entries = (np.ravel(blocks), (i.ravel(), j.ravel()))
    return sparse.csr_array(entries, shape=(q * shape[0], r * shape[1]))
