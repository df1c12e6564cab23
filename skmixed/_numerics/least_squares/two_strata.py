"""Rows within groups and groups among each other: two mean squares that vary independently.

With a random intercept alone, M_XX is a sum of what the rows within groups say of the
coefficients, W_XX, and of what the groups' means do, and y has residuals of both kinds:

    s2_W = r2_W / f_W,                f_W = n - rank(Z, X_W)     (those of fixed effects),
    s2_B = (r2(psi) - r2_W) / f_B,    f_B = (n - p) - f_W,

where r2(psi) is the residual sum of squares of the mixed model. At the true ratio psi the two
are independent and both estimate sigma2. So their quotient has an F distribution, whatever the
sizes of the groups, and tests and intervals of psi are exact (Seely and El-Bassiouni 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq
from scipy.stats import f as f_distribution

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.least_squares.fixed_effects import Regression
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DOF_ERROR, residual_square

# Ratios of variances are looked for up to this one.
LARGEST_RATIO = 1e24


@dataclass(frozen=True)
class FTest:
    """An F statistic with its degrees of freedom, and how likely a larger one is by chance."""

    statistic: float
    df_num: float
    df_den: float

    @property
    def p_value(self) -> float:
        """NaN without a statistic."""
        return float(f_distribution.sf(self.statistic, self.df_num, self.df_den))


NO_TEST = FTest(np.nan, 0, np.nan)


@dataclass(frozen=True)
class TwoStrata:
    """Mean squares within and between groups, of a model with a random intercept.

    Attributes
    ----------
    criterion : Criterion
        The moments; the method plays no part.
    fixed : Regression
        The same columns with a level for each group, of which it has the residuals.
    psi : float
        Ratio of the variance between groups to the residual variance, as estimated.
    """

    criterion: Criterion
    fixed: Regression
    psi: float

    @property
    def df_within(self) -> float:
        """Degrees of freedom within groups, f_W."""
        return self.fixed.dof

    @property
    def df_between(self) -> float:
        """Degrees of freedom between groups, f_B: 0 if the columns leave nothing there."""
        problem = self.criterion.problem
        return problem.n - problem.p - self.fixed.dof

    @property
    def exist(self) -> bool:
        """Whether there are residuals of both kinds."""
        least = DOF_ERROR * self.criterion.problem.n  # sums of fractional weights are rounded
        return min(self.df_within, self.df_between) > least and self.fixed.sigma2 > 0

    @cached_property
    def M(self) -> Array:
        """D' V^-1 D at the estimated ratio."""
        return np.asarray(self.criterion.eliminate(self._factor(self.psi))[1])

    def mean_square_between(self, psi: float) -> float:
        """Return s2_B at a ratio, in the user's units."""
        M = self.criterion.eliminate(self._factor(psi))[1]
        r2 = float(residual_square(M)) * self.criterion.problem.coordinates.y_scale**2
        rest = r2 - self.fixed.sigma2 * self.fixed.dof
        return max(rest, 0.0) / self.df_between

    # ---------------------------------------------------------------- the variance ratio

    def test_of_no_variance(self) -> FTest:
        """Test exactly that groups do not differ: psi = 0."""
        if not self.exist:
            return NO_TEST
        return FTest(self._statistic(0.0), self.df_between, self.df_within)

    def ratio_interval(self, level: float) -> tuple[float, float]:
        """Return the ratios that an exact test does not reject.

        (NaN, NaN) without such a test, and if it rejects all of them: groups are more alike
        then than any ratio makes likely.
        """
        tail = (1 - level) / 2
        f = f_distribution(self.df_between, self.df_within)
        if not self.exist or self._statistic(0.0) < f.ppf(tail):
            return np.nan, np.nan
        return self._ratio_at(float(f.isf(tail))), self._ratio_at(float(f.ppf(tail)))

    def _statistic(self, psi: float) -> float:
        return self.mean_square_between(psi) / self.fixed.sigma2

    def _ratio_at(self, quantile: float) -> float:
        """Find where the statistic, which falls as psi grows, is as large as this."""

        def excess(log_psi: float) -> float:
            return self._statistic(np.exp(log_psi)) - quantile

        if self._statistic(0.0) <= quantile:
            return 0.0
        # groups that are all large or nearly alike need small ratios
        log_low, log_high = np.log(1e-12 / self.criterion.problem.n), np.log(LARGEST_RATIO)
        if excess(log_low) <= 0:
            return 0.0
        if excess(log_high) >= 0:
            return np.inf
        return float(np.exp(brentq(excess, log_low, log_high, xtol=1e-6)))

    # ------------------------------------------------------------------- the coefficients

    @cached_property
    def covariances(self) -> tuple[Array, Array]:
        """Var(beta) that comes from rows within groups, and from the groups.

        M_XX^-1 (s2_W W_XX + s2_B (M_XX - W_XX)) M_XX^-1, of the user's columns; 0 for those
        without a coefficient.
        """
        M_XX = self.M[:-1, :-1]
        W_XX = self.criterion.problem.within[:-1, :-1]
        coordinates = self.criterion.problem.coordinates
        # M_XX^-1 in the user's units holds a factor y_scale^2, and so do the mean squares
        back = np.linalg.solve(M_XX, coordinates.backmap.T) / coordinates.y_scale
        within, between = back.T @ W_XX @ back, back.T @ (M_XX - W_XX) @ back
        of_groups = self.mean_square_between(self.psi)
        return self.fixed.sigma2 * within, of_groups * between

    def share_from_within(self) -> Array:
        """Return how much of the information on each coefficient is from within groups.

        The estimate weighs what the rows within groups and the groups' means say of the
        coefficients by W_XX and by the rest of M_XX. The shares are those in the variance,
        at the same residual variance: of a single feature, the weight of its slope within.
        """
        M_XX = self.M[:-1, :-1]
        coordinates = self.criterion.problem.coordinates
        back = np.linalg.solve(M_XX, coordinates.backmap.T)
        within = np.sum(back * (self.criterion.problem.within[:-1, :-1] @ back), axis=0)
        total = np.sum(back * (M_XX @ back), axis=0)
        none = np.full(len(total), np.nan)
        return np.asarray(np.divide(within, total, out=none, where=total > 0))

    def test(self, estimates: Array, contrasts: Array) -> FTest:
        """Test that contrasts of the coefficients are 0.

        In the basis in which both parts of their covariance are diagonal, each has degrees of
        freedom by Satterthwaite's formula, and all together their harmonic mean. The shares in
        that formula are estimates, with which the test would reject too often where few groups
        or few rows within them bear it; the geometric mean with the smaller stratum's degrees
        of freedom, below which the truth cannot lie, makes up for that.

        Parameters
        ----------
        estimates : ndarray of shape (k,)
            The contrasts' values.
        contrasts : ndarray of shape (k, n_columns)
            Of the user's coefficients, linearly independent.

        Returns
        -------
        FTest
        """
        if not self.exist or not len(estimates):
            return NO_TEST
        within, between = (contrasts @ part @ contrasts.T for part in self.covariances)
        scale = np.sqrt(np.diag(within + between))
        unit = np.outer(scale, scale)
        share, basis = eigh(between / unit, (within + between) / unit)
        share = np.clip(share, 0.0, 1.0)
        z = basis.T @ (estimates / scale)
        by_groups = share**2 / self.df_between
        by_rows = (1 - share) ** 2 / self.df_within
        df = 1 / np.mean(by_groups + by_rows)
        least = min(self.df_between, self.df_within)
        return FTest(float(z @ z) / len(z), len(z), float(np.sqrt(df * least)))

    def variances(self, contrasts: Array) -> Array:
        """Return the variances of contrasts of the user's coefficients, shape (k,)."""
        if not self.exist:
            return np.full(len(contrasts), np.nan)
        within, between = self.covariances
        return np.asarray(np.einsum("ki,ij,kj->k", contrasts, within + between, contrasts))

    def _factor(self, psi: float) -> Array:
        return np.array([[np.sqrt(psi)]])
