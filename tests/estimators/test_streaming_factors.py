"""Several grouping factors in batches, from sums, and with groups learned after the fit."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from dense_oracle import dense_factors
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)

BOTH = ["school", "rater"]
NESTED = ["school", ("school", "class")]
MODELS = {
    "crossed": RandomInterceptRegressor(group_by=BOTH, tol=1e-13),
    "nested": RandomInterceptRegressor(group_by=NESTED, tol=1e-13),
    "three": RandomInterceptRegressor(group_by=[*NESTED, "rater"], method="ml", tol=1e-13),
    "slopes": RandomSlopeRegressor({"school": "x"}, group_by=BOTH, tol=1e-13),
    "diagonal": RandomSlopeRegressor("x", group_by=BOTH, covariance="diag", tol=1e-13),
}


def make(n, seed=0):
    """Pupils of classes 1, 2 and 3 in schools, each marked by a rater."""
    rng = np.random.default_rng(seed)
    place, rater = rng.integers(0, 30, n), rng.integers(0, 7, n)
    school, x = place // 3, rng.normal(size=(n, 2)) + 3.0
    y = 5 + x @ [0.5, -1.0] + rng.normal(size=n) + 0.9 * rng.normal(size=30)[place]
    for codes, size in ((school, 10), (rater, 7)):
        level, slope = rng.normal(size=(2, size))
        y += level[codes] + 0.6 * slope[codes] * (x[:, 0] - 3)
    columns = {"x": x[:, 0], "z": x[:, 1], "school": school, "class": 1 + place % 3}
    return pd.DataFrame({**columns, "rater": [f"r{i}" for i in rater]}), pd.Series(y, name="y")


ROWS = make(400)


@pytest.fixture(params=list(MODELS))
def model(request):
    return clone(MODELS[request.param])


def of_model(model, X):
    """The features, and the columns that the model names."""
    factors = (f if isinstance(f, tuple) else (f,) for f in model.group_by)
    return X[["x", "z", *dict.fromkeys(column for f in factors for column in f)]]


def assert_same_fit(found, expected, rtol=1e-9):
    """All that a fit has learned; effects relative to the largest."""
    assert found.criterion_ == pytest.approx(expected.criterion_, rel=1e-10)
    for name in ("coef_", "intercept_", "residual_variance_", "theta_"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=rtol, err_msg=name
        )
    assert list(found.groups_) == list(expected.groups_)
    for name, effects in expected.random_effects_.items():
        scale = effects.abs().max().max()
        np.testing.assert_allclose(
            found.random_effects_[name] / scale, effects / scale, atol=10 * rtol
        )
        pd.testing.assert_index_equal(found.groups_[name], expected.groups_[name])
        pd.testing.assert_series_equal(found.group_sizes_[name], expected.group_sizes_[name])


def in_batches(model, parts, X, y, weight=None):
    for part in parts:
        options = {} if weight is None else {"sample_weight": weight[part]}
        model.partial_fit(X.iloc[part], y.iloc[part], **options)
    return model


def summed(model, X, y, slopes="all", **options):
    return GroupedMoments.from_rows(X, y, slopes=slopes, group_by=model.group_by, **options)


# ---------------------------------------------------------------- batches, and sums of parts


@pytest.mark.parametrize("weighted", [False, True])
def test_batches_and_sums_give_the_fit_of_the_whole(model, weighted):
    X, y = of_model(model, ROWS[0]), ROWS[1]
    weight = np.random.default_rng(1).integers(0, 3, len(y)) * 1.0 if weighted else None
    whole = clone(model).fit(X, y, sample_weight=weight)
    parts = np.split(np.arange(len(y)), [1, 2, 90, 300])
    if weighted:
        parts[:2] = [np.arange(2)]
        weight[0] = 1.0
        whole.fit(X, y, sample_weight=weight)
    assert_same_fit(in_batches(clone(model), parts, X, y, weight), whole)
    sums = [
        summed(model, X.iloc[p], y.iloc[p], sample_weight=None if weight is None else weight[p])
        for p in parts
    ]
    found = clone(model).fit_moments(sum(pickle.loads(pickle.dumps(part)) for part in sums))
    assert_same_fit(found, whole)
    np.testing.assert_allclose(
        found.predict_interval(X), whole.predict_interval(X), rtol=1e-7
    )


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.data())
def test_batches_of_any_size_in_any_order(data):
    name = data.draw(st.sampled_from(sorted(MODELS)))
    X, y = of_model(MODELS[name], ROWS[0]), ROWS[1]
    order = np.array(data.draw(st.permutations(range(len(y)))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(y) - 1), max_size=8)))
    parts = np.split(order, cuts)
    whole = fits(name)
    assert_same_fit(in_batches(clone(whole), parts, X, y), whole)
    sums = [summed(whole, X.iloc[part], y.iloc[part]) for part in parts]
    more = summed(whole, X.iloc[:50], y.iloc[:50])
    total = sum(data.draw(st.permutations([*sums, more]))) - more
    assert_same_fit(clone(whole).fit_moments(total), whole)


def fits(name, _cache={}):  # noqa: B006 - each model is fitted once
    if name not in _cache:
        _cache[name] = clone(MODELS[name]).fit(of_model(MODELS[name], ROWS[0]), ROWS[1])
    return _cache[name]
