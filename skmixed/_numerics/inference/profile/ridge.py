"""How far one coordinate reaches while the least deviance over the others is within a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.inference.profile.coordinates import CovarianceCoordinates, Expansion
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import LARGEST_SD_RATIO_OF_SEVERAL
from skmixed._numerics.linalg.quadratic import QuadraticModel

# A limit is found when the next step is smaller than this share of its distance from the
# estimate, and no more than ENOUGH of the deviance depends on a quadratic model: near a border
# a profile may be bent as much as it is steep within a very short distance.
TOL = 1e-5
ENOUGH = 1e-7
MAX_STEPS = 50
TINY_STEPS = 5
MAX_HALVINGS = 20
# A point is on the ridge if the criterion could be lowered by no more than this share of its
# distance from the bound, or by what is too little to matter.
ON_RIDGE = 0.01
NOTHING = 1e-10
# The same where no more is asked than whether there is a better place.
ROUGHLY = 1e-5
# Where the profile has risen by no more than this share, its curvature says more than its
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
    expansion : Expansion
        The criterion there.
    profile, slope, bend : float
        The profile of one coordinate and its derivatives.
    others : QuadraticModel
        The criterion in the other coordinates.
    response : ndarray of shape (n_coordinates - 1,)
        How these follow the one that is profiled, in their eigenvectors.
    """

    phi: Array
    expansion: Expansion
    profile: float
    slope: float
    bend: float
    others: QuadraticModel
    response: Array

    @classmethod
    def of(cls, phi: Array, expansion: Expansion, target: int) -> _Point:
        """Minimise the quadratic expansion over the other coordinates."""
        gradient, hessian = expansion.gradient, expansion.hessian
        rest = _but(target, len(phi))
        # a standard deviation may be a tiny share of another
        units = 1 / np.sqrt(np.maximum(np.abs(hessian[rest, rest]), 1.0))
        others = QuadraticModel.of(gradient[rest], hessian[rest[:, None], rest], units)
        coupling = others.basis.T @ hessian[rest, target]
        response = -coupling / others.size
        return cls(
            phi,
            expansion,
            profile=expansion.value - float(others.predicted_decrease),
            slope=float(gradient[target] + others.newton @ coupling),
            bend=float(hessian[target, target] + response @ coupling),
            others=others,
            response=response,
        )


@dataclass(frozen=True)
class _Bracket:
    """Between which distances from the estimate the limit is known to lie.

    Attributes
    ----------
    inner, outer : float
        The largest distance known to be within the limit, and the least beyond it.
    last : float
        The distance from which on there is nothing new.
    home : _Point
        The point at the inner one, to return to.
    """

    inner: float
    outer: float
    last: float
    home: _Point

    def narrowed(self, point: _Point, distance: float, *, within: bool) -> _Bracket:
        """Take in whether the point at a distance is within the limit."""
        if not within:
            return replace(self, outer=distance)
        # it closes without a limit in it where the ridge has led to a lower one meanwhile
        closed = self.outer - distance <= TOL * self.outer
        return replace(self, inner=distance, outer=np.inf if closed else self.outer, home=point)

    def limit(self, distance: float, step: float, modelled: float) -> float | None:
        """Distance of the limit, once it is found.

        Given the step that is still to be taken, and how much of the deviance at its end a
        quadratic model has added.
        """
        if self.inner == self.last:
            return self.last
        found = abs(step) <= TOL * distance and modelled <= ENOUGH
        return distance + step if found else None

    def next_step(self, point: _Point, distance: float, step: float) -> tuple[_Point, float]:
        """From which point to go on, and how far.

        As far as the step leads from the last one; or, if it leaves the bracket or is not
        known, from the inner point to the middle, or as far again as that is away.
        """
        longest = max(1.0, distance)
        further = distance + min(max(step, -longest), longest)
        if not self.inner < further < self.outer:  # so it is, too, if the step is NaN
            point, distance = self.home, self.inner
            further = (distance + self.outer) / 2 if self.outer < np.inf else distance + longest
        return point, min(further, self.last) - distance


@dataclass(frozen=True)
class Ridge:
    """The profile of one coordinate: the least value of a criterion for each value of it.

    Attributes
    ----------
    coordinates : CovarianceCoordinates
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

    coordinates: CovarianceCoordinates
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
            The value of the coordinate; `end` if the bound is not reached before; -infinity if
            it is log sigma2 and the bound is not reached at all; NaN if the search failed.
        """
        limit = self.follow(self.point(self.estimate), side, end)
        for start in starts:
            if not np.isfinite(limit) or limit == end:
                break
            point = self.settled(self.at(limit, start), enough=ROUGHLY)
            if point.profile < self.bound - BETTER:
                limit = self.follow(point, side, end)
        return limit

    def reaches(self, value: float) -> bool:
        """Whether a point with this value of the coordinate is within the bound."""
        point = self.settled(self.at(value, self.estimate))
        return point.profile <= self.bound

    def at(self, value: float, start: Array) -> _Point:
        """Return a start, but for the value of the coordinate."""
        phi = start.copy()
        phi[self.target] = value
        return self.point(phi)

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
        bracket, tiny_steps = _Bracket(0.0, np.inf, last, point), 0
        for _ in range(MAX_STEPS):
            distance = side * (float(point.phi[self.target]) - start)
            step = self.step(point, side)
            bracket = bracket.narrowed(point, distance, within=point.profile <= self.bound)
            modelled = abs(point.bend) * step**2 / 2 + float(point.others.predicted_decrease)
            limit = bracket.limit(distance, step, modelled)
            if limit is not None:
                return start + side * limit
            # steps that stay tiny and do not end are rounding
            tiny_steps = tiny_steps + 1 if abs(step) <= TOL * distance else 0
            if tiny_steps == TINY_STEPS:
                return start + side * (distance + step)
            point, step = bracket.next_step(point, distance, step)
            phi = self.moved(point, side * step)
            if self.diverged(phi):
                return self.limit_if_diverged
            point = self.settled(self.point(phi))
        return np.nan

    @property
    def bound(self) -> float:
        return self.lowest + self.rise

    @property
    def limit_if_diverged(self) -> float:
        """What the limit is if the random effects explain y without the bound in the way.

        sigma2 may go to 0 if no group has more rows than random effects.
        """
        of_log_sigma2 = self.target == len(self.estimate) - 1
        return -np.inf if of_log_sigma2 else np.nan

    def diverged(self, phi: Array) -> bool:
        """Whether a standard deviation is beyond measure, relative to sigma."""
        beyond = self.coordinates.likelihood.largest_ratio
        largest = LARGEST_SD_RATIO_OF_SEVERAL * np.sqrt(beyond)
        return not self.coordinates.sd_ratio(phi) < largest

    def point(self, phi: Array) -> _Point:
        return _Point.of(phi, self.coordinates(phi), self.target)

    def step(self, point: _Point, side: int) -> float:
        """How far it seems to be to the bound; NaN if the profile does not say."""
        risen, slope = point.profile - self.lowest, side * point.slope
        if risen <= CLOSE * self.rise:
            return float(np.sqrt(2 * self.rise / point.bend)) if point.bend > 0 else np.nan
        root = np.sqrt(risen)
        return float((np.sqrt(self.rise) - root) * 2 * root / slope) if slope > 0 else np.nan

    def settled(self, point: _Point, enough: float = NOTHING) -> _Point:
        """Lower the criterion, with the coordinate held, until the point is on the ridge."""
        for _ in range(MAX_STEPS):
            if self.is_on_ridge(point, enough):
                return point
            lower = self.lowered(point)
            if lower is None:
                break
            point = lower
        return replace(point, profile=point.expansion.value)  # the model is not to be relied on

    def is_on_ridge(self, point: _Point, enough: float) -> bool:
        gap = abs(self.bound - point.profile)
        near = point.others.predicted_decrease <= max(ON_RIDGE * gap, enough)
        return bool(near and not point.others.is_saddle)

    def lowered(self, point: _Point) -> _Point | None:
        """Take a Newton step, shortened until it lowers the criterion; none if that fails."""
        others = point.others
        step = others.newton
        if others.predicted_decrease <= NOTHING:
            step = np.eye(len(step))[0]  # leave a saddle along the negative curvature
        step = _not_too_long(step, point)
        enough = 1e-4 * float(others.gradient @ step)
        for share in 0.5 ** np.arange(MAX_HALVINGS):
            phi = self.shifted(point, 0.0, share * step)
            if not self.diverged(phi):
                new = self.point(phi)
                if new.expansion.value < point.expansion.value + share * min(enough, 0.0):
                    return new
        return None

    def moved(self, point: _Point, step: float) -> Array:
        """Move along the ridge, and on to it."""
        others = point.others.newton + step * point.response
        return self.shifted(point, step, _not_too_long(others, point))

    def shifted(self, point: _Point, step: float, others: Array) -> Array:
        """Shift the coordinate, and the others along their eigenvectors."""
        shifted = point.phi.copy()
        shifted[self.target] += step
        shifted[_but(self.target, len(shifted))] += point.others.basis @ others
        return shifted


def _but(target: int, n: int) -> NDArray[np.intp]:
    """All numbers below n but one."""
    rest = np.arange(n - 1)
    rest[target:] += 1
    return rest


def _not_too_long(step: Array, point: _Point) -> Array:
    """Shorten a step of the other coordinates to the size of what it changes."""
    longest = max(1.0, float(np.linalg.norm(point.phi)))
    length = float(np.linalg.norm(point.others.basis @ step))
    return step * (longest / max(longest, length))
