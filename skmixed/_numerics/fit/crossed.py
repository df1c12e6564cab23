"""Factors that cross, the largest eliminated level by level: what is left, as an operator.

Axes stand in the order a b (random columns), k (levels), m (right-hand sides): columns lie
side by side, so that a product with sparse cells reads each cell once for all of them. The
columns (f, a, l) of the factors that are left stand in a row, as in `dense_layout`.

With P = Lam R^-T, for the blocks R R' of S = I + Lam' G~ Lam of each level, the matrix

    A = R^-1 S R^-T = I + P' (G~ - its blocks) P

has blocks I, and is S with its block-Jacobi preconditioner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import combinations
from operator import matmul
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmixed._numerics.fit.dense_layout import meeting_levels
from skmixed._numerics.fit.elimination import Level, sum_by, times, times_transposed
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.cells import Positions

Pair = tuple[int, int]


@dataclass(frozen=True)
class Meeting:
    """Where levels of two factors meet, as the pattern of sparse matrices.

    Attributes
    ----------
    first, second : ndarray of shape (n_cells,)
        The levels, sorted by the first.
    shape : tuple of int
        Numbers of levels.
    """

    first: Positions
    second: Positions
    shape: tuple[int, int]

    @cached_property
    def _indices(self) -> tuple[NDArray[Any], NDArray[Any]]:
        fits = max(len(self.first), *self.shape) < np.iinfo(np.int32).max
        kind = np.int32 if fits else np.int64
        counts = np.bincount(self.first, minlength=self.shape[0])
        return self.second.astype(kind), np.append(0, np.cumsum(counts)).astype(kind)

    def times(self, values: Array, x: Array) -> Array:
        """Return N x, summed over the second levels, for (q, r, n_cells) and (r, J, m)."""
        return _stacked([[self._matrix(v) for v in row] for row in values], x)

    def times_transposed(self, values: Array, x: Array) -> Array:
        """Return N'x, summed over the first levels, for (q, r, n_cells) and (q, J, m)."""
        return _stacked(
            [[self._matrix(v).T for v in column] for column in values.swapaxes(0, 1)], x
        )

    def _matrix(self, values: Array) -> sparse.csr_array[Any]:
        indices, indptr = self._indices
        return sparse.csr_array((values, indices, indptr), shape=self.shape)


def _stacked(matrices: list[list[Any]], x: Array) -> Array:
    """Return the product of a matrix of sparse matrices with x (r, J, m)."""
    rows = [reduce(np.add, map(matmul, row, x)) for row in matrices]
    return np.asarray(rows[0][None] if len(rows) == 1 else np.stack(rows))


@dataclass(frozen=True)
class Crossed:
    """Which factor is eliminated, and where its levels meet others: no numbers but the moments.

    Attributes
    ----------
    problem : FactorsProblem
        The moments.
    """

    problem: FactorsProblem

    @cached_property
    def largest(self) -> int:
        """The factor that is eliminated: the one with most columns."""
        problem = self.problem
        sizes = [q * J for q, J in zip(problem.q, problem.n_levels, strict=True)]
        return int(np.argmax(sizes))

    @cached_property
    def left(self) -> list[int]:
        """The other factors."""
        return [f for f in range(len(self.problem.q)) if f != self.largest]

    @cached_property
    def meetings(self) -> dict[Pair, Meeting]:
        """Of each pair of factors f < g."""
        J = self.problem.n_levels
        return {
            (f, g): Meeting(cells.first, cells.second, (J[f], J[g]))
            for (f, g), cells in self.problem.cells.items()
        }

    @cached_property
    def slices(self) -> dict[int, slice]:
        """The columns of each factor that is left."""
        slices, start = {}, 0
        for f in self.left:
            stop = start + self.problem.q[f] * self.problem.n_levels[f]
            slices[f], start = slice(start, stop), stop
        return slices

    @property
    def size(self) -> int:
        """Number of columns that are left."""
        return int(self.slices[self.left[-1]].stop)

    def split(self, x: Array) -> dict[int, Array]:
        """Return views (q_f, J_f, m) of an array (size, m)."""
        J = self.problem.n_levels
        return {
            f: x[rows].reshape(self.problem.q[f], J[f], x.shape[1])
            for f, rows in self.slices.items()
        }

    def join(self, parts: dict[int, Array]) -> Array:
        """Put such arrays together again."""
        return np.concatenate([np.concatenate(parts[f]) for f in self.left])

    def levels(self, f: int, g: int) -> tuple[Positions, Positions]:
        """Return the levels of f and of g in each cell."""
        return meeting_levels(self.problem, f, g)

    def values(self, f: int, g: int) -> Array:
        """Return the cells, shape (q_f, q_g, n_cells), sorted as they are for f < g."""
        values = self.problem.cells[min(f, g), max(f, g)].values
        return values if f < g else values.swapaxes(0, 1)

    def times(self, f: int, g: int, values: Array, x: Array) -> Array:
        """Return N_fg x, for values of cells (q_f, q_g, n_cells) and x (q_g, J_g, m)."""
        if f < g:
            return self.meetings[f, g].times(values, x)
        return self.meetings[g, f].times_transposed(values.swapaxes(0, 1), x)


@dataclass(frozen=True)
class CrossedAt:
    """The largest factor eliminated at given Lambda.

    Attributes
    ----------
    crossed : Crossed
        The factors.
    own : Level
        Of the factor that is eliminated.
    blocks : dict of int to Level
        Of each factor that is left, with the blocks G_0 of G~ in place of G.
    G_0 : dict of int to ndarray of shape (q_f, q_f, J_f)
        These blocks.
    """

    crossed: Crossed
    own: Level
    blocks: dict[int, Level]
    G_0: dict[int, Array]
    _scaled: dict[Pair, Array] = field(repr=False)
    _diagonal: dict[int, Array] = field(repr=False)

    @classmethod
    def of(cls, crossed: Crossed, Lambdas: Sequence[Array]) -> CrossedAt:
        """Eliminate; each pair of levels is visited a few times."""
        problem, e = crossed.problem, crossed.largest
        own = Level.of(problem.G[e], Lambdas[e])
        blocks, G_0, scaled, diagonal = {}, {}, {}, {}
        for f in crossed.left:
            of_e, of_f = crossed.levels(e, f)
            FN = times(own.F[..., of_e], crossed.values(e, f))
            NHN = sum_by(of_f, times_transposed(FN, FN), problem.n_levels[f])
            G_0[f] = problem.G[f] - NHN
            blocks[f] = Level.of(G_0[f], Lambdas[f])
            P = blocks[f].F.swapaxes(0, 1)
            scaled[e, f] = times(FN, P[..., of_f])
            # A = I + P'(N'HN's blocks) P - (scaled N)'(scaled N)
            diagonal[f] = times_transposed(P, times(NHN, P))
            diagonal[f][np.diag_indices(len(P))] += 1
        for f, g in combinations(crossed.left, 2):
            of_f, of_g = crossed.levels(f, g)
            half = times(blocks[f].F[..., of_f], crossed.values(f, g))
            scaled[f, g] = times(half, blocks[g].F.swapaxes(0, 1)[..., of_g])
        return cls(crossed, own, blocks, G_0, scaled, diagonal)

    @property
    def log_det_of_blocks(self) -> float:
        """log|V|, less log|A|."""
        return self.own.log_det + sum(block.log_det for block in self.blocks.values())

    @property
    def mean_scale(self) -> float:
        """The geometric mean of 1 + (variance of an effect) / (that of its level's mean)."""
        n = sum(G.shape[0] * G.shape[-1] for G in self.crossed.problem.G)
        return float(np.exp(self.log_det_of_blocks / n))

    def times_A(self, x: Array) -> Array:
        """Return A x for x of shape (size, m)."""
        crossed, e = self.crossed, self.crossed.largest
        parts, product = crossed.split(x), np.empty_like(x)
        into = crossed.split(product)
        inner = reduce(
            np.add, (crossed.times(e, f, self._scaled[e, f], parts[f]) for f in crossed.left)
        )
        for f in crossed.left:
            by_level(self._diagonal[f], parts[f], out=into[f])
            into[f] -= crossed.times(f, e, self._scaled[e, f].swapaxes(0, 1), inner)
        self._add_between(self._scaled, parts, into)
        return product

    def times_G(self, v: dict[int, Array]) -> tuple[dict[int, Array], Array]:
        """Return G~ v for (q_f, J_f, m), and N v of the factor that is eliminated."""
        crossed, problem = self.crossed, self.crossed.problem
        Nv = self.times_N(v)
        NHNv = self.reduce(Nv)
        product = {f: by_level(problem.G[f], v[f]) - NHNv[f] for f in crossed.left}
        cells = {(f, g): crossed.values(f, g) for f, g in combinations(crossed.left, 2)}
        self._add_between(cells, v, product)
        return product, Nv

    def times_N(self, v: dict[int, Array]) -> Array:
        """Return N v of the factor that is eliminated."""
        crossed, e = self.crossed, self.crossed.largest
        return reduce(
            np.add,
            (crossed.times(e, f, crossed.values(e, f), v[f]) for f in crossed.left),
        )

    def reduce(self, C: Array) -> dict[int, Array]:
        """Return N'H C of the factor that is eliminated, for C (q_e, J_e, m)."""
        crossed, e = self.crossed, self.crossed.largest
        HC = by_level(self.own.H, C)
        return {f: crossed.times(f, e, crossed.values(f, e), HC) for f in crossed.left}

    def to_effects(self, x: dict[int, Array]) -> dict[int, Array]:
        """Return P x: from the coordinates of A to those of the random effects."""
        return {f: by_level(block.F.swapaxes(0, 1), x[f]) for f, block in self.blocks.items()}

    def from_effects(self, v: dict[int, Array]) -> dict[int, Array]:
        """Return P'v."""
        return {f: by_level(block.F, v[f]) for f, block in self.blocks.items()}

    def common_directions(self) -> Array:
        """Return orthonormal directions in which all levels of a factor go the same way.

        Shape (size, r), in the coordinates of A: R'e for effects e of a random column, or what
        comes near it for small effects, too.
        """
        crossed, q = self.crossed, self.crossed.problem.q
        directions = np.zeros((crossed.size, sum(q[f] for f in crossed.left)))
        first = 0
        for f in crossed.left:
            FG = times(self.blocks[f].F, self.G_0[f])  # axes b a k, over (b, k) and a
            columns = slice(first, first + q[f])
            directions[crossed.slices[f], columns] = FG.swapaxes(1, 2).reshape(-1, q[f])
            first += q[f]
        return np.asarray(np.linalg.qr(directions)[0])

    def _add_between(
        self, cells: dict[Pair, Array], x: dict[int, Array], into: dict[int, Array]
    ) -> None:
        """Add the products with cells of the factors that are left among themselves."""
        for f, g in combinations(self.crossed.left, 2):
            values = cells[f, g]
            into[f] += self.crossed.times(f, g, values, x[g])
            into[g] += self.crossed.times(g, f, values.swapaxes(0, 1), x[f])


def by_level(A: Array, x: Array, out: Array | None = None) -> Array:
    """Return A_k x_k for A (a, b, k) and x (b, k, m)."""
    if len(A) == len(x) == 1:
        return np.asarray(np.multiply(A[0, 0, :, None], x, out=out))
    return np.asarray(np.einsum("abk,bkm->akm", A, x, out=out))
