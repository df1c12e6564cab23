"""Rows of y drawn from a fitted model: its random effects, and y around their line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import NULL_SQUARE
from skmixed._numerics.linalg.small_matrices import cholesky_semidefinite


@dataclass(frozen=True, eq=False)
class EffectsOfRows:
    """The random effects of some rows, b_j ~ N(0, root root') for the groups of one factor.

    Attributes
    ----------
    columns : sequence of ndarray of shape (n_rows,), or of 1.0
        The random columns.
    codes : ndarray of shape (n_rows,)
        Number of each row's group, from 0.
    root : ndarray of shape (q, q)
        Lower root of the covariance.
    held : ndarray of shape (n_groups,), dtype bool
        Groups whose effects are not drawn.
    values : ndarray of shape (q, n_groups)
        Their effects; anything for the others.
    """

    columns: Sequence[Array | float]
    codes: NDArray[np.intp]
    root: Array
    held: NDArray[np.bool_]
    values: Array

    @classmethod
    def of(
        cls,
        columns: Sequence[Array | float],
        codes: NDArray[np.intp],
        cov: Array,
        known: NDArray[np.intp],
        effects: Array,
    ) -> EffectsOfRows:
        """Take a covariance, and the effects (q, J) at the positions `known`, -1 for none."""
        root = cholesky_semidefinite(cov[..., None], NULL_SQUARE * np.diag(cov)[:, None])
        padded = np.column_stack([effects, np.zeros(len(cov))])
        return cls(columns, codes, root[..., 0], known >= 0, padded[:, known])

    def draw(self, rng: np.random.RandomState) -> Array:
        """Draw z'b_j of each row."""
        b = self.root @ rng.standard_normal(self.values.shape)
        b[:, self.held] = self.values[:, self.held]
        total = np.zeros(len(self.codes))
        for column, effect in zip(self.columns, b, strict=True):
            total += column * effect[self.codes]
        return total
