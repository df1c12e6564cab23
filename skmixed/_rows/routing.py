"""Which model predicts, and which metadata it asks for."""

from __future__ import annotations

from inspect import isclass

from sklearn import config_context
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    get_routing_for_object,
    process_routing,
)


def refuse_class(value, name):
    """Refuse a class in place of an object of it."""
    if isclass(value):
        given = value.__name__
        raise TypeError(
            f"`{name}` must be an object, but got the class {given}. Call it: {given}(...)."
        )


def predicting_model(estimator):
    """Step through searches, whose `predict` takes X alone, to the model they chose."""
    refuse_class(estimator, "estimator")
    while hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    return estimator


def takes_groups(consumer, method):
    """Whether an estimator, pipeline or splitter asks for groups, or does not say."""
    if not hasattr(consumer, "get_metadata_routing"):
        return True
    with config_context(enable_metadata_routing=True):
        return bool(get_routing_for_object(consumer).consumes(method, ["groups"]))


def without_groups(requests, methods):
    """Ask for no groups, unless told otherwise: what `group_by` entails."""
    for method in methods:
        request = getattr(requests, method)
        if request.requests.get("groups") is True:
            request.add_request(param="groups", alias=False)
    return requests


def requested(estimator, method, metadata):
    """Choose the metadata that a method asks for, under the names that it knows."""
    with config_context(enable_metadata_routing=True):
        mapping = MethodMapping().add(caller="fit", callee=method)
        router = MetadataRouter(owner="skmixed").add(
            estimator=estimator, method_mapping=mapping
        )
        used = router.consumes("fit", metadata.keys())
        routed = process_routing(router, "fit", **{name: metadata[name] for name in used})
    return routed.estimator[method]


def names_of_coefficients(model, steps):
    """Names of the coefficients; the steps before know them if the model was given an array."""
    own = list(model.coef_cov_.index)
    if steps is None or hasattr(model, "feature_names_in_"):
        return own
    given = names_out(steps)
    if given is None:
        return own
    features = columns_of_features(model, given)
    return own[: len(own) - len(features)] + features


def names_out(steps):
    """Names of the columns that come out of a pipeline; None if a step does not name them."""
    try:
        return list(steps.get_feature_names_out())
    except (AttributeError, ValueError):
        return None


def columns_of_features(model, columns):
    """Leave out the columns that held the groups."""
    groups = model._columns.group
    return [column for i, column in enumerate(columns) if i not in groups]
