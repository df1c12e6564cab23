"""Random columns times Lambda, and what sums over the rows of each group need of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from skmixed._numerics.likelihoods.rows import Chunk
from skmixed._numerics.likelihoods.segments import Segments
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import multiply


@dataclass(frozen=True)
class Design:
    """The columns A of a chunk's random effects in units of Lambda.

    Attributes
    ----------
    columns : ndarray of shape (q, m)
        A = Lambda'Z.
    constant : float or None
        The value of a single column that does not vary: sums are then those of groups.
    segments : Segments
    """

    columns: Array
    constant: float | None
    segments: Segments

    @classmethod
    def of(cls, chunk: Chunk, Lambda: Array) -> Self:
        """Multiply the random columns of a chunk."""
        if not chunk.is_constant:
            return cls(multiply(Lambda.T, chunk.Z), None, chunk.segments)
        value = Lambda.item() * float(chunk.Z[0, 0])
        return cls(np.broadcast_to(value, chunk.Z.shape), value, chunk.segments)

    def along(self, u: Array) -> Array:
        """A_i'u_j of each row."""
        if self.constant is not None:
            return self.segments.spread(self.constant * u[0])
        total: Array = self.columns[0] * self.segments.spread(u[0])
        for a in range(1, len(u)):
            total += self.columns[a] * self.segments.spread(u[a])
        return total

    def sum(self, r: Array) -> Array:
        """Sum A_i r_i, shape (q, k)."""
        if self.constant is not None:
            return self.constant * self.segments.sum(r)[None]
        return self.segments.sum(self.columns * r)

    def gram(self, weight: Array) -> Array:
        """Sum w_i A_i A_i', shape (q, q, k)."""
        if self.constant is not None:
            return self.constant**2 * self.segments.sum(weight)[None, None]
        q = len(self.columns)
        G = np.empty((q, q, len(self.segments.starts)))
        for a in range(q):
            weighted = self.columns[a] * weight
            for b in range(a + 1):
                G[a, b] = G[b, a] = self.segments.sum(weighted * self.columns[b])
        return G

    def quadratic(self, B: Array) -> Array:
        """A_i'B_j A_i of each row, for symmetric B of shape (q, q, k)."""
        if self.constant is not None:
            return self.segments.spread(self.constant**2 * B[0, 0])
        total = np.zeros(self.columns.shape[1])
        for a in range(len(B)):
            total += self.columns[a] * self.along(B[a])
        return total
