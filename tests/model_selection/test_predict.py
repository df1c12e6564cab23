import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, TimeSeriesSplit
from sklearn.model_selection import cross_val_predict as sklearn_cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection import WithinGroupKFold, cross_val_predict


@pytest.fixture(scope="module")
def rows():
    return make_mixed_regression(200, 2, 8, intercept_variance=9.0, random_state=0)


def by_hand(splits, rows, model=None, weight=None):
    X, y, groups = rows
    predicted = np.empty_like(y)
    for train, test in splits:
        model = RandomInterceptRegressor()
        part = None if weight is None else weight[train]
        model.fit(X[train], y[train], groups=groups[train], sample_weight=part)
        predicted[test] = model.predict(X[test], groups=groups[test])
    return predicted


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    "cv",
    [KFold(4, shuffle=True, random_state=0), GroupKFold(4), WithinGroupKFold(4), None],
    ids=str,
)
def test_groups_reach_fit_and_predict(rows, routing, cv):
    X, y, groups = rows
    splitter = KFold(5) if cv is None else cv
    splits = splitter.split(X, y, None if isinstance(splitter, KFold) else groups)
    expected = by_hand(splits, rows)
    with sklearn.config_context(enable_metadata_routing=routing):
        for model in (
            RandomInterceptRegressor(),
            make_pipeline(StandardScaler(), RandomInterceptRegressor()),
        ):
            found = cross_val_predict(model, X, y, groups=groups, cv=cv)
            np.testing.assert_allclose(found, expected, atol=1e-10)


def test_frames_and_series(rows):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b"], index=range(1000, 1200))
    found = cross_val_predict(
        RandomInterceptRegressor(),
        frame,
        pd.Series(y),
        groups=pd.Series(groups).map("site {}".format),
        cv=list(KFold(4).split(X)),
        n_jobs=2,
    )
    np.testing.assert_allclose(found, by_hand(KFold(4).split(X), rows), atol=1e-10)


def test_a_renamed_request_is_honoured(rows):
    """The unit of splitting may be another than that of the model."""
    X, y, groups = rows
    region = groups // 2
    expected = by_hand(GroupKFold(4).split(X, y, region), rows)
    model = RandomInterceptRegressor()
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(groups="site").set_predict_request(groups="site")
        found = cross_val_predict(
            model, X, y, groups=region, cv=GroupKFold(4), params={"site": groups}
        )
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_weights_reach_fit(rows):
    X, y, groups = rows
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    found = cross_val_predict(
        RandomInterceptRegressor(), X, y, groups=groups, params={"sample_weight": weight}
    )
    expected = by_hand(KFold(5).split(X), rows, weight=weight)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_other_methods_and_models(rows):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(site=groups)
    found = cross_val_predict(
        RandomInterceptRegressor(group_by="site"), frame, y, method="predict_population"
    )
    model = RandomInterceptRegressor().fit(X[40:], y[40:], groups=groups[40:])
    np.testing.assert_allclose(found[:40], model.predict_population(X[:40]), atol=1e-10)
    plain = cross_val_predict(LinearRegression(), X, y)
    np.testing.assert_allclose(plain, sklearn_cross_val_predict(LinearRegression(), X, y))


@pytest.mark.parametrize("routing", [False, True])
def test_searches_and_models_with_a_group_column(rows, routing):
    """A search's own predict takes X alone; a model with `group_by` asks for no groups."""
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(site=groups)
    cv = WithinGroupKFold(4)
    expected = by_hand(cv.split(X, y, groups), rows)
    grid = {"max_iter": [100]}
    beside, inside = RandomInterceptRegressor(), RandomInterceptRegressor(group_by="site")
    with sklearn.config_context(enable_metadata_routing=routing):
        for model, table in (
            (GridSearchCV(beside, grid, cv=GroupKFold(2)), X),
            (inside, frame),
            (make_pipeline(inside), frame),
            (GridSearchCV(inside, grid, cv=WithinGroupKFold(2)), frame),
        ):
            found = cross_val_predict(model, table, y, groups=groups, cv=cv)
            np.testing.assert_allclose(found, expected, atol=1e-10)


def test_test_sets_must_be_a_partition(rows):
    X, y, groups = rows
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_predict(RandomSlopeRegressor([0]), X, y, groups=groups, cv=TimeSeriesSplit(3))


def test_lengths_must_agree(rows):
    X, y, groups = rows
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        cross_val_predict(RandomInterceptRegressor(), X, y[:-1], groups=groups)
    with pytest.raises(ValueError, match="199 labels for 160 rows"):
        cross_val_predict(RandomInterceptRegressor(), X, y, groups=groups[:-1])
