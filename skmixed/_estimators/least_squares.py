"""The two limits of a mixed model: groups ignored, and a line of its own for each group."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.contrasts import ByCovariance
from skmixed._estimators.digits import solve_with_digits
from skmixed._estimators.fitted import FittedRegression
from skmixed._estimators.fixed_effects_of_factors import fit_factor_effects
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.influence import InfluenceMixin
from skmixed._estimators.predictions import LEVEL
from skmixed._estimators.rows_of_groups import rows_of_pooled_fit
from skmixed._estimators.several_factors import store_groups_of_factors
from skmixed._estimators.streaming import RowsSeen
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.least_squares.alone import rows_alone
from skmixed._numerics.least_squares.fixed_effects import solve_fixed_effects, solve_pooled
from skmixed._numerics.moments.coordinates import around_means, near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.within_between import count_where_varying, shares
from skmixed._public import public
from skmixed._reports.messages import (
    NOT_TIED,
    NOTHING_TO_DRAW,
    UNKNOWN_STD,
    refuse_without_digits,
    warn_about_regression,
)
from skmixed._reports.regression_summary import RegressionSummary
from skmixed._reports.tests import with_tests
from skmixed._rows.chosen_columns import SLOPES, find_feature_columns
from skmixed._rows.factors import NOT_YET, PRODUCTS_INSTEAD, by_factor
from skmixed._rows.messages import missing_in_predict
from skmixed._rows.reader import INTERCEPT, RowsAgain
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed._state import in_one_piece
from skmixed._warn import warn
from skmixed.exceptions import NewGroupsWarning, NotAvailableError


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

    def _coefficient_tests(self, df_method):
        """Make tests of combinations of the coefficients.

        There is one variance, so that the methods of mixed models all come to `residual_dof_`.
        """
        check_is_fitted(self)
        df = np.inf if df_method == "normal" else self.residual_dof_
        return ByCovariance(self.coef_cov_.to_numpy(), lambda L: np.full(len(L), df))

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


@public("skmixed")
class FixedEffectsRegressor(BaseLeastSquaresRegressor):
    """Linear regression in which every group has an intercept of its own, or its own line.

    The model of row i in group j is ::

        y_ij = a_j + z_ij' b_j + x_ij' b + e_ij

    with the columns named by `slopes` in z and the others in x. Estimates are those of least
    squares with a dummy variable for each group, times the columns in z, but no dummies are
    made: groups may be as many as rows allow. Group effects are not shrunk towards each other,
    which is what tells this model from `RandomInterceptRegressor` and `RandomSlopeRegressor`.

    With ``slopes="all"`` nothing is shared between groups except the residual variance: no
    pooling.

    With several grouping factors, crossed, nested or in between, the groups of each have
    effects, and no slopes::

        y_i = a_f(i) + b_g(i) + ... + x_i' b + e_i

    Parameters
    ----------
    slopes : None, "all", str, int, list, slice, mask or callable, default=None
        Columns of X whose slope differs between groups: names (of a DataFrame's columns),
        positions, a boolean mask, or a callable such as
        `sklearn.compose.make_column_selector`. With `group_by`, positions and masks count the
        group column, and a callable is given X without it. If None or empty, groups differ in
        their intercept alone. Not with several factors.
    group_by : str, int, tuple, or list of these, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups. The estimator then works wherever scikit-learn passes X
        alone. A list names several factors; a tuple joins the labels of several columns to
        those of one. If None, groups are given to `fit` and `predict` as an array.
    new_groups : {"mean", "error"} or dict of these by factor, default="mean"
        What `predict` does with labels not seen in `fit`: use the line of the average group,
        or raise an error that lists them.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of the feature columns; for slope columns those of the average group. 0
        for columns that do not vary within groups, or depend linearly on others.
        With `group_by` a column of X, that column has an entry, 0.
    intercept_ : float
        Intercept of the average group.
    group_effects_ : DataFrame of shape (n_groups, 1 + n_slopes)
        How far each group's intercept and slopes are from those of the average group. With
        several factors a dictionary of such tables by factor, as `groups_`, `group_sizes_` and
        `n_groups_` are.
    group_coef_ : DataFrame of shape (n_groups, 1 + n_features)
        Each group's own line; of one factor.
    coef_cov_ : DataFrame of shape (1 + n_features, 1 + n_features)
        Covariance of (intercept, coefficients); NaN for columns without a coefficient.
    residual_variance_ : float
        Residual sum of squares over `residual_dof_`, in squared units of y.
    residual_dof_ : float
        Rows (sum of weights) less coefficients, those of all groups included.
    r2_ : float
        Share of the sum of squares of y around its mean that the fit explains, groups
        included; what `score` gives for the rows of the fit. NaN without residual degrees of
        freedom.
    adjusted_r2_ : float
        One less the residual variance over the variance of y: coefficients count.
    within_r2_ : float
        Share of the sum of squares of y around its group means that the model explains; NaN
        if y is constant within groups.
    effective_sizes_ : DataFrame of shape (n_features, 2) or None
        Of each feature, the ``groups`` in which it varies and their ``rows`` (sum of weights):
        no others tell anything of its coefficient. None if the rows were not there as a whole,
        as after `partial_fit`, or of several factors.
    uninformative_rows_ : float or None
        Rows (sum of weights) that are alone in a group, or are so once such rows are left out:
        the group's effect fits them whatever they are, so that they tell nothing of
        coefficients. None for several factors if the rows were not there as a whole.
    log_likelihood_ : float
        Log-likelihood of normal errors at its maximum.
    aic_, bic_ : float
        Akaike's and Schwarz's criterion. Coefficients of all groups count as parameters, and
        so does the residual variance.
    groups_ : Index of shape (n_groups,)
        Labels seen in `fit`, sorted.
    group_sizes_ : Series of shape (n_groups,)
        Number of rows (sum of weights) of each group.
    n_groups_ : int
        Number of groups.
    n_features_in_ : int
        Number of columns seen in `fit`, the group column included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has names that are all strings.

    Warns
    -----
    MissingGroupsWarning
        If `fit` is given no groups: the fit is then a pooled linear regression.
    LinAlgWarning
        If columns have no coefficient, because they do not vary within groups or depend
        linearly on others; if y is explained exactly; or if there are no residual degrees of
        freedom.

    See Also
    --------
    RandomInterceptRegressor : Group effects are shrunk towards each other, and effects of
        features that do not vary within groups are estimated.
    RandomSlopeRegressor : The same for slopes.
    PooledRegressor : The other limit: groups are ignored.

    Notes
    -----
    Rows enter only through their cross-products, in total and by group, from which the
    groups' own lines are taken off: ``M = T - sum_j C_j' G_j^- C_j``. This is what the
    mixed-model equations come to as the variance between groups grows beyond bounds. One pass
    costs O(n q p) for n rows, p columns and q - 1 slopes.

    The *average group*, by which new groups are predicted, has the plain mean of the groups'
    levels, that is of ``mean(y_j) - mean(x_j)' coef_``, since a new group is as likely to be
    like a small group as like a large one. Its slopes are means weighted by what each group's
    rows tell, the scatter of z within the group: ``(sum_j S_j)^-1 sum_j S_j b_j``. A plain mean
    of slopes would be at the mercy of a group of two rows with nearly the same z.

    A slope that a group's rows cannot tell, because z does not vary in it or depends linearly
    on the slope columns before, is that of the average group. Predictions of the rows of the
    fit are those of least squares with dummies in any case.

    With several factors the dummies of the largest are eliminated by its counts, and those of
    the next by conjugate gradients, or by a sparse factorisation where the graph of levels that
    meet is hard for these; all further factors must have few enough levels for a dense matrix.
    The rank of the dummies, which `residual_dof_` takes, is exact: that of two factors is the
    number of levels less that of the parts of the graph.
    Effects are fixed in this way: those of each factor have a plain mean of 0, and those of the
    second of two factors have it within each connected part, so that the first holds what is
    between parts, as schools do between their classes. A coarser factor that comes later has
    effects of 0. With three factors and more, those besides the two largest have the smallest
    sum of squares among all that fit alike. No prediction of a row of the fit depends on this;
    rows whose groups the fit does not tie together are predicted as NaN, with a warning.

    Standard errors, those of the average group included, are for the groups at hand and leave
    out that other groups would have other lines. Of about 15 digits two are lost for each power
    of ten by which groups lie further apart in a column than its rows spread within them.

    References
    ----------
    Wooldridge, J. M. (2010). Econometric Analysis of Cross Section and Panel Data, 2nd ed.,
    chapter 10.5. MIT Press.

    Examples
    --------
    >>> from skmixed import FixedEffectsRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = FixedEffectsRegressor().fit(X, y, groups=subject)
    >>> round(model.intercept_, 2), model.coef_.round(2)
    (251.41, array([10.47]))
    >>> round(model.within_r2_, 2)
    0.51
    >>> model.group_coef_.head(2).round(2)
             (Intercept)   Days
    Subject
    308           295.03  10.47
    309           168.13  10.47
    >>> both = X.assign(subject=subject, part=X["Days"] // 5)
    >>> crossed = FixedEffectsRegressor(group_by=["subject", "part"]).fit(both, y)
    >>> crossed.n_groups_, crossed.residual_dof_
    ({'subject': 18, 'part': 2}, 160.0)
    >>> no_pooling = FixedEffectsRegressor("Days").fit(X, y, groups=subject)
    >>> no_pooling.group_coef_.head(2).round(2)
             (Intercept)   Days
    Subject
    308           244.19  21.76
    309           205.05   2.26
    """

    group_effects_: pd.DataFrame
    within_r2_: float
    effective_sizes_: pd.DataFrame | None
    uninformative_rows_: float | None
    groups_: pd.Index
    group_sizes_: pd.Series
    n_groups_: int

    _parameter_constraints = {
        **BaseGroupedRegressor._parameter_constraints,
        "slopes": [*SLOPES, None],
        "new_groups": [StrOptions({"mean", "error"}), dict],
    }

    def __init__(
        self,
        slopes: Any = None,
        *,
        group_by: Any = None,
        new_groups: Literal["mean", "error"] | dict = "mean",
    ) -> None:
        self.slopes = slopes
        self.group_by = group_by
        self.new_groups = new_groups

    _population_name = "average group"
    _for_new_groups = "Use new_groups='mean' to predict them by the line of the average group."

    _takes_several = True

    def _find_slopes(self, X, factors):
        slopes = [] if self.slopes is None else self.slopes
        found = find_feature_columns(X, slopes, self.group_by, parameter="slopes")
        if found and len(factors) > 1:
            what = f"slopes={self.slopes!r} of FixedEffectsRegressor"
            message = NOT_YET.format(name=what, factors=list(factors))
            raise NotAvailableError(message + PRODUCTS_INSTEAD)
        return [found for _ in factors]

    def _new_groups_of(self, factors):
        return by_factor(
            self.new_groups,
            factors,
            self._columns.group_by,
            "new_groups",
            default="mean",
            allowed=["mean", "error"],
        )

    @property
    def _group_effects(self):
        return self.group_effects_

    def _fit_moments(self, moments, columns, again=None):
        self._columns = columns
        self._new_groups_of(columns.names)  # is checked
        if columns.factors:
            # partitions are not read again
            rows = again if isinstance(again, RowsAgain) else None
            return self._fit_factors(moments, columns, rows)
        super()._fit_moments(moments, columns, again)
        if isinstance(again, RowsAgain):
            self.effective_sizes_ = self._count_where_varying(again.rows)
        return self

    def _fit_factors(self, moments, columns, again):
        names = columns.factor_names
        with one_blas_thread():
            fitted = fit_factor_effects(moments, names, again)
        solution = fitted.solution
        if again is None and solution.regression.dof > 0:
            refuse_without_digits(solution.digits_left)
        self._fitted = fitted
        self._redundancy = fitted.dummies.redundancy  # predictions need no more of it
        self._seen = RowsSeen(moments, self.get_params(deep=False))
        store_groups_of_factors(self, moments, names)
        self._store_regression(solution.regression)
        self.group_effects_ = {
            name: pd.DataFrame({INTERCEPT: effects}, index=self.groups_[name])
            for name, effects in zip(names, solution.effects, strict=True)
        }
        self.within_r2_ = solution.within_r2
        self.effective_sizes_ = None
        self.uninformative_rows_ = None if again is None else self._count_alone(again.rows)
        self._warn_about(solution, digits=None if again else solution.digits_left)
        return self

    def _count_alone(self, rows):
        alone = rows_alone(rows.codes, [*self.n_groups_.values()])
        weight = 1.0 if rows.sample_weight is None else rows.sample_weight
        return float(np.sum(alone * weight))

    def _count_where_varying(self, rows):
        if rows.codes is None:
            return None
        counts = count_where_varying(rows.X, rows.codes, self._moments.sizes)
        table = pd.DataFrame(dict(zip(["groups", "rows"], counts, strict=True)))
        within, _ = shares(self._fitted.lines or OwnLines.of(near_means(self._moments)))
        table[within[:-1] == 0] = 0  # what is there is rounding
        return table.set_index(pd.Index(self._columns.terms, name="feature"))

    def _estimate(self, moments):
        return solve_fixed_effects(moments)

    def _record(self, moments, lines):
        return FittedRegression(moments, has_own_lines=True, lines=lines)

    def _regression(self, solution):
        return solution.regression

    def _store_solution(self, solution):
        self._store_groups(self._moments)
        self._store_regression(solution.regression)
        terms = [INTERCEPT, *self._columns.slope_terms]
        self.group_effects_ = pd.DataFrame(solution.b.T, index=self.groups_, columns=terms)
        self.within_r2_ = solution.within_r2
        self.effective_sizes_ = None
        moments = self._moments
        self.uninformative_rows_ = float(moments.sizes[moments.n_rows == 1].sum())

    def _predict_rows(self, X, groups):
        y, codes = super()._predict_rows(X, groups)
        if self._columns.factors and not (known := self._redundancy.is_determined(codes)).all():
            y[~known] = np.nan
            names = ", ".join(self._columns.factor_names)
            n = np.count_nonzero(~known)
            warn(NOT_TIED.format(n=n, n_rows=len(y), factors=names), NewGroupsWarning)
        return y, codes

    def _parts_to_draw(self, X, groups, conditional):
        if groups is None and self.n_groups_:
            raise ValueError(missing_in_predict(self, "simulate"))
        line, codes = self._predict_rows(X, groups)
        n_new = np.count_nonzero(np.any(np.atleast_2d(codes) < 0, axis=0))
        if self.n_groups_ and n_new:
            raise ValueError(NOTHING_TO_DRAW.format(n_new=n_new, n_rows=len(line)))
        return line, []

    def _warn_about(self, solution, digits=None):
        warn_about_regression(self, solution.absorbed, solution.dependent, digits=digits)

    def _variance_of_means(self, X, codes):
        new = np.any(np.atleast_2d(codes) < 0, axis=0)
        if self.n_groups_ and new.any():
            n_new = np.count_nonzero(new)
            warn(UNKNOWN_STD.format(n_new=n_new, n_rows=len(new)), NewGroupsWarning)
        return super()._variance_of_means(X, codes)


@public("skmixed")
class PooledRegressor(InfluenceMixin, BaseLeastSquaresRegressor):
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
    }

    def __init__(
        self, *, group_by: str | int | None = None, fit_intercept: bool = True
    ) -> None:
        self.group_by = group_by
        self.fit_intercept = fit_intercept

    _uses_groups = False
    _population_name = "all groups"

    def _estimate(self, moments):
        return solve_pooled(make_problem(moments, fit_intercept=self.fit_intercept))

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
