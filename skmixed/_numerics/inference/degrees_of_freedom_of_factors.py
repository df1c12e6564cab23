"""How far the variances of several factors can be trusted: degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import block_diag

from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion, FactorsDerivatives
from skmixed._numerics.fit.factor import Factor, changes_of_psi, free_entries
from skmixed._numerics.inference.degrees_of_freedom import (
    VarianceUncertainty,
    df_of_variance,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import GRAM_ERROR
from skmixed._numerics.linalg.quadratic import inverse_where_curved


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
    of = criterion(Lambdas, largest_first=True)
    directions, H = tangent_of_factors(of, Lambdas)
    if not len(H):  # nothing varies but the residuals
        return np.full(len(contrasts), criterion.dof)
    D = of.whitened_D(directions)
    _, t = of.average_information(directions)
    return df_of_variance(of.at.root[:-1, :-1], contrasts, D, t, H, criterion.dof)


def tangent_of_factors(
    of: FactorsDerivatives, Lambdas: Sequence[Array]
) -> tuple[list[Array], Array]:
    """Directions in which each Psi_f can move, and the Hessian of the criterion along all.

    As `degrees_of_freedom.tangent` for one factor: a direction in which the random effects do
    not vary stays so.
    """
    directions, bends = [], []
    parts = zip(Lambdas, of.S, of.at.criterion.problem.diagonal, strict=True)
    for Lambda, S, diagonal in parts:
        factor = Factor.of_lambda(Lambda, diagonal=diagonal)
        rows, columns = free_entries(len(Lambda), diagonal=diagonal)
        varies = factor.scale[columns] > 0  # a column of zeros does not move
        entries = rows[varies], columns[varies]
        directions.append(factor.directions(entries))
        bends.append(factor.second_changes(S, entries))
    if not any(map(len, directions)):
        return directions, np.zeros((0, 0))
    return directions, of.hessian(directions) + block_diag(*bends)


def variance_uncertainty(
    criterion: FactorsCriterion, Lambdas: Sequence[Array]
) -> VarianceUncertainty:
    """Return the covariance of the estimated variance components of all factors.

    The directions are those of the factors, one after the other; `E` is a block matrix.
    """
    of, problem = criterion(Lambdas, largest_first=True), criterion.problem
    directions = [
        changes_of_psi(q, diagonal=diagonal)
        for q, diagonal in zip(problem.q, problem.diagonal, strict=True)
    ]
    of_psi, D, Q = of.expected_information(directions)
    traces = of.at.elimination.traces()
    # with the covariance of y for E_s: tr(E_r N) - tr(D_r)
    with_sigma = np.concatenate(
        [np.einsum("rab,ab->r", E, N) for E, N in zip(directions, traces, strict=True)]
    ) - np.einsum("rkk->r", D)
    information = np.block([[of_psi, with_sigma[:, None]], [with_sigma, problem.n - problem.p]])
    A = 2 * inverse_where_curved(information, GRAM_ERROR)
    E = np.array(
        [
            block_diag(*(one if f == g else np.zeros((q, q)) for g, q in enumerate(problem.q)))
            for f, some in enumerate(directions)
            for one in some
        ]
    )
    return VarianceUncertainty(E, A, D, Q, of.at.root[:-1, :-1])
