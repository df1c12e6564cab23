"""How large the variance of one of several factors may be, the others fitted anew.

Every factor has a random intercept alone, so that Psi_f is a number, psi_f. The profile of
psi_f is the least criterion that the other variances leave,

    P_f(psi_f) = min over psi_g, g != f, of the criterion.

P_f(0) less the minimum is the likelihood-ratio statistic of psi_f = 0, and the interval of
psi_f holds what rises by less than a quantile of chi-squared with one degree of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2

from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion, FactorsDerivatives
from skmixed._numerics.linalg.arrays import Array

MAX_STEPS, MAX_HALVINGS = 50, 30
# What a step of the other variances may still promise: for a test, and on the way to a limit.
EXACT, NEARLY = 1e-8, 1e-3
# Limits are looked for between these ratios, in steps, up to a share of the ratio.
LEAST, MOST, STEP, SHARE = 1e-9, 1e9, 4.0, 2e-2


@dataclass(frozen=True)
class RatioProfile:
    """The profile of the ratio of one variance to that of the residuals.

    Attributes
    ----------
    criterion : FactorsCriterion
        Of a model whose factors have a random intercept each, and nothing else.
    psi : ndarray of shape (n_factors,)
        The ratios where the criterion is least, in the coordinates of the problem.
    f : int
        Position of the factor.
    """

    criterion: FactorsCriterion
    psi: Array
    f: int

    @cached_property
    def least(self) -> float:
        """The criterion at its minimum."""
        return self.criterion.value(_factors(self.psi))

    @cached_property
    def statistic(self) -> float:
        """Twice the logarithm of the likelihood ratio against a variance of 0."""
        if not self.psi[self.f]:
            return 0.0
        return max(self._rise(0.0, EXACT)[0], 0.0)

    @property
    def p_value(self) -> float:
        """Of an equal mixture of chi-squared with no and with one degree of freedom."""
        return float(chi2.sf(self.statistic, 1)) / 2 if self.statistic > 0 else 1.0

    def limits(self, level: float) -> tuple[Array, Array]:
        """Return all ratios at the lower limit of this one, and at the upper one.

        Infinite is what no ratio up to a billion exceeds.
        """
        rise = float(chi2.ppf(level, 1))
        return self._lower(rise), self._upper(rise)

    def _lower(self, rise: float) -> Array:
        at_zero, psi = self._rise(0.0, NEARLY)
        if not self.psi[self.f] or at_zero <= rise:
            return psi
        near, far = self.psi, self.psi[self.f] / STEP
        while (found := self._rise(far, NEARLY, near))[0] < rise and far > LEAST:
            near, far = found[1], far / STEP
        return self._between(far, near, rise)

    def _upper(self, rise: float) -> Array:
        near = self.psi
        far = STEP * max(self.psi[self.f], 1e-4)
        while (found := self._rise(far, NEARLY, near))[0] < rise:
            near, far = found[1], far * STEP
            if far > MOST:
                return np.where(np.arange(len(near)) == self.f, np.inf, near)
        return self._between(far, near, rise)

    def _between(self, far: float, near: Array, rise: float) -> Array:
        """Find where the profile rises by so much, between ratios too far and near."""
        here = near

        def excess(log_psi: float) -> float:
            nonlocal here  # the others are near where they were
            found, here = self._rise(float(np.exp(log_psi)), NEARLY, here)
            return found - rise

        nearest = max(near[self.f], far / STEP**2)
        if excess(np.log(nearest)) < 0 < excess(np.log(far)):
            brentq(excess, np.log(nearest), np.log(far), xtol=SHARE)
        return here

    def _rise(
        self, psi_f: float, tol: float, start: Array | None = None
    ) -> tuple[float, Array]:
        """By how much the profile exceeds the minimum, and the ratios there."""
        psi = np.array(self.psi if start is None else start)
        psi[self.f] = psi_f
        others = np.arange(len(psi)) != self.f
        for _ in range(MAX_STEPS):
            here = self.criterion(_factors(psi))
            change, promise = _step(here, psi, others)
            if promise < tol:
                break
            after = _halved(self.criterion, psi, change, here.value)
            if np.array_equal(after, psi):
                break
            psi = after
        return here.value - self.least, psi


def _step(
    here: FactorsDerivatives, psi: Array, others: NDArray[np.bool_]
) -> tuple[Array, float]:
    """Return a Newton step of the other ratios by the average information, and its promise."""
    slope = np.array([S[0, 0] for S in here.S])
    free = others & ((psi > 0) | (slope < 0))
    change = np.zeros_like(psi)
    if free.any():
        information = here.average_information([np.ones((1, 1, 1))] * len(psi))[0]
        change[free] = -np.linalg.lstsq(
            information[np.ix_(free, free)], slope[free], rcond=None
        )[0]
    # a ratio that is about to become 0 promises no more than the way there
    change = np.maximum(change, -psi)
    return change, float(-slope @ change) / 2


def _halved(criterion: FactorsCriterion, psi: Array, change: Array, value: float) -> Array:
    """Go as far as the criterion falls."""
    for halving in range(MAX_HALVINGS):
        after: Array = np.maximum(psi + change / 2**halving, 0.0)
        if criterion.value(_factors(after)) < value:
            return after
    return psi


def _factors(psi: Array) -> Sequence[Array]:
    return [np.sqrt([[number]]) for number in psi]
