"""How far estimated variances can be trusted, and what that does to the fixed effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.fit.criterion_several_columns import (
    CovarianceCriterion,
    CovarianceDerivatives,
)
from skmixed._numerics.fit.factor import Factor, changes_of_psi, free_entries
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CURVATURE_ERROR, GRAM_ERROR
from skmixed._numerics.linalg.quadratic import inverse_where_curved


def satterthwaite(criterion: CovarianceCriterion, Lambda: Array, contrasts: Array) -> Array:
    """Degrees of freedom of contrasts of the fixed effects, by Satterthwaite's method.

    With f = sigma2 l' M_XX^-1 l, the variance of l'beta, df = 2 f^2 / Var(f). The variance of
    f follows from the exact Hessian of the criterion in (Psi, log sigma2), where

        d log f = sum_j (U_j k)' E (U_j k) / k'k  (change E of Psi),  k = M_XX^-1/2 l.

    With log sigma2 profiled out this becomes 1 / df = v' H^-1 v + 1 / dof, H the Hessian of
    the profiled criterion and v the change of log f along the profile.

    Parameters
    ----------
    criterion : CovarianceCriterion
        The moments and the method.
    Lambda : ndarray of shape (q, q)
        Any factor of Psi at the optimum.
    contrasts : ndarray of shape (k, p)
        In the coordinates of the problem.

    Returns
    -------
    ndarray of shape (k,)
        Between 0 and the residual degrees of freedom.

    References
    ----------
    Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest package: tests
    in linear mixed effects models. Journal of Statistical Software, 82(13).
    doi:10.18637/jss.v082.i13
    """
    derivatives = criterion(Lambda)
    directions, H = tangent(Lambda, derivatives, diagonal=criterion.problem.diagonal)
    D = np.einsum("rab,abkl->rkl", directions, derivatives.UU[..., :-1, :-1])
    t = np.einsum("rab,ab->r", directions, derivatives.UU[..., -1, -1])
    return df_of_variance(derivatives.root[:-1, :-1], contrasts, D, t, H, criterion.dof)


def df_of_variance(
    root: Array, contrasts: Array, D: Array, t: Array, H: Array, dof: float
) -> Array:
    """Return 1 / (v' H^-1 v + 1 / dof) for each contrast.

    Parameters
    ----------
    root : ndarray of shape (p, p)
        M_XX^-1/2.
    contrasts : ndarray of shape (k, p)
        In the coordinates of the problem.
    D : ndarray of shape (m, p, p)
        Minus the changes of M_XX, whitened, for changes of the covariances.
    t : ndarray of shape (m,)
        Minus the changes of r2, over sigma2.
    H : ndarray of shape (m, m)
        Hessian of the profiled criterion.
    dof : float
        What r2 is divided by.
    """
    k = _unit(contrasts @ root.T)
    # how log f changes, for contrast i: through M_XX, and sigma2, which follows
    v = np.einsum("rkl,ik,il->ri", D, k, k) - t[:, None] / dof
    return np.asarray(1 / (np.sum(v * _solve(H, v), axis=0) + 1 / dof))


def kenward_roger(of: VarianceUncertainty, contrasts: Array) -> tuple[Array, Array]:
    """Degrees of freedom and variances of contrasts, by Kenward and Roger's method.

    With the directions E_r, U_j, D_r, Q_rs and A_rs of `VarianceUncertainty`,

        Var(beta^) = I + 2 sum_rs A_rs (Q_rs - D_r D_s),

    in whitened coordinates, and a single contrast k has 2 / df = sum_rs A_rs d_r d_s with
    d_r = k' D_r k / k'k.

    Parameters
    ----------
    of : VarianceUncertainty
        That of the fit; the method must be REML.
    contrasts : ndarray of shape (k, p)
        In the coordinates of the problem.

    Returns
    -------
    df : ndarray of shape (k,)
        Degrees of freedom.
    variances : ndarray of shape (k,)
        Adjusted variances of the contrasts, over sigma2.

    References
    ----------
    Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from
    restricted maximum likelihood. Biometrics, 53, 983-997. doi:10.2307/2533558
    """
    k = contrasts @ of.root.T
    d = np.einsum("rkl,ik,il->ri", of.D, _unit(k), _unit(k))
    # the last direction is the covariance of y itself, with which all variances grow
    d = np.append(d, np.ones((1, len(k))), axis=0)
    variances = np.sum(k * (k + k @ _adjustment(of)), axis=1)
    return np.asarray(2 / np.sum(d * (of.A @ d), axis=0)), variances


def kenward_roger_f(
    of: VarianceUncertainty, estimates: Array, contrasts: Array
) -> tuple[float, float, float]:
    """Test that contrasts are 0, by Kenward and Roger's scaled F statistic.

    With Theta the projection on the contrasts, in whitened coordinates, and d the number of
    these, the first two moments of the Wald statistic are expanded in

        A1 = sum_rs A_rs tr(Theta D_r) tr(Theta D_s),  A2 = sum_rs A_rs tr(Theta D_r Theta D_s),

    and matched by those of a multiple of F with d and df degrees of freedom. A single contrast
    has df = 2 / A2 and a multiple of 1.

    Parameters
    ----------
    of : VarianceUncertainty
        That of the fit; the method must be REML.
    estimates : ndarray of shape (d,)
        The contrasts' values, over sigma.
    contrasts : ndarray of shape (d, p)
        In the coordinates of the problem, linearly independent.

    Returns
    -------
    statistic : float
        The scaled F statistic.
    df : float
        Its denominator degrees of freedom; 0 if there are too few for the expansion.
    scale : float
        The multiple of the Wald statistic over d that it is.

    References
    ----------
    Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from
    restricted maximum likelihood. Biometrics, 53, 983-997. doi:10.2307/2533558
    """
    k, d = contrasts @ of.root.T, len(contrasts)
    basis = np.linalg.qr(k.T)[0].T
    # the last direction is the covariance of y itself, with which all variances grow
    D = np.append(basis @ of.D @ basis.T, np.eye(d)[None], axis=0)
    traces = np.trace(D, axis1=1, axis2=2)
    A1, A2 = traces @ of.A @ traces, np.einsum("rs,rkl,slk->", of.A, D, D)
    df, scale = (2 / A2, 1.0) if d == 1 else _matched_f(A1, A2, d)
    if not df > 0:
        return np.nan, 0.0, np.nan
    cov = k @ (np.eye(k.shape[1]) + _adjustment(of)) @ k.T
    wald = float(estimates @ np.linalg.solve(cov, estimates)) / d
    return scale * wald, float(df), float(scale)


def _matched_f(A1: float, A2: float, d: int) -> tuple[float, float]:
    """Degrees of freedom and multiple of F; 0 if there are too few for the expansion."""
    B, g = (A1 + 6 * A2) / (2 * d), ((d + 1) * A1 - (d + 4) * A2) / ((d + 2) * A2)
    c1, c2, c3 = np.array([g, d - g, d + 2 - g]) / (3 * d + 2 * (1 - g))
    ratio = (1 - A2 / d) / (1 - c2 * B)
    excess = ratio**2 * (1 + c1 * B) / (1 - c3 * B) - 1  # of the variance over that of chi2
    df = 4 + (d + 2) / excess if excess != 0 else np.inf
    if d <= A2 or not df > 2:
        return 0.0, np.nan
    return df, 1 - A2 / d if np.isinf(df) else df * (1 - A2 / d) / (df - 2)


def _adjustment(of: VarianceUncertainty) -> Array:
    """How much wider the whitened covariance of the coefficients is, since Psi is estimated."""
    DD = np.einsum("rkm,sml->rskl", of.D, of.D)
    return np.asarray(2 * np.einsum("rs,rskl->kl", of.A[:-1, :-1], of.Q - DD))


@dataclass(frozen=True)
class VarianceUncertainty:
    """The covariance of the estimated variance components, by their expected information.

    The covariance of y is linear in parameters for the directions E_r of Psi and, as the last
    of them, for itself. With U_j = Delta_jX M_XX^-1/2,

        D_r = sum_j U_j' E_r U_j,  Q_rs = sum_j U_j' E_r N_j E_s U_j,
        I_rs = sum_j tr(E_r N_j E_s N_j) - 2 tr(Q_rs) + tr(D_r D_s),  A = 2 I^-1.

    Attributes
    ----------
    E : ndarray of shape (m, q, q)
        A basis of the changes of Psi.
    A : ndarray of shape (m + 1, m + 1)
        Covariance of the estimates: changes of Psi, and relative change of sigma2.
    D : ndarray of shape (m, p, p)
        Minus the changes of M_XX, whitened.
    Q : ndarray of shape (m, m, p, p)
        Half its second changes.
    root : ndarray of shape (p, p)
        M_XX^-1/2.
    """

    E: Array
    A: Array
    D: Array
    Q: Array
    root: Array

    @classmethod
    def from_criterion(
        cls, criterion: CovarianceCriterion, Lambda: Array
    ) -> VarianceUncertainty:
        """Add up over groups what the information needs."""
        problem, derivatives = criterion.problem, criterion(Lambda)
        root = derivatives.root[:-1, :-1]
        E = changes_of_psi(len(Lambda), diagonal=problem.diagonal)
        N, NN, UNU = _sums_with_curvature(criterion, Lambda, root)
        D = np.einsum("rab,abkl->rkl", E, derivatives.UU[..., :-1, :-1])
        Q = np.einsum("rab,akbcdl,scd->rskl", E, UNU, E, optimize=True)
        # tr(E_r N E_s N), axes r s
        of_Psi = np.einsum("rad,abcd,sbc->rs", E, NN, E) - 2 * np.einsum("rskk->rs", Q)
        of_Psi += np.einsum("rkl,slk->rs", D, D)
        # with the covariance of y for E_s: tr(E_r N) - tr(D_r)
        with_sigma = np.einsum("rab,ab->r", E, N) - np.einsum("rkk->r", D)
        information = np.block(
            [[of_Psi, with_sigma[:, None]], [with_sigma, problem.n - problem.p]]
        )
        if not criterion.is_identified:  # Psi was set to 0, not estimated
            information = np.diag(np.append(np.zeros(len(E)), problem.n - problem.p))
        A = 2 * inverse_where_curved(information, GRAM_ERROR)
        return cls(E, A, D, Q, root)

    def of_random_effects(self, criterion: CovarianceCriterion, Lambda: Array) -> Array:
        """Return what estimating Psi adds to Var(b_j^ - b_j), over sigma2, (q, q, n_groups).

        b_j^ changes with Psi by K_j' E d_j, K_j = I - N_j Psi, and the variance of d_j is
        N_j - U_j U_j', so that it adds sum_rs A_rs K_j' E_r (N_j - U_j U_j') E_s K_j.

        References
        ----------
        Kackar, R. N. and Harville, D. A. (1984). Approximations for standard errors of
        estimators of fixed and random effects in mixed linear models. Journal of the American
        Statistical Association, 79, 853-862. doi:10.1080/01621459.1984.10477102
        """
        Psi, A, parts = Lambda @ Lambda.T, self.A[:-1, :-1], []
        for N, Delta in criterion.projections(Lambda):
            K = np.eye(len(Psi))[..., None] - np.einsum("abk,bc->ack", N, Psi)
            EK = np.einsum("rab,bck->rack", self.E, K)
            U = np.matmul(self.root, Delta[:, :-1])
            # axes a b c d as in `covariance`, r s for directions
            var_d = N - np.einsum("amk,bmk->abk", U, U)
            parts.append(np.einsum("rs,rack,abk,sbdk->cdk", A, EK, var_d, EK, optimize=True))
        return np.concatenate(parts, axis=-1)


def tangent(
    Lambda: Array, derivatives: CovarianceDerivatives, *, diagonal: bool
) -> tuple[Array, Array]:
    """Directions in which Psi can move, and the Hessian of the criterion along them.

    Psi = F F' moves with the entries of a triangular factor in its eigenvectors. A direction
    in which the random effects do not vary stays so: at a singular optimum these are the
    directions of the smaller model.

    Parameters
    ----------
    Lambda : ndarray of shape (q, q)
        Any factor of Psi.
    derivatives : CovarianceDerivatives
        Of the criterion there.
    diagonal : bool
        Whether Psi is restricted to diagonal matrices.

    Returns
    -------
    directions : ndarray of shape (m, q, q)
        Changes E of Psi, symmetric.
    hessian : ndarray of shape (m, m)
        Second derivatives of the criterion.
    """
    factor = Factor.of_lambda(Lambda, diagonal=diagonal)
    rows, columns = free_entries(len(Lambda), diagonal=diagonal)
    # a column of zeros does not move
    varies = factor.scale[columns] > 0
    return factor.carry_over(derivatives, (rows[varies], columns[varies]))


def _sums_with_curvature(
    criterion: CovarianceCriterion, Lambda: Array, root: Array
) -> tuple[Array, Array, Array]:
    """Add up over groups N, N (x) N and U (x) N (x) U."""
    q, p = len(Lambda), criterion.problem.p
    total, NN, UNU = np.zeros((q, q)), np.zeros((q * q,) * 2), np.zeros((q * p, q * q, q * p))
    for N, Delta in criterion.projections(Lambda):
        U = np.matmul(root, Delta[:, :-1]).reshape(q * p, N.shape[-1])
        N = N.reshape(q * q, N.shape[-1])
        total += N.sum(axis=1).reshape(q, q)
        NN += N @ N.T
        for i, weight in enumerate(N):
            UNU[:, i] += (U * weight) @ U.T
    return total, NN.reshape((q,) * 4), UNU.reshape(q, p, q, q, q, p)


def _unit(k: Array) -> Array:
    return np.asarray(k / np.linalg.norm(k, axis=1, keepdims=True))


def _solve(H: Array, v: Array) -> Array:
    """H^-1 v where H is positive definite up to rounding; flat directions count for nothing."""
    return np.asarray(inverse_where_curved(H, CURVATURE_ERROR) @ v)
