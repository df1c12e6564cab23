"""How well a mixed model explains the data, in one number each."""

from __future__ import annotations

import numpy as np

from skmixed._rows.threads import one_blas_thread
from skmixed._state import in_one_piece


class FitMeasuresMixin:
    """Shares of explained variance, the conditional AIC and the design effect."""

    @property
    @in_one_piece
    def design_effect_(self) -> float:
        """By how much grouping inflates the variance of the mean of y: 1 + (m - 1) ICC.

        Kish's formula with m = sum_j n_j^2 / sum_j n_j, the size of a row's group on average.
        With several factors, each of which adds its own part to that variance, it is one
        number, too: 1 + sum_f (m_f - 1) ICC_f.

        Returns
        -------
        float
            At least 1 less the sum of all ICC; 1 if the groups do not differ.
        """
        self._check_has_groups("design_effect_", several=True, iterative=True)
        if self._columns.factors:
            parts = zip(self._moments.factors, self.icc_.values(), strict=True)
            return 1 + sum(_inflation(factor.sizes, icc) for factor, icc in parts)
        return 1 + _inflation(self._moments.sizes, self.icc_)

    @property
    @in_one_piece
    def r2_marginal_(self) -> float:
        """Share of the variance of y that the fixed effects explain.

        Nakagawa and Schielzeth's (2013) marginal R2, with Johnson's (2014) extension to random
        slopes: the variance of x'beta over the rows, relative to the sum of that, the average
        variance of the random effects z'b, and the residual variance.

        Returns
        -------
        float
            Between 0 and 1.
        """
        self._check_has_groups("r2_marginal_", several=True, iterative=True, strata=True)
        return self._fitted.explained_variance().marginal

    @property
    @in_one_piece
    def r2_conditional_(self) -> float:
        """Share of the variance of y that fixed and random effects explain together.

        Nakagawa and Schielzeth's conditional R2; see `r2_marginal_`.

        Returns
        -------
        float
            Between 0 and 1.
        """
        self._check_has_groups("r2_conditional_", several=True, iterative=True, strata=True)
        return self._fitted.explained_variance().conditional

    @in_one_piece
    def conditional_aic(self) -> float:
        """Compute Akaike's criterion for predictions within the groups at hand.

        `aic_` asks how the model would do in new groups, the conditional AIC how it would do in
        new rows of these groups: -2 log f(y | random effects) + 2 (rho + 1), with the effective
        degrees of freedom rho = tr(d y^ / d y) of Greven and Kneib (2010), which count that the
        variance components follow y, too. It is computed exactly, from sums over groups.

        Returns
        -------
        float
            The criterion; smaller is better.

        References
        ----------
        Greven, S. and Kneib, T. (2010). On the behaviour of marginal and conditional AIC in
        linear mixed models. Biometrika, 97, 773-789. doi:10.1093/biomet/asq042

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> level = RandomInterceptRegressor(method="ml").fit(X, y, groups=subject)
        >>> slope = RandomSlopeRegressor("Days", method="ml").fit(X, y, groups=subject)
        >>> round(level.conditional_aic(), 1), round(slope.conditional_aic(), 1)
        (1767.0, 1711.7)
        """
        self._check_has_groups("conditional_aic", several=True)
        with one_blas_thread():
            return self._fitted.conditional_aic()


def _inflation(sizes, icc):
    """Compute (m - 1) ICC, with the size m of a row's group on average."""
    return float((np.sum(sizes**2) / np.sum(sizes) - 1) * icc)
