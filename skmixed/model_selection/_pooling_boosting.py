"""Gradient boosting in a comparison: without groups, with their effects, and around these."""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed._estimators.around.mixed_effects_regressor import MixedEffectsRegressor
from skmixed._reports.pooling_names import BOOSTING, MIXED_BOOSTING, WITH_EFFECTS
from skmixed._rows.chosen_columns import find_feature_columns
from skmixed.model_selection._pooling_encoded import EncodedGroups
from skmixed.model_selection._pooling_outcomes import BINARY, CONTINUOUS, COUNT
from skmixed.preprocessing._random_effect_encoder import RandomEffectEncoder


def boosting_models(X, groups, group_by, target_type):
    """Models with boosted trees, by name.

    Parameters
    ----------
    X, group_by : object
        As given to `compare_pooling`.
    groups : Groups
        Of the rows.
    target_type : {"continuous", "binary", "count"}
        What y is.

    Returns
    -------
    dict of str to estimator
        Not fitted.
    """
    trees = _TREES[target_type]
    encoder = RandomEffectEncoder(
        slice(-len(groups.names), None),
        given="rest" if find_feature_columns(X, "all", group_by, parameter="X") else None,
        target_type=BINARY if target_type == BINARY else CONTINUOUS,
        random_state=0,
    )
    # the encoder is handed features and groups in one table
    with_effects = make_pipeline(encoder, trees)
    models = {
        BOOSTING: EncodedGroups(trees, group_by=group_by),
        WITH_EFFECTS: EncodedGroups(with_effects, FunctionTransformer(), group_by),
    }
    if target_type == CONTINUOUS:
        models[MIXED_BOOSTING] = MixedEffectsRegressor(trees, group_by=group_by, random_state=0)
    return models


_TREES = {
    CONTINUOUS: HistGradientBoostingRegressor(random_state=0),
    BINARY: HistGradientBoostingClassifier(random_state=0),
    COUNT: HistGradientBoostingRegressor(loss="poisson", random_state=0),
}
