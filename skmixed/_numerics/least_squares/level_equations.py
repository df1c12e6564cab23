"""Normal equations of the dummies of several factors.

The factor with most levels, e, is eliminated by its counts, the next one, g, by the equations
of the pair (`pair_equations`), and what is left of all others, r, is dense:

    S_ab = N_ab - N_ea' diag(1 / n_e) N_eb        for a and b among g and r
    R    = S_rr - S_gr' S_gg^- S_gr

Factors in whose levels those of another lie are not here: their dummies add nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack, solve_triangular

from skmixed._numerics.least_squares.pair_equations import PairEquations
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DUMMIES_TOLERANCE
from skmixed._numerics.moments.cells import FactorMoments

# Numbers that the dense blocks of further factors may hold: 400 MB.
MOST_VALUES = 50_000_000
# Numbers that sums of effects take at a time.
BATCH_VALUES = 2**21


class TooManyLevelsError(ValueError):
    """The factors but the two largest have more levels than dense matrices hold."""

    def __init__(self, n_levels: int, limit: int):
        super().__init__(f"{n_levels} levels, where {limit} may be")
        self.n_levels, self.limit = n_levels, limit


@dataclass(frozen=True)
class DensePart:
    """The equations R x = c of the smaller factors, whose matrix may be singular.

    Attributes
    ----------
    K, S_gr : ndarray of shape (n_levels_g, n_levels_r)
        S_gg^- S_gr, and S_gr.
    chosen : ndarray of shape (rank,)
        Levels whose dummies are independent of those before them, in the order of pivots.
    U : ndarray of shape (rank, rank)
        Upper triangular: U'U is R of these, both divided by `scale`.
    null : ndarray of shape (n_levels_r, n_levels_r - rank)
        Orthonormal null vectors of R.
    """

    K: Array
    S_gr: Array
    chosen: NDArray[np.intp]
    U: Array
    scale: Array
    null: Array

    @classmethod
    def of(cls, R: Array, sizes: Array, K: Array, S_gr: Array) -> DensePart:
        """Factorise R, given the sizes of its levels."""
        scale = np.sqrt(sizes)
        scaled = R / np.outer(scale, scale)
        U, pivots, rank, _ = lapack.dpstrf(scaled, tol=DUMMIES_TOLERANCE)
        if np.diag(scaled).max() <= DUMMIES_TOLERANCE:
            rank = 0  # the first pivot is never compared
        order = pivots - 1
        U, across = np.triu(U[:rank, :rank]), U[:rank, rank:]
        null = np.zeros((len(R), len(R) - rank))
        null[order[rank:], np.arange(len(R) - rank)] = 1.0
        null[order[:rank]] = -solve_triangular(U, across)
        null = np.linalg.qr(null / scale[:, None])[0]
        return cls(K, S_gr, order[:rank], U, scale, null)

    def solve(self, c: Array) -> Array:
        """Return a solution of R x = c, for c in the span of R."""
        x, scale = np.zeros_like(c), self.scale[self.chosen, None]
        half = solve_triangular(self.U, c[self.chosen] / scale, trans="T")
        x[self.chosen] = solve_triangular(self.U, half) / scale
        return x


@dataclass(frozen=True)
class LevelEquations:
    """Z'WZ b = c for the effects b of all levels, Z the dummies of several factors.

    Attributes
    ----------
    factors : tuple of int
        The factors e, g and those of r, in this order; e alone if there is only one.
    sizes : ndarray of shape (n_levels_e,)
        n_e.
    ends : ndarray of int
        Where the levels of each factor of g and r end, among those of all of them.
    N : sparse array of shape (n_levels_e, n_levels_g + n_levels_r)
        Rows (sum of weights) in which a level of e meets one of the others.
    pair : PairEquations
        Of e and g.
    rest : DensePart or None
        Of r, if there are more factors.
    """

    factors: tuple[int, ...]
    sizes: Array
    ends: NDArray[np.intp]
    N: sparse.csr_array
    pair: PairEquations
    rest: DensePart | None

    @classmethod
    def of(cls, moments: FactorMoments, factors: Sequence[int]) -> LevelEquations:
        """Choose some of the factors; they are put in order here."""
        n_levels = [len(moments.factors[f].labels) for f in factors]
        order = tuple(factors[i] for i in np.argsort(np.negative(n_levels), kind="stable"))
        sizes = [moments.factors[f].sizes for f in order]
        blocks = [_meets(moments, order[0], f) for f in order[1:]]
        empty = sparse.csr_array((len(sizes[0]), 0))
        pair = PairEquations.of(blocks[0] if blocks else empty, sizes[0])
        rest = _eliminate_pair(moments, order, sizes, blocks, pair) if order[2:] else None
        N = sparse.hstack(blocks, format="csr") if blocks else empty
        ends = np.cumsum([len(size) for size in sizes[1:]], dtype=np.intp)
        return cls(order, sizes[0], ends, N, pair, rest)

    @property
    def rank(self) -> int:
        """Rank of Z: how many coefficients the dummies of all factors have."""
        dense = 0 if self.rest is None else len(self.rest.chosen)
        return len(self.sizes) + self.pair.rank + dense

    def solve(self, C: Sequence[Array]) -> tuple[list[Array], Array]:
        """Return b and c'b of several right-hand sides in the span of Z'W.

        Parameters
        ----------
        C : sequence of ndarray of shape (n_levels_f, k)
            For each of `factors`.

        Returns
        -------
        b : list of ndarray of shape (n_levels_f, k)
        explained : ndarray of shape (k, k)
            c'b, to which errors of b add only their squares.
        """
        means = C[0] / self.sizes[:, None]
        others = np.concatenate([*C[1:], np.zeros((0, means.shape[1]))]) - self.N.T @ means
        x, explained = self._solve_others(others)
        first = means - (self.N @ x) / self.sizes[:, None]
        b = [first, *np.split(x, self.ends[:-1])][: len(self.factors)]
        return b, C[0].T @ means + explained

    def _solve_others(self, c: Array) -> tuple[Array, Array]:
        """Solve for the levels of g and r, once e is eliminated."""
        n_g = len(self.pair.diagonal)
        c_g, c_r = c[:n_g], c[n_g:]
        x_g = self.pair.solve(c_g)
        explained = self.pair.inner(c_g, x_g, c_g, x_g)
        if self.rest is None:
            return x_g, explained
        c_r = c_r - self.pair.inner(self.rest.S_gr, self.rest.K, c_g, x_g)
        x_r = self.rest.solve(c_r)
        return np.concatenate([x_g - self.rest.K @ x_r, x_r]), explained + c_r.T @ x_r

    def variances(self, codes: NDArray[np.intp]) -> Array:
        """Variances of sums of effects, over that of a row.

        Parameters
        ----------
        codes : ndarray of shape (n_factors, n_sums)
            The level of each of `factors`; sums that the rows determine.
        """
        n_others, n_sums = self.N.shape[1], codes.shape[1]
        variances: Array = 1 / self.sizes[codes[0]]
        starts = np.append(0, self.ends[:-1])[: len(codes) - 1]
        for some in _batches(n_sums, max(BATCH_VALUES // max(n_others, 1), 1)):
            c = -self.N[codes[0, some]].toarray().T / self.sizes[codes[0, some]]
            columns = np.arange(c.shape[1])
            for start, code in zip(starts, codes[1:, some], strict=True):
                c[start + code, columns] += 1.0
            x, _ = self._solve_others(c)
            variances[some] += np.sum(c * x, axis=0)
        return variances

    def null_vectors(self) -> list[Array]:
        """Return changes of effects that no row sees, besides shifts within parts of e and g.

        Returns
        -------
        list of ndarray of shape (n_levels_f, k)
            For each of `factors`; orthonormal among those of r.
        """
        if self.rest is None:
            return [np.zeros((0, 0)) for _ in self.factors]
        x = np.concatenate([-self.rest.K @ self.rest.null, self.rest.null])
        return [-(self.N @ x) / self.sizes[:, None], *np.split(x, self.ends[:-1])]


def _batches(n: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, n, size)]


def _meets(moments: FactorMoments, f: int, g: int) -> sparse.csr_array:
    """Rows in which levels of f meet those of g."""
    cells = moments.between(f, g)
    shape = len(moments.factors[f].labels), len(moments.factors[g].labels)
    starts = np.searchsorted(cells.first, np.arange(shape[0] + 1))
    return sparse.csr_array((cells.values[0, 0], cells.second, starts), shape=shape)


def _eliminate_pair(
    moments: FactorMoments,
    order: tuple[int, ...],
    sizes: list[Array],
    blocks: list[sparse.csr_array],
    pair: PairEquations,
) -> DensePart:
    """Return what is left of the smaller factors, once e and g are eliminated."""
    rest, n_g = order[2:], len(sizes[1])
    n_r = sum(len(size) for size in sizes[2:])
    if (limit := MOST_VALUES // max(n_g, n_r)) < n_r:
        raise TooManyLevelsError(n_r, limit)
    N_er = sparse.hstack(blocks[1:], format="csr")
    weighted = sparse.diags_array(1 / sizes[0]) @ N_er
    S_gr = np.hstack([_meets(moments, order[1], f).toarray() for f in rest])
    S_gr -= (blocks[0].T @ weighted).toarray()
    N_rr = np.block(
        [
            [
                np.diag(moments.factors[f].sizes) if f == g else _meets(moments, f, g).toarray()
                for g in rest
            ]
            for f in rest
        ]
    )
    K = pair.solve(S_gr)
    R = N_rr - (N_er.T @ weighted).toarray() - pair.inner(S_gr, K, S_gr, K)
    return DensePart.of((R + R.T) / 2, np.concatenate(sizes[2:]), K, S_gr)
