"""Fits of dask collections with several grouping factors are those of all rows in memory."""

import pickle

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.exceptions import NotAvailableError

BOTH = ["school", "rater"]
MODELS = {
    "crossed": RandomInterceptRegressor(group_by=BOTH),
    "joined": RandomInterceptRegressor(group_by=["school", ("school", "class"), "rater"]),
    "slopes": RandomSlopeRegressor({"school": "x"}, group_by=BOTH, method="ml"),
}


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


def make(n=300):
    """Pupils of classes 1 and 2 in schools, each marked by a rater."""
    rng = np.random.default_rng(0)
    place, rater = rng.integers(0, 24, n), rng.integers(0, 6, n)
    x = rng.normal(size=n)
    y = 1 + x + rng.normal(size=n) + 0.8 * rng.normal(size=24)[place]
    y += 1.5 * rng.normal(size=12)[place // 2] + 0.9 * rng.normal(size=6)[rater]
    y += 0.7 * rng.normal(size=12)[place // 2] * x
    columns = {"x": x, "school": place // 2, "class": 1 + place % 2}
    return pd.DataFrame({**columns, "rater": [f"r{i}" for i in rater], "y": y})


FRAME = make()
WHOLE = {}


def whole(name):
    """The fit in memory; each is made once."""
    if name not in WHOLE:
        WHOLE[name] = clone(MODELS[name]).fit(*split(name))
    return WHOLE[name]


def split(name, rows=FRAME):
    """X and y of a model."""
    columns = (
        ["x", "school", "rater"] if name != "joined" else ["x", "school", "class", "rater"]
    )
    return rows[columns], rows["y"]


def assert_same_fit(found, expected, rtol=1e-9):
    for name in ("criterion_", "coef_", "intercept_", "theta_", "residual_variance_"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=rtol, err_msg=name
        )
    for name, effects in expected.random_effects_.items():
        np.testing.assert_allclose(found.random_effects_[name], effects, atol=10 * rtol)
        pd.testing.assert_index_equal(found.groups_[name], expected.groups_[name])
        pd.testing.assert_series_equal(found.group_sizes_[name], expected.group_sizes_[name])


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("name", MODELS)
def test_partitions_give_the_fit_of_the_whole(name, scheduler):
    X, y = split(name, dd.from_pandas(FRAME, npartitions=11))
    with dask.config.set(scheduler=scheduler):
        model = clone(MODELS[name]).fit(X, y)
    assert_same_fit(model, whole(name))
    np.testing.assert_allclose(model.predict(X).compute(), whole(name).predict(split(name)[0]))
    assert model.score(X, y) == pytest.approx(whole(name).score(*split(name)), rel=1e-12)
    again = pickle.loads(pickle.dumps(model)).partial_fit(*split(name, FRAME[:50]))
    more = clone(model).fit(*split(name, pd.concat([FRAME, FRAME[:50]])))
    assert_same_fit(again, more)


@given(st.data())
@settings(deadline=None, derandomize=True, max_examples=10)
def test_partitions_of_any_size_even_empty_and_in_any_order(data):
    name = data.draw(st.sampled_from(sorted(MODELS)))
    rows = FRAME.iloc[data.draw(st.permutations(range(300)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, 300), max_size=12)))
    pieces = [rows.iloc[i:j] for i, j in zip([0, *cuts], [*cuts, 300], strict=True)]
    parts = dd.from_map(lambda piece: piece, pieces, meta=FRAME[:0])
    with dask.config.set(scheduler="synchronous"):
        model = clone(MODELS[name]).fit(*split(name, parts))
    assert_same_fit(model, whole(name))


@pytest.mark.parametrize("kind", ["table", "arrays", "unknown"])
def test_factors_beside_the_features(kind):
    rows = FRAME.assign(rater=100 + FRAME["rater"].str[1:].astype(int))
    model = RandomInterceptRegressor()
    expected = clone(model).fit(rows[["x"]].to_numpy(), rows["y"], groups=rows[BOTH].to_numpy())
    if kind == "table":
        parts = dd.from_pandas(rows, npartitions=5)
        X, y, groups = parts[["x"]], parts["y"], parts[BOTH]
        expected = clone(model).fit(rows[["x"]], rows["y"], groups=rows[BOTH])
    else:
        X = da.from_array(rows[["x"]].to_numpy(), chunks=70)
        y = da.from_array(rows["y"].to_numpy(), chunks=300 if kind == "arrays" else 70)
        groups = da.from_array(rows[BOTH].to_numpy(), chunks=(40, 1))
        if kind == "unknown":
            groups = groups.rechunk({0: 70})
            X, y, groups = X[X[:, 0] > -9], y[X[:, 0] > -9], groups[X[:, 0] > -9]
    model.fit(X, y, groups=groups)
    assert_same_fit(model, expected)
    given = rows[BOTH] if kind == "table" else rows[BOTH].to_numpy()
    features = rows[["x"]] if kind == "table" else rows[["x"]].to_numpy()
    mean, std = expected.predict(features, groups=given, return_std=True)
    found = model.predict(X, groups=groups, return_std=True)
    np.testing.assert_allclose(found[0].compute(), mean)
    np.testing.assert_allclose(found[1].compute(), std)
    assert model.score(X, y, groups=groups) == pytest.approx(
        expected.score(features, rows["y"], groups=given)
    )
    if kind == "table":
        turned = model.predict(X, groups=groups[BOTH[::-1]]).compute()
        np.testing.assert_allclose(turned, mean)
    with pytest.raises(ValueError, match="with groups of several factors"):
        model.predict(X)


def test_weights():
    weight = pd.Series(np.random.default_rng(0).integers(0, 3, 300) * 1.0)
    weight[:60] = 0.0  # whole partitions, and whole levels
    rows = FRAME.assign(weight=weight)
    rows.loc[:10, "rater"] = "nobody"
    parts = dd.from_pandas(rows, npartitions=15)
    model = clone(MODELS["slopes"]).fit(*split("slopes", parts), sample_weight=parts["weight"])
    expected = clone(model).fit(*split("slopes", rows), sample_weight=weight)
    assert_same_fit(model, expected)
    assert "nobody" not in model.groups_["rater"]


def test_categories_that_differ_between_partitions():
    pieces = [
        piece.assign(rater=piece["rater"].astype("category"))
        for _, piece in FRAME.sort_values("rater").groupby(np.arange(300) // 60)
    ]
    parts = dd.from_map(lambda piece: piece, pieces)
    parts["rater"] = parts["rater"].cat.as_unknown()
    assert_same_fit(clone(MODELS["crossed"]).fit(*split("crossed", parts)), whole("crossed"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rater": FRAME["rater"].where(FRAME.index % 100 > 0)},
            "Factor 'rater': `groups` must have a label for every row in fit, but 3 of 300",
        ),
        (
            {"school": FRAME["school"].astype(object).where(FRAME.index < 290, "other")},
            "Factor 'school': `groups` must have labels of the same type",
        ),
        ({"rater": FRAME["x"]}, "Factor 'rater': .* numbers that are not whole"),
        ({"rater": "r1"}, "Factor 'rater' must have at least two groups"),
        ({"rater": FRAME["school"]}, "'school' and 'rater' divide the rows into the same"),
        ({"x": np.inf}, "infinity"),
    ],
)
def test_rows_that_cannot_be_used_change_nothing(change, message):
    with dask.config.set({"dataframe.convert-string": False}):
        parts = dd.from_pandas(FRAME, npartitions=30)
        bad = parts.map_partitions(
            lambda piece: FRAME.assign(**change).loc[piece.index],
            meta=FRAME.assign(**change)[:0],
        )
    model = clone(whole("crossed"))
    for before in ({}, vars(whole("crossed")).copy()):
        vars(model).update(before)
        kept = vars(model).copy()
        with pytest.raises(ValueError, match=message):
            model.fit(*split("crossed", bad))
        assert vars(model).keys() == kept.keys()
        assert all(vars(model)[key] is value for key, value in kept.items())


def test_other_models():
    parts = dd.from_pandas(FRAME, npartitions=4)
    X, y = split("crossed", parts)
    whole = FixedEffectsRegressor(group_by=BOTH).fit(*split("crossed"))
    for fixed in (
        FixedEffectsRegressor(group_by=BOTH).fit(X, y),
        FixedEffectsRegressor().fit(X[["x"]], y, groups=X[BOTH]),
    ):
        assert fixed.coef_[0] == pytest.approx(whole.coef_[0], rel=1e-9)
        assert fixed.uninformative_rows_ is None
    with pytest.raises(NotAvailableError, match="does not exist yet for several"):
        FixedEffectsRegressor("x", group_by=BOTH).fit(X, y)
    expected = PooledRegressor().fit(FRAME[["x"]], FRAME["y"])
    by_name = PooledRegressor(group_by=BOTH).fit(X, y)
    beside = PooledRegressor().fit(X[["x"]], y, groups=X[BOTH].where(X["x"] > 0))
    for model in (by_name, beside):
        assert model.coef_[0] == pytest.approx(expected.coef_[0], rel=1e-9)
    one = RandomInterceptRegressor().fit(X[["x"]], y, groups=X[["school"]])
    alone = clone(one).fit(FRAME[["x"]], FRAME["y"], groups=FRAME["school"])
    np.testing.assert_allclose(one.theta_, alone.theta_, rtol=1e-9)
    pd.testing.assert_index_equal(one.groups_, alone.groups_)
    predicted = one.predict(X[["x"]], groups=X[["school"]]).compute()
    np.testing.assert_allclose(predicted, alone.predict(FRAME[["x"]], groups=FRAME["school"]))
    assert one.score(X[["x"]], y, groups=X[["school"]]) > 0
