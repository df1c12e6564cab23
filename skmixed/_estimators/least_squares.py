"""What the two limits of a mixed model have in common: regressions by least squares."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.digits import solve_with_digits
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.predictions import LEVEL
from skmixed._estimators.streaming import RowsSeen
from skmixed._numerics.moments.coordinates import around_means
from skmixed._reports.messages import (
    refuse_without_digits,
)
from skmixed._reports.regression_summary import RegressionSummary
from skmixed._reports.tests import with_tests
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import validate_params
from skmixed._state import in_one_piece


class BaseLeastSquaresRegressor(BaseGroupedRegressor):
    """What complete pooling and fixed effects have in common."""

    @in_one_piece
    @validate_params(
        {"level": [LEVEL], "stars": ["boolean"]},
        prefer_skip_nested_validation=True,
    )
    def summary(self, *, level: float = 0.95, stars: bool = False) -> RegressionSummary:
        """Describe the fitted regression by its coefficients and their uncertainty.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals of the coefficients.
        stars : bool, default=False
            Whether the text marks p-values below 0.05, 0.01 and 0.001.

        Returns
        -------
        RegressionSummary
            Prints as text, shows as HTML in a notebook, and holds its tables as DataFrames.
        """
        check_is_fitted(self)
        return RegressionSummary.from_estimator(self, level=level, stars=stars)

    @in_one_piece
    @validate_params({"level": [LEVEL]}, prefer_skip_nested_validation=True)
    def fixed_effects_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Tabulate the coefficients with t tests and intervals.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame
            A row for each term: estimate, std_error, df (`residual_dof_`), t, p_value (of a
            two-sided test against 0), lower and upper; NaN for terms without a coefficient.
        """
        check_is_fitted(self)
        cov = self.coef_cov_
        estimate, std_error = self._coefficients, np.sqrt(np.diag(cov))
        df = np.where(np.isnan(estimate), np.nan, self.residual_dof_)
        return with_tests(estimate, std_error, df, level, cov.index)

    @in_one_piece
    @validate_params({"level": [LEVEL]}, prefer_skip_nested_validation=True)
    def confint(self, level: float = 0.95) -> pd.DataFrame:
        """Confidence intervals of the coefficients, by quantiles of t.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame
            A row for each coefficient: estimate, lower and upper.
        """
        table = self.fixed_effects_frame(level)
        return table[["estimate", "lower", "upper"]].rename_axis("parameter")

    residual_variance_: float
    residual_dof_: float
    r2_: float
    adjusted_r2_: float

    def _fit_moments(self, moments, columns, again=None):
        with one_blas_thread():
            solution, lines = solve_with_digits(self._estimate, moments, again)
        if again is None and self._regression(solution).dof > 0:
            refuse_without_digits(solution.digits_left)
        self._store(solution, moments, columns, lines)
        self._warn_about(solution, digits=None if again else solution.digits_left)
        return self

    def _store(self, solution, moments, columns, lines=None):
        self._columns = columns
        self._fitted = self._record(moments, lines)
        self._seen = RowsSeen(moments, self.get_params(deep=False))
        self._store_solution(solution)

    def _store_regression(self, regression):
        n, sums = self._moments.n, around_means(self._moments)
        self._store_fixed_effects(regression)
        self.residual_variance_ = regression.sigma2
        self.residual_dof_ = regression.dof
        self.r2_, self.adjusted_r2_ = _explained(regression, sums.T[-1, -1], n)
        self.log_likelihood_ = regression.log_likelihood
        n_parameters = n - regression.dof + 1
        self.aic_ = 2 * n_parameters - 2 * regression.log_likelihood
        self.bic_ = np.log(n) * n_parameters - 2 * regression.log_likelihood

    def _quantile(self, probability):
        return t.ppf(probability, self.residual_dof_)


def _explained(regression, total, n):
    """R2 and adjusted R2, NaN where y does not vary, or nothing is left to judge by."""
    if not total > 0 or not regression.dof > 0:
        return np.nan, np.nan
    unexplained = regression.sigma2 / total
    return 1 - unexplained * regression.dof, 1 - unexplained * (n - 1)
