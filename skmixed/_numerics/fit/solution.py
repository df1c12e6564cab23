"""What follows from the covariance factor: coefficients, variances and random effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.triangular import triangular


@dataclass(frozen=True)
class Solution:
    """The fitted model, in the user's coordinates.

    Attributes
    ----------
    beta : ndarray of shape (n_columns,)
        Fixed effects; 0 for columns dropped as linearly dependent, or not fixed.
    beta_cov : ndarray of shape (n_columns, n_columns)
        Their covariance; NaN for those columns.
    sigma2 : float
        Residual variance.
    Lambda : ndarray of shape (n_random, n_random)
        Relative covariance factor, lower triangular with a diagonal >= 0: the random effects
        have covariance sigma2 Lambda Lambda'.
    diagonal : bool
        Whether Lambda is restricted to diagonal matrices.
    rank : int
        Number of directions in which the random effects vary.
    b : ndarray of shape (n_random, n_groups)
        Conditional modes of the random effects.
    pooling_weights : ndarray of shape (n_random, n_groups)
        1 - (conditional variance) / (variance) of each random effect; 0 where it is 0.
    icc : float
        Share of the random effects in the variance around the fixed effects, averaged over
        the rows.
    criterion : float
        REML criterion or ML deviance at the optimum; -inf for a perfect fit.
    """

    beta: Array
    beta_cov: Array
    sigma2: float
    Lambda: Array
    diagonal: bool
    rank: int
    b: Array
    pooling_weights: Array
    icc: float
    criterion: float

    @property
    def theta(self) -> Array:
        """Free entries of Lambda: its diagonal, or its lower triangle column by column."""
        q = len(self.Lambda)
        return np.diag(self.Lambda) if self.diagonal else self.Lambda.T[np.triu_indices(q)]


def solve(criterion: Criterion, Lambda: Array) -> Solution:
    """Solve the mixed-model equations for a given relative covariance factor.

    beta = M_XX^-1 M_Xy, sigma2 = r2 / dof and b_j = H_j (C_jy - C_jX beta); then back to the
    user's coordinates.

    Parameters
    ----------
    criterion : Criterion
        The moments and the method.
    Lambda : ndarray of shape (q, q)
        Any factor of Psi, in the coordinates of the problem.

    Returns
    -------
    Solution
    """
    problem, coordinates = criterion.problem, criterion.problem.coordinates
    log_det, M = criterion.eliminate(Lambda)
    beta, sigma2 = criterion.coefficients(M)
    b, pooling_weights = random_effects(criterion, Lambda, beta)
    # tr(Psi sum_j G_j) / n: the mean of z'Psi z over the rows
    variance = float(np.sum(Lambda * (problem.G.sum(axis=-1) @ Lambda))) / problem.n
    return Solution(
        beta=coordinates.to_user_coefficients(beta),
        beta_cov=sigma2 * coordinates.to_user_covariance(M[:-1, :-1]),
        sigma2=sigma2 * coordinates.y_scale**2,
        Lambda=triangular(coordinates.to_user_factor(Lambda), diagonal=problem.diagonal),
        diagonal=problem.diagonal,
        rank=int(np.count_nonzero(np.any(Lambda, axis=0))),
        b=b,
        pooling_weights=pooling_weights,
        icc=variance / (1 + variance),
        criterion=-np.inf if criterion.is_perfect else criterion.profile(log_det, M),
    )


def random_effects(criterion: Criterion, Lambda: Array, beta: Array) -> tuple[Array, Array]:
    """Return conditional modes and pooling weights, in the user's coordinates.

    Parameters
    ----------
    criterion : Criterion
        The moments of the groups.
    Lambda : ndarray of shape (q, q)
        Any factor of Psi, in the coordinates of the problem.
    beta : ndarray of shape (p,)
        Fixed effects, likewise.

    Returns
    -------
    b : ndarray of shape (n_random, n_groups)
        Conditional modes.
    pooling_weights : ndarray of shape (n_random, n_groups)
        1 - (conditional variance) / (variance); 0 where the variance is 0.
    """
    coordinates = criterion.problem.coordinates
    b = coordinates.to_user_random_effects(criterion.conditional_modes(Lambda, beta))
    variances = np.sum(coordinates.to_user_factor(Lambda) ** 2, axis=1, keepdims=True)
    # both over sigma2, and in the units of the user's random columns
    left = criterion.conditional_variances(Lambda, coordinates.random_backmap)
    share = left / np.where(variances > 0, variances, 1)
    return b, np.where(variances > 0, 1 - share, 0.0)
