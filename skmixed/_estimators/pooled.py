"""Complete pooling: groups ignored."""

from __future__ import annotations

import numpy as np

from skmixed._estimators.fitted import FittedRegression
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.influence import InfluenceMixin
from skmixed._estimators.least_squares import (
    STANDARD_ERRORS,
    BaseLeastSquaresRegressor,
    StandardErrors,
)
from skmixed._estimators.rows_of_groups import rows_of_pooled_fit
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.least_squares.cluster_sums import Residuals
from skmixed._numerics.least_squares.fixed_effects import pooled_equations, solve_pooled
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._public import public
from skmixed._reports.messages import warn_about_regression


@public("skmixed")
class PooledRegressor(InfluenceMixin, BaseLeastSquaresRegressor):
    """Linear regression that ignores the groups: complete pooling.

    The model of row i is ``y_i = b0 + x_i' b + e_i``, by least squares. It is
    `sklearn.linear_model.LinearRegression` with the signature of the other models of this
    package, to be compared with them on the same terms, and with standard errors. By default
    they take rows for independent, which rows of the same group seldom are; see
    `standard_errors`.

    Parameters
    ----------
    group_by : str or int, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups; it is left out.
    fit_intercept : bool, default=True
        Whether to estimate b0.
    standard_errors : {"classical", "CR0", "CR1", "CR1S", "CR2"}, default="classical"
        What `coef_cov_`, and all tests and intervals of coefficients, rest on. "classical"
        takes errors for independent, with one variance. The others are robust to whatever ties
        the rows of a group, and to variances that differ: groups are the clusters, and must be
        given.
        See the notes.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of the feature columns; 0 for columns that depend linearly on those
        before them.
        With `group_by` a column of X, that column has an entry, 0.
    intercept_ : float
        Intercept b0; 0.0 if ``fit_intercept=False``.
    coef_cov_ : DataFrame
        Covariance of (intercept, coefficients); NaN for columns without a coefficient. By
        `standard_errors`.
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
    each row, but for `standard_errors` that are robust to clusters.

    Standard errors robust to clusters are ``V = c sum_j M^-1 s_j s_j' M^-1`` with ``M = X'WX``,
    ``s_j = X_j'W_j A_j e_j`` and residuals e. Of J clusters, rows (sum of weights) n and
    coefficients p, in all,

    ========  ==========================  =====================  ===========================
    type      A_j                         c                      degrees of freedom of t
    ========  ==========================  =====================  ===========================
    CR0       I                           1                      J - 1
    CR1       I                           J / (J - 1)            J - 1
    CR1S      I                           CR1's (n-1) / (n-p)    J - 1
    CR2       (I - H_jj)^-1/2             1                      Satterthwaite's
    ========  ==========================  =====================  ===========================

    These are those of R's clubSandwich for ``lm``. A weight of 2 is the row twice, in CR2 as
    well. CR0 and CR1 are then those of ``lm(weights=)``, too; CR2 of ``lm(weights=)`` rests on
    another model of the variances. The fit passes over the rows once more: `fit` takes them,
    dask collections included, `partial_fit` and `fit_moments` do not. CR2 keeps p^2 + p
    numbers for each cluster. `predict_interval` and standard deviations of predictions are
    those of classical errors in any case.

    References
    ----------
    Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
    regression with multi-stage samples. Survey Methodology 28, 169-181.

    Pustejovsky, J. E. and Tipton, E. (2018). Small-sample methods for cluster-robust variance
    estimation and hypothesis testing in fixed effects models. Journal of Business & Economic
    Statistics 36, 672-683. doi:10.1080/07350015.2016.1247004

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
    >>> model = PooledRegressor(standard_errors="CR2").fit(X, y, groups=subject)
    >>> model.summary().fixed_effects[["estimate", "std_error", "df", "t"]].round(2)
                 estimate  std_error    df      t
    term
    (Intercept)    251.41       6.82  17.0  36.84
    Days            10.47       1.55  17.0   6.77
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

    def _parts_to_draw(self, X, groups, conditional):
        return self._predict_fixed(X), []

    def _predict_rows(self, X, groups):
        y = self._predict_fixed(X)
        return y, np.full(len(y), -1)

    def _factors_named(self, factor):
        name = self._columns.group_name
        if factor not in (None, name):
            raise ValueError(f"factor={factor!r} must be one of {[name]}.")
        return [name]

    def _rows_of_fit(self, name, X, y, groups, sample_weight, by):
        return rows_of_pooled_fit(self, name, X, y, groups, sample_weight, by)
