"""Akaike's criterion for the groups at hand: conditional on their random effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.criterion_several_columns import (
    CovarianceCriterion,
    CovarianceDerivatives,
)
from skmixed._numerics.inference.degrees_of_freedom import tangent
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CURVATURE_ERROR
from skmixed._numerics.linalg.quadratic import inverse_where_curved


@dataclass(frozen=True)
class ConditionalAIC:
    """The conditional AIC and what it is made of.

    Attributes
    ----------
    deviance : float
        -2 log f(y | beta, b, sigma2), the density of y given the predicted random effects;
        -inf for a perfect fit.
    dof : float
        Effective degrees of freedom, rho = tr(d y^ / d y), by which the fitted values follow
        y while Psi is estimated from it.
    dof_fixed_psi : float
        The same with Psi held: the trace of the matrix that turns y into y^.
    """

    deviance: float
    dof: float
    dof_fixed_psi: float

    @property
    def value(self) -> float:
        """Deviance + 2 (rho + 1), the one for sigma2."""
        return self.deviance + 2 * (self.dof + 1)


def conditional_aic(criterion: Criterion, Lambda: Array) -> ConditionalAIC:
    """Compute the conditional AIC, corrected for the estimation of the variances.

    Let u_j = Z_j' P y / sigma and U_j = Delta_jX M_XX^-1/2, so that y - y^ = W^-1 P y and
    b_j = sigma Psi u_j. A change E of Psi moves u by -m(E) and y^ by h(E) = W^-1 P Z E Z' P y,
    where

        m(E)_j = N_j E u_j - U_j sum_k U_k' E u_k,  a(E)_j = E u_j - Psi m(E)_j,
        h(E)' W h(F) = sigma2 sum_j m(E)_j' a(F)_j,
        (y - y^)' W h(F) = sigma2 sum_j u_j' a(F)_j,

    since P W^-1 P = P - P Z Psi Z' P. As y changes, Psi moves along the directions E_s of
    `tangent` so that the slope of the profiled criterion stays zero. With H its second
    derivatives in these directions,

        rho = rho_0 + 2 tr(H^-1 K),  rho_0 = p + <Psi, sum_j N_j - U_j U_j'>,
        K_st = sum_j m(E_s)_j' a(E_t)_j - (sum_j u_j' E_s u_j) (sum_j u_j' a(E_t)_j) / dof.

    Parameters
    ----------
    criterion : Criterion
        The moments and the method.
    Lambda : ndarray of shape (q, q)
        The relative covariance factor that minimises the criterion, in the coordinates of
        the problem; a column is exactly 0 for each direction without variance.

    Returns
    -------
    ConditionalAIC

    Notes
    -----
    rho is what refits of y moved row by row give. The R package cAIC4 (1.0) has half the last
    term of K in its default, analytic method, not in its numeric one, and differs a little:
    31.30 for rho + 1 where this gives 31.25, on lme4's sleepstudy with a random slope.

    References
    ----------
    Greven, S. and Kneib, T. (2010). On the behaviour of marginal and conditional AIC in
    linear mixed models. Biometrika, 97, 773-789. doi:10.1093/biomet/asq042
    """
    problem, Psi = criterion.problem, Lambda @ Lambda.T
    if criterion.is_perfect:
        return ConditionalAIC(-np.inf, float(problem.p), float(problem.p))
    criterion = CovarianceCriterion(problem, criterion.reml)
    derivatives = criterion(Lambda)
    E, H = tangent(Lambda, derivatives, diagonal=problem.diagonal)
    N, K = _sums(criterion, Lambda, derivatives, E)
    # sum_j U_j U_j' and sum_j u_j u_j'
    UU, uu = np.einsum("abkk->ab", derivatives.UU[..., :-1, :-1]), derivatives.UU[..., -1, -1]
    fixed_psi = problem.p + float(np.sum(Psi * (N - UU)))
    follow = 2 * float(np.sum(inverse_where_curved(H, CURVATURE_ERROR) * K))
    # (y - y^)'W(y - y^) / sigma2 = dof - sum_j u_j' Psi u_j
    sigma2 = (problem.coordinates.y_scale / derivatives.root[-1, -1]) ** 2
    deviance = problem.n * np.log(2 * np.pi * sigma2) + criterion.dof - np.sum(Psi * uu)
    return ConditionalAIC(float(deviance), fixed_psi + follow, fixed_psi)


def _sums(
    criterion: CovarianceCriterion, Lambda: Array, derivatives: CovarianceDerivatives, E: Array
) -> tuple[Array, Array]:
    """Add up N and K over groups."""
    Psi, N_sum = Lambda @ Lambda.T, np.zeros_like(Lambda)
    UEu = np.einsum("abk,sab->ks", derivatives.UU[..., :-1, -1], E)
    uEu = np.einsum("ab,sab->s", derivatives.UU[..., -1, -1], E)
    K = np.zeros((len(E), len(E)))
    for N, Delta in criterion.projections(Lambda):
        # axes: s for directions here, a b for random columns, k for columns of X, j for groups
        U = np.matmul(derivatives.root, Delta)  # u is its last row
        Eu = np.tensordot(E, U[:, -1], axes=1)
        m = np.einsum("abj,sbj->saj", N, Eu) - np.einsum("akj,ks->saj", U[:, :-1], UEu)
        a = Eu - np.einsum("ab,sbj->saj", Psi, m)
        K += np.tensordot(m, a, axes=((1, 2), (1, 2)))
        K -= np.outer(uEu, np.tensordot(a, U[:, -1], axes=2)) / criterion.dof
        N_sum += N.sum(axis=-1)
    return N_sum, K
