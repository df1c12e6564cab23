"""Sums over the rows of each group, where rows of a group stand together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array

# A product of so many rows keeps clear of overflow: each factor may be 4e4 on average.
ROWS_IN_PRODUCT = 64


@dataclass(frozen=True)
class Segments:
    """Rows in groups that follow one another.

    Attributes
    ----------
    sizes, starts : ndarray of shape (n_groups,)
        The number of rows and the first row of each.
    pieces : ndarray
        First rows of pieces of groups, of a few rows each.
    first_pieces : ndarray of shape (n_groups,) or None
        The first piece of each group; None if groups are pieces.
    """

    sizes: NDArray[np.intp]
    starts: NDArray[np.intp]
    pieces: NDArray[np.intp]
    first_pieces: NDArray[np.intp] | None

    @classmethod
    def of_sizes(cls, sizes: NDArray[np.intp]) -> Self:
        """Place groups of these many rows, none of them empty."""
        starts = np.cumsum(sizes) - sizes
        n_pieces = -(-sizes // ROWS_IN_PRODUCT)
        if len(sizes) == 0 or n_pieces.max() == 1:
            return cls(sizes, starts, starts, None)
        first = np.cumsum(n_pieces) - n_pieces
        within = np.arange(n_pieces.sum()) - np.repeat(first, n_pieces)
        pieces = np.repeat(starts, n_pieces) + ROWS_IN_PRODUCT * within
        return cls(sizes, starts, pieces, first)

    def sum(self, rows: NDArray[Any]) -> Array:
        """Add up the rows of each group, along the last axis."""
        return np.asarray(np.add.reduceat(rows, self.starts, axis=-1))

    def log_product(self, rows: Array) -> Array:
        """Logarithm of the product of each group's rows, along the last axis."""
        with np.errstate(over="ignore"):  # parameters far off: infinite, and so refused
            logs = np.log(np.multiply.reduceat(rows, self.pieces, axis=-1))
        if self.first_pieces is None:
            return np.asarray(logs)
        return np.asarray(np.add.reduceat(logs, self.first_pieces, axis=-1))

    def spread(self, groups: NDArray[Any]) -> NDArray[Any]:
        """Give each row what its group has, along the last axis."""
        return np.repeat(groups, self.sizes, axis=-1)
