"""Predictions of rows and groups left out, against explicit refits with dense matrices."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from left_out import MODELS, fit, simulate

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning


def by_refits(model, slopes, has_level, X, y, groups, weight, left_out_with):
    """Predict each row by dense generalised least squares without some rows."""
    w = np.ones(len(y)) if weight is None else weight
    ones = np.ones((len(y), 1))
    Z = np.hstack([ones, X[:, slopes]]) if has_level else X[:, slopes]
    kept = ~np.isnan(np.diag(model.coef_cov_))
    D = np.hstack([ones, X]) if model.fit_intercept else X
    D = D[:, kept]
    Psi = model.random_effects_cov_.to_numpy() / model.residual_variance_
    V = np.equal.outer(groups, groups) * (Z @ Psi @ Z.T)
    predicted = np.empty(len(y))
    for i in range(len(y)):
        rest = ~left_out_with(i) & (w > 0)
        V_inv = np.linalg.inv(V[np.ix_(rest, rest)] + np.diag(1 / w[rest]))
        beta = np.linalg.pinv(D[rest].T @ V_inv @ D[rest]) @ D[rest].T @ V_inv @ y[rest]
        predicted[i] = D[i] @ beta + V[i, rest] @ V_inv @ (y[rest] - D[rest] @ beta)
    return predicted


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("leave", ["row", "group"])
@pytest.mark.parametrize("name", MODELS)
def test_as_explicit_refits_with_fixed_variances(name, leave, weighted):
    model, slopes, has_level = MODELS[name]
    X, y, groups = simulate()
    rng = np.random.default_rng(1)
    weight = rng.integers(0, 4, len(y)) * rng.uniform(0.5, 1.5, len(y)) if weighted else None
    if weighted:
        weight[groups == 4] = 0.0
    model = fit(model, X, y, groups, weight)
    left_out_with = {
        "row": lambda i: np.arange(len(y)) == i,
        "group": lambda i: groups == groups[i],
    }[leave]
    found = model.loo_predict(X, y, groups=groups, sample_weight=weight, leave=leave)
    expected = by_refits(model, slopes, has_level, X, y, groups, weight, left_out_with)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("leave", ["row", "group"])
@pytest.mark.parametrize("slopes", [[0], [0, 3]], ids=["fixed", "random"])
@pytest.mark.parametrize("alone", ["row", "group"])
def test_a_column_that_only_the_rows_left_out_know(alone, slopes, leave):
    """Its coefficient is 0 without them, and its random effect, too."""
    X, y, groups = simulate()
    only = np.flatnonzero(groups == 3)[: 1 if alone == "row" else None]
    X = np.column_stack([X, np.isin(np.arange(len(y)), only)])
    model = fit(RandomSlopeRegressor(slopes), X, y, groups)
    left_out_with = {
        "row": lambda i: np.arange(len(y)) == i,
        "group": lambda i: groups == groups[i],
    }[leave]
    found = model.loo_predict(X, y, groups=groups, leave=leave)
    expected = by_refits(model, slopes, True, X, y, groups, None, left_out_with)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("leave", ["row", "group"])
def test_offsets_cost_the_digits_that_they_take(leave):
    X, y, groups = simulate()
    X, y = np.round(X * 2**20) / 2**20, np.round(y * 2**20) / 2**20  # exact after the shift
    one, other = RandomInterceptRegressor(), RandomInterceptRegressor()
    expected = fit(one, X, y, groups).loo_predict(X, y, groups=groups, leave=leave)
    shifted = X + 2.0**26, y + 2.0**26
    found = fit(other, *shifted, groups).loo_predict(*shifted, groups=groups, leave=leave)
    np.testing.assert_allclose(found - 2.0**26, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("leave", ["row", "group"])
def test_ways_to_give_the_rows(leave):
    X, y, groups = simulate()
    names = np.array(list("abcdefghi"))[groups]
    model = fit(RandomSlopeRegressor([0]), X, y, groups)
    expected = model.loo_predict(X, y, groups=groups, leave=leave)
    order = np.random.default_rng(0).permutation(len(y))
    permuted = model.loo_predict(X[order], y[order], groups=groups[order], leave=leave)
    np.testing.assert_allclose(permuted, expected[order], atol=1e-10)
    frame = pd.DataFrame(X, columns=["u", "v", "w"]).assign(name=names)
    by_name = fit(RandomSlopeRegressor("u", group_by="name"), frame, y, None)
    np.testing.assert_allclose(by_name.loo_predict(frame, y, leave=leave), expected, atol=1e-9)
    sparse = fit(RandomSlopeRegressor([0]), sp.csc_array(X), y, groups)
    found = sparse.loo_predict(sp.csc_array(X), y, groups=groups, leave=leave)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_singular_fit_is_least_squares():
    X, y, groups = simulate()
    noise = np.random.default_rng(0).normal(size=len(y))
    y = X.sum(axis=1) + noise - np.array([noise[groups == g].mean() for g in range(9)])[groups]
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptRegressor().fit(X, y, groups=groups)
    D = np.column_stack([np.ones(len(y)), X])
    hat = D @ np.linalg.pinv(D)
    expected = y - (y - hat @ y) / (1 - np.diag(hat))
    np.testing.assert_allclose(model.loo_predict(X, y, groups=groups), expected, atol=1e-10)


def test_other_rows_are_refused():
    X, y, groups = simulate()
    model = fit(RandomInterceptRegressor(), X, y, groups)
    n = len(y)
    with pytest.raises(ValueError, match=rf"{n - 1} rows in 9 groups.*fit had {n} in 9"):
        model.loo_predict(X[1:], y[1:], groups=groups[1:])
    with pytest.raises(ValueError, match="or other groups"):
        model.loo_predict(X, y, groups=groups + 1)
    with pytest.raises(ValueError, match="their sums of squares are others"):
        model.loo_predict(X, y + 1e-3, groups=groups)
    with pytest.raises(ValueError, match="their sums of squares are others"):
        model.loo_predict(X, y, groups=groups, sample_weight=np.full(n, 2.0))
    with pytest.raises(ValueError, match="`groups` must be given to `loo_predict`"):
        model.loo_predict(X, y)
    with pytest.raises(ValueError, match="'leave' parameter of"):
        model.loo_predict(X, y, groups=groups, leave="column")


def test_models_without_groups_or_with_one():
    X, y, _ = simulate()
    with pytest.warns(MissingGroupsWarning):
        pooled = RandomInterceptRegressor().fit(X, y)
    with pytest.raises(ValueError, match="`loo_predict` needs group effects"):
        pooled.loo_predict(X, y)
    only = np.full(len(y), "Oslo")
    model = fit(RandomInterceptRegressor(), X, y, only)
    assert np.isfinite(model.loo_predict(X, y, groups=only)).all()
    with pytest.raises(ValueError, match="fitted to one group, 'Oslo'"):
        model.loo_predict(X, y, groups=only, leave="group")
