"""Residual variances that differ between strata of rows."""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from dense_oracle import dense_factors
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from skmixed import (
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.exceptions import MissingGroupsWarning, NotAvailableError
from skmixed.inference import (
    anova_frame,
    compare_slopes,
    contrast_frame,
    likelihood_ratio_test,
    wald_test,
)
from skmixed.inspection import RandomEffectsDisplay, average_effects
from skmixed.model_selection import cross_validate

REFERENCE = Path(__file__).parents[1] / "reference" / "strata"
CASES = [
    (method, case)
    for method in ("reml", "ml")
    for case in ("orthodont", "intercepts", "slopes")
]


def model_of(case, **options):
    if case == "orthodont":
        return RandomInterceptRegressor(group_by="Subject", variance_by="Sex", **options)
    if case == "intercepts":
        return RandomInterceptRegressor(group_by="g", variance_by="s", **options)
    return RandomSlopeRegressor("x", group_by="g", variance_by="s", **options)


def data_of(case):
    name = "orthodont" if case == "orthodont" else "simulated"
    data = pd.read_csv(REFERENCE / f"{name}.csv")
    return data.iloc[:, :-1], data.iloc[:, -1]


@pytest.fixture(scope="module")
def simulated():
    return data_of("slopes")


@pytest.fixture(scope="module")
def fitted(simulated):
    return {case: model_of(case).fit(*simulated) for case in ("intercepts", "slopes")}


@pytest.mark.parametrize(("method", "case"), CASES)
def test_estimates_are_those_of_nlme(method, case):
    expected = json.loads((REFERENCE / "expected.json").read_text())[method][case]
    model = model_of(case, method=method).fit(*data_of(case))
    assert model.converged_
    # nlme stops up to 6e-10 below
    assert model.log_likelihood_ == pytest.approx(expected["log_likelihood"], abs=1e-8)
    assert model.criterion_ == pytest.approx(-2 * expected["log_likelihood"], abs=1e-8)
    beta, std_error = [model.intercept_, *model.coef_[:2]], np.sqrt(np.diag(model.coef_cov_))
    np.testing.assert_allclose(beta, expected["beta"], rtol=1e-5)
    np.testing.assert_allclose(std_error, expected["std_error"], rtol=1e-5)
    residual_sd = np.sqrt(model.residual_variance_)
    np.testing.assert_allclose(residual_sd, expected["residual_sd"], rtol=1e-5)
    np.testing.assert_allclose(model.random_effects_cov_, expected["cov"], rtol=1e-5)
    groups = [type(model.groups_.tolist()[0])(label) for label in expected["groups"]]
    effects = model.random_effects_.loc[groups]
    np.testing.assert_allclose(effects, np.reshape(expected["ranef"], effects.shape), atol=1e-5)
    k = len(beta) + len(model.theta_) + len(model.residual_variance_)
    n = len(data_of(case)[1])
    assert model.aic_ == pytest.approx(2 * k - 2 * expected["log_likelihood"], abs=1e-8)
    assert model.bic_ == pytest.approx(np.log(n) * k - 2 * expected["log_likelihood"], abs=1e-8)


@pytest.mark.parametrize("case", ["intercepts", "slopes"])
def test_what_follows_is_that_of_the_dense_model(case, fitted, simulated):
    model, (X, y) = fitted[case], simulated
    D = np.column_stack([np.ones(len(X)), X[["x", "z"]]])
    Z = D[:, : len(model.random_effects_cov_)]
    variances = model.residual_variance_[X["s"]].to_numpy()
    sigma2 = model._fitted.strata.sigma2
    assert sigma2 == pytest.approx(1 / np.mean(1 / variances))  # the harmonic mean
    codes = X["g"].to_numpy() - 1
    Psi = model.random_effects_cov_.to_numpy() / sigma2
    dense = dense_factors(
        D, y.to_numpy(), [Z], [codes], [Psi], reml=True, weights=sigma2 / variances
    )
    # precisions, and not numbers of rows
    criterion = dense["criterion"] - np.log(sigma2 / variances).sum()
    assert model.criterion_ == pytest.approx(criterion, abs=1e-7)
    same = codes[:, None] == codes
    cov_y = np.diag(variances) + same * (Z @ model.random_effects_cov_.to_numpy() @ Z.T)
    cov_beta = np.linalg.inv(D.T @ np.linalg.solve(cov_y, D))
    np.testing.assert_allclose(model.coef_cov_, cov_beta, rtol=1e-7, atol=1e-10)
    # known and new groups: errors of prediction by the joint covariance of y and a new row
    mean, std = model.predict(X, return_std=True)
    cross = same * (Z @ model.random_effects_cov_.to_numpy() @ Z.T)
    a = D - cross @ np.linalg.solve(cov_y, D)
    known = np.diag(cross - cross @ np.linalg.solve(cov_y, cross))
    expected = known + np.einsum("ij,jk,ik->i", a, cov_beta, a) + variances
    np.testing.assert_allclose(std**2, expected, rtol=1e-7)
    new = np.diag(cross) + np.einsum("ij,jk,ik->i", D, cov_beta, D) + variances
    _, std_new = model.predict_population(X, return_std=True)
    np.testing.assert_allclose(std_new**2, new, rtol=1e-7)
    interval = model.predict_interval(X, level=0.9)
    np.testing.assert_allclose(interval[:, 1], mean + norm.ppf(0.95) * std, rtol=1e-9)
    of_mean = model.predict_interval(X, level=0.9, kind="mean")[:, 1] - mean
    np.testing.assert_allclose((of_mean / norm.ppf(0.95)) ** 2, expected - variances, rtol=1e-6)
    halved = model.predict_interval(X, level=0.9, sample_weight=np.full(len(X), 2.0))[:, 1]
    np.testing.assert_allclose(
        ((halved - mean) / norm.ppf(0.95)) ** 2, expected - variances / 2, rtol=1e-6
    )


def test_shares_of_variance_are_those_of_rows(fitted, simulated):
    model, (X, _) = fitted["slopes"], simulated
    Z = np.column_stack([np.ones(len(X)), X["x"]])
    random = np.einsum("ia,ab,ib->i", Z, model.random_effects_cov_, Z)
    residual = model.residual_variance_[X["s"]].to_numpy()
    by_stratum = pd.Series(random).groupby(X["s"]).mean()
    expected = by_stratum / (by_stratum + model.residual_variance_)
    np.testing.assert_allclose(model.icc_, expected, rtol=1e-9)
    fixed = np.var(X[["x", "z"]] @ model.coef_[:2], ddof=1)
    total = fixed + random.mean() + residual.mean()
    assert model.r2_marginal_ == pytest.approx(fixed / total)
    assert model.r2_conditional_ == pytest.approx((fixed + random.mean()) / total)


def test_degrees_of_freedom_are_satterthwaites_with_all_variances(fitted, simulated):
    """By differences of the dense deviance in the covariances and the residual variances."""
    model, (X, y) = fitted["slopes"], simulated
    D = np.column_stack([np.ones(len(X)), X[["x", "z"]]])
    Z, codes = D[:, :2], X["g"].to_numpy()
    strata = np.searchsorted(model.residual_variance_.index, X["s"])
    same = codes[:, None] == codes

    def parts(parameters):
        a, b, c, *log_variances = parameters
        cov = np.array([[a, b], [b, c]])
        V = np.diag(np.exp(log_variances)[strata]) + same * (Z @ cov @ Z.T)
        A = D.T @ np.linalg.solve(V, D)
        e = y - D @ np.linalg.solve(A, D.T @ np.linalg.solve(V, y))
        log_dets = np.linalg.slogdet(V)[1] + np.linalg.slogdet(A)[1]
        return log_dets + e @ np.linalg.solve(V, e), np.diag(np.linalg.inv(A))

    cov = model.random_effects_cov_.to_numpy()
    at = np.array([cov[0, 0], cov[0, 1], cov[1, 1], *np.log(model.residual_variance_)])
    h = 1e-3 * np.eye(len(at))
    H = np.array(
        [
            [
                sum(
                    sign * parts(at + one + two)[0]
                    for sign, one, two in ((1, i, j), (-1, i, -j), (-1, -i, j), (1, -i, -j))
                )
                / 4e-6
                for j in h
            ]
            for i in h
        ]
    )
    gradient = np.array([(parts(at + i)[1] - parts(at - i)[1]) / 2e-3 for i in h])
    variances = parts(at)[1]
    df = variances**2 / np.einsum("ik,ij,jk->k", gradient, np.linalg.inv(H), gradient)
    np.testing.assert_allclose(model.fixed_effects_frame()["df"], df, rtol=2e-4)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_likelihood_is_no_lower_than_with_one_variance(method):
    rng = np.random.default_rng(0)
    for _ in range(8):
        n = int(rng.integers(40, 80))
        X = pd.DataFrame({"x": rng.normal(size=n), "g": rng.integers(0, 8, n)})
        y = rng.normal(size=8)[X["g"]] + rng.standard_t(3, n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one = RandomSlopeRegressor("x", group_by="g", method=method).fit(X, y)
            strata = X.assign(s=rng.integers(0, 3, n))
            more = clone(one).set_params(variance_by="s").fit(strata, y)
        assert more.converged_
        assert more.log_likelihood_ >= one.log_likelihood_ - 1e-9
        assert likelihood_ratio_test(one, more).df == 2


def test_one_stratum_is_the_ordinary_model(simulated):
    X, y = simulated
    one = model_of("slopes").fit(X.assign(s=1), y)
    plain = RandomSlopeRegressor("x", group_by="g").fit(X.drop(columns="s"), y)
    assert one.criterion_ == pytest.approx(plain.criterion_, abs=1e-8)
    assert one.residual_variance_[1] == pytest.approx(plain.residual_variance_, rel=1e-6)
    assert one.r2_conditional_ == pytest.approx(plain.r2_conditional_, rel=1e-6)
    assert one.icc_[1] == pytest.approx(plain.icc_, rel=1e-6)
    np.testing.assert_allclose(
        one.fixed_effects_frame(), plain.fixed_effects_frame(), rtol=1e-5
    )
    columns = X.assign(s=1), X.drop(columns="s")
    np.testing.assert_allclose(
        one.predict_interval(columns[0]), plain.predict_interval(columns[1]), rtol=1e-6
    )


def test_likelihood_ratio_test(simulated, fitted):
    X, y = simulated
    features = X.drop(columns="s")
    one = RandomInterceptRegressor(group_by="g").fit(features, y)
    test = likelihood_ratio_test(one, fitted["intercepts"])
    assert test.weights == {2: 1.0}
    assert test.statistic == pytest.approx(one.criterion_ - fitted["intercepts"].criterion_)
    assert "chi-square with df = 2" in test.note
    # a slope more: its variance is on the boundary
    assert likelihood_ratio_test(fitted["intercepts"], fitted["slopes"]).weights == {
        1: 0.5,
        2: 0.5,
    }
    ml = model_of("intercepts", method="ml").fit(X, y)
    pooled = PooledRegressor(group_by="g").fit(features, y)
    assert likelihood_ratio_test(pooled, ml).weights == {2: 0.5, 3: 0.5}
    with pytest.raises(
        ValueError, match="strata of variance_by='s', and those of `large` do not"
    ):
        likelihood_ratio_test(
            fitted["intercepts"], RandomSlopeRegressor("x", group_by="g").fit(features, y)
        )
    others = X.assign(s=np.roll(X["s"], 1) + "!")
    with pytest.raises(ValueError, match="Give both the same strata"):
        likelihood_ratio_test(fitted["intercepts"], model_of("slopes").fit(others, y))


# ------------------------------------------------------------------------ ways to hand in rows


def assert_same(one, other, rtol=1e-6):
    assert one.log_likelihood_ == pytest.approx(other.log_likelihood_, abs=1e-7)
    np.testing.assert_allclose(one.residual_variance_, other.residual_variance_, rtol=rtol)
    np.testing.assert_allclose(one.random_effects_, other.random_effects_, rtol=rtol, atol=1e-6)


def test_tables_arrays_and_groups(simulated, fitted):
    X, y = simulated
    model = fitted["slopes"]
    assert_same(model_of("slopes").fit(pl.DataFrame(X), y), model)
    apart = RandomSlopeRegressor("x", variance_by="s")
    assert_same(apart.fit(X.drop(columns="g"), y, groups=X["g"]), model)
    assert apart.coef_.shape == (3,)
    np.testing.assert_allclose(
        apart.predict_interval(X.drop(columns="g"), groups=X["g"]), model.predict_interval(X)
    )
    codes = np.column_stack([X["x"], X["s"].map({"a": 3, "b": 5, "c": 7}), X["z"], X["g"]])
    by_position = RandomSlopeRegressor([0], group_by=-1, variance_by=1).fit(codes, y)
    assert_same(by_position, model)
    assert by_position.residual_variance_.index.tolist() == [3, 5, 7]
    assert by_position.residual_variance_.index.name == "stratum"
    np.testing.assert_allclose(by_position.predict_interval(codes), model.predict_interval(X))
    chosen = RandomSlopeRegressor(lambda X: ["x"], group_by="g", variance_by="s")
    assert_same(chosen.fit(X, y), model)
    categories = X.assign(s=pd.Categorical(X["s"], categories=["c", "b", "a", "unused"]))
    assert_same(model_of("slopes").fit(categories, y), model)
    by_index = model_of("slopes").fit(X.set_index("s"), y)
    assert_same(by_index, model)
    assert by_index.residual_variance_.index.name == "s"


def test_two_boolean_strata(simulated):
    X, y = simulated
    model = model_of("intercepts").fit(X.assign(s=X["s"] == "c"), y)
    assert model.residual_variance_.index.tolist() == [False, True]
    assert model.residual_variance_[True] > 4 * model.residual_variance_[False]


def test_clones_and_pickles(simulated, fitted):
    X, _ = simulated
    model = fitted["slopes"]
    assert clone(model).variance_by == "s"
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_series_equal(again.residual_variance_, model.residual_variance_)
    np.testing.assert_array_equal(again.predict_interval(X), model.predict_interval(X))
    np.testing.assert_allclose(again.fixed_effects_frame(), model.fixed_effects_frame())
    assert str(again.summary()) == str(model.summary())
    # a parameter that is set counts from the next fit on
    changed = pickle.loads(pickle.dumps(model)).set_params(variance_by=None)
    np.testing.assert_array_equal(changed.predict_interval(X), model.predict_interval(X))


def test_population_line_without_the_columns_of_groups_and_strata(simulated, fitted):
    X, _ = simulated
    model = fitted["slopes"]
    line, std = model.predict_population(X, return_std=True)
    np.testing.assert_array_equal(model.predict_population(X[["x", "z"]]), line)
    found = model.predict_population(X[["s", "x", "z"]], return_std=True)
    np.testing.assert_allclose(found, (line, std))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict_population(X[["z", "x", "s"]])
    with pytest.raises(ValueError, match="variance_by='s' must be a column of X"):
        model.predict_population(X[["x", "z"]], return_std=True)


def test_rows_without_a_known_stratum(simulated, fitted):
    X, y = simulated
    model, other = fitted["slopes"], X.copy()
    other.loc[[0, 1], "s"] = ["other", None]
    np.testing.assert_array_equal(model.predict(other), model.predict(X))
    np.testing.assert_array_equal(
        model.predict_interval(other, kind="mean"), model.predict_interval(X, kind="mean")
    )
    assert model.score(other, y) == model.score(X, y)
    message = r"not seen in fit: 'other'. Known are 'a', 'b', 'c'. Use predict\(X\)"
    for spread in (lambda X: model.predict(X, return_std=True), model.predict_interval):
        with pytest.raises(ValueError, match=message):
            spread(other)
        with pytest.raises(ValueError, match="spread is asked for, but 1 of 199 are missing"):
            spread(other.drop(index=0))


def test_groups_are_ignored_without_labels(simulated):
    """A pooled model by generalised least squares."""
    X, y = simulated
    with pytest.warns(MissingGroupsWarning):
        model = RandomInterceptRegressor(variance_by="s").fit(X.drop(columns="g"), y)
    D = np.column_stack([np.ones(len(X)), X[["x", "z"]]])
    w = 1 / model.residual_variance_[X["s"]].to_numpy()
    A = D.T @ (D * w[:, None])
    beta = np.linalg.solve(A, D.T @ (w * y))
    np.testing.assert_allclose([model.intercept_, *model.coef_[:2]], beta, rtol=1e-8)
    np.testing.assert_allclose(model.coef_cov_, np.linalg.inv(A), rtol=1e-8)
    leverage = np.einsum("ij,jk,ik->i", D, np.linalg.inv(A), D) * w
    squares = (y - D @ beta) ** 2
    by = X["s"].to_numpy()
    estimate = squares.groupby(by).sum() / (1 - pd.Series(leverage)).groupby(by).sum()
    np.testing.assert_allclose(model.residual_variance_, estimate, rtol=1e-5)
    assert "Residual a" in str(model.summary())


# ------------------------------------------------------------------------------- invariances


@settings(max_examples=8, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(0.01, 100), st.floats(-1e3, 1e3), st.integers(0, 1000))
def test_units_and_order_do_not_matter(shift, scale, move, seed):
    X, y = data_of("slopes")
    model = model_of("intercepts").fit(X, y)
    order = np.random.default_rng(seed).permutation(len(y))
    moved = X.assign(x=X["x"] * scale + move).iloc[order]
    other = model_of("intercepts").fit(moved, (scale * y + shift).iloc[order])
    variances = other.residual_variance_ / scale**2
    np.testing.assert_allclose(variances, model.residual_variance_, rtol=1e-5)
    # log|X'V^-1 X| is in the user's units, and x has the scale of y
    dof = len(y) - 3
    expected = model.criterion_ + 2 * (dof + 1) * np.log(scale)
    assert other.criterion_ == pytest.approx(expected, abs=1e-6)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_weights_are_numbers_of_rows(seed):
    X, y = data_of("slopes")
    times = np.random.default_rng(seed).integers(0, 4, len(y))
    weighted = model_of("intercepts").fit(X, y, sample_weight=times.astype(float))
    repeated = model_of("intercepts").fit(X.loc[X.index.repeat(times)], np.repeat(y, times))
    assert_same(weighted, repeated)
    assert weighted.bic_ == pytest.approx(repeated.bic_)
    np.testing.assert_array_equal(weighted.group_sizes_, repeated.group_sizes_)


def test_strata_of_weight_zero_are_not_there(simulated):
    X, y = simulated
    weight = (X["s"] != "b").to_numpy(dtype=float)
    kept = weight > 0
    found = model_of("slopes").fit(X, y, sample_weight=weight)
    assert_same(found, model_of("slopes").fit(X[kept], y[kept]))
    assert found.residual_variance_.index.tolist() == ["a", "c"]


# ------------------------------------------------------------------------ errors in the rows


def test_errors_of_fit(simulated):
    X, y = simulated
    model = model_of("intercepts")
    single = X.copy()
    single.loc[7, "s"] = "alone"
    with pytest.raises(ValueError, match="stratum 'alone', 1 of 200 rows, goes to 0"):
        model.fit(single, y)
    exact = y.where(X["s"] != "b", 2 * X["x"] - X["g"])
    with pytest.raises(ValueError, match=r"stratum 'b', \d+ of 200 rows, goes to 0: coeff"):
        model.fit(X, exact)
    with pytest.raises(ValueError, match="With variance_by rows are read once"):
        model.fit(X, y + 1e9 * X["g"])
    missing = X.assign(s=X["s"].where(X["s"] != "b"))
    with pytest.raises(
        ValueError, match="`strata` must have a label for every row in fit, but"
    ):
        model.fit(missing, y)
    with pytest.raises(
        ValueError, match="variance_by='g' must be another column than those of"
    ):
        model.set_params(variance_by="g").fit(X, y)
    with pytest.raises(ValueError, match="variance_by='t' must be a column of X, but the"):
        model.set_params(variance_by="t").fit(X, y)
    with pytest.raises(ValueError, match="variance_by=9 must be the position of a column of X"):
        model.set_params(variance_by=9).fit(X, y)
    with pytest.raises(ValueError, match="and 'g' holds the groups and 's' the strata"):
        RandomSlopeRegressor("s", group_by="g", variance_by="s").fit(X, y)
    with pytest.raises(NotAvailableError, match="variance_by does not exist yet for several"):
        RandomInterceptRegressor(group_by=["g", "h"], variance_by="s").fit(X.assign(h=1), y)
    assert not hasattr(model, "coef_")


# ------------------------------------------------------- each public method is right or refuses

RIGHT = {
    "conditional_cov_": "test_conditional_covariances",
    "confint": "test_limits_of_coefficients",
    "fit": "",
    "fit_statistics_frame": "test_statistics_by_stratum",
    "fixed_effects_frame": "test_degrees_of_freedom_are_satterthwaites_with_all_variances",
    "group_coef_": "test_lines_of_groups",
    "marginal_effects": "test_lines_of_groups",
    "predict": "",
    "predict_interval": "",
    "predict_population": "",
    "r2_conditional_": "test_shares_of_variance_are_those_of_rows",
    "r2_marginal_": "test_shares_of_variance_are_those_of_rows",
    "score": "test_rows_without_a_known_stratum",
    "summary": "test_summary",
}
REFUSED = {
    "augment": lambda model, X, y: model.augment(X, y),
    "conditional_aic": lambda model, X, y: model.conditional_aic(),
    "design_effect_": lambda model, X, y: model.design_effect_,
    "fit_moments": lambda model, X, y: model.fit_moments(
        GroupedMoments.from_rows(X[["x", "z"]], y, X["g"])
    ),
    "influence_frame": lambda model, X, y: model.influence_frame(X, y),
    "loo_predict": lambda model, X, y: model.loo_predict(X, y),
    "partial_fit": lambda model, X, y: model.partial_fit(X, y),
    "random_effects_frame": lambda model, X, y: model.random_effects_frame(),
    "residuals_frame": lambda model, X, y: model.residuals_frame(X, y),
    "simulate": lambda model, X, y: model.simulate(X),
    "update_groups": lambda model, X, y: model.update_groups(X, y),
}
OTHER_REFUSED = {
    "anova_frame": lambda model, X, y: anova_frame(model),
    "compare_slopes": lambda model, X, y: compare_slopes(model),
    "confint\\(method='profile'\\)": lambda model, X, y: model.confint(),
    "confint\\(method='bootstrap'\\)": lambda model, X, y: model.confint(method="bootstrap"),
    "df_method='kenward-roger'": lambda model, X, y: model.summary(df_method="kenward-roger"),
    "RandomEffectsDisplay": lambda model, X, y: RandomEffectsDisplay.from_estimator(model),
}
OF_SCIKIT_LEARN = {"get_metadata_routing", "get_params", "set_params"}


def test_statistics_by_stratum(fitted):
    for model in fitted.values():
        row = model.fit_statistics_frame().iloc[0]
        for stratum, variance in model.residual_variance_.items():
            assert row[f"sigma_{stratum}"] == variance**0.5


@pytest.mark.parametrize("kind", [RandomInterceptRegressor, RandomSlopeRegressor])
def test_every_public_method_is_known(kind):
    public = {name for name in dir(kind) if not name.startswith("_")}
    public -= {name for name in public if name.endswith("_request")} | OF_SCIKIT_LEARN
    assert public == RIGHT.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", [*REFUSED, *OTHER_REFUSED])
def test_what_does_not_exist_is_refused(name, fitted, simulated):
    call = {**REFUSED, **OTHER_REFUSED}[name]
    for model in fitted.values():
        before = vars(model).copy()
        with pytest.raises(
            NotAvailableError, match=f"{name} does not exist for variances that"
        ):
            call(model, *simulated)
        assert vars(model) == before


def test_dask_is_refused_by_fit(simulated):
    array = pytest.importorskip("dask.array")
    X = array.from_array(np.zeros((4, 2)))
    with pytest.raises(NotAvailableError, match="A fit to dask collections does not exist for"):
        RandomInterceptRegressor(variance_by=0).fit(X, X[:, 0])


def test_conditional_covariances(fitted, simulated):
    model, (X, _) = fitted["slopes"], simulated
    rows = X["g"] == 3
    Z = np.column_stack([np.ones(rows.sum()), X.loc[rows, "x"]])
    precision = 1 / model.residual_variance_[X.loc[rows, "s"]].to_numpy()
    cov = np.linalg.inv(model.random_effects_cov_)
    expected = np.linalg.inv(cov + Z.T @ (Z * precision[:, None]))
    np.testing.assert_allclose(model.conditional_cov_.loc[3], expected, rtol=1e-7)
    shares = 1 - np.diag(expected) / np.diag(model.random_effects_cov_)
    np.testing.assert_allclose(model.pooling_weights_.loc[3], shares, rtol=1e-6)


def test_lines_of_groups(fitted):
    model = fitted["slopes"]
    lines = model.group_coef_
    expected = model.random_effects_["x"] + model.coef_[0]
    np.testing.assert_allclose(lines["x"], expected)
    np.testing.assert_allclose(model.marginal_effects("x")["total"], expected)
    np.testing.assert_allclose(lines["z"], model.coef_[1])


def test_limits_of_coefficients(fitted):
    frame = fitted["slopes"].confint(method="wald")
    sigma = frame.loc[["sigma|a", "sigma|b", "sigma|c"]]
    np.testing.assert_allclose(sigma["estimate"], np.sqrt(fitted["slopes"].residual_variance_))
    assert sigma[["lower", "upper"]].isna().all(axis=None)
    table = fitted["slopes"].fixed_effects_frame(df_method="normal")
    np.testing.assert_allclose(frame.iloc[-3:], table[["estimate", "lower", "upper"]])


def test_tests_and_effects(fitted, simulated):
    model, (X, _) = fitted["slopes"], simulated
    frame = model.fixed_effects_frame()
    assert wald_test(model, "z").df_denom == pytest.approx(frame.loc["z", "df"])
    assert wald_test(model, "z").statistic == pytest.approx(frame.loc["z", "t"] ** 2)
    contrast = contrast_frame(model, {"z": {"z": 1.0}})
    assert contrast["std_error"].iloc[0] == pytest.approx(frame.loc["z", "std_error"])
    effect = average_effects(model, X, "z")
    assert effect["std_error"].iloc[0] == pytest.approx(frame.loc["z", "std_error"])


def test_summary(fitted):
    text = str(fitted["intercepts"].summary())
    for part in ("Residual a", "Intraclass correlation (c)", "R2, fixed and random effects"):
        assert part in text
    assert "Design effect" not in text
    components = fitted["intercepts"].summary().variance_components
    variances = fitted["intercepts"].residual_variance_
    np.testing.assert_allclose(components["variance"].iloc[1:], variances)
    assert "sigma2" not in fitted["slopes"].summary()._repr_html_()


def test_cross_validation_refits_from_rows(simulated):
    X, y = simulated
    model = model_of("intercepts")
    np.testing.assert_allclose(
        cross_validate(model, X, y, cv=3)["test_score"], cross_val_score(model, X, y, cv=3)
    )


def test_models_without_strata_read_rows_without_groups_as_before(simulated):
    X, y = simulated
    features = X[["x", "z", "g"]]
    model = RandomInterceptRegressor(group_by="g").fit(features, y)
    alone = model.predict_population(features[["x", "z"]])
    np.testing.assert_array_equal(alone, model.predict_population(features))
