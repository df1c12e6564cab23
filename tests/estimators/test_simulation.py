"""Rows of y drawn from fitted models."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
    RandomSlopeClassifier,
    RandomSlopePoissonRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import (
    load_bacteria,
    load_epilepsy,
    load_penicillin,
    load_sleepstudy,
    make_mixed_regression,
)
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning


@pytest.fixture(scope="module")
def sleep():
    X, y, groups = load_sleepstudy(return_X_y=True)
    return RandomSlopeRegressor("Days").fit(X, y, groups=groups), X, y, groups


def assert_moments(draws, mean, cov):
    """Means and covariances of draws of normal rows, within 4.5 standard errors."""
    n = draws.shape[1]
    variances = np.diag(cov)
    assert np.all(np.abs(draws.mean(axis=1) - mean) <= 4.5 * np.sqrt(variances / n))
    errors = np.sqrt((np.outer(variances, variances) + cov**2) / n)
    assert np.all(np.abs(np.cov(draws) - cov) <= 4.5 * errors)


def dense_covariance(X, codes, cov, residual):
    """Z Psi Z' of rows of the same group, and the variances of residuals."""
    Z = np.column_stack([np.ones(len(X)), X])[:, : len(cov)]
    same = codes[:, None] == codes
    return same * (Z @ np.asarray(cov) @ Z.T) + residual * np.eye(len(X))


def test_draws_have_the_moments_of_the_model(sleep):
    model, X, _, groups = sleep
    X, labels = X[:13], groups[:13].replace({308: -1})  # a new group, and three rows of 309
    draws = model.simulate(X, labels, n_draws=4000, random_state=0)
    cov = dense_covariance(
        X.to_numpy(), labels.to_numpy(), model.random_effects_cov_, model.residual_variance_
    )
    assert_moments(draws, model.predict_population(X), cov)


def test_known_groups_keep_their_effects(sleep):
    model, X, _, groups = sleep
    X, labels = X[5:15], groups[5:15].replace({308: 999})  # new, then 309
    draws = model.simulate(X, labels, n_draws=4000, random_state=0, conditional=True)
    cov = dense_covariance(
        X.to_numpy(), labels.to_numpy(), model.random_effects_cov_, model.residual_variance_
    )
    cov[5:, 5:] = model.residual_variance_ * np.eye(5)
    assert_moments(draws, model.predict(X, labels), cov)


def test_precisions_and_missing_labels(sleep):
    model, X, _, _ = sleep
    weight = np.array([0.5, 1.0, 2.0, 4.0])
    labels = pd.Series([None, None, 308, 308], dtype="Int64")
    draws = model.simulate(X[:4], labels, n_draws=4000, random_state=1, sample_weight=weight)
    cov = dense_covariance(
        X[:4].to_numpy(), np.array([0, 1, 2, 2]), model.random_effects_cov_, 0.0
    )
    cov += np.diag(model.residual_variance_ / weight)
    assert_moments(draws, model.predict_population(X[:4]), cov)


def test_several_factors():
    X, y, factors = load_penicillin(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=factors)
    rows = [0, 1, 6, 7]  # two samples on two plates
    draws = model.simulate(X.iloc[rows], factors.iloc[rows], n_draws=4000, random_state=0)
    cov = model.residual_variance_ * np.eye(4)
    for name, table in model.random_effects_cov_.items():
        labels = factors[name].to_numpy()[rows]
        cov += (labels[:, None] == labels) * table.to_numpy().item()
    assert_moments(draws, model.predict_population(X.iloc[rows]), cov)
    plate = factors.columns[0]
    new = factors.iloc[rows].assign(**{plate: "new"})
    draws = model.simulate(X.iloc[rows], new, n_draws=4000, random_state=0, conditional=True)
    shared = model.random_effects_cov_[plate].to_numpy().item()
    cov = np.full((4, 4), shared) + model.residual_variance_ * np.eye(4)
    assert_moments(draws, model.predict(X.iloc[rows], new), cov)


def test_seeds_containers_and_ways_to_say_the_group(sleep):
    model, X, y, groups = sleep
    expected = model.simulate(X, groups, n_draws=3, random_state=5)
    np.testing.assert_array_equal(model.simulate(X, groups, random_state=5), expected[:, :1])
    assert not np.array_equal(model.simulate(X, groups, random_state=6), expected[:, :1])
    given = {"n_draws": 3, "random_state": 5}
    other = pl.from_pandas(X), pl.Series("Subject", groups.astype(str).to_list())
    by_text = clone(model).fit(other[0], y, groups=other[1])
    np.testing.assert_allclose(by_text.simulate(*other, **given), expected)
    table = X.assign(Subject=groups)
    by_column = RandomSlopeRegressor("Days", group_by="Subject").fit(table, y)
    np.testing.assert_array_equal(by_column.simulate(table, **given), expected)
    array = RandomSlopeRegressor([0]).fit(X.to_numpy(), y.to_numpy(), groups.to_numpy())
    drawn = array.simulate(X.to_numpy(), groups.to_numpy(), **given)
    np.testing.assert_array_equal(drawn, expected)


def test_a_refit_gets_the_parameters_back():
    X, y, groups = make_mixed_regression(
        6_000, 1, 600, slope_variances=[0.4], balanced=False, random_state=0
    )
    model = RandomSlopeRegressor("all").fit(X, y, groups=groups)
    drawn = model.simulate(X, groups, random_state=1)[:, 0]
    refit = clone(model).fit(X, drawn, groups=groups)
    errors = np.sqrt(np.diag(model.coef_cov_))
    difference = refit.coef_ - model.coef_, refit.intercept_ - model.intercept_
    assert np.all(np.abs(np.append(difference[1], difference[0])) < 4 * errors)
    np.testing.assert_allclose(refit.residual_variance_, model.residual_variance_, rtol=0.08)
    np.testing.assert_allclose(
        np.diag(refit.random_effects_cov_), np.diag(model.random_effects_cov_), rtol=0.25
    )


@pytest.mark.parametrize("family", ["binary", "counts"])
def test_a_refit_of_outcomes(family):
    rng = np.random.default_rng(0)
    groups, X = np.repeat(np.arange(200), 10), rng.normal(size=(2_000, 1))
    eta = 0.4 + 0.7 * X[:, 0] + rng.normal(size=200)[groups]
    if family == "binary":
        model, weight = RandomInterceptClassifier(), None
        y = np.where(rng.random(2_000) < 1 / (1 + np.exp(-eta)), "yes", "no")
    else:
        model, weight = RandomInterceptPoissonRegressor(), rng.choice([0.5, 3.0], 2_000)
        y = rng.poisson(weight * np.exp(eta)) / weight
    model.fit(X, y, groups=groups, sample_weight=weight)
    drawn = model.simulate(X, groups, random_state=1, sample_weight=weight)[:, 0]
    assert drawn.dtype == y.dtype
    refit = clone(model).fit(X, drawn, groups=groups, sample_weight=weight)
    assert refit.coef_ == pytest.approx(model.coef_, abs=0.2)
    sds = [float(np.sqrt(m.random_effects_cov_.to_numpy().item())) for m in (model, refit)]
    assert sds[1] == pytest.approx(sds[0], rel=0.2)


def test_outcomes_have_the_averaged_means():
    X, y, groups = load_bacteria(return_X_y=True)
    with pytest.warns(SingularFitWarning, match="perfectly correlated"):
        model = RandomSlopeClassifier("week").fit(X, y, groups=groups)
    rows, labels = X[:6], list("abcdef")
    again = pickle.loads(pickle.dumps(model))
    draws = again.simulate(rows, labels, n_draws=4000, random_state=0)
    assert set(np.unique(draws)) == set(model.classes_)
    share = np.mean(draws == model.classes_[1], axis=1)
    assert share == pytest.approx(model.predict_population(rows), abs=0.035)


def test_rates_are_counts_over_exposures():
    X, y, groups = load_epilepsy(return_X_y=True)
    model = RandomSlopePoissonRegressor("period").fit(X, y, groups=groups)
    exposure = np.array([1.0, 8.0])
    draws = model.simulate(
        X[:2],
        groups[:2],
        n_draws=6000,
        random_state=0,
        conditional=True,
        sample_weight=exposure,
    )
    counts = draws * exposure[:, None]
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-9)
    mean = np.exp(model.linear_predictor(X[:2], groups[:2]))
    errors = np.sqrt(mean / exposure / 6000)
    assert np.all(np.abs(draws.mean(axis=1) - mean) < 4 * errors)
    np.testing.assert_allclose(draws.var(axis=1), mean / exposure, rtol=0.1)


def test_regressions_are_drawn_around_their_predictions(sleep):
    _, X, y, groups = sleep
    fixed = FixedEffectsRegressor("Days").fit(X, y, groups=groups)
    draws = fixed.simulate(X[:12], groups[:12], n_draws=4000, random_state=0)
    cov = fixed.residual_variance_ * np.eye(12)
    assert_moments(draws, fixed.predict(X[:12], groups[:12]), cov)
    pooled = PooledRegressor().fit(X, y)
    draws = pooled.simulate(X[:3], n_draws=4000, random_state=0)
    assert_moments(draws, pooled.predict(X[:3]), pooled.residual_variance_ * np.eye(3))
    with pytest.raises(
        ValueError, match=r"fixed effects have no distribution .* but 2 of 3 rows"
    ):
        fixed.simulate(X[:3], [1, 308, 2])
    with pytest.raises(ValueError, match="`groups` must be given to `simulate`"):
        fixed.simulate(X[:3])


def test_effects_that_do_not_vary_are_not_drawn():
    rng = np.random.default_rng(3)
    groups, X = np.repeat(np.arange(20), 5), rng.normal(size=(100, 1))
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptRegressor().fit(X, rng.normal(size=100), groups=groups)
    assert model.singular_
    rows = np.zeros((2, 1))
    draws = model.simulate(rows, [0, 0], n_draws=4000, random_state=0)
    assert_moments(draws, model.predict_population(rows), model.residual_variance_ * np.eye(2))
    with pytest.warns(MissingGroupsWarning):
        pooled = RandomInterceptRegressor().fit(X, X[:, 0] + rng.normal(size=100))
    draws = pooled.simulate(rows, n_draws=4000, random_state=0)
    assert_moments(draws, pooled.predict(rows), pooled.residual_variance_ * np.eye(2))


def test_what_is_refused(sleep):
    model, X, y, groups = sleep
    with pytest.raises(ValueError, match="`groups` must be given to `simulate`"):
        model.simulate(X)
    with pytest.raises(ValueError, match="'n_draws' parameter of"):
        model.simulate(X, groups, n_draws=0)
    with pytest.raises(ValueError, match=r"are 0\. Leave those rows out\.$"):
        model.simulate(X[:2], groups[:2], sample_weight=[0, 1])
    strict = clone(model).set_params(new_groups="error").fit(X, y, groups=groups)
    assert strict.simulate(X[:2], [1, 2]).shape == (2, 1)  # effects are drawn anyway
    with pytest.raises(ValueError, match=r"since new_groups='error', but 1 are new: 1;"):
        strict.simulate(X[:2], [1, 308], conditional=True)
    binary = RandomInterceptClassifier().fit(X, y > 300, groups=groups)
    with pytest.raises(ValueError, match="must be None where labels are drawn"):
        binary.simulate(X, groups, sample_weight=np.ones(len(X)))
    counts = RandomInterceptPoissonRegressor().fit(X, np.rint(y / 10), groups=groups)
    with pytest.raises(ValueError, match="counts over exposures, but 1 are 0"):
        counts.simulate(X[:2], groups[:2], sample_weight=[0, 1])
    with pytest.raises(ValueError, match=r"A mean of .* is drawn from, but counts beyond 9"):
        counts.simulate(X[:2] + 1e4, groups[:2])


def test_memory_is_that_of_the_draws():
    X, y, groups = make_mixed_regression(
        20_000, 3, 2_000, slope_variances=[0.3, 0, 0], random_state=0
    )
    model = RandomSlopeRegressor([0]).fit(X, y, groups=groups)
    tracemalloc.start()
    draws = model.simulate(X, groups, n_draws=20, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < draws.nbytes + 8 * 8 * len(y)
