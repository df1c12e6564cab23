"""The shell that all estimators share: rows -> moments -> attributes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.iterative import is_iterative, refuse_iterative
from skmixed._estimators.pickles import PacksTables
from skmixed._estimators.predictions import PredictionsMixin
from skmixed._estimators.simulation import SimulationMixin
from skmixed._estimators.streaming import StreamingMixin
from skmixed._estimators.tables import TablesMixin
from skmixed._reports.messages import NO_GROUP_EFFECTS
from skmixed._rows.dask import sum_up_partitions
from skmixed._rows.dask_partitions import is_dask
from skmixed._rows.factors import SEVERAL, refuse_factors
from skmixed._rows.labels import (
    POPULATION_LINE,
    as_index,
    check_enough_rows,
    check_new_groups,
    check_none_missing,
    match_groups,
    warn_about_small_weights,
)
from skmixed._rows.messages import LINEAR
from skmixed._rows.reader import (
    INTERCEPT,
    RowsAgain,
    find_variance_by,
    read_training_rows,
    rows_of_model,
    sum_up,
    warn_about_column_of_groups,
)
from skmixed._rows.routing import without_groups
from skmixed._rows.strata import refuse_strata
from skmixed._sklearn_private import SIMPLE_METHODS, fit_context
from skmixed._state import OnePiece, in_one_piece, in_one_step
from skmixed.exceptions import NotAvailableError


class BaseGroupedModel(OnePiece, PacksTables, BaseEstimator):
    """Model of rows in groups: what the columns are called, and the groups' own lines.

    Subclasses give the constructor, with `group_by` and `new_groups`, and `fit`, which stores
    what it learns of the columns as `_columns`.
    """

    __metadata_request__fit = {"groups": True}
    __metadata_request__predict = {"groups": True}
    __metadata_request__score = {"groups": True}

    coef_: np.ndarray
    intercept_: float
    coef_cov_: pd.DataFrame
    log_likelihood_: float
    aic_: float
    bic_: float
    n_features_in_: int
    feature_names_in_: np.ndarray

    _parameter_constraints = {"group_by": SEVERAL}

    def get_metadata_routing(self):
        """Get the metadata requests: `groups` for fit, predict and score, by default.

        With `group_by` no groups are requested, so that those given to a splitter do not
        arrive here as well.

        Returns
        -------
        MetadataRequest
            The requests.
        """
        requests = super().get_metadata_routing()
        if self.group_by is None:
            return requests
        return without_groups(requests, SIMPLE_METHODS)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    @in_one_piece
    def group_coef_(self) -> pd.DataFrame:
        """Each group's own line: the population line plus the group's effects.

        Returns
        -------
        DataFrame of shape (n_groups, 1 + n_features), or dict of these
            A row for each group, a column for each term. With several factors a dictionary by
            factor: the lines of its groups beside the average group of the others.
        """
        if not self._uses_groups:
            check_is_fitted(self)
            name = type(self).__name__
            raise AttributeError(
                f"{name} has one line, `intercept_` and `coef_`, for all groups."
            )
        check_is_fitted(self)
        return self._for_each_factor(self._lines_of, self._group_effects)

    @property
    def _sigma2(self):
        """What variances over sigma2 are multiplied by."""
        return self.residual_variance_

    def _lines_of(self, effects):
        """Lines of groups with these effects."""
        lines = np.tile([self.intercept_, *self._slopes], (len(effects), 1))
        lines = pd.DataFrame(lines, effects.index, [INTERCEPT, *self._terms])
        lines[effects.columns] += effects
        return lines

    def _for_each_factor(self, what, effects):
        """Compute something of the effects of groups, for each of several factors."""
        if self._columns.factors:
            return {name: what(of_factor) for name, of_factor in effects.items()}
        return what(effects)

    @property
    def _terms(self):
        """Names of the features: the columns of X without the group."""
        return list(self._columns.terms)

    @property
    def _coefficients(self):
        """Intercept, if there is one, and coefficients: in the order of `coef_cov_`.

        NaN for columns without a coefficient.
        """
        has_intercept = len(self.coef_cov_) > len(self._terms)
        estimate = np.array([self.intercept_, *self._slopes] if has_intercept else self._slopes)
        dropped = (estimate == 0) & np.isnan(np.diag(self.coef_cov_))
        return np.where(dropped, np.nan, estimate)

    @property
    def _slopes(self):
        """Coefficients of the features: those of `coef_` without the group's."""
        return self._columns.without_group(self.coef_)

    def _slope_of(self, column):
        """Coefficient of a feature, by name; NaN if it has none."""
        if column not in self._terms:
            raise ValueError(
                f"column={column!r} must be a feature of the fitted model, but these are "
                f"{self._terms}."
            )
        position = self._terms.index(column)
        if position in self._columns.random_only:
            return 0.0
        return self._coefficients[-len(self._terms) :][position]

    def _check_has_groups(self, name, *, several=False, iterative=False, strata=False):
        """Refuse what needs group effects, if the model should have them and has none.

        And what does not exist yet for several factors, for the iterative solver, or for
        residual variances that differ, unless it is told that it does.
        """
        check_is_fitted(self)
        if not strata:
            refuse_strata(self._columns, name)
        if not several:
            refuse_factors(self._columns, name)
        if not iterative and is_iterative(self):
            refuse_iterative(name)
        if self._uses_groups and not self.n_groups_:
            model, pooled = type(self).__name__, self._words.pooled
            raise NotAvailableError(
                NO_GROUP_EFFECTS.format(name=name, model=model, pooled=pooled)
            )

    # ------------------------------------------------------------- what subclasses override

    _uses_groups = True
    _needs_groups = False  # for standard errors
    _words = LINEAR
    _takes_several = False
    _for_new_groups = POPULATION_LINE  # what to do where new groups are an error

    def _find_slopes(self, X, factors):
        """Positions of the slope columns among the features, for each factor by its name."""
        return [[] for _ in factors]

    def _find_random_only(self, X, terms, factors, slopes):
        """Those of the slopes that are not fixed effects, too; terms name the features."""
        return [[] for _ in factors]

    @property
    def _group_effects(self):
        """How far each group's line is from the population line."""
        return self.random_effects_

    def _new_groups_of(self, factors):
        """Return what to do with new groups of each factor."""
        return [self.new_groups for _ in factors]

    # ---------------------------------------------------------------- the groups of rows

    def _find_groups(self, groups, n_rows):
        """Position of each row's group, of one factor; -1 if it is new."""
        refuse = self._new_groups_of([self._columns.group_name])[0]
        return self._match(groups, self.groups_, refuse, n_rows)

    def _match(self, groups, labels, new_groups, n_rows):
        """Positions of labels among those of the fit, -1 for new ones."""
        codes, new = match_groups(groups, labels, n_rows)
        if new_groups == "error":
            check_new_groups(new, labels, self._for_new_groups)
            check_none_missing(codes, "in predict, since new_groups='error'")
        return codes

    def _predict_fixed(self, X):
        return safe_sparse_dot(X, self._slopes) + self.intercept_

    # ------------------------------------------------------------------- moments -> attributes

    def _store_groups(self, moments):
        self.groups_ = as_index(moments.labels, name=self._columns.group_name)
        self.n_groups_ = len(self.groups_)
        sizes = moments.sizes
        whole = np.array_equal(sizes, moments.n_rows)
        self.group_sizes_ = pd.Series(
            moments.n_rows if whole else sizes, index=self.groups_, name="size"
        )

    def _store_fixed_effects(self, solution):
        terms = self._store_coefficients(solution.beta)
        self.coef_cov_ = pd.DataFrame(solution.beta_cov, index=terms, columns=terms)

    def _store_coefficients(self, beta):
        """Store the fixed effects, and name them."""
        first = len(beta) - len(self._terms)  # 1 with an intercept, else 0
        self.coef_ = self._columns.with_group(beta[first:])
        self.intercept_ = float(beta[0]) if first else 0.0
        return [INTERCEPT, *self._terms][1 - first :]


class BaseGroupedRegressor(
    PredictionsMixin,  # predict, predict_population, predict_interval, score
    SimulationMixin,  # simulate
    StreamingMixin,  # partial_fit, fit_moments
    TablesMixin,  # augment, fit_statistics_frame
    RegressorMixin,
    BaseGroupedModel,
):
    """Linear model of rows in groups: everything from the rows to their moments, and back.

    Subclasses give the constructor, with `group_by` and `new_groups`, and
    `_fit_moments(moments, columns, again)`, which solves and stores.
    """

    _population_name = "population"

    @in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> Self:
        """Estimate coefficients, variances and group effects.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            Numeric features and, if `group_by` is set, the group column. A table whose only
            column is the group gives the null model, with nothing but the level.
            A dask array or DataFrame is summed up partition by partition on the workers; the
            other arguments are then dask arrays, or Series with the rows of X.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row: numbers, strings, booleans, dates or categories, none
            missing. Not together with `group_by`. If neither is given, the fit is a pooled
            linear regression and a `MissingGroupsWarning` says so. Of several factors a table
            with a column for each, whose names are those of the factors,
            or else ``group0``, ``group1``, ... A column of X that holds
            these labels as well is named in a warning, except by `PooledRegressor`.
        sample_weight : array-like of shape (n_rows,), optional
            A weight of 2 is the row twice, a weight of 0 is no row. lme4's precision weights
            give the same estimates when scaled to mean 1; `criterion_` is then lme4's plus
            the sum of their logarithms.

        Returns
        -------
        self : object
            The fitted estimator. After an error it is as it was before.
        """
        if is_dask(X):
            if find_variance_by(self, reset=True) is not None:
                self._check_takes_sums("A fit to dask collections")
            return self._fit_moments(*sum_up_partitions(self, X, y, groups, sample_weight))
        rows, columns = read_training_rows(self, X, y, groups, sample_weight)
        own = rows_of_model(self, rows)
        check_enough_rows(own.X, own.sample_weight, has_groups=own.codes is not None)
        warn_about_small_weights(own.sample_weight)
        warn_about_column_of_groups(self, own, columns)
        if columns.variance_by is not None:
            return self._fit_strata(own, columns, X)
        return self._fit_moments(sum_up(own, columns), columns, RowsAgain(rows))

    @in_one_piece
    def marginal_effects(
        self, column: str, start: float = 0.0, stop: float = 1.0
    ) -> pd.DataFrame:
        """Compute how much y changes in each group when a column goes from start to stop.

        Parameters
        ----------
        column : str
            Name of a feature column, as in `group_coef_`.
        start, stop : float, default=0.0 and 1.0
            Values of the column before and after.

        Returns
        -------
        DataFrame of shape (n_groups, 3), or dict of these
            For each group the change of y by the population line (``population``), what the
            group's own slope adds (``group``), and their sum (``total``). Under fixed effects
            the population line is that of the average group. A model without groups has a
            single row, for all of them. NaN for a column without a coefficient. With several
            factors a dictionary by factor: the changes in its groups beside the average group
            of the others.

        Examples
        --------
        >>> from skmixed import FixedEffectsRegressor, PooledRegressor, RandomSlopeRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
        >>> model.marginal_effects("Days", start=0, stop=9).head(2).round(1)
                 population  group  total
        Subject
        308            94.2   82.8  177.0
        309            94.2  -77.6   16.6
        >>> model = FixedEffectsRegressor("Days").fit(X, y, groups=subject)
        >>> model.marginal_effects("Days", start=0, stop=9).head(2).round(1)
                 population  group  total
        Subject
        308            94.2  101.7  195.9
        309            94.2  -73.8   20.4
        >>> model = PooledRegressor().fit(X, y, groups=subject)
        >>> model.marginal_effects("Days", start=0, stop=9).round(1)
                    population  group  total
        Subject
        all groups        94.2    0.0   94.2
        """
        check_is_fitted(self)
        change = stop - start
        population = change * self._slope_of(column)

        def of_groups(effects):
            group = change * effects[column] if column in effects else 0.0
            parts = {"population": population, "group": group, "total": population + group}
            return pd.DataFrame(parts, index=effects.index)

        if self._uses_groups and self.n_groups_:
            return self._for_each_factor(of_groups, self._group_effects)
        index = pd.Index([self._population_name], name=self._columns.group_name)
        return of_groups(pd.DataFrame(index=index))

    @property
    def _moments(self):
        """Sums over the rows of the fit."""
        return self._fitted.moments
