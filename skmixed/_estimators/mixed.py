"""The shell of the mixed models: moments -> solution -> attributes."""

from __future__ import annotations

from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.digits import solve_with_digits
from skmixed._estimators.fit_measures import FitMeasuresMixin
from skmixed._estimators.fitted import FittedModel
from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.inference import InferenceMixin
from skmixed._estimators.leave_out import LeaveOutMixin
from skmixed._estimators.streaming import RowsSeen, StreamingMixin
from skmixed._numerics.fit.fit import Fit, Specification
from skmixed._reports.messages import NO_INTERVALS, refuse_without_digits, warn_about_fit
from skmixed._reports.summary import ModelSummary
from skmixed._reports.tests import DfMethod
from skmixed._rows.dask import predict_partitions
from skmixed._rows.dask_partitions import is_dask
from skmixed._rows.reader import INTERCEPT, by_features_alone, read_rows
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import Interval, StrOptions
from skmixed._state import in_one_piece


class BaseMixedRegressor(
    StreamingMixin,  # partial_fit, fit_moments, update_groups
    LeaveOutMixin,  # loo_predict
    InferenceMixin,  # intervals, tables of effects
    FitMeasuresMixin,  # explained variance, conditional AIC, design effect
    BaseGroupedRegressor,  # fit, predict, predict_population, score
):
    """Linear mixed model with one grouping factor: everything but the random columns.

    Subclasses give the constructor and `_specification`; see `RandomInterceptRegressor` for
    the parameters, attributes and methods. A mixin is a page of the manual: methods that call
    functions of `_fitted`, the record of the fit. It stores nothing; `_store` does, once.
    """

    random_effects_: pd.DataFrame
    random_effects_cov_: pd.DataFrame
    residual_variance_: float
    theta_: np.ndarray
    icc_: float
    pooling_weights_: pd.DataFrame
    criterion_: float
    groups_: pd.Index
    group_sizes_: pd.Series
    n_groups_: int
    converged_: bool
    singular_: bool
    n_iter_: int

    _parameter_constraints = {
        **BaseGroupedRegressor._parameter_constraints,
        "method": [StrOptions({"reml", "ml"})],
        "fit_intercept": ["boolean"],
        "new_groups": [StrOptions({"population", "error"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        group_by: str | int | None = None,
        method: Literal["reml", "ml"] = "reml",
        fit_intercept: bool = True,
        new_groups: Literal["population", "error"] = "population",
        max_iter: int = 100,
        tol: float = 1e-8,
    ) -> None:
        self.group_by = group_by
        self.method = method
        self.fit_intercept = fit_intercept
        self.new_groups = new_groups
        self.max_iter = max_iter
        self.tol = tol

    @overload
    def predict(
        self, X: Any, groups: Any = None, *, return_std: Literal[False] = False
    ) -> np.ndarray: ...
    @overload
    def predict(
        self, X: Any, groups: Any = None, *, return_std: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...
    @in_one_piece
    def predict(
        self, X: Any, groups: Any = None, *, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict y for rows of known and of new groups.

        A row of a known group is predicted by that group's own line, ``x'beta + z'b_j``; a row
        of a group not seen in fit, or whose label is missing, by the population line.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row. Required if `fit` was given `groups`.
        return_std : bool, default=False
            Whether to return the standard deviation of a new y around its prediction, too: it
            holds the residual, what is open about the group, and the uncertainty of the fixed
            effects. See `predict_interval` for the mean, and for weights.

        Returns
        -------
        ndarray of shape (n_rows,), or a pair of such arrays
            Predicted values, and their standard deviations if `return_std`. For dask
            collections not computed yet: arrays with the chunks of X, or Series with its
            index and divisions.

        Raises
        ------
        ValueError
            If the model was fitted with groups and none are given, or if there are new
            groups and ``new_groups="error"``.
        """
        if not return_std:
            return super().predict(X, groups=groups)
        if is_dask(X):
            return predict_partitions(self, X, groups, return_std=True)
        self._check_has_groups("return_std")
        X, groups = read_rows(self, X, groups)
        y, codes = self._predict_rows(X, groups)
        return y, self._std_of_new_y(X, codes)

    @overload
    def predict_population(
        self, X: Any, *, return_std: Literal[False] = False
    ) -> np.ndarray: ...
    @overload
    def predict_population(
        self, X: Any, *, return_std: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...
    @in_one_piece
    def predict_population(
        self, X: Any, *, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict y by the population line, ``x'beta``: that of an average group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`; with `group_by`, the group column is ignored and may
            be missing.
        return_std : bool, default=False
            Whether to return the standard deviation of a new y of a new group, too.

        Returns
        -------
        ndarray of shape (n_rows,), or a pair of such arrays
            Predicted values, and their standard deviations if `return_std`. For dask
            collections not computed yet: arrays with the chunks of X, or Series with its
            index and divisions.
        """
        if not return_std:
            return super().predict_population(X)
        self._check_has_groups("return_std")
        model = by_features_alone(self, X)
        if is_dask(X):
            return predict_partitions(model, X, method="predict_population", return_std=True)
        X, _ = read_rows(model, X)
        y = model._predict_fixed(X)
        return y, model._std_of_new_y(X, np.full(len(y), -1))

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

    def _specification(self, columns):
        """Which model is fitted to the moments."""
        return Specification(reml=self.method == "reml", fit_intercept=self.fit_intercept)

    @property
    def _moments(self):
        """Sums over the rows of the fit."""
        return self._fitted.moments

    def _check_has_groups(self, name):
        check_is_fitted(self)
        if not self.n_groups_:
            raise ValueError(NO_INTERVALS.format(name=name, model=type(self).__name__))

    def _std_of_new_y(self, X, codes):
        """Return the standard deviation of a new y around its prediction."""
        variance = 1 + self._fitted.variance_of_means(X, codes)
        return np.sqrt(self.residual_variance_ * variance)

    # ------------------------------------------------------- moments -> solution -> attributes

    def _fit_moments(self, moments, columns, again=None):
        with one_blas_thread():
            solve = partial(self._estimate, columns)
            fit, lines = solve_with_digits(solve, moments, again)
        if again is None:
            refuse_without_digits(fit)
        self._store(fit, moments, columns, lines)
        warn_about_fit(self, fit, may_lack_digits=again is None)
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
        self._fitted = FittedModel(moments, specification, fit.optimum.Lambda, lines)
        self._seen = RowsSeen(moments, self.get_params(deep=False))

    def _store_random_effects(self, solution, specification):
        terms = [INTERCEPT] if specification.random_intercept else []
        terms += self._columns.slope_terms
        Lambda = solution.Lambda
        self.residual_variance_ = solution.sigma2
        cov = solution.sigma2 * Lambda @ Lambda.T
        self.random_effects_cov_ = pd.DataFrame(cov, index=terms, columns=terms)
        self._store_modes(solution.b, solution.pooling_weights)
        self.icc_ = solution.icc
        self.theta_ = solution.theta

    def _store_modes(self, b, pooling_weights):
        terms = self.random_effects_cov_.index
        self.random_effects_ = pd.DataFrame(b.T, index=self.groups_, columns=terms)
        self.pooling_weights_ = pd.DataFrame(
            pooling_weights.T, index=self.groups_, columns=terms
        )

    def _store_criterion(self, fit):
        problem, solution = fit.problem, fit.solution
        self.criterion_ = solution.criterion
        self.log_likelihood_ = -solution.criterion / 2
        n_parameters = problem.p + 1 + (len(self.theta_) if self.n_groups_ else 0)
        self.aic_ = solution.criterion + 2 * n_parameters
        self.bic_ = solution.criterion + np.log(problem.n) * n_parameters
        self.singular_ = solution.rank < len(solution.Lambda)
        self.converged_ = fit.optimum.converged
        self.n_iter_ = fit.optimum.n_iter
