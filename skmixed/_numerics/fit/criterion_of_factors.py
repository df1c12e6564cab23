"""The criterion as a function of the covariance matrices of several factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._numerics.fit.criterion import ProfiledCriterion
from skmixed._numerics.fit.criterion_several_columns import inverse_root
from skmixed._numerics.fit.elimination import Eliminated as StepDone
from skmixed._numerics.fit.elimination import (
    Elimination,
    NestedStep,
    Rows,
    Step,
    nested_order,
    sum_by,
    times,
)
from skmixed._numerics.fit.elimination_dense import DenseBlocks, DenseStep
from skmixed._numerics.fit.identifiability import absorbed
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.fit.squared_blocks import squared_blocks
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import gram_by_matrix, multiply_transposed

# The Hessian, and several searches, are worth their while for so many columns.
MOST_COLUMNS = 500
# Falls of the criterion that rounding hides, as a share of it.
HIDDEN = 1e-12
# Changes E of Psi_f, symmetric, shape (n_f, q_f, q_f) for each factor f.
Directions = Sequence[Array]


class AnyElimination(Protocol):
    """What is asked of an elimination, exact or iterative: see `Elimination`."""

    @property
    def log_det(self) -> float: ...
    @property
    def parts(self) -> list[StepDone]: ...
    def reduce(self, C: Sequence[Array]) -> tuple[Array, list[Array]]: ...
    def square(self, C: Sequence[Array]) -> Array: ...
    def solve(self, reduced: list[Array]) -> list[Array]: ...
    def scores(self, reduced: list[Array], B: list[Array]) -> list[Array]: ...
    def traces(self) -> list[Array]: ...
    def covariances(self) -> list[Array]: ...
    def variances(self, rows: Sequence[Rows]) -> Array: ...


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
        return sum(step.layout.n_columns for step in self.steps if isinstance(step, DenseStep))

    @property
    def n_columns(self) -> int:
        """The same where the largest factor is eliminated first."""
        sizes = [q * J for q, J in zip(self.problem.q, self.problem.n_levels, strict=True)]
        return sum(sizes) - max(sizes)

    @property
    def is_small(self) -> bool:
        """Whether a search may take many evaluations, and the Hessian is worth its while."""
        return self.n_columns <= MOST_COLUMNS

    def hides(self, value: float) -> float:
        """Return the falls of the criterion that its errors may hide."""
        return HIDDEN * abs(value)

    @cached_property
    def largest_first(self) -> list[Step]:
        """The largest factor is eliminated, and all others are dense, nested or not."""
        if len(self.problem.q) == 1:
            return self.steps
        return [DenseStep.of(self.problem, range(len(self.problem.q)), has_inner=False)]

    @cached_property
    def seen(self) -> list[Array]:
        """Projections of the effects of each factor on those that the criterion sees.

        The others have columns in the span of X, and the criterion is the same whatever their
        variance is; it stays 0. ML counts it in log|V|, and finds that by itself.
        """
        problem = self.problem
        if not self.reml:
            return [np.eye(q) for q in problem.q]
        projections = []
        for C, G in zip(problem.C, problem.G, strict=True):
            unseen = absorbed(problem.T, C, G, problem.n)
            projections.append(np.eye(len(G)) - unseen @ np.linalg.pinv(unseen))
        return projections

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

    def __call__(
        self, Lambdas: Sequence[Array], *, largest_first: bool = False
    ) -> FactorsDerivatives:
        """Evaluate the criterion with its gradient.

        Its Hessian asks for `largest_first`.
        """
        return FactorsDerivatives(
            self.eliminate(Lambdas, invert=True, largest_first=largest_first)
        )

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
                    parts.append(times(problem.G[g], v_f))
                    continue
                cells = problem.cells[min(f, g), max(f, g)]
                values = cells.values if g < f else cells.values.swapaxes(0, 1)
                here, there = (
                    (cells.first, cells.second) if g < f else (cells.second, cells.first)
                )
                part = times(values, v_f[..., there])
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
    elimination: AnyElimination
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
    def fixed_root(self) -> Array:
        """M_XX^-1/2, lower triangular, shape (p, p)."""
        return self.root[:-1, :-1]

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
        square = self.at.elimination.square(Zw)
        return (total + total.T) / 2 - (square + square.T) / 2

    @cached_property
    def squared_blocks(self) -> dict[tuple[int, int], Array]:
        """The sum of Q_ac Q_bd over the blocks Q of Z'V^-1 Z for two factors: axes a b c d."""
        (blocks,) = self.at.elimination.parts  # the largest factor is eliminated first
        if isinstance(blocks, DenseBlocks):
            return squared_blocks(blocks)
        KG = blocks.own.KG  # of a single factor
        return {(0, 0): np.asarray(np.einsum("ack,bdk->abcd", KG, KG))}

    def expected_information(self, directions: Directions) -> tuple[Array, Array, Array]:
        """Return tr(P dV_i P dV_j) for changes of Psi_f, and D and Q of `whitened_changes`.

        With ML, P is V^-1.
        """
        total = self.traces_of_products(directions)
        D, Q = self.whitened_changes(directions)
        if self.at.criterion.reml:
            total -= 2 * np.einsum("rskk->rs", Q)
            total += np.einsum("rkl,slk->rs", D, D)
        return total, D, Q

    def traces_of_products(self, directions: Directions) -> Array:
        """Return tr(V^-1 dV_i V^-1 dV_j) for changes of Psi_f."""
        n = [len(E) for E in directions]
        ends = np.cumsum(n)
        total = np.zeros((ends[-1], ends[-1]))
        for (f, g), squares in self.squared_blocks.items():
            rows, columns = (slice(ends[i] - n[i], ends[i]) for i in (f, g))
            part = np.einsum("rab,abcd,scd->rs", directions[f], squares, directions[g])
            total[rows, columns] = part
            total[columns, rows] = part.T
        return total

    def whitened_changes(self, directions: Directions) -> tuple[Array, Array]:
        """D_r = U'E_r U, and Q_rs = U'E_r Z'V^-1 Z E_s U, with U = Z'V^-1 X M_XX^-1/2."""
        p, m = self.at.criterion.problem.p, sum(len(E) for E in directions)
        v = [
            np.einsum("rab,bmk->armk", E, U[:, :-1]).reshape(len(U), len(E) * p, U.shape[-1])
            for E, U in zip(directions, self.at.U, strict=True)
        ]
        squares = self.squares(v).reshape(m, p, m, p)
        return self.whitened_D(directions), squares.swapaxes(1, 2)

    def whitened_D(self, directions: Directions) -> Array:
        """D_r = U'E_r U alone, shape (n_directions, p, p)."""
        D = []
        for E, U in zip(directions, self.at.U, strict=True):
            EU = np.einsum("rab,bmk->armk", E, U[:, :-1])
            D.append(np.einsum("amk,arnk->rmn", U[:, :-1], EU))
        return np.concatenate(D)

    def hessian(self, directions: Directions) -> Array:
        """Second derivative of the profiled criterion in Psi_f, along directions."""
        average, t = self.average_information(directions)
        if self.at.criterion.reml:
            expected, _, _ = self.expected_information(directions)
        else:
            expected = self.traces_of_products(directions)
        # the observed information is twice the average less the expected one
        return 2 * average + np.outer(t, t) / self.at.criterion.dof - expected

    def _with_scores(self, v: Sequence[Array]) -> Array:
        """Return w'V^-1 D W' for w = Z v."""
        parts = [
            np.einsum("ark,amk->rm", v_f, U_f) for v_f, U_f in zip(v, self.at.U, strict=True)
        ]
        return np.concatenate(parts)
