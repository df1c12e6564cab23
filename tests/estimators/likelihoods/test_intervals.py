"""Profile limits: where a likelihood-ratio test begins to reject."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import chi2

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomSlopeClassifier,
)
from skmixed.exceptions import NotAvailableError, SingularFitWarning


def criterion_where(coefficient, counts):
    """-2 log L of counts whose coefficient of x has a value: as an exposure, exp(x value)."""
    X, y, groups = counts
    weight = np.exp(coefficient * X["x"].to_numpy())
    model = RandomInterceptPoissonRegressor()
    model.fit(X[["z"]], y / weight, groups, sample_weight=weight)
    constant = y @ np.log(weight) - gammaln(y + 1).sum() + weight @ gammaln(y / weight + 1)
    return -2 * (model.log_likelihood_ + constant)


def test_limits_of_a_coefficient(counts):
    model = RandomInterceptPoissonRegressor().fit(*counts)
    limits = model.confint(0.9)
    rises = [criterion_where(limits.loc["x", name], counts) for name in ("lower", "upper")]
    expected = model.criterion_ + chi2.isf(0.1, 1)
    np.testing.assert_allclose(rises, expected, atol=2e-3)
    np.testing.assert_array_equal(limits["estimate"], model.confint(method="wald")["estimate"])


def test_limits_of_the_standard_deviation(binary):
    model = RandomInterceptClassifier().fit(*binary)
    limits = model.confint()
    lower, upper = limits.loc["sd_(Intercept)|group", ["lower", "upper"]]
    estimate = np.sqrt(model.random_effects_cov_.iloc[0, 0])
    assert 0 < lower < estimate < upper
    wider = model.confint(0.99).loc["sd_(Intercept)|group"]
    assert wider["lower"] < lower
    assert upper < wider["upper"]
    wald = model.confint(method="wald")
    half = (limits["upper"] - limits["lower"])[1:] / 2
    np.testing.assert_allclose(half, (wald["upper"] - wald["lower"])[1:] / 2, rtol=0.1)


def test_a_variance_of_zero_has_the_lower_limit_zero():
    rng = np.random.default_rng(0)
    codes, y = np.repeat(np.arange(40), 5), np.tile([0, 1, 0, 1, 1], 40)
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptClassifier().fit(rng.normal(size=(200, 1)), y, codes)
    lower, upper = model.confint().loc["sd_(Intercept)|group", ["lower", "upper"]]
    assert lower == 0
    assert 0.05 < upper < 1


def test_several_random_effects(binary):
    model = RandomSlopeClassifier("x").fit(*binary)
    limits = model.confint()
    names = ["sd_(Intercept)|group", "cor_x.(Intercept)|group", "sd_x|group"]
    assert list(limits.index) == [*names, "(Intercept)", "x", "z"]
    assert limits.loc[names, ["lower", "upper"]].isna().all(axis=None)
    inside = limits.iloc[3:]
    assert (inside["lower"] < inside["estimate"]).all()
    assert (inside["estimate"] < inside["upper"]).all()


def test_a_stored_model_has_no_rows_to_profile(binary):
    model = RandomInterceptClassifier().fit(*binary)
    again = pickle.loads(pickle.dumps(model))
    with pytest.raises(NotAvailableError, match="needs the rows of the fit"):
        again.confint()
    expected = model.confint(method="wald")
    np.testing.assert_allclose(again.confint(method="wald"), expected, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [18, 26, 56])
def test_a_variance_that_is_hardly_bounded_has_a_lower_limit(seed):
    rng = np.random.default_rng(seed)
    n_groups, n = int(rng.integers(3, 9)), int(rng.integers(10, 40))
    groups, X = rng.integers(0, n_groups, n), rng.normal(size=(n, 1))
    effects = rng.normal(size=n_groups) * rng.choice([1, 3, 6])
    y = rng.random(n) < 1 / (1 + np.exp(-X[:, 0] - effects[groups]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # variance, and limits, that run away
        model = RandomInterceptClassifier().fit(X, y, groups)
        limits = model.confint().iloc[0]
    assert limits["estimate"] > 10
    assert 0 < limits["lower"] < limits["estimate"]
