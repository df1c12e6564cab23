"""Weights that are precisions: what they tell of variances where groups have few rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.exceptions import SingularFitWarning
from skmixed.model_selection import cross_val_predict, cross_validate

# Models by name, and their random columns of (1, x0).
MODELS = {
    "intercept": (RandomInterceptRegressor, {}, [0]),
    "intercept, ML": (RandomInterceptRegressor, {"method": "ml"}, [0]),
    "slope": (RandomSlopeRegressor, {"slopes": [0], "random_intercept": False}, [1]),
    "diag": (RandomSlopeRegressor, {"slopes": [0], "covariance": "diag"}, [0, 1]),
    "full": (RandomSlopeRegressor, {"slopes": [0]}, [0, 1]),
}


def make(name):
    model, options, _ = MODELS[name]
    return model(**options)


def draw(seed, sizes, *, spread=1.0):
    """Rows with precision weights of mean 1, exp(spread times a normal number)."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    n = len(groups)
    w = np.exp(spread * rng.normal(size=n))
    w /= w.mean()
    X, b = rng.normal(size=(n, 2)), rng.normal(size=(2, len(sizes)))[:, groups]
    y = 1 + X[:, 0] + b[0] + 0.7 * b[1] * X[:, 0] + rng.normal(size=n) / np.sqrt(w)
    return X, y, groups, w


def dense_criterion(X, y, Z, groups, w, Psi, *, reml=True):
    """By the book, V = W^-1 + Z Psi Z' built explicitly, and rows counted by their weights."""
    X = np.column_stack([np.ones(len(y)), X])
    V = np.diag(1 / w) + np.equal.outer(groups, groups) * (Z @ Psi @ Z.T)
    V_inv = np.linalg.inv(V)
    A = X.T @ V_inv @ X
    residual = y - X @ np.linalg.solve(A, X.T @ V_inv @ y)
    dof = w.sum() - reml * X.shape[1]
    r2 = residual @ V_inv @ residual
    value = np.linalg.slogdet(V)[1] + np.log(w).sum() + dof * (1 + np.log(2 * np.pi * r2 / dof))
    return value + (np.linalg.slogdet(A)[1] if reml else 0.0)


def least(criterion, name):
    """Least value on a fine grid, of which the best points are followed downhill."""
    q = len(MODELS[name][2])
    if q == 1:
        grid = np.append(0.0, np.logspace(-6, 6, 121))[:, None]
    else:
        levels = [0.0, 0.03, 0.3, 1.0, 4.0, 30.0]
        grid = [(a, b, c) for a in levels for b in (-1.0, 0.0, 1.0) for c in levels]
        if name == "diag":
            grid = [(a, c) for a, b, c in grid if b == 0]

    def of(entries):
        Lambda = np.diag(entries) if len(entries) == q else np.zeros((q, q))
        if len(entries) > q:
            Lambda[[0, 1, 1], [0, 0, 1]] = entries
        return criterion(Lambda @ Lambda.T)

    values = [of(np.sqrt(point) if q == 1 else np.array(point)) for point in grid]
    starts = [np.array(grid[i]) for i in np.argsort(values)[:2]]
    starts = [np.sqrt(start) if q == 1 else start for start in starts]
    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000}
    found = [minimize(of, start, method="Nelder-Mead", options=options) for start in starts]
    return min([*values, *(one.fun for one in found)])


# lme4 1.1-31: lmer(y ~ 1 + (1 | g), weights = w), its checks of the numbers of levels off.
LME4 = {
    "theta": 0.5152081809,
    "variance": 0.6741664554,
    "residual": 2.5398123960,
    "intercept": 0.2728466731,
}
ONE_EACH, MIXED, FEW = np.ones(25, int), np.repeat([1, 1, 2, 5], 6), np.repeat([1, 2], 12)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("sizes", "spread"), [(ONE_EACH, 0.8), (ONE_EACH, 2.0), (MIXED, 1.0), (FEW, 3.0)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_least_value_of_the_dense_criterion(name, sizes, spread, seed):
    X, y, groups, w = draw(seed, sizes, spread=spread)
    Z = np.column_stack([np.ones(len(y)), X[:, 0]])[:, MODELS[name][2]]

    def criterion(Psi):
        return dense_criterion(X, y, Z, groups, w, Psi, reml=name != "intercept, ML")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model = make(name).fit(X, y, groups=groups, sample_weight=w)
    cov = model.random_effects_cov_.to_numpy()
    if model.residual_variance_ > 1e-8:  # else V is as good as singular
        at_estimate = criterion(cov / model.residual_variance_)
        np.testing.assert_allclose(model.criterion_, at_estimate, rtol=1e-8)
    assert model.criterion_ <= least(criterion, name) + 1e-6


def test_weights_identify_the_variance_of_single_rows():
    w = np.repeat([4.0, 1.0, 0.25], 4)
    y = [2.1, -1.3, 0.4, -0.2, 3.3, -2.5, 1.2, 0.1, -4.6, 6.2, 0.7, -3.9]
    frame = pd.DataFrame({"g": list("abcdefghijkl"), "y": y, "w": w / w.mean()})
    model = RandomInterceptRegressor(group_by="g")
    model.fit(frame[["g"]], frame["y"], sample_weight=frame["w"])
    np.testing.assert_allclose(model.theta_, LME4["theta"], rtol=1e-5)
    np.testing.assert_allclose(model.random_effects_cov_, LME4["variance"], rtol=1e-5)
    np.testing.assert_allclose(model.intercept_, LME4["intercept"], rtol=1e-5)
    np.testing.assert_allclose(model.residual_variance_, LME4["residual"], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:All weights are below 1")
@pytest.mark.parametrize("w", [1.0, 0.5])
def test_equal_weights_tell_nothing_of_an_intercept(w):
    X, y, groups, _ = draw(0, ONE_EACH)
    with pytest.warns(SingularFitWarning, match="has one row, and random effects vary there"):
        model = RandomInterceptRegressor().fit(X, y, groups, np.full(len(y), w))
    np.testing.assert_allclose(model.coef_, LinearRegression().fit(X, y).coef_)
    assert not model.theta_.any()


def test_what_is_constant_is_the_variance_not_the_weight():
    X, y, groups, w = draw(1, ONE_EACH)
    X[:, 0] = np.where(X[:, 0] > 0, 1, -1) / np.sqrt(w)
    model = RandomSlopeRegressor([0], random_intercept=False)
    with pytest.warns(SingularFitWarning, match="random effects vary there as residuals do"):
        model.fit(X, y, groups, w)
    assert RandomInterceptRegressor().fit(X, y, groups, w).converged_


@pytest.mark.parametrize("name", ["diag", "full"])
def test_what_looks_like_residuals_counts_as_residual(name):
    X, y, groups, _ = draw(3, np.ones(40, int))
    with pytest.warns(SingularFitWarning, match="has the form of residuals"):
        model = make(name).fit(X, y, groups)
    Z = np.column_stack([np.ones(len(y)), X[:, 0]])
    Psi = model.random_effects_cov_.to_numpy() / model.residual_variance_
    assert model.singular_
    assert np.linalg.matrix_rank(Psi, 1e-8) == 1
    w = np.ones(len(y))
    at_estimate = dense_criterion(X, y, Z, groups, w, Psi)
    np.testing.assert_allclose(model.criterion_, at_estimate)
    # a share of the residual variance given to the intercepts changes nothing
    shared = (Psi + np.diag([0.4, 0.0])) / 0.6
    np.testing.assert_allclose(dense_criterion(X, y, Z, groups, w, shared), at_estimate)


def test_weights_that_do_not_show_in_y_leave_no_residual():
    X, y, groups, w = draw(0, np.ones(100, int))
    y = X[:, 0] + w**0.3 * np.random.default_rng(5).normal(size=len(y))  # the other way round
    with pytest.warns(SingularFitWarning, match="highest where they leave no residual"):
        model = RandomInterceptRegressor().fit(X, y, groups, w)
    ols = LinearRegression().fit(X, y)
    np.testing.assert_allclose(model.coef_, ols.coef_, rtol=1e-6)
    variance = np.sum((y - ols.predict(X)) ** 2) / (len(y) - 3)
    np.testing.assert_allclose(model.random_effects_cov_, variance, rtol=1e-6)
    limits = model.confint()
    assert limits.loc["sigma", "lower"] == 0.0
    assert np.isfinite(limits).all(axis=None)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("w", [2.0, 1.01])
def test_single_rows_that_count_more_than_once_are_refused(name, w):
    X, y, groups, one = draw(2, ONE_EACH)
    with pytest.raises(ValueError, match=f"the 25 rows in 25 groups .* {w:g} a row.*mean 1"):
        make(name).fit(X, y, groups, w * one)


def test_as_many_slopes_as_rows_are_refused_too():
    X, y, groups, w = draw(0, np.repeat([1, 2], 10))
    with pytest.raises(ValueError, match="the 30 rows in 20 groups"):
        RandomSlopeRegressor([0]).fit(X, y, groups, 1.5 * w)
    # one more row than effects, and the likelihood is bounded
    more = np.append(np.arange(30), 29)
    X, y, groups, w = X[more], y[more], groups[more], w[more]
    X[-1], y[-1] = [0.3, 0.2], 1.0
    X = X[:, [0]]
    with pytest.warns(SingularFitWarning):
        model = RandomSlopeRegressor([0]).fit(X, y, groups, 1.5 * w)
    assert np.isfinite(model.criterion_)


def test_one_group_of_two_rows_bounds_the_likelihood():
    X, y, groups, w = draw(0, np.append(ONE_EACH, 2))
    model = RandomInterceptRegressor().fit(X[:, :0], y, groups, 1.2 * w)
    assert np.isfinite(model.criterion_)
    # but not if a coefficient within groups takes the row that there is
    with pytest.raises(ValueError, match="fitted exactly"):
        RandomInterceptRegressor().fit(X[:, :1], y, groups, 1.2 * w)


def test_float32_weights_of_mean_1_are_not_refused():
    X, y, groups, w = draw(0, np.ones(999, int))
    w = w.astype(np.float32)
    w /= w.mean()
    for scale in (1.0, 1 + 5e-7):
        model = RandomInterceptRegressor().fit(X, y, groups, scale * w.astype(np.float64))
        assert model.theta_ > 0


@pytest.mark.parametrize("sizes", [[2, 1, 3, 2, 4] * 5, MIXED])
def test_a_weight_of_two_is_the_row_twice(sizes):
    X, y, groups, _ = draw(4, np.array(sizes))
    w = np.random.default_rng(0).integers(0, 4, len(y))
    twice = np.repeat(np.arange(len(y)), w)
    weighted = RandomInterceptRegressor().fit(X, y, groups, w)
    repeated = RandomInterceptRegressor().fit(X[twice], y[twice], groups[twice])
    np.testing.assert_allclose(weighted.theta_, repeated.theta_, rtol=1e-6)
    np.testing.assert_allclose(weighted.criterion_, repeated.criterion_)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n", [40, 260])
def test_folds_have_the_mean_weight_of_all_rows(name, n):
    X, y, groups, w = draw(6, np.ones(n, int))
    params = {"sample_weight": w}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        scores = cross_validate(make(name), X, y, groups=groups, cv=4, params=params)
        predicted = cross_val_predict(make(name), X, y, groups=groups, cv=4, params=params)
        test = np.arange(n // 4)
        train = np.arange(n // 4, n)
        model = make(name)
        model.fit(X[train], y[train], groups[train], w[train] / w[train].mean())
    assert np.isfinite(scores["test_score"]).all()
    by_hand = model.predict(X[test], groups=groups[test])
    np.testing.assert_allclose(predicted[test], by_hand, atol=1e-6)
    score = model.score(X[test], y[test], groups[test])
    np.testing.assert_allclose(scores["test_score"][0], score, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_all_that_follows_from_a_fit(name):
    X, y, groups, w = draw(1, np.ones(60, int))
    model = make(name).fit(X, y, groups, w)
    assert "Residual" in str(model.summary())
    assert np.isfinite(model.fixed_effects_frame()["std_error"]).all()
    assert (model.random_effects_frame()["std_error"] >= 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limits = model.confint()
    assert (limits["lower"] <= limits["upper"]).all()
    left_out = model.loo_predict(X, y, groups, w)
    # a row is all of its group: without it there is the population line
    np.testing.assert_allclose(left_out, model.loo_predict(X, y, groups, w, leave="group"))
    assert np.isfinite(left_out).all()
    assert np.isfinite(model.conditional_aic())


@pytest.mark.parametrize("seed", range(4))
def test_as_many_effects_and_coefficients_as_rows_without_weights(seed):
    # the one row that there is within groups goes to the coefficient of x
    X, y, groups, _ = draw(seed, np.array([1, 1, 1, 1, 1, 2]))
    X, ones = X[:, :1], np.ones((len(y), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model = RandomInterceptRegressor().fit(X, y, groups)
    assert model.converged_
    w = np.ones(len(y))
    for ratio in (0.0, 0.1, 1.0, 10.0, 1e3, 1e6):
        other = dense_criterion(X, y, ones, groups, w, np.array([[ratio]]))
        assert model.criterion_ <= other + 1e-6
