"""Standard errors, degrees of freedom and intervals of a fitted mixed model."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy.stats import norm, t
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.intervals import (
    bootstrap_limits,
    estimates,
    parameter_names,
    profile_limits_of,
    wald_limits,
)
from skmixed._numerics.fit.covariance import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.inference.degrees_of_freedom import (
    VarianceUncertainty,
    kenward_roger,
    satterthwaite,
)
from skmixed._numerics.inference.prediction import Uncertainty
from skmixed._numerics.moments.columns import drop_columns
from skmixed._reports.of_fits import KENWARD_ROGER_ML, NO_INTERVALS, NO_PRECISION
from skmixed._reports.tests import with_tests
from skmixed._rows.labels import check_weights
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import Interval, StrOptions, validate_params

LEVEL = Interval(Real, 0, 1, closed="neither")
# Rows of X that are expanded at a time.
BATCH_VALUES = 2**17


class InferenceMixin:
    """What a fitted mixed model knows of its own uncertainty."""

    @validate_params(
        {"confidence_level": [LEVEL], "kind": [StrOptions({"observation", "mean"})]},
        prefer_skip_nested_validation=True,
    )
    def predict_interval(
        self, X, groups=None, *, confidence_level=0.95, kind="observation", sample_weight=None
    ):
        """Predict intervals for rows of known and of new groups.

        They hold the uncertainty of the fixed effects and of the group's own effects: for a
        known group what its rows leave open, for a new one the whole variance between groups.
        The variance components count as known, and normal quantiles are taken.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict`.
        confidence_level : float, default=0.95
            Probability that an interval covers what it is for, between 0 and 1.
        kind : {"observation", "mean"}, default="observation"
            Whether the interval is for a new y, or for its mean given the group.
        sample_weight : array-like of shape (n_rows,), optional
            Precision of each new observation: its residual variance is sigma2 / weight. Not
            used for the mean.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            Lower and upper limits.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomInterceptRegressor().fit(X, y, groups=subject)
        >>> model.predict_interval(X.head(2), groups=[308, 999]).round(1)
        array([[228.3, 356.1],
               [165.3, 358.5]])
        """
        mean, variance = self._predict_with_variance(X, groups, sample_weight, kind=kind)
        half = norm.isf((1 - confidence_level) / 2) * np.sqrt(variance)
        return np.column_stack([mean - half, mean + half])

    @validate_params(
        {
            "level": [LEVEL],
            "df_method": [StrOptions({"satterthwaite", "kenward-roger", "normal"})],
        },
        prefer_skip_nested_validation=True,
    )
    def fixed_effects_frame(self, level=0.95, df_method="satterthwaite"):
        """Tabulate the fixed effects with tests and intervals.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.
        df_method : {"satterthwaite", "kenward-roger", "normal"}, default="satterthwaite"
            How to find the degrees of freedom of t. Kenward and Roger's method also widens
            the standard errors, and is defined for REML only; "normal" counts the variance
            components as known.

        Returns
        -------
        DataFrame
            A row for each term; columns estimate, std_error, df, t, p_value (of a
            two-sided test against 0), lower and upper. NaN for columns without an estimate.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_hsb
        >>> X, y, school = load_hsb(return_X_y=True)
        >>> model = RandomInterceptRegressor().fit(X, y, groups=school)
        >>> model.fixed_effects_frame()[["estimate", "std_error", "df", "p_value"]].round(2)
                     estimate  std_error       df  p_value
        term
        (Intercept)     13.33       0.20   234.86      0.0
        ses              1.92       0.11  7070.91      0.0
        minority        -2.84       0.20  3643.28      0.0
        female          -1.24       0.16  5345.02      0.0
        mean_ses         2.11       0.36   191.18      0.0
        catholic         1.72       0.28   149.98      0.0
        """
        self._check_has_groups("fixed_effects_frame")
        with one_blas_thread():
            return self._tabulate_fixed_effects(level, df_method)

    @validate_params(
        {
            "level": [LEVEL],
            "method": [StrOptions({"profile", "wald", "bootstrap"})],
            "n_bootstrap": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
            "n_jobs": [Integral, None],
        },
        prefer_skip_nested_validation=True,
    )
    def confint(
        self, level=0.95, method="profile", *, n_bootstrap=1000, random_state=None, n_jobs=None
    ):
        """Confidence intervals of all parameters, as lme4's `confint` gives them.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.
        method : {"profile", "wald", "bootstrap"}, default="profile"
            "profile": the values that a likelihood-ratio test does not reject. As in lme4 the
            ML deviance is profiled, for REML fits, too. "wald": the estimate plus and minus
            normal quantiles times the standard error; none for variance components, whose
            estimates are far from normal. "bootstrap": quantiles of the estimates from y
            drawn anew from the fitted model; its moments are drawn, not its rows.
        n_bootstrap : int, default=1000
            Number of refits of the bootstrap.
        random_state : int, RandomState instance or None, default=None
            Seed of the bootstrap; the result does not depend on `n_jobs`.
        n_jobs : int, default=None
            Number of jobs the bootstrap runs in parallel.

        Returns
        -------
        DataFrame
            A row for each parameter, named as in lme4: standard deviations
            ``sd_term|group`` and correlations ``cor_term2.term1|group`` of the random effects,
            the residual standard deviation ``sigma``, and the fixed effects. Columns estimate
            (of this fit), lower and upper; NaN for columns without an estimate.

        Warns
        -----
        SingularFitWarning
            If the fit is singular: intervals of standard deviations estimated as 0 are
            one-sided.
        ConvergenceWarning
            If a limit was not found (it is NaN), or refits did not converge.

        Notes
        -----
        A profile limit is the extreme value of its parameter over the likelihood region, all
        parameters whose deviance exceeds the least by no more than a chi-square quantile. For
        a given Psi it has a closed form, so that a search over Psi alone is left: for a random
        intercept over one number.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomInterceptRegressor().fit(X, y, groups=subject)
        >>> model.confint().round(2)
                                estimate   lower   upper
        parameter
        sd_(Intercept)|Subject     37.12   26.01   52.94
        sigma                      30.99   27.81   34.59
        (Intercept)               251.41  231.99  270.82
        Days                       10.47    8.89   12.05
        """
        self._check_has_groups("confint")
        draws = {"n_bootstrap": n_bootstrap, "random_state": random_state, "n_jobs": n_jobs}
        with one_blas_thread():
            if method == "profile":
                limits = profile_limits_of(self, level)
            elif method == "wald":
                limits = wald_limits(self, level)
            else:
                limits = bootstrap_limits(self, level, **draws)
        columns = {"estimate": estimates(self), "lower": limits[:, 0], "upper": limits[:, 1]}
        return pd.DataFrame(columns, pd.Index(parameter_names(self), name="parameter"))

    @validate_params({"level": [LEVEL]}, prefer_skip_nested_validation=True)
    def random_effects_frame(self, level=0.95):
        """Tabulate the random effects with intervals: what a caterpillar plot shows.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.

        Returns
        -------
        DataFrame
            A row for each group and term; columns group, term, estimate, std_error, lower and
            upper.

        Notes
        -----
        The standard error is that of the prediction error for known variance components,
        Var(b_j^ - b_j); `conditional_cov_` counts the fixed effects as known, too. With few
        groups much is open about the variance between them, so the limits are wider than
        two standard errors: they add twice what estimating it does to the variance (Prasad
        and Rao 1990) and take quantiles of t with n_groups - 1 degrees of freedom.

        References
        ----------
        Prasad, N. G. N. and Rao, J. N. K. (1990). The estimation of the mean squared error of
        small-area estimators. Journal of the American Statistical Association, 85, 163-171.
        doi:10.1080/01621459.1990.10475320

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomInterceptRegressor().fit(X, y, groups=subject)
        >>> model.random_effects_frame().head(2).round(1)
           group         term  estimate  std_error  lower  upper
        0    308  (Intercept)      40.8       12.7   13.9   67.7
        1    309  (Intercept)     -77.8       12.7 -104.8  -50.9
        """
        self._check_has_groups("random_effects_frame")
        known = self._uncertainty.of_random_effects()
        variances = VarianceUncertainty.from_criterion(self._criterion, self._Lambda)
        more = variances.of_random_effects(self._groups_now, self._Lambda)
        std_error, wider = (
            np.sqrt(np.einsum("aaj->ja", self._in_units_of_y(cov))).ravel()
            for cov in (known, known + 2 * more)
        )
        estimate = self.random_effects_.to_numpy().ravel()
        half = t.isf((1 - level) / 2, max(len(self._moments.labels) - 1, 1)) * wider
        terms = self.random_effects_.columns
        return pd.DataFrame(
            {
                "group": self.groups_.repeat(len(terms)),
                "term": np.tile(terms, self.n_groups_),
                "estimate": estimate,
                "std_error": std_error,
                "lower": estimate - half,
                "upper": estimate + half,
            }
        )

    @property
    def conditional_cov_(self):
        """Covariance of each group's random effects given y and the parameters.

        lme4's ``postVar``. It counts the fixed effects as known.

        Returns
        -------
        DataFrame of shape (n_groups * n_random, n_random)
            A block of rows for each group, indexed by group and term.
        """
        self._check_has_groups("conditional_cov_")
        cov = self._in_units_of_y(self._uncertainty.given_parameters())
        terms = self.random_effects_.columns
        index = pd.MultiIndex.from_product([self.groups_, terms], names=[None, "term"])
        blocks = np.moveaxis(cov, -1, 0).reshape(len(index), len(terms))
        return pd.DataFrame(blocks, index.set_names(self.groups_.name, level=0), terms)

    # --------------------------------------------------------------------- steps of the above

    def _check_has_groups(self, name):
        check_is_fitted(self)
        if not self.n_groups_:
            raise ValueError(NO_INTERVALS.format(name=name, model=type(self).__name__))

    @cached_property
    def _criterion(self):
        """The criterion that was minimised, made anew from the moments when first needed."""
        structure = dict(self._fitted_as)
        reml = structure.pop("reml")
        return CovarianceCriterion(make_problem(self._moments, **structure), reml)

    @cached_property
    def _uncertainty(self):
        fitted = Uncertainty.from_criterion(self._criterion, self._Lambda)
        return replace(fitted, problem=self._groups_now.problem)

    @property
    def _groups_now(self):
        """The criterion with the groups that are known now, updates included."""
        if "_all_sums" not in vars(self):
            return self._criterion
        return replace(
            self._criterion, problem=self._criterion.problem.with_groups(self._all_sums)
        )

    def _in_units_of_y(self, cov):
        """Covariances of random effects over sigma2, from the problem's to the user's units."""
        back = self._criterion.problem.coordinates.random_backmap
        return self.residual_variance_ * np.einsum("ac,cdj,bd->abj", back, cov, back)

    def _predict_with_variance(self, X, groups, sample_weight=None, *, kind="observation"):
        """Predictions with their variances around y, or around its mean."""
        self._check_has_groups("intervals")
        X, groups = self._check_rows(X, groups=groups, reset=False)
        mean, codes = self._predict_rows(X, groups)
        variance = self._variance_of_means(X, codes)
        if kind == "observation":
            weight = check_weights(sample_weight, X)
            if weight is not None and not np.all(weight > 0):
                raise ValueError(NO_PRECISION.format(n_zero=np.count_nonzero(weight == 0)))
            variance += 1.0 if weight is None else 1 / weight
        return mean, self.residual_variance_ * variance

    def _variance_of_means(self, X, codes):
        coordinates = self._criterion.problem.coordinates
        backmap = coordinates.backmap / coordinates.y_scale
        first = len(backmap) - X.shape[1]  # 1 if there is an intercept
        variance = np.empty(len(codes))
        for rows in gen_batches(len(codes), max(BATCH_VALUES // (1 + X.shape[1]), 1)):
            fixed = safe_sparse_dot(X[rows], backmap[first:]) + backmap[:first].sum(axis=0)
            random = self._random_columns(X[rows]) @ coordinates.random_backmap
            variance[rows] = self._uncertainty.of_predictions(fixed, random, codes[rows])
        return variance

    def _variance_of_intercepts_without(self, terms):
        """Estimate the variance of the groups' levels again without some of the features."""
        dropped = np.array([False, *(term in terms for term in self._terms), False])
        structure = dict(self._fitted_as)
        reml = structure.pop("reml")
        problem = make_problem(drop_columns(self._moments, dropped), **structure)
        criterion, optimum = estimate(problem, reml=reml, tol=self.tol, max_iter=self.max_iter)
        solution = solve(criterion, optimum.Lambda)
        return solution.sigma2 * np.sum(solution.Lambda[0] ** 2)

    def _tabulate_fixed_effects(self, level, df_method):
        cov = self.coef_cov_.to_numpy()
        estimate = self._coefficients
        std_error, df = np.sqrt(np.diag(cov)), np.full(len(cov), np.nan)
        kept = np.isfinite(std_error)
        contrasts = self._criterion.problem.coordinates.backmap[kept]
        if df_method == "normal":
            df[kept] = np.inf
        elif df_method == "satterthwaite":
            df[kept] = satterthwaite(self._criterion, self._Lambda, contrasts)
        else:
            if not self._criterion.reml:
                raise ValueError(KENWARD_ROGER_ML)
            df[kept], variances = kenward_roger(self._criterion, self._Lambda, contrasts)
            unit = self._criterion.problem.coordinates.y_scale**2
            std_error[kept] = np.sqrt(self.residual_variance_ / unit * variances)
        return with_tests(estimate, std_error, df, level, self.coef_cov_.index)
