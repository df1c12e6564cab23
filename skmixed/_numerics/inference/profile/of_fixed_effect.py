"""Profile-likelihood limits of a fixed effect in a model with several random columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.fit.search_several_columns import minimize_covariance
from skmixed._numerics.inference.profile.region import Region
from skmixed._numerics.linalg.arrays import Array

# A limit is found when a refit moves it by less than this share of the section's half width;
# what is then left is about the square of that.
TOL = 1e-4
MAX_STEPS = 50
# A refit ends with a step that promises to lower the deviance by less, and takes that step.
REFIT_TOL = 1e-2


@dataclass(frozen=True)
class FixedEffect:
    """The k-th fixed effect that is estimated, and how far it reaches within the region.

    Given Psi that is closed form, and given the effect the best Psi is a refit with one column
    less: taken in turns the two stay within the region, and converge quadratically.
    """

    region: Region
    k: int

    def limit(self, side: int, Lambda: Array, starts: Sequence[Array] = ()) -> float:
        """Find the limit below (side < 0) or above the estimate.

        Parameters
        ----------
        side : {-1, 1}
            Which limit.
        Lambda : ndarray of shape (q, q)
            Factor of the Psi of least deviance.
        starts : sequence of ndarray of shape (q, q)
            Where else to begin looking for a better Psi at the limit.

        Returns
        -------
        float
            The limit, in the user's units; NaN if the search failed.
        """
        limit = self.alternate(side, Lambda)
        for start in starts:
            if np.isnan(limit):
                break
            Lambda = self.refit(limit, start)
            reach, half_width = self.reach(side, Lambda)
            within = half_width > 0
            if within and side * (reach - limit) > TOL * half_width:
                limit = self.alternate(side, Lambda)
        return limit

    def alternate(self, side: int, Lambda: Array) -> float:
        """Alternate between the closed form and a refit."""
        before = np.inf
        for _ in range(MAX_STEPS):
            reach, half_width = self.reach(side, Lambda)
            if abs(reach - before) <= TOL * half_width:
                return reach
            Lambda, before = self.refit(reach, Lambda), reach
        return np.nan

    def reach(self, side: int, Lambda: Array) -> tuple[float, float]:
        """Return the limit at given Psi, and its distance from the best value there.

        That is 0 where no point of the region has this Psi.
        """
        section = self.region.section(*self.region.criterion.eliminate(Lambda))
        half_width = float(section.half_width[self.k])
        return float(section.beta[self.k]) + side * half_width, half_width

    def refit(self, value: float, Lambda: Array) -> Array:
        """Find the best Psi with the effect held at a value, starting from Lambda Lambda'."""
        problem = self.region.criterion.problem
        coordinates = problem.coordinates
        column = np.flatnonzero(coordinates.kept)[self.k]
        row, origin = coordinates.backmap[column], coordinates.origin[column]
        held = _holding(problem, row, value - origin)
        return minimize_covariance(
            CovarianceCriterion(held, reml=False),
            diagonal=problem.diagonal,
            tol=REFIT_TOL,
            max_iter=MAX_STEPS,
            start=Lambda,
        ).Lambda


def orthogonal(row: Array) -> Array:
    """Basis of the vectors orthogonal to a given one, in columns."""
    basis: Array = np.linalg.qr(row[:, None], mode="complete")[0][:, 1:]
    return basis


def _holding(problem: Problem, row: Array, value: float) -> Problem:
    """Hold row @ beta at a value: beta = row value / |row|^2 + N gamma, with gamma free."""
    # [X, y] A are the new columns: X N, and y - X row value / |row|^2
    A = np.zeros((len(row) + 1, len(row)))
    A[:-1, :-1] = orthogonal(row)
    A[:-1, -1] = -row * (value / (row @ row))
    A[-1, -1] = 1.0
    return replace(problem, within=A.T @ problem.within @ A, own=np.matmul(A.T, problem.own))
