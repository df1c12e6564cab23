"""The shell of the mixed models: moments -> solution -> attributes."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.fit_measures import FitMeasuresMixin
from skmixed._estimators.grouped import INTERCEPT, BaseGroupedRegressor
from skmixed._estimators.inference import InferenceMixin
from skmixed._estimators.leave_out import LeaveOutMixin
from skmixed._estimators.streaming import SOLVING, StreamingMixin
from skmixed._numerics.fit.estimate import estimate, estimate_near
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._reports.of_fits import warn_about_fit
from skmixed._reports.summary import ModelSummary
from skmixed._rows.columns import dense_column
from skmixed._rows.dask import predict_partitions
from skmixed._rows.dask_partitions import is_dask
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import Interval, StrOptions

# Made from the moments when first needed, and not stored.
DERIVED = ("_criterion", "_uncertainty")


class BaseMixedRegressor(
    StreamingMixin, LeaveOutMixin, InferenceMixin, FitMeasuresMixin, BaseGroupedRegressor
):
    """Linear mixed model with one grouping factor: everything but the random columns.

    Subclasses give the constructor; see `RandomInterceptRegressor` for the parameters,
    attributes and methods.
    """

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
        group_by=None,
        method="reml",
        fit_intercept=True,
        new_groups="population",
        max_iter=100,
        tol=1e-8,
    ):
        self.group_by = group_by
        self.method = method
        self.fit_intercept = fit_intercept
        self.new_groups = new_groups
        self.max_iter = max_iter
        self.tol = tol

    def __getstate__(self):
        with SOLVING:  # a copy of what is half solved would stay so
            state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in DERIVED}

    def predict(self, X, groups=None, *, return_std=False):
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
        y, variance = self._predict_with_variance(X, groups)
        return y, np.sqrt(variance)

    def predict_population(self, X, *, return_std=False):
        """Predict y by the population line, ``x'beta``: that of an average group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`; with `group_by`, the group column is ignored.
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
        if is_dask(X):
            return predict_partitions(self, X, method="predict_population", return_std=True)
        X, _ = self._check_rows(X, reset=False)
        y = self._predict_fixed(X)
        variance = 1 + self._variance_of_means(X, np.full(len(y), -1))
        return y, np.sqrt(self.residual_variance_ * variance)

    def summary(self, *, level=0.95, df_method="satterthwaite", stars=False):
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

    # ------------------------------------------------------------- what subclasses override

    _has_random_intercept = True

    def _structure(self):
        """Which columns are fixed and random effects, as `make_problem` takes it."""
        return {}

    def _random_columns(self, X):
        """Z, the columns of the random effects."""
        ones = [np.ones(X.shape[0])] if self._has_random_intercept else []
        return np.column_stack(
            [*ones, *(dense_column(X, position) for position in self._slopes)]
        )

    # ------------------------------------------------------- moments -> solution -> attributes

    def _fit_moments(self, moments):
        with one_blas_thread():
            criterion, optimum = self._estimate(moments)
            solution = self._store_optimum(moments, criterion, optimum)
        warn_about_fit(self, criterion.problem, optimum, solution)
        return self

    def _estimate(self, moments, start=None):
        """Minimise the criterion; `start` is a factor of a near Psi, in the user's units."""
        problem = make_problem(moments, fit_intercept=self.fit_intercept, **self._structure())
        options = {"reml": self.method == "reml", "tol": self.tol, "max_iter": self.max_iter}
        coordinates = problem.coordinates
        if start is None or not coordinates.random_kept.all():
            return estimate(problem, **options)
        start = np.linalg.solve(coordinates.random_backmap, start)
        return estimate_near(problem, start=start, **options)

    def _store_optimum(self, moments, criterion, optimum):
        problem, solution = criterion.problem, solve(criterion, optimum.Lambda)
        self._store_groups(moments)
        self._store_fixed_effects(solution)
        self._store_random_effects(solution)
        self._store_fit(problem, optimum, solution)
        self._moments, self._Lambda = moments, optimum.Lambda
        self._fitted_as = {
            "reml": criterion.reml,
            "fit_intercept": self.fit_intercept,
            **self._structure(),
        }
        self._summed_for = self._model_parameters()
        for name in ("_all_sums", "_unsolved"):
            vars(self).pop(name, None)
        self._forget()
        return solution

    def _store_random_effects(self, solution):
        slopes = [self._terms[position] for position in self._slopes]
        terms = [INTERCEPT, *slopes] if self._has_random_intercept else slopes
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

    def _store_fit(self, problem, optimum, solution):
        self.criterion_ = solution.criterion
        self.log_likelihood_ = -solution.criterion / 2
        n_parameters = problem.p + 1 + (len(self.theta_) if self.n_groups_ else 0)
        self.aic_ = solution.criterion + 2 * n_parameters
        self.bic_ = solution.criterion + np.log(problem.n) * n_parameters
        self.singular_ = solution.rank < len(solution.Lambda)
        self.converged_ = optimum.converged
        self.n_iter_ = optimum.n_iter
        self._n_rows = problem.n

    def _forget(self):
        """Drop what was derived from an earlier fit."""
        for name in DERIVED:
            vars(self).pop(name, None)
