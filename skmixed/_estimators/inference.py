"""Standard errors, degrees of freedom and intervals of a fitted mixed model."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import t

from skmixed._estimators.confidence_intervals import (
    bootstrap_limits,
    estimates,
    parameter_names,
    profile_limits_of,
    wald_limits,
)
from skmixed._estimators.contrasts import tests_of_mixed
from skmixed._estimators.iterative import is_iterative, refuse_iterative
from skmixed._estimators.several_factors import tabulate_factors
from skmixed._reports.tests import DfMethod, with_tests
from skmixed._rows.strata import refuse_strata
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import Interval, StrOptions, validate_params
from skmixed._state import in_one_piece

LEVEL = Interval(Real, 0, 1, closed="neither")
# Rows of X that are expanded at a time.
BATCH_VALUES = 2**17


class InferenceMixin:
    """What a fitted mixed model knows of its own uncertainty."""

    @in_one_piece
    @validate_params(
        {
            "level": [LEVEL],
            "df_method": [StrOptions({"satterthwaite", "kenward-roger", "normal"})],
        },
        prefer_skip_nested_validation=True,
    )
    def fixed_effects_frame(
        self, level: float = 0.95, df_method: DfMethod = "satterthwaite"
    ) -> pd.DataFrame:
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
        self._check_has_groups("fixed_effects_frame", several=True, iterative=True, strata=True)
        with one_blas_thread():
            return _tabulate_fixed_effects(self, level, df_method)

    @in_one_piece
    @validate_params(
        {
            "level": [LEVEL],
            "method": [StrOptions({"profile", "wald", "bootstrap"})],
            "n_bootstrap": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
            "n_jobs": [Integral, None],
            "verbose": ["verbose"],
        },
        prefer_skip_nested_validation=True,
    )
    def confint(
        self,
        level: float = 0.95,
        method: Literal["profile", "wald", "bootstrap"] = "profile",
        *,
        n_bootstrap: int = 1000,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> pd.DataFrame:
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
        verbose : int, default=0
            How much to tell about the progress of the bootstrap.

        Returns
        -------
        DataFrame
            A row for each parameter, named as in lme4: standard deviations
            ``sd_term|group`` and correlations ``cor_term2.term1|group`` of the random effects,
            the residual standard deviation ``sigma``, and the fixed effects. Several factors
            follow one another. Columns estimate (of this fit), lower and upper; NaN for
            columns without an estimate.

        Raises
        ------
        NotAvailableError
            If the model was fitted by the iterative solver, and `method` is not "wald".

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
        self._check_has_groups("confint", several=True, iterative=True, strata=True)
        if method != "wald":
            remedy = "Use method='wald'."
            refuse_strata(self._columns, f"confint(method={method!r})", remedy)
        if method != "wald" and is_iterative(self):
            refuse_iterative(f"confint(method={method!r})", "method='wald'")
        with one_blas_thread():
            if method == "profile":
                limits = profile_limits_of(self, level)
            elif method == "wald":
                limits = wald_limits(self, level)
            else:
                limits = bootstrap_limits(
                    self,
                    level,
                    n_bootstrap=n_bootstrap,
                    random_state=random_state,
                    n_jobs=n_jobs,
                    verbose=verbose,
                )
        columns = {"estimate": estimates(self), "lower": limits[:, 0], "upper": limits[:, 1]}
        return pd.DataFrame(columns, pd.Index(parameter_names(self), name="parameter"))

    @in_one_piece
    @validate_params(
        {"level": [LEVEL], "factor": [str, tuple, None]}, prefer_skip_nested_validation=True
    )
    def random_effects_frame(
        self, level: float = 0.95, *, factor: str | tuple | None = None
    ) -> pd.DataFrame:
        """Tabulate the random effects with intervals: what a caterpillar plot shows.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.
        factor : str or tuple, default=None
            Which of several factors; all of them by default.

        Returns
        -------
        DataFrame
            A row for each group and term; columns group, term, estimate, std_error, lower and
            upper, after a column factor if there are several.

        Notes
        -----
        The standard error is that of the prediction error for known variance components,
        Var(b_j^ - b_j); `conditional_cov_` counts the fixed effects as known, too. With few
        groups much is open about the variance between them, so the limits are wider than
        two standard errors: they add twice what estimating it does to the variance (Prasad
        and Rao 1990) and take quantiles of t with n_groups - 1 degrees of freedom. With several
        factors the limits leave out what estimating the variances adds.

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
        self._check_has_groups("random_effects_frame", several=True, strata=True)
        remedy = "conditional_cov_ has the covariances given the variances."
        refuse_strata(self._columns, "random_effects_frame", remedy)
        names = self._factors_named(factor)
        if self._columns.factors:
            return tabulate_factors(self, level, names)
        return _tabulate_random_effects(self, level)

    def _coefficient_tests(self, df_method):
        """Make tests of combinations of the fixed effects; Satterthwaite's if it is None."""
        self._check_has_groups(
            "A test of fixed effects", several=True, iterative=True, strata=True
        )
        return tests_of_mixed(self, df_method or "satterthwaite")

    @property
    @in_one_piece
    def conditional_cov_(self) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """Covariance of each group's random effects given y and the parameters.

        lme4's ``postVar``. It counts the fixed effects as known.

        Returns
        -------
        DataFrame of shape (n_groups * n_random, n_random)
            A block of rows for each group, indexed by group and term; of several factors a
            dictionary of these.
        """
        self._check_has_groups("conditional_cov_", several=True, strata=True)
        fitted = self._fitted
        if not self._columns.factors:
            cov = fitted.covariance_to_user(fitted.uncertainty.given_parameters())
            return covariance_by_group(self._sigma2 * cov, self.random_effects_)
        return {
            name: covariance_by_group(
                self.residual_variance_ * fitted.covariance_to_user(f, H), effects
            )
            for f, ((name, effects), H) in enumerate(
                zip(
                    self.random_effects_.items(),
                    fitted.uncertainty.given_parameters,
                    strict=True,
                )
            )
        }


def covariance_by_group(cov, effects):
    """Make a block of rows for each group, indexed by group and term.

    Parameters
    ----------
    cov : ndarray of shape (n_random, n_random, n_groups)
        Covariances.
    effects : DataFrame of shape (n_groups, n_random)
        Whose index and columns name them.

    Returns
    -------
    DataFrame of shape (n_groups * n_random, n_random)
        The blocks.
    """
    terms, groups = effects.columns, effects.index
    index = pd.MultiIndex.from_product([groups, terms], names=[None, "term"])
    values = np.moveaxis(cov, -1, 0).reshape(len(index), len(terms))
    return pd.DataFrame(values, index.set_names(groups.name, level=0), terms)


def _tabulate_fixed_effects(model, level, df_method):
    """Tabulate the fixed effects of a fitted model with tests and intervals."""
    names = model.coef_cov_.index
    kept = np.isfinite(np.diag(model.coef_cov_))
    variances, df = np.full((2, len(names)), np.nan)
    contrasts = np.eye(len(names))[kept]
    variances[kept], df[kept] = model._coefficient_tests(df_method).single(contrasts)
    return with_tests(model._coefficients, np.sqrt(variances), df, level, names)


def _tabulate_random_effects(model, level):
    """Tabulate the random effects of all groups with standard errors and intervals."""
    fitted = model._fitted
    known = fitted.uncertainty.of_random_effects()
    variances = fitted.variance_uncertainty()
    more = variances.of_random_effects(fitted.criterion_now, fitted.Lambda)
    std_error, wider = (
        np.sqrt(model.residual_variance_ * _variances(fitted, cov))
        for cov in (known, known + 2 * more)
    )
    estimate = model.random_effects_.to_numpy().ravel()
    half = t.isf((1 - level) / 2, max(len(fitted.moments.labels) - 1, 1)) * wider
    terms = model.random_effects_.columns
    return pd.DataFrame(
        {
            "group": model.groups_.repeat(len(terms)),
            "term": np.tile(terms, model.n_groups_),
            "estimate": estimate,
            "std_error": std_error,
            "lower": estimate - half,
            "upper": estimate + half,
        }
    )


def _variances(fitted, cov):
    """Variances of the random effects, group by group."""
    variances = np.einsum("aaj->ja", fitted.covariance_to_user(cov)).ravel()
    return np.maximum(variances, 0.0)  # less is rounding of 0
