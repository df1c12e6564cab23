"""How far one coordinate reaches while the least deviance over the others is within a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.coordinates import Coordinates, Expansion
from skmixed._numerics.covariance_search import LARGEST_SD_RATIO
from skmixed._numerics.moments import Array
from skmixed._numerics.quadratic import QuadraticModel

# The limit is found when the next step is smaller than this share of its distance from the
# estimate; what is then left is about the square of that.
TOL = 1e-5
MAX_STEPS = 100
MAX_HALVINGS = 20
# A point is on the ridge if the deviance could be lowered by no more than this share of its
# distance from the bound, or by what is too little to matter.
ON_RIDGE = 0.01
NOTHING = 1e-10
# Where the profile has risen by no more than this share, its curvature tells more than its
# slope.
CLOSE = 0.01


@dataclass(frozen=True)
class _Profile:
    """The profile of one coordinate near a point, by a quadratic model of the criterion.

    Attributes
    ----------
    value, slope, bend : float
        The profile and its derivatives.
    others : QuadraticModel
        The criterion in the other coordinates.
    response : ndarray
        How these move with the one that is profiled, in their eigenvectors.
    """

    value: float
    slope: float
    bend: float
    others: QuadraticModel
    response: Array

    @classmethod
    def of(cls, at: Expansion, target: int) -> _Profile:
        gradient = np.delete(at.gradient, target)
        hessian = np.delete(at.hessian, target, axis=0)
        coupling = hessian[:, target]
        others = QuadraticModel.of(gradient, np.delete(hessian, target, axis=1))
        coupling = others.basis.T @ coupling
        response = -coupling / others.size
        return cls(
            value=at.value - others.promise,
            slope=float(at.gradient[target] + others.newton @ coupling),
            bend=float(at.hessian[target, target] + response @ coupling),
            others=others,
            response=response,
        )


@dataclass(frozen=True)
class Ridge:
    """The least values of a criterion for each value of one coordinate.

    Attributes
    ----------
    coordinates : Coordinates
        The criterion, as a function of phi.
    target : int
        Which coordinate.
    lowest : float
        The least value of the criterion.
    rise : float
        How far up the ridge is followed.
    """

    coordinates: Coordinates
    target: int
    lowest: float
    rise: float

    def limit(self, phi: Array, side: int, end: float | None = None) -> float:
        """Follow the ridge from the minimum down (side < 0) or up to the bound.

        Newton's method for (profile = bound, gradient in the other coordinates = 0), as of
        Venzon and Moolgavkar [1]_, with the square root of what the profile has risen, which
        is nearly linear; the other coordinates are brought back to the ridge between steps.

        Parameters
        ----------
        phi : ndarray of shape (n_coordinates,)
            Where the criterion is least.
        side : {-1, 1}
            Which way to go.
        end : float, optional
            Where the profile is symmetric, so that there is nothing new beyond.

        Returns
        -------
        float
            The value of the coordinate; `end` if the bound is not reached before; infinite if
            it is not reached at all; NaN if the search failed.

        References
        ----------
        .. [1] Venzon, D. J. and Moolgavkar, S. H. (1988). A method for computing
           profile-likelihood-based confidence intervals. Applied Statistics 37, 87-94.
           doi:10.2307/2347496
        """
        start = float(phi[self.target])
        last = np.inf if end is None else side * (end - start)
        inner, outer = 0.0, np.inf  # distances from the estimate
        at = self.coordinates(phi)
        for _ in range(MAX_STEPS):
            profile = _Profile.of(at, self.target)
            lowered = self.lowered(phi, at, profile.others)
            if lowered is not None:
                phi, at = lowered
                continue
            distance = side * (float(phi[self.target]) - start)
            within = profile.value <= self.lowest + self.rise
            inner, outer = (distance, outer) if within else (inner, distance)
            step = self.step(profile, side)
            if inner == last or abs(step) <= TOL * distance:
                return start + side * (last if inner == last else distance + step)
            further = _between(inner, outer, distance, step)
            phi = self.moved(phi, profile, side * (min(further, last) - distance))
            if self.coordinates.sd_ratio(phi) >= LARGEST_SD_RATIO:
                return side * np.inf
            at = self.coordinates(phi)
        return np.nan

    def step(self, profile: _Profile, side: int) -> float:
        """How far it seems to be to the bound; NaN if the profile does not tell."""
        risen, slope = profile.value - self.lowest, side * profile.slope
        if risen <= CLOSE * self.rise:
            return float(np.sqrt(2 * self.rise / profile.bend)) if profile.bend > 0 else np.nan
        root = np.sqrt(risen)
        return float((np.sqrt(self.rise) - root) * 2 * root / slope) if slope > 0 else np.nan

    def lowered(
        self, phi: Array, at: Expansion, others: QuadraticModel
    ) -> tuple[Array, Expansion] | None:
        """Lower the criterion with the coordinate held; nothing if that is done already."""
        below = at.value - others.promise
        enough = max(ON_RIDGE * abs(self.lowest + self.rise - below), NOTHING)
        step = others.newton
        if others.promise <= enough:
            if not others.is_saddle:
                return None
            step = np.eye(len(step))[0]  # the most negative curvature
        for halving in range(MAX_HALVINGS):
            new = self.shifted(phi, 0.0, others.basis @ (0.5**halving * step))
            there = self.coordinates(new)
            if there.value < at.value:
                return new, there
        return None

    def moved(self, phi: Array, profile: _Profile, step: float) -> Array:
        """Move along the ridge, and on to it."""
        others = profile.others
        return self.shifted(phi, step, others.basis @ (others.newton + step * profile.response))

    def shifted(self, phi: Array, step: float, others: Array) -> Array:
        shifted: Array = phi + np.insert(others, self.target, step)
        return shifted


def _between(inner: float, outer: float, distance: float, step: float) -> float:
    """Take a step if it stays strictly between; otherwise bisect, or go further out."""
    longest = max(1.0, distance)
    further = distance + float(np.clip(step, -longest, longest))
    if inner < further < outer:
        return further
    return (inner + outer) / 2 if outer < np.inf else inner + longest
