"""What the two limits of a mixed model have in common: regressions by least squares."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.contrasts import tests_of_regression
from skmixed._estimators.digits import solve_with_digits
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.predictions import LEVEL
from skmixed._estimators.streaming import RowsSeen
from skmixed._numerics.least_squares.cluster_robust import ClusterRobust
from skmixed._numerics.moments.coordinates import around_means
from skmixed._reports.cluster_robust import NOTHING_SHARED, ONE_CLUSTER, ROWS_NEEDED
from skmixed._reports.messages import refuse_without_digits
from skmixed._reports.regression_summary import RegressionSummary
from skmixed._reports.tests import with_tests
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed._state import in_one_piece
from skmixed.exceptions import NotAvailableError

StandardErrors = Literal["classical", "CR0", "CR1", "CR1S", "CR2"]
STANDARD_ERRORS = [StrOptions({"classical", "CR0", "CR1", "CR1S", "CR2"})]


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
            A row for each term: estimate, std_error, df, t, p_value (of a two-sided test
            against 0), lower and upper; NaN for terms without a coefficient. df is
            `residual_dof_`; of cluster-robust errors the number of clusters less one, and with
            CR2 Satterthwaite's.
        """
        check_is_fitted(self)
        cov = self.coef_cov_
        estimate, std_error = self._coefficients, np.sqrt(np.diag(cov))
        df, known = np.full(len(cov), np.nan), ~np.isnan(std_error)
        df[known] = self._coefficient_tests(None).single(np.eye(len(cov))[known])[1]
        return with_tests(estimate, std_error, df, level, cov.index)

    def _coefficient_tests(self, df_method):
        """Make tests of combinations of the coefficients."""
        check_is_fitted(self)
        return tests_of_regression(self, df_method)

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

    @property
    def _needs_groups(self):
        return self.standard_errors != "classical"

    @property
    def _clusters(self):
        """What makes tests robust to clusters, if the fit has it."""
        return getattr(self._fitted, "clusters", None)

    def _check_takes_sums(self, method):
        if self._needs_groups:
            kind, name = self.standard_errors, type(self).__name__
            raise NotAvailableError(ROWS_NEEDED.format(kind=kind, name=name, method=method))

    def _fit_moments(self, moments, columns, again=None):
        with one_blas_thread():
            solution, lines = solve_with_digits(self._estimate, moments, again)
        if again is None and self._regression(solution).dof > 0:
            refuse_without_digits(solution.digits_left)
        self._store(solution, moments, columns, lines)
        if self._needs_groups:
            self._store_clusters(self._residuals(solution, lines), again)
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

    def _store_clusters(self, residuals, again):
        """Make the covariance of the coefficients robust to clusters: a second pass."""
        kind = self.standard_errors
        with one_blas_thread():
            sums = again.sum_up_clusters(residuals, with_squares=kind == "CR2")
            if len(sums.labels) < 2:
                raise ValueError(ONE_CLUSTER.format(kind=kind, n=len(sums.labels)))
            clusters = ClusterRobust.of(kind, residuals, sums)
        if np.isnan(clusters.cov).all():
            raise ValueError(NOTHING_SHARED.format(kind=kind))
        self._fitted = replace(self._fitted, clusters=clusters)
        terms = self.coef_cov_.index
        self.coef_cov_ = pd.DataFrame(clusters.cov, index=terms, columns=terms)

    def _quantile(self, probability):
        return t.ppf(probability, self.residual_dof_)


def _explained(regression, total, n):
    """R2 and adjusted R2, NaN where y does not vary, or nothing is left to judge by."""
    if not total > 0 or not regression.dof > 0:
        return np.nan, np.nan
    unexplained = regression.sigma2 / total
    return 1 - unexplained * regression.dof, 1 - unexplained * (n - 1)
