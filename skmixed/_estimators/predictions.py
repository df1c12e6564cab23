"""Predictions of rows of known and of new groups, and how uncertain they are."""

from __future__ import annotations

from numbers import Real
from typing import Any, Literal, overload

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skmixed._renamed import renamed
from skmixed._reports.messages import NO_PRECISION
from skmixed._rows.columns import dense_column
from skmixed._rows.containers import take_rows
from skmixed._rows.dask import predict_partitions, score_partitions
from skmixed._rows.dask_partitions import is_dask
from skmixed._rows.factors import factors_as_fitted, of_factor
from skmixed._rows.features import read_target
from skmixed._rows.labels import check_weights
from skmixed._rows.messages import missing_in_predict
from skmixed._rows.reader import INTERCEPT, by_features_alone, read_rows
from skmixed._sklearn_private import Interval, StrOptions, validate_params
from skmixed._state import in_one_piece

LEVEL = Interval(Real, 0, 1, closed="neither")


class PredictionsMixin:
    """What a fitted model predicts.

    Subclasses have `_fitted`, `_quantile` and perhaps `_check_knows_std`.
    """

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
        of a group not seen in fit, or whose label is missing, by the population line, which
        under fixed effects is that of the average group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row. Required if `fit` was given `groups`; `PooledRegressor`
            ignores them. Of several factors the columns of a DataFrame are matched by their
            names, those of an array by their order.
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
            groups or missing labels and ``new_groups="error"``.
        """
        if is_dask(X):
            return predict_partitions(self, X, groups, return_std=return_std)
        check_is_fitted(self)
        if return_std:
            self._check_knows_std("return_std")
        noise = self._noise(X) if return_std else None
        X, groups = read_rows(self, X, groups)
        y, codes = self._predict_rows(X, groups)
        return (y, self._std_of_new_y(X, codes, noise)) if return_std else y

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
        model = by_features_alone(self, X)
        if return_std:
            self._check_knows_std("return_std")
        if is_dask(X):
            method = "predict_population"
            return predict_partitions(model, X, method=method, return_std=return_std)
        noise = self._noise(X) if return_std else None
        X, _ = read_rows(model, X)
        y = model._predict_fixed(X)
        return (y, model._std_of_new_y(X, model._all_new(len(y)), noise)) if return_std else y

    @renamed(confidence_level="level")
    @in_one_piece
    @validate_params(
        {"level": [LEVEL], "kind": [StrOptions({"observation", "mean"})]},
        prefer_skip_nested_validation=True,
    )
    def predict_interval(
        self,
        X: Any,
        groups: Any = None,
        *,
        level: float = 0.95,
        kind: Literal["observation", "mean"] = "observation",
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Predict intervals for rows of known and of new groups.

        They hold the uncertainty of the fixed effects and of the group's own effects: for a
        known group what its rows leave open, for a new one the whole variance between groups.
        In a mixed model the variance components count as known, and normal quantiles are
        taken; a regression by least squares takes those of t, and knows nothing of a new group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict`.
        level : float, default=0.95
            Probability that an interval covers what it is for, between 0 and 1.
        kind : {"observation", "mean"}, default="observation"
            Whether the interval is for a new y, or for its mean given the group.
        sample_weight : array-like of shape (n_rows,), optional
            Precision of each new observation: its residual variance is sigma2 / weight. Not
            used for the mean. Weights count as numbers of rows: precisions must be scaled to
            mean 1 in `fit`, and here by the same factor.

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
        check_is_fitted(self)
        self._check_knows_std("predict_interval")
        noise = self._noise(X) if kind == "observation" else None
        X, groups = read_rows(self, X, groups)
        mean, codes = self._predict_rows(X, groups)
        variance = self._variance_of_means(X, codes)
        if kind == "observation":
            precision = residual_variance(sample_weight, X, ", or ask for kind='mean'")
            variance += noise * precision
        variance *= self._sigma2
        half = self._quantile((1 + level) / 2) * np.sqrt(variance)
        return np.column_stack([mean - half, mean + half])

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

    # --------------------------------------------------------------------- steps of the above

    def _predict_rows(self, X, groups):
        """Predictions, and the position of each row's group, -1 if it is new."""
        y = self._predict_fixed(X)
        if groups is None:
            if self.n_groups_:
                raise ValueError(missing_in_predict(self, "predict"))
            return y, self._all_new(len(y))
        if not self._columns.factors:
            codes = self._find_groups(groups, len(y))
            effects = self._group_effects, self._columns.slopes
            return y + predict_random(X, codes, *effects), codes
        groups = factors_as_fitted(groups, self._columns)
        refuse = self._new_groups_of(list(groups))
        codes = np.empty((len(refuse), len(y)), dtype=np.intp)
        for f, factor in enumerate(self._columns.factors):
            name = factor.group_name
            with of_factor(name):
                codes[f] = self._match(groups[name], self.groups_[name], refuse[f], len(y))
            y += predict_random(X, codes[f], self._group_effects[name], factor.slopes)
        return y, codes

    def _all_new(self, n_rows):
        """Positions of rows whose groups are all new."""
        n_factors = len(self._columns.factors)
        return np.full((n_factors, n_rows) if n_factors else n_rows, -1)

    def _variance_of_means(self, X, codes):
        """Variances of predictions around the true means of rows, over sigma2."""
        return self._fitted.variance_of_means(X, codes)

    def _noise(self, X):
        """Residual variances of rows as they are handed in, over sigma2."""
        return 1.0

    def _std_of_new_y(self, X, codes, noise):
        """Return the standard deviation of a new y around its prediction."""
        return np.sqrt(self._sigma2 * (noise + self._variance_of_means(X, codes)))

    def _check_knows_std(self, name):
        """Refuse questions about uncertainty that the fit cannot answer."""


def predict_random(X, codes, effects, slopes):
    """Compute z'b_j of each row.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_rows, n_features)
        Checked rows.
    codes : ndarray of shape (n_rows,)
        Position of each row's group in `effects`, -1 for a new one.
    effects : DataFrame of shape (n_groups, n_random)
        Effects of the groups.
    slopes : tuple of int
        Positions of the columns that have slopes.

    Returns
    -------
    ndarray of shape (n_rows,)
        0 for new groups.
    """
    total, values = np.zeros(len(codes)), effects.to_numpy().T
    if INTERCEPT in effects.columns:
        total += np.append(values[0], 0.0)[codes]
        values = values[1:]
    for position, effect in zip(slopes, values, strict=True):
        total += dense_column(X, position) * np.append(effect, 0.0)[codes]
    return total


def residual_variance(sample_weight, X, instead=""):
    """Compute the variance of each new observation around its mean, over sigma2.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,) or None
        Precisions.
    X : {ndarray, sparse matrix} of shape (n_rows, n_features)
        The rows.
    instead : str, default=""
        What errors say can be done but leaving rows out.

    Returns
    -------
    ndarray of shape (n_rows,) or float
        1 / weight.
    """
    weight = check_weights(sample_weight, X)
    if weight is None:
        return 1.0
    if not np.all(weight > 0):
        n_zero = np.count_nonzero(weight == 0)
        raise ValueError(NO_PRECISION.format(n_zero=n_zero, instead=instead))
    return 1 / weight
