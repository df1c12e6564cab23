import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import TransformedTargetRegressor
from sklearn.feature_selection import RFECV
from sklearn.metrics import (
    get_scorer,
    make_scorer,
    mean_absolute_error,
    mean_pinball_loss,
    r2_score,
)
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import RandomInterceptRegressor
from skmixed.datasets import make_mixed_regression
from skmixed.metrics import group_scorer, scores_by_cell

CV = KFold(4, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def rows():
    return make_mixed_regression(200, 3, 8, intercept_variance=9.0, random_state=0)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def by_hand(rows, metric):
    X, y, groups = rows
    scores = []
    for train, test in CV.split(X):
        model = RandomInterceptRegressor().fit(X[train], y[train], groups=groups[train])
        scores.append(metric(y[test], model.predict(X[test], groups=groups[test])))
    return np.array(scores)


@pytest.mark.parametrize(
    ("scorer", "metric"),
    [
        (group_scorer("r2"), r2_score),
        (group_scorer(get_scorer("r2")), r2_score),
        (group_scorer(r2_score), r2_score),
        (
            group_scorer(mean_pinball_loss, greater_is_better=False, alpha=0.1),
            lambda y, p: -mean_pinball_loss(y, p, alpha=0.1),
        ),
        (group_scorer(make_scorer(mean_absolute_error)), mean_absolute_error),
    ],
    ids=["name", "scorer", "metric", "metric with arguments", "made scorer"],
)
def test_scores_use_the_groups(rows, scorer, metric):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    expected = metric(y, model.predict(X, groups=groups))
    assert scorer(model, X, y, groups=groups) == pytest.approx(expected)


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: model,
        lambda model: make_pipeline(StandardScaler(), model),
        lambda model: TransformedTargetRegressor(model, transformer=StandardScaler()),
    ],
    ids=["model", "pipeline", "transformed target"],
)
def test_one_or_several_metrics_in_cross_validation(rows, wrap):
    X, y, groups = rows
    scoring = {"r2": group_scorer("r2"), "mae": group_scorer("neg_mean_absolute_error")}
    model = wrap(RandomInterceptRegressor())
    params = {"groups": groups}
    scores = cross_validate(model, X, y, params=params, cv=CV, scoring=scoring)
    np.testing.assert_allclose(scores["test_r2"], by_hand(rows, r2_score), atol=1e-9)
    mae = by_hand(rows, mean_absolute_error)
    np.testing.assert_allclose(scores["test_mae"], -mae, atol=1e-9)
    one = cross_validate(model, X, y, params=params, cv=CV, scoring=scoring["r2"])
    np.testing.assert_array_equal(one["test_score"], scores["test_r2"])


@pytest.mark.usefixtures("routing")
def test_in_searches(rows):
    X, y, groups = rows
    search = GridSearchCV(
        RandomInterceptRegressor(), {"method": ["reml"]}, cv=CV, scoring=group_scorer("r2")
    ).fit(X, y, groups=groups)
    assert search.best_score_ == pytest.approx(by_hand(rows, r2_score).mean())
    selection = RFECV(
        RandomInterceptRegressor(), cv=CV, scoring=group_scorer("r2"), min_features_to_select=3
    ).fit(X, y, groups=groups)
    found = selection.cv_results_["mean_test_score"][-1]
    assert found == pytest.approx(by_hand(rows, r2_score).mean())


@pytest.mark.usefixtures("routing")
def test_searches_and_models_with_a_group_column(rows):
    """A search's own predict takes X alone; a model with `group_by` asks for no groups."""
    X, y, groups = rows
    table = np.column_stack([groups, X])
    expected = by_hand(rows, r2_score)
    inside = RandomInterceptRegressor(group_by=0)
    for model, data in (
        (GridSearchCV(RandomInterceptRegressor(), {"max_iter": [100]}, cv=GroupKFold(2)), X),
        (inside, table),
        (make_pipeline(inside), table),
        (GridSearchCV(inside, {"max_iter": [100]}, cv=GroupKFold(2)), table),
    ):
        scores = cross_validate(
            model, data, y, params={"groups": groups}, cv=CV, scoring=group_scorer("r2")
        )
        np.testing.assert_allclose(scores["test_score"], expected, atol=1e-9)


def test_weights_can_be_requested(rows):
    X, y, groups = rows
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    expected = r2_score(y, model.predict(X, groups=groups), sample_weight=weight)
    found = group_scorer("r2")(model, X, y, groups=groups, sample_weight=weight)
    assert found == pytest.approx(expected)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = group_scorer("r2").set_score_request(sample_weight=True)
        request = scorer.get_metadata_routing().score.requests
    assert request == {"groups": True, "sample_weight": True}


def test_without_groups_it_is_the_plain_scorer(rows):
    X, y, groups = rows
    table = np.column_stack([groups, X])
    model = RandomInterceptRegressor(group_by=0).fit(table, y)
    assert group_scorer("r2")(model, table, y) == pytest.approx(model.score(table, y))
    strict = RandomInterceptRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="`groups` must be given"):
        group_scorer("r2")(strict, X, y)


def test_arguments_belong_to_metrics():
    with pytest.raises(ValueError, match="'r2' is a scorer, so it knows its arguments"):
        group_scorer("r2", greater_is_better=False)
    with pytest.raises(ValueError, match="r3"):
        group_scorer("r3")


def test_scores_by_cell_are_those_of_the_rows_in_it():
    rng = np.random.default_rng(0)
    y, y_pred = rng.normal(size=(2, 60))
    train = pd.DataFrame({"a": rng.integers(4, size=40), "b": rng.choice(list("uvw"), 40)})
    groups = pd.DataFrame({"b": rng.choice(list("uvwxyz"), 60), "a": rng.integers(8, size=60)})
    table = scores_by_cell(y, y_pred, groups, train, metric=mean_absolute_error)
    assert table.index.names == ["b", "a"]
    assert len(table) == 4
    for (b, a), row in table.iterrows():
        in_cell = (groups["a"].isin(train["a"]) == (a == "known")) & (
            groups["b"].isin(train["b"]) == (b == "known")
        )
        assert row["n_rows"] == in_cell.sum()
        assert row["score"] == pytest.approx(np.abs(y - y_pred)[in_cell].mean())


def test_scores_by_cell_of_one_factor():
    groups = pd.Series([1.0, 2.0, 5.0, np.nan], name="site")
    table = scores_by_cell([1, 2, 3, 4], [1, 2, 3, 0], groups, np.array([1, 2]))
    assert table["n_rows"].to_dict() == {"known": 2, "new": 2}
    assert table.index.name == "site"
    np.testing.assert_allclose(table["score"], [0, np.sqrt(8)])
    table = scores_by_cell([1, 2], [1, 2], [1, 2], [1, 2])
    assert table.index.tolist() == ["known"]


def test_scores_by_cell_says_what_does_not_fit():
    train = pd.DataFrame({"a": [1, 2], "b": [1, 2]})
    with pytest.raises(ValueError, match=r"same factors, but got \['group0', 'group1'\] and"):
        scores_by_cell([1], [1], np.array([[1, 2]]), train)
    with pytest.raises(ValueError, match="Factor 'b': `groups` must have labels of the same"):
        scores_by_cell([1], [1], pd.DataFrame({"a": [1], "b": ["x"]}), train)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        scores_by_cell([1, 2], [1], train, train)
    with pytest.raises(ValueError, match=r"`metric` must be a function .* but got 'r2'"):
        scores_by_cell([1, 2], [1, 2], train, train, metric="r2")
