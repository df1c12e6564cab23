"""Standard errors, tests and intervals of a fitted model of binary or count outcomes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.confidence_intervals import random_names, random_parameters
from skmixed._estimators.contrasts import ByCovariance
from skmixed._estimators.inference import LEVEL, covariance_by_group
from skmixed._reports.likelihood_messages import LIMITS_NOT_FOUND, NORMAL_ONLY
from skmixed._reports.tests import with_z_tests
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed._state import in_one_piece
from skmixed._warn import warn


class LikelihoodInferenceMixin:
    """What a fitted model of binary or count outcomes knows of its own uncertainty.

    Subclasses have `_ratio`, the name of the exponential of a coefficient.
    """

    @in_one_piece
    @validate_params(
        {"level": [LEVEL], "ratios": ["boolean"]}, prefer_skip_nested_validation=True
    )
    def fixed_effects_frame(self, level: float = 0.95, *, ratios: bool = False) -> pd.DataFrame:
        """Tabulate the fixed effects with Wald's tests and intervals.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.
        ratios : bool, default=False
            Whether to add the exponentials of estimate and limits: odds ratios of binary
            outcomes, rate ratios of counts. Both compare rows of the same group.

        Returns
        -------
        DataFrame
            A row for each term; columns estimate, std_error, z, p_value (of a two-sided test
            against 0), lower and upper; with `ratios` odds_ratio or rate_ratio, ratio_lower
            and ratio_upper. NaN for columns without an estimate.
        """
        check_is_fitted(self)
        std_error = np.sqrt(np.diag(self.coef_cov_))
        frame = with_z_tests(self._coefficients, std_error, level, self.coef_cov_.index)
        if ratios:
            names = {"estimate": self._ratio, "lower": "ratio_lower", "upper": "ratio_upper"}
            with np.errstate(over="ignore"):  # of a coefficient that runs away
                frame = frame.join(np.exp(frame[list(names)]).rename(columns=names))
        return frame

    def _coefficient_tests(self, df_method):
        """Make tests of combinations of the fixed effects, for which the normal law stands."""
        check_is_fitted(self)
        if df_method not in (None, "normal"):
            raise ValueError(NORMAL_ONLY.format(df_method=df_method, model=type(self).__name__))
        return ByCovariance(self.coef_cov_.to_numpy(), lambda L: np.full(len(L), np.inf))

    @in_one_piece
    @validate_params(
        {"level": [LEVEL], "method": [StrOptions({"profile", "wald"})]},
        prefer_skip_nested_validation=True,
    )
    def confint(
        self, level: float = 0.95, method: Literal["profile", "wald"] = "profile"
    ) -> pd.DataFrame:
        """Confidence intervals of all parameters, as lme4's `confint` gives them.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals, between 0 and 1.
        method : {"profile", "wald"}, default="profile"
            "profile": the values that a likelihood-ratio test does not reject, at the price of
            several fits for each limit; none for several standard deviations and their
            correlations. "wald": the estimate plus and minus normal quantiles times the
            standard error; none for variance components, whose estimates are far from normal.

        Returns
        -------
        DataFrame
            A row for each parameter, named as in lme4: standard deviations
            ``sd_term|group`` and correlations ``cor_term2.term1|group`` of the random effects,
            and the fixed effects. Columns estimate, lower and upper; NaN for columns without
            a limit.

        Raises
        ------
        NotAvailableError
            If profiles are asked of a model that was stored and loaded: they need the rows.

        Warns
        -----
        ConvergenceWarning
            If a limit was not found.

        Examples
        --------
        >>> from skmixed import RandomInterceptClassifier
        >>> from skmixed.datasets import load_hsb
        >>> X, y, school = load_hsb(return_X_y=True)
        >>> model = RandomInterceptClassifier().fit(X[["ses"]], y > 15, groups=school)
        >>> model.confint().round(2)
                               estimate  lower  upper
        parameter
        sd_(Intercept)|school      0.61   0.52   0.71
        (Intercept)               -0.45  -0.56  -0.34
        ses                        0.71   0.64   0.79
        """
        self._check_has_groups("confint")
        find_limits = _profile_limits if method == "profile" else _wald_limits
        limits = np.concatenate(find_limits(self, level))
        random = random_parameters(self, [self.random_effects_cov_.to_numpy()])
        columns = {
            "estimate": np.concatenate([random, self._coefficients]),
            "lower": limits[:, 0],
            "upper": limits[:, 1],
        }
        names = [*random_names(self), *self._fixed_terms]
        return pd.DataFrame(columns, pd.Index(names, name="parameter"))

    @in_one_piece
    @validate_params({"level": [LEVEL]}, prefer_skip_nested_validation=True)
    def random_effects_frame(self, level: float = 0.95) -> pd.DataFrame:
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
        The estimate is the mode of the effects given y and the parameters, and the standard
        error that of the normal distribution with the curvature at the mode. It counts the
        parameters as known, as lme4's ``postVar`` does.
        """
        self._check_has_groups("random_effects_frame")
        terms = self.random_effects_.columns
        variances = np.einsum("aaj->ja", self._fitted.effects.covariance).ravel()
        estimate, std_error = self.random_effects_.to_numpy().ravel(), np.sqrt(variances)
        half = norm.isf((1 - level) / 2) * std_error
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
    @in_one_piece
    def conditional_cov_(self) -> pd.DataFrame:
        """Covariance of each group's random effects given y and the parameters.

        The inverse curvature at the mode: lme4's ``postVar``.

        Returns
        -------
        DataFrame of shape (n_groups * n_random, n_random)
            A block of rows for each group, indexed by group and term.
        """
        self._check_has_groups("conditional_cov_")
        return covariance_by_group(self._fitted.effects.covariance, self.random_effects_)


def _wald_limits(model, level):
    """Limits of the variance components, which are NaN, and of the fixed effects."""
    unknown = np.full((len(random_names(model)), 2), np.nan)
    return unknown, model.fixed_effects_frame(level)[["lower", "upper"]].to_numpy()


def _profile_limits(model, level):
    """Limits of the variance components, NaN of several, and of the fixed effects."""
    fitted = model._fitted
    sd, fixed = fitted.profile_limits(level)
    found = fixed[fitted.kept] if sd is None else np.append(fixed[fitted.kept], sd)
    if np.isnan(found).any():
        warn(LIMITS_NOT_FOUND, ConvergenceWarning)
    unknown = np.full((len(random_names(model)), 2), np.nan)
    return unknown if sd is None else sd[None], fixed
