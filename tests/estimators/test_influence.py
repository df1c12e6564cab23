"""Residuals and influence against dense refits with the variances held, and against lme4."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from left_out import MODELS, fit, simulate

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import MissingGroupsWarning, NotAvailableError

REFERENCE = Path(__file__).parents[1] / "reference"


def dense(D, V, y, w, sigma2):
    """What V and the fixed columns say of rows of positive weight."""
    V_inv = np.linalg.inv(V)
    cov = np.linalg.inv(D.T @ V_inv @ D)
    beta = cov @ D.T @ V_inv @ y
    P = V_inv - V_inv @ D @ cov @ D.T @ V_inv
    residual, marginal = P @ y / w, y - D @ beta
    return {
        "beta": beta,
        "cov": cov,
        "leverage": 1 - np.diag(P) / w,
        "residual": residual,
        "marginal_residual": marginal,
        "standardized_residual": residual / np.sqrt(sigma2 * np.diag(P)) * w,
        "standardized_marginal_residual": marginal
        / np.sqrt(sigma2 * np.diag(V - D @ cov @ D.T)),
    }


def refitted(D, V, y, kept):
    """Fixed effects of some rows."""
    V_inv = np.linalg.inv(V[np.ix_(kept, kept)])
    return np.linalg.solve(D[kept].T @ V_inv @ D[kept], D[kept].T @ V_inv @ y[kept])


def check_rows(table, residuals, whole, sigma2, w):
    """Compare what there is by row."""
    p, h = len(whole["beta"]), whole["leverage"]
    assert_close(table["leverage"], h)
    for name in residuals.columns[2:]:
        assert_close(residuals[name], whole[name])
    conditional = w * (whole["residual"] / (1 - h)) ** 2 * h / (p * sigma2)
    assert_close(table["cooks_distance_conditional"], conditional)


def check_changes(table, whole, betas, sigma2):
    """Compare Cook's distances and DFBETAS with those of explicit refits."""
    change = whole["beta"] - betas
    dfbetas = change / np.sqrt(sigma2 * np.diag(whole["cov"]))
    assert_close(table.filter(regex="dfbetas").dropna(axis=1, how="all"), dfbetas)
    distance = np.einsum("ka,ab,kb->k", change, np.linalg.inv(whole["cov"]), change)
    assert_close(table["cooks_distance"], distance / (len(whole["beta"]) * sigma2))


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", MODELS)
def test_one_factor_as_explicit_refits(name, weighted):
    model, slopes, has_level = MODELS[name]
    X, y, groups = simulate()
    rng, w = np.random.default_rng(1), np.ones(len(y))
    if weighted:
        w = rng.integers(0, 4, len(y)) * rng.uniform(0.5, 1.5, len(y))
        w[groups == 4] = 0.0
    model = fit(model, X, y, groups, w if weighted else None)
    rows = {"groups": groups, "sample_weight": w if weighted else None}
    sigma2 = model.residual_variance_
    residuals = model.residuals_frame(X, y, **rows)
    by_row = model.influence_frame(X, y, **rows)
    by_group = model.influence_frame(X, y, by="group", **rows)

    there, ones = w > 0, np.ones((len(y), 1))
    Z = np.hstack([ones, X[:, slopes]]) if has_level else X[:, slopes]
    D = np.hstack([ones, X]) if model.fit_intercept else X
    D = D[there][:, ~np.isnan(np.diag(model.coef_cov_))]
    Psi = model.random_effects_cov_.to_numpy() / sigma2
    V = (np.equal.outer(groups, groups) * (Z @ Psi @ Z.T))[np.ix_(there, there)]
    V += np.diag(1 / w[there])
    whole = dense(D, V, y[there], w[there], sigma2)
    n = there.sum()
    check_rows(by_row[there], residuals[there], whole, sigma2, w[there])
    alone = np.array([refitted(D, V, y[there], np.arange(n) != i) for i in range(n)])
    check_changes(by_row[there], whole, alone, sigma2)
    labels = np.unique(groups[there])
    assert list(by_group.index) == list(labels)
    without = np.array([refitted(D, V, y[there], groups[there] != g) for g in labels])
    check_changes(by_group, whole, without, sigma2)
    sums = by_row["leverage"][there].groupby(groups[there]).sum()
    assert_close(by_group["leverage"], sums)

    absent = by_row[~there].dropna(axis=1)
    assert np.all(absent == 0)
    assert np.all(np.isnan(residuals[~there].filter(like="stand")))
    predicted = model.predict(X, groups)
    assert_close(residuals["fitted"], predicted)
    assert_close(residuals["population"], model.predict_population(X))


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_several_factors_as_explicit_refits(weighted):
    rng = np.random.default_rng(0)
    n, sizes = 90, {"a": 12, "b": 7}
    codes = {name: rng.integers(0, size, n) for name, size in sizes.items()}
    X = pd.DataFrame({"x": rng.normal(3.0, 1.0, n), **codes}, index=np.arange(n) + 1000)
    effects = sum(1.5 * rng.normal(size=J)[codes[name]] for name, J in sizes.items())
    y = X["x"] + effects + rng.normal(size=n)
    w = rng.uniform(0.5, 2.0, n) if weighted else np.ones(n)
    weight = w if weighted else None
    model = RandomSlopeRegressor({"a": ["x"], "b": []}, group_by=["a", "b"])
    model = fit(model, X, y, None, weight)
    sigma2 = model.residual_variance_
    D = np.column_stack([np.ones(n), X["x"]])
    Zs = {"a": D, "b": D[:, :1]}
    V = np.diag(1 / w)
    for name, Z in Zs.items():
        Psi = model.random_effects_cov_[name].to_numpy() / sigma2
        V = V + np.equal.outer(codes[name], codes[name]) * (Z @ Psi @ Z.T)
    y_values = y.to_numpy()
    whole = dense(D, V, y_values, w, sigma2)
    residuals = model.residuals_frame(X, y, sample_weight=weight)
    by_row = model.influence_frame(X, y, sample_weight=weight)
    check_rows(by_row, residuals, whole, sigma2, w)
    assert by_row.index.equals(X.index)
    assert residuals.index.equals(X.index)
    alone = np.array([refitted(D, V, y_values, np.arange(n) != i) for i in range(n)])
    check_changes(by_row, whole, alone, sigma2)
    for name, code in codes.items():
        table = model.influence_frame(X, y, by="group", factor=name, sample_weight=weight)
        without = [refitted(D, V, y_values, code != level) for level in table.index]
        check_changes(table, whole, np.array(without), sigma2)
        assert table.index.name == name


@pytest.mark.parametrize("name", ["sleepstudy", "weights", "factors"])
def test_as_lme4(name):
    r = json.loads((REFERENCE / "influence" / f"{name}.json").read_text())
    r = {key: np.array(value) for key, value in r.items()}
    if name == "factors":
        frame = pd.read_csv(REFERENCE / "c_sim_weights/data.csv").head(200)
        model, target = RandomInterceptRegressor(group_by=["a", "b"]), "y"
        X = frame[["x", "a", "b"]]
    else:
        case = "v_weights_slope" if name == "weights" else "v_sleepstudy_slope_reml"
        frame = pd.read_csv(REFERENCE / case / "data.csv")
        if name == "weights":
            frame = frame[(np.arange(len(frame)) + 1) % 7 > 1]
        model, target = RandomSlopeRegressor("Days", group_by="Subject"), "Reaction"
        X = frame[["Days", "Subject"]]
    y = frame[target]
    weight = None if name == "sleepstudy" else frame["w"] / frame["w"].mean()
    fit(model, X, y, None, weight)
    table = model.influence_frame(X, y, sample_weight=weight)
    residuals = model.residuals_frame(X, y, sample_weight=weight)
    close = {"rtol": 2e-5, "atol": 2e-6}
    np.testing.assert_allclose(table["leverage"], r["hatvalues"], **close)
    np.testing.assert_allclose(
        table["cooks_distance_conditional"], r["cooks_distance"], **close
    )
    np.testing.assert_allclose(residuals["fitted"], r["fitted"], rtol=1e-5)
    np.testing.assert_allclose(residuals["population"], r["population"], rtol=1e-5)
    # theirs are not divided by the root of 1 - leverage
    studentized = r["pearson"] / np.sqrt(1 - r["hatvalues"])
    np.testing.assert_allclose(residuals["standardized_residual"], studentized, **close)
    std_error = np.sqrt(np.diag(r["cov"]))
    found = table.filter(regex="dfbetas").iloc[r["rows"]]
    expected = (r["coef"] - r["without_row"]) / std_error
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6)
    factor = "a" if name == "factors" else None
    groups = model.influence_frame(X, y, by="group", factor=factor, sample_weight=weight)
    change = r["coef"] - r["without_group"]
    found = groups.filter(regex="dfbetas")
    np.testing.assert_allclose(found, change / std_error, rtol=1e-4, atol=2e-6)
    distance = np.einsum("ka,ab,kb->k", change, np.linalg.inv(r["cov"]), change)
    np.testing.assert_allclose(groups["cooks_distance"], distance / 2, rtol=1e-4)
    assert list(groups.index.astype(str)) == list(r["groups"].astype(str))


def test_leverage_as_mixedmodels_jl():
    # the values in the tests of MixedModels.jl, at its own optimum of the likelihood
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomSlopeRegressor("Days", method="ml").fit(X, y, groups=subject)
    total = model.influence_frame(X, y, groups=subject)["leverage"].sum()
    np.testing.assert_allclose(total, 28.611525700136877, rtol=1e-5)
    frame = pd.read_csv(REFERENCE / "v_dyestuff_ml" / "data.csv")
    none, y, batch = np.empty((len(frame), 0)), frame["Yield"], frame["Batch"]
    model = RandomInterceptRegressor(method="ml").fit(none, y, groups=batch)
    leverage = model.influence_frame(none, y, groups=batch)["leverage"]
    np.testing.assert_allclose(leverage[0], 0.15650534392640486, rtol=1e-5)
    np.testing.assert_allclose(leverage.sum(), 4.695160317792145, rtol=1e-5)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_pooled_regression(fit_intercept):
    X, y, groups = simulate()
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    model = PooledRegressor(fit_intercept=fit_intercept).fit(X, y, sample_weight=w)
    D = np.column_stack([np.ones(len(y)), X]) if fit_intercept else X
    V, sigma2 = np.diag(1 / w), model.residual_variance_
    whole = dense(D, V, y, w, sigma2)
    by_row = model.influence_frame(X, y, sample_weight=w)
    check_rows(by_row, model.residuals_frame(X, y, sample_weight=w), whole, sigma2, w)
    alone = np.array([refitted(D, V, y, np.arange(len(y)) != i) for i in range(len(y))])
    check_changes(by_row, whole, alone, sigma2)
    both = by_row[["cooks_distance", "cooks_distance_conditional"]].to_numpy()
    assert_close(both[:, 0], both[:, 1])
    labels = np.array(list("abcdefghi"))[groups]
    by_group = model.influence_frame(X, y, labels, by="group", sample_weight=w)
    without = np.array([refitted(D, V, y, labels != g) for g in by_group.index])
    check_changes(by_group, whole, without, sigma2)
    with pytest.raises(ValueError, match=r"which a pooled regression has not read\. Pass them"):
        model.influence_frame(X, y, by="group", sample_weight=w)
    with pytest.raises(ValueError, match=r"factor='town' must be one of \['group'\]"):
        model.influence_frame(X, y, labels, by="group", factor="town", sample_weight=w)
    with pytest.raises(
        ValueError, match=r"`residuals_frame` must be given the rows of the fit"
    ):
        model.residuals_frame(X, y + 1, sample_weight=w)


def test_ways_to_give_the_rows():
    X, y, groups = simulate()
    names = np.array(list("abcdefghi"))[groups]
    model = fit(RandomSlopeRegressor([0]), X, y, groups)
    expected = model.influence_frame(X, y, groups=groups)
    order = np.random.default_rng(0).permutation(len(y))
    permuted = model.influence_frame(X[order], y[order], groups=groups[order])
    assert_close(permuted, expected.iloc[order])
    sparse = model.influence_frame(sp.csc_array(X), y, groups=groups)
    assert_close(sparse, expected)
    frame = pd.DataFrame(X, columns=["u", "v", "w"]).assign(name=names)
    frame.index = pd.Index([f"row {i}" for i in frame.index])
    by_name = fit(RandomSlopeRegressor("u", group_by="name"), frame, y, None)
    found = by_name.influence_frame(frame, y)
    assert found.index.equals(frame.index)
    assert list(found)[-2:] == ["dfbetas_v", "dfbetas_w"]
    assert_close(found, expected)
    by_group = by_name.influence_frame(frame, y, by="group")
    assert by_group.index.name == "name"
    assert list(by_group.index) == list("abcdefghi")
    polars = by_name.residuals_frame(pl.from_pandas(frame), pl.Series(y))
    assert_close(polars, by_name.residuals_frame(frame, y))
    assert isinstance(polars.index, pd.RangeIndex)


def test_later_rows_of_the_groups_do_not_count():
    X, y, groups = simulate()
    model = fit(RandomInterceptRegressor(), X, y, groups)
    expected = model.influence_frame(X, y, groups=groups, by="group")
    model.update_groups(X[:5] + 1, y[:5] + 3, groups=groups[:5])
    assert_close(model.influence_frame(X, y, groups=groups, by="group"), expected)


@pytest.mark.parametrize("several", [False, True])
def test_a_coefficient_that_one_row_or_group_determines(several):
    X, y, groups = simulate(n_groups=12)
    X[:, 2] = 0.0
    X[np.flatnonzero(groups == 3)[0], 2] = 1.0
    of_rows = pd.DataFrame({"a": groups, "b": np.arange(len(y)) % 4}) if several else groups
    model = fit(RandomInterceptRegressor(), X, y, of_rows)
    row = int(np.argmax(X[:, 2]))
    table = model.influence_frame(X, y, groups=of_rows)
    assert table.loc[row, "leverage"] == pytest.approx(1, abs=1e-9)
    assert table.drop(columns="leverage").loc[row].isna().all()
    assert np.isfinite(table.drop(index=row)).all(axis=None)
    residuals = model.residuals_frame(X, y, groups=of_rows).loc[row]
    assert np.isnan(residuals["standardized_residual"])
    assert abs(residuals["residual"]) < 1e-9
    factor = "a" if several else None
    by_group = model.influence_frame(X, y, groups=of_rows, by="group", factor=factor)
    assert by_group.drop(columns="leverage").loc[3].isna().all()
    assert np.isfinite(by_group.drop(index=3)).all(axis=None)


def test_a_column_without_a_coefficient():
    X, y, groups = simulate()
    X[:, 2] = 2 * X[:, 0]
    model = fit(RandomInterceptRegressor(), X, y, groups)
    for by in ("row", "group"):
        table = model.influence_frame(X, y, groups=groups, by=by)
        assert table["dfbetas_x2"].isna().all()
        assert np.isfinite(table.drop(columns="dfbetas_x2")).all(axis=None)


def test_a_perfect_fit_has_nothing_to_compare_with():
    X, _, groups = simulate()
    model = fit(RandomInterceptRegressor(), X, X @ [1.0, 2.0, 3.0], groups)
    table = model.influence_frame(X, X @ [1.0, 2.0, 3.0], groups=groups)
    assert np.isfinite(table["leverage"]).all()
    assert table.drop(columns="leverage").isna().all(axis=None)


def test_what_is_refused():
    X, y, groups = simulate()
    model = fit(RandomInterceptRegressor(), X, y, groups)
    for method in (model.residuals_frame, model.influence_frame):
        name = method.__name__
        with pytest.raises(ValueError, match=f"`{name}` must be given the rows of the fit"):
            method(X, y + 1e-3, groups=groups)
        with pytest.raises(ValueError, match=f"`groups` must be given to `{name}`"):
            method(X, y)
    with pytest.raises(ValueError, match="'by' parameter of"):
        model.influence_frame(X, y, groups=groups, by="column")
    with pytest.raises(ValueError, match=r"factor='group' names the groups .* Set by='group'"):
        model.influence_frame(X, y, groups=groups, factor="group")
    only = np.full(len(y), "Oslo")
    one = fit(RandomInterceptRegressor(), X, y, only)
    with pytest.raises(ValueError, match=r"fitted to one group, 'Oslo'\. Use by='row'"):
        one.influence_frame(X, y, groups=only, by="group")
    with pytest.warns(MissingGroupsWarning):
        pooled = RandomInterceptRegressor().fit(X, y)
    with pytest.raises(ValueError, match="`influence_frame` needs group effects"):
        pooled.influence_frame(X, y)
    assert not hasattr(FixedEffectsRegressor, "influence_frame")
    with pytest.raises(AttributeError, match="no closed form"):
        _ = RandomInterceptClassifier().influence_frame
    with pytest.raises(AttributeError, match="far from normal; see ResidualsDisplay"):
        _ = RandomInterceptClassifier().residuals_frame


def test_several_factors_are_named():
    X, y, groups = simulate()
    two = pd.DataFrame({"a": groups, "b": np.arange(len(y)) % 3})
    model = fit(RandomInterceptRegressor(), X, y, two)
    with pytest.raises(ValueError, match=r"by='group' must know which groups .*factor='a'"):
        model.influence_frame(X, y, groups=two, by="group")
    iterative = fit(RandomInterceptRegressor(solver="iterative", n_probes=4), X, y, two)
    with pytest.raises(NotAvailableError, match="residuals_frame needs the exact solver"):
        iterative.residuals_frame(X, y, groups=two)
