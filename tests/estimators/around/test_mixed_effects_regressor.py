"""Random effects around any regressor, beside the same steps by hand."""

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy.sparse import csr_array
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    cross_validate,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

from skmixed import MixedEffectsRegressor, RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.exceptions import MissingGroupsWarning

FOLDS = KFold(4, shuffle=True, random_state=0)


def make_rows(n=240, n_shops=20, seed=0, confounded=0.0):
    rng = np.random.default_rng(seed)
    shop, level = rng.integers(0, n_shops, n), rng.normal(size=n_shops)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["size", "age", "rent"])
    X["size"] += confounded * level[shop]
    y = X["size"] + np.sin(2 * X["age"]) + (1.5 * level)[shop] + 0.5 * rng.normal(size=n)
    return X, y.rename("sales"), np.array([f"s{j:02}" for j in shop])


class Recorder(RegressorMixin, BaseEstimator):
    """A regression of the first column that tells what it was fitted to."""

    fits = []

    def __init__(self, label="a"):
        self.label = label

    def fit(self, X, y, sample_weight=None):
        self.fits.append((X, y, sample_weight))
        self.mean_ = np.average(y, weights=sample_weight)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


@pytest.fixture
def fits(monkeypatch):
    monkeypatch.setattr(Recorder, "fits", [])
    return Recorder.fits


def by_hand(X, y, shop, base):
    """The three steps, without group means."""
    f = np.empty(len(y))
    for train, test in FOLDS.split(X):
        rows, labels = X.iloc[train], shop[train]
        start = RandomInterceptRegressor().fit(rows, y.iloc[train], groups=labels)
        effects = start.random_effects_.iloc[:, 0].loc[labels].to_numpy()
        f[test] = clone(base).fit(rows, y.iloc[train] - effects).predict(X.iloc[test])
    of_groups = RandomInterceptRegressor().fit(np.empty((len(y), 0)), y - f, groups=shop)
    levels = of_groups.intercept_ + of_groups.random_effects_.loc[shop].to_numpy()[:, 0]
    return of_groups, clone(base).fit(X, y - levels)


@pytest.mark.parametrize("base", [Ridge(), DecisionTreeRegressor(max_depth=3, random_state=0)])
def test_steps(base):
    X, y, shop = make_rows()
    model = MixedEffectsRegressor(base, between=False, cv=FOLDS).fit(X, y, groups=shop)
    of_groups, last = by_hand(X, y, shop, base)
    assert model.residual_variance_ == pytest.approx(of_groups.residual_variance_)
    assert model.icc_ == pytest.approx(of_groups.icc_)
    pd.testing.assert_frame_equal(model.random_effects_, of_groups.random_effects_, rtol=1e-6)
    known = of_groups.predict(np.empty((len(y), 0)), shop)
    assert model.predict(X, groups=shop) == pytest.approx(last.predict(X) + known)
    new = last.predict(X) + of_groups.intercept_
    assert model.predict_population(X) == pytest.approx(new)
    assert model.predict(X, groups=np.full(len(y), "new")) == pytest.approx(new)


def test_means_tell_of_effects_that_go_with_features():
    X, y, shop = make_rows(800, 80, confounded=1.0)
    model = MixedEffectsRegressor(Ridge(), random_state=0).fit(X, y, groups=shop)
    plain = MixedEffectsRegressor(Ridge(), random_state=0, between=False)
    plain.fit(X, y, groups=shop)
    assert model.between_coef_.index.tolist() == ["size_between"]
    assert model.between_coef_["size_between"] == pytest.approx(1.5, abs=0.2)
    assert model.random_effects_cov_.iloc[0, 0] < 0.2 * plain.random_effects_cov_.iloc[0, 0]
    assert plain.between_coef_.empty


def test_a_new_group_has_the_means_of_the_rows_given_and_a_row_alone_its_own():
    X, y, shop = make_rows(800, 80, confounded=1.0)
    model = MixedEffectsRegressor(Ridge(), random_state=0).fit(X, y, groups=shop)
    rows = X.head(3)
    alone = [model.predict(rows.iloc[[i]], groups=["new"])[0] for i in range(3)]
    assert model.predict(rows, groups=["p", "q", "r"]) == pytest.approx(alone)
    assert model.predict_population(rows) == pytest.approx(alone)
    together = model.predict(rows, groups=["new"] * 3)
    assert np.abs(together - alone).max() > 0.1
    known = model.predict(rows, groups=shop[:3])
    assert model.predict(rows.head(1), groups=shop[:1]) == pytest.approx(known[:1])


def test_a_missing_label_is_a_new_group_of_one_row():
    X, y, shop = make_rows(confounded=1.0)
    model = MixedEffectsRegressor(Ridge(), random_state=0).fit(X, y, groups=shop)
    found, std = model.predict(X.head(2), groups=[None, None], return_std=True)
    expected = model.predict_population(X.head(2), return_std=True)
    assert found == pytest.approx(expected[0])
    assert std == pytest.approx(expected[1])


@pytest.mark.parametrize("cv", [2, 5, FOLDS])
def test_the_base_is_fitted_once_for_each_fold_and_once_more(cv, fits):
    X, y, shop = make_rows()
    MixedEffectsRegressor(Recorder(), cv=cv, random_state=0).fit(X, y, groups=shop)
    assert len(fits) == (cv if isinstance(cv, int) else 4) + 1


def test_the_base_is_given_the_other_columns_as_they_are(fits):
    X, y, shop = make_rows()
    X = X.assign(shop=shop, kind=pd.Categorical(np.where(X["age"] > 0, "x", "y")))
    X.loc[3, "size"] = np.nan
    MixedEffectsRegressor(Recorder(), group_by="shop", random_state=0).fit(X, y)
    pd.testing.assert_frame_equal(fits[-1][0], X.drop(columns="shop"))
    assert fits[0][0].dtypes.tolist() == X.drop(columns="shop").dtypes.tolist()


def test_text_categories_and_missing_values():
    X, y, shop = make_rows()
    X = X.assign(kind=np.where(X["age"] > 0, "x", "y"), shop=shop)
    encode = make_column_transformer(
        (OneHotEncoder(), ["kind"]), remainder="passthrough", verbose_feature_names_out=False
    )
    model = MixedEffectsRegressor(make_pipeline(encode, Ridge()), group_by="shop", cv=3)
    by_text = model.set_params(random_state=0).fit(X, y).predict(X)
    numbers = X.assign(kind=(X["kind"] == "y") * 1.0, other=(X["kind"] == "x") * 1.0)
    near = MixedEffectsRegressor(Ridge(), group_by="shop", cv=3, random_state=0).fit(numbers, y)
    assert np.corrcoef(by_text, near.predict(X=numbers))[0, 1] > 0.99
    X.loc[:40, "size"] = np.nan
    trees = HistGradientBoostingRegressor(
        categorical_features="from_dtype", max_iter=3, random_state=0
    )
    X["kind"] = X["kind"].astype("category")
    model.set_params(estimator=trees).fit(X, y)
    assert model.estimator_.is_categorical_.tolist() == [False, False, False, True]
    assert np.isfinite(model.predict(X)).all()


def test_weights():
    X, y, shop = make_rows()
    weight = np.where(np.arange(len(y)) % 5 == 0, 0.0, 2.0)
    folds = list(FOLDS.split(X))
    model = MixedEffectsRegressor(Ridge(), cv=folds)
    model.fit(X, y, groups=shop, sample_weight=weight)
    there = np.flatnonzero(weight)
    test_folds = [np.flatnonzero(np.isin(there, test)) for _, test in folds]
    rest = [(np.setdiff1d(np.arange(len(there)), test), test) for test in test_folds]
    alone = MixedEffectsRegressor(Ridge(), cv=rest)
    alone.fit(X.iloc[there], y.iloc[there], groups=shop[there], sample_weight=weight[there])
    assert model.predict(X, groups=shop) == pytest.approx(alone.predict(X, groups=shop))
    assert model.residual_variance_ == pytest.approx(alone.residual_variance_)
    assert model.group_sizes_.sum() == weight.sum()


def test_intervals_are_those_of_the_residuals_around_f():
    X, y, shop = make_rows()
    model = MixedEffectsRegressor(Ridge(), between=False, cv=FOLDS).fit(X, y, groups=shop)
    labels = [*shop[:2], "new"]
    mean, std = model.predict(X.head(3), groups=labels, return_std=True)
    found = model.predict_interval(X.head(3), groups=labels, level=0.8)
    assert found == pytest.approx(mean[:, None] + std[:, None] * norm.ppf([0.1, 0.9]))
    narrow = np.diff(model.predict_interval(X.head(3), groups=labels, kind="mean"), axis=1)
    assert narrow[2] > 2 * narrow[0]
    psi, sigma2 = model.random_effects_cov_.iloc[0, 0], model.residual_variance_
    assert std[2] ** 2 == pytest.approx(psi + sigma2, rel=0.1)
    assert std[0] ** 2 == pytest.approx(sigma2 * (1 + 1 / model.group_sizes_[shop[0]]), rel=0.1)


def test_a_new_group_is_learned_from_a_few_rows_without_a_fit(fits):
    X, y, shop = make_rows()
    model = MixedEffectsRegressor(Recorder(), between=False, random_state=0)
    model.fit(X, y, groups=shop)
    n_fits, mean = len(fits), model.estimator_.mean_ + model.residual_model_.intercept_
    model.update_groups(X.head(4), y.head(4) + 3, groups=["new"] * 4)
    psi = model.random_effects_cov_.iloc[0, 0] / model.residual_variance_
    effect = 4 * psi / (1 + 4 * psi) * (y.head(4).mean() + 3 - mean)
    assert model.random_effects_.loc["new"].iloc[0] == pytest.approx(effect)
    assert model.predict(X.head(1), groups=["new"]) == pytest.approx([mean + effect])
    assert len(fits) == n_fits
    assert model.n_groups_ == 21


def test_slopes_of_several_factors():
    X, y, shop = make_rows(400)
    town = np.arange(400) % 7
    X, y = X.assign(shop=shop, town=town), y + town**2 % 7 / 3 + (town - 3) * X["rent"] / 3
    model = MixedEffectsRegressor(
        Ridge(), group_by=["shop", "town"], slopes={"town": ["rent"]}, cv=3, random_state=0
    ).fit(X, y)
    assert model.random_effects_["town"].columns.tolist() == ["(Intercept)", "rent"]
    assert model.random_effects_["shop"].columns.tolist() == ["(Intercept)"]
    slopes = model.random_effects_["town"]["rent"]
    assert np.corrcoef(slopes, slopes.index.astype(float))[0, 1] > 0.99
    assert set(model.groups_) == {"shop", "town"} == set(model.icc_)
    new = X.head(2).assign(town=[99, 0])
    assert np.isfinite(model.predict_interval(new)).all()


def test_without_groups_the_fit_is_that_of_the_base():
    X, y, _ = make_rows()
    with pytest.warns(MissingGroupsWarning, match="regression by `estimator`"):
        model = MixedEffectsRegressor(Ridge(), random_state=0).fit(X, y)
    assert model.predict(X) == pytest.approx(Ridge().fit(X, y).predict(X))


def test_predict_needs_groups():
    X, y, shop = make_rows()
    model = MixedEffectsRegressor(Ridge(), new_groups="error").fit(X, y, groups=shop)
    for method in ("predict", "predict_interval"):
        with pytest.raises(ValueError, match=f"`groups` must be given to `{method}`"):
            getattr(model, method)(X)
    with pytest.raises(ValueError, match="nowhere"):
        model.predict(X.head(1), groups=["nowhere"])


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (LogisticRegression(), "must be a regressor, but got the classifier LogisticRegressi"),
        (
            MixedEffectsRegressor(),
            "must predict from X alone, but MixedEffectsRegressor() asks",
        ),
        (RandomSlopeRegressor(), "must predict from X alone, but RandomSlopeRegressor() asks"),
        (OneHotEncoder(), "must be an object implementing 'fit' and 'predict'"),
    ],
)
def test_a_base_that_cannot_be_in_the_middle(base, message):
    X, y, shop = make_rows()
    with pytest.raises(ValueError, match=re.escape(message)):
        MixedEffectsRegressor(base).fit(X, y, groups=shop)


def test_what_else_is_refused():
    X, y, shop = make_rows()
    with pytest.raises(TypeError, match=r"got the class Ridge. Call it: Ridge\(...\)"):
        MixedEffectsRegressor(Ridge).fit(X, y, groups=shop)
    model = MixedEffectsRegressor(KNeighborsRegressor())
    with pytest.raises(ValueError, match=r"since KNeighborsRegressor\(\) takes none"):
        model.fit(X, y, groups=shop, sample_weight=np.ones(len(y)))
    with pytest.raises(ValueError, match=r"one column, but got shape \(240, 2\)"):
        MixedEffectsRegressor(Ridge()).fit(X, np.column_stack([y, y]), groups=shop)
    texts = X.assign(kind="a")
    with pytest.raises(ValueError, match=r"must name columns that hold numbers.*: kind"):
        MixedEffectsRegressor(Ridge(), slopes=["kind"]).fit(texts, y, groups=shop)
    with pytest.raises(ValueError, match=r"each row in one test fold, but \d+ of 240 rows"):
        MixedEffectsRegressor(Ridge(), cv=ShuffleSplit(2)).fit(X, y, groups=shop)
    with pytest.raises(ValueError, match=r"returned shape \(48, 2\) for 48"):
        MixedEffectsRegressor(TwoColumns()).fit(X, y, groups=shop)
    with pytest.raises(
        ValueError, match=r"Ridge\(\) cannot take text, .* hold some: kind\. For"
    ):
        MixedEffectsRegressor(Ridge()).fit(texts, y, groups=shop)
    two = np.column_stack([shop, np.arange(len(y)) % 7])
    with pytest.raises(ValueError, match=r"needs no groups .*got GroupKFold.*single factor"):
        MixedEffectsRegressor(Ridge(), cv=GroupKFold(3)).fit(X, y, groups=two)
    half = (np.arange(len(y)) < len(y) / 2) * 1.0
    with pytest.raises(ValueError, match=r"fold 1 of 2 has none. Shuffle the rows"):
        MixedEffectsRegressor(Ridge(), cv=KFold(2)).fit(X, y, groups=shop, sample_weight=half)


@pytest.mark.parametrize("dtype", ["string", "string[pyarrow]", "category", "Int64"])
def test_labels_in_arrays_of_pandas(dtype):
    X, y, shop = make_rows()
    numbers = pd.factorize(shop)[0]
    labels = pd.array(numbers.astype(str) if "str" in dtype else numbers, dtype=dtype)
    model = MixedEffectsRegressor(Ridge(), cv=FOLDS).fit(X, y, groups=labels)
    expected = MixedEffectsRegressor(Ridge(), cv=FOLDS).fit(X, y, groups=shop)
    assert model.predict(X, groups=labels) == pytest.approx(expected.predict(X, groups=shop))


class TwoColumns(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros((len(X), 2))


def test_sparse_rows():
    X, y, shop = make_rows()
    dense, rows = X.to_numpy(), csr_array(X.to_numpy())
    model = MixedEffectsRegressor(Ridge(), random_state=0)
    with pytest.raises(TypeError, match="between=True takes the group means"):
        model.fit(rows, y, groups=shop)
    model.set_params(between=False)
    expected = clone(model).fit(dense, y, groups=shop).predict(dense, groups=shop)
    assert model.fit(rows, y, groups=shop).predict(rows, groups=shop) == pytest.approx(expected)


def test_folds_of_whole_groups():
    X, y, shop = make_rows()
    by_groups = MixedEffectsRegressor(Ridge(), cv=GroupKFold(4)).fit(X, y, groups=shop)
    folds = list(GroupKFold(4).split(X, y, shop))
    explicit = MixedEffectsRegressor(Ridge(), cv=folds).fit(X, y, groups=shop)
    assert by_groups.predict(X, groups=shop) == pytest.approx(explicit.predict(X, groups=shop))


def test_frames_of_any_make_copies_and_pickles():
    X, y, shop = make_rows(confounded=1.0)
    X = X.assign(shop=shop)
    model = MixedEffectsRegressor(Ridge(), group_by="shop", random_state=0).fit(X, y)
    expected = model.predict(X)
    frame = pl.from_pandas(X)
    assert clone(model).fit(frame, y).predict(frame) == pytest.approx(expected)
    assert pickle.loads(pickle.dumps(model)).predict(X) == pytest.approx(expected)
    assert model.feature_names_in_.tolist() == X.columns.tolist()
    without = X.drop(columns="shop")
    assert model.predict_population(without) == pytest.approx(model.predict_population(X))
    by_array = clone(model).set_params(group_by=None).fit(without, y, groups=shop)
    assert by_array.predict(without, groups=shop) == pytest.approx(expected)


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    X, y, shop = make_rows()
    model = MixedEffectsRegressor(Ridge(), random_state=0).fit(X, y, groups=shop)
    before = model.predict(X, groups=shop)
    with pytest.raises(ValueError, match="one column"):
        model.fit(X, np.column_stack([y, y]), groups=shop)
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.update_groups(X, None, groups=shop)
    with pytest.raises(ValueError, match="inconsistent"):
        model.update_groups(X, y[:10], groups=shop)
    assert model.predict(X, groups=shop) == pytest.approx(before)


def test_search_and_routing():
    X, y, shop = make_rows()
    model = MixedEffectsRegressor(Ridge(), group_by="shop", between=False, cv=2, random_state=0)
    X_all = X.assign(shop=shop)
    search = GridSearchCV(model, {"estimator__alpha": [0.1, 1e6]}, cv=2).fit(X_all, y)
    assert search.best_params_ == {"estimator__alpha": 0.1}
    with sklearn.config_context(enable_metadata_routing=True):
        routed = cross_validate(
            clone(model).set_params(group_by=None), X, y, cv=2, params={"groups": shop}
        )
    assert routed["test_score"] == pytest.approx(
        cross_validate(model, X_all, y, cv=2)["test_score"]
    )


def test_skops_and_dask():
    X, y, shop = make_rows(confounded=1.0)
    model = MixedEffectsRegressor(Ridge(), random_state=0).fit(X, y, groups=shop)
    skops = pytest.importorskip("skops.io")
    stored = skops.dumps(model)
    loaded = skops.loads(stored, trusted=skops.get_untrusted_types(data=stored))
    assert loaded.predict(X, groups=shop) == pytest.approx(model.predict(X, groups=shop))
    dask = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match="MixedEffectsRegressor reads all rows"):
        model.fit(dask.from_array(X.to_numpy()), y, groups=shop)


@pytest.mark.slow
def test_shap_sums_to_the_prediction():
    shap = pytest.importorskip("shap")
    X, y, shop = make_rows()
    X = X.assign(shop=pd.factorize(shop)[0])
    model = MixedEffectsRegressor(group_by="shop", between=False, random_state=0).fit(X, y)
    parts = shap.Explainer(model.predict, X)(X.head(20))
    sums = parts.values.sum(axis=1) + parts.base_values
    assert sums == pytest.approx(model.predict(X.head(20)))
