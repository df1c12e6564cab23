"""Profile-likelihood limits of a model with one random column.

Everything but psi is closed form, so each limit is the extreme value of a smooth function of
one variable over the stretch of the line that is within the region. These functions come from

    log|V| = sum_j log(1 + psi u_j)  and  M = within + sum_j (c_j c_j' / u_j) / (1 + psi u_j).

In x = log(1 + psi u_max) log|V|, log r2, beta and log c are analytic in the strip
|Im x| < pi: there the numbers 1 / (1 + psi u_j) lie in a convex cone without 0, so that
w* M w is not 0 for any vector w. Hence their interpolants in Chebyshev nodes converge at a
known geometric rate: a dozen or two evaluations stand for the functions wherever the limits
are then looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebval, chebvander
from scipy.optimize import brentq

from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.half_line import HalfLine
from skmixed._numerics.fit.identifiability import fits_all_rows
from skmixed._numerics.inference.profile.region import (
    ProfileLimits,
    Region,
    Section,
    log_sigma2_step,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import SLACK_ERROR, residual_square

# Error of the interpolants, relative to the functions' size in the strip.
ACCURACY = 1e-14
# Distance in x of the points at which the stretch is looked for, and by how much it is
# lengthened where that was too short.
SCAN_STEP = 0.5
MORE = 2.0
# Points among which the best is looked for, and distances of three points on a parabola.
POINTS = 64
SPACINGS = np.pi / POINTS / np.array([1.0, 4.0, 16.0, 64.0])


def ratio_limits(region: Region, criterion: RatioCriterion, psi: float) -> ProfileLimits:
    """Find the limits of all parameters of a model with one random column.

    Parameters
    ----------
    region : Region
        The likelihood region.
    criterion : RatioCriterion
        The ML deviance.
    psi : float
        The variance ratio of least deviance.

    Returns
    -------
    ProfileLimits
    """
    line = HalfLine(criterion)
    best = line.x(psi)
    curve = _interpolate(region, line, *_scan(region, line, best))
    low, high = curve.stretch(best)

    def reach(phi: Array) -> Array:
        # square roots that vanish at the ends of the stretch are smooth in phi
        x = low + (high - low) * np.sin(phi / 2) ** 2
        return curve.reach(np.broadcast_to(x, (len(x), len(curve.side))))

    fixed, sigma2, variance = np.split(curve.side * _maxima(reach), [-4, -2])
    problem = criterion.problem
    if high == line.end and fits_all_rows(problem):  # all variance may be that of groups
        sigma2[0] = 0.0
    elif high == line.end:
        variance[1] = np.inf
    coordinates = problem.coordinates
    unit = abs(coordinates.random_backmap[coordinates.random_kept, 0])
    return ProfileLimits.from_kept(
        coordinates, fixed=fixed.reshape(2, -1).T, sigma2=sigma2, sd=unit * np.sqrt(variance)
    )


def _maxima(functions: Callable[[Array], Array]) -> Array:
    """Maxima over [0, pi] of smooth functions, each of its column of the argument."""
    grid = np.linspace(0.0, np.pi, POINTS + 1)[:, None]
    values = functions(grid)
    place = grid[values.argmax(axis=0), 0]
    for h in SPACINGS:
        place = np.clip(place, h, np.pi - h)
        left, middle, right = functions(place + h * np.array([[-1.0], [0.0], [1.0]]))
        bend = left - 2 * middle + right
        vertex = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend < 0)
        place = place + h * np.clip(vertex, -1.0, 1.0)
    highest: Array = np.maximum(values.max(axis=0), functions(place[None])[0])
    return highest


def _scan(region: Region, line: HalfLine, best: float) -> tuple[float, float]:
    """Find a stretch that may hold what is within the region, with coarsened sizes."""
    coarse, grid = line.criterion.coarsened(), line.grid(SCAN_STEP)
    log_det, M = coarse.eliminate_each(line.psi(grid))
    deviance = log_det + line.criterion.problem.n * np.log(residual_square(M))
    near = np.append(grid[deviance <= deviance.min() + region.rise], best)
    return max(near.min() - SCAN_STEP, 0.0), min(near.max() + SCAN_STEP, line.end)


def _interpolate(region: Region, line: HalfLine, low: float, high: float) -> _Curve:
    """Interpolate between low and high, and beyond as far as the region goes."""
    curve = _Curve.between(low, high, region, line)
    within = curve.slack(np.array([low, high])) > 0
    wider = max(low - MORE * within[0], 0.0), min(high + MORE * within[1], line.end)
    return curve if wider == (low, high) else _interpolate(region, line, *wider)


@dataclass(frozen=True)
class _Curve:
    """The sections of the region along the line, interpolated in Chebyshev nodes.

    Attributes
    ----------
    low, high : float
        Where the line is looked at.
    unit : float
        psi / expm1(x).
    common : ndarray of shape (degree + 1, 2)
        Chebyshev coefficients of slack and log_sigma2.
    by_effect : ndarray of shape (degree + 1, 2, 1, 2 n_kept)
        Those of beta and log_c_r2; all fixed effects twice, for two limits each.
    """

    low: float
    high: float
    unit: float
    common: Array
    by_effect: Array

    @classmethod
    def between(cls, low: float, high: float, region: Region, line: HalfLine) -> _Curve:
        # half the distance of the strip's borders, over half the length
        reach = 2 * np.pi / (high - low)
        rate = np.log(reach + np.hypot(reach, 1.0))
        nodes = chebpts1(1 + int(np.ceil(-np.log(ACCURACY) / rate)))
        psi = line.psi(low + (high - low) * (nodes + 1) / 2)
        section = region.section(*line.criterion.eliminate_each(psi))
        # fixed effects twice, for a lower and an upper limit of each
        of_fixed = *2 * [section.beta], *2 * [section.log_c_r2]
        values = np.hstack([section.slack, section.log_sigma2, *of_fixed])
        V = np.asarray(chebvander(nodes, len(nodes) - 1), dtype=np.float64)
        coefficients = 2 / len(nodes) * (V.T @ values)
        coefficients[0] /= 2
        common, by_effect = coefficients[:, :2], coefficients[:, 2:]
        # chebval takes the degree first; the axis of length 1 meets that of the points
        by_effect = by_effect.reshape(len(nodes), 2, 1, by_effect.shape[1] // 2)
        return cls(low, high, line.unit, common, by_effect)

    @property
    def side(self) -> Array:
        """-1 for lower limits, 1 for upper: of fixed effects, sigma2 and psi sigma2."""
        n_kept = self.by_effect.shape[-1] // 2
        return np.repeat([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0], [n_kept, n_kept, 1, 1, 1, 1])

    def slack(self, x: Array | float) -> Array:
        return np.asarray(chebval(self._relative(x), self.common[:, 0]))

    def stretch(self, best: float) -> tuple[float, float]:
        """From where to where the line is within the region, which holds the best."""
        grid = np.sort(np.append(np.linspace(self.low, self.high, POINTS), best))
        within = grid[(self.slack(grid) >= 0) | (grid == best)]
        return (
            self.border(within[0], grid[grid < within[0]][-1:]),
            self.border(within[-1], grid[grid > within[-1]][:1]),
        )

    def border(self, within: float, beyond: Array) -> float:
        """Where the region ends between two points, or at the first if there is no second."""
        if len(beyond) == 0 or self.slack(within) <= 0:
            return within
        return float(brentq(lambda x: float(self.slack(x)), within, beyond[0]))

    def reach(self, x: Array) -> Array:
        """How far each limit reaches, times its side, if psi is at x; shape (k, n_limits)."""
        t, (fixed, variances) = np.asarray(self._relative(x)), (np.s_[:, :-4], np.s_[:, -4:])
        slack, log_sigma2 = chebval(t, self.common)
        beta, log_c_r2 = chebval(t[fixed], self.by_effect, tensor=False)
        section = Section(slack[fixed], log_sigma2[fixed], beta, log_c_r2)
        step = log_sigma2_step(slack[variances], self.side[-4:])
        sigma2 = np.exp(log_sigma2[variances] + step)
        sigma2[:, -2:] *= self.unit * np.expm1(x[:, -2:])
        value = np.hstack([self.side[:-4] * beta + section.half_width, self.side[-4:] * sigma2])
        # between two parts of the region nothing is reached; at its border slack is rounding
        return np.where(slack < -SLACK_ERROR, value.min(axis=0), value)

    def _relative(self, x: Array | float) -> Array | float:
        return (2 * x - self.low - self.high) / (self.high - self.low)
