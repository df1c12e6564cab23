"""Counts with random intercepts: a group's rows say no more than their sums.

With m_i = w_i exp(x_i'beta), S_j = sum w_i y_i and M_j = sum m_i, the rows of group j have the
log-likelihood sum_i w_i y_i x_i'beta + S_j b_j - M_j exp(b_j): but for the first term that of
one row with the rate S_j / M_j and the exposure M_j. Modes and nodes then cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from skmixed._numerics.likelihoods.families import LARGEST_EXPONENT, Family, exponential
from skmixed._numerics.likelihoods.rows import Chunk
from skmixed._numerics.likelihoods.segments import Segments
from skmixed._numerics.linalg.arrays import Array


@dataclass(frozen=True)
class Collapsed:
    """A chunk with a row for each group.

    Attributes
    ----------
    chunk : Chunk
        Of which X is not used: its linear predictor is 0.
    value : float
        What the sums leave out of -2 log L.
    means : ndarray of shape (m,)
        The m_i of the rows.
    rows : Chunk
        What was collapsed.
    """

    chunk: Chunk
    value: float
    means: Array
    rows: Chunk

    @classmethod
    def of(cls, rows: Chunk, fixed: Array, linear: Array) -> Self:
        """Sum up rows with linear predictors of the fixed effects."""
        means = exponential(np.maximum(fixed, -LARGEST_EXPONENT))
        if rows.w is not None:
            means *= rows.w
        S, M = rows.segments.sum(np.stack([linear, means]))
        k = len(M)
        chunk = replace(
            rows,
            Z=np.ones((1, k)) * rows.Z[0, 0],
            y=S / M,
            w=M,
            linear=S,
            segments=Segments.of_sizes(np.ones(k, dtype=np.intp)),
        )
        return cls(chunk, -2 * float(linear @ fixed), means, rows)

    def spread(self, r: Array) -> Array:
        """Differentiate by eta of each row, from those of the groups' rows."""
        assert self.chunk.linear is not None
        assert self.chunk.w is not None
        assert self.rows.linear is not None
        share = (r + 2 * self.chunk.linear) / self.chunk.w
        spread: Array = self.means * self.rows.segments.spread(share)
        spread -= 2 * self.rows.linear
        return spread


def collapse(family: Family, chunk: Chunk, fixed: Array) -> Collapsed | None:
    """Collapse a chunk if that loses nothing."""
    if family.name != "poisson" or not chunk.is_constant or chunk.linear is None:
        return None
    return Collapsed.of(chunk, fixed, chunk.linear)
