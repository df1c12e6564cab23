"""The half-line of one variance ratio, in a coordinate that suits all of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.identifiability import fits_all_rows
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import LARGEST_SD_RATIO

# Where psi u is so large in all groups, a criterion that levels off has done so.
LEVELLED = 1e7


@dataclass(frozen=True)
class HalfLine:
    """psi >= 0 in x = log(1 + psi u_max): linear in psi near 0, logarithmic far from it.

    Attributes
    ----------
    criterion : RatioCriterion
        The function of psi; u_max is the largest of its group sizes.
    """

    criterion: RatioCriterion

    @cached_property
    def unit(self) -> float:
        """1 / u_max: psi is about unit x near 0."""
        return 1 / float(self.criterion.u.max())

    @cached_property
    def end(self) -> float:
        """The x from which on a standard deviation is beyond measure."""
        problem = self.criterion.problem
        # if random effects fit all rows there is nothing further off
        more = 1.0 if fits_all_rows(problem) else problem.largest_ratio
        return self.x(LARGEST_SD_RATIO**2 * more)

    @property
    def levelled(self) -> float:
        """The x from which on a criterion that levels off hardly changes."""
        return min(self.x(LEVELLED / float(self.criterion.u.min())), self.end)

    def x(self, psi: float) -> float:
        return float(np.log1p(psi / self.unit))

    def psi(self, x: Array | float) -> Array:
        return np.asarray(self.unit * np.expm1(x))

    def grid(self, step: float) -> Array:
        """Points of the whole line, a step apart."""
        return np.arange(0.0, self.end + step, step)

    def derivatives(self, x: Array) -> tuple[Array, Array, Array]:
        """Return the criterion and its first two derivatives in x, shapes (k,)."""
        in_psi = self.criterion(self.psi(x))
        # dpsi/dx and d2psi/dx2 are the same
        jacobian = self.unit * np.exp(x)
        slope = jacobian * in_psi.slope
        return in_psi.value, slope, jacobian**2 * in_psi.curvature + slope
