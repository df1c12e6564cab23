"""Fixed effects: a line of its own for each group, without pooling."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from skmixed._estimators.fitted import FittedRegression
from skmixed._estimators.fixed_effects_of_factors import fit_factor_effects
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.least_squares import (
    STANDARD_ERRORS,
    BaseLeastSquaresRegressor,
    StandardErrors,
)
from skmixed._estimators.several_factors import store_groups_of_factors
from skmixed._estimators.streaming import RowsSeen
from skmixed._numerics.least_squares.alone import rows_alone
from skmixed._numerics.least_squares.cluster_sums import Residuals
from skmixed._numerics.least_squares.fixed_effects import solve_fixed_effects
from skmixed._numerics.moments.coordinates import near_means
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
from skmixed._rows.chosen_columns import SLOPES, find_feature_columns
from skmixed._rows.factors import NOT_YET, PRODUCTS_INSTEAD, by_factor
from skmixed._rows.messages import missing_in_predict
from skmixed._rows.reader import INTERCEPT, RowsAgain
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import StrOptions
from skmixed._warn import warn
from skmixed.exceptions import NewGroupsWarning, NotAvailableError


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
    standard_errors : {"classical", "CR0", "CR1", "CR1S", "CR2"}, default="classical"
        What `coef_cov_`, and all tests and intervals of coefficients, rest on. "classical"
        takes errors for independent, with one variance. The others are robust to whatever ties
        the rows of a group, and to variances that differ: groups are the clusters, and those of
        one factor. The intercept, and `slopes`, have none: each cluster has its own.
        See the notes.

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
        Covariance of (intercept, coefficients); NaN for columns without a coefficient. By
        `standard_errors`.
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

    Standard errors robust to clusters are ``V = c sum_j M^-1 s_j s_j' M^-1`` with ``M = X'WX``,
    ``s_j = X_j'W_j A_j e_j`` and residuals e. Of J clusters, rows (sum of weights) n and
    coefficients p, those of all groups included,

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
    Wooldridge, J. M. (2010). Econometric Analysis of Cross Section and Panel Data, 2nd ed.,
    chapter 10.5. MIT Press.

    Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
    regression with multi-stage samples. Survey Methodology 28, 169-181.

    Pustejovsky, J. E. and Tipton, E. (2018). Small-sample methods for cluster-robust variance
    estimation and hypothesis testing in fixed effects models. Journal of Business & Economic
    Statistics 36, 672-683. doi:10.1080/07350015.2016.1247004

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
        "standard_errors": STANDARD_ERRORS,
    }

    def __init__(
        self,
        slopes: Any = None,
        *,
        group_by: Any = None,
        new_groups: Literal["mean", "error"] | dict = "mean",
        standard_errors: StandardErrors = "classical",
    ) -> None:
        self.slopes = slopes
        self.group_by = group_by
        self.new_groups = new_groups
        self.standard_errors = standard_errors

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

    def _residuals(self, solution, lines):
        return Residuals.of(solution.equations, solution.lines)

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
