"""The folds of a comparison: split, fit, predict, and keep what was raised or warned."""

from __future__ import annotations

import re
import warnings
from functools import partial
from inspect import signature
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.parallel import Parallel, delayed

from skmixed._reports.pooling_names import OURS
from skmixed._rows.routing import predicting_model, requested
from skmixed._sklearn_private import safe_indexing
from skmixed.exceptions import NewGroupsWarning
from skmixed.model_selection._pooling_outcomes import BINARY, CONTINUOUS, COUNT

NOT_TWO = (
    "`predict_proba` must return a column for each of two classes, but returned an array of "
    "shape {shape}. Are the rows of a fold of one class?"
)
NOT_POSITIVE = (
    "Predicted means of counts must be above 0, but {n} of {n_rows} are not, the least is "
    "{least:.4g}. Take a regressor with a logarithmic link."
)


class Prediction(NamedTuple):
    """What a model makes of the test rows; or the error that it raised."""

    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    seconds: float = np.nan
    icc: float | dict[str, float] = np.nan
    error: str | None = None
    warned: tuple[str, ...] = ()


def predict_all(models, X, target, groups, splits, *, n_jobs, verbose):
    """Predictions of all models in all splits, as (split, name, prediction)."""
    tasks = [(split, name) for split in splits for name in models]
    outcome = target.outcome
    # a fold may lack what tells several factors apart, or a class
    is_safe = OURS if groups.ndim == 1 and outcome.is_continuous else ()
    jobs = (
        delayed(_fit_and_predict)(
            clone(models[name]),
            X,
            target.given,
            groups,
            split,
            predict=_PREDICT[outcome.target_type],
            caught=() if name in is_safe else Exception,
        )
        for split, name in tasks
    )
    found = Parallel(n_jobs=n_jobs, verbose=verbose)(jobs)
    return [(*task, prediction) for task, prediction in zip(tasks, found, strict=True)]


def _fit_and_predict(estimator, X, y, groups, split, predict, caught):
    """Fit and predict; warnings, and the errors to be caught, are part of the answer."""
    train, test = split.train, split.test
    groups_of = partial(safe_indexing, groups)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            seconds = _fit(estimator, safe_indexing(X, train), y[train], groups_of(train))
            model = predicting_model(estimator)
            mean, std = predict(model, safe_indexing(X, test), groups_of(test))
            mean = column_or_1d(mean)
            assert_all_finite(mean, input_name="predictions")
        except caught as error:
            return Prediction(error=_first_line(error), warned=_unique(warned))
    icc = getattr(_last_step(model), "icc_", np.nan)
    return Prediction(mean, std, seconds, icc, warned=_unique(warned))


def _fit(estimator, X, y, groups):
    """Fit, and return the seconds that it took."""
    params = requested(estimator, "fit", {"groups": groups})
    # routing only where it has something to bring: TargetEncoder, for one, fails without
    with config_context(enable_metadata_routing=bool(params)):
        start = perf_counter()
        estimator.fit(X, y, **params)
        return perf_counter() - start


def _predict(model, X, groups):
    """Mean and, of models that know it, standard deviation of a new y."""
    last = _last_step(model)
    params = requested(model, "predict", {"groups": groups})
    routed, has_std = bool(params), "return_std" in signature(last.predict).parameters
    with config_context(enable_metadata_routing=routed):
        if not has_std:
            return model.predict(X, **params), None
        if routed:
            last.set_predict_request(return_std=True)
        with warnings.catch_warnings():  # a fold that has new groups is no news
            warnings.simplefilter("ignore", NewGroupsWarning)
            mean, std = model.predict(X, **params, return_std=True)
        return mean, None if np.isnan(std).any() else std


def _predict_probabilities(model, X, groups):
    """Probability of the second class."""
    params = requested(model, "predict_proba", {"groups": groups})
    with config_context(enable_metadata_routing=bool(params)):
        probabilities = np.asarray(model.predict_proba(X, **params))
    if probabilities.ndim != 2 or probabilities.shape[1] != 2:
        raise ValueError(NOT_TWO.format(shape=probabilities.shape))
    return probabilities[:, 1], None


def _predict_counts(model, X, groups):
    """Mean of a count."""
    params = requested(model, "predict", {"groups": groups})
    with config_context(enable_metadata_routing=bool(params)):
        mean = column_or_1d(model.predict(X, **params))
    if np.any(mean <= 0):
        n, least = np.count_nonzero(mean <= 0), np.min(mean)
        raise ValueError(NOT_POSITIVE.format(n=n, n_rows=len(mean), least=least))
    return mean, None


_PREDICT = {
    CONTINUOUS: _predict,
    BINARY: _predict_probabilities,
    COUNT: _predict_counts,
}


def _last_step(model: Any):
    while isinstance(model, Pipeline):
        model = model[-1]
    return model


def _first_line(error):
    """Kind of an error, and the first line of its message; all of it if that leads to more."""
    message = str(error).strip()
    first = message.partition("\n")[0]
    return (
        f"{type(error).__name__}: {' '.join(message.split()) if first.endswith(':') else first}"
    )


def _unique(warned):
    lines = [_first_line(each.message) for each in warned]
    return tuple({without_numbers(line): line for line in reversed(lines)}.values())


def without_numbers(line):
    return re.sub(r"\d+", "#", line)
