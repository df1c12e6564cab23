"""Scorers that give groups to the model, and scores by whether groups are known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import get_scorer, make_scorer, root_mean_squared_error
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if

from skmixed._estimators.grouped import BaseGroupedModel
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import is_several, of_factor, take_factors
from skmixed._rows.labels import encode_groups, match_groups
from skmixed._rows.routing import predicting_model, refuse_class, requested
from skmixed._sklearn_private import num_samples

__all__ = ["group_scorer", "scores_by_cell"]


def group_scorer(metric: Any, *, greater_is_better: bool = True, **kwargs: Any) -> Any:
    """Make a scorer that passes `groups` on to `predict`.

    scikit-learn's own scorers call ``predict(X)`` and so ask a mixed model for predictions
    without saying which group a row belongs to. This one calls ``predict(X, groups=groups)``,
    or `predict_proba` or `decision_function` likewise, whichever the score is of.
    With metadata routing enabled it receives the groups from `cross_validate`, `GridSearchCV`
    and the like without a further request. A model that asks for no groups, because it has
    ``group_by``, is scored as by the plain scorer; of a fitted search, the model that it chose
    predicts.

    Parameters
    ----------
    metric : str, scorer or callable
        Name of a scorer, such as ``"neg_root_mean_squared_error"``, a scorer, or a metric with
        the signature ``metric(y_true, y_pred)``.
    greater_is_better : bool, default=True
        For a metric only: whether greater is better. If not, its sign is turned.
    **kwargs : dict
        For a metric only: further arguments to pass to it.

    Returns
    -------
    callable
        A scorer with the signature ``scorer(estimator, X, y, groups=None,
        sample_weight=None)``. To have weights routed to it, request them:
        ``group_scorer("r2").set_score_request(sample_weight=True)``.

    Examples
    --------
    >>> import sklearn
    >>> from sklearn.model_selection import KFold, cross_validate
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.metrics import group_scorer
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     scores = cross_validate(
    ...         RandomInterceptRegressor(), X, y, params={"groups": subject},
    ...         cv=KFold(5, shuffle=True, random_state=0),
    ...         scoring=group_scorer("neg_root_mean_squared_error"),
    ...     )
    >>> round(-scores["test_score"].mean(), 1)
    np.float64(31.9)
    """
    if isinstance(metric, str) or hasattr(metric, "_score_func"):
        if kwargs or not greater_is_better:
            raise ValueError(
                f"metric={metric!r} is a scorer, so it knows its arguments and whether greater "
                "is better. Pass them with a metric function instead, as in "
                "group_scorer(sklearn.metrics.mean_pinball_loss, greater_is_better=False, "
                "alpha=0.1)."
            )
        return _GroupScorer(get_scorer(metric))
    return _GroupScorer(make_scorer(metric, greater_is_better=greater_is_better, **kwargs))


def scores_by_cell(
    y_true: Any,
    y_pred: Any,
    groups: Any,
    train_groups: Any,
    *,
    metric: Callable[[Any, Any], float] = root_mean_squared_error,
) -> pd.DataFrame:
    """Score predictions by whether the groups of their rows were in training.

    A row of two factors, such as a pupil and a teacher, is in one of four cells: both known,
    either new, or both new. How well a model predicts differs between these, and an average
    over all speaks of none.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        Target of the rows that were predicted.
    y_pred : array-like of shape (n_rows,)
        Predictions, of whatever model.
    groups : array-like of shape (n_rows,) or (n_rows, n_factors)
        Group labels of these rows, a column for each factor. A missing label is new.
    train_groups : array-like of shape (n_train,) or (n_train, n_factors)
        Group labels of the rows that the model was fitted to, in the same columns: those of a
        DataFrame are matched by name.
    metric : callable, default=sklearn.metrics.root_mean_squared_error
        Metric with the signature ``metric(y_true, y_pred)``.

    Returns
    -------
    DataFrame
        A row for each cell that has rows. Its index tells of each factor "known" or "new"; its
        columns are n_rows and score.

    See Also
    --------
    skmixed.compare_pooling : Cross-validates models in each of these cells.
    skmixed.model_selection.TwoWayGroupKFold : Tests rows of which two groups are new.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import make_mixed_regression
    >>> from skmixed.metrics import scores_by_cell
    >>> X, y, groups = make_mixed_regression(
    ...     400, 1, {"pupil": 150, "teacher": 60}, balanced=False, random_state=0
    ... )
    >>> parts = train_test_split(X, y, groups, random_state=0)
    >>> X_train, X_test, y_train, y_test, groups_train, groups_test = parts
    >>> model = RandomInterceptRegressor().fit(X_train, y_train, groups=groups_train)
    >>> y_pred = model.predict(X_test, groups=groups_test)
    >>> scores_by_cell(y_test, y_pred, groups_test, groups_train).round(2)
                   n_rows  score
    pupil teacher
    known known        83   1.18
          new           7   1.83
    new   known        10   1.40
    """
    if not callable(metric):
        raise ValueError(
            f"`metric` must be a function of y_true and y_pred, but got {metric!r}. Take one "
            "of sklearn.metrics, as in metric=sklearn.metrics.mean_absolute_error."
        )
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    check_consistent_length(y_true, y_pred)
    given, known = _same_factors(groups, train_groups)
    cells = pd.DataFrame(
        {
            name: _is_new(name, given[name], known[name], len(y_true), len(given) > 1)
            for name in given
        }
    )
    number = cells.groupby([*cells], sort=True).ngroup().to_numpy()
    parts = {one: np.flatnonzero(number == one) for one in range(number.max() + 1)}
    table = pd.DataFrame(
        {
            "n_rows": [len(rows) for rows in parts.values()],
            "score": [float(metric(y_true[rows], y_pred[rows])) for rows in parts.values()],
        }
    )
    labels = cells.iloc[[rows[0] for rows in parts.values()]].reset_index(drop=True)
    return pd.concat([labels, table], axis=1).set_index([*labels])


def _same_factors(groups, train_groups):
    """Labels of the rows predicted and of those in training by factor."""
    given, known = (_by_factor(take_factors(one)) for one in (groups, train_groups))
    if len(given) == len(known) == 1:
        return given, dict(zip(given, known.values(), strict=True))
    if set(given) != set(known):
        raise ValueError(
            "`groups` and `train_groups` must have the same factors, but got "
            f"{list(given)} and {list(known)}."
        )
    return given, known


def _by_factor(groups):
    if is_several(groups):
        return {name: groups[name] for name in groups}
    name = getattr(groups, "name", None)
    return {"group" if name is None else str(name): groups}


def _is_new(name, groups, train_groups, n_rows, is_one_of_several):
    """Tell of each row whether its group is known or new."""
    with of_factor(name) if is_one_of_several else nullcontext():
        labels = encode_groups(train_groups, num_samples(train_groups))[1]
        codes = match_groups(groups, labels, n_rows)[0]
    return np.where(codes < 0, "new", "known")


class _GroupScorer(BaseEstimator):
    """A scorer around a scorer; an estimator, for its handling of metadata requests."""

    __metadata_request__score = {"groups": True, "estimator": UNUSED}

    def __init__(self, scorer):
        self.scorer = scorer

    def __call__(self, *args, **kwargs):
        return self.score(*args, **kwargs)

    def score(self, estimator, X, y=None, groups=None, sample_weight=None):
        refuse_class(estimator, "estimator")
        given = {"y": y, "groups": groups, "sample_weight": sample_weight}
        X, y, groups, sample_weight = take_rows(X=X, **given)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        model = estimator if groups is None else _ModelOfGroups(estimator, groups)
        return self.scorer(model, X, y, **weights)

    def _accept_sample_weight(self):
        return True


def _has(method):
    """Whether the model that predicts has a method."""
    return lambda of_groups: hasattr(predicting_model(of_groups.model), method)


class _ModelOfGroups(RegressorMixin, BaseEstimator):
    """A fitted model together with the groups of the rows to predict."""

    def __init__(self, model, groups):
        self.model = model
        self.groups = groups

    def __getattr__(self, name):
        if name.startswith("__") or name == "model":
            raise AttributeError(name)
        return getattr(self.model, name)  # a scorer may look at what was fitted

    def __sklearn_tags__(self):
        has_tags = hasattr(type(self.model), "__sklearn_tags__")
        return get_tags(self.model) if has_tags else super().__sklearn_tags__()

    def predict(self, X):
        return self._call("predict", X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X):
        return self._call("predict_proba", X)

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X):
        return self._call("predict_log_proba", X)

    @available_if(_has("decision_function"))
    def decision_function(self, X):
        return self._call("decision_function", X)

    def _call(self, method, X):
        model = predicting_model(self.model)
        if isinstance(model, BaseGroupedModel) and model.group_by is None:
            return getattr(model, method)(X, groups=self.groups)
        given = requested(model, method, {"groups": self.groups})
        return getattr(model, method)(X, **given)
