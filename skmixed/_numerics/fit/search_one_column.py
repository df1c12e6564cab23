"""The variance ratio that minimises the criterion, over the whole half-line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from skmixed._numerics.fit.criterion import Optimum
from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.half_line import HalfLine
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CRITERION_ERROR

# With more groups a coarsened criterion is minimised before the true one.
MANY_GROUPS = 2000
# Distance of the points of the scan in log(1 + psi u_max).
SCAN_STEP = 0.7
# d criterion / d x at the end of the line is minus the residual degrees of freedom within
# groups if y is explained exactly there; and zero, or nearly, if there are none. Otherwise it
# is a number of groups, less those that fixed effects take.
STILL_RISING = 0.5


def minimize_ratio(criterion: RatioCriterion, *, tol: float, max_iter: int) -> Optimum:
    """Minimise the criterion over psi >= 0.

    The criterion can have two minima, one of them at zero, so a scan of the whole line
    first brackets every minimum; a safeguarded Newton iteration then finds each, and the
    lowest is taken. Both work in the x of `HalfLine`.

    Parameters
    ----------
    criterion : RatioCriterion
        The function to minimise.
    tol : float
        The search ends with a step that promises to lower the criterion by less.
    max_iter : int
        Newton steps allowed for each minimum.

    Returns
    -------
    Optimum
    """
    zero = _optimum(0.0, 1, converged=True)
    if not criterion.is_identified:
        return zero
    line = HalfLine(criterion)
    scan = _Scan.along(line)
    # psi = 0 stays unless a minimum elsewhere is lower by more than rounding
    error = CRITERION_ERROR * criterion.problem.n
    best, lowest = zero, scan.at_zero - error
    brackets = list(scan.brackets(line, tol=tol, max_iter=max_iter))
    for low, start, high in brackets:
        x, reached, n_iter, converged = _newton(
            line, low, start, high, tol=tol, max_iter=max_iter
        )
        if reached < lowest:
            best, lowest = _optimum(float(line.psi(x)), n_iter, converged=converged), reached
    if best is not zero:
        lowest += error  # where the criterion levels off, rounding makes minima
    if scan.slope_at_end < STILL_RISING and scan.at_end < lowest:
        levels_off = scan.slope_at_end > -STILL_RISING
        end = line.levelled if levels_off else line.end
        return _optimum(float(line.psi(end)), 1, converged=levels_off, diverged=True)
    return replace(best, is_only_minimum=scan.slope[0] < 0 and len(brackets) == 1)


def _optimum(psi: float, n_iter: int, **flags: bool) -> Optimum:
    return Optimum(np.array([[np.sqrt(psi)]]), n_iter, **flags)


@dataclass(frozen=True)
class _Scan:
    """The slope at points of the line, and what is to be known of its ends.

    If an evaluation costs much, a coarsened criterion is scanned, but for the ends.
    """

    coarse: HalfLine
    grid: Array
    slope: Array
    curvature: Array
    at_zero: float
    at_end: float
    slope_at_end: float

    @classmethod
    def along(cls, line: HalfLine) -> _Scan:
        coarse = HalfLine(line.criterion.coarsened())
        grid = line.grid(SCAN_STEP)
        ends = np.array([0.0, line.end])
        if coarse.criterion is line.criterion:
            value, slope, curvature = line.derivatives(np.append(grid, ends))
            slope, slope_at_ends = slope[:-2], slope[-2:]
        else:
            _, slope, curvature = coarse.derivatives(grid)
            value, slope_at_ends, _ = line.derivatives(ends)
            slope[0] = slope_at_ends[0]  # its sign decides whether there is a minimum at 0
        at_zero, at_end = map(float, value[-2:])
        return cls(coarse, grid, slope, curvature, at_zero, at_end, float(slope_at_ends[1]))

    def brackets(
        self, line: HalfLine, *, tol: float, max_iter: int
    ) -> Iterator[tuple[float, float, float]]:
        """Where the slope turns from falling to rising: (low, start, high) for each minimum.

        If a coarsened criterion was scanned the bracket is widened to hold the minimum of the
        true one. With many groups it is minimised first, since it costs less.
        """
        for i in np.flatnonzero((self.slope[:-1] < 0) & (self.slope[1:] >= 0)).tolist():
            low, high = float(self.grid[i]), float(self.grid[i + 1])
            start = _where_cubic_is_zero(
                low, high, self.slope[i : i + 2], self.curvature[i : i + 2]
            )
            if self.coarse.criterion is line.criterion:
                yield low, start, high
                continue
            if line.criterion.problem.n_groups > MANY_GROUPS:
                start, *_ = _newton(self.coarse, low, start, high, tol=tol, max_iter=max_iter)
            start = line.x(float(self.coarse.psi(start)))
            yield max(low - SCAN_STEP, 0.0), start, high + SCAN_STEP


def _where_cubic_is_zero(low: float, high: float, slope: Array, curvature: Array) -> float:
    """Interpolate where a slope that changes its sign does so, given its derivatives, too."""
    cubic = CubicHermiteSpline([low, high], slope, curvature)
    inside = cubic.roots(extrapolate=False)
    return float(inside[0]) if len(inside) else (low + high) / 2


def _newton(
    line: HalfLine, low: float, start: float, high: float, *, tol: float, max_iter: int
) -> tuple[float, float, int, bool]:
    """Find where the slope changes sign from - to + between low and high.

    Returns x, the criterion there, the number of steps, and whether one was below the
    tolerance. A step that leaves the bracket, or that would run uphill, is replaced by
    bisection. Convergence is quadratic, so the step after the first below the tolerance makes
    the result the same, to rounding, wherever the search began.
    """
    x, close = start, False
    for n_iter in range(1, max_iter + 1):
        value, slope, curvature = (float(part[0]) for part in line.derivatives(np.array([x])))
        # rising: the minimum is to the left
        low, high = (low, x) if slope > 0 else (x, high)
        step = -slope / curvature if curvature > 0 else np.inf
        if not low <= x + step <= high:
            x = (low + high) / 2
            continue
        x += step
        gain = step**2 * curvature / 2
        if close:
            return x, value - gain, n_iter, True
        close = gain <= tol
    return x, float(line.derivatives(np.array([x]))[0][0]), max_iter, close
