"""Scorers that give groups to the model, and the metrics behind them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from sklearn import config_context
from sklearn.metrics import mean_squared_error, r2_score, root_mean_squared_error
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing

from skmixed._sklearn_private import BaseScorer, MultimetricScorer, PassthroughScorer
from skmixed.metrics import _GroupScorer

# Metrics of the sum of squared errors, that of squares around the mean, and the number of rows.
OF_SUMS = {
    r2_score: lambda errors, total, n_rows: 1 - errors / total,
    mean_squared_error: lambda errors, total, n_rows: errors / n_rows,
    root_mean_squared_error: lambda errors, total, n_rows: np.sqrt(errors / n_rows),
}


def with_groups(scorer, estimator):
    """Make scorers that do not ask for groups themselves give them to `predict`.

    Parameters
    ----------
    scorer : callable
        What `sklearn.metrics.check_scoring` returns.
    estimator : estimator
        Whose request for groups is passed on.

    Returns
    -------
    callable
        A scorer of the same kind.
    """
    if isinstance(scorer, MultimetricScorer):
        scorers = {k: with_groups(one, estimator) for k, one in scorer._scorers.items()}
        return MultimetricScorer(scorers=scorers, raise_exc=scorer._raise_exc)
    asks_itself = hasattr(scorer, "get_metadata_routing") and not isinstance(scorer, BaseScorer)
    request = _request_of(estimator, "predict", "groups")
    if asks_itself or request in (None, False):
        return scorer
    weight = _request_of(scorer, "score", "sample_weight")
    with config_context(enable_metadata_routing=True):
        return _GroupScorer(scorer).set_score_request(groups=request, sample_weight=weight)


@dataclass(frozen=True)
class Metrics:
    """Metrics of predictions that give the same scores as scorers of the model.

    Attributes
    ----------
    metrics : dict of Metric
        By name.
    params : dict of dict
        Arrays for all rows, to pass to each.
    several : bool
        Whether the scores are a dictionary.
    """

    metrics: dict
    params: dict
    several: bool

    @classmethod
    def from_scorer(cls, scorer, params, groups):
        """Look behind a scorer.

        Parameters
        ----------
        scorer : callable
            From `with_groups`.
        params : dict
            Metadata that it is given.
        groups : array-like or None
            Groups given to fit: the same must be given to the scorer.

        Returns
        -------
        Metrics or None
            None if the scorer looks at more than predictions, or predicts otherwise.
        """
        several = isinstance(scorer, MultimetricScorer)
        scorers, given = {"score": scorer}, {"score": params}
        if several:
            scorers = scorer._scorers
            with config_context(enable_metadata_routing=True):
                routed = process_routing(scorer, "score", **params)
            given = {name: routed[name].score for name in scorers}
        metrics = {name: Metric.behind(one) for name, one in scorers.items()}
        same = all(part.get("groups") is groups for part in given.values())
        if not same or None in metrics.values():
            return None
        params = {
            name: {k: np.asarray(v) for k, v in part.items() if k != "groups" and v is not None}
            for name, part in given.items()
        }
        return cls(metrics, params, several)

    def __call__(self, y_true, y_pred, index):
        """Score predictions of the rows at `index`: a number, or a dictionary of numbers."""
        if self.are_of_sums:
            error, deviation = y_true - y_pred, y_true - np.mean(y_true, dtype=np.float64)
            total = deviation @ deviation
            if total > 0:  # many times as fast on small folds as the metrics with their checks
                return self.of_sums(error @ error, total, len(y_true))
        scores = {}
        for name, metric in self.metrics.items():
            params = {k: v[index] for k, v in self.params[name].items()}
            scores[name] = float(metric(y_true, y_pred, **params))
        return scores if self.several else scores["score"]

    @cached_property
    def are_of_sums(self):
        """Whether sums of squares determine all scores."""
        return not any(self.params.values()) and all(
            isinstance(metric.function, Hashable)
            and metric.function in OF_SUMS
            and not metric.kwargs
            for metric in self.metrics.values()
        )

    def of_sums(self, errors, total, n_rows):
        """Score rows by their sums of squared errors and of squares around the mean of y."""
        scores = {
            name: float(metric.sign * OF_SUMS[metric.function](errors, total, n_rows))
            for name, metric in self.metrics.items()
        }
        return scores if self.several else scores["score"]


@dataclass(frozen=True)
class Metric:
    """A metric as a scorer uses it: its sign, and arguments that are the same for all rows."""

    function: Callable
    sign: int = 1
    kwargs: dict = field(default_factory=dict)

    @classmethod
    def behind(cls, scorer):
        """Look behind one scorer; None if it is given more than predictions."""
        if isinstance(scorer, PassthroughScorer):
            return cls(r2_score)
        if isinstance(scorer, _GroupScorer):
            scorer = scorer.scorer
        if isinstance(scorer, BaseScorer) and scorer._response_method == "predict":
            return cls(scorer._score_func, scorer._sign, scorer._kwargs)
        return None

    def __call__(self, y_true, y_pred, **params):
        return self.sign * self.function(y_true, y_pred, **{**self.kwargs, **params})


def _request_of(consumer, method, name):
    """Return True, False, None or an alias; True for what only passes metadata on."""
    with config_context(enable_metadata_routing=True):
        requests = getattr(get_routing_for_object(consumer), method, None)
    return True if requests is None else requests.requests.get(name)
