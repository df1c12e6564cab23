"""Profile-likelihood limits of a fixed effect beside several variances of random effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.inference.profile.likelihood import ByFactor, Likelihood
from skmixed._numerics.inference.profile.region import Region
from skmixed._numerics.linalg.arrays import Array

# A limit is found when refits seem to move it by less than this share of the section's half
# width from there on, if each moves it by as much less as the last one did.
TOL = 1e-8
MAX_STEPS = 50
# A better Psi, found anywhere, reaches further by at least this share of the half width.
FURTHER = 1e-6


@dataclass(frozen=True)
class FixedEffect:
    """The k-th fixed effect that is estimated, and how far it reaches within the region.

    Given Psi that is closed form, and given the effect the best Psi is a refit with one column
    less: taken in turns the two stay within the region, and converge quadratically.
    """

    region: Region
    likelihood: Likelihood
    k: int

    def limit(
        self, side: int, Lambdas: ByFactor, *, everywhere: bool
    ) -> tuple[float, ByFactor | None]:
        """Find the limit below (side < 0) or above the estimate.

        Parameters
        ----------
        side : {-1, 1}
            Which limit.
        Lambdas : sequence of ndarray of shape (q_f, q_f)
            Factors of the Psi_f of least deviance.
        everywhere : bool
            Whether to look for a better Psi at the limit not only near the one it led to.

        Returns
        -------
        limit : float
            In the user's units; NaN if the search failed.
        elsewhere : sequence of ndarray of shape (q_f, q_f) or None
            Factors of better Psi_f, if there were some elsewhere.
        """
        limit = self.alternate(side, Lambdas)
        if everywhere and not np.isnan(limit):
            elsewhere = self.refit(limit, None)
            reach, half_width = self.reach(side, elsewhere)
            if half_width > 0 and side * (reach - limit) > FURTHER * half_width:
                return self.alternate(side, elsewhere), elsewhere
        return limit, None

    def alternate(self, side: int, Lambdas: ByFactor) -> float:
        """Alternate between the closed form and a refit."""
        before, last_move = np.nan, np.inf
        for _ in range(MAX_STEPS):
            reach, half_width = self.reach(side, Lambdas)
            move = abs(reach - before)  # NaN at the start
            if move <= TOL * half_width or move**2 <= TOL * half_width * last_move < np.inf:
                return reach
            Lambdas, before, last_move = self.refit(reach, Lambdas), reach, move
        return np.nan

    def reach(self, side: int, Lambdas: ByFactor) -> tuple[float, float]:
        """Return the limit at given Psi, and its distance from the best value there.

        That is 0 where no point of the region has this Psi.
        """
        section = self.region.section(*self.likelihood.eliminate(Lambdas))
        half_width = float(section.half_width[self.k])
        return float(section.beta[self.k]) + side * half_width, half_width

    def refit(self, value: float, Lambdas: ByFactor | None) -> ByFactor:
        """Find the best Psi with the effect held at a value, from Lambdas or everywhere."""
        coordinates = self.region.criterion.problem.coordinates
        column = np.flatnonzero(coordinates.kept)[self.k]
        row, origin = coordinates.backmap[column], coordinates.origin[column]
        return self.likelihood.refit(_holding(row, value - origin), Lambdas)


def orthogonal(row: Array) -> Array:
    """Basis of the vectors orthogonal to a given one, in columns."""
    basis: Array = np.linalg.qr(row[:, None], mode="complete")[0][:, 1:]
    return basis


def _holding(row: Array, value: float) -> Array:
    """Hold row @ beta at a value: beta = row value / |row|^2 + N gamma, with gamma free.

    Returns A with [X, y] A the new columns: X N, and y - X row value / |row|^2.
    """
    A = np.zeros((len(row) + 1, len(row)))
    A[:-1, :-1] = orthogonal(row)
    A[:-1, -1] = -row * (value / (row @ row))
    A[-1, -1] = 1.0
    return A
