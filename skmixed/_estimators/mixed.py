"""The shell of the mixed models: moments -> solution -> attributes."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.digits import solve_with_digits
from skmixed._estimators.fit_measures import FitMeasuresMixin
from skmixed._estimators.fitted import FittedModel
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.inference import InferenceMixin
from skmixed._estimators.influence import InfluenceMixin
from skmixed._estimators.iterative import (
    SOLVER_CONSTRAINTS,
    check_may_be_exact,
    is_iterative,
    refuse_iterative,
    store_solver,
)
from skmixed._estimators.leave_out import LeaveOutMixin
from skmixed._estimators.several_factors import (
    FittedFactors,
    fit_factors,
    store_factors,
    store_known,
    weights_of_factors,
)
from skmixed._estimators.strata import fit_rows_of_strata, noise_of_rows
from skmixed._estimators.streaming import RowsSeen, UpdatingMixin
from skmixed._numerics.fit.fit import Fit, Specification
from skmixed._reports.iterative import warn_about_probes
from skmixed._reports.messages import (
    refuse_without_digits,
    warn_about_fit,
)
from skmixed._reports.several_factors import warn_about_factors
from skmixed._reports.summary import ModelSummary
from skmixed._reports.tests import DfMethod
from skmixed._rows.factors import by_factor, name_of
from skmixed._rows.messages import NOT_FOR_STRATA
from skmixed._rows.reader import INTERCEPT
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import Interval, StrOptions
from skmixed._state import in_one_piece
from skmixed.exceptions import NotAvailableError


class BaseMixedRegressor(
    UpdatingMixin,  # update_groups
    LeaveOutMixin,  # loo_predict
    InfluenceMixin,  # residuals, leverage, influence of rows and groups
    InferenceMixin,  # intervals, tables of effects
    FitMeasuresMixin,  # explained variance, conditional AIC, design effect
    BaseGroupedRegressor,  # fit, in batches and from sums; predictions
):
    """Linear mixed model: everything but the random columns.

    Subclasses give the constructor and `_specification`; see `RandomInterceptRegressor` for
    the parameters, attributes and methods. A mixin is a page of the manual: methods that call
    functions of `_fitted`, the record of the fit. It stores nothing; `_store` does, once.
    """

    random_effects_: pd.DataFrame
    random_effects_cov_: pd.DataFrame
    residual_variance_: float
    theta_: np.ndarray
    pooling_weights_: pd.DataFrame
    icc_: float
    criterion_: float
    groups_: pd.Index
    group_sizes_: pd.Series
    n_groups_: int
    converged_: bool
    singular_: bool
    n_iter_: int
    solver_: str
    monte_carlo_error_: pd.Series | None

    _parameter_constraints = {
        **BaseGroupedRegressor._parameter_constraints,
        "method": [StrOptions({"reml", "ml"})],
        "fit_intercept": ["boolean"],
        "new_groups": [StrOptions({"population", "error"}), dict],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        **SOLVER_CONSTRAINTS,
        "variance_by": [str, Integral, None],
    }

    def __init__(
        self,
        *,
        group_by: Any = None,
        method: Literal["reml", "ml"] = "reml",
        fit_intercept: bool = True,
        new_groups: Literal["population", "error"] | dict[Any, str] = "population",
        max_iter: int = 100,
        tol: float = 1e-8,
        solver: Literal["auto", "exact", "iterative"] = "auto",
        n_probes: int | Literal["auto"] = "auto",
        random_state: Any = 0,
        variance_by: str | int | None = None,
    ) -> None:
        self.group_by = group_by
        self.method = method
        self.fit_intercept = fit_intercept
        self.new_groups = new_groups
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.n_probes = n_probes
        self.random_state = random_state
        self.variance_by = variance_by

    @in_one_piece
    def summary(
        self, *, level: float = 0.95, df_method: DfMethod = "satterthwaite", stars: bool = False
    ) -> ModelSummary:
        """Describe the fitted model as lme4's `summary` does.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals of the fixed effects.
        df_method : {"satterthwaite", "kenward-roger", "normal"}, default="satterthwaite"
            As in `fixed_effects_frame`.
        stars : bool, default=False
            Whether the text marks p-values below 0.05, 0.01 and 0.001.

        Returns
        -------
        ModelSummary
            Prints as text, shows as HTML in a notebook, and holds its tables as DataFrames.
        """
        check_is_fitted(self)
        return ModelSummary.from_estimator(self, level=level, df_method=df_method, stars=stars)

    # -------------------------------------------------------------------- the model, as numbers

    _takes_several = True

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            # Of several factors these take as long as a fit, so they are made when asked for.
            fitted = vars(self).get("_fitted")
            if name == "pooling_weights_" and isinstance(fitted, FittedFactors):
                if is_iterative(self):
                    refuse_iterative(name)
                return weights_of_factors(self)
            return super().__getattr__(name)

    def _specification(self, columns):
        """Which model is fitted to the moments, or to those of a factor."""
        return Specification(reml=self.method == "reml", fit_intercept=self.fit_intercept)

    def _check_knows_std(self, name):
        self._check_has_groups(name, several=True, iterative=True, strata=True)

    def _check_takes_sums(self, method):
        by = self.variance_by
        if by is not None:
            remedy = "Use fit(X, y), with all rows in memory."
            raise NotAvailableError(NOT_FOR_STRATA.format(name=method, by=by, remedy=remedy))

    def _noise(self, X):
        return 1.0 if self._columns.variance_by is None else noise_of_rows(self, X)

    @property
    def _sigma2(self):
        """What variances over sigma2 are multiplied by."""
        strata = getattr(self._fitted, "strata", None)
        return self.residual_variance_ if strata is None else strata.sigma2

    @property
    def _moments(self):
        """Sums over the rows of the fit, as they are."""
        strata = getattr(self._fitted, "strata", None)
        return self._fitted.moments if strata is None else strata.moments.total

    def _factors_named(self, factor):
        """Names of the factors that are asked for."""
        names = self._columns.factor_names or [self._columns.group_name]
        if factor is None:
            return names
        name = name_of(factor) if isinstance(factor, tuple) else factor
        if name not in names:
            raise ValueError(f"factor={factor!r} must be one of {names}.")
        return [name]

    def _new_groups_of(self, factors):
        return by_factor(
            self.new_groups,
            factors,
            self._columns.group_by,
            "new_groups",
            default="population",
            allowed=["population", "error"],
        )

    def _quantile(self, probability):
        return norm.ppf(probability)

    # ------------------------------------------------------- moments -> solution -> attributes

    def _fit_strata(self, rows, columns, X):
        return fit_rows_of_strata(self, rows, columns, X)

    def _fit_moments(self, moments, columns, again=None):
        self._columns = columns
        self._new_groups_of(columns.names)  # is checked
        if columns.factors:
            return self._fit_factors(moments, columns)
        check_may_be_exact(self)
        with one_blas_thread():
            solve = partial(self._estimate, columns)
            fit, lines = solve_with_digits(solve, moments, again)
        if again is None:
            refuse_without_digits(fit.digits_left, diverged=fit.optimum.diverged)
        self._store(fit, moments, columns, lines)
        warn_about_fit(self, fit, may_lack_digits=again is None)
        return self

    def _fit_factors(self, moments, columns):
        fit = fit_factors(self, moments, columns)
        self._store_factors(fit, moments, columns)
        warn_about_factors(self, fit)
        warn_about_probes(self, fit)
        return self

    def _estimate(self, columns, moments, start=None):
        """Fit to moments; `start` is a factor of a near Psi, in the user's units."""
        options = {"tol": self.tol, "max_iter": self.max_iter, "start": start}
        return Fit.of(moments, self._specification(columns), **options)

    def _store(self, fit, moments, columns, lines=None):
        self._columns = columns
        self._store_groups(moments)
        self._store_fixed_effects(fit.solution)
        specification = self._specification(columns)
        self._store_random_effects(fit.solution, specification)
        self._store_criterion(fit)
        self.solver_, self.monte_carlo_error_ = "exact", None
        self._fitted = FittedModel(moments, specification, fit.optimum.Lambda, lines)
        self._seen = RowsSeen(moments, self.get_params(deep=False))

    def _store_factors(self, fit, moments, columns):
        self._columns = columns
        self._store_fixed_effects(fit.solution)
        store_factors(self, fit, moments, columns)
        self._store_criterion(fit)
        store_solver(self, fit)
        specifications = tuple(self._specification(factor) for factor in columns.factors)
        Lambdas = tuple(fit.optimum.Lambdas)
        self._fitted = FittedFactors(moments, specifications, Lambdas, probes=fit.probes)
        self._seen = RowsSeen(moments, self.get_params(deep=False))

    def _store_random_effects(self, solution, specification):
        terms = self._random_terms(self._columns)
        Lambda = solution.Lambda
        self.residual_variance_ = solution.sigma2
        cov = solution.sigma2 * Lambda @ Lambda.T
        self.random_effects_cov_ = pd.DataFrame(cov, index=terms, columns=terms)
        self._store_modes(solution.b, solution.pooling_weights)
        self.icc_ = solution.icc
        self.theta_ = solution.theta

    def _random_terms(self, columns):
        """Names of the random effects, of the groups or of those of a factor."""
        has_level = self._specification(columns).random_intercept
        return [INTERCEPT, *columns.slope_terms][not has_level :]

    def _store_modes(self, b, pooling_weights):
        terms = self.random_effects_cov_.index
        self.random_effects_ = pd.DataFrame(b.T, index=self.groups_, columns=terms)
        self.pooling_weights_ = pd.DataFrame(
            pooling_weights.T, index=self.groups_, columns=terms
        )

    def _store_known(self, known):
        """Store the groups that are known by these rows; what was fitted stays."""
        if self._columns.factors:
            store_known(self, known)
            return
        self._fitted = self._fitted.knowing(known)
        self._store_groups(known)
        self._store_modes(*self._fitted.random_effects())

    def _store_criterion(self, fit):
        problem, solution = fit.problem, fit.solution
        self.criterion_ = solution.criterion
        self.log_likelihood_ = -solution.criterion / 2
        n_parameters = problem.p + 1 + (len(self.theta_) if self.n_groups_ else 0)
        self.aic_ = solution.criterion + 2 * n_parameters
        self.bic_ = solution.criterion + np.log(problem.n) * n_parameters
        self.singular_ = fit.is_singular
        self.converged_ = fit.optimum.converged
        self.n_iter_ = fit.optimum.n_iter
