"""The distribution of the moments of y in a model with several factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion
from skmixed._numerics.fit.dense_layout import DenseLayout
from skmixed._numerics.fit.elimination import Remainder, times
from skmixed._numerics.fit.elimination_dense import DenseStep
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.inference.bootstrap import degrees_of_freedom, root_of_scatter
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import NULL_EIGENVALUE, NULL_SQUARE
from skmixed._numerics.linalg.small_matrices import (
    cholesky_semidefinite,
    gram,
    gram_by_matrix,
    solve_lower,
)


@dataclass(frozen=True)
class FactorsSampler:
    """The distribution of the moments of y given X, at beta, sigma2 and all Psi_f.

    y = X beta + Z b + e. Random effects are drawn as they are, and Z'W Z b follows. Of e only
    its coordinates in an orthonormal basis of the columns of [Z, X] are drawn, of which the
    moments are linear functions, and the squares that these leave:

        Z_e = Q_e S'                 the largest factor, level by level, as for one factor,
        Z_2 less its part in Q_e = Q_2 A^1/2 D      A = D^-1 G~ D^-1, in blocks,
        X   less its part in both = Q_X R'

    A has directions without variance, since dummies of all factors have the ones in common. Its
    symmetric root does not depend on how these are chosen.

    Attributes
    ----------
    criterion : FactorsCriterion
        Moments of X, and the coordinates.
    beta : ndarray of shape (p,)
        Fixed effects.
    sigma : float
        Residual standard deviation.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Relative covariance factors.
    largest : _Largest
        The basis Q_e.
    others : _Others
        The basis Q_2.
    root_within : ndarray of shape (p, rank)
        R.
    dof : float
        n less the ranks of all three.
    """

    criterion: FactorsCriterion
    beta: Array
    sigma: float
    Lambdas: Sequence[Array]
    largest: _Largest
    others: _Others
    root_within: Array
    dof: float

    @classmethod
    def from_fit(
        cls, criterion: FactorsCriterion, Lambdas: Sequence[Array], *, n_rows: int
    ) -> FactorsSampler:
        """Take beta and sigma2 as estimated at Lambdas."""
        problem = criterion.problem
        beta, sigma2 = criterion.coefficients(criterion.eliminate(Lambdas).M)
        (step,) = criterion.largest_first
        assert isinstance(step, DenseStep)  # there are several factors
        largest = _Largest.of(problem, step.layout)
        others = _Others.of(problem, step, largest)
        within = problem.T[:-1, :-1] - largest.squares - others.squares
        root_within = root_of_scatter(within, np.diag(problem.T)[:-1])
        ranks = largest.rank + others.rank + root_within.shape[1]
        dof = degrees_of_freedom(problem.n, n_rows, ranks)
        return cls(criterion, beta, np.sqrt(sigma2), Lambdas, largest, others, root_within, dof)

    def draw(self, rng: np.random.Generator) -> FactorsProblem:
        """Draw the moments of y; those of X stay."""
        problem, beta = self.criterion.problem, self.beta
        b = [
            self.sigma * Lambda @ rng.standard_normal((len(Lambda), J))
            for Lambda, J in zip(self.Lambdas, problem.n_levels, strict=True)
        ]
        # the random effects, and the fixed ones, in Z'W y, X'W y and y'W y
        ZZb = [part.sum(axis=1) for part in self.criterion.times_Z([b_f[:, None] for b_f in b])]
        XZb = sum(
            np.einsum("apk,ak->p", C[:, :-1], b_f) for C, b_f in zip(problem.C, b, strict=True)
        )
        Ze, Xe, ee = self._residuals(rng)
        Zr = [ZZb_f + Ze_f for ZZb_f, Ze_f in zip(ZZb, Ze, strict=True)]
        Xr = XZb + Xe
        rr = ee + sum(
            float(np.sum(b_f * (ZZb_f + 2 * Ze_f)))
            for b_f, ZZb_f, Ze_f in zip(b, ZZb, Ze, strict=True)
        )
        T, fitted = problem.T.copy(), problem.T[:-1, :-1] @ beta
        T[-1, :-1] = T[:-1, -1] = fitted + Xr
        T[-1, -1] = beta @ fitted + 2 * beta @ Xr + rr
        C = []
        for C_f, Zr_f in zip(problem.C, Zr, strict=True):
            drawn = C_f.copy()
            drawn[:, -1] = np.einsum("apk,p->ak", C_f[:, :-1], beta) + Zr_f
            C.append(drawn)
        return replace(problem, T=T, C=tuple(C))

    def _residuals(self, rng: np.random.Generator) -> tuple[list[Array], Array, float]:
        """Draw Z'W e of each factor, X'W e and e'W e."""
        largest, others = self.largest, self.others
        v_e = self.sigma * rng.standard_normal(largest.S.shape[1:]) * largest.there
        v_2, square = others.project(self.sigma * rng.standard_normal(others.n_columns))
        t = self.sigma * rng.standard_normal(self.root_within.shape[1])
        s = self.sigma**2 * 2 * rng.standard_gamma(self.dof / 2)  # chi2; dof may be 0
        weights = np.einsum("rak,rk->ak", largest.F, v_e)  # Q_e v_e = Z_e F'v_e
        Ze = others.unstack(largest.N.T @ weights.ravel() + others.times_root(v_2))
        Ze[largest.factor] = np.einsum("ark,rk->ak", largest.S, v_e)
        Xe = np.einsum("apk,ak->p", largest.C, weights)
        Xe += others.C.T @ others.times_inverse(v_2) + self.root_within @ t
        squares = np.sum(v_e**2) + square + np.sum(t**2) + s
        return [Ze[f] for f in range(len(Ze))], Xe, float(squares)


@dataclass(frozen=True)
class _Largest:
    """Q_e, an orthonormal basis of the columns of the factor that is eliminated first.

    Attributes
    ----------
    factor : int
        Its position.
    S : ndarray of shape (q, q, J)
        Lower roots of G_j; columns are 0 for random columns that depend on those before.
    there : ndarray of shape (q, J)
        Where they are not.
    F : ndarray of shape (q, q, J)
        Q_j = Z_j F_j', with rows of zeros likewise.
    C : ndarray of shape (q, p, J)
        Z_j'W X.
    N : csr_array
        Z_e'W Z_2, rows (a, j) over the columns of the others.
    """

    factor: int
    S: Array
    there: NDArray[np.bool_]
    F: Array
    C: Array
    N: sparse.csr_array[Any]

    @classmethod
    def of(cls, problem: FactorsProblem, layout: DenseLayout) -> _Largest:
        e = layout.factor
        G = problem.G[e]
        S = cholesky_semidefinite(G, NULL_SQUARE * np.einsum("aak->ak", G))
        there = np.einsum("aak->ak", S) > 0
        whole = S + np.eye(len(S))[..., None] * ~there
        identity = np.repeat(np.eye(len(S))[..., None], S.shape[-1], axis=-1)
        F = solve_lower(whole, identity) * there[:, None]
        left = Remainder.of(problem)
        cells = [left.between(e, f) for f in layout.others]
        N = layout.rows(layout.gather(cells))
        return cls(e, S, there, F, problem.C[e][:, :-1], N)

    @property
    def rank(self) -> int:
        return int(np.count_nonzero(self.there))

    @cached_property
    def H(self) -> Array:
        """F'F, an inverse of G where there is one."""
        return gram_by_matrix(self.F)

    @cached_property
    def squares(self) -> Array:
        """X'W Q_e Q_e'W X."""
        return gram(times(self.F, self.C))


@dataclass(frozen=True)
class _Others:
    """Q_2, an orthonormal basis of what the largest factor leaves of the columns of the others.

    Attributes
    ----------
    layout : DenseLayout
        Where the columns are.
    D : ndarray of shape (n_columns,)
        Lengths of the columns.
    roots, inverses : list of ndarray of shape (n_components, size, size)
        A^1/2, and its inverse where A varies, for each kind of components.
    rank : int
        Number of directions in which it does.
    C : ndarray of shape (n_columns, p)
        What the largest factor leaves of Z_2'W X.
    """

    layout: DenseLayout
    D: Array
    roots: list[Array]
    inverses: list[Array]
    rank: int
    C: Array

    @classmethod
    def of(cls, problem: FactorsProblem, step: DenseStep, largest: _Largest) -> _Others:
        layout = step.layout
        left = Remainder.of(problem)
        cells = {f: left.between(largest.factor, f) for f in layout.others}
        H = [times(largest.H[..., layout.met(f)[0]], cells[f]) for f in layout.others]
        N = layout.gather([cells[f] for f in layout.others])
        G = -layout.products(N, layout.gather(H))
        step.add_cross_products(G, left)
        lengths = [np.sqrt(np.einsum("aak->ak", problem.G[f])).ravel() for f in layout.others]
        D = np.maximum(np.concatenate(lengths), np.finfo(np.float64).tiny)
        padded = np.append(D, 1.0)
        roots, inverses, rank = [], [], 0
        for kind in layout.components.kinds:
            size = padded[kind.columns]
            values, V = np.linalg.eigh(kind.of(G) / size[:, :, None] / size[:, None])
            there = values > NULL_EIGENVALUE
            root = np.sqrt(np.where(there, values, 0.0))
            inverse = np.divide(1.0, root, out=np.zeros_like(root), where=there)
            roots.append((V * root[:, None]) @ V.swapaxes(1, 2))
            inverses.append((V * inverse[:, None]) @ V.swapaxes(1, 2))
            rank += int(np.count_nonzero(there))
        HC = times(largest.H, largest.C)
        C = layout.stack([C_f[:, :-1] for C_f in problem.C])
        C = C - largest.N.T @ HC.swapaxes(1, 2).reshape(-1, C.shape[1])
        return cls(layout, D, roots, inverses, rank, C)

    @property
    def n_columns(self) -> int:
        return self.layout.n_columns

    @cached_property
    def squares(self) -> Array:
        """X'W Q_2 Q_2'W X."""
        half = self._times(self.inverses, self.C / self.D[:, None])
        return half.T @ half

    def project(self, v: Array) -> tuple[Array, float]:
        """Project on the directions in which A varies; return the square, too."""
        projected = self._times(self.roots, self._times(self.inverses, v[:, None]))[:, 0]
        return projected, float(projected @ projected)

    def times_root(self, v: Array) -> Array:
        """Z_2'W Q_2 v, less what is in Q_e."""
        return self.D * self._times(self.roots, v[:, None])[:, 0]

    def times_inverse(self, v: Array) -> Array:
        """Return x with C'x = X'W Q_2 v."""
        return self._times(self.inverses, v[:, None])[:, 0] / self.D

    def unstack(self, stacked: Array) -> dict[int, Array]:
        """Values of the columns by factor, shapes (q_f, J_f)."""
        column = stacked[:, None]
        return {f: self.layout.unstack(column, f)[:, 0] for f in self.layout.others}

    def _times(self, blocks: list[Array], X: Array) -> Array:
        padded = np.concatenate([X, np.zeros((1, X.shape[1]))])
        product = np.empty_like(padded)
        for kind, some in zip(self.layout.components.kinds, blocks, strict=True):
            product[kind.columns] = np.matmul(some, padded[kind.columns])
        return product[:-1]
