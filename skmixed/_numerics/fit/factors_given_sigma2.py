"""The ML deviance of several factors at a residual variance that need not be the best one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._numerics.fit.criterion_of_factors import Directions, FactorsDerivatives
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import residual_square


@dataclass(frozen=True)
class FactorsGivenSigma2:
    """The ML deviance n log(2 pi sigma2) + log|V| + r2 / sigma2, and its derivatives in Psi_f.

    Attributes
    ----------
    at_best : FactorsDerivatives
        The same with sigma2 = r2 / n.
    sigma2 : float
        The residual variance.
    """

    at_best: FactorsDerivatives
    sigma2: float

    @property
    def curvature(self) -> float:
        """Second derivative in log sigma2: r2 / sigma2."""
        return self._n * self._ratio

    @property
    def slope(self) -> float:
        """First derivative in log sigma2."""
        return self._n * (1 - self._ratio)

    @property
    def value(self) -> float:
        """The deviance."""
        ratio = self._ratio
        return self.at_best.value + self._n * float(ratio - 1 - np.log(ratio))

    @cached_property
    def S(self) -> list[Array]:
        """Gradient in Psi_f."""
        u = [U[:, -1] for U in self.at_best.at.U]
        more = 1 - self._ratio  # at the best sigma2, u u' is taken off once
        return [S + more * (u_f @ u_f.T) for S, u_f in zip(self.at_best.S, u, strict=True)]

    def along(self, directions: Directions) -> tuple[Array, Array]:
        """Return the second derivatives along directions, and with log sigma2 beside them."""
        average, t = self.at_best.average_information(directions)
        of_r2 = average + np.outer(t, t) / self._n  # sigma2 is not profiled out
        expected = self.at_best.traces_of_products(directions)
        return 2 * self._ratio * of_r2 - expected, self._ratio * t

    @cached_property
    def _ratio(self) -> float:
        """The best sigma2 over this one."""
        return float(residual_square(self.at_best.at.M)) / (self._n * self.sigma2)

    @property
    def _n(self) -> float:
        return self.at_best.at.criterion.problem.n
