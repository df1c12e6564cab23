"""The models of a comparison."""

from __future__ import annotations

from sklearn.base import BaseEstimator, RegressorMixin

from skmixed._estimators.fixed_effects import FixedEffectsRegressor
from skmixed._estimators.likelihoods.random_intercept_classifier import (
    RandomInterceptClassifier,
)
from skmixed._estimators.likelihoods.random_intercept_poisson import (
    RandomInterceptPoissonRegressor,
)
from skmixed._estimators.likelihoods.random_slope_classifier import RandomSlopeClassifier
from skmixed._estimators.likelihoods.random_slope_poisson import RandomSlopePoissonRegressor
from skmixed._estimators.pooled import PooledRegressor
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._estimators.random_slope import RandomSlopeRegressor
from skmixed._reports.pooling_names import (
    ENCODED,
    FIXED,
    FIXED_SLOPES,
    INTERCEPT,
    ONE_HOT,
    OURS,
    POOLED,
    SLOPES,
    intercept_of,
)
from skmixed._rows.chosen_columns import find_feature_columns
from skmixed._rows.factors import split_groups, take_factors
from skmixed._rows.routing import refuse_class
from skmixed.model_selection._pooling_boosting import boosting_models
from skmixed.model_selection._pooling_encoded import one_hot, pooled, target_encoded
from skmixed.model_selection._pooling_given import LINEAR
from skmixed.model_selection._pooling_outcomes import BINARY, CONTINUOUS


class OneFactorIntercept(RegressorMixin, BaseEstimator):
    """Random intercepts of one of several factors; the others are not looked at.

    Parameters
    ----------
    factor : str
        Name of the factor.
    group_by : list of str, int or tuple, default=None
        Where all factors are, if they are in X.
    """

    __metadata_request__fit = {"groups": True}
    __metadata_request__predict = {"groups": True}

    def __init__(self, factor, group_by=None):
        self.factor = factor
        self.group_by = group_by

    def fit(self, X, y, groups=None):
        X, groups = self._split(X, groups)
        self.model_ = RandomInterceptRegressor().fit(X, y, groups=groups)
        return self

    def predict(self, X, groups=None, return_std=False):
        X, groups = self._split(X, groups)
        return self.model_.predict(X, groups=groups, return_std=return_std)

    @property
    def icc_(self):
        return {self.factor: self.model_.icc_}

    def _split(self, X, groups):
        if self.group_by is not None:
            X, groups = split_groups(X, self.group_by)
        return X, take_factors(groups)[self.factor]


def make_models(X, groups, group_by, slopes, boosting, estimators, target_type):
    """Models to compare, by name.

    Parameters
    ----------
    X : array-like
        Rows.
    groups : Groups
        Of the rows.
    group_by, slopes, boosting, estimators : object
        As given to `compare_pooling`.
    target_type : {"continuous", "binary", "count"}
        What y is.

    Returns
    -------
    dict of str to estimator
        Not fitted.
    """
    if slopes is not None:
        _check_slopes(X, slopes, group_by)
    if target_type == CONTINUOUS:
        models = _linear_models(groups, group_by, slopes)
        reserved = {**dict.fromkeys(OURS), **models}
        method = "predict"
    else:
        is_binary = target_type == BINARY
        models = _models_of_likelihoods(is_binary, group_by, slopes)
        reserved = {**models, SLOPES: None}
        method = "predict_proba" if is_binary else "predict"
    if boosting:
        with_trees = boosting_models(X, groups, group_by, target_type)
        models |= with_trees
        reserved |= with_trees
    for name, estimator in (estimators or {}).items():
        _check_estimator(name, estimator, reserved, method)
        models[name] = estimator
    return models


def _linear_models(groups, group_by, slopes):
    """Models of a continuous target."""
    several = groups.are_several
    models = {POOLED: PooledRegressor(group_by=group_by)}
    if several:
        for name in groups.names:
            models[intercept_of(name)] = OneFactorIntercept(name, group_by)
    models[FIXED] = FixedEffectsRegressor(group_by=group_by)
    models[INTERCEPT] = RandomInterceptRegressor(group_by=group_by)
    if slopes is not None:
        if not several:
            models[FIXED_SLOPES] = FixedEffectsRegressor(slopes, group_by=group_by)
        models[SLOPES] = RandomSlopeRegressor(slopes, group_by=group_by)
    return models


def _models_of_likelihoods(is_binary, group_by, slopes):
    """Models of a binary outcome or of counts."""
    models = {POOLED: pooled(is_binary, group_by), ONE_HOT: one_hot(is_binary, group_by)}
    if is_binary:
        models[ENCODED] = target_encoded(group_by)
    with_level, with_slopes = (
        (RandomInterceptClassifier, RandomSlopeClassifier)
        if is_binary
        else (RandomInterceptPoissonRegressor, RandomSlopePoissonRegressor)
    )
    models[INTERCEPT] = with_level(group_by=group_by)
    if slopes is not None:
        models[SLOPES] = with_slopes(slopes, group_by=group_by)
    return models


def _check_slopes(X, slopes, group_by):
    """Refuse slopes of no column, for all factors or by factor."""
    chosen = slopes.values() if isinstance(slopes, dict) else [slopes]
    if not any(find_feature_columns(X, each, group_by, parameter="slopes") for each in chosen):
        raise ValueError(
            f"slopes={slopes!r} must name a column. For models without slopes that differ "
            "between groups leave it out."
        )


def _check_estimator(name, estimator, reserved, method):
    if not isinstance(name, str) or name in reserved:
        raise ValueError(
            f"`estimators` must have names that are strings other than "
            f"{', '.join(map(repr, reserved))}, but got {name!r}. Rename it."
        )
    refuse_class(estimator, f"estimators[{name!r}]")
    if not (hasattr(estimator, "fit") and hasattr(estimator, method)):
        kind, remedy = "regressors", ""
        if method != "predict":
            kind, remedy = "classifiers of binary y", f" {LINEAR}"
        raise ValueError(
            f"`estimators` must hold {kind} with fit and {method}, but {name!r} is "
            f"{estimator!r}.{remedy}"
        )
