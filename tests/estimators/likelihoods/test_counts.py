"""Counts: averaged means, exposures as weights, dispersion."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import d2_tweedie_score

from skmixed import RandomInterceptPoissonRegressor, RandomSlopePoissonRegressor
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning


@pytest.fixture(scope="module")
def fitted(counts):
    return RandomInterceptPoissonRegressor().fit(*counts)


def test_means_are_averaged(counts, fitted):
    X, y, groups = counts
    eta = X.to_numpy() @ fitted.coef_ + fitted.intercept_
    psi = fitted.random_effects_cov_.iloc[0, 0]
    new = np.exp(eta + psi / 2)
    np.testing.assert_allclose(fitted.predict(X, ["new"] * 300), new)
    np.testing.assert_allclose(fitted.predict_population(X), new)
    np.testing.assert_allclose(fitted.predict_population(X, average=False), np.exp(eta))
    at = np.linspace(-8, 8, 8001)
    for group in np.unique(groups)[:4]:
        rows = groups == group
        b = np.sqrt(psi) * at
        log_density = -(at**2) / 2 + y[rows].sum() * b - np.exp(eta[rows]).sum() * np.exp(b)
        density = np.exp(log_density - log_density.max())
        mean = np.exp(eta[:5]) * (density @ np.exp(b)) / density.sum()
        np.testing.assert_allclose(fitted.predict(X[:5], [group] * 5), mean, rtol=1e-5)


def test_means_with_slopes(counts):
    X, y, groups = counts
    model = RandomSlopePoissonRegressor("x").fit(X, y, groups)
    eta = X.to_numpy() @ model.coef_ + model.intercept_
    Z = np.column_stack([np.ones(300), X["x"]])
    spread = np.einsum("na,ab,nb->n", Z, model.random_effects_cov_, Z)
    np.testing.assert_allclose(model.predict_population(X), np.exp(eta + spread / 2))
    blocks = model.conditional_cov_.to_numpy().reshape(20, 2, 2)
    places = model.groups_.get_indexer(groups)
    own = np.einsum("na,na->n", Z, model.random_effects_.to_numpy()[places])
    left = np.einsum("na,nab,nb->n", Z, blocks[places], Z)
    np.testing.assert_allclose(model.predict(X, groups), np.exp(eta + own + left / 2))


def test_score_is_explained_deviance(counts, fitted):
    X, y, groups = counts
    predicted = fitted.predict(X, groups)
    expected = d2_tweedie_score(y, predicted, power=1)
    assert fitted.score(X, y, groups) == pytest.approx(expected)
    weight = 1 + np.arange(300) % 3
    expected = d2_tweedie_score(y, predicted, power=1, sample_weight=weight)
    assert fitted.score(X, y, groups, sample_weight=weight) == pytest.approx(expected)


@pytest.mark.parametrize("count", [3, 4])
def test_score_of_counts_that_do_not_vary(counts, count):
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptPoissonRegressor().fit(counts.X, np.full(300, 3), counts.groups)
    score = model.score(counts.X, np.full(300, count), counts.groups)
    assert score == (count == 3)


def test_wrong_counts(counts):
    X, y, groups = counts
    model = RandomInterceptPoissonRegressor()
    with pytest.raises(ValueError, match=r"not negative, but \d+ of 300 values are, the least"):
        model.fit(X, y - 1, groups)
    with pytest.raises(ValueError, match="a count above 0, but all 300 are 0"):
        model.fit(X, 0 * y, groups)
    with pytest.raises(ValueError, match="y must be numeric"):
        model.fit(X, np.full(300, "a few"), groups)
    with pytest.raises(ValueError, match=r"at most 2e\+10, but the largest is \d"):
        model.fit(X, 1e11 * y, groups)
    with pytest.raises(ValueError, match=r"at most 2e\+10"):
        model.fit(X, y, groups, sample_weight=np.full(300, 1e11))
    assert model.__sklearn_tags__().target_tags.positive_only


def test_numbers_that_are_not_whole(counts):
    X, y, groups = counts
    model, exposure = RandomInterceptPoissonRegressor(), np.linspace(0.5, 7.0, 300)
    model.fit(X, y / exposure, groups, sample_weight=exposure)  # a rate, without a warning
    model.fit(X, (y / exposure).astype(np.float32), groups, sample_weight=exposure)
    model.fit(X, y, groups, sample_weight=exposure)
    with pytest.warns(UserWarning, match=r"^y holds .* not whole, such as \d.* its exposure"):
        model.fit(X, y / exposure, groups)
    with pytest.warns(UserWarning, match="y times `sample_weight` holds numbers"):
        model.fit(X, y / exposure, groups, sample_weight=exposure / exposure.mean())


def test_means_beyond_all_numbers_are_finite(fitted):
    far = pd.DataFrame({"x": [1e5, -1e5], "z": [0.0, 0.0]})
    mean = fitted.predict(far, ["a new school"] * 2)
    assert np.isfinite(mean).all()
    np.testing.assert_array_equal(fitted.predict_population(far), mean)


def test_without_groups_it_is_poisson_regression(counts):
    X, y, _ = counts
    with pytest.warns(MissingGroupsWarning, match="a pooled Poisson regression"):
        model = RandomInterceptPoissonRegressor().fit(X, y)
    theirs = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000, solver="newton-cholesky")
    theirs.fit(X, y)
    np.testing.assert_allclose(model.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-6)
    assert model.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-8)


# --------------------------------------------------------------------------------- exposures


def laplace_with_offset(parameters, X, y, offset, codes):
    """-2 log L by Laplace's approximation, written out group by group, with an offset."""
    *beta, theta = parameters
    eta = beta[0] + X @ beta[1:] + offset
    total = 2 * gammaln(y + 1).sum()
    for j in range(codes.max() + 1):
        rows, u = codes == j, 0.0
        for _ in range(12):
            mean = np.exp(eta[rows] + theta * u)
            slope, H = u - theta * (y[rows] - mean).sum(), 1 + theta**2 * mean.sum()
            u -= slope / H
        at = eta[rows] + theta * u
        total += u**2 - 2 * (y[rows] @ at - np.exp(at).sum()) + np.log(H)
    return total


def test_an_exposure_is_a_weight(counts):
    """As a fit with an offset: the same but for a constant of the data."""
    X, groups = counts.X.to_numpy(), counts.groups
    codes = np.unique(groups, return_inverse=True)[1]
    rng = np.random.default_rng(1)
    exposure = rng.uniform(0.2, 5, size=300)
    effect = 0.7 * rng.normal(size=20)
    y = rng.poisson(exposure * np.exp(0.2 + 0.4 * X[:, 0] + effect[codes]))
    model = RandomInterceptPoissonRegressor(quadrature=1, tol=1e-10)
    model.fit(X, y / exposure, groups, sample_weight=exposure)
    start = [model.intercept_, *model.coef_, model.theta_[0]]
    given = X, y, np.log(exposure), codes
    options = {"gtol": 1e-7}
    best = minimize(laplace_with_offset, start, args=given, method="BFGS", options=options)
    np.testing.assert_allclose(start, best.x, atol=2e-5)
    # sum w log (y / w)! - log y! + y log w, of the weights and counts alone
    constant = y @ np.log(exposure) - gammaln(y + 1).sum()
    constant += exposure @ gammaln(y / exposure + 1)
    assert model.log_likelihood_ + constant == pytest.approx(-best.fun / 2, abs=1e-6)
    # rows count, and not the sum of exposures
    assert model.bic_ - model.criterion_ == pytest.approx(4 * np.log(300))
    years = RandomInterceptPoissonRegressor(quadrature=1, tol=1e-10)
    years.fit(X, y / (365 * exposure), groups, sample_weight=365 * exposure)
    np.testing.assert_allclose(years.coef_, model.coef_, atol=1e-6)
    assert years.intercept_ == pytest.approx(model.intercept_ - np.log(365), abs=1e-6)
    for name in ("dispersion_", "icc_", "r2_marginal_", "r2_conditional_"):
        assert getattr(years, name) == pytest.approx(getattr(model, name), rel=1e-5), name


def test_small_exposures_are_no_warning(counts):
    X, y, groups = counts
    weight = np.full(300, 1e-3)
    model = RandomInterceptPoissonRegressor().fit(X, y / weight, groups, sample_weight=weight)
    assert "Sum of weights (exposure)" in model.summary().fit_statistics


# -------------------------------------------------------------------------------- dispersion


def test_dispersion(counts):
    X, y, groups = counts
    model = RandomSlopePoissonRegressor("x").fit(X, y, groups)
    mean = np.exp(model.linear_predictor(X, groups))
    blocks = model.conditional_cov_.to_numpy().reshape(20, 2, 2)
    inverse = np.linalg.inv(model.random_effects_cov_)
    taken_up = sum(np.trace(np.eye(2) - inverse @ block) for block in blocks)
    expected = np.sum((y - mean) ** 2 / mean) / (300 - 3 - taken_up)
    assert model.dispersion_ == pytest.approx(expected)
    level = RandomInterceptPoissonRegressor().fit(X, y, groups)
    assert level._fitted.effects_taken_up == pytest.approx(level.pooling_weights_.sum().item())


def test_overdispersion_is_found_and_named():
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(2000, 1)), np.repeat(np.arange(100), 20)
    mean = np.exp(0.5 + 0.3 * X[:, 0] + 0.5 * rng.normal(size=100)[codes])
    right = RandomInterceptPoissonRegressor().fit(X, rng.poisson(mean), codes)
    assert right.dispersion_ == pytest.approx(1.0, abs=0.1)
    assert "Counts vary" not in str(right.summary())
    assert right.summary().fit_statistics["p, of more than Poisson's"] > 0.05
    y = rng.poisson(mean * rng.gamma(2, 1 / 2, size=2000))
    more = RandomInterceptPoissonRegressor().fit(X, y, codes)
    assert more.dispersion_ > 1.5
    assert f"Counts vary {more.dispersion_:.2f} times as much" in str(more.summary())


def test_weights_are_rows_where_counts_are_repeated(counts):
    """Estimates are those of repeated rows; what counts rows differs, as it says."""
    X, y, groups = counts
    weight = 1 + np.arange(300) % 3
    weighted = RandomInterceptPoissonRegressor().fit(X, y, groups, sample_weight=weight)
    X, y, groups = (np.repeat(part, weight, axis=0) for part in (X, y, groups))
    repeated = RandomInterceptPoissonRegressor().fit(pd.DataFrame(X), y, groups)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    assert weighted.criterion_ == pytest.approx(repeated.criterion_, abs=1e-6)
