"""Scorers that give groups to the model, and the metrics behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn import config_context
from sklearn.metrics import r2_score
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing

from skmixed.metrics import _GroupScorer


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
    if isinstance(scorer, _MultimetricScorer):
        scorers = {k: with_groups(one, estimator) for k, one in scorer._scorers.items()}
        return _MultimetricScorer(scorers=scorers, raise_exc=scorer._raise_exc)
    asks = hasattr(scorer, "get_metadata_routing") and not isinstance(scorer, _BaseScorer)
    request = _request_of(estimator, "predict", "groups")
    if asks or request in (None, False):
        return scorer
    weight = _request_of(scorer, "score", "sample_weight")
    with config_context(enable_metadata_routing=True):
        return _GroupScorer(scorer).set_score_request(groups=request, sample_weight=weight)


@dataclass(frozen=True)
class Metrics:
    """Metrics of predictions that give the same scores as scorers of the model.

    Attributes
    ----------
    metrics : dict of callable
        By name, with the signature ``metric(y_true, y_pred, **params)``.
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
        several = isinstance(scorer, _MultimetricScorer)
        scorers, given = {"score": scorer}, {"score": params}
        if several:
            scorers = scorer._scorers
            with config_context(enable_metadata_routing=True):
                routed = process_routing(scorer, "score", **params)
            given = {name: routed[name].score for name in scorers}
        metrics = {name: _metric_behind(one) for name, one in scorers.items()}
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
        scores = {}
        for name, metric in self.metrics.items():
            params = {k: v[index] for k, v in self.params[name].items()}
            scores[name] = float(metric(y_true, y_pred, **params))
        return scores if self.several else scores["score"]


def _metric_behind(scorer):
    if isinstance(scorer, _PassthroughScorer):
        return r2_score
    if isinstance(scorer, _GroupScorer):
        scorer = scorer.scorer
    if isinstance(scorer, _BaseScorer) and scorer._response_method == "predict":
        return partial(_signed, scorer)
    return None


def _signed(scorer, y_true, y_pred, **params):
    return scorer._sign * scorer._score_func(y_true, y_pred, **{**scorer._kwargs, **params})


def _request_of(consumer, method, name):
    """Return True, False, None or an alias; True for what only passes metadata on."""
    with config_context(enable_metadata_routing=True):
        requests = getattr(get_routing_for_object(consumer), method, None)
    return True if requests is None else requests.requests.get(name)
