"""Sizes of coefficients, lined up with the columns of X, the group's above all."""

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.inspection import importances

MODELS = [
    RandomInterceptRegressor(),
    RandomSlopeRegressor(["b"]),
    FixedEffectsRegressor(),
    PooledRegressor(),
]


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    groups, X = np.repeat(np.arange(10), 20), rng.normal(size=(200, 3))
    level, slope = rng.normal(size=(2, 10))[:, groups]
    y = level + X @ [0.3, 1.0, 5.0] + slope * X[:, 1] + rng.normal(size=200)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame.insert(1, "site", groups)
    return frame, y


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_the_group_is_above_all(table, model):
    X, y = table
    model.set_params(group_by="site").fit(X, y)
    assert model.coef_.shape == (4,)
    assert model.coef_[1] == 0
    assert "site" not in model.coef_cov_
    assert "site" not in getattr(model, "group_coef_", [])
    sizes = importances(model)
    np.testing.assert_array_equal(np.delete(sizes, 1), np.abs(np.delete(model.coef_, 1)))
    assert np.isfinite(sizes).all()
    assert sizes[1] > sizes.sum() / 2


@pytest.mark.parametrize("position", [0, 2, -1])
def test_recursive_elimination_keeps_the_group_to_the_end(table, position):
    X, y = table
    features, groups = X[["a", "b", "c"]].to_numpy(), X["site"].to_numpy()
    array = np.insert(features, position % 4, groups, axis=1)
    selector = RFE(
        RandomInterceptRegressor(group_by=0),
        n_features_to_select=1,
        importance_getter=importances,
    )
    # a position that does not move: the first
    array = array[:, [position % 4, *np.delete(np.arange(4), position % 4)]]
    assert selector.fit(array, y).ranking_[0] == 1
    kept = RFE(RandomInterceptRegressor(group_by=0), n_features_to_select=2)
    kept.set_params(importance_getter=importances).fit(array, y)
    assert kept.get_support().tolist() == [True, False, False, True]


def test_without_it_what_comes_to_the_groups_place_is_refused(table):
    X, y = table
    array = X[["site", "a", "b", "c"]].to_numpy()
    with pytest.raises(ValueError, match="not whole"):
        RFE(RandomInterceptRegressor(group_by=0), n_features_to_select=2).fit(array, y)


def test_by_name_a_selector_of_one_fit_works(table):
    X, y = table
    selector = SelectFromModel(
        RandomInterceptRegressor(group_by="site"), threshold=3.5, importance_getter=importances
    ).set_output(transform="pandas")
    assert list(selector.fit_transform(X, y)) == ["site", "c"]


def test_an_index_level_has_no_entry(table):
    X, y = table
    X = X.set_index("site")
    model = RandomInterceptRegressor(group_by="site").fit(X, y)
    np.testing.assert_array_equal(importances(model), np.abs(model.coef_))
    assert dict(zip(model.feature_names_in_, model.coef_, strict=True)).keys() == set("abc")


def test_of_pipelines_and_searches(table):
    X, y = table
    model = RandomInterceptRegressor(group_by="site")
    expected = importances(model.fit(X, y))
    pipeline = make_pipeline(FunctionTransformer(), model)
    search = GridSearchCV(pipeline, {"randominterceptregressor__method": ["reml"]}, cv=2)
    for estimator in (pipeline, search):
        np.testing.assert_allclose(importances(estimator.fit(X, y)), expected)


def test_of_other_models():
    with pytest.raises(TypeError, match=r"but got LinearRegression\(\)"):
        importances(LinearRegression())
