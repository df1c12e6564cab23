"""Inside scikit-learn's tools the groups arrive, or an error says that they did not."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.metrics import get_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import RandomInterceptRegressor
from skmixed.datasets import make_mixed_regression

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
    with pytest.raises(ValueError, match="`groups` must be given to `predict`"):
        scorer(model, X, y)
