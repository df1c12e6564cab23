"""Normal equations of two factors' dummies, of which the larger one is eliminated.

A level j of the larger factor meets the levels g of the other in N_jg rows, n_j in all. What
is left for the others, S = diag(N'1) - N' diag(1 / n) N, is the Laplacian of a graph: levels
are tied by those who meet both, and S has one null vector for each connected part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import splu

from skmixed._numerics.linalg.arrays import Array

Positions = NDArray[np.intp]

# Where the sparse matrix S has no more entries than this it is factorised at once.
FEW_ENTRIES = 200_000
# Where it has more entries than this for each level it is only if all else fails: its factors
# would be dense.
MOST_ENTRIES_PER_LEVEL = 50
# Iterations after which S is factorised: what is that hard has the shape of chains, whose
# factors stay sparse.
PATIENCE = 100
MAX_ITERATIONS = 20_000
# Iterations end when a residual is this share of what it was.
CONVERGED = 1e-13


@dataclass(frozen=True)
class PairEquations:
    """S x = c for the smaller of two factors, however singular S is.

    Attributes
    ----------
    meets : sparse array of shape (n_movers, n_levels)
        N of those levels of the larger factor that meet more than one level: no others tie
        any together.
    sizes : ndarray of shape (n_movers,)
        n_j.
    diagonal : ndarray of shape (n_levels,)
        That of S; exactly 0 for levels that are tied to no other.
    parts : ndarray of shape (n_levels,)
        Number of the connected part of each level.
    n_parts : int
        How many there are.
    """

    meets: Any
    sizes: Array
    diagonal: Array
    parts: Positions
    n_parts: int

    @classmethod
    def of(cls, N: Any, sizes: Array) -> PairEquations:
        """Take N as a CSR array of shape (n_eliminated, n_levels), and its sizes."""
        movers = np.flatnonzero(np.diff(N.indptr) > 1)
        meets, sizes = N[movers], sizes[movers]
        of_row = np.repeat(sizes, np.diff(meets.indptr))
        # differences of counts are taken before they are multiplied
        tied = meets.data * (of_row - meets.data) / of_row
        diagonal = np.asarray(np.bincount(meets.indices, tied, N.shape[1]), dtype=np.float64)
        n_parts, parts = _connected(meets)
        return cls(meets, sizes, diagonal, parts, n_parts)

    @property
    def rank(self) -> int:
        """Rank of S."""
        return len(self.diagonal) - self.n_parts

    def solve(self, c: Array) -> Array:
        """Return a solution of S x = c, shape (n_levels, k), for c in the span of S."""
        if not self.rank or not c.size:
            return np.zeros_like(c)
        if "_factors" in vars(self) or self._n_entries <= FEW_ENTRIES:
            return self._solve_directly(c)
        may_factorise = self._n_entries <= MOST_ENTRIES_PER_LEVEL * len(c)
        x, converged = self._iterate(c, PATIENCE if may_factorise else MAX_ITERATIONS)
        return x if converged else self._solve_directly(c)

    def product(self, x: Array) -> Array:
        """Return S x."""
        totals = np.asarray(self.meets.sum(axis=0)).ravel()
        through = self.meets.T @ ((self.meets @ x) / self.sizes[:, None])
        return np.asarray(totals[:, None] * x - through)

    def inner(self, a: Array, x_a: Array, b: Array, x_b: Array) -> Array:
        """Return a'S^- b, given solutions for a and b: their errors enter as a product."""
        return np.asarray(x_a.T @ b + (a - self.product(x_a)).T @ x_b)

    # ------------------------------------------------------------------------ iterations

    def _iterate(self, c: Array, limit: int) -> tuple[Array, bool]:
        """Conjugate gradients for all columns at once, S scaled to a diagonal of ones."""
        tied = self.diagonal > 0
        scale = np.zeros_like(self.diagonal)
        scale[tied] = 1 / np.sqrt(self.diagonal[tied])
        A = self.meets @ sparse.diags_array(scale)
        A = (sparse.diags_array(1 / np.sqrt(self.sizes)) @ A).tocsr()
        A_transposed = A.T.tocsr()
        totals = (np.asarray(self.meets.sum(axis=0)).ravel() * scale**2)[:, None]
        r = scale[:, None] * self._in_span(c)
        x, p = np.zeros_like(r), r.copy()
        square = np.sum(r**2, axis=0)
        enough = CONVERGED**2 * square
        for _ in range(limit):
            q = totals * p - A_transposed @ (A @ p)
            curvature = np.sum(p * q, axis=0)
            step = np.divide(square, curvature, out=np.zeros_like(square), where=curvature > 0)
            step[square <= enough] = 0.0
            x += step * p
            r -= step * q
            before, square = square, np.sum(r**2, axis=0)
            if np.all(square <= enough):
                return scale[:, None] * x, True
            p *= np.divide(square, before, out=np.zeros_like(square), where=before > 0)
            p += r
        return scale[:, None] * x, False

    def _in_span(self, c: Array) -> Array:
        """Take rounding off c that is outside the span of S: sums over each part are 0."""
        size = np.bincount(self.parts, self.diagonal)
        share = self.diagonal / np.where(size > 0, size, 1.0)[self.parts]
        sums = np.stack([np.bincount(self.parts, column) for column in c.T], axis=1)
        return np.asarray(c - share[:, None] * sums[self.parts])

    # --------------------------------------------------------------------- factorisation

    @cached_property
    def _n_entries(self) -> float:
        """Entries of S before those at the same place are added up, at most."""
        return float(np.sum(np.diff(self.meets.indptr).astype(np.float64) ** 2))

    @cached_property
    def _free(self) -> Positions:
        """All levels but one of each part, whose effects may be taken as 0."""
        first = np.unique(self.parts, return_index=True)[1]
        return np.delete(np.arange(len(self.parts)), first)

    @cached_property
    def _factors(self) -> Any:
        """Triangular factors of S for the free levels, in an order that keeps them sparse."""
        through = self.meets.T @ sparse.diags_array(1 / self.sizes) @ self.meets
        S = -through.tocsr()[self._free][:, self._free]
        S.setdiag(self.diagonal[self._free])
        return splu(
            S.tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )

    def _solve_directly(self, c: Array) -> Array:
        x = np.zeros_like(c)
        x[self._free] = self._factors.solve(c[self._free])
        x[self._free] += self._factors.solve((c - self.product(x))[self._free])
        return x


def _connected(meets: Any) -> tuple[int, Positions]:
    """Count and number the connected parts: each level of a row is tied to the next."""
    row = np.repeat(np.arange(meets.shape[0]), np.diff(meets.indptr))
    same = row[1:] == row[:-1]
    ties = meets.indices[:-1][same], meets.indices[1:][same]
    n = meets.shape[1]
    graph = sparse.coo_array((np.ones(len(ties[0])), ties), shape=(n, n))
    n_parts, parts = csgraph.connected_components(graph.tocsr(), directed=False)
    return int(n_parts), parts.astype(np.intp)
