"""The conditional AIC of a model with several factors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skmixed._numerics.fit.criterion_of_factors import (
    Directions,
    FactorsCriterion,
    FactorsDerivatives,
)
from skmixed._numerics.inference.conditional_aic import ConditionalAIC
from skmixed._numerics.inference.degrees_of_freedom_of_factors import tangent_of_factors
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CURVATURE_ERROR, residual_square
from skmixed._numerics.linalg.quadratic import inverse_where_curved


def conditional_aic_of_factors(
    criterion: FactorsCriterion, Lambdas: Sequence[Array]
) -> ConditionalAIC:
    """Compute the conditional AIC, corrected for the estimation of the variances.

    As `conditional_aic.conditional_aic` for one factor. A change E of one Psi_f moves Psi_f u_f
    by v = E u_f - Psi_f m_f and that of each other factor g by -Psi_g m_g, with

        m = Z'P Z_f E u_f = Z'V^-1 Z_f E u_f - U U_f' E u_f

    over the levels of all factors; a is what b / sigma moves by.

    Parameters
    ----------
    criterion : FactorsCriterion
        The moments and the method.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Factors of the Psi_f that minimise it; a column is exactly 0 for each direction without
        variance.

    Returns
    -------
    ConditionalAIC
    """
    problem = criterion.problem
    if criterion.is_perfect:
        return ConditionalAIC(-np.inf, float(problem.p), float(problem.p))
    of = criterion(Lambdas, largest_first=True)
    Psi = [Lambda @ Lambda.T for Lambda in Lambdas]
    E, H = tangent_of_factors(of, Lambdas)
    fixed_psi = float(problem.p)
    uPsiu = 0.0
    for Psi_f, N, U in zip(Psi, of.at.elimination.traces(), of.at.U, strict=True):
        UU = np.einsum("apk,bpk->pab", U, U)
        fixed_psi += float(np.sum(Psi_f * (N - UU[:-1].sum(axis=0))))
        uPsiu += float(np.sum(Psi_f * UU[-1]))
    follow = 0.0
    if len(H):
        K = _following(of, Psi, E)
        follow = 2 * float(np.sum(inverse_where_curved(H, CURVATURE_ERROR) * K))
    # (y - y^)'W(y - y^) / sigma2 = dof - u'Psi u
    sigma2 = float(residual_square(of.at.M)) / criterion.dof * problem.coordinates.y_scale**2
    deviance = problem.n * np.log(2 * np.pi * sigma2) + criterion.dof - uPsiu
    return ConditionalAIC(float(deviance), fixed_psi + follow, fixed_psi)


def _following(of: FactorsDerivatives, Psi: Sequence[Array], E: Directions) -> Array:
    """K_st = m_s'a_t - (u'E_s u) (u'a_t) / dof, summed over the levels of all factors."""
    # axes: s t for directions here, a b for random columns, p for those of X, k for levels
    U, criterion = of.at.U, of.at.criterion
    v = [np.einsum("sab,bk->ask", E_f, U_f[:, -1]) for E_f, U_f in zip(E, U, strict=True)]
    UEu = np.concatenate(
        [np.einsum("ask,apk->sp", v_f, U_f) for v_f, U_f in zip(v, U, strict=True)]
    )
    elimination = of.at.elimination
    _, reduced = elimination.reduce(criterion.times_Z(v))
    N_v = elimination.scores(reduced, elimination.solve(reduced))
    K, ua, first = np.zeros((len(UEu), len(UEu))), np.zeros(len(UEu)), 0
    for Psi_f, N_vf, U_f, v_f in zip(Psi, N_v, U, v, strict=True):
        m = N_vf - np.einsum("apk,sp->ask", U_f[:, :-1], UEu[:, :-1])
        a = -np.einsum("ab,bsk->ask", Psi_f, m)
        a[:, first : first + v_f.shape[1]] += v_f
        first += v_f.shape[1]
        K += np.einsum("ask,atk->st", m, a)
        ua += np.einsum("ak,ask->s", U_f[:, -1], a)
    return K - np.outer(UEu[:, -1], ua) / criterion.dof
