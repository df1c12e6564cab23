"""How far the variances of several factors can be trusted: degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag

from skmixed._numerics.fit.criterion_of_factors import (
    Directions,
    FactorsCriterion,
    FactorsDerivatives,
)
from skmixed._numerics.fit.elimination_dense import DenseBlocks
from skmixed._numerics.fit.factor import Factor, changes_of_psi, free_entries
from skmixed._numerics.inference.degrees_of_freedom import (
    VarianceUncertainty,
    df_of_variance,
    kenward_roger_of,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import GRAM_ERROR
from skmixed._numerics.linalg.quadratic import inverse_where_curved


@dataclass(frozen=True)
class FactorsInformation:
    """What the criterion says of the covariances of several factors at given Lambda.

    Attributes
    ----------
    criterion : FactorsCriterion
        The moments and the method.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Any factors of Psi_f.
    """

    criterion: FactorsCriterion
    Lambdas: Sequence[Array]

    @cached_property
    def derivatives(self) -> FactorsDerivatives:
        """The criterion, the largest factor eliminated first."""
        return FactorsDerivatives(self.criterion.eliminate(self.Lambdas, invert=True, largest_first=True))

    @cached_property
    def traces(self) -> dict[tuple[int, int], Array]:
        """sum Q_ac Q_bd over the blocks Q of Z'V^-1 Z for two factors: axes a b c d."""
        (blocks,) = self.derivatives.at.elimination.parts
        assert isinstance(blocks, DenseBlocks)
        return blocks.squared_blocks()

    def expected(self, directions: Directions) -> tuple[Array, Array, Array]:
        """Return tr(P dV_i P dV_j) for changes of Psi_f, and D and Q of `VarianceUncertainty`.

        With ML, P is V^-1.
        """
        n = [len(E) for E in directions]
        ends = np.cumsum(n)
        total = np.zeros((ends[-1], ends[-1]))
        for (f, g), trace in self.traces.items():
            rows, columns = (slice(ends[i] - n[i], ends[i]) for i in (f, g))
            part = np.einsum("rab,abcd,scd->rs", directions[f], trace, directions[g])
            total[rows, columns] = part
            total[columns, rows] = part.T
        D, Q = self.whitened_changes(directions)
        if self.criterion.reml:
            total -= 2 * np.einsum("rskk->rs", Q)
            total += np.einsum("rkl,slk->rs", D, D)
        return total, D, Q

    def whitened_changes(self, directions: Directions) -> tuple[Array, Array]:
        """D_r = U'E_r U, and Q_rs = U'E_r Z'V^-1 Z E_s U, with U = Z'V^-1 X M_XX^-1/2."""
        p = self.criterion.problem.p
        D, v = [], []
        for E, U in zip(directions, self.derivatives.at.U, strict=True):
            EU = np.einsum("rab,bmk->armk", E, U[:, :-1])
            D.append(np.einsum("amk,arnk->rmn", U[:, :-1], EU))
            v.append(EU.reshape(len(U), len(E) * p, U.shape[-1]))
        m = sum(len(E) for E in directions)
        squares = self.derivatives.squares(v).reshape(m, p, m, p)
        return np.concatenate(D), squares.swapaxes(1, 2)

    def hessian(self, directions: Directions) -> Array:
        """Second derivative of the profiled criterion in Psi_f, along directions."""
        average, t = self.derivatives.average_information(directions)
        expected, _, _ = self.expected(directions)
        # the observed information is twice the average less the expected one
        return 2 * average + np.outer(t, t) / self.criterion.dof - expected


def satterthwaite_of_factors(
    criterion: FactorsCriterion, Lambdas: Sequence[Array], contrasts: Array
) -> Array:
    """Degrees of freedom of contrasts of the fixed effects, by Satterthwaite's method.

    As `degrees_of_freedom.satterthwaite` for one factor: 1 / df = v' H^-1 v + 1 / dof.

    Parameters
    ----------
    criterion : FactorsCriterion
        The moments and the method.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Any factors of Psi_f at the optimum.
    contrasts : ndarray of shape (k, p)
        In the coordinates of the problem.

    Returns
    -------
    ndarray of shape (k,)
        Between 0 and the residual degrees of freedom.
    """
    of = FactorsInformation(criterion, Lambdas)
    directions, bends = [], []
    for Lambda, S, diagonal in zip(
        Lambdas, of.derivatives.S, criterion.problem.diagonal, strict=True
    ):
        factor = Factor.of_lambda(Lambda, diagonal=diagonal)
        rows, columns = free_entries(len(Lambda), diagonal=diagonal)
        varies = factor.scale[columns] > 0  # a column of zeros does not move
        entries = rows[varies], columns[varies]
        directions.append(factor.directions(entries))
        bends.append(factor.second_changes(S, entries))
    H = of.hessian(directions) + block_diag(*bends)
    D, _ = of.whitened_changes(directions)
    _, t = of.derivatives.average_information(directions)
    return df_of_variance(of.derivatives.at.root[:-1, :-1], contrasts, D, t, H, criterion.dof)


def kenward_roger_of_factors(
    criterion: FactorsCriterion, Lambdas: Sequence[Array], contrasts: Array
) -> tuple[Array, Array]:
    """Degrees of freedom and variances of contrasts, by Kenward and Roger's method.

    Parameters and returns are those of `degrees_of_freedom.kenward_roger`, but for a Lambda
    of each factor.
    """
    uncertainty = variance_uncertainty(criterion, Lambdas)
    return kenward_roger_of(uncertainty, contrasts)


def variance_uncertainty(
    criterion: FactorsCriterion, Lambdas: Sequence[Array]
) -> VarianceUncertainty:
    """Return the covariance of the estimated variance components of all factors.

    The directions are those of the factors, one after the other; `E` is a block matrix.
    """
    of, problem = FactorsInformation(criterion, Lambdas), criterion.problem
    directions = [
        changes_of_psi(q, diagonal=diagonal)
        for q, diagonal in zip(problem.q, problem.diagonal, strict=True)
    ]
    of_psi, D, Q = of.expected(directions)
    traces = of.derivatives.at.elimination.traces()
    # with the covariance of y for E_s: tr(E_r N) - tr(D_r)
    with_sigma = np.concatenate(
        [np.einsum("rab,ab->r", E, N) for E, N in zip(directions, traces, strict=True)]
    ) - np.einsum("rkk->r", D)
    information = np.block(
        [[of_psi, with_sigma[:, None]], [with_sigma, problem.n - problem.p]]
    )
    A = 2 * inverse_where_curved(information, GRAM_ERROR)
    E = np.array(
        [
            block_diag(*(one if f == g else np.zeros((q, q)) for g, q in enumerate(problem.q)))
            for f, some in enumerate(directions)
            for one in some
        ]
    )
    return VarianceUncertainty(E, A, D, Q, of.derivatives.at.root[:-1, :-1])
