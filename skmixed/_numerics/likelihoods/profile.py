"""Confidence limits of one parameter from its profile: constrained fits, a few a limit.

With d(v) the least -2 log L where the parameter is v, less that of the fit, the signed root
zeta(v) = +-sqrt(d(v)) is nearly linear; limits are where it reaches normal quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space
from scipy.special import ndtri

from skmixed._numerics.likelihoods.fit import LikelihoodFit
from skmixed._numerics.likelihoods.hessian import Curvature
from skmixed._numerics.likelihoods.search import Point, minimize
from skmixed._numerics.linalg.arrays import Array

# Limits are right to this share of a standard error.
ACCURACY = 1e-4
MOST_FITS = 25
# A first value at which zeta is a smaller share of the target is too near: the distance is
# doubled. Where that does not help there is no limit.
NEAR = 0.3
MOST_DOUBLED = 5
# Coefficients of columns of order one have smaller standard errors, if they have an estimate.
LARGEST_ERROR = 2.0
# Where random effects do not vary at the estimate they may at other values.
START_SD = 0.3


@dataclass(frozen=True)
class Profile:
    """The profile of c'(beta, theta) of a fit.

    Attributes
    ----------
    fit : LikelihoodFit
    covariance : ndarray of shape (p + n_theta, p + n_theta)
        Of the estimates.
    direction : ndarray of shape (p + n_theta,)
        The vector c.
    tol : float
        Of each constrained search.
    """

    fit: LikelihoodFit
    covariance: Array
    direction: Array
    tol: float = 1e-8

    @property
    def estimate(self) -> float:
        """The value of the fit."""
        return float(self.direction @ self._parameters)

    @property
    def standard_error(self) -> float:
        """Its standard error, or a guess where it is on the boundary or without an estimate."""
        square = float(self.direction @ self.covariance @ self.direction)
        most = LARGEST_ERROR * float(np.linalg.norm(self.direction))
        return min(float(np.sqrt(square)), most) if square > 0 else START_SD

    def root(self, value: float) -> float:
        """Return zeta where the parameter has a value."""
        best = self.fit.optimum.point.value
        rise = max(self._least(value) - best, 0.0)
        return float(np.copysign(np.sqrt(rise), value - self.estimate))

    def limit(self, target: float, least: float = -np.inf) -> float:
        """Return the value at which zeta is the target, by the secant rule.

        It is `least` if zeta is higher there, and infinite where -2 log L never rises so much.
        """
        if np.isfinite(least) and target < 0 and self.root(least) >= target:
            return least
        before, zeta_before = self.estimate, 0.0
        away = target * self.standard_error
        for n_doubled in range(MOST_DOUBLED + 1):
            value = max(self.estimate + 2.0**n_doubled * away, (least + before) / 2)
            zeta = self.root(value)
            if abs(zeta) >= NEAR * abs(target):
                break
        else:
            if target > 0 or not np.isfinite(least):
                return float(np.copysign(np.inf, target))
        for _ in range(MOST_FITS):
            if abs(zeta - target) <= ACCURACY:
                return value
            rises = (zeta - zeta_before) * (value - before) > 0
            step = (
                (target - zeta) * (value - before) / (zeta - zeta_before) if rises else -np.inf
            )
            before, zeta_before = value, zeta
            value = max(value + step, (least + value) / 2)
            if not np.isfinite(value):  # flat, so that there is nowhere to go
                break
            zeta = self.root(value)
        return float("nan")

    @property
    def _parameters(self) -> Array:
        point = self.fit.optimum.point
        return np.append(point.beta, point.Lambda[point.entries])

    def _least(self, value: float) -> float:
        """Minimise -2 log L where the parameter has a value."""
        point = self.fit.optimum.point
        moved = self.covariance @ self.direction
        moved = moved if moved.any() else self.direction
        moved = moved * (value - self.estimate) / (self.direction @ moved)
        start = self._parameters + moved
        basis = point.basis @ null_space((self.direction @ point.basis)[None])
        found = [self._constrained(start, basis)]
        if self.fit.singular and not self.direction[len(point.beta) :].any():
            start[len(point.beta) :] += START_SD * (point.entries[0] == point.entries[1])
            found.append(self._constrained(start, null_space(self.direction[None])))
        return min(found)

    def _constrained(self, parameters: Array, basis: Array) -> float:
        point, criterion = self.fit.optimum.point, self.fit.criterion
        beta, theta = np.split(parameters, [len(point.beta)])
        Lambda = np.zeros_like(point.Lambda)
        Lambda[point.entries] = theta
        start = Point.at(criterion, beta, Lambda, point.evaluation.u, basis)
        return minimize(criterion, start, self.tol, max_iter=100).point.value


def coefficient_limits(
    fit: LikelihoodFit, curvature: Curvature, column: int, level: float
) -> tuple[float, float]:
    """Profile limits of one of the user's coefficients; NaN if it was dropped."""
    columns = fit.criterion.rows.columns
    if not columns.kept[column]:
        return np.nan, np.nan
    theta = np.zeros(len(curvature.covariance) - columns.p)
    profile = Profile(fit, curvature.covariance, np.append(columns.backmap[column], theta))
    z = float(ndtri((1 + level) / 2))
    return profile.limit(-z), profile.limit(z)


def sd_limits(fit: LikelihoodFit, curvature: Curvature, level: float) -> tuple[float, float]:
    """Profile limits of the standard deviation of a single random effect."""
    columns = fit.criterion.rows.columns
    scale = abs(columns.random_backmap.item())
    direction = np.zeros(columns.p + 1)
    direction[-1] = -1.0 if fit.optimum.point.Lambda.item() < 0 else 1.0
    profile = Profile(fit, curvature.covariance, direction)
    z = float(ndtri((1 + level) / 2))
    lower = 0.0 if profile.estimate == 0 else scale * profile.limit(-z, least=0.0)
    return lower, scale * profile.limit(z)
