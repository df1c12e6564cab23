"""How far one coordinate reaches while the least deviance over the others is within a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skmixed._numerics.coordinates import Coordinates, Expansion
from skmixed._numerics.covariance_search import LARGEST_SD_RATIO
from skmixed._numerics.moments import Array
from skmixed._numerics.quadratic import QuadraticModel

# A limit is found when the next step is smaller than this share of its distance from the
# estimate; what is then left is about the square of that.
TOL = 1e-5
MAX_STEPS = 50
MAX_HALVINGS = 20
# A point is on the ridge if the criterion could be lowered by no more than this share of its
# distance from the bound, or by what is too little to matter.
ON_RIDGE = 0.01
NOTHING = 1e-10
# Where the profile has risen by no more than this share, its curvature tells more than its
# slope.
CLOSE = 0.01
# Another start has led to a better place if the criterion is lower there by this much.
BETTER = 1e-6


@dataclass(frozen=True)
class _Point:
    """A point and, by a quadratic model of the criterion there, the profile near it.

    Attributes
    ----------
    phi : ndarray of shape (n_coordinates,)
        The point.
    at : Expansion
        The criterion there.
    profile, slope, bend : float
        The profile of one coordinate and its derivatives.
    others : QuadraticModel
        The criterion in the other coordinates.
    response : ndarray of shape (n_coordinates - 1,)
        How these follow the one that is profiled, in their eigenvectors.
    """

    phi: Array
    at: Expansion
    profile: float
    slope: float
    bend: float
    others: QuadraticModel
    response: Array

    @classmethod
    def of(cls, phi: Array, at: Expansion, target: int) -> _Point:
        hessian = np.delete(at.hessian, target, axis=0)
        others = QuadraticModel.of(
            np.delete(at.gradient, target), np.delete(hessian, target, axis=1)
        )
        coupling = others.basis.T @ hessian[:, target]
        response = -coupling / others.size
        return cls(
            phi,
            at,
            profile=at.value - others.promise,
            slope=float(at.gradient[target] + others.newton @ coupling),
            bend=float(at.hessian[target, target] + response @ coupling),
            others=others,
            response=response,
        )


@dataclass(frozen=True)
class Ridge:
    """The profile of one coordinate: the least value of a criterion for each value of it.

    Attributes
    ----------
    coordinates : Coordinates
        The criterion, as a function of phi.
    target : int
        The coordinate that is profiled.
    estimate : ndarray of shape (n_coordinates,)
        Where the criterion is least.
    lowest : float
        Its value there.
    rise : float
        How far up the ridge is followed.
    """

    coordinates: Coordinates
    target: int
    estimate: Array
    lowest: float
    rise: float

    def limit(
        self, side: int, *, end: float | None = None, starts: Sequence[Array] = ()
    ) -> float:
        """Follow the ridge from the minimum down (side < 0) or up, to the bound.

        Parameters
        ----------
        side : {-1, 1}
            Which way to go.
        end : float, optional
            Where the profile is symmetric, so that there is nothing new beyond.
        starts : sequence of ndarray of shape (n_coordinates,)
            Where else to begin looking for a lower point at the limit, since there may be
            several ridges.

        Returns
        -------
        float
            The value of the coordinate; `end` if the bound is not reached before; infinite if
            it is not reached at all; NaN if the search failed.
        """
        limit = self.follow(self.point(self.estimate), side, end)
        for start in starts:
            if not np.isfinite(limit) or limit == end:
                break
            phi = start.copy()
            phi[self.target] = limit
            point = self.settled(self.point(phi))
            if point.profile < self.lowest + self.rise - BETTER:
                limit = self.follow(point, side, end)
        return limit

    def follow(self, point: _Point, side: int, end: float | None) -> float:
        """Follow the ridge from a point on it.

        Newton's method for (profile = bound, gradient in the other coordinates = 0), as of
        Venzon and Moolgavkar [1]_, with the square root of what the profile has risen, which
        is nearly linear; the other coordinates are brought back to the ridge between steps.

        References
        ----------
        .. [1] Venzon, D. J. and Moolgavkar, S. H. (1988). A method for computing
           profile-likelihood-based confidence intervals. Applied Statistics 37, 87-94.
           doi:10.2307/2347496
        """
        start = float(self.estimate[self.target])
        last = np.inf if end is None else side * (end - start)
        inner, outer, home = 0.0, np.inf, point  # distances from the estimate
        for _ in range(MAX_STEPS):
            distance, step = (
                side * (float(point.phi[self.target]) - start),
                self.step(point, side),
            )
            if point.profile <= self.lowest + self.rise:
                inner, home = distance, point
                if outer - inner <= TOL * outer:  # the ridge has led to a lower one meanwhile
                    outer = np.inf
            else:
                outer = distance
            if inner == last:
                return start + side * last
            if abs(step) <= TOL * distance:
                return start + side * (distance + step)
            longest = max(1.0, distance)
            further = distance + min(max(step, -longest), longest)
            if not inner < further < outer:  # so, too, where the step is not known
                point, distance = home, inner
                further = (inner + outer) / 2 if outer < np.inf else inner + longest
            phi = self.moved(point, side * (min(further, last) - distance))
            if self.coordinates.sd_ratio(phi) >= LARGEST_SD_RATIO:
                return side * np.inf
            point = self.settled(self.point(phi))
        return np.nan

    def point(self, phi: Array) -> _Point:
        return _Point.of(phi, self.coordinates(phi), self.target)

    def step(self, point: _Point, side: int) -> float:
        """How far it seems to be to the bound; NaN if the profile does not tell."""
        risen, slope = point.profile - self.lowest, side * point.slope
        if risen <= CLOSE * self.rise:
            return float(np.sqrt(2 * self.rise / point.bend)) if point.bend > 0 else np.nan
        root = np.sqrt(risen)
        return float((np.sqrt(self.rise) - root) * 2 * root / slope) if slope > 0 else np.nan

    def settled(self, point: _Point) -> _Point:
        """Lower the criterion, with the coordinate held, until the point is on the ridge."""
        for _ in range(MAX_STEPS):
            lower = self.lowered(point)
            if lower is None:
                break
            point = lower
        return point

    def lowered(self, point: _Point) -> _Point | None:
        """Take one Newton step, shortened as needed; none on the ridge."""
        others, phi = point.others, point.phi
        gap = abs(self.lowest + self.rise - point.profile)
        step = others.newton
        if others.promise <= max(ON_RIDGE * gap, NOTHING):
            if not others.is_saddle:
                return None
            step = np.eye(len(step))[0]  # leave along the negative curvature
        for halving in range(MAX_HALVINGS):
            new = self.shifted(phi, 0.0, others.basis @ step, 0.5**halving)
            if self.coordinates.sd_ratio(new) < LARGEST_SD_RATIO:
                there = self.point(new)
                if there.at.value < point.at.value:
                    return there
        return None

    def moved(self, point: _Point, step: float) -> Array:
        """Move along the ridge, and on to it."""
        others = point.others
        return self.shifted(
            point.phi, step, others.basis @ (others.newton + step * point.response)
        )

    def shifted(self, phi: Array, step: float, others: Array, share: float = 1.0) -> Array:
        """Shift the coordinate by a step, and the others by not much more than they are."""
        longest = max(1.0, float(np.linalg.norm(phi)))
        share *= longest / max(longest, float(np.linalg.norm(others)))
        shifted: Array = phi + np.insert(share * others, self.target, step)
        return shifted
