"""What follows from the variance ratio: coefficients, variances and random effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.moments import Array
from skmixed._numerics.objective import RatioCriterion
from skmixed._numerics.optimize import is_perfect


@dataclass(frozen=True)
class Solution:
    """The fitted model, in the user's coordinates.

    Attributes
    ----------
    beta : ndarray of shape (n_columns,)
        Fixed effects; 0 for columns dropped as linearly dependent.
    beta_cov : ndarray of shape (n_columns, n_columns)
        Their covariance; NaN for dropped columns.
    sigma2 : float
        Residual variance.
    Lambda : ndarray of shape (q, q)
        Relative covariance factor: the random effects have covariance sigma2 Lambda Lambda'.
    b : ndarray of shape (q, n_groups)
        Conditional modes of the random effects.
    criterion : float
        REML criterion or ML deviance at the optimum; -inf for a perfect fit.
    """

    beta: Array
    beta_cov: Array
    sigma2: float
    Lambda: Array
    b: Array
    criterion: float


def solve(criterion: RatioCriterion, psi: float) -> Solution:
    """Solve the mixed-model equations for a given variance ratio.

    beta = M_XX^-1 M_Xy, sigma2 = r2 / dof and b_j = h_j (c_jy - c_jX beta), with
    h_j = psi / (1 + psi u_j); then back to the user's coordinates.

    Parameters
    ----------
    criterion : RatioCriterion
        The moments and the method.
    psi : float
        Variance of the random effect over the residual variance.

    Returns
    -------
    Solution
    """
    problem = criterion.problem
    M = criterion.cross_products(psi)
    beta = np.linalg.solve(M[:-1, :-1], M[:-1, -1])
    perfect = is_perfect(criterion)
    scaled_sigma2 = 0.0 if perfect else float(criterion.residual_square(M)) / criterion.dof
    b = _conditional_modes(criterion, psi, beta)
    return Solution(
        beta=problem.origin + problem.backmap @ beta,
        beta_cov=_covariance(criterion, M, scaled_sigma2),
        sigma2=scaled_sigma2 * problem.y_scale**2,
        Lambda=np.array([[np.sqrt(psi)]]),
        b=b * problem.y_scale,
        criterion=-np.inf if perfect else float(criterion(np.array([psi])).value[0]),
    )


def _conditional_modes(
    criterion: RatioCriterion, psi: float, beta: NDArray[np.floating[Any]]
) -> Array:
    problem = criterion.problem
    residual = problem.C[:, -1] - np.tensordot(problem.C[:, :-1], beta, axes=(1, 0))
    b: Array = psi / (1 + psi * problem.G[0]) * residual
    return b


def _covariance(criterion: RatioCriterion, M: Array, scaled_sigma2: float) -> Array:
    problem = criterion.problem
    cov = problem.backmap @ np.linalg.solve(M[:-1, :-1], problem.backmap.T)
    cov = scaled_sigma2 * (cov + cov.T) / 2
    cov[~problem.kept] = np.nan
    cov[:, ~problem.kept] = np.nan
    return cov
