"""Which fitted model is to be shown, and the rows as it takes them."""

from __future__ import annotations

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._rows.routing import predicting_model


def mixed_model(estimator, name, X=None):
    """Step through searches and pipelines to the mixed model at their end.

    Parameters
    ----------
    estimator : estimator
        A fitted mixed model, or a search or pipeline that ends in one.
    name : str
        Who asks, for errors.
    X : array-like, default=None
        Rows as the estimator takes them.

    Returns
    -------
    model : estimator
        The mixed model, fitted with groups.
    X : array-like
        Rows as the model takes them.
    """
    estimator = predicting_model(estimator)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        if X is not None and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        return mixed_model(estimator[-1], name, X)
    if not isinstance(estimator, BaseMixedRegressor):
        raise TypeError(
            f"{name} needs a mixed model of skmixed, or a fitted search or pipeline that ends "
            f"in one, but got {type(estimator).__name__}."
        )
    estimator._check_has_groups(name)
    return estimator, X


def choose_terms(model, terms):
    """Names of the random effects to show; all of them if None."""
    known = list(model.random_effects_.columns)
    chosen = known if terms is None else [terms] if isinstance(terms, str) else list(terms)
    if not chosen or not set(chosen) <= set(known):
        raise ValueError(
            f"terms={terms!r} must be random effects of the fitted model, but these are "
            f"{known}."
        )
    return chosen
