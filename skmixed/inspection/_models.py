"""Which fitted model is to be drawn, and its rows and terms: where every display begins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._estimators.likelihoods.classifier import BaseMixedClassifier
from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._rows.classes import encode_known_classes
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import factors_as_fitted, is_several, name_of
from skmixed._rows.reader import read_rows_and_target
from skmixed._rows.routing import predicting_model
from skmixed._sklearn_private import check_matplotlib_support
from skmixed.exceptions import NotAvailableError

# What displays can draw, and what errors call it.
LINEAR_MIXED_MODELS = (BaseMixedRegressor, "a mixed model")
MIXED_MODELS = ((BaseMixedRegressor, BaseLikelihoodModel), "a mixed model")
ALL_MODELS = ((BaseGroupedRegressor, BaseLikelihoodModel), "a model")
# On which scale effects are, by the distribution of y.
SCALES = {"binomial": "log-odds", "poisson": "logarithm of the mean"}
# Why there is no picture of models of binary outcomes and counts.
NOT_OF_LIKELIHOODS = {
    "InfluenceDisplay": (
        "how much a row counts changes there with the fit, so that no formula says what the "
        "fit would be without it. ResidualsDisplay shows quantile residuals by group"
    ),
    "ShrinkageDisplay": (
        "the rows of a group alone may say that its effect is infinite, as those of a group "
        "of one class do. RandomEffectsDisplay shows the effects, pooling_weights_ tells how "
        "far they are shrunk"
    ),
    "VarianceDisplay": (
        "its variances add up to that of a normal y. icc_, r2_marginal_ and r2_conditional_ "
        "are shares of the variance on the scale of the link"
    ),
}


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


def model_to_draw(display, estimator, X=None, *, models=LINEAR_MIXED_MODELS):
    """Find the model that a display is to draw, and X as that model takes it.

    Parameters
    ----------
    display : type
        The class of the display, for errors.
    estimator : estimator
        What the user gave.
    X : array-like, default=None
        Rows as the estimator takes them.
    models : (type, str), default=LINEAR_MIXED_MODELS
        What the display can draw, and its name.

    Returns
    -------
    model : estimator
        The model, fitted with groups unless it ignores them.
    X : array-like
        Rows as the model takes them.
    """
    check_matplotlib_support(f"{display.__name__}.from_estimator")
    return _last_model(estimator, display.__name__, X, *models)


def predict_rows(model, X, y, groups):
    """Predict the rows to draw, of X as the model takes it; of classes the second is 1."""
    X, y, groups = take_rows(X=X, y=y, groups=groups)
    if isinstance(model, BaseMixedClassifier):
        y = encode_known_classes(y, model.classes_)
        fitted = model.predict_proba(X, groups)[:, 1]
    else:
        fitted = model.predict(X, groups)
    X, y, groups = read_rows_and_target(model, X, y, groups)
    return PredictedRows(X, y, groups, fitted)


def draws_as_numbers(model, draws):
    """Turn labels that were drawn to 0 and 1; other draws stay."""
    if isinstance(model, BaseMixedClassifier):
        return (draws == model.classes_[1]).astype(np.float64)
    return draws


def population_means(model, X, rows):
    """Means of rows whose groups are drawn; where effects are fixed, they are known."""
    if isinstance(model, MIXED_MODELS[0]):
        return model.predict_population(X)
    return rows.fitted


def family_of(model):
    """Name the distribution of y, if it is not normal."""
    return model._family if isinstance(model, BaseLikelihoodModel) else None


def _last_model(estimator, name, X, kind, called):
    """Step through searches and pipelines to the model at their end."""
    estimator = predicting_model(estimator)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        if X is not None and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return _last_model(estimator[-1], name, X, kind, called)
    if isinstance(estimator, BaseLikelihoodModel) and name in NOT_OF_LIKELIHOODS:
        model = type(estimator).__name__
        raise NotAvailableError(f"There is no {name} of {model}: {NOT_OF_LIKELIHOODS[name]}.")
    if not isinstance(estimator, kind):
        raise TypeError(
            f"{name} needs {called} of skmixed, or a fitted search or pipeline that ends in "
            f"one, but got {type(estimator).__name__}."
        )
    model = estimator._as_it_is()
    model._check_has_groups(name, several=True, iterative=True)
    return model, X


def choose_factor(names, factor):
    """Choose the factor to show by its name, or by a tuple; of one factor, itself."""
    if factor is None:
        if len(names) > 1:
            raise ValueError(
                f"There are several factors; name one of them: factor={names[0]!r}. They are "
                f"{list(names)}."
            )
        return names[0]
    name = name_of(factor) if isinstance(factor, tuple) else factor
    if name not in names:
        raise ValueError(f"factor={factor!r} must be one of {list(names)}.")
    return name


def choose_groups_of_factor(model, groups, factor):
    """Choose the name and the labels of the groups to show, of rows as they are predicted.

    Parameters
    ----------
    model : estimator or None
        That was fitted; None if there is none.
    groups : array-like, DataFrame or None
        Labels, of several factors a column for each.
    factor : str, tuple or None
        Which of several.

    Returns
    -------
    name : str
    labels : array-like or None
    """
    if not is_several(groups):
        name = str(getattr(groups, "name", None) or "group")
        if model is not None:
            own = model._columns.names if model._uses_groups else [model._columns.group_name]
            name = str(getattr(groups, "name", None) or choose_factor(own, factor))
        return choose_factor([name], factor), groups
    if model is not None and model._uses_groups:
        groups = factors_as_fitted(groups, model._columns)
    name = choose_factor(list(groups.columns), factor)
    return name, groups[name]


def of_factor(model, value, name):
    """Take what is stored of a factor, or of the only one."""
    return value[name] if model._columns.factors else value


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
