"""Profile-likelihood limits of a model with several random columns.

All are found from the optimum outwards: those of a fixed effect by refits with the effect held
at a limit, alternating with that limit in closed form; those of sigma2, of a standard
deviation and of a correlation by following the least deviance at each value of it. With few
groups the deviance may have several minima for one value, so that from each limit found a
lower one is looked for from other starts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.search_several_columns import MANY_GROUPS
from skmixed._numerics.inference.profile.coordinates import (
    AngleCoordinates,
    CovarianceCoordinates,
    LengthCoordinates,
)
from skmixed._numerics.inference.profile.of_fixed_effect import FixedEffect, orthogonal
from skmixed._numerics.inference.profile.region import ProfileLimits, Region
from skmixed._numerics.inference.profile.ridge import Ridge
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import residual_square
from skmixed._numerics.linalg.small_matrices import multiply

SIDES = (-1, 1)
# Variance ratios and correlations to start from at a limit found, if groups are few.
STARTS = ((0.05, 0.0), (1.0, 0.0), (30.0, 0.9))
# A random effect is small if its standard deviation is so many times the best one.
SMALL = 0.3
# How well the model without a random effect is fitted, in units of the deviance.
TOL = 1e-6
MAX_ITER = 100


def covariance_limits(region: Region, Lambda: Array) -> ProfileLimits:
    """Find the limits of all parameters of a model with several random columns.

    Parameters
    ----------
    region : Region
        The likelihood region.
    Lambda : ndarray of shape (q, q)
        Factor of the Psi of least deviance.

    Returns
    -------
    ProfileLimits
    """
    problem, q = region.criterion.problem, len(Lambda)
    few = problem.n_groups < MANY_GROUPS
    effects = [FixedEffect(region, k) for k in range(problem.p)]
    of_fixed = [
        effect.limit(side, Lambda, everywhere=few) for effect in effects for side in SIDES
    ]
    fixed = [limit for limit, _ in of_fixed]
    # where one limit has been found elsewhere, others may be, too
    elsewhere = [Lambda for _, Lambda in of_fixed if Lambda is not None]
    starts = [_alike(q, *start, diagonal=problem.diagonal) for start in STARTS if few]
    search = _Search(region, Lambda, starts + elsewhere)
    sigma2 = search.sigma2()
    sd = np.array([search.sd(i) for i in range(q)])
    upper = combinations(range(0 if problem.diagonal else q), 2)
    pairs = {(i, j): search.correlation(i, j, sd) for i, j in upper}
    correlation = np.full((q, q, 2), np.nan)
    for (i, j), limits in pairs.items():
        correlation[i, j] = correlation[j, i] = limits
    found = np.concatenate([fixed, sigma2, sd.ravel(), np.ravel(list(pairs.values()))])
    return ProfileLimits.from_kept(
        problem,
        fixed=np.reshape(fixed, (-1, 2)),
        sigma2=sigma2,
        sd=sd,
        correlation=correlation,
        converged=not np.any(np.isnan(found)),
    )


def _alike(q: int, ratio: float, correlation: float, *, diagonal: bool) -> Array:
    """Factor of a Psi with equal variances and, unless it is diagonal, correlations."""
    others = 0.0 if diagonal else correlation
    Psi = ratio * ((1 - others) * np.eye(q) + others)
    return np.asarray(np.linalg.cholesky(Psi), dtype=np.float64)


@dataclass(frozen=True)
class _Search:
    """How the limits of the parameters of the covariance matrix are found.

    Attributes
    ----------
    region : Region
        The likelihood region.
    Lambda : ndarray of shape (q, q)
        Where the deviance is least.
    starts : list of ndarray of shape (q, q)
        Where else to begin looking for a lower one.
    """

    region: Region
    Lambda: Array
    starts: list[Array]

    @property
    def criterion(self) -> CovarianceCriterion:
        return CovarianceCriterion(self.region.criterion.problem, reml=False)

    @property
    def rows(self) -> Array:
        """The user's random effects, over y_scale, from those of the problem."""
        coordinates = self.region.criterion.problem.coordinates
        rows: Array = coordinates.random_backmap[coordinates.random_kept]
        return rows

    def sigma2(self) -> Array:
        """Limits of the residual variance."""
        ridge = self.ridge(CovarianceCoordinates(self.criterion, np.eye(len(self.Lambda))), -1)
        return np.exp([self.limit(ridge, side) for side in SIDES])

    def sd(self, i: int) -> tuple[float, float]:
        """Limits of the standard deviation of the i-th random effect, over y_scale."""
        size = float(np.linalg.norm(self.rows[i]))
        if self.criterion.problem.diagonal:
            ridge = self.ridge(CovarianceCoordinates(self.criterion, np.eye(len(self.rows))), i)
        else:
            row = self.rows[i] / size
            ridge = self.ridge(LengthCoordinates.ending_with(row, self.criterion), 0)
        lower = 0.0 if self.may_lack(i) else size * self.limit(ridge, -1, end=0.0)
        return lower, size * self.limit(ridge, 1)

    def may_lack(self, i: int) -> bool:
        """Whether the model without the i-th random effect is within the region."""
        problem, N = self.criterion.problem, orthogonal(self.rows[i])
        reduced = replace(problem, root=multiply(N.T, problem.root))
        criterion, optimum = estimate(reduced, reml=False, tol=TOL, max_iter=MAX_ITER)
        deviance = criterion.profile(*criterion.eliminate(optimum.Lambda))
        return deviance <= self.region.bound

    def correlation(self, i: int, j: int, sd: Array) -> tuple[float, float]:
        """Limits of the correlation of two random effects, given those of all sd."""
        if 0.0 in sd[[i, j], 0]:
            return -1.0, 1.0
        rows = self.rows[[i, j]]
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        ridge = self.ridge(AngleCoordinates.starting_with(rows, self.criterion), 1)
        # where an effect is small, its correlations are free to be almost anything
        search = replace(self, starts=[self.shrunk(i), self.shrunk(j), *self.starts])
        # the cosine falls as the angle rises
        lower, upper = search.angle(ridge, 1, end=np.pi), search.angle(ridge, -1, end=0.0)
        return float(np.cos(lower)), float(np.cos(upper))

    def angle(self, ridge: Ridge, side: int, end: float) -> float:
        """Limit of an angle; its end also if the profile has been above the bound before."""
        limit = self.limit(ridge, side, end=end)
        if np.isnan(limit) or limit == end:
            return limit
        return end if ridge.reaches(end) else limit

    def shrunk(self, i: int) -> Array:
        """Make the i-th random effect small, and all else as where the deviance is least."""
        of_effects = self.rows @ self.Lambda
        of_effects[i] *= SMALL
        shrunk: Array = np.asarray(np.linalg.solve(self.rows, of_effects), dtype=np.float64)
        return shrunk

    def ridge(self, coordinates: CovarianceCoordinates, target: int) -> Ridge:
        """Make one coordinate that whose profile is followed."""
        phi = self.phi(coordinates, self.Lambda)
        return Ridge(coordinates, target % len(phi), phi, self.region.lowest, self.region.rise)

    def limit(self, ridge: Ridge, side: int, end: float | None = None) -> float:
        """Limit of one coordinate."""
        starts = [self.phi(ridge.coordinates, start) for start in self.starts]
        return ridge.limit(side, end=end, starts=starts)

    def phi(self, coordinates: CovarianceCoordinates, Lambda: Array) -> Array:
        """Return the coordinates of Psi and the best sigma2 there."""
        _, M = self.criterion.eliminate(Lambda)
        return coordinates.phi(Lambda, float(residual_square(M)) / self.criterion.problem.n)
