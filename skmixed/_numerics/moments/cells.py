"""Cross-products of the rows by level of several factors, and where their levels meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.moments import (
    GroupedMoments,
    count_rows,
    dense,
    merge,
    pilot_mean,
    sum_rows,
)

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Cells:
    """Z_f' W Z_g of the pairs of levels of two factors that meet in a row.

    Attributes
    ----------
    first, second : ndarray of shape (n_cells,)
        Position of the level of f, and of g: sorted by the first, then the second.
    n_rows : ndarray of shape (n_cells,)
        Rows of positive weight, at least 1.
    values : ndarray of shape (q_f, q_g, n_cells)
        The cross-products.
    """

    first: Positions
    second: Positions
    n_rows: Positions
    values: Array

    @classmethod
    def from_rows(
        cls,
        codes: tuple[Positions, Positions],
        n_second: int,
        Z: tuple[Array, Array],
        sample_weight: Array | None,
    ) -> Cells:
        """Add up the rows of each pair of levels; Z has shapes (q_f, n) and (q_g, n)."""
        order = _sorted_by(*codes, n_second)
        first, second = codes[0][order], codes[1][order]
        starts = _starts(first, second)
        counts = np.diff(np.append(starts, len(order)))
        values = np.empty((len(Z[0]), len(Z[1]), len(starts)))
        for a, z_f in enumerate(Z[0]):
            for b, z_g in enumerate(Z[1]):
                if a == b == 0 and sample_weight is None:
                    values[a, b] = counts
                elif len(starts):
                    product = z_f * z_g if sample_weight is None else sample_weight * z_f * z_g
                    values[a, b] = np.add.reduceat(product[order], starts)
        return cls(first[starts], second[starts], counts, values)

    @property
    def transposed(self) -> Cells:
        """The same with the factors exchanged."""
        order = np.lexsort((self.first, self.second))
        return Cells(
            self.second[order],
            self.first[order],
            self.n_rows[order],
            self.values.swapaxes(0, 1)[..., order],
        )

    def around(self, delta_f: Array, delta_g: Array) -> Cells:
        """Add numbers to the random columns of both; those of the ones are 0."""
        values = self.values + delta_f[:, None, None] * self.values[:1]
        return replace(self, values=values + delta_g[None, :, None] * values[:, :1])

    def find(self, first: Positions, second: Positions) -> Positions:
        """Return the positions of pairs of levels among the cells, -1 if they never meet."""
        n = int(max(self.second.max(initial=0), second.max(initial=0))) + 1
        key, wanted = self.first * n + self.second, first * n + second
        position = np.searchsorted(key, wanted)
        found = np.append(key, -1)[position] == wanted
        return np.where(found, position, -1)

    def renumbered(self, first: Positions, second: Positions) -> Cells:
        """Give each level a new position, which rises with the old one."""
        return replace(self, first=first[self.first], second=second[self.second])

    def plus(self, other: Cells, sign: int) -> Cells:
        """Add, or take off, other cells; a cell without rows vanishes."""
        n_second = 1 + int(max(self.second.max(initial=0), other.second.max(initial=0)))
        parts = (self, 1), (other, sign)
        keys, *positions = merge(*(cells.first * n_second + cells.second for cells, _ in parts))
        counts = np.zeros(len(keys), dtype=np.intp)
        values = np.zeros((*self.values.shape[:2], len(keys)))
        for (cells, times), position in zip(parts, positions, strict=True):
            counts[position] += times * cells.n_rows
            values[..., position] += times * cells.values
        there = counts != 0
        first, second = np.divmod(keys[there], n_second)
        return Cells(first, second, counts[there], values[..., there])


@dataclass(frozen=True)
class FactorMoments:
    """Weighted cross-products of D = [1, X, y]: in total, by level, and by pair of levels.

    Moments of two sets of rows are added with ``+``, which aligns levels on their labels.

    Attributes
    ----------
    factors : tuple of GroupedMoments
        The moments by level of each factor. All have the same `T` and `shift`.
    cells : dict of tuple of int to Cells
        Of each pair of factors (f, g), f < g.
    """

    factors: tuple[GroupedMoments, ...]
    cells: dict[tuple[int, int], Cells]

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: NDArray[Any],
        codes: Sequence[NDArray[np.integer[Any]]],
        labels: Sequence[NDArray[Any]],
        sample_weight: Array | None = None,
        *,
        random: Sequence[tuple[int, ...]],
        shift: Array | None = None,
    ) -> FactorMoments:
        """Pass over the rows once, chunk by chunk, and sort them by each pair of factors.

        Parameters
        ----------
        X, y, sample_weight, shift : as for `GroupedMoments.from_rows`
            The rows.
        codes : sequence of ndarray of shape (n_rows,)
            For each factor the position of each row's label in its labels.
        labels : sequence of ndarray of shape (n_levels,)
            For each factor its labels, sorted and unique.
        random : sequence of tuple of int
            For each factor the columns of D = [1, X, y] that have a random effect, the column
            of ones first.

        Returns
        -------
        FactorMoments
        """
        if shift is None:
            shift = pilot_mean(X, y, sample_weight)
        n_levels = [len(of_factor) for of_factor in labels]
        T, sums = sum_rows(X, y, codes, n_levels, sample_weight, random=random, shift=shift)
        factors, positions = [], []
        for code, of_factor, columns, C in zip(codes, labels, random, sums, strict=True):
            counts = count_rows(code, sample_weight, C)
            there = counts > 0
            position = (np.cumsum(there) - 1)[code]
            if not there.all():
                of_factor, counts, C = of_factor[there], counts[there], C[..., there]
            factors.append(GroupedMoments(of_factor, counts, shift, T, C, columns))
            positions.append(position)
        Z = _random_rows(X, y, random, shift)
        if sample_weight is not None and not sample_weight.all():
            some = np.flatnonzero(sample_weight)
            positions, Z = [code[some] for code in positions], [z[:, some] for z in Z]
            sample_weight = sample_weight[some]
        cells = {
            (f, g): Cells.from_rows(
                (positions[f], positions[g]),
                len(factors[g].labels),
                (Z[f], Z[g]),
                sample_weight,
            )
            for f, g in combinations(range(len(factors)), 2)
        }
        return cls(tuple(factors), cells)

    @property
    def n(self) -> float:
        """Sum of the weights: the number of rows, if there are no weights."""
        return self.factors[0].n

    @property
    def T(self) -> Array:
        """D' W D over all rows, shape (n_columns, n_columns)."""
        return self.factors[0].T

    @property
    def shift(self) -> Array:
        """What was taken off each column of D, shape (n_columns,); ``shift[0]`` is 0."""
        return self.factors[0].shift

    def between(self, f: int, g: int) -> Cells:
        """Return the cells of two factors in any order."""
        return self.cells[f, g] if f < g else self.cells[g, f].transposed

    def with_random(self, random: Sequence[tuple[int, ...]]) -> FactorMoments:
        """Choose some of the random columns of each factor, the column of ones first."""
        position = [
            [factor.random.index(column) for column in columns]
            for factor, columns in zip(self.factors, random, strict=True)
        ]
        cells = {
            (f, g): replace(some, values=some.values[np.ix_(position[f], position[g])])
            for (f, g), some in self.cells.items()
        }
        chosen = [
            factor.with_random(columns)
            for factor, columns in zip(self.factors, random, strict=True)
        ]
        return FactorMoments(tuple(chosen), cells)

    def of_factors(self, some: Sequence[int]) -> FactorMoments:
        """Choose some of the factors, in any order."""
        cells = {
            (i, j): self.between(some[i], some[j]) for i, j in combinations(range(len(some)), 2)
        }
        return FactorMoments(tuple(self.factors[f] for f in some), cells)

    def around(self, shift: Array) -> FactorMoments:
        """Express the moments around another shift, by exact algebra."""
        if np.array_equal(shift, self.shift):
            return self
        delta = self.shift - shift
        by_factor = [delta[list(factor.random)] for factor in self.factors]
        cells = {
            (f, g): some.around(by_factor[f], by_factor[g])
            for (f, g), some in self.cells.items()
        }
        return FactorMoments(tuple(factor.around(shift) for factor in self.factors), cells)

    def __add__(self, other: FactorMoments) -> FactorMoments:
        """Moments of the rows of both, levels aligned on their labels."""
        if self.n < other.n:  # as for one factor
            return other + self
        factors = [a + b for a, b in self._pairs(other)]
        merged = [merge(a.labels, b.labels)[1:] for a, b in self._pairs(other)]
        return self._combined(other, factors, merged, 1)

    def __sub__(self, other: FactorMoments) -> FactorMoments:
        """Moments of the rows that are not in other, which holds some of the rows.

        Counts are exact, and levels and cells without rows left are not there.
        """
        factors = [a - b for a, b in self._pairs(other)]
        positions = [
            (np.arange(len(a.labels)), np.searchsorted(a.labels, b.labels))
            for a, b in self._pairs(other)
        ]
        return self._combined(other, factors, positions, -1)

    def _combined(
        self,
        other: FactorMoments,
        factors: list[GroupedMoments],
        positions: Sequence[tuple[Positions, Positions]],
        sign: int,
    ) -> FactorMoments:
        """Combine the cells, given the positions of the levels of both among all."""
        mine, others = self.around(factors[0].shift), other.around(factors[0].shift)
        # levels without rows left are not there: neither are their cells
        final = []
        for (a, _), factor, (here, _) in zip(
            self._pairs(other), factors, positions, strict=True
        ):
            if sign > 0:
                final.append(np.arange(len(factor.labels)))
            else:
                left = np.zeros(len(a.labels), dtype=np.intp)
                kept = np.searchsorted(a.labels, factor.labels)
                left[kept] = np.arange(len(kept))
                final.append(left[here])
        cells = {}
        for f, g in self.cells:
            one = mine.cells[f, g].renumbered(positions[f][0], positions[g][0])
            two = others.cells[f, g].renumbered(positions[f][1], positions[g][1])
            both = one.plus(two, sign)
            if np.any(both.n_rows < 0):
                n_wrong = np.count_nonzero(both.n_rows < 0)
                raise ValueError(
                    "only moments of some of the rows can be subtracted from theirs, but got "
                    f"more rows than there are of {n_wrong} pairs of levels"
                )
            cells[f, g] = both.renumbered(final[f], final[g])
        return FactorMoments(tuple(factors), cells)

    def _pairs(self, other: FactorMoments) -> list[tuple[GroupedMoments, GroupedMoments]]:
        if len(self.factors) != len(other.factors):
            raise ValueError(
                "only moments of the same factors can be combined, but got "
                f"{len(self.factors)} and {len(other.factors)} factors"
            )
        return list(zip(self.factors, other.factors, strict=True))


def _random_rows(
    X: Any, y: NDArray[Any], random: Sequence[tuple[int, ...]], shift: Array
) -> list[Array]:
    """Return Z' of each factor around the shift, shapes (n_random, n_rows)."""
    rows: dict[int, Array] = {0: np.ones(len(y))}
    for column in {column for columns in random for column in columns} - {0}:
        x = dense(X[:, [column - 1]]).ravel()
        rows[column] = np.subtract(x, shift[column], dtype=np.float64)
    return [np.array([rows[column] for column in columns]) for columns in random]


def _sorted_by(first: Positions, second: Positions, n_second: int) -> Positions:
    """Return the order of rows by the first code, then the second: two counting sorts."""
    order = _counting_sort(second, n_second)
    n_first = int(first.max(initial=0)) + 1
    return order[_counting_sort(first[order], n_first)]


def _counting_sort(codes: Positions, n_codes: int) -> Positions:
    n = len(codes)
    rows = sparse.csr_array((np.ones(n, np.int8), codes, np.arange(n + 1)), shape=(n, n_codes))
    return rows.tocsc().indices.astype(np.intp, copy=False)


def _starts(first: Positions, second: Positions) -> Positions:
    """Where a new pair begins among sorted ones."""
    new = np.ones(len(first), dtype=np.bool_)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return np.flatnonzero(new)
