"""Profile-likelihood limits of a model with several random columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skmixed._numerics.coordinates import Coordinates
from skmixed._numerics.covariance import CovarianceCriterion
from skmixed._numerics.covariance_search import refine_covariance
from skmixed._numerics.estimate import estimate
from skmixed._numerics.moments import Array
from skmixed._numerics.problem import Problem
from skmixed._numerics.region import ProfileLimits, Region, Section
from skmixed._numerics.ridge import Ridge
from skmixed._numerics.small_matrices import multiply

# A fixed effect's limit is found when it moves by less than this share of its distance from
# the estimate; what is then left is about the square of that.
TOL = 1e-5
MAX_STEPS = 50
# How well the model is fitted while a fixed effect is held, in units of the deviance.
REFIT_TOL = 1e-5
MAX_ITER = 100
SIDES = (-1, 1)


def covariance_limits(region: Region, Lambda: Array) -> ProfileLimits:
    """Find the limits of all parameters of a model with several random columns.

    Parameters
    ----------
    region : Region
        Of a `CovarianceCriterion`.
    Lambda : ndarray of shape (q, q)
        Factor of the Psi of least deviance.

    Returns
    -------
    ProfileLimits
    """
    assert isinstance(region.criterion, CovarianceCriterion)
    search = _Search(region, region.criterion, Lambda)
    problem, q = region.criterion.problem, len(Lambda)
    fixed = [search.fixed(k, side) for k in range(problem.p) for side in SIDES]
    sigma2 = np.exp([search.log_sigma2(side) for side in SIDES])
    sd = np.array([search.sd(i) for i in range(q)])
    correlation = np.full((q, q, 2), np.nan)
    below = zip(*np.tril_indices(0 if problem.diagonal else q, -1), strict=True)
    pairs = {(i, j): search.correlation(i, j, sd) for i, j in below}
    for (i, j), limits in pairs.items():
        correlation[i, j] = correlation[j, i] = limits
    found = [*fixed, *sigma2, *sd.ravel(), *np.ravel(list(pairs.values()))]
    return ProfileLimits.from_kept(
        problem,
        fixed=np.reshape(fixed, (-1, 2)),
        sigma2=sigma2,
        sd=sd,
        correlation=correlation,
        converged=not np.any(np.isnan(found)),
    )


@dataclass(frozen=True)
class _Search:
    """How the limits of each kind of parameter are found."""

    region: Region
    criterion: CovarianceCriterion
    Lambda: Array

    @property
    def rows(self) -> Array:
        """The user's random effects, over y_scale, from those of the problem."""
        problem = self.criterion.problem
        rows: Array = problem.random_backmap[problem.random_kept]
        return rows

    def section(self, Lambda: Array) -> Section:
        return self.region.section(*self.criterion.eliminate(Lambda))

    def fixed(self, k: int, side: int) -> float:
        """Limit of the k-th fixed effect that is estimated.

        Given Psi it is closed form, and given the effect the best Psi is a refit: taken in
        turns the two stay within the region, and converge quadratically.
        """
        problem = self.criterion.problem
        row, origin = problem.backmap[problem.kept][k], problem.origin[problem.kept][k]
        Lambda, before = self.Lambda, np.inf
        for _ in range(MAX_STEPS):
            section = self.section(Lambda)
            half = section.half_width[k]
            limit = float(section.beta[k] + side * half)
            if abs(limit - before) <= TOL * half:
                return limit
            held = CovarianceCriterion(_holding(problem, row, limit - origin), reml=False)
            Lambda = refine_covariance(
                held,
                Lambda @ Lambda.T,
                diagonal=problem.diagonal,
                tol=REFIT_TOL,
                max_iter=MAX_ITER,
            ).Lambda
            before = limit
        return np.nan

    def log_sigma2(self, side: int) -> float:
        """Limit of log sigma2."""
        return self.limit(Coordinates(self.criterion, np.eye(len(self.Lambda))), -1, side)

    def sd(self, i: int) -> tuple[float, float]:
        """Limits of the standard deviation of the i-th random effect, over y_scale."""
        row = self.rows[[i]]
        size = float(np.linalg.norm(row))
        coordinates = Coordinates.starting_with(row / size, self.criterion)
        lower = 0.0 if self.may_lack(i) else size * self.limit(coordinates, 0, -1, 0.0)
        return lower, size * self.limit(coordinates, 0, 1)

    def may_lack(self, i: int) -> bool:
        """Whether the model without the i-th random effect is within the region."""
        problem = self.criterion.problem
        N = _orthogonal(self.rows[i])
        G = multiply(N.T, np.swapaxes(multiply(N.T, problem.G), 0, 1).copy())
        without = replace(problem, G=G, C=multiply(N.T, problem.C))
        criterion, optimum = estimate(without, reml=False, tol=REFIT_TOL, max_iter=MAX_ITER)
        deviance = criterion.profile(*criterion.eliminate(optimum.Lambda))
        return deviance <= self.region.bound

    def correlation(self, i: int, j: int, sd: Array) -> tuple[float, float]:
        """Limits of the correlation of two random effects, given those of all sd."""
        if 0.0 in sd[[i, j], 0]:
            return -1.0, 1.0
        rows = self.rows[[i, j]]
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        coordinates = Coordinates.starting_with(rows, self.criterion, angle=True)
        kappa = [self.limit(coordinates, 1, side, end) for side, end in ((1, np.pi), (-1, 0.0))]
        return float(np.cos(kappa[0])), float(np.cos(kappa[1]))

    def limit(
        self, coordinates: Coordinates, target: int, side: int, end: float | None = None
    ) -> float:
        """Limit of one coordinate of the region."""
        sigma2 = float(np.exp(self.section(self.Lambda).log_sigma2[0]))
        phi = coordinates.phi(self.Lambda, sigma2)
        ridge = Ridge(coordinates, target % len(phi), self.region.lowest, self.region.rise)
        return ridge.limit(phi, side, end)


def _holding(problem: Problem, row: Array, value: float) -> Problem:
    """Hold row @ beta at a value: beta = row value / |row|^2 + N gamma, with gamma free."""
    A = np.zeros((len(row) + 1, len(row)))
    A[:-1, :-1] = _orthogonal(row)
    A[:-1, -1] = -row * (value / (row @ row))
    A[-1, -1] = 1.0
    return replace(problem, T=A.T @ problem.T @ A, C=np.matmul(A.T, problem.C))


def _orthogonal(row: Array) -> Array:
    """Basis of the vectors orthogonal to a given one, in columns."""
    basis: Array = np.linalg.qr(row[:, None], mode="complete")[0][:, 1:]
    return basis
