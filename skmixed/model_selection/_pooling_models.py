"""The models of a comparison."""

from __future__ import annotations

from sklearn.base import BaseEstimator, RegressorMixin

from skmixed._estimators.least_squares import FixedEffectsRegressor, PooledRegressor
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._estimators.random_slope import RandomSlopeRegressor
from skmixed._reports.pooling_names import (
    FIXED,
    FIXED_SLOPES,
    INTERCEPT,
    OURS,
    POOLED,
    SLOPES,
    intercept_of,
)
from skmixed._rows.chosen_columns import find_feature_columns
from skmixed._rows.factors import split_groups, take_factors
from skmixed._rows.routing import refuse_class


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


def make_models(X, groups, group_by, slopes, estimators):
    """Models to compare, by name.

    Parameters
    ----------
    X : array-like
        Rows.
    groups : Groups
        Of the rows.
    group_by, slopes, estimators : object
        As given to `compare_pooling`.

    Returns
    -------
    dict of str to estimator
        Not fitted.
    """
    several = groups.are_several
    models = {POOLED: PooledRegressor(group_by=group_by)}
    if several:
        for name in groups.names:
            models[intercept_of(name)] = OneFactorIntercept(name, group_by)
    models[FIXED] = FixedEffectsRegressor(group_by=group_by)
    models[INTERCEPT] = RandomInterceptRegressor(group_by=group_by)
    if slopes is not None:
        _check_slopes(X, slopes, group_by)
        if not several:
            models[FIXED_SLOPES] = FixedEffectsRegressor(slopes, group_by=group_by)
        models[SLOPES] = RandomSlopeRegressor(slopes, group_by=group_by)
    reserved = {**dict.fromkeys(OURS), **models}
    for name, estimator in (estimators or {}).items():
        _check_estimator(name, estimator, reserved)
        models[name] = estimator
    return models


def _check_slopes(X, slopes, group_by):
    """Refuse slopes of no column, for all factors or by factor."""
    chosen = slopes.values() if isinstance(slopes, dict) else [slopes]
    if not any(find_feature_columns(X, each, group_by, parameter="slopes") for each in chosen):
        raise ValueError(
            f"slopes={slopes!r} must name a column. For models without slopes that differ "
            "between groups leave it out."
        )


def _check_estimator(name, estimator, reserved):
    if not isinstance(name, str) or name in reserved:
        raise ValueError(
            f"`estimators` must have names that are strings other than "
            f"{', '.join(map(repr, reserved))}, but got {name!r}. Rename it."
        )
    refuse_class(estimator, f"estimators[{name!r}]")
    if not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise ValueError(
            f"`estimators` must hold regressors with fit and predict, but {name!r} is "
            f"{estimator!r}."
        )
