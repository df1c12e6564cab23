"""What must not matter does not, and what must scale does, on random data."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from skmixed import RandomInterceptRegressor
from skmixed.datasets import make_mixed_regression
from skmixed.exceptions import SingularFitWarning

settings.register_profile(
    "here",
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("here")

SEEDS = st.integers(0, 10**6)
METHODS = st.sampled_from(["reml", "ml"])


def draw_rows(seed):
    rng = np.random.default_rng(seed)
    return make_mixed_regression(
        int(rng.integers(25, 120)),
        int(rng.integers(1, 4)),
        int(rng.integers(3, 12)),
        intercept_variance=rng.choice([0.3, 2.0, 30.0]),
        balanced=bool(rng.integers(2)),
        random_state=seed,
    )


def fit(X, y, groups, **options):
    weight = options.pop("sample_weight", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return RandomInterceptRegressor(**options).fit(
            X, y, groups=groups, sample_weight=weight
        )


def assert_same(one, other, scale=1.0):
    """Same fit; `scale` is that of y in `other` against `one`."""
    np.testing.assert_allclose(other.theta_, one.theta_, rtol=1e-5, atol=1e-7)
    std = np.sqrt(one.residual_variance_)
    effects = one.random_effects_.to_numpy()
    np.testing.assert_allclose(other.random_effects_ / scale, effects, atol=1e-6 * std)
    ratio = other.residual_variance_ / scale**2
    assert ratio == pytest.approx(one.residual_variance_, rel=1e-6)


@given(SEEDS, METHODS)
def test_order_of_rows(seed, method):
    X, y, groups = draw_rows(seed)
    order = np.random.default_rng(seed).permutation(len(y))
    one, other = (
        fit(X[rows], y[rows], groups[rows], method=method) for rows in (slice(None), order)
    )
    assert_same(one, other)
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-8)


@given(SEEDS, st.permutations(list("abcdefghijkl")))
def test_names_of_groups(seed, names):
    X, y, groups = draw_rows(seed)
    one, other = fit(X, y, groups), fit(X, y, np.array(names)[groups])
    renamed = other.random_effects_.loc[np.array(names)[one.groups_]]
    np.testing.assert_allclose(renamed, one.random_effects_, atol=1e-8)
    assert one.criterion_ == pytest.approx(other.criterion_, abs=1e-9)


@given(SEEDS, st.sampled_from([1e-6, 0.1, 1e7]), st.sampled_from([0.0, -5.0, 1e3]), METHODS)
def test_shift_and_scale_of_y(seed, scale, shift, method):
    X, y, groups = draw_rows(seed)
    one = fit(X, y, groups, method=method)
    other = fit(X, scale * (y + shift), groups, method=method)
    assert_same(one, other, scale)
    np.testing.assert_allclose(other.coef_ / scale, one.coef_, rtol=1e-5, atol=1e-7)
    dof = len(y) - (X.shape[1] + 1 if method == "reml" else 0)
    expected = one.criterion_ + 2 * dof * np.log(scale)
    assert other.criterion_ == pytest.approx(expected, abs=1e-6)


@given(SEEDS, METHODS)
def test_a_large_offset_costs_no_digits(seed, method):
    X, y, groups = draw_rows(seed)
    X, y = np.round(X * 2**20) / 2**20, np.round(y * 2**20) / 2**20  # exact after the shift
    one, other = (
        fit(X, y, groups, method=method),
        fit(X + 2**20, y + 2**27, groups, method=method),
    )
    assert_same(one, other)
    np.testing.assert_allclose(other.coef_, one.coef_, atol=1e-7)
    assert other.criterion_ == pytest.approx(one.criterion_, abs=1e-7)


@given(SEEDS, METHODS)
def test_equivalent_bases_of_x(seed, method):
    X, y, groups = draw_rows(seed)
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(X.shape[1],) * 2) + 3 * np.eye(X.shape[1])
    assume(np.linalg.cond(basis) < 1e3)
    one = fit(X, y, groups, method=method)
    other = fit(X @ basis + rng.normal(size=X.shape[1]), y, groups, method=method)
    assert_same(one, other)
    log_det = 2 * np.linalg.slogdet(basis)[1] if method == "reml" else 0.0
    assert other.criterion_ == pytest.approx(one.criterion_ + log_det, abs=1e-6)


@given(SEEDS, METHODS)
def test_weights_are_repetitions(seed, method):
    X, y, groups = draw_rows(seed)
    w = np.random.default_rng(seed).integers(0, 4, len(y))
    times = np.repeat(np.arange(len(y)), w)
    assume(pd.Series(groups[times]).value_counts().gt(3).any())
    weighted = fit(X, y, groups, method=method, sample_weight=w)
    repeated = fit(X[times], y[times], groups[times], method=method)
    assert_same(weighted, repeated)
    assert weighted.criterion_ == pytest.approx(repeated.criterion_, abs=1e-7)


@given(SEEDS)
def test_random_effects_lie_between_zero_and_the_group_mean(seed):
    X, y, groups = draw_rows(seed)
    model = fit(X, y, groups)
    residual = pd.Series(y - model.predict_population(X)).groupby(groups).mean()
    weights = model.pooling_weights_["(Intercept)"]
    expected = weights * residual
    np.testing.assert_allclose(model.random_effects_["(Intercept)"], expected, atol=1e-8)
    assert weights.between(0, 1).all()
