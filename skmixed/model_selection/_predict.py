"""Cross-validated predictions that know the groups."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._public import public
from skmixed._rows.routing import predicting_model, refuse_class, requested, takes_groups
from skmixed._sklearn_private import (
    SIMPLE_METHODS,
    check_method_params,
    num_samples,
    safe_indexing,
)
from skmixed.model_selection._given import check_folds, not_empty, take_rows_and_metadata
from skmixed.model_selection._refit import RefitsFromMoments


@public("skmixed.model_selection")
def cross_val_predict(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: Any = "2*n_jobs",
    method: str = "predict",
) -> np.ndarray:
    """Predict each row by a model fitted without it, with the groups known to both.

    As `sklearn.model_selection.cross_val_predict`, except that `groups` reach `predict`, or
    another method such as `predict_proba`, as well as `fit`. Metadata routing is used inside
    whether it is enabled or not, so that the groups arrive in a `Pipeline` and the like; and
    except that the weights of folds are scaled where random effects fit all rows, as in
    `cross_validate`.

    Parameters
    ----------
    estimator : estimator
        A mixed model, or a pipeline or search that ends in one.
    X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
        Features.
    y : array-like of shape (n_rows,), default=None
        Target.
    groups : array-like of shape (n_rows,), default=None
        Group label of each row: for `fit` and `predict`, and for splitters that use groups.
    cv : int, splitter or iterable, default=None
        As scikit-learn takes it: five folds if None. Its test sets must be a partition.
    n_jobs : int, default=None
        Number of jobs to run in parallel.
    verbose : int, default=0
        How much to tell about progress.
    params : dict, default=None
        Further metadata: passed to `fit`, or with metadata routing enabled to the methods that
        request it.
    pre_dispatch : int or str, default="2*n_jobs"
        Number of jobs dispatched at a time.
    method : str, default="predict"
        Method to call on the test rows.

    Returns
    -------
    ndarray of shape (n_rows,)
        Predictions, in the order of the rows.

    Examples
    --------
    >>> from sklearn.metrics import r2_score
    >>> from skmixed import RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import WithinGroupKFold, cross_val_predict
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> predicted = cross_val_predict(
    ...     RandomSlopeRegressor("Days"), X, y, groups=subject, cv=WithinGroupKFold(10)
    ... )
    >>> round(r2_score(y, predicted), 2)
    0.73
    """
    refuse_class(estimator, "estimator")
    X, y, metadata = take_rows_and_metadata(X, y, groups, params, cv)
    X, y = indexable(X, y)
    cv = check_cv(check_folds(cv, X), y, classifier=is_classifier(estimator))
    given = {name: value for name, value in metadata.items() if name == "groups"}
    split_params, fit_params = _route(estimator, cv, given, metadata)
    splits = list(not_empty(cv.split(X, y, **split_params)))
    tested = np.concatenate([test for _, test in splits])
    if not np.array_equal(np.sort(tested), np.arange(num_samples(X))):
        raise ValueError("cross_val_predict only works for partitions")
    refits = _refits(estimator, X, y, fit_params)
    parallel = Parallel(n_jobs=n_jobs, verbose=verbose, pre_dispatch=pre_dispatch)
    predictions = parallel(
        delayed(_fit_and_predict)(
            clone(estimator),
            X,
            y,
            train,
            test,
            fit_params if refits is None else refits.fit_params(fit_params, train),
            metadata,
            method,
        )
        for train, test in splits
    )
    return np.concatenate(predictions)[np.argsort(tested)]


def _route(estimator, cv, given, metadata):
    """Decide which metadata go to the splitter and to fit."""
    if get_config()["enable_metadata_routing"]:
        router = MetadataRouter(owner="cross_val_predict")
        router.add(
            splitter=cv, method_mapping=MethodMapping().add(caller="fit", callee="split")
        )
        router.add(
            estimator=estimator,
            method_mapping=MethodMapping()
            .add(caller="fit", callee="fit")
            .add(caller="fit", callee="predict"),
        )
        routed = process_routing(router, "fit", **metadata)
        return routed.splitter.split, routed.estimator.fit
    others = {name: value for name, value in metadata.items() if name != "groups"}
    return (
        given if takes_groups(cv, "split") else {},
        {**others, **given} if takes_groups(estimator, "fit") else others,
    )


def _refits(estimator, X, y, fit_params):
    """Sum up all rows, if weights of folds may have to be scaled; else None."""
    if not isinstance(estimator, BaseMixedRegressor) or "sample_weight" not in fit_params:
        return None
    with suppress(ValueError, TypeError, Warning):  # fits of the folds say what is wrong
        return RefitsFromMoments(estimator, X, y, **fit_params)
    return None


def _fit_and_predict(estimator, X, y, train, test, fit_params, metadata, method):
    target = () if y is None else (safe_indexing(y, train),)
    with config_context(enable_metadata_routing=True):
        fit_params = check_method_params(X, fit_params, indices=train)
        estimator.fit(safe_indexing(X, train), *target, **fit_params)
        model = predicting_model(estimator)
        params = requested(model, method, metadata) if method in SIMPLE_METHODS else {}
        params = check_method_params(X, params, indices=test)
        return getattr(model, method)(safe_indexing(X, test), **params)
