"""The shell that all estimators share: rows -> moments -> attributes; predictions."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import (
    check_is_fitted,
)

from skmixed._estimators.pickles import PacksTables
from skmixed._rows.columns import GROUP_BY, dense_column
from skmixed._rows.containers import take_rows
from skmixed._rows.dask import predict_partitions, score_partitions, sum_up_partitions
from skmixed._rows.dask_partitions import is_dask
from skmixed._rows.features import read_target
from skmixed._rows.labels import (
    as_index,
    check_enough_rows,
    check_new_groups,
    check_weights,
    match_groups,
)
from skmixed._rows.messages import (
    MISSING_IN_PREDICT,
)
from skmixed._rows.reader import (
    INTERCEPT,
    RowsAgain,
    by_features_alone,
    read_rows,
    read_training_rows,
    sum_up,
)
from skmixed._rows.routing import without_groups
from skmixed._sklearn_private import fit_context
from skmixed._state import OnePiece, in_one_piece, in_one_step


class BaseGroupedRegressor(OnePiece, PacksTables, RegressorMixin, BaseEstimator):
    """Linear model of rows in groups: everything from the rows to their moments, and back.

    Subclasses give the constructor, with `group_by` and `new_groups`, and
    `_fit_moments(moments, columns, again)`, which solves and stores.
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

    _parameter_constraints = {"group_by": GROUP_BY}

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
        return without_groups(requests, ["fit", "partial_fit", "predict", "score"])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

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
        groups : array-like of shape (n_rows,), optional
            Group label of each row: numbers, strings, booleans, dates or categories, none
            missing. Not together with `group_by`. If neither is given, the fit is a pooled
            linear regression and a `MissingGroupsWarning` says so.
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
            return self._fit_moments(*sum_up_partitions(self, X, y, groups, sample_weight))
        rows, columns = read_training_rows(self, X, y, groups, sample_weight)
        check_enough_rows(rows.X, rows.sample_weight, has_groups=rows.codes is not None)
        return self._fit_moments(sum_up(rows, columns), columns, RowsAgain(rows))

    @in_one_piece
    def predict(self, X: Any, groups: Any = None) -> np.ndarray:
        """Predict y for rows of known and of new groups.

        A row of a known group is predicted by that group's own line, ``x'beta + z'b_j``; a row
        of a group not seen in fit, or whose label is missing, by the population line.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row. Required if `fit` was given `groups`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Predicted values. For dask collections not computed yet: an array with the chunks
            of X, or a Series with its index and divisions.

        Raises
        ------
        ValueError
            If the model was fitted with groups and none are given, or if there are new
            groups and ``new_groups="error"``.
        """
        if is_dask(X):
            return predict_partitions(self, X, groups)
        check_is_fitted(self)
        X, groups = read_rows(self, X, groups)
        return self._predict_rows(X, groups)[0]

    @in_one_piece
    def predict_population(self, X: Any) -> np.ndarray:
        """Predict y by the population line, ``x'beta``: that of an average group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`; with `group_by`, the group column is ignored and may
            be missing.

        Returns
        -------
        ndarray of shape (n_rows,)
            Predicted values. For dask collections not computed yet: an array with the chunks
            of X, or a Series with its index and divisions.
        """
        model = by_features_alone(self, X)
        if is_dask(X):
            return predict_partitions(model, X, method="predict_population")
        X, _ = read_rows(model, X)
        return model._predict_fixed(X)

    @in_one_piece
    def score(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination, R2, of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        y : array-like of shape (n_rows,)
            True values.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict`.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row.

        Returns
        -------
        float
            1 - (residual sum of squares) / (total sum of squares).
        """
        if is_dask(X):
            return score_partitions(self, X, y, groups, sample_weight)
        given = {"y": y, "groups": groups, "sample_weight": sample_weight}
        X, y, groups, sample_weight = take_rows(X=X, **given)
        predicted = self.predict(X, groups=groups)
        weight = check_weights(sample_weight, predicted)
        return r2_score(read_target(y), predicted, sample_weight=weight)

    @property
    @in_one_piece
    def group_coef_(self) -> pd.DataFrame:
        """Each group's own line: the population line plus the group's effects.

        Returns
        -------
        DataFrame of shape (n_groups, 1 + n_features)
            A row for each group, a column for each term.
        """
        check_is_fitted(self)
        lines = np.tile([self.intercept_, *self._slopes], (self.n_groups_, 1))
        lines = pd.DataFrame(lines, self.groups_, [INTERCEPT, *self._terms])
        lines[self._group_effects.columns] += self._group_effects
        return lines

    @property
    def _terms(self):
        """Names of the features: the columns of X without the group."""
        return list(self._columns.terms)

    @property
    def _coefficients(self):
        """Intercept, if there is one, and coefficients: in the order of `coef_cov_`."""
        has_intercept = len(self.coef_cov_) > len(self._terms)
        return np.array([self.intercept_, *self._slopes] if has_intercept else self._slopes)

    @property
    def _slopes(self):
        """Coefficients of the features: those of `coef_` without the group's."""
        return self._columns.without_group(self.coef_)

    # --------------------------------------------------------------------- steps of the above

    def _predict_rows(self, X, groups):
        """Predictions, and the position of each row's group, -1 if it is new."""
        y = self._predict_fixed(X)
        if groups is None:
            if self.n_groups_:
                raise ValueError(
                    MISSING_IN_PREDICT.format(method="predict", name=type(self).__name__)
                )
            return y, np.full(len(y), -1)
        codes, new = match_groups(groups, self.groups_, len(y))
        if self.new_groups == "error":
            check_new_groups(new, self.groups_)
        return y + self._predict_random(X, codes), codes

    def _predict_fixed(self, X):
        return safe_sparse_dot(X, self._slopes) + self.intercept_

    def _predict_random(self, X, codes):
        """z'b_j of each row; 0 where the code is -1."""
        effects = self._group_effects.to_numpy().T
        total = np.zeros(len(codes))
        if INTERCEPT in self._group_effects.columns:
            total += np.append(effects[0], 0.0)[codes]
            effects = effects[1:]
        for position, effect in zip(self._columns.slopes, effects, strict=True):
            total += dense_column(X, position) * np.append(effect, 0.0)[codes]
        return total

    # ------------------------------------------------------------- what subclasses override

    _uses_groups = True

    def _find_slopes(self, X):
        """Positions of the slope columns among the features."""
        return []

    def _find_random_only(self, X, terms, slopes):
        """Those of the slopes that are not fixed effects, too; terms name the features."""
        return []

    @property
    def _group_effects(self):
        """How far each group's line is from the population line."""
        return self.random_effects_

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
        first = len(solution.beta) - len(self._terms)  # 1 with an intercept, else 0
        self.coef_ = self._columns.with_group(solution.beta[first:])
        self.intercept_ = float(solution.beta[0]) if first else 0.0
        terms = [INTERCEPT, *self._terms][1 - first :]
        self.coef_cov_ = pd.DataFrame(solution.beta_cov, index=terms, columns=terms)
