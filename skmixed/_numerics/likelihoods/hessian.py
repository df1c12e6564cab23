"""The Hessian of -2 log L at its minimum, and the covariance of the estimates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.likelihoods.fit import LikelihoodFit
from skmixed._numerics.likelihoods.start import information
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.quadratic import inverse_where_curved

# Gradients are differenced over so many standard errors to both sides. Two distances cancel
# the error of the differences of the second order.
STEP = 1e-3
LEAST_INFORMATION = 1e-12


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of -2 log L by the free parameters.

    Attributes
    ----------
    hessian : ndarray of shape (n_free, n_free)
        By (beta, theta), in the coordinates of the search, without theta that are 0 because
        their random effects do not vary.
    covariance : ndarray of shape (p + n_theta, p + n_theta)
        Twice the inverse; 0 for such theta.
    coef_cov : ndarray of shape (n_fixed, n_fixed)
        Covariance of the user's coefficients; NaN where they are dropped.
    """

    hessian: Array
    covariance: Array
    coef_cov: Array


def curvature(fit: LikelihoodFit) -> Curvature:
    """Difference the exact gradient: some 4 evaluations for each parameter."""
    point = fit.optimum.point
    criterion = fit.criterion
    evaluation = point.evaluation
    expected = information(criterion, point.beta, point.Lambda, evaluation.u)
    diagonal = np.diag(point.basis.T @ expected @ point.basis)
    floor = LEAST_INFORMATION * diagonal.max(initial=1.0)
    steps = STEP * np.sqrt(2 / np.maximum(diagonal, floor))
    hessian = np.empty((len(steps),) * 2)
    for i, step in enumerate(steps):
        move = np.zeros(len(steps))
        move[i] = step
        at = [point.moved(criterion, c * move).gradient for c in (-2, -1, 1, 2)]
        hessian[i] = (8 * (at[2] - at[1]) - (at[3] - at[0])) / (12 * step)
    hessian = (hessian + hessian.T) / 2
    if np.isfinite(hessian).all():
        inverse = inverse_where_curved(hessian, 1e-12)
    else:  # the likelihood is so flat that a step overflows
        inverse = np.full_like(hessian, np.nan)
    covariance = 2 * point.basis @ inverse @ point.basis.T
    p = len(point.beta)
    coef_cov = criterion.rows.columns.to_user_covariance(covariance[:p, :p])
    return Curvature(hessian, covariance, coef_cov)
