"""The regressor in the middle: which are taken, and its fits."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
from sklearn import get_config
from sklearn.base import clone, is_classifier
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from skmixed._estimators.around.number_columns import number_columns
from skmixed._rows.routing import refuse_class, takes_groups
from skmixed._sklearn_private import safe_indexing

CLASSIFIER = (
    "`estimator` must be a regressor, but got the classifier {given!r}. Group effects are "
    "added to predictions of numbers; for classes there are RandomInterceptClassifier and "
    "RandomSlopeClassifier."
)
NEEDS_GROUPS = (
    "`estimator` must predict from X alone, but {given!r} asks for groups. "
    "MixedEffectsRegressor adds the effects of groups itself: pass a regressor without them."
)
NO_WEIGHTS = (
    "`sample_weight` must be None, since {given!r} takes none. Use an estimator whose `fit` "
    "has sample_weight; of a pipeline, enable metadata routing and ask for it: "
    "step.set_fit_request(sample_weight=True)."
)
OTHER_SHAPE = (
    "`estimator` must predict one number for each row, but {given!r} returned shape {shape} "
    "for {n_rows} rows."
)
TEXT = (
    "X must hold what `estimator` takes, but {given!r} cannot take text, and these columns "
    "hold some: {names}. For HistGradientBoostingRegressor make them categories, "
    "X[column].astype('category'); for others encode them in front of it, "
    "make_pipeline(make_column_transformer((OneHotEncoder(), columns), "
    "remainder='passthrough'), estimator)."
)
TEXT_TYPES = ("object", "str")


def default_base(estimator):
    """Return the estimator, or gradient boosting if there is none."""
    return HistGradientBoostingRegressor() if estimator is None else estimator


def check_base(base, sample_weight):
    """Refuse what cannot be in the middle of a mixed model."""
    refuse_class(base, "estimator")
    if is_classifier(base):
        raise ValueError(CLASSIFIER.format(given=base))
    if hasattr(base, "get_metadata_routing") and takes_groups(base, "fit"):
        raise ValueError(NEEDS_GROUPS.format(given=base))
    if sample_weight is not None and not _takes_weights(base):
        raise ValueError(NO_WEIGHTS.format(given=base))


def fit_base(base, X, y, sample_weight=None, rows=None):
    """Fit a clone to some rows, or all; rows of weight 0 are left out."""
    weight = {}
    if sample_weight is not None:
        rows = np.arange(len(y)) if rows is None else np.arange(len(y))[rows]
        rows = rows[sample_weight[rows] > 0]
        weight["sample_weight"] = sample_weight[rows]
    with _text_explained(base, X):
        if rows is None:
            return clone(base).fit(X, y)
        return clone(base).fit(safe_indexing(X, rows), y[rows], **weight)


def predict_base(fitted, X):
    """Predict one number for each row."""
    predicted = np.asarray(fitted.predict(X), dtype=np.float64)
    if predicted.size != X.shape[0]:
        given = {"shape": predicted.shape, "n_rows": X.shape[0]}
        raise ValueError(OTHER_SHAPE.format(given=fitted, **given))
    return predicted.ravel()


def predict_out_of_fold(base, X, y, folds, less=None, sample_weight=None, n_jobs=None):
    """Predict each row by a fit to the other folds.

    Parameters
    ----------
    base : estimator
        Not fitted.
    X : table
        Features.
    y : ndarray of shape (n_rows,)
        What is predicted.
    folds : list of (train, test)
        Whose test rows are a partition.
    less : callable, optional
        Given the rows of a fit, says what is taken off their y.
    sample_weight : ndarray of shape (n_rows,), optional
        Weights.
    n_jobs : int, optional
        Fits at a time.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    one = delayed(_predict_fold)
    parts = Parallel(n_jobs=n_jobs)(
        one(base, X, y, less, sample_weight, np.arange(len(y))[train], test)
        for train, test in folds
    )
    predicted = np.empty(len(y))
    for (_, test), part in zip(folds, parts, strict=True):
        predicted[test] = part
    return predicted


def _predict_fold(base, X, y, less, sample_weight, train, test):
    if less is not None:
        y = y.copy()
        y[train] -= less(train)
    fitted = fit_base(base, X, y, sample_weight, train)
    return predict_base(fitted, safe_indexing(X, test))


@contextmanager
def _text_explained(base, X):
    """Name the columns of text where the regressor cannot read them."""
    try:
        yield
    except ValueError as error:
        if "could not convert string" not in str(error) or not hasattr(X, "columns"):
            raise
        others = np.setdiff1d(np.arange(X.shape[1]), number_columns(X))
        text = [i for i in others if str(list(X.dtypes)[i]).lower().startswith(TEXT_TYPES)]
        names = ", ".join(str(X.columns[i]) for i in text or others)  # or categories of text
        raise ValueError(TEXT.format(given=base, names=names)) from error


def _takes_weights(base):
    if has_fit_parameter(base, "sample_weight"):
        return True
    routed = get_config()["enable_metadata_routing"]
    return routed and bool(get_routing_for_object(base).consumes("fit", ["sample_weight"]))
