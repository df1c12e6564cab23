"""Complete pooling: groups ignored."""

from __future__ import annotations

import numpy as np

from skmixed._estimators.fitted import FittedRegression
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.least_squares import (
    STANDARD_ERRORS,
    BaseLeastSquaresRegressor,
    StandardErrors,
)
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.least_squares.cluster_robust import Residuals
from skmixed._numerics.least_squares.fixed_effects import pooled_equations, solve_pooled
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._public import public
from skmixed._reports.messages import (
    warn_about_regression,
)


@public("skmixed")
class PooledRegressor(BaseLeastSquaresRegressor):
    """Linear regression that ignores the groups: complete pooling.

    The model of row i is ``y_i = b0 + x_i' b + e_i``, by least squares. It is
    `sklearn.linear_model.LinearRegression` with the signature of the other models of this
    package, to be compared with them on the same terms, and with standard errors. They take
    rows for independent, which rows of the same group seldom are.

    Parameters
    ----------
    group_by : str or int, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups; it is left out.
    fit_intercept : bool, default=True
        Whether to estimate b0.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of the feature columns; 0 for columns that depend linearly on those
        before them.
        With `group_by` a column of X, that column has an entry, 0.
    intercept_ : float
        Intercept b0; 0.0 if ``fit_intercept=False``.
    coef_cov_ : DataFrame
        Covariance of (intercept, coefficients); NaN for columns without a coefficient.
    residual_variance_ : float
        Residual sum of squares over `residual_dof_`, in squared units of y.
    residual_dof_ : float
        Rows (sum of weights) less coefficients.
    r2_ : float
        Share of the sum of squares of y around its mean that the fit explains and
        what `score` gives for the rows of the fit. NaN without residual degrees of
        freedom.
    adjusted_r2_ : float
        One less the residual variance over the variance of y: coefficients count.
    log_likelihood_ : float
        Log-likelihood of normal errors at its maximum.
    aic_, bic_ : float
        Akaike's and Schwarz's criterion; the residual variance counts as a parameter.
    n_features_in_ : int
        Number of columns seen in `fit`, the group column included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has names that are all strings.

    Warns
    -----
    LinAlgWarning
        If X is rank-deficient; if y is explained exactly; or if there are no residual degrees
        of freedom.

    See Also
    --------
    RandomInterceptRegressor : Groups differ in level, as much as the data say.
    FixedEffectsRegressor : The other limit: groups differ as if nothing were known of them.

    Notes
    -----
    This is what a mixed model comes to when the variance between groups is zero. `groups` are
    accepted and ignored by `fit`, `predict` and `score`, so they need not have a label for
    each row.

    Examples
    --------
    >>> from skmixed import PooledRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = PooledRegressor().fit(X, y, groups=subject)
    >>> model.summary().fixed_effects[["estimate", "std_error", "df", "t"]].round(2)
                 estimate  std_error     df      t
    term
    (Intercept)    251.41       6.61  178.0  38.03
    Days            10.47       1.24  178.0   8.45
    """

    _parameter_constraints = {
        **BaseGroupedRegressor._parameter_constraints,
        "fit_intercept": ["boolean"],
        "standard_errors": STANDARD_ERRORS,
    }

    def __init__(
        self,
        *,
        group_by: str | int | None = None,
        fit_intercept: bool = True,
        standard_errors: StandardErrors = "classical",
    ) -> None:
        self.group_by = group_by
        self.fit_intercept = fit_intercept
        self.standard_errors = standard_errors

    _uses_groups = False
    _population_name = "all groups"

    def _estimate(self, moments):
        return solve_pooled(make_problem(moments, fit_intercept=self.fit_intercept))

    def _residuals(self, solution, lines):
        lines = lines or OwnLines.of(near_means(self._moments))
        problem = make_problem(lines, fit_intercept=self.fit_intercept)
        return Residuals.of(pooled_equations(problem), lines)

    def _record(self, moments, lines):
        return FittedRegression(moments, False, self.fit_intercept, lines)

    def _regression(self, solution):
        return solution

    def _store_solution(self, regression):
        self._store_regression(regression)

    def _warn_about(self, regression, digits=None):
        absorbed = np.zeros_like(regression.dependent)
        warn_about_regression(self, absorbed, regression.dependent, digits=digits)

    def _predict_rows(self, X, groups):
        y = self._predict_fixed(X)
        return y, np.full(len(y), -1)
