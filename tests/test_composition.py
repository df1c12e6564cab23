"""Inside scikit-learn's tools the groups arrive, or an error says that they did not."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.metrics import get_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    model_selection,
)
from skmixed.datasets import make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning
from skmixed.metrics import group_scorer

SPLITTER = KFold(4, shuffle=True, random_state=0)


@pytest.fixture
def rows():
    return make_mixed_regression(200, 2, 8, intercept_variance=9.0, random_state=0)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def by_hand(rows):
    """Predictions for left-out rows with their groups: what every tool must arrive at."""
    X, y, groups = rows
    predicted = np.empty_like(y)
    for train, test in SPLITTER.split(X):
        model = RandomInterceptRegressor().fit(X[train], y[train], groups=groups[train])
        predicted[test] = model.predict(X[test], groups=groups[test])
    return predicted


def r2_by_fold(y, predicted):
    return [r2_score(y[test], predicted[test]) for _, test in SPLITTER.split(y)]


@pytest.mark.usefixtures("routing")
def test_routed_groups_need_no_request(rows, by_hand):
    X, y, groups = rows
    expected = r2_by_fold(y, by_hand)
    for model in (
        RandomInterceptRegressor(),
        make_pipeline(StandardScaler(), RandomInterceptRegressor()),
    ):
        scores = cross_validate(model, X, y, params={"groups": groups}, cv=SPLITTER)
        np.testing.assert_allclose(scores["test_score"], expected, atol=1e-10)


@pytest.mark.usefixtures("routing")
def test_routed_groups_reach_splitter_and_search(rows):
    X, y, groups = rows
    search = GridSearchCV(
        RandomInterceptRegressor(), {"method": ["reml", "ml"]}, cv=GroupKFold(4)
    ).fit(X, y, groups=groups)
    scores = []
    for train, test in GroupKFold(4).split(X, y, groups):
        model = clone(search.best_estimator_).fit(X[train], y[train], groups=groups[train])
        scores.append(model.score(X[test], y[test], groups=groups[test]))
    assert search.best_score_ == pytest.approx(np.mean(scores), abs=1e-10)


@pytest.mark.usefixtures("routing")
def test_the_unit_of_splitting_may_be_another(rows):
    X, y, groups = rows
    region = groups // 2
    model = RandomInterceptRegressor()
    model.set_fit_request(groups="site").set_score_request(groups="site")
    params = {"groups": region, "site": groups}
    found = cross_validate(model, X, y, params=params, cv=GroupKFold(4))["test_score"]
    expected = []
    for train, test in GroupKFold(4).split(X, y, region):
        by_hand = RandomInterceptRegressor().fit(X[train], y[train], groups=groups[train])
        expected.append(by_hand.score(X[test], y[test], groups=groups[test]))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_groups_lost_on_the_way_are_an_error(rows):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    scorer = get_scorer("r2")
    with pytest.raises(ValueError, match="`groups` must be given to `predict`") as raised:
        scorer(model, X, y)
    assert "skmixed.metrics.group_scorer('r2')" in str(raised.value)


# ------------------------------------------------------------ groups for the splitter alone


TOOLS = {
    "cross_val_score": lambda model, X, y, g: cross_val_score(
        model, X, y, groups=g, cv=GroupKFold(4), scoring="r2"
    ),
    "cross_val_predict": lambda model, X, y, g: cross_val_predict(
        model, X, y, groups=g, cv=GroupKFold(4)
    ),
    "GridSearchCV": lambda model, X, y, g: (
        GridSearchCV(model, {}, cv=GroupKFold(4), scoring="r2")
        .fit(X, y, groups=g)
        .cv_results_["mean_test_score"]
    ),
}
MODELS = [RandomInterceptRegressor, RandomSlopeRegressor, FixedEffectsRegressor]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tool", TOOLS)
def test_groups_for_the_splitter_alone_are_named_as_the_cause(rows, tool, model):
    with pytest.warns(MissingGroupsWarning) as caught:
        TOOLS[tool](model(), *rows)
    message = str(caught[0].message)
    assert message.startswith(f"{model.__name__} was fitted without groups")
    assert f"{tool}(" in message
    assert "give the groups to the splitter and not to the model" in message
    assert "skmixed.model_selection.cross_validate(model, X, y, groups=groups, cv=" in message
    first, second, third = message.splitlines()[1:]  # what does for searches, too, is first
    assert first.startswith(f"  model = {model.__name__}(group_by='column')  # ")
    assert "groups=groups is then for the splitter" in first
    assert "with sklearn.config_context(enable_metadata_routing=True)" in second
    assert "skmixed.metrics.group_scorer(scoring)" in second
    assert third.endswith("not for searches")
    assert all(warning.filename == __file__ for warning in caught)


def test_groups_for_the_splitter_alone_are_all_that_pooling_needs(rows):
    for tool in TOOLS.values():
        tool(PooledRegressor(), *rows)


def test_fits_elsewhere_do_not_speak_of_splitters(rows):
    X, y, _ = rows
    for fit in (
        RandomInterceptRegressor().fit,
        make_pipeline(StandardScaler(), RandomInterceptRegressor()).fit,
    ):
        with pytest.warns(MissingGroupsWarning) as caught:
            fit(X, y)
        assert "splitter" not in str(caught[0].message)


@pytest.mark.filterwarnings("ignore:Singular fit")
@pytest.mark.parametrize("model", MODELS)
def test_the_remedies_give_the_groups_to_the_model(rows, model):
    X, y, groups = rows
    by_hand, scores = np.empty_like(y), []
    for train, test in GroupKFold(4).split(X, groups=groups):
        fold = model().fit(X[train], y[train], groups=groups[train])
        by_hand[test] = fold.predict(X[test], groups=groups[test])
        scores.append(r2_score(y[test], by_hand[test]))
    options = {"groups": groups, "cv": GroupKFold(4)}
    ours = model_selection.cross_validate(model(), X, y, scoring="r2", **options)
    np.testing.assert_allclose(ours["test_score"], scores)
    ours = model_selection.cross_val_predict(model(), X, y, **options)
    np.testing.assert_allclose(ours, by_hand)
    table = pd.DataFrame(X).add_prefix("x").assign(column=groups)
    by_column = model(group_by="column")
    expected = {
        "cross_val_score": scores,
        "cross_val_predict": by_hand,
        "GridSearchCV": [np.mean(scores)],
    }
    for tool, result in expected.items():
        np.testing.assert_allclose(TOOLS[tool](by_column, table, y, groups), result)
    scorer = group_scorer("r2")
    search = GridSearchCV(model(), {}, cv=GroupKFold(4), scoring=scorer)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_val_score(
            model(), X, y, params={"groups": groups}, cv=GroupKFold(4), scoring=scorer
        )
        search.fit(X, y, groups=groups)
    np.testing.assert_allclose(routed, scores)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], [np.mean(scores)])
