"""The criterion as a function of the covariance matrices of several factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._numerics.fit.criterion import ProfiledCriterion
from skmixed._numerics.fit.criterion_several_columns import inverse_root
from skmixed._numerics.fit.elimination import (
    Elimination,
    NestedStep,
    Step,
    nested_order,
    sum_by,
)
from skmixed._numerics.fit.elimination_dense import DenseStep
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import gram_by_matrix, multiply_transposed

# Changes E of Psi_f, symmetric, shape (n_f, q_f, q_f) for each factor f.
Directions = Sequence[Array]


@dataclass(frozen=True)
class FactorsCriterion(ProfiledCriterion):
    """REML or ML criterion of a model with several factors, profiled to their Psi_f.

    Psi_f enters as any factor, Psi_f = Lambda_f Lambda_f'.

    Attributes
    ----------
    problem : FactorsProblem
        Moments of the model.
    reml : bool
        Restricted maximum likelihood if true, else maximum likelihood.
    """

    problem: FactorsProblem

    @cached_property
    def steps(self) -> list[Step]:
        """The order of elimination."""
        nested, left = nested_order(self.problem)
        steps: list[Step] = []
        for i, e in enumerate(nested):
            steps.append(NestedStep.of(self.problem, e, sorted([*nested[i + 1 :], *left])))
        if left:
            steps.append(DenseStep.of(self.problem, left, has_inner=bool(nested)))
        return steps

    @property
    def n_dense(self) -> int:
        """Number of columns that are left in dense blocks."""
        return sum(step.n_columns for step in self.steps if isinstance(step, DenseStep))

    @cached_property
    def largest_first(self) -> list[Step]:
        """The largest factor is eliminated, and all others are dense, nested or not."""
        return [DenseStep.of(self.problem, range(len(self.problem.q)), has_inner=False)]

    def eliminate(
        self, Lambdas: Sequence[Array], *, invert: bool = False, largest_first: bool = False
    ) -> Eliminated:
        """Eliminate the random effects; `invert` prepares for derivatives and variances."""
        steps = self.largest_first if largest_first else self.steps
        elimination = Elimination.at(self.problem, steps, Lambdas, invert=invert)
        square, reduced = elimination.reduce(self.problem.C)
        return Eliminated(self, elimination, self.problem.T - square, reduced)

    def value(self, Lambdas: Sequence[Array]) -> float:
        """Return the criterion alone."""
        return self.eliminate(Lambdas).value

    def __call__(self, Lambdas: Sequence[Array]) -> FactorsDerivatives:
        """Evaluate the criterion with its gradient."""
        return FactorsDerivatives(self.eliminate(Lambdas, invert=True))

    def times_Z(self, v: Sequence[Array]) -> list[Array]:
        """Return Z_g'W Z v for v over all levels, shapes (q_f, m_f, J_f).

        The columns of v belong to one factor each; there are as many of all in what comes
        back, shapes (q_g, sum of m_f, J_g).
        """
        problem = self.problem
        products = []
        for g, J in enumerate(problem.n_levels):
            parts = []
            for f, v_f in enumerate(v):
                if f == g:
                    parts.append(np.einsum("abk,bmk->amk", problem.G[g], v_f))
                    continue
                cells = problem.cells[min(f, g), max(f, g)]
                values = cells.values if g < f else cells.values.swapaxes(0, 1)
                here, there = (
                    (cells.first, cells.second) if g < f else (cells.second, cells.first)
                )
                part = np.einsum("abk,bmk->amk", values, v_f[..., there])
                parts.append(sum_by(here, part, J))
            products.append(np.concatenate(parts, axis=1))
        return products


@dataclass(frozen=True)
class Eliminated:
    """The random effects eliminated at given Lambda.

    Attributes
    ----------
    elimination : Elimination
        What solves for them.
    M : ndarray of shape (p + 1, p + 1)
        D' V^-1 D.
    reduced : list of ndarray
        The columns of D, reduced step by step.
    """

    criterion: FactorsCriterion
    elimination: Elimination
    M: Array
    reduced: list[Array]

    @cached_property
    def _root(self) -> tuple[Array, float, float]:
        return inverse_root(self.M)

    @property
    def root(self) -> Array:
        """W with [U, u]' = W [Delta_X, Delta_y]'; its first p rows are M_XX^-1/2."""
        root, _, r2 = self._root
        scaled = root.copy()
        scaled[-1] *= np.sqrt(self.criterion.dof / r2)
        return scaled

    @property
    def value(self) -> float:
        """The criterion."""
        _, log_det_XX, r2 = self._root
        value = self.criterion.combine(self.elimination.log_det, log_det_XX, np.asarray(r2))
        return float(value) if np.isfinite(value) else np.inf

    @cached_property
    def B(self) -> list[Array]:
        """H Z'W D, shapes (q_f, p + 1, J_f)."""
        return self.elimination.solve(self.reduced)

    @cached_property
    def U(self) -> list[Array]:
        """[U, u] = Z'V^-1 D W', shapes (q_f, p + 1, J_f)."""
        scores = self.elimination.scores(self.reduced, self.B)
        return [multiply_transposed(np.ascontiguousarray(part), self.root) for part in scores]


@dataclass(frozen=True)
class FactorsDerivatives:
    """The criterion at given Lambda, and its derivatives in Psi_f.

    Attributes
    ----------
    at : Eliminated
        The random effects eliminated.
    """

    at: Eliminated

    @property
    def value(self) -> float:
        """The criterion."""
        return self.at.value

    @cached_property
    def S(self) -> list[Array]:
        """Gradient: the criterion changes by <S_f, E> for a symmetric change E of Psi_f."""
        reml = self.at.criterion.reml
        counted = slice(None) if reml else slice(-1, None)
        S = []
        for trace, U in zip(self.at.elimination.traces(), self.at.U, strict=True):
            Q = gram_by_matrix(U[:, counted].swapaxes(0, 1)).sum(axis=-1)
            S.append(trace - Q)
        return S

    def average_information(self, directions: Directions) -> tuple[Array, Array]:
        """Return twice the average of observed and expected information, and t.

        With w_i = Z E_i u, it is w_i'P w_j - t_i t_j / dof, and t_i = u'E_i u is how r2
        changes, over -sigma2.
        """
        u = [U[:, -1] for U in self.at.U]
        v = [np.einsum("rab,bk->ark", E, u_f) for E, u_f in zip(directions, u, strict=True)]
        square = self.squares(v)
        crossed = self._with_scores(v)
        b, t = crossed[:, :-1], crossed[:, -1]
        information = square - b @ b.T - np.outer(t, t) / self.at.criterion.dof
        return information, t

    def squares(self, v: Sequence[Array]) -> Array:
        """Return w'V^-1 w for w = Z v, of columns v with shapes (q_f, m_f, J_f)."""
        Zw = self.at.criterion.times_Z(v)
        ends = np.cumsum([part.shape[1] for part in v])
        total = np.zeros((ends[-1], ends[-1]))
        for v_f, Zw_f, end in zip(v, Zw, ends, strict=True):
            total[end - v_f.shape[1] : end] = np.einsum("ark,ask->rs", v_f, Zw_f)
        square, _ = self.at.elimination.reduce(Zw)
        return (total + total.T) / 2 - (square + square.T) / 2

    def _with_scores(self, v: Sequence[Array]) -> Array:
        """Return w'V^-1 D W' for w = Z v."""
        parts = [
            np.einsum("ark,amk->rm", v_f, U_f) for v_f, U_f in zip(v, self.at.U, strict=True)
        ]
        return np.concatenate(parts)
