"""Cross-validation whose refits take a fold's moments from those of all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, check_cv
from sklearn.model_selection import cross_validate as sklearn_cross_validate
from sklearn.utils import check_array, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from skmixed._estimators.fixed_effects import FixedEffectsRegressor
from skmixed._estimators.pooled import PooledRegressor
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._estimators.random_slope import RandomSlopeRegressor
from skmixed._public import public
from skmixed._rows.routing import refuse_class, takes_groups
from skmixed._sklearn_private import (
    aggregate_score_dicts,
    cross_validate_constraints,
    insert_error_scores,
    normalize_score_results,
    num_samples,
    validate_params,
    warn_or_raise_about_fit_failures,
)
from skmixed.model_selection._cross_validation import CrossValidation
from skmixed.model_selection._fold import Fold
from skmixed.model_selection._given import check_folds, not_empty, take_rows_and_metadata
from skmixed.model_selection._scoring import Metrics, with_groups
from skmixed.model_selection._split import WithinGroupKFold

FITTED_FROM_MOMENTS = (
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    FixedEffectsRegressor,
    PooledRegressor,
)
# Splitters that say which rows to test, and whose training rows are all others. Those of
# scikit-learn look at the number of folds before that.
TRAIN_ON_THE_REST = (KFold, GroupKFold, WithinGroupKFold)

# As scikit-learn's, but the errors about containers of rows are ours.
CONSTRAINTS = {
    **cross_validate_constraints,
    **dict.fromkeys(("X", "y", "groups"), "no_validation"),
}


@public("skmixed.model_selection")
@validate_params(CONSTRAINTS, prefer_skip_nested_validation=False)
def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: Any = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: Any = "2*n_jobs",
    return_train_score: bool = False,
    return_estimator: bool = False,
    return_indices: bool = False,
    error_score: Any = np.nan,
) -> dict[str, Any]:
    """Evaluate by cross-validation, with exact refits at the price of a few fits.

    As `sklearn.model_selection.cross_validate`, except that

    - the rows are summed up once, and each fold's training moments are those of all rows less
      the fold's own; variance components are estimated anew in each. Results are those of
      scikit-learn's loop to about 1e-10;
    - `groups` reach the model, in fit and in scoring, as well as the splitter, whether metadata
      routing is enabled or not;
    - scorers give the groups to `predict`, as those of `skmixed.metrics.group_scorer` do.

    Parameters
    ----------
    estimator : estimator
        A regressor of this package. Others, pipelines and searches are left to scikit-learn's
        loop, which gives the groups to those that request them.
    X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
        Features and, with `group_by`, the groups.
    y : array-like of shape (n_rows,), default=None
        Target.
    groups : array-like of shape (n_rows,), default=None
        Group label of each row, for the splitter and the model. A model with `group_by` takes
        its own from X.
    scoring : str, callable, list, tuple or dict, default=None
        As scikit-learn takes it; R2 if None. A callable that does not ask for groups itself is
        given a model that knows those of the rows to predict.
    cv : int, splitter or iterable, default=None
        As scikit-learn takes it: five folds if None. Training sets may be any, and so may
        test sets.
    n_jobs : int, default=None
        For scikit-learn's loop only. Refits from moments are not worth a second process.
    verbose : int, default=0
        For scikit-learn's loop only.
    params : dict, default=None
        Further metadata, such as ``{"sample_weight": weights}``. Without metadata routing all
        of it goes to `fit`, and none to scorers; with routing, to the methods that request it.
    pre_dispatch : int or str, default="2*n_jobs"
        For scikit-learn's loop only.
    return_train_score, return_estimator, return_indices : bool, default=False
        As in scikit-learn.
    error_score : "raise" or float, default=nan
        As in scikit-learn: the score if a fit fails.

    Returns
    -------
    dict
        The same keys and shapes as scikit-learn's. Of the time that folds have in common each
        ``fit_time`` holds an equal share.

    See Also
    --------
    cross_val_predict : Predictions instead of scores.

    Notes
    -----
    A fold is fitted from its rows, as in the loop, where a difference of moments would cost
    digits or something is to be reported: if more rows are left out than kept, if rows are
    drawn more than once, if a column hardly varies in what is left or can hardly be told from
    others, if residuals are less than about 1/300 of y or of a column without an intercept, or
    if a fit fails.

    Where random effects fit all rows exactly, as with one weighted row in each group, the
    weights of a fold are scaled to the mean weight of all rows: the estimates depend on their
    sum, and scikit-learn's loop would take each fold's own.

    A model that leaves out one of 100 or more groups is fitted by Newton's method from the
    estimate of all groups, if that is the only minimum of its criterion and the estimates move
    by less than about a standard error; otherwise by a search from scratch. With about as many
    random effects as rows a criterion has several minima, and rounding may decide which of
    them a search finds, here and in the loop.

    R2 and mean squared errors of up to 20 folds that share out all rows, without weights,
    follow from the sums that are taken for the fits; other scores look at the rows again.

    With several grouping factors the search takes most of the time where they are crossed and
    have thousands of groups, and it is that of `fit` in each fold, step by step. Moments then
    save little; they save most with many rows and columns, and labels that are text.

    For n rows and p columns the folds of a partition cost O(n p^2) together, and each fold its
    search, which does not depend on n.

    Examples
    --------
    >>> from sklearn.model_selection import LeaveOneGroupOut
    >>> from skmixed import RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import cross_validate
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> scores = cross_validate(
    ...     RandomSlopeRegressor("Days"), X, y, groups=subject, cv=LeaveOneGroupOut(),
    ...     scoring="neg_mean_absolute_error",
    ... )
    >>> round(-scores["test_score"].mean(), 1)
    np.float64(37.8)
    """
    refuse_class(estimator, "estimator")
    X, y, metadata = take_rows_and_metadata(X, y, groups, params, cv)
    cv = check_folds(cv, X)
    wanted = {
        "scoring": scoring,
        "cv": cv,
        "return_train_score": return_train_score,
        "return_estimator": return_estimator,
        "return_indices": return_indices,
        "error_score": error_score,
    }
    if type(estimator) in FITTED_FROM_MOMENTS:
        return _fit_from_moments(estimator, X, y, metadata, **wanted)
    loop_options = {"n_jobs": n_jobs, "verbose": verbose, "pre_dispatch": pre_dispatch}
    return _leave_to_sklearn(estimator, X, y, metadata, **wanted, **loop_options)


def _fit_from_moments(
    estimator, X, y, metadata, *, scoring, cv, return_indices, error_score, **returned
):
    """Run the cross-validation of one of this package's estimators."""
    X, y = indexable(X, y)
    cv = check_cv(cv, y, classifier=is_classifier(estimator))
    scorer = check_scoring(estimator, scoring=scoring, raise_exc=error_score == "raise")
    scorer = with_groups(scorer, estimator)
    split_params, fit_params, score_params = _route(estimator, cv, scorer, metadata)
    splits = not_empty(_split(cv, X, y, split_params, whole=return_indices))
    if return_indices:
        splits = list(splits)
    folds = (Fold.from_split(train, test, num_samples(X)) for train, test in splits)
    cross_validation = CrossValidation(
        estimator,
        X,
        y,
        scorer,
        fit_params,
        score_params,
        metrics=Metrics.from_scorer(scorer, score_params, fit_params.get("groups")),
        error_score=error_score,
        **returned,
    )
    results = cross_validation.evaluate(folds)
    warn_or_raise_about_fit_failures(results, error_score)
    if callable(scoring):
        insert_error_scores(results, error_score)
    collected = _collect(results)
    if return_indices:
        collected["indices"] = dict(
            zip(("train", "test"), zip(*splits, strict=True), strict=True)
        )
    return collected


def _split(cv, X, y, params, *, whole):
    """Yield training and test rows of each fold; unless `whole`, None stands for all others."""
    splits = cv.split(X, y, **params)
    if not whole and type(cv) is LeaveOneGroupOut:
        next(splits)  # checks the groups
        groups = check_array(params["groups"], ensure_2d=False, dtype=None)
        _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        for test in np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1]):
            yield None, test
    elif not whole and type(cv) in TRAIN_ON_THE_REST and not _has_too_many_folds(cv, X):
        for test in cv._iter_test_indices(*indexable(X, y, params.get("groups"))):
            yield None, np.sort(test)  # gathered faster in order
    else:
        yield from splits


def _has_too_many_folds(cv, X):
    """Whether one of scikit-learn's splitters refuses to split so few rows."""
    return type(cv) is not WithinGroupKFold and cv.n_splits > num_samples(X)


def _route(estimator, cv, scorer, metadata):
    """Decide which metadata go to the splitter, to fit and to the scorers."""
    if get_config()["enable_metadata_routing"]:
        router = MetadataRouter(owner="cross_validate")
        for name, owner, method in (
            ("splitter", cv, "split"),
            ("estimator", estimator, "fit"),
            ("scorer", scorer, "score"),
        ):
            mapping = MethodMapping().add(caller="fit", callee=method)
            router.add(**{name: owner}, method_mapping=mapping)
        routed = process_routing(router, "fit", **metadata)
        return routed.splitter.split, routed.estimator.fit, routed.scorer.score
    groups = {name: value for name, value in metadata.items() if name == "groups"}
    others = {name: value for name, value in metadata.items() if name != "groups"}
    return (
        groups if takes_groups(cv, "split") else {},
        {**others, **groups} if takes_groups(estimator, "fit") else others,
        groups if takes_groups(scorer, "score") else {},
    )


def _leave_to_sklearn(estimator, X, y, metadata, *, scoring, **options):
    """Run scikit-learn's loop, with routing if that is how groups reach the estimator."""
    routing = get_config()["enable_metadata_routing"]
    can_route = hasattr(estimator, "get_metadata_routing")
    if "groups" in metadata and can_route and takes_groups(estimator, "fit"):
        routing = True
        if scoring is not None:
            scorer = check_scoring(
                estimator, scoring=scoring, raise_exc=options["error_score"] == "raise"
            )
            scoring = with_groups(scorer, estimator)
    with config_context(enable_metadata_routing=routing):
        if routing:
            return sklearn_cross_validate(
                estimator, X, y, params=metadata, scoring=scoring, **options
            )
        groups = metadata.pop("groups", None)
        return sklearn_cross_validate(
            estimator, X, y, params=metadata, groups=groups, scoring=scoring, **options
        )


def _collect(results):
    """Turn a list of dictionaries into the dictionary of arrays that scikit-learn returns."""
    results = aggregate_score_dicts(results)
    names = ("fit_time", "score_time", "estimator")
    collected = {name: results[name] for name in names if name in results}
    for part in ("test", "train"):
        if f"{part}_scores" in results:
            scores = normalize_score_results(results[f"{part}_scores"])
            collected.update({f"{part}_{name}": values for name, values in scores.items()})
    return collected
