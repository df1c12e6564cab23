"""Sums over the rows of each cluster, in a second pass over the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.least_squares.fixed_effects import NormalEquations
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.moments import (
    CHUNK_VALUES,
    MIN_CHUNK_ROWS,
    add_by_group,
    dense,
    merge,
)
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.second_pass import (
    lines_by_group,
    take_own_lines_off,
    without_fixed_part,
)


@dataclass(frozen=True)
class Residuals:
    """How the residuals of rows come from their columns.

    Attributes
    ----------
    equations : NormalEquations
        The regression.
    lines : OwnLines
        What is taken off the rows, around the shift of the equations.
    """

    equations: NormalEquations
    lines: OwnLines

    @classmethod
    def of(cls, equations: NormalEquations, lines: OwnLines) -> Residuals:
        """Bring the lines to the coordinates of the equations."""
        coordinates = equations.coordinates
        return cls(equations, lines.with_taken(coordinates.taken).around(coordinates.shift))

    def of_clusters(self, labels: NDArray[Any]) -> OwnLines:
        """Return the lines of some of the clusters; there may be none at all."""
        if not len(self.lines.labels):
            return self.lines
        return self.lines.of_groups(np.searchsorted(self.lines.labels, labels))

    @property
    def weights(self) -> Array:
        """With which the columns of D, with own lines taken off, are added to residuals."""
        coordinates = self.equations.coordinates
        scale, used = coordinates.scale, coordinates.used
        weights = np.zeros(len(coordinates.shift))
        weights[used] = np.append(-self.equations.beta, 1.0) * scale[-1] / scale
        return weights


@dataclass(frozen=True)
class ClusterSums:
    """Sums over the rows of each cluster: a second pass, once the coefficients are known.

    Attributes
    ----------
    labels : ndarray of shape (n_clusters,)
        Of the clusters, sorted and unique.
    n : float
        Sum of the weights of all rows.
    scores : ndarray of shape (n_clusters, p)
        X_j'W_j e_j, of the columns that have a coefficient.
    squares : ndarray of shape (n_clusters, p, p) or None
        X_j'W_j X_j, where they are needed.
    """

    labels: NDArray[Any]
    n: float
    scores: Array
    squares: Array | None

    @classmethod
    def from_rows(
        cls,
        residuals: Residuals,
        X: Any,
        y: NDArray[Any],
        codes: NDArray[np.integer[Any]],
        labels: NDArray[Any],
        sample_weight: Array | None,
        *,
        with_squares: bool,
    ) -> ClusterSums:
        """Pass over the rows again.

        Parameters
        ----------
        residuals : Residuals
            Of these rows, or of these and others.
        X, y, codes, labels, sample_weight
            As for `GroupedMoments.from_rows`; the groups are the clusters.
        with_squares : bool
            Whether squares are needed: they take p times the time and the memory.

        Returns
        -------
        ClusterSums
        """
        if hasattr(X, "tocsr"):
            X = X.tocsr()
        lines, weights = residuals.of_clusters(labels), residuals.weights
        own, n_columns = lines_by_group(lines), len(lines.shift)
        # levels alone are taken off the residuals, and off the columns once they are summed up
        later = len(lines.labels) > 0 and len(own) == 1 and not with_squares
        level = own[0] @ weights
        coordinates = residuals.equations.coordinates
        used, scale = coordinates.used[:-1], coordinates.scale[:-1]
        scores = np.zeros((1, len(labels), n_columns))
        squares = np.zeros((len(used) if with_squares else 0, len(labels), n_columns))
        size = max(CHUNK_VALUES // n_columns, MIN_CHUNK_ROWS)
        buffer = np.empty((min(size, X.shape[0]), n_columns))
        for start in range(0, X.shape[0], size):
            rows = slice(start, start + size)
            weight = 1.0 if sample_weight is None else sample_weight[rows, None]
            D = without_fixed_part(lines, dense(X[rows]), y[rows], buffer)
            if not later and len(lines.labels):
                take_own_lines_off(lines, own, D, codes[rows])
            e = D @ weights
            if later:
                e -= level.take(codes[rows])
            add_by_group(scores, D, weight * e[:, None], codes[rows])
            if with_squares:
                add_by_group(squares, D, weight * D[:, used], codes[rows])
        if later:
            scores -= scores[..., :1] * own
        n = float(len(y) if sample_weight is None else sample_weight.sum())
        products = None
        if with_squares:
            products = np.moveaxis(squares[:, :, used], 0, 2) / np.outer(scale, scale)
        return cls(labels, n, scores[0][:, used] / scale, products)

    def __add__(self, other: ClusterSums) -> ClusterSums:
        """Add up the rows of both, clusters aligned on their labels."""
        labels, *positions = merge(self.labels, other.labels)
        pairs = list(zip((self, other), positions, strict=True))

        def aligned(name: str) -> Array:
            total = np.zeros((len(labels), *getattr(self, name).shape[1:]))
            for part, position in pairs:
                total[position] += getattr(part, name)
            return total

        squares = None if self.squares is None else aligned("squares")
        return ClusterSums(labels, self.n + other.n, aligned("scores"), squares)
