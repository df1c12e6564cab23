"""The shell of the models of binary and count outcomes: rows -> fit -> attributes."""

from __future__ import annotations

from copy import copy
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.grouped import BaseGroupedModel
from skmixed._estimators.likelihoods.fit import Specification, estimate, keep
from skmixed._estimators.likelihoods.fitted import RandomColumns
from skmixed._estimators.likelihoods.inference import LikelihoodInferenceMixin
from skmixed._estimators.likelihoods.measures import LikelihoodMeasuresMixin
from skmixed._estimators.likelihoods.predictions import AveragedMeansMixin
from skmixed._estimators.simulation import SimulationMixin
from skmixed._estimators.tables import TablesMixin
from skmixed._reports.likelihood_messages import (
    NODES_OF_SEVERAL,
    NOT_AVAILABLE,
    warn_about_likelihood,
)
from skmixed._reports.likelihood_summary import LikelihoodSummary
from skmixed._rows.dask_partitions import refuse_dask
from skmixed._rows.labels import check_enough_rows
from skmixed._rows.messages import NEEDS_ROWS
from skmixed._rows.reader import (
    INTERCEPT,
    read_training_rows,
    rows_that_count,
    warn_about_column_of_groups,
)
from skmixed._rows.sizes import check_sizes
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import Interval, StrOptions, fit_context, validate_params
from skmixed._state import in_one_piece, in_one_step
from skmixed.exceptions import NotAvailableError

LEVEL = Interval(Real, 0, 1, closed="neither")
# What quadrature="auto" takes with a single random effect for each group.
NODES = 9
MOST_NODES = 100


class BaseLikelihoodModel(
    AveragedMeansMixin,  # means of rows of known and of new groups
    SimulationMixin,  # simulate
    LikelihoodInferenceMixin,  # tables of effects, intervals
    TablesMixin,  # augment, fit_statistics_frame
    LikelihoodMeasuresMixin,  # intraclass correlation, explained variance
    BaseGroupedModel,
):
    """Generalized linear mixed model with one grouping factor: all but family and columns.

    Subclasses give the constructor, `_family`, `_words`, `_ratio`, `_read_target` and
    `_said_of_y`; see `RandomInterceptClassifier` for the parameters, attributes and methods.
    """

    random_effects_: pd.DataFrame
    random_effects_cov_: pd.DataFrame
    theta_: np.ndarray
    pooling_weights_: pd.DataFrame
    criterion_: float
    groups_: pd.Index
    group_sizes_: pd.Series
    n_groups_: int
    n_nodes_: int
    separating_: list[str]
    converged_: bool
    singular_: bool
    n_iter_: int

    _parameter_constraints = {
        **BaseGroupedModel._parameter_constraints,
        "quadrature": [StrOptions({"auto"}), Interval(Integral, 1, MOST_NODES, closed="both")],
        "fit_intercept": ["boolean"],
        "new_groups": [StrOptions({"population", "error"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        group_by: Any = None,
        quadrature: int | Literal["auto"] = "auto",
        fit_intercept: bool = True,
        new_groups: Literal["population", "error"] = "population",
        max_iter: int = 100,
        tol: float = 1e-8,
    ) -> None:
        self.group_by = group_by
        self.quadrature = quadrature
        self.fit_intercept = fit_intercept
        self.new_groups = new_groups
        self.max_iter = max_iter
        self.tol = tol

    @in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> Self:
        """Estimate coefficients, variances and group effects.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            Numeric features and, if `group_by` is set, the group column. A table whose only
            column is the group gives the null model, with nothing but the level.
        y : array-like of shape (n_rows,)
            Target: labels of two classes, or counts.
        groups : array-like of shape (n_rows,), optional
            Group label of each row: numbers, strings, booleans, dates or categories, none
            missing. Not together with `group_by`. If neither is given, the fit is pooled, and
            a `MissingGroupsWarning` says so.
        sample_weight : array-like of shape (n_rows,), optional
            A weight of 2 is the row twice, a weight of 0 is no row. Of counts it may be the
            exposure, with y the rate: see the class.

        Returns
        -------
        self : object
            The fitted estimator. After an error it is as it was before.
        """
        refuse_dask(X, NEEDS_ROWS, name=type(self).__name__)
        y = self._read_target(y)
        rows, columns = read_training_rows(self, X, y, groups, sample_weight)
        warn_about_column_of_groups(self, rows, columns)
        rows = rows_that_count(rows)
        check_enough_rows(rows.X, None, has_groups=rows.codes is not None)
        check_sizes(rows.X, columns.terms)
        self._check_target(rows)
        specification = self._specification(columns)
        with one_blas_thread():
            estimates = estimate(rows, specification)
        fitted = keep(estimates, rows, specification)
        self._store(estimates, fitted, columns, specification.n_nodes)
        warn_about_likelihood(self)
        return self

    @in_one_piece
    @validate_params(
        {"level": [LEVEL], "stars": ["boolean"]}, prefer_skip_nested_validation=True
    )
    def summary(self, *, level: float = 0.95, stars: bool = False) -> LikelihoodSummary:
        """Describe the fitted model as `summary` of lme4's glmer does.

        Parameters
        ----------
        level : float, default=0.95
            Level of the intervals of the fixed effects.
        stars : bool, default=False
            Whether the text marks p-values below 0.05, 0.01 and 0.001.

        Returns
        -------
        LikelihoodSummary
            Prints as text, shows as HTML in a notebook, and holds its tables as DataFrames.
        """
        check_is_fitted(self)
        return LikelihoodSummary.from_estimator(self, level=level, stars=stars)

    # ------------------------------------------------------------- what subclasses override

    _population_name = "average group"
    _random_intercept = True
    _is_diagonal = False

    def _said_of_y(self):
        """Say in the summary what there is to say of y, by name."""
        return {}

    def _dispersion_test(self):
        """Whether y varies more than its distribution does, if that can be."""

    # ----------------------------------------------------------------- fit -> attributes

    @property
    @in_one_piece
    def coef_cov_(self) -> pd.DataFrame:
        """Covariance of (intercept, coefficients), by the Hessian of the likelihood.

        The Hessian is of coefficients and variances, by differences of the exact gradient.
        It is computed when first asked for, from the rows, which the model keeps until then,
        or until it is pickled.

        Returns
        -------
        DataFrame
            NaN for columns without an estimate.
        """
        check_is_fitted(self)
        terms = self._fixed_terms
        return pd.DataFrame(self._fitted.coef_cov, index=terms, columns=terms)

    @property
    def _fixed_terms(self):
        terms = pd.Index([INTERCEPT, *self._terms], dtype=object)
        return terms[len(terms) - len(self._fitted.kept) :]

    @property
    def _coefficients(self):
        values = np.array([self.intercept_, *self._slopes])
        kept = self._fitted.kept
        return np.where(kept, values[len(values) - len(kept) :], np.nan)

    @property
    def _moments(self):
        """Sums over the rows of the fit."""
        return self._fitted.sums

    def __getstate__(self):
        model = copy(self)
        if "_fitted" in vars(model):
            model._fitted = model._fitted.without_rows()
        return super(BaseLikelihoodModel, model).__getstate__()

    def __copy__(self):
        other = self._as_it_is()
        other.__dict__ = vars(other).copy()
        return other

    def __sklearn_is_fitted__(self):
        return "_fitted" in vars(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name in NOT_AVAILABLE:
                model = type(self).__name__
                raise NotAvailableError(
                    f"`{name}` does not exist for {model}: {NOT_AVAILABLE[name]}."
                )
            return self.__getattribute__(name)  # raises what Python does

    def _random_terms(self, columns):
        """Names of the random effects of a group."""
        return [INTERCEPT, *columns.slope_terms][not self._random_intercept :]

    def _specification(self, columns):
        return Specification(
            family=self._family,
            random=RandomColumns(columns.slopes, self._random_intercept),
            random_only=columns.random_only,
            n_nodes=self._choose_nodes(columns),
            fit_intercept=self.fit_intercept,
            diagonal=self._is_diagonal,
            tol=self.tol,
            max_iter=self.max_iter,
        )

    def _choose_nodes(self, columns):
        terms = self._random_terms(columns)
        if self.quadrature == "auto":
            return NODES if len(terms) == 1 else 1
        if self.quadrature > 1 and len(terms) > 1:
            given = {"nodes": self.quadrature, "terms": ", ".join(terms), "q": len(terms)}
            raise ValueError(NODES_OF_SEVERAL.format(**given))
        return self.quadrature

    def _store(self, estimates, fitted, columns, n_nodes):
        self._columns, self._fitted = columns, fitted
        self._store_groups(fitted.sums)
        terms = np.array(self._store_coefficients(estimates.beta), dtype=object)
        self.separating_ = terms[estimates.runs_away].tolist()
        self._store_random_effects(fitted, estimates.Lambda)
        self.n_nodes_ = n_nodes
        self._store_criterion(estimates)

    def _store_random_effects(self, fitted, Lambda):
        terms = self._random_terms(self._columns)
        self.random_effects_cov_ = pd.DataFrame(fitted.Psi, index=terms, columns=terms)
        of_groups = {"index": self.groups_, "columns": terms}
        self.random_effects_ = pd.DataFrame(fitted.effects.modes.T, **of_groups)
        self.pooling_weights_ = pd.DataFrame(fitted.pooling_weights.T, **of_groups)
        free = np.eye(len(Lambda)) if self._is_diagonal else np.tri(len(Lambda))
        self.theta_ = Lambda.T[free.T > 0]  # column by column

    def _store_criterion(self, estimates):
        self.log_likelihood_ = estimates.log_likelihood
        self.criterion_ = -2 * estimates.log_likelihood
        n_parameters = np.count_nonzero(estimates.kept)
        n_parameters += len(self.theta_) if self.n_groups_ else 0
        self.aic_ = self.criterion_ + 2 * n_parameters
        self.bic_ = self.criterion_ + np.log(self._fitted.n_for_bic) * n_parameters
        self.singular_ = estimates.is_singular
        self.converged_, self.n_iter_ = estimates.converged, estimates.n_iter
