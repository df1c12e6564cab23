"""Categories replaced by their effects, beside dense algebra and explicit refits."""

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from skmixed import RandomInterceptClassifier, RandomInterceptRegressor
from skmixed.preprocessing import RandomEffectEncoder
from skmixed.preprocessing._category_effects import LinearEffects, Rows

FOLDS = KFold(4, shuffle=True, random_state=0)


def make_rows(n=240, n_shops=25, seed=0, *, opposed=1.0):
    rng = np.random.default_rng(seed)
    shop = rng.integers(0, n_shops, n)
    effect = rng.normal(size=n_shops)
    size = opposed * effect[shop] + rng.normal(size=n)
    X = pd.DataFrame({"size": size, "age": rng.normal(size=n), "shop": [f"s{j}" for j in shop]})
    X["town"] = rng.choice(list("abcdefgh"), n)
    y = 2 * size - 1.5 * effect[shop] + rng.normal(size=n)
    y += X["town"].map(dict(zip("abcdefgh", rng.normal(size=8), strict=True)))
    return X, y.rename("sales")


def own_ratios(X, y, columns, given):
    """Choose means by Akaike's criterion and estimate the ratios, by public means alone."""
    means = {
        (column, name): X.groupby(column)[name].transform("mean")
        for column in columns
        for name in given
    }
    groups = X[columns] if len(columns) > 1 else X["shop"]
    wide = pd.concat([X[given], *means.values()], axis=1).to_numpy()
    model = RandomInterceptRegressor().fit(wide, y, groups=groups)
    gamma, variance = (
        values[len(given) :] for values in (model.coef_, np.diag(model.coef_cov_)[1:])
    )
    kept = [key for key, pays in zip(means, gamma**2 > 2 * variance, strict=True) if pays]
    wide = pd.concat([X[given], *(means[key] for key in kept)], axis=1).to_numpy()
    model = RandomInterceptRegressor().fit(wide, y, groups=groups)
    return kept, np.atleast_1d(model.theta_)


def dense_effects(X, y, columns, given, kept, ratios):
    """Effects of each column's categories, with V written out and the ratios held."""
    V, Z, wide, of_means = np.eye(len(X)), {}, [np.ones(len(X)), *X[given].to_numpy().T], {}
    for column, ratio in zip(columns, ratios, strict=True):
        Z[column] = pd.get_dummies(X[column]).astype(float)
        V += ratio**2 * Z[column].to_numpy() @ Z[column].to_numpy().T
        means = X.groupby(column)[given].mean() - X[given].mean()
        of_means[column] = means[[name for own, name in kept if own == column]]
        wide += list((Z[column] @ of_means[column]).to_numpy().T)
    design, inverse = np.column_stack(wide), np.linalg.inv(V)
    beta = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ y)
    left, found, gamma = inverse @ (y - design @ beta), {}, beta[1 + len(given) :]
    for column, ratio in zip(columns, ratios, strict=True):
        own, gamma = np.split(gamma, [of_means[column].shape[1]])
        found[column] = of_means[column] @ own + ratio**2 * Z[column].T @ left
    return found


@pytest.mark.parametrize("columns", [["shop"], ["shop", "town"]])
def test_each_fold_is_a_refit_with_the_variances_held(columns):
    X, y = make_rows()
    given = ["size", "age"]
    encoder = RandomEffectEncoder(columns, given=given, cv=FOLDS)
    got = encoder.fit_transform(X, y)
    kept, ratios = own_ratios(X, y, columns, given)
    assert ("shop", "size") in kept
    assert len(kept) < 2 * len(columns)
    parts = [*FOLDS.split(X), (np.arange(len(X)), None)]
    for train, test in parts:
        rows = X.iloc[train]
        want = dense_effects(rows, y.iloc[train], columns, given, kept, ratios)
        for column in columns:
            labels = encoder.encodings_[column] if test is None else got[column].iloc[test]
            names = labels.index if test is None else X[column].iloc[test]
            want_here = pd.Series(names).map(want[column]).fillna(0.0)
            # the ratios agree to what two searches leave
            np.testing.assert_allclose(labels, want_here, rtol=0, atol=1e-5)


@pytest.mark.parametrize("columns", [["shop"], ["shop", "town"]])
def test_each_fold_is_exact_given_the_same_ratios(columns):
    X, y = make_rows()
    given = ["size", "age"]
    codes, labels = zip(*(pd.factorize(X[column]) for column in columns), strict=True)
    model = LinearEffects(Rows(X[given].to_numpy(), y.to_numpy(), codes, labels, columns, None))
    where = zip(*np.nonzero(model.ratios.kept), strict=True)
    kept = [(columns[f], given[k]) for f, k in where]
    for train, test in FOLDS.split(X):
        want = dense_effects(
            X.iloc[train], y.iloc[train], columns, given, kept, model.ratios.theta
        )
        for column, own, code in zip(columns, model.without(train, test), codes, strict=True):
            names = pd.factorize(X[column])[1][: len(own.b)]
            expected = pd.Series(names).map(want[column]).fillna(0.0)
            np.testing.assert_allclose(own.b, expected, rtol=0, atol=1e-10)
            assert code.max() < len(own.b)


def test_the_effects_are_given_the_other_columns():
    X, y = make_rows(2_000, 60)
    effect = RandomEffectEncoder("shop", given=["size", "age"]).fit(X, y).encodings_["shop"]
    alone = RandomEffectEncoder("shop", given=None).fit(X, y).encodings_["shop"]
    rng = np.random.default_rng(0)
    rng.integers(0, 60, 2_000)
    truth = pd.Series(-1.5 * rng.normal(size=60), [f"s{j}" for j in range(60)])[effect.index]
    assert np.corrcoef(effect, truth)[0, 1] > 0.97
    assert np.corrcoef(alone, truth)[0, 1] < 0  # the effect of size hides it


def test_unknown_and_missing_categories_are_encoded_as_zero():
    X, y = make_rows()
    X.loc[::9, "shop"] = None
    encoder = RandomEffectEncoder(["shop"], given=["size"], cv=FOLDS, standard_errors=True)
    encoded = encoder.fit_transform(X, y)
    missing = X["shop"].isna()
    assert (encoded["shop"][missing] == 0).all()
    assert encoded["shop"][~missing].any()
    new = X.head(4).assign(shop=["s1", "elsewhere", None, np.nan])
    effects, errors = encoder.transform(new)[["shop", "shop_std_error"]].to_numpy().T
    assert effects[0] != 0
    assert not effects[1:].any()
    assert errors[0] < encoder.random_effects_std_["shop"]
    np.testing.assert_allclose(errors[1:], encoder.random_effects_std_["shop"])


def test_a_row_without_category_is_one_of_its_own():
    X, y = make_rows()
    X.loc[::9, "shop"] = None
    one = RandomEffectEncoder("shop", given=["size"]).fit(X, y).encodings_["shop"]
    names = X["shop"].where(X["shop"].notna(), [f"new {i}" for i in range(len(X))])
    two = RandomEffectEncoder("shop", given=["size"]).fit(X.assign(shop=names), y)
    np.testing.assert_allclose(one, two.encodings_["shop"][one.index], rtol=0, atol=1e-9)


def test_missing_values_of_given_columns_are_filled_up_in_the_model_alone():
    X, y = make_rows()
    X.loc[::5, "size"] = np.nan
    encoded = RandomEffectEncoder("shop", given=["size", "age"]).fit(X, y).transform(X)
    pd.testing.assert_series_equal(encoded["size"], X["size"])
    filled = X.assign(size=X["size"].fillna(X["size"].mean()), hole=X["size"].isna() * 1.0)
    want = RandomEffectEncoder("shop", given=["size", "age", "hole"]).fit(filled, y)
    np.testing.assert_allclose(encoded["shop"], want.transform(filled)["shop"], atol=1e-8)


@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"]])
def test_a_binary_target_has_effects_on_the_logit_scale(labels):
    X, y = make_rows()
    won = np.array(labels, dtype=object if isinstance(labels[0], str) else int)[
        (y > y.median()).astype(int)
    ]
    encoder = RandomEffectEncoder("shop", given=None, cv=FOLDS)
    got = encoder.fit_transform(X, won)["shop"]
    assert encoder.target_type_ == "binary"
    assert encoder.classes_.tolist() == labels
    nothing = np.empty((len(X), 0))
    for train, test in FOLDS.split(X):
        model = RandomInterceptClassifier().fit(
            nothing[train], won[train], groups=X["shop"].iloc[train]
        )
        effects = model.random_effects_["(Intercept)"]
        want = X["shop"].iloc[test].map(effects).fillna(0.0)
        np.testing.assert_allclose(got.iloc[test], want, atol=1e-5)


def test_whole_numbers_are_numbers():
    X, y = make_rows()
    encoder = RandomEffectEncoder("shop", given=["size"]).fit(X, y.round().clip(-2, 2))
    assert encoder.target_type_ == "continuous"
    assert not hasattr(encoder, "classes_")


@pytest.mark.parametrize("kind", ["pandas", "polars", "numpy"])
def test_a_table_comes_out_as_it_came_in(kind):
    X, y = make_rows()
    given = ["size", "age"] if kind != "numpy" else [0, 1]
    columns = ["shop", "town"] if kind != "numpy" else [2, 3]
    table = {"pandas": X, "polars": pl.from_pandas(X), "numpy": X.to_numpy(object)}[kind]
    encoder = RandomEffectEncoder(columns, given=given, random_state=0, cv=FOLDS)
    got, want = (
        encoder.fit_transform(rows, y)
        for rows in (
            table,
            X.set_axis(["x0", "x1", "x2", "x3"], axis=1) if kind == "numpy" else X,
        )
    )
    assert type(got) is type(table)
    np.testing.assert_allclose(np.asarray(got, dtype=float), want.to_numpy(), atol=1e-9)
    names = list(X.columns) if kind != "numpy" else ["x0", "x1", "x2", "x3"]
    assert encoder.get_feature_names_out().tolist() == names


def test_set_output_and_names():
    X, y = make_rows()
    encoder = RandomEffectEncoder("shop", given=["size"], standard_errors=True, random_state=0)
    assert isinstance(encoder.set_output(transform="polars").fit_transform(X, y), pl.DataFrame)
    assert encoder.get_feature_names_out().tolist() == [
        "size",
        "age",
        "shop",
        "shop_std_error",
        "town",
    ]


def test_it_stays_itself_when_copied_and_stored():
    X, y = make_rows()
    encoder = RandomEffectEncoder("shop", given=["size"], random_state=0).fit(X, y)
    loaded = pickle.loads(pickle.dumps(encoder))
    pd.testing.assert_frame_equal(loaded.transform(X), encoder.transform(X))
    assert type(encoder).__module__ == "skmixed.preprocessing"


def test_weights_are_repetitions():
    X, y = make_rows()
    weight = np.arange(len(X)) % 3
    one = RandomEffectEncoder("shop", given=["size"]).fit(X, y, sample_weight=weight)
    rows = np.repeat(np.arange(len(X)), weight)
    two = RandomEffectEncoder("shop", given=["size"]).fit(X.iloc[rows], y.iloc[rows])
    np.testing.assert_allclose(
        one.transform(X)["shop"], two.transform(X)["shop"], rtol=0, atol=1e-6
    )


@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 99))
def test_order_names_and_units_do_not_matter(scale, shift, seed):
    X, y = make_rows(120, 12)
    rows = np.random.default_rng(seed).permutation(len(X))
    encoder = RandomEffectEncoder("shop", given=["size", "age"])
    want = encoder.fit(X, y).transform(X)["shop"]
    renamed = X.assign(shop=X["shop"].map(lambda name: f"{name}!"), size=3 * X["size"] + 7)
    got = clone(encoder).fit(renamed.iloc[rows], scale * y.iloc[rows] + shift)
    got = got.transform(renamed)["shop"]
    np.testing.assert_allclose(got / scale, want, rtol=0, atol=1e-5 * want.std())


# ----------------------------------------------------------------- behind it, a regressor


def test_a_category_of_pure_noise_is_not_believed():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=2_000), "noise": rng.integers(0, 600, 2_000)})
    y = X["x"] + rng.normal(size=2_000)
    train, test = slice(0, 1_000), slice(1_000, 2_000)
    scores = []
    for columns in (["x"], ["x", "noise"]):
        encoder = RandomEffectEncoder([c for c in columns if c == "noise"], random_state=0)
        model = make_pipeline(encoder, LinearRegression()).fit(X[columns][train], y[train])
        scores.append(r2_score(y[test], model.predict(X[columns][test])))
    assert scores[1] - scores[0] < 0.002
    assert scores[0] - scores[1] < 0.01


@pytest.mark.filterwarnings("ignore::FutureWarning")  # scikit-learn 1.8 takes no splitter
def test_boosting_is_better_with_it_where_effects_are_opposed():
    X, y = make_rows(5_000, 500)
    X, test = X.drop(columns="town"), np.arange(5_000) % 4 == 0
    boosting = HistGradientBoostingRegressor(max_iter=40, random_state=0)
    by_means = make_column_transformer(
        (TargetEncoder(random_state=0), ["shop"]),
        remainder="passthrough",
    )
    by_effects = RandomEffectEncoder("shop", random_state=0)
    errors = [
        np.mean(
            (
                make_pipeline(encoder, boosting).fit(X[~test], y[~test]).predict(X[test])
                - y[test]
            )
            ** 2
        )
        for encoder in (by_effects, by_means)
    ]
    assert errors[0] < 0.9 * errors[1]


def test_in_a_search():
    X, y = make_rows()
    X = X.drop(columns="town")
    model = make_pipeline(RandomEffectEncoder("shop", random_state=0), LinearRegression())
    grid = {"randomeffectencoder__given": ["rest", None]}
    search = GridSearchCV(model, grid, cv=FOLDS).fit(X, y)
    assert search.best_params_ == {"randomeffectencoder__given": "rest"}


def test_inside_a_column_transformer_it_says_that_it_sees_nothing_else():
    X, y = make_rows()
    inside = make_column_transformer(
        (RandomEffectEncoder(random_state=0), ["shop"]), remainder="drop"
    )
    with pytest.warns(UserWarning, match="was handed no other columns than shop") as said:
        inside.fit_transform(X, y)
    assert len(said) == 1
    inside.set_params(randomeffectencoder__given=None).fit_transform(X, y)


def test_groups_keep_rows_together():
    X, y = make_rows()
    X, groups = X.drop(columns="town"), X["town"]
    encoder = RandomEffectEncoder("shop", cv=4, shuffle=False)
    got = encoder.fit_transform(X, y, groups=groups)
    folds = list(GroupKFold(4).split(X, y, groups))
    want = clone(encoder).set_params(cv=folds).fit_transform(X, y)
    pd.testing.assert_frame_equal(got, want)
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(encoder, RandomInterceptRegressor()).fit(X, y, groups=groups)
    pd.testing.assert_series_equal(
        model[0].encodings_["shop"], encoder.encodings_["shop"], check_exact=False
    )


# ------------------------------------------------------------------------------------- errors

BAD = {
    "no such column": ({"columns": "shp"}, {}, "columns='shp' must be feature columns of X"),
    "twice": ({"given": ["shop"]}, {}, "must not name columns that are encoded, but shop"),
    "text": ({"given": "rest"}, {}, r"these columns are not: town .*given=\['age', 'income'\]"),
    "three classes": ({}, {"y": "abc"}, "two"),
    "no y": ({}, {"y": None}, "requires y to be passed, but the target y is None"),
    "one class": ({"target_type": "binary"}, {"y": 1}, "one"),
    "classes as numbers": ({"target_type": "continuous"}, {"y": "ab"}, "y must be numeric"),
    "bad cv": ({"cv": ShuffleSplit(3, random_state=0)}, {}, "`cv` must have each row in one"),
    "bad option": ({"target_type": "class"}, {}, "The 'target_type' parameter of RandomEffect"),
    "infinite": ({"given": ["size"]}, {"size": np.inf}, "size"),
    "missing y": ({}, {"y": np.nan}, "Input y contains NaN: 240 of 240"),
    "weights": ({}, {"sample_weight": [1.0]}, "sample_weight"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input(case):
    options, change, message = BAD[case]
    X, y = make_rows()
    y, change = pd.Series(y), dict(change)
    weight = change.pop("sample_weight", None)
    if "y" in change:
        y = change.pop("y")
        letters = isinstance(y, str) and np.resize(list(y), len(X))
        y = letters if letters is not False else y if y is None else np.full(len(X), float(y))
    if change:
        X.loc[3, "size"] = change["size"]
    encoder = RandomEffectEncoder(**{"columns": "shop", "given": ["size", "age"], **options})
    with pytest.raises((ValueError, TypeError), match=message):
        encoder.fit_transform(X, y, sample_weight=weight)
    assert not hasattr(encoder, "encodings_")


def test_labels_of_another_type_are_refused():
    X, y = make_rows()
    encoder = RandomEffectEncoder("shop", given=["size"]).fit(X, y)
    message = re.escape("Column 'shop' must have labels of the same type as in fit, string")
    with pytest.raises(ValueError, match=message):
        encoder.transform(X.assign(shop=1))


def test_columns_that_divide_the_rows_alike_are_refused():
    X, y = make_rows()
    encoder = RandomEffectEncoder(["shop", "name"], given=["size"])
    with pytest.raises(ValueError, match="'name' divide the rows into the same groups"):
        encoder.fit(X.assign(name=X["shop"] + "!"), y)


def test_folds_that_keep_groups_together_need_their_labels():
    rng = np.random.default_rng(0)
    X, y = pd.DataFrame({"x": rng.normal(size=40), "shop": np.arange(40) % 5}), np.arange(40.0)
    encoder = RandomEffectEncoder("shop", cv=GroupKFold(2))
    with pytest.raises(ValueError, match=r"needs no groups .*got GroupKFold.*fit_transform\("):
        encoder.fit_transform(X, y)
    labels = np.array([None, *["a", "b"] * 19, "a"], dtype=object)
    with pytest.raises(ValueError, match="must have a label for every row in fit, but 1 of 40"):
        encoder.fit_transform(X, y, groups=labels)
