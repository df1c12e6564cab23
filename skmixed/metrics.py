"""Scorers that give groups to the model."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import get_scorer, make_scorer
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if

from skmixed._estimators.grouped import BaseGroupedModel
from skmixed._rows.containers import take_rows
from skmixed._rows.routing import predicting_model, refuse_class, requested

__all__ = ["group_scorer"]


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
