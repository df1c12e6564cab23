"""Elimination of factors that cross: the largest level by level, the others as dense blocks.

Columns (f, a, l) of the other factors, for the random column a of level l, stand in a row, the
factors one after the other. They fall into components that share no row; the block of each
component, S = I + Lam' G~ Lam, is dense. Components with as many levels of each factor lie
side by side in a batch, of shape (n_components, size, size), and in it the columns have the
order (f, a, l), too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from skmixed._numerics.fit.elimination import Positions, block_matrix
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.scipy_private import csr_product, csr_product_size

# With more kinds of components, they are filled up with levels that have no rows.
MOST_KINDS = 50
# Products of entries of sparse rows are taken so many at a time.
CHUNK_PAIRS = 2**20
# Where there are no more, where they are is kept from one evaluation to the next.
KEPT_PAIRS = 2**22
# Entries of a sparse product, which are made before they find their place in dense blocks.
CHUNK_ENTRIES = 2**22
# From this share of products on, of those that there might be, sparse rows are not worth it.
FULL = 0.02
# Copies of the dense blocks at one time, on the way to the gradient: G~, N'K^2N, S^-1, H.
COPIES = 6
# The share of the machine's memory that they may take.
SHARE_OF_MEMORY = 0.5

# Which entries, where the pairs of each begin, its partners, and where in the buffer they are.
RowPairs = tuple[slice, Positions, Positions, Positions]
Number = TypeVar("Number", np.float64, np.complex128)


class TooManyColumnsError(ValueError):
    """What is left after the elimination of the largest factor does not fit in memory.

    Attributes
    ----------
    n_columns : int
        Columns of the largest block.
    gigabytes, limit : float
        What all blocks take, and what is allowed.
    """

    def __init__(self, n_columns: int, gigabytes: float, limit: float) -> None:
        super().__init__(
            f"when the largest factor is eliminated, blocks of up to {n_columns:,} columns are "
            f"left, which take {gigabytes:.3g} GB; {limit:.3g} GB are allowed. Use fewer "
            "levels, or leave a factor out."
        )
        self.n_columns, self.gigabytes, self.limit = n_columns, gigabytes, limit


@dataclass(frozen=True)
class Kind:
    """Components with the same number of levels of each factor.

    Attributes
    ----------
    columns : ndarray of shape (n_components, size)
        Which columns they hold; one beyond all where there is none.
    blocks : tuple of (int, int, int)
        For each factor where its columns start, its random columns, and its levels.
    entries : slice
        Of the buffer of all blocks.
    """

    columns: Positions
    blocks: tuple[tuple[int, int, int], ...]
    entries: slice

    def of(self, buffer: Array) -> Array:
        """View of the blocks, shape (n_components, size, size)."""
        n, size = self.columns.shape
        return buffer[self.entries].reshape(n, size, size)

    def multiply(self, Lambdas: Sequence[Array], A: Array) -> Array:
        """Return Lam A, with Lam for each level of a factor, for A (n, size, m)."""
        n, _, m = A.shape
        product = np.empty_like(A)
        for Lambda, (start, q, levels) in zip(Lambdas, self.blocks, strict=True):
            rows = slice(start, start + q * levels)
            if q == 1:
                np.multiply(A[:, rows], Lambda[0, 0], out=product[:, rows])
            else:
                block = np.ascontiguousarray(A[:, rows]).reshape(n, q, levels * m)
                product[:, rows] = np.matmul(Lambda, block).reshape(n, q * levels, m)
        return product

    def sandwich(self, Lambdas: Sequence[Array], A: Array) -> Array:
        """Return Lam A Lam' of symmetric A."""
        if all(len(Lambda) == 1 for Lambda in Lambdas):
            levels = [levels for _, _, levels in self.blocks]
            size = np.repeat([Lambda[0, 0] for Lambda in Lambdas], levels)
            product = A * size[:, None]
            product *= size
            return np.asarray(product)
        half = self.multiply(Lambdas, A).swapaxes(1, 2)
        return self.multiply(Lambdas, np.ascontiguousarray(half))

    def diagonal_blocks(self, A: Array, i: int) -> Array:
        """Sum over levels of the blocks (a, b) of the i-th factor, shape (q, q)."""
        start, q, levels = self.blocks[i]
        rows = slice(start, start + q * levels)
        block = A[:, rows, rows].reshape(len(A), q, levels, q, levels)
        total: Array = np.einsum("nalbl->ab", block)
        return total


@dataclass(frozen=True)
class Components:
    """Which columns lie in which component, and where its entries are in the buffer.

    Attributes
    ----------
    kinds : list of Kind
        The components, by kind.
    of_column : ndarray of shape (n_columns,)
        The component of each column.
    base, place : ndarray of shape (n_columns,)
        The entry of columns i and j of a component is at ``base[i] + place[j]``.
    """

    kinds: list[Kind]
    of_column: Positions
    base: Positions
    place: Positions

    @property
    def n_entries(self) -> int:
        """Size of the buffer."""
        return max(int(kind.entries.stop) for kind in self.kinds)

    def entry(self, i: Positions, j: Positions) -> Positions:
        """Where the entry (i, j) of two columns of a component is in the buffer."""
        return np.asarray(self.base[i] + self.place[j])


@dataclass(frozen=True)
class DenseLayout:
    """Where the columns of the factors beside the largest are: no numbers.

    Attributes
    ----------
    problem : FactorsProblem
        Where the levels meet.
    factor : int
        The largest.
    others : tuple of int
        The others.
    limit : float, optional
        Bytes that dense blocks may take.
    """

    problem: FactorsProblem
    factor: int
    others: tuple[int, ...]
    limit: float | None = None

    @property
    def n_levels(self) -> int:
        """Levels of the largest factor."""
        return self.problem.n_levels[self.factor]

    @property
    def q(self) -> tuple[int, ...]:
        """Random columns of the others."""
        return tuple(self.problem.q[f] for f in self.others)

    @property
    def J(self) -> tuple[int, ...]:
        """Levels of the others."""
        return tuple(self.problem.n_levels[f] for f in self.others)

    @cached_property
    def start(self) -> dict[int, int]:
        """Where the columns of each factor start."""
        sizes = np.multiply(self.q, self.J)
        starts = (np.cumsum(sizes) - sizes).tolist()
        return dict(zip(self.others, starts, strict=True))

    @cached_property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(np.dot(self.q, self.J))

    def met(self, f: int) -> tuple[Positions, Positions]:
        """Levels of the largest factor and of f in their cells."""
        return meeting_levels(self.problem, self.factor, f)

    # --------------------------------------------------- N' of the largest factor, by its rows

    @cached_property
    def _numbered(self) -> sparse.csr_array[Any]:
        """Rows (a, j) over the columns, with the number of each entry, from 1."""
        parts, first = [], 1
        q_e = self.problem.q[self.factor]
        for f, q, J in zip(self.others, self.q, self.J, strict=True):
            own, other = self.met(f)
            shape = (q_e, q, len(own))
            size = q_e * q * len(own)
            number = np.arange(first, first + size, dtype=np.float64).reshape(shape)
            parts.append(block_matrix(number, own, other, (self.n_levels, J)))
            first += size
        return sparse.csr_array(sparse.hstack(parts, format="csr"))

    @cached_property
    def indptr(self) -> Positions:
        """Where rows start."""
        return np.asarray(self._numbered.indptr, dtype=np.intp)

    @cached_property
    def indices(self) -> Positions:
        """Their columns."""
        return np.asarray(self._numbered.indices, dtype=np.intp)

    @cached_property
    def source(self) -> Positions:
        """Which entry of the cells comes where."""
        return np.asarray(self._numbered.data - 1, dtype=np.intp)

    @property
    def counts(self) -> Positions:
        """Number of entries in the row of each level; it is the same for all a."""
        return np.diff(self.indptr[: self.n_levels + 1])

    @cached_property
    def _turned(self) -> tuple[Positions, Positions, Positions]:
        """The transpose: starts of its rows, their columns, and which entries these are."""
        rows = self._numbered
        numbers = np.arange(len(rows.data), dtype=np.float64)
        numbered = sparse.csr_array((numbers, rows.indices, rows.indptr), shape=rows.shape)
        turned = sparse.csr_array(numbered.tocsc().T)
        indptr, indices = (
            np.asarray(part, np.intp) for part in (turned.indptr, turned.indices)
        )
        return indptr, indices, np.asarray(turned.data, dtype=np.intp)

    def rows(self, entries: Array) -> sparse.csr_array[Any]:
        """Return the sparse matrix of given entries."""
        rows = self._numbered
        return sparse.csr_array((entries, rows.indices, rows.indptr), shape=rows.shape)

    def gather(self, parts: Sequence[Array]) -> Array:
        """Put blocks (q_e, q_f, n_cells) for each other factor in the order of the rows."""
        return np.concatenate([part.ravel() for part in parts])[self.source]

    def stack(self, C: Sequence[Array]) -> Array:
        """Put columns (q_f, m, J_f) of the others into rows (f, a, l), shape (n, m)."""
        parts = [C[f].swapaxes(1, 2) for f in self.others]  # (q_f, J_f, m), m may be 0
        return np.concatenate([np.concatenate(part) for part in parts])

    def unstack(self, rows: Array, f: int) -> Array:
        """Return the columns (q_f, m, J_f) of one of them."""
        q, J = self.problem.q[f], self.problem.n_levels[f]
        part = rows[self.start[f] : self.start[f] + q * J].reshape(q, J, rows.shape[1])
        return np.ascontiguousarray(part.swapaxes(1, 2))

    @property
    def row_pairs(self) -> Iterable[RowPairs]:
        """Pairs of entries of the row of each level, some at a time."""
        few = np.sum(self.counts**2) <= KEPT_PAIRS
        return self._kept_pairs if few else self._row_pairs()

    @cached_property
    def _kept_pairs(self) -> list[RowPairs]:
        return list(self._row_pairs())

    def _row_pairs(self) -> Iterator[RowPairs]:
        indices = self.indices
        for _, i, j in pairs(self.indptr[: self.n_levels + 1]):
            starts = np.flatnonzero(np.diff(i, prepend=-1))
            where = self.components.entry(indices[i], indices[j])
            yield slice(int(i[0]), int(i[-1]) + 1), starts, j, where

    # ------------------------------------------------------------------------- dense blocks

    @cached_property
    def components(self) -> Components:
        """Columns by component."""
        of_level = components_of_levels(self.problem, self.factor, self.others)[1:]
        n = 1 + max(int(of.max()) for of in of_level)
        counts = np.array([np.bincount(of, minlength=n) for of in of_level])
        if np.unique(counts, axis=1).shape[1] > MOST_KINDS:
            counts = _filled_up(counts)
        kinds, kind = np.unique(counts, axis=1, return_inverse=True)
        kind = kind.ravel()
        rank = _rank(kind, kinds.shape[1])  # of each component among those of its kind
        sizes = np.dot(self.q, kinds)
        n_of_kind = np.bincount(kind, minlength=len(sizes))
        first = np.concatenate([[0], np.cumsum(n_of_kind * sizes**2)])
        self._check_memory(int(sizes.max()), int(first[-1]))
        starts = np.multiply(self.q, kinds.T).cumsum(axis=1).T - np.multiply(self.q, kinds.T).T
        columns = []
        for i, (of, q) in enumerate(zip(of_level, self.q, strict=True)):
            # (a, l) stands in its component where its factor starts, and after a times as many
            # levels as the component has
            k, own = kind[of], np.arange(q)[:, None]
            place = starts[i, k] + own * kinds[i, k] + _rank(of, n)
            base = first[k] + rank[of] * sizes[k] ** 2 + place * sizes[k]
            columns.append([part.ravel() for part in np.broadcast_arrays(of, base, place)])
        of_column, base, place = (np.concatenate(part) for part in zip(*columns, strict=True))
        found = []
        for which, size in enumerate(sizes):
            mine = np.flatnonzero(kind[of_column] == which)
            own_columns = np.full((n_of_kind[which], size), self.n_columns, dtype=np.intp)
            own_columns[rank[of_column[mine]], place[mine]] = mine
            blocks = tuple(
                zip(starts[:, which].tolist(), self.q, kinds[:, which].tolist(), strict=True)
            )
            found.append(
                Kind(own_columns, blocks, slice(int(first[which]), int(first[which + 1])))
            )
        return Components(found, of_column, base, place)

    @property
    def n_components(self) -> int:
        """Number of dense blocks."""
        return sum(len(kind.columns) for kind in self.components.kinds)

    def _check_memory(self, n_columns: int, n_entries: int) -> None:
        limit = _memory() * SHARE_OF_MEMORY if self.limit is None else self.limit
        needed = _needed(n_entries)
        if needed > limit:
            raise TooManyColumnsError(n_columns, needed / 1e9, limit / 1e9)

    @cached_property
    def own_entries(self) -> dict[int, Positions]:
        """Where the diagonal blocks of each factor are, shape (q, q, J)."""
        entries = {}
        for f, J in zip(self.others, self.J, strict=True):
            entries[f] = self.block_entries(f, f, np.arange(J), np.arange(J))
        return entries

    @cached_property
    def cell_entries(self) -> dict[tuple[int, int], Positions]:
        """Where the cells of two factors are, shape (q_f, q_g, n_cells)."""
        return {
            (f, g): self.block_entries(f, g, cells.first, cells.second)
            for (f, g), cells in self.problem.cells.items()
            if f in self.others and g in self.others
        }

    def block_entries(self, f: int, g: int, first: Positions, second: Positions) -> Positions:
        """Where blocks of two factors are, for some levels of both, shape (q_f, q_g, n)."""
        q, J = self.problem.q, self.problem.n_levels
        i = self.start[f] + np.arange(q[f])[:, None, None] * J[f] + first
        j = self.start[g] + np.arange(q[g])[None, :, None] * J[g] + second
        return self.components.entry(i, j)

    @cached_property
    def _chunks(self) -> list[tuple[int, int]]:
        """Ranges of columns whose rows of N'N have not too many entries."""
        indptr, indices, _ = self._turned
        counts = np.concatenate([[0], np.cumsum(np.diff(self.indptr)[indices])])
        products = np.diff(counts[indptr])  # of each row, before they are added up
        entries = np.cumsum(np.minimum(products, self.n_columns))
        cuts = np.arange(CHUNK_ENTRIES, entries[-1], CHUNK_ENTRIES)
        ends = np.unique([*np.searchsorted(entries, cuts) + 1, self.n_columns])
        return list(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))

    def products(self, N: Array, weights: NDArray[Number]) -> NDArray[Number]:
        """Return sum_j N_j' weights_j, of entries of the rows, in the buffer of blocks."""
        if self.is_full:
            return self._products_of_full(N, weights)
        rows, (indptr, indices, order) = self._numbered, self._turned
        index = rows.indices.dtype
        right = (rows.indptr, rows.indices, weights)
        turned, columns, N = indptr.astype(index), indices.astype(index), N[order]
        buffer: NDArray[Number] = np.zeros(self.components.n_entries, dtype=weights.dtype)
        for start, stop in self._chunks:
            chunk = start, stop
            own = slice(indptr[start], indptr[stop])
            left = (turned[start : stop + 1] - index.type(own.start), columns[own], N[own])
            if chunk not in self._sizes:
                self._sizes[chunk] = csr_product_size(left, right, self.n_columns)
            size = self._sizes[chunk]
            pattern, entries = csr_product(left, right, self.n_columns, size)
            where = self._places.get(chunk)
            # entries come in the same order, unless one is 0 by chance and left out
            if where is None or len(where) != len(entries):
                where = np.repeat(self.components.base[start:stop], np.diff(pattern[0]))
                where += self.components.place[pattern[1]]
                if len(self._chunks) == 1 and len(entries) == size:
                    self._places[chunk] = where
            buffer[where] = entries
        return buffer

    @cached_property
    def is_full(self) -> bool:
        """Whether most levels meet, in a single block: the rows are best taken as dense."""
        is_single = self.n_components == 1
        share = float(np.sum(self.counts**2)) / (self.n_levels * self.n_columns**2)
        return is_single and share > FULL

    def dense_rows(self, *entries: NDArray[Any]) -> Iterator[tuple[slice, list[Any]]]:
        """Yield rows of given entries, some at a time, and which entries these are."""
        step = max(CHUNK_ENTRIES // self.n_columns, 1)
        n_rows = len(self.indptr) - 1
        for start in range(0, n_rows, step):
            stop = min(start + step, n_rows)
            some = slice(self.indptr[start], self.indptr[stop])
            row = np.repeat(np.arange(stop - start), np.diff(self.indptr[start : stop + 1]))
            parts = []
            for values in entries:
                rows = np.zeros((stop - start, self.n_columns), values.dtype)
                rows[row, self.indices[some]] = values[some]
                parts.append(rows)
            yield some, parts

    def _products_of_full(self, N: Array, weights: NDArray[Number]) -> NDArray[Number]:
        products: NDArray[Number] = np.zeros((self.n_columns,) * 2, dtype=weights.dtype)
        for _, (left, right) in self.dense_rows(N, weights):
            if np.iscomplexobj(right):
                products.real += left.T @ right.real
                products.imag += left.T @ right.imag
            else:
                products += left.T @ right
        return products.ravel()

    @cached_property
    def _sizes(self) -> dict[tuple[int, int], int]:
        """Numbers of entries of the products of each chunk, as far as they were made."""
        return {}

    @cached_property
    def _places(self) -> dict[tuple[int, int], Positions]:
        """Where these entries are in the buffer."""
        return {}


def meeting_levels(problem: FactorsProblem, f: int, g: int) -> tuple[Positions, Positions]:
    """Return the levels of f and of g in each of their cells."""
    cells = problem.cells[min(f, g), max(f, g)]
    return (cells.first, cells.second) if f < g else (cells.second, cells.first)


def components_of_levels(
    problem: FactorsProblem, e: int, others: Sequence[int]
) -> list[Positions]:
    """Find the component of each level of e, and of each of the others: those tied by rows."""
    J = [problem.n_levels[f] for f in (e, *others)]
    ends = np.cumsum(J)
    # 32 bits hold the number of any level, in half the memory
    met = [meeting_levels(problem, e, f) for f in others]
    i = np.concatenate([own.astype(np.int32) for own, _ in met])
    j = np.concatenate(
        [(s + other).astype(np.int32) for s, (_, other) in zip(ends, met, strict=False)]
    )
    shape = (int(ends[-1]),) * 2
    graph = sparse.csr_array((np.ones(len(i), np.int8), (i, j)), shape=shape)
    del i, j
    component = connected_components(graph, directed=False)[1].astype(np.intp)
    return np.split(component, ends[:-1])


def pairs(
    one: Positions, two: Positions | None = None
) -> Iterator[tuple[int, Positions, Positions]]:
    """Yield all pairs of entries of the same row, some rows at a time.

    The entries are those of one sparse matrix, sorted by the first of a pair, or of two.

    Parameters
    ----------
    one, two : ndarray of shape (n_rows + 1,)
        Where the rows start; the second is the first by default.

    Yields
    ------
    first : int
        The first of these rows.
    i, j : ndarray
        The entries.
    """
    two = one if two is None else two
    counts, partners = np.diff(one), np.diff(two)
    ends = np.cumsum(counts * partners)
    first = 0
    while first < len(counts):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + CHUNK_PAIRS, side="right")), first + 1)
        some = slice(first, last)
        entries = np.arange(one[first], one[last])
        n_partners = np.repeat(partners[some], counts[some])  # of each entry
        start = np.repeat(two[:-1][some], counts[some])
        runs = np.cumsum(n_partners) - n_partners
        i = np.repeat(entries, n_partners)
        if len(i):
            yield first, i, np.arange(len(i)) - np.repeat(runs - start, n_partners)
        first = last


def fits_in_memory(n_entries: int) -> bool:
    """Whether dense blocks of so many entries take no more memory than they may."""
    return _needed(n_entries) <= _memory() * SHARE_OF_MEMORY


def _needed(n_entries: int) -> float:
    return 8.0 * COPIES * n_entries


def _memory() -> float:
    """Bytes of memory of the machine; a guess where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return 16e9


def _rank(of: Positions, n: int) -> Positions:
    """Count those before each with the same number."""
    order = np.argsort(of, kind="stable")
    counts = np.bincount(of, minlength=n)
    starts = np.cumsum(counts) - counts
    rank = np.empty_like(order)
    rank[order] = np.arange(len(of)) - starts[of[order]]
    return rank


def _filled_up(counts: Positions) -> Positions:
    """Round up to the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""
    exponent = np.floor(np.log2(np.maximum(counts, 4) - 1)).astype(np.intp) - 1
    step = np.where(counts > 4, 2**exponent, 1)
    return np.asarray(-(-counts // step) * step)
