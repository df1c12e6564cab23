"""Elimination of factors that cross: the largest level by level, the others as dense blocks.

Columns (f, a, l) of the other factors, for the random column a of level l, stand in a row, the
factors one after the other. They fall into components that share no row; the block of each
component, S = I + Lam' G~ Lam, is dense. Components with as many levels of each factor lie
side by side in a batch, of shape (n_components, size, size), and in it the columns have the
order (f, a, l), too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack
from scipy.sparse.csgraph import connected_components

from skmixed._numerics.fit.elimination import (
    Covariances,
    Eliminated,
    Level,
    Positions,
    Remainder,
    Step,
    block_matrix,
    times,
)
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import gram

# With more kinds of components, they are filled up with levels that have no rows.
MOST_KINDS = 50
# Products of entries of sparse rows are taken so many at a time.
CHUNK_PAIRS = 2**20
# Entries of a sparse product, which are made before they find their place in dense blocks.
CHUNK_ENTRIES = 2**22
# Below this square of a relative standard deviation, I - S^-1 keeps too few digits.
SMALL_PSI = 1e-6
# Dense blocks at one time: G~, S^-1 or H, and a copy on the way.
DENSE_ARRAYS = 4
MOST_BYTES = 8e9


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
            "when the largest factor is eliminated, blocks of up to "
            f"{n_columns:,} columns are left, which take {gigabytes:.1f} GB; at most "
            f"{limit:.1f} GB are allowed. Use fewer levels, or leave a factor out."
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
            return product
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
class DenseStep(Step):
    """The largest factor, and the others as dense blocks.

    Attributes
    ----------
    factor : int
        The largest.
    others : tuple of int
        The others.
    problem : FactorsProblem
        Where the levels meet.
    has_inner : bool
        Whether other factors were eliminated before: they will ask for covariances.
    """

    factor: int
    others: tuple[int, ...]
    problem: FactorsProblem
    has_inner: bool
    limit: float = MOST_BYTES

    @classmethod
    def of(cls, problem: FactorsProblem, left: Sequence[int], *, has_inner: bool) -> DenseStep:
        e = max(left, key=lambda f: problem.n_levels[f] * problem.q[f])
        return cls(e, tuple(f for f in left if f != e), problem, has_inner)

    # ---------------------------------------------------------------------- where things are

    @cached_property
    def start(self) -> dict[int, int]:
        """Where the columns of each factor start."""
        q, J = self.problem.q, self.problem.n_levels
        ends = np.cumsum([q[f] * J[f] for f in self.others]).tolist()
        return dict(zip(self.others, [0, *ends[:-1]], strict=True))

    @cached_property
    def n_columns(self) -> int:
        return sum(self.problem.q[f] * self.problem.n_levels[f] for f in self.others)

    @cached_property
    def rows_of_N(self) -> sparse.csr_array:
        """N' of the largest factor as rows (a, j), holding where its entries come from."""
        e, J = self.factor, self.problem.n_levels[self.factor]
        parts, first = [], 0
        for f in self.others:
            own, other, _ = self.oriented(f)
            shape = (self.problem.q[e], self.problem.q[f], len(own))
            number = np.arange(first, first + np.prod(shape), dtype=np.float64)
            levels = (J, self.problem.n_levels[f])
            parts.append(block_matrix(number.reshape(shape) + 1, own, other, levels))
            first += int(np.prod(shape))
        return sparse.csr_array(sparse.hstack(parts, format="csr"))

    @cached_property
    def source(self) -> Positions:
        return np.asarray(self.rows_of_N.data - 1, dtype=np.intp)

    @cached_property
    def columns_of_N(self) -> tuple[sparse.csr_array, Positions]:
        """The transpose of these rows, and which of their entries are where."""
        rows = self.rows_of_N
        numbered = sparse.csr_array(
            (np.arange(len(rows.data)), rows.indices, rows.indptr), shape=rows.shape
        )
        turned = sparse.csr_array(numbered.T.tocsr())
        return turned, turned.data

    def oriented(self, f: int) -> tuple[Positions, Positions, bool]:
        """Levels of the largest factor and of f in their cells."""
        e = self.factor
        cells = self.problem.cells[min(e, f), max(e, f)]
        return (
            (cells.first, cells.second, True) if e < f else (cells.second, cells.first, False)
        )

    @cached_property
    def layout(self) -> tuple[list[Kind], Positions, Positions, Positions]:
        """Kinds of components; where rows start in the buffer; places in rows; components."""
        q, J, e = self.problem.q, self.problem.n_levels, self.factor
        n_e, ends = J[e], np.cumsum([J[f] for f in self.others])
        starts = ends - [J[f] for f in self.others]
        own = [self.oriented(f)[0] for f in self.others]
        other = [
            n_e + s + self.oriented(f)[1] for f, s in zip(self.others, starts, strict=True)
        ]
        i, j = np.concatenate(own), np.concatenate(other)
        n = n_e + int(ends[-1])
        graph = sparse.csr_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
        n_components, component = connected_components(graph, directed=False)
        by_factor = [component[n_e + s : n_e + t] for s, t in zip(starts, ends, strict=True)]
        counts = np.array([np.bincount(of, minlength=n_components) for of in by_factor])
        kinds_of = np.unique(counts, axis=1)
        if kinds_of.shape[1] > MOST_KINDS:
            counts = _filled_up(counts)
        kinds_of, kind = np.unique(counts, axis=1, return_inverse=True)
        kind = kind.ravel()
        # the number of each component among those of its kind
        rank = _rank(kind, kinds_of.shape[1])
        base = np.empty(self.n_columns, dtype=np.intp)
        place, of_column = np.empty_like(base), np.empty_like(base)
        size = np.array([q[f] for f in self.others]) @ kinds_of
        n_of_kind = np.bincount(kind, minlength=len(size))
        first = np.concatenate([[0], np.cumsum(n_of_kind * size**2)])
        gigabytes = DENSE_ARRAYS * 8 * float(first[-1]) / 1e9
        if gigabytes * 1e9 > self.limit:
            raise TooManyColumnsError(int(size.max()), gigabytes, self.limit / 1e9)
        local_start = np.zeros(len(size), dtype=np.intp)
        for row, f in enumerate(self.others):
            of = by_factor[row]
            k = kind[of]
            local = _rank(of, n_components)
            for a in range(q[f]):
                columns = slice(self.start[f] + a * J[f], self.start[f] + (a + 1) * J[f])
                place[columns] = local_start[k] + a * kinds_of[row, k] + local
                base[columns] = first[k] + rank[of] * size[k] ** 2 + place[columns] * size[k]
                of_column[columns] = of
            local_start = local_start + q[f] * kinds_of[row]
        kinds = []
        for k in range(len(size)):
            columns = np.full((n_of_kind[k], size[k]), self.n_columns, dtype=np.intp)
            mine = np.flatnonzero(kind[of_column] == k)
            columns[rank[of_column[mine]], place[mine]] = mine
            blocks, start = [], 0
            for row, f in enumerate(self.others):
                blocks.append((start, q[f], int(kinds_of[row, k])))
                start += q[f] * int(kinds_of[row, k])
            kinds.append(Kind(columns, tuple(blocks), slice(int(first[k]), int(first[k + 1]))))
        return kinds, base, place, of_column

    @cached_property
    def n_entries(self) -> int:
        return max(kind.entries.stop for kind in self.layout[0])

    def entry(self, i: Positions, j: Positions) -> Positions:
        """Where the entry (i, j) of two columns of a component is in the buffer."""
        _, base, place, _ = self.layout
        return base[i] + place[j]

    @cached_property
    def own_entries(self) -> dict[int, Positions]:
        """Where the diagonal blocks of each factor are, shape (q, q, J)."""
        return {
            f: self._block_entries(f, f, *(np.arange(self.problem.n_levels[f]),) * 2)
            for f in self.others
        }

    @cached_property
    def cell_entries(self) -> dict[tuple[int, int], Positions]:
        """Where the cells of two factors are, shape (q_f, q_g, n_cells)."""
        return {
            (f, g): self._block_entries(f, g, cells.first, cells.second)
            for (f, g), cells in self.problem.cells.items()
            if f in self.others and g in self.others
        }

    def _block_entries(self, f: int, g: int, first: Positions, second: Positions) -> Positions:
        q, J = self.problem.q, self.problem.n_levels
        i = self.start[f] + np.arange(q[f])[:, None, None] * J[f] + first
        j = self.start[g] + np.arange(q[g])[None, :, None] * J[g] + second
        return self.entry(i, j)

    # ------------------------------------------------------------------------------ numbers

    def gather(self, parts: Sequence[Array]) -> Array:
        """Put blocks (q_e, q_f, n_cells) for each other factor in the order of the rows."""
        return np.concatenate([part.ravel() for part in parts])[self.source]

    def stack(self, C: Sequence[Array]) -> Array:
        """Put columns (q_f, m, J_f) of the others into rows (f, a, l), shape (n, m)."""
        return np.concatenate(
            [C[f].swapaxes(1, 2).reshape(-1, C[f].shape[1]) for f in self.others]
        )

    def unstack(self, rows: Array, f: int) -> Array:
        """The columns (q_f, m, J_f) of one of them."""
        q, J = self.problem.q[f], self.problem.n_levels[f]
        part = rows[self.start[f] : self.start[f] + q * J].reshape(q, J, -1)
        return np.ascontiguousarray(part.swapaxes(1, 2))

    def at(self, left: Remainder, Lambdas: Sequence[Array], *, invert: bool) -> Eliminated:
        own = Level.of(left.G[self.factor], Lambdas[self.factor])
        cells = {f: left.between(self.factor, f) for f in self.others}
        N = self.gather([cells[f] for f in self.others])
        HN = self.gather(
            [times(own.H[..., self.oriented(f)[0]], cells[f]) for f in self.others]
        )
        with_squares = invert and len(own.H) == 1
        weights = HN
        if with_squares:  # k^2 N beside h N, in one product
            k = own.K[0, 0] ** 2
            counts = np.diff(self.rows_of_N.indptr)
            weights = HN + 1j * (np.repeat(k, counts) * N)
        product = self.products(N, weights)
        G = -product.real if with_squares else -product
        for f in self.others:
            G[self.own_entries[f]] += left.G[f]
        for (f, g), entries in self.cell_entries.items():
            G[entries] += left.cells[f, g]
            rows = self.problem.cells[f, g]
            turned = self._block_entries(g, f, rows.second, rows.first)
            G[turned] += left.cells[f, g].swapaxes(0, 1)
        squares = product.imag if with_squares else None
        others = [Lambdas[f] for f in self.others]
        transposed = [Lambda.T for Lambda in others]
        roots, log_det = [], own.log_det
        for kind in self.layout[0]:
            S = kind.sandwich(transposed, kind.of(G))
            S.reshape(len(S), -1)[:, :: S.shape[1] + 1] += 1
            root, part = _root(S)
            roots.append(root)
            log_det += part
        return DenseBlocks(self, log_det, own, N, HN, G, squares, others, roots)

    @cached_property
    def _chunks(self) -> list[tuple[int, int]]:
        """Ranges of columns whose rows of N'N have not too many entries."""
        rows, (turned, _) = self.rows_of_N, self.columns_of_N
        counts = np.concatenate([[0], np.cumsum(np.diff(rows.indptr)[turned.indices])])
        products = np.diff(counts[turned.indptr])  # of each row, before they are added up
        entries = np.cumsum(np.minimum(products, self.n_columns))
        cuts = np.arange(CHUNK_ENTRIES, entries[-1], CHUNK_ENTRIES)
        ends = np.unique([*np.searchsorted(entries, cuts), self.n_columns])
        return list(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))

    def products(self, N: Array, weights: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return sum_j N_j' weights_j in the buffer of dense blocks."""
        rows, (turned, order) = self.rows_of_N, self.columns_of_N
        left = sparse.csr_array((N[order], turned.indices, turned.indptr), shape=turned.shape)
        right = sparse.csr_array((weights, rows.indices, rows.indptr), shape=rows.shape)
        _, base, place, _ = self.layout
        buffer = np.zeros(self.n_entries, dtype=weights.dtype)
        for start, stop in self._chunks:
            part = left[start:stop] @ right
            some = base[start:stop]
            where = np.repeat(some, np.diff(part.indptr))
            where += place[part.indices]
            buffer[where] = part.data
        return buffer


@dataclass(frozen=True)
class DenseBlocks(Eliminated):
    """All factors that were left at given Lambda.

    Attributes
    ----------
    own : Level
        The largest factor.
    N, HN : ndarray
        Entries of its sparse rows.
    G : ndarray
        G~ of the others: a buffer of dense blocks.
    squares : ndarray or None
        N'K^2N likewise, with one random column.
    Lambdas : list of ndarray of shape (q_f, q_f)
        Of the others.
    roots : list of ndarray
        Upper Cholesky factors R'R = S for each kind of components; zeros below.
    """

    step: DenseStep
    log_det: float
    own: Level
    N: Array
    HN: Array
    G: Array
    squares: Array | None
    Lambdas: list[Array]
    roots: list[Array]

    @cached_property
    def inverses(self) -> list[Array]:
        """S^-1 of each kind of components."""
        return [_inverse(root) for root in self.roots]

    @cached_property
    def H(self) -> Array:
        """H of the others: a buffer of dense blocks."""
        H = np.empty_like(self.G)
        for kind, inverse in zip(self.step.layout[0], self.inverses, strict=True):
            kind.of(H)[...] = kind.sandwich(self.Lambdas, inverse)
        return H

    def _solve(self, X: Array) -> Array:
        """H times columns of shape (n, m), without H."""
        padded = np.concatenate([X, np.zeros((1, X.shape[1]))])
        product = np.empty_like(padded)
        transposed = [Lambda.T for Lambda in self.Lambdas]
        for kind, root in zip(self.step.layout[0], self.roots, strict=True):
            part = _solve(root, kind.multiply(transposed, padded[kind.columns]))
            product[kind.columns] = kind.multiply(self.Lambdas, part)
        return product[:-1]

    def forward(self, C: list[Array]) -> Array:
        step, C_e = self.step, C[self.step.factor]
        HC = _as_rows(times(self.own.H, C_e))
        stacked = step.stack(C) - self._rows(self.N).T @ HC
        for f in step.others:
            C[f] = step.unstack(stacked, f)
        return np.asarray(gram(times(self.own.F, C_e)) + stacked.T @ self._solve(stacked))

    def backward(self, C: list[Array], B: list[Array]) -> None:
        rows = self._solve(self.step.stack(C))
        for f in self.step.others:
            B[f] = self.step.unstack(rows, f)
        B[self.step.factor] = times(self.own.H, self._left(C, rows))

    def scores(self, C: list[Array], B: list[Array], U: list[Array]) -> None:
        B_2 = self.step.stack(B)
        U_2 = self.step.stack(C) - self._times(self.G, B_2)
        for f in self.step.others:
            U[f] = self.step.unstack(U_2, f)
        U[self.step.factor] = times(self.own.K, self._left(C, B_2))

    def traces(self, H: Covariances, S: list[Array]) -> None:
        step = self.step
        for i, f in enumerate(step.others):
            S[f] = self._trace_of_other(i)
        S[step.factor] = self.own.KG.sum(axis=-1) - self._trace_of_largest()
        if step.has_inner:
            self.covariances(H)

    def covariances(self, H: Covariances) -> None:
        step, e = self.step, self.step.factor
        for f in step.others:
            H.own[f] = self.H[step.own_entries[f]]
        for pair, entries in step.cell_entries.items():
            H.cells[pair] = self.H[entries]
        HN = self._by_column(self.HN)
        with_H = self._times_sparse(HN)
        H.own[e] = self.own.H + self._sums_by_level(with_H, HN)
        flat = np.empty(with_H.size)
        flat[step.source] = -with_H.ravel()
        start = 0
        for f in step.others:
            own, _, forward = step.oriented(f)
            shape = (len(HN), step.problem.q[f], len(own))
            cells = flat[start : start + int(np.prod(shape))].reshape(shape)
            start += cells.size
            H.cells[min(e, f), max(e, f)] = cells if forward else cells.swapaxes(0, 1)

    def variances(self, rows: list[sparse.csr_array]) -> Array:
        step, e = self.step, self.step.factor
        J = step.problem.n_levels[e]
        here, each = rows[e], np.arange(J)
        within = here @ block_matrix(self.own.F.swapaxes(0, 1), each, each, (J, J))
        others = sparse.csr_array(
            sparse.hstack([rows[f] for f in step.others], format="csr")
            - here @ self._rows(self.HN)
        )
        total = np.asarray(within.multiply(within).sum(axis=1)).ravel()
        _, _, _, component = step.layout
        for first, i, j in pairs(others.indptr):
            c_i, c_j = others.indices[i], others.indices[j]
            products = others.data[i] * others.data[j]
            same = component[c_i] == component[c_j]
            H = np.zeros(len(i))
            H[same] = self.H[step.entry(c_i[same], c_j[same])]
            row = np.searchsorted(others.indptr, i, side="right") - 1 - first
            part = np.bincount(row, weights=products * H)
            total[first : first + len(part)] += part
        return total

    def squared_blocks(self) -> dict[tuple[int, int], Array]:
        """Return sum Q_ac Q_bd over blocks Q of Z'V^-1 Z, axes a b c d, for pairs of factors.

        Each pair has one order. With W_ab = sum_j (K N)_a' (K N)_b over levels of the largest
        factor e, Y = I - H G~, and X_jj' = (K N)_j H (K N)_j',

            Q_22 = G~ Y,  Q_e2 = K N Y,  Q_ee = K G - X.
        """
        step, e, q_e = self.step, self.step.factor, len(self.own.H)
        sums: dict[tuple[int, int], Array] = {}
        W = self._squares_of_KN()
        for f in step.others:
            sums[e, f] = np.zeros((q_e, q_e) + (step.problem.q[f],) * 2)
            for g in step.others:
                if f <= g:
                    sums[f, g] = np.zeros((step.problem.q[f],) * 2 + (step.problem.q[g],) * 2)
        KG, X = self.own.KG, self._sums_by_level(*self._KN_with_H())
        of_e = np.einsum("ack,bdk->abcd", KG, KG - X) - np.einsum("ack,bdk->abcd", X, KG)
        for kind in step.layout[0]:
            G, H = kind.of(self.G), kind.of(self.H)
            Y = -np.matmul(H, G)
            size = Y.shape[1]
            Y.reshape(len(Y), -1)[:, :: size + 1] += 1
            Q = np.matmul(G, Y)
            blocks = dict(zip(step.others, kind.blocks, strict=True))
            for (f, g), total in sums.items():
                if f != e:
                    total += _squared_block(Q, blocks[f], blocks[g])
            HW = {pair: np.matmul(H, kind.of(buffer)) for pair, buffer in W.items()}
            for (a, b), buffer in W.items():
                WY = np.matmul(kind.of(buffer), Y)
                for f in step.others:
                    start, q, levels = blocks[f]
                    shape = (*Y.shape[:2], q, levels)
                    columns = slice(start, start + q * levels)
                    one, two = Y[..., columns].reshape(shape), WY[..., columns].reshape(shape)
                    sums[e, f][a, b] += np.einsum("nial,nibl->ab", one, two)
                for c, d in W:  # X_ac X_bd over all pairs of levels
                    of_e[a, b, c, d] += np.sum(HW[b, a] * HW[c, d].swapaxes(1, 2))
        sums[e, e] = of_e
        return sums

    def _squares_of_KN(self) -> dict[tuple[int, int], Array]:
        """W_ab as buffers of dense blocks."""
        if self.squares is not None:
            return {(0, 0): self.squares}
        KN, W = self._KN(), {}
        q_e, n = KN.shape
        for a in range(q_e):
            for b in range(q_e):
                left, right = np.zeros((q_e, n)), np.zeros((q_e, n))
                left[0], right[0] = KN[a], KN[b]  # in rows that have entries for all a
                W[a, b] = self.step.products(left.ravel(), right.ravel())
        return W

    def _KN(self) -> Array:
        step = self.step
        counts = np.diff(step.rows_of_N.indptr[: step.problem.n_levels[step.factor] + 1])
        K = np.repeat(self.own.K, counts, axis=-1)
        return np.asarray(np.einsum("abk,bk->ak", K, self._by_column(self.N)))

    def _KN_with_H(self) -> tuple[Array, Array]:
        KN = self._KN()
        return self._times_sparse(KN), KN

    def _sums_by_level(self, one: Array, two: Array) -> Array:
        """Products of two sets of sparse rows by level of the largest factor, (q, q, J)."""
        J = self.step.problem.n_levels[self.step.factor]
        j = np.repeat(np.arange(J), np.diff(self.step.rows_of_N.indptr[: J + 1]))
        sums = [np.bincount(j, weights=a * b, minlength=J) for a in one for b in two]
        return np.array(sums).reshape(len(one), len(two), J)

    def _left(self, C: list[Array], B_2: Array) -> Array:
        """C_j - N_j B_2 of the largest factor."""
        C_e = C[self.step.factor]
        product = np.asarray(self._rows(self.N) @ B_2)
        q, m, J = C_e.shape
        return C_e - product.reshape(q, J, m).swapaxes(1, 2)

    def _rows(self, entries: Array) -> sparse.csr_array:
        rows = self.step.rows_of_N
        return sparse.csr_array((entries, rows.indices, rows.indptr), shape=rows.shape)

    def _by_column(self, entries: Array) -> Array:
        """Entries with a row for each random column of the largest factor."""
        return entries.reshape(len(self.own.H), -1)

    def _times(self, buffer: Array, X: Array) -> Array:
        """Return the dense blocks times columns of shape (n, m)."""
        padded = np.concatenate([X, np.zeros((1, X.shape[1]))])
        product = np.empty_like(padded)
        for kind in self.step.layout[0]:
            product[kind.columns] = np.matmul(kind.of(buffer), padded[kind.columns])
        return product[:-1]

    def _times_sparse(self, entries: Array) -> Array:
        """Return rows over the columns times H, where they have entries; shape (q_e, n)."""
        step, n = self.step, entries.shape[1]
        J = step.problem.n_levels[step.factor]
        indptr, indices = step.rows_of_N.indptr[: J + 1], step.rows_of_N.indices[:n]
        product = np.empty_like(entries)
        for _, i, j in pairs(indptr):
            H = self.H[step.entry(indices[i], indices[j])]
            starts = np.flatnonzero(np.diff(i, prepend=-1))
            some = slice(int(i[0]), int(i[-1]) + 1)
            product[:, some] = np.add.reduceat(entries[:, j] * H, starts, axis=1)
        return product

    def _trace_of_largest(self) -> Array:
        """sum_j K_j N_j H N_j' K_j'."""
        if self.squares is not None:
            return np.array([[self.H @ self.squares]])
        with_H, KN = self._KN_with_H()
        return np.asarray(with_H @ KN.T)

    def _trace_of_other(self, i: int) -> Array:
        """Sum over levels of diagonal blocks of G~ - G~ H G~ = Lam'^-1 (I - S^-1) Lam^-1."""
        step, Lambda = self.step, self.Lambdas[i]
        q = len(Lambda)
        if np.linalg.svd(Lambda, compute_uv=False).min() ** 2 > SMALL_PSI:
            left = np.zeros((q, q))
            for kind, inverse in zip(step.layout[0], self.inverses, strict=True):
                # levels without rows, which fill up blocks, have S = I
                left += len(inverse) * kind.blocks[i][2] * np.eye(q)
                left -= kind.diagonal_blocks(inverse, i)
            half = np.linalg.solve(Lambda.T, left)
            return np.asarray(np.linalg.solve(Lambda.T, half.T))
        total = np.zeros((q, q))
        for kind in step.layout[0]:
            start, _, levels = kind.blocks[i]
            G = kind.of(self.G)
            some = G[:, :, start : start + q * levels]
            HG = np.matmul(kind.of(self.H), some)
            n, size, _ = some.shape
            shape = (n, size, q, levels)
            total += kind.diagonal_blocks(G, i)
            total -= np.einsum("nial,nibl->ab", some.reshape(shape), HG.reshape(shape))
        return total


def pairs(indptr: Positions) -> Iterator[tuple[int, Positions, Positions]]:
    """Yield all pairs of entries of the same row, some rows at a time, by the first entry.

    With the first of these rows.
    """
    counts = np.diff(indptr).astype(np.intp)
    ends = np.cumsum(counts**2)
    first = 0
    while first < len(counts):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + CHUNK_PAIRS, side="right")), first + 1)
        of_entry = np.repeat(counts[first:last], counts[first:last])  # the length of its row
        entries = np.arange(indptr[first], indptr[last])
        if len(entries):
            i = np.repeat(entries, of_entry)
            row_start = np.repeat(indptr[first:last], counts[first:last])
            runs = np.cumsum(of_entry) - of_entry
            j = np.arange(len(i)) - np.repeat(runs - row_start, of_entry)
            yield first, i, j
        first = last


def _root(S: Array) -> tuple[Array, float]:
    """Return Cholesky factors R'R of positive definite matrices, and the sum of log|S|.

    They hold NaN, and the logarithm is infinite, where rounding has left none.
    """
    if len(S) == 1 and S.size:
        R, failed = lapack.dpotrf(S[0].T, lower=0, overwrite_a=1, clean=1)
        roots = R[None]
    else:
        try:
            roots, failed = np.linalg.cholesky(S).swapaxes(1, 2), 0
        except np.linalg.LinAlgError:
            failed = 1
    if failed:
        return np.full_like(S, np.nan), np.inf
    return roots, 2 * float(np.log(np.diagonal(roots, axis1=1, axis2=2)).sum())


def _inverse(roots: Array) -> Array:
    """Return (R'R)^-1."""
    if len(roots) == 1 and roots.size:
        inverse, _ = lapack.dpotri(roots[0], lower=0)  # zeros below
        inverse += inverse.T
        inverse.flat[:: len(inverse) + 1] /= 2
        return np.asarray(inverse[None])
    inverse = np.linalg.inv(roots)
    return np.matmul(inverse, inverse.swapaxes(1, 2))


def _solve(roots: Array, X: Array) -> Array:
    """Return (R'R)^-1 X for X of shape (n, size, m)."""
    if len(roots) == 1 and roots.size:
        return np.asarray(lapack.dpotrs(roots[0], X[0], lower=0)[0][None])
    half = np.linalg.solve(roots.swapaxes(1, 2), X)
    return np.asarray(np.linalg.solve(roots, half))


def _as_rows(C: Array) -> Array:
    """(q, m, J) as (q J, m)."""
    return np.ascontiguousarray(C.swapaxes(1, 2)).reshape(-1, C.shape[1])


def _squared_block(Q: Array, of_f: tuple[int, int, int], of_g: tuple[int, int, int]) -> Array:
    """Sum Q_ac Q_bd over pairs of levels of two factors, axes a b c d."""
    (i, q_f, J_f), (j, q_g, J_g) = of_f, of_g
    block = Q[:, i : i + q_f * J_f, j : j + q_g * J_g].reshape(len(Q), q_f, J_f, q_g, J_g)
    # rows for (a, c), columns for all pairs of levels
    rows = block.transpose(1, 3, 0, 2, 4).reshape(q_f * q_g, -1)
    squares = (rows @ rows.T).reshape(q_f, q_g, q_f, q_g)
    return np.asarray(squares.transpose(0, 2, 1, 3))


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
