"""Elimination of factors that cross: the largest level by level, the others as dense blocks.

Where the columns of the others are, and which blocks they form, is in `dense_layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from skmixed._numerics.fit.dense_layout import DenseLayout, pairs
from skmixed._numerics.fit.elimination import (
    Covariances,
    Eliminated,
    Level,
    Positions,
    Remainder,
    Rows,
    Step,
    block_matrix,
    times,
)
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import gram

# Below this square of a relative standard deviation, I - S^-1 keeps too few digits.
SMALL_PSI = 1e-6


@dataclass(frozen=True)
class DenseStep(Step):
    """The largest factor, and the others as dense blocks.

    Attributes
    ----------
    layout : DenseLayout
        Which, and where they are.
    has_inner : bool
        Whether other factors were eliminated before: they will ask for covariances.
    """

    layout: DenseLayout
    has_inner: bool

    @classmethod
    def of(cls, problem: FactorsProblem, left: Sequence[int], *, has_inner: bool) -> DenseStep:
        """Choose the largest of the factors that are left."""
        e = max(left, key=lambda f: problem.n_levels[f] * problem.q[f])
        layout = DenseLayout(problem, e, tuple(f for f in left if f != e))
        return cls(layout, has_inner)

    def at(self, left: Remainder, Lambdas: Sequence[Array], *, invert: bool) -> DenseBlocks:
        layout = self.layout
        e, others = layout.factor, layout.others
        own = Level.of(left.G[e], Lambdas[e])
        cells = {f: left.between(e, f) for f in others}
        N = layout.gather([cells[f] for f in others])
        HN = layout.gather([times(own.H[..., layout.met(f)[0]], cells[f]) for f in others])
        squares = None
        if invert and len(own.H) == 1:  # k^2 N beside h N, in one product
            KKN = np.repeat(own.K[0, 0] ** 2, layout.counts) * N
            both = layout.products(N, HN + 1j * KKN)
            G, squares = -both.real, both.imag.copy()
        else:
            G = -layout.products(N, HN)
        self.add_cross_products(G, left)
        of_others = [Lambdas[f] for f in others]
        transposed = [Lambda.T for Lambda in of_others]
        roots, log_det = [], own.log_det
        for kind in layout.components.kinds:
            S = kind.sandwich(transposed, kind.of(G))
            S.reshape(len(S), -1)[:, :: S.shape[1] + 1] += 1
            root, part = _root(S)
            roots.append(root)
            log_det += part
        return DenseBlocks(self, log_det, own, N, HN, G, squares, of_others, roots)

    def add_cross_products(self, G: Array, left: Remainder) -> None:
        """Add the cross-products of the others to a buffer of dense blocks."""
        layout = self.layout
        for f in layout.others:
            G[layout.own_entries[f]] += left.G[f]
        for (f, g), entries in layout.cell_entries.items():
            G[entries] += left.cells[f, g]
            levels = layout.problem.cells[f, g]
            turned = layout.block_entries(g, f, levels.second, levels.first)
            G[turned] += left.cells[f, g].swapaxes(0, 1)


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

    @property
    def layout(self) -> DenseLayout:
        return self.step.layout

    @cached_property
    def inverses(self) -> list[Array]:
        """S^-1 of each kind of components, the upper triangles; zeros below."""
        return [_inverse(root) for root in self.roots]

    @cached_property
    def H(self) -> Array:
        """H of the others: a buffer of dense blocks."""
        H = np.empty_like(self.G)
        for kind, inverse in zip(self.layout.components.kinds, self.inverses, strict=True):
            whole = inverse + inverse.swapaxes(1, 2)
            whole.reshape(len(whole), -1)[:, :: whole.shape[1] + 1] /= 2
            kind.of(H)[...] = kind.sandwich(self.Lambdas, whole)
        return H

    def _solve(self, X: Array) -> Array:
        """H times columns of shape (n, m), without H."""
        padded = np.concatenate([X, np.zeros((1, X.shape[1]))])
        product = np.empty_like(padded)
        transposed = [Lambda.T for Lambda in self.Lambdas]
        for kind, root in zip(self.layout.components.kinds, self.roots, strict=True):
            part = _solve(root, kind.multiply(transposed, padded[kind.columns]))
            product[kind.columns] = kind.multiply(self.Lambdas, part)
        return product[:-1]

    def forward(self, C: list[Array]) -> Array:
        layout, C_e = self.layout, C[self.layout.factor]
        HC = _as_rows(times(self.own.H, C_e))
        stacked = layout.stack(C) - self.layout.rows(self.N).T @ HC
        for f in layout.others:
            C[f] = layout.unstack(stacked, f)
        return np.asarray(gram(times(self.own.F, C_e)) + stacked.T @ self._solve(stacked))

    def backward(self, C: list[Array], B: list[Array]) -> None:
        rows = self._solve(self.layout.stack(C))
        for f in self.layout.others:
            B[f] = self.layout.unstack(rows, f)
        B[self.layout.factor] = times(self.own.H, self._left(C, rows))

    def scores(self, C: list[Array], B: list[Array], U: list[Array]) -> None:
        B_2 = self.layout.stack(B)
        U_2 = self.layout.stack(C) - self._times(self.G, B_2)
        for f in self.layout.others:
            U[f] = self.layout.unstack(U_2, f)
        U[self.layout.factor] = times(self.own.K, self._left(C, B_2))

    def traces(self, H: Covariances, S: list[Array]) -> None:
        layout = self.layout
        for i, f in enumerate(layout.others):
            S[f] = self._trace_of_other(i)
        S[layout.factor] = self.own.KG.sum(axis=-1) - self._trace_of_largest()
        if self.step.has_inner:
            self.covariances(H)

    def covariances(self, H: Covariances) -> None:
        layout, e = self.layout, self.layout.factor
        for f in layout.others:
            H.own[f] = self.H[layout.own_entries[f]]
        for pair, entries in layout.cell_entries.items():
            H.cells[pair] = self.H[entries]
        H.own[e] = self.of_largest
        flat = np.empty(len(self.HN))
        flat[layout.source] = -self._HN_with_H.ravel()
        start = 0
        for f in layout.others:
            shape = (len(self.own.H), layout.problem.q[f], len(layout.met(f)[0]))
            cells = flat[start : start + int(np.prod(shape))].reshape(shape)
            start += cells.size
            H.cells[min(e, f), max(e, f)] = cells if e < f else cells.swapaxes(0, 1)

    def variances(self, rows: list[Rows]) -> Array:
        layout, here = self.layout, rows[self.layout.factor]
        others: Rows = sparse.csr_array(
            sparse.hstack([rows[f] for f in layout.others], format="csr")
        )
        # z_2'H z_2 - 2 (HN'z)'H z_2 + z'H_ee z, where z belongs to a single level mostly
        along: Rows = sparse.csr_array(here @ layout.rows(self.HN))
        alone = _single_level(here, layout.n_levels)
        if alone is None:
            J, each = layout.n_levels, np.arange(layout.n_levels)
            within = here @ block_matrix(self.own.F.swapaxes(0, 1), each, each, (J, J))
            of_e = np.asarray(within.multiply(within).sum(axis=1)).ravel()
            of_e += self._products_through_H(along, along)
        else:
            z, level = alone
            of_e = np.einsum("ak,abk,bk->k", z, self.of_largest[..., level], z)
        crossed = self._products_through_H(along, others)
        return np.asarray(of_e + self._products_through_H(others, others) - 2 * crossed)

    def _products_through_H(self, one: Rows, two: Rows) -> Array:
        """Return the product of each row of two sparse matrices through H."""
        components = self.layout.components
        total = np.zeros(one.shape[0])
        rows = np.repeat(np.arange(one.shape[0]), np.diff(one.indptr))
        indptr = (one.indptr.astype(np.intp), two.indptr.astype(np.intp))
        for _, i, j in pairs(*indptr):
            left, right = (part.astype(np.intp) for part in (one.indices[i], two.indices[j]))
            same = components.of_column[left] == components.of_column[right]
            where = np.where(same, components.entry(left, right), 0)
            products = one.data[i] * two.data[j] * self.H[where] * same
            first, last = rows[i[0]], rows[i[-1]] + 1
            total[first:last] += np.bincount(rows[i] - first, weights=products)
        return total

    @cached_property
    def of_largest(self) -> Array:
        """H of each level of the largest factor, (q, q, J)."""
        HN = self.by_column(self.HN)
        return self.own.H + self.sums_by_level(self._HN_with_H, HN)

    @cached_property
    def _HN_with_H(self) -> Array:
        return self._times_sparse(self.by_column(self.HN))

    @cached_property
    def H_matrix(self) -> Array | sparse.csr_array:
        """H of the others over their columns; sparse if it falls into several blocks."""
        n, kinds = self.layout.n_columns, self.layout.components.kinds
        if self.layout.n_components == 1:
            columns, H = kinds[0].columns[0], np.empty((n, n))
            H[np.ix_(columns, columns)] = kinds[0].of(self.H)[0]
            return H
        parts = [
            np.broadcast_arrays(
                kind.columns[:, :, None], kind.columns[:, None], kind.of(self.H)
            )
            for kind in kinds
        ]
        i, j, H = (np.concatenate([part[k].ravel() for part in parts]) for k in range(3))
        there = np.maximum(i, j) < n  # blocks may be filled up
        return sparse.csr_array((H[there], (i[there], j[there])), shape=(n, n))

    def KN(self) -> Array:
        """Entries of K N, with a row for each random column of the largest factor."""
        K = np.repeat(self.own.K, self.layout.counts, axis=-1)
        return times(K, self.by_column(self.N)[:, None])[:, 0]

    def KN_with_H(self) -> tuple[Array, Array]:
        """Entries of K N H, where K N has some, and of K N."""
        KN = self.KN()
        return self._times_sparse(KN), KN

    def sums_by_level(self, one: Array, two: Array) -> Array:
        """Products of two sets of sparse rows by level of the largest factor, (q, q, J)."""
        J = self.layout.n_levels
        j = np.repeat(np.arange(J), self.layout.counts)
        sums = [np.bincount(j, weights=a * b, minlength=J) for a in one for b in two]
        return np.array(sums, dtype=np.float64).reshape(len(one), len(two), J)

    def _left(self, C: list[Array], B_2: Array) -> Array:
        """C_j - N_j B_2 of the largest factor."""
        C_e = C[self.layout.factor]
        product = np.asarray(self.layout.rows(self.N) @ B_2)
        q, m, J = C_e.shape
        return np.asarray(C_e - product.reshape(q, J, m).swapaxes(1, 2))

    def by_column(self, entries: Array) -> Array:
        """Entries with a row for each random column of the largest factor."""
        return entries.reshape(len(self.own.H), -1)

    def _times(self, buffer: Array, X: Array) -> Array:
        """Return the dense blocks times columns of shape (n, m)."""
        padded = np.concatenate([X, np.zeros((1, X.shape[1]))])
        product = np.empty_like(padded)
        for kind in self.layout.components.kinds:
            product[kind.columns] = np.matmul(kind.of(buffer), padded[kind.columns])
        return product[:-1]

    def _times_sparse(self, entries: Array) -> Array:
        """Return rows over the columns times H, where they have entries; shape (q_e, n)."""
        product = np.empty_like(entries)
        if self.layout.is_full:
            return self._times_full(entries)
        for some, starts, j, where in self.layout.row_pairs:
            products = entries[:, j]
            products *= self.H[where]
            product[:, some] = np.add.reduceat(products, starts, axis=1)
        return product

    def _times_full(self, entries: Array) -> Array:
        """Do that with rows that have entries in most columns."""
        layout = self.layout
        H = self.H.reshape((layout.n_columns,) * 2)
        product = np.empty(entries.size)
        # the same rows for each random column; all of them are there
        for some, (rows,) in layout.dense_rows(entries.ravel()):
            row = np.searchsorted(layout.indptr, np.arange(some.start, some.stop), "right") - 1
            product[some] = (rows @ H)[row - row[0], layout.indices[some]]
        return product.reshape(entries.shape)

    def _trace_of_largest(self) -> Array:
        """sum_j K_j N_j H N_j' K_j'."""
        if self.squares is not None:
            return np.array([[self._product_with_H(self.squares)]])
        with_H, KN = self.KN_with_H()
        return np.asarray(with_H @ KN.T)

    def _product_with_H(self, buffer: Array) -> float:
        """Sum the products of all entries with those of H, for symmetric blocks."""
        total = 0.0
        for kind, inverse in zip(self.layout.components.kinds, self.inverses, strict=True):
            products = kind.sandwich([Lambda.T for Lambda in self.Lambdas], kind.of(buffer))
            products *= inverse  # the upper triangle
            diagonal = products.reshape(len(products), -1)[:, :: products.shape[1] + 1]
            total += 2 * float(products.sum()) - float(diagonal.sum())
        return total

    def _trace_of_other(self, i: int) -> Array:
        """Sum over levels of diagonal blocks of G~ - G~ H G~ = Lam'^-1 (I - S^-1) Lam^-1."""
        layout, Lambda = self.layout, self.Lambdas[i]
        q = len(Lambda)
        if np.linalg.svd(Lambda, compute_uv=False).min() ** 2 > SMALL_PSI:
            left = np.zeros((q, q))
            for kind, inverse in zip(layout.components.kinds, self.inverses, strict=True):
                # levels without rows, which fill up blocks, have S = I
                left += len(inverse) * kind.blocks[i][2] * np.eye(q)
                upper = kind.diagonal_blocks(inverse, i)
                left -= upper + np.triu(upper, 1).T
            half = np.linalg.solve(Lambda.T, left)
            return np.asarray(np.linalg.solve(Lambda.T, half.T))
        total = np.zeros((q, q))
        for kind in layout.components.kinds:
            start, _, levels = kind.blocks[i]
            G = kind.of(self.G)
            some = G[:, :, start : start + q * levels]
            HG = np.matmul(kind.of(self.H), some)
            n, size, _ = some.shape
            shape = (n, size, q, levels)
            total += kind.diagonal_blocks(G, i)
            total -= np.einsum("nial,nibl->ab", some.reshape(shape), HG.reshape(shape))
        return total


def _single_level(rows: Rows, n_levels: int) -> tuple[Array, Positions] | None:
    """Return z, shape (q, n_rows), and the level of each row, if no row has several."""
    n, q = rows.shape[0], rows.shape[1] // n_levels
    a, level = np.divmod(rows.indices, n_levels)
    row = np.repeat(np.arange(n), np.diff(rows.indptr))
    levels = np.zeros(n, dtype=np.intp)
    levels[row] = level
    if np.any(levels[row] != level):
        return None
    z = np.zeros((q, n))
    z[a, row] = rows.data
    return z, levels


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
    """Return the upper triangles of (R'R)^-1, with zeros below."""
    if len(roots) == 1 and roots.size:
        inverse, _ = lapack.dpotri(roots[0], lower=0)
        return np.asarray(inverse[None])
    inverse = np.linalg.inv(roots)
    return np.asarray(np.triu(np.matmul(inverse, inverse.swapaxes(1, 2))))


def _solve(roots: Array, X: Array) -> Array:
    """Return (R'R)^-1 X for X of shape (n, size, m)."""
    if len(roots) == 1 and roots.size:
        return np.asarray(lapack.dpotrs(roots[0], X[0], lower=0)[0][None])
    half = np.linalg.solve(roots.swapaxes(1, 2), X)
    return np.asarray(np.linalg.solve(roots, half))


def _as_rows(C: Array) -> Array:
    """(q, m, J) as (q J, m)."""
    q, m, n_levels = C.shape
    return np.ascontiguousarray(C.swapaxes(1, 2)).reshape(q * n_levels, m)
