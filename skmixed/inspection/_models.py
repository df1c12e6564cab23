"""Which fitted model is to be drawn, and its rows and terms: where every display begins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._rows.containers import take_rows
from skmixed._rows.reader import read_rows_and_target
from skmixed._rows.routing import predicting_model
from skmixed._sklearn_private import check_matplotlib_support

# What displays can draw, and what errors call it.
MIXED_MODELS = (BaseMixedRegressor, "a mixed model")
ALL_MODELS = (BaseGroupedRegressor, "a model")


class PredictedRows(NamedTuple):
    """Rows as a model takes them, and its predictions, which know the groups."""

    X: object
    y: np.ndarray
    groups: object
    fitted: np.ndarray

    @property
    def residuals(self):
        """Differences of y and its predictions."""
        return self.y - self.fitted


def model_to_draw(display, estimator, X=None, *, models=MIXED_MODELS, several=False):
    """Find the model that a display is to draw, and X as that model takes it.

    Parameters
    ----------
    display : type
        The class of the display, for errors.
    estimator : estimator
        What the user gave.
    X : array-like, default=None
        Rows as the estimator takes them.
    models : (type, str), default=MIXED_MODELS
        What the display can draw, and its name.
    several : bool, default=False
        Whether the display can draw models of several grouping factors.

    Returns
    -------
    model : estimator
        The model, fitted with groups unless it ignores them.
    X : array-like
        Rows as the model takes them.
    """
    check_matplotlib_support(f"{display.__name__}.from_estimator")
    return _last_model(estimator, display.__name__, X, *models, several)


def predict_rows(model, X, y, groups):
    """Predict the rows to draw, of X as the model takes it."""
    X, y, groups = take_rows(X=X, y=y, groups=groups)
    fitted = model.predict(X, groups)
    X, y, groups = read_rows_and_target(model, X, y, groups)
    return PredictedRows(X, y, groups, fitted)


def _last_model(estimator, name, X, kind, called, several):
    """Step through searches and pipelines to the model at their end."""
    estimator = predicting_model(estimator)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        if X is not None and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return _last_model(estimator[-1], name, X, kind, called, several)
    if not isinstance(estimator, kind):
        raise TypeError(
            f"{name} needs {called} of skmixed, or a fitted search or pipeline that ends in "
            f"one, but got {type(estimator).__name__}."
        )
    model = estimator._as_it_is()
    model._check_has_groups(name, several=several)
    return model, X


def choose_factor(model, factor):
    """Name of the factor to show; of one factor, its own."""
    names = list(model._columns.names)
    if factor is None and len(names) > 1:
        raise ValueError(
            f"The model has several factors; name one of them: factor={names[0]!r}."
        )
    return model._factors_named(factor)[0]


def choose_terms(effects, terms):
    """Names of the random effects to show; all of them if None."""
    known = list(effects.columns)
    chosen = known if terms is None else [terms] if isinstance(terms, str) else list(terms)
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(
            f"terms={terms!r} must be random effects of the fitted model, but these are "
            f"{known}."
        )
    return chosen
