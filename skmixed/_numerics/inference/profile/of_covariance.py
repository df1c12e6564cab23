"""Profile-likelihood limits of a model with several variances of random effects.

All are found from the optimum outwards: those of a fixed effect by refits with the effect held
at a limit, alternating with that limit in closed form; those of sigma2, of a standard
deviation and of a correlation by following the least deviance at each value of it. With few
groups the deviance may have several minima for one value, so that from each limit found a
lower one is looked for from other starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from skmixed._numerics.inference.profile.coordinates import (
    AngleCoordinates,
    CovarianceCoordinates,
    LengthCoordinates,
)
from skmixed._numerics.inference.profile.likelihood import ByFactor, Likelihood
from skmixed._numerics.inference.profile.of_fixed_effect import FixedEffect, orthogonal
from skmixed._numerics.inference.profile.region import ProfileLimits, Region
from skmixed._numerics.inference.profile.ridge import Ridge
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import residual_square

SIDES = (-1, 1)
# Variance ratios and correlations to start from at a limit found, if groups are few.
STARTS = ((0.05, 0.0), (1.0, 0.0), (30.0, 0.9))
# A random effect is small if its standard deviation is so many times the best one.
SMALL = 0.3


def covariance_limits(
    likelihood: Likelihood, region: Region, Lambdas: ByFactor
) -> list[ProfileLimits]:
    """Find the limits of all parameters of a model with several variances.

    Parameters
    ----------
    likelihood : Likelihood
        The model.
    region : Region
        Its likelihood region.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Factors of the Psi_f of least deviance.

    Returns
    -------
    list of ProfileLimits
        For each factor; fixed effects and sigma are the same in all.
    """
    everywhere = likelihood.looks_everywhere
    effects = [FixedEffect(region, likelihood, k) for k in range(region.criterion.problem.p)]
    of_fixed = [
        effect.limit(side, Lambdas, everywhere=everywhere)
        for effect in effects
        for side in SIDES
    ]
    fixed = [limit for limit, _ in of_fixed]
    # where one limit has been found elsewhere, others may be, too
    starts = [elsewhere for _, elsewhere in of_fixed if elsewhere is not None]
    if everywhere:
        starts = [*_starts(Lambdas, likelihood.diagonal), *starts]
    search = _Search(likelihood, region, Lambdas, starts)
    sigma2 = search.sigma2()
    by_factor = [search.of_factor(f) for f in range(len(Lambdas))]
    # a correlation that the model does not have is NaN, too
    correlations = [
        corr[np.triu_indices(0 if diagonal else len(corr), 1)]
        for (_, corr), diagonal in zip(by_factor, likelihood.diagonal, strict=True)
    ]
    found = [*fixed, *sigma2, *(sd for sd, _ in by_factor), *correlations]
    converged = not any(np.any(np.isnan(limits)) for limits in found)
    return [
        ProfileLimits.from_kept(
            coordinates,
            fixed=np.reshape(fixed, (-1, 2)),
            sigma2=sigma2,
            sd=sd,
            correlation=correlation,
            converged=converged,
        )
        for coordinates, (sd, correlation) in zip(likelihood.by_factor, by_factor, strict=True)
    ]


def _starts(best: ByFactor, diagonal: Sequence[bool]) -> list[ByFactor]:
    """All factors alike; or one of several next to absent, whose part others may take."""
    starts: list[ByFactor] = [
        [_alike(len(L), *start, diagonal=d) for L, d in zip(best, diagonal, strict=True)]
        for start in STARTS
    ]
    if len(best) > 1:
        starts += [_with(best, f, SMALL * best[f]) for f in range(len(best))]
    return starts


def _alike(q: int, ratio: float, correlation: float, *, diagonal: bool) -> Array:
    """Factor of a Psi with equal variances and, unless it is diagonal, correlations."""
    others = 0.0 if diagonal else correlation
    Psi = ratio * ((1 - others) * np.eye(q) + others)
    return np.asarray(np.linalg.cholesky(Psi), dtype=np.float64)


def _with(Lambdas: ByFactor, f: int, Lambda: Array) -> ByFactor:
    return [Lambda if g == f else own for g, own in enumerate(Lambdas)]


@dataclass(frozen=True)
class _Search:
    """How the limits of sigma2 and of the covariance matrices are found.

    Attributes
    ----------
    likelihood : Likelihood
        The model.
    region : Region
        Its likelihood region.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Where the deviance is least.
    starts : list of sequences of ndarray of shape (q_f, q_f)
        Where else to begin looking for a lower one.
    """

    likelihood: Likelihood
    region: Region
    Lambdas: ByFactor
    starts: Sequence[ByFactor]

    @cached_property
    def plain(self) -> CovarianceCoordinates:
        return CovarianceCoordinates.plain(self.likelihood)

    def rows(self, f: int) -> Array:
        """Return how a factor's effects in the user's units over y_scale come about."""
        coordinates = self.likelihood.by_factor[f]
        rows: Array = coordinates.random_backmap[coordinates.random_kept]
        return rows

    def sigma2(self) -> Array:
        """Limits of the residual variance."""
        ridge = self.ridge(self.plain, -1)
        return np.exp([self.limit(ridge, side) for side in SIDES])

    def of_factor(self, f: int) -> tuple[Array, Array]:
        """Limits of standard deviations, (q_f, 2), and of correlations, (q_f, q_f, 2)."""
        q = len(self.Lambdas[f])
        sd = np.array([self.sd(f, i) for i in range(q)]).reshape(q, 2)
        correlation = np.full((q, q, 2), np.nan)
        for i, j in combinations(range(0 if self.likelihood.diagonal[f] else q), 2):
            limits = self.correlation(f, i, j, sd)
            correlation[i, j] = correlation[j, i] = limits
        return sd, correlation

    def sd(self, f: int, i: int) -> tuple[float, float]:
        """Limits of the standard deviation of a factor's i-th random effect, over y_scale."""
        row = self.rows(f)[i]
        size = float(np.linalg.norm(row))
        if self.likelihood.diagonal[f] or len(row) == 1:
            ridge = self.ridge(self.plain, self.plain.position(f, i))
        else:
            ridge = self.ridge(LengthCoordinates.ending_with(row / size, f, self.likelihood), 0)
        lower = 0.0 if self.may_lack(f, i) else size * self.limit(ridge, -1, end=0.0)
        return lower, size * self.limit(ridge, 1)

    def may_lack(self, f: int, i: int) -> bool:
        """Whether the model without the i-th random effect is within the region."""
        others = orthogonal(self.rows(f)[i])
        return self.likelihood.least_without(f, others) <= self.region.bound

    def correlation(self, f: int, i: int, j: int, sd: Array) -> tuple[float, float]:
        """Limits of the correlation of two random effects, given those of all sd."""
        if 0.0 in sd[[i, j], 0]:
            return -1.0, 1.0
        rows = self.rows(f)[[i, j]]
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        ridge = self.ridge(AngleCoordinates.starting_with(rows, f, self.likelihood), 1)
        # where an effect is small, its correlations are free to be almost anything
        shrunk = [_with(self.Lambdas, f, self.shrunk(f, k)) for k in (i, j)]
        search = replace(self, starts=[*shrunk, *self.starts])
        # the cosine falls as the angle rises
        lower, upper = search.angle(ridge, 1, end=np.pi), search.angle(ridge, -1, end=0.0)
        return float(np.cos(lower)), float(np.cos(upper))

    def angle(self, ridge: Ridge, side: int, end: float) -> float:
        """Limit of an angle; its end also if the profile has been above the bound before."""
        limit = self.limit(ridge, side, end=end)
        if np.isnan(limit) or limit == end:
            return limit
        return end if ridge.reaches(end) else limit

    def shrunk(self, f: int, i: int) -> Array:
        """Make the i-th random effect small, and all else as where the deviance is least."""
        rows = self.rows(f)
        of_effects = rows @ self.Lambdas[f]
        of_effects[i] *= SMALL
        shrunk: Array = np.asarray(np.linalg.solve(rows, of_effects), dtype=np.float64)
        return shrunk

    def ridge(self, coordinates: CovarianceCoordinates, target: int) -> Ridge:
        """Make one coordinate that whose profile is followed."""
        phi = self.phi(coordinates, self.Lambdas)
        return Ridge(coordinates, target % len(phi), phi, self.region.lowest, self.region.rise)

    def limit(self, ridge: Ridge, side: int, end: float | None = None) -> float:
        """Limit of one coordinate."""
        starts = [self.phi(ridge.coordinates, start) for start in self.starts]
        return ridge.limit(side, end=end, starts=starts)

    def phi(self, coordinates: CovarianceCoordinates, Lambdas: ByFactor) -> Array:
        """Return the coordinates of all Psi_f and the best sigma2 there."""
        _, M = self.likelihood.eliminate(Lambdas)
        n = self.region.criterion.problem.n
        return coordinates.phi(Lambdas, float(residual_square(M)) / n)
