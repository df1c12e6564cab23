"""Averaged predictions and effects: against emmeans, and dense sums."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.linalg import LinAlgWarning
from scipy.sparse import coo_array, csr_matrix
from scipy.special import expit
from scipy.stats import norm
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
)

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_penicillin, load_sleepstudy
from skmixed.inspection import AverageEffectsDisplay, average_effects, average_predictions

REFERENCE = Path(__file__).parents[1] / "reference" / "emmeans"
EXPECTED = json.loads((REFERENCE / "expected.json").read_text())
METHODS = ["satterthwaite", "kenward-roger"]


def with_products(X):
    """Machines A, B, C as two dummies, x, and their products."""
    B, C = (1.0 * (X["Machine"] == name) for name in "BC")
    return np.column_stack([B, C, X["x"], B * X["x"], C * X["x"]])


def curves(X):
    """A parabola of age for either sex."""
    male, age = 1.0 * (X["Sex"] == "Male"), X["age"].astype(float)
    return np.column_stack([age, age**2, male, male * age, male * age**2])


@pytest.fixture(scope="module")
def machines():
    rows = pd.read_csv(REFERENCE / "machines.csv")
    columns = make_column_transformer(
        (FunctionTransformer(with_products), ["Machine", "x"]), ("passthrough", ["Worker"])
    )
    model = RandomInterceptRegressor(group_by=5)
    X = rows[["Machine", "x", "Worker"]]
    return make_pipeline(columns, model).fit(X, rows["score"]), X


@pytest.fixture(scope="module")
def growth():
    rows = pd.read_csv(REFERENCE / "orthodont.csv")
    X = rows[["age", "Sex"]]
    model = make_pipeline(FunctionTransformer(curves), RandomInterceptRegressor())
    model.fit(X, rows["distance"], randominterceptregressor__groups=rows["Subject"])
    return model, X


def assert_as_emmeans(frame, method, name, *, limits=True):
    expected = EXPECTED[method][name]
    columns = ["estimate", "std_error", "df", *["lower", "upper"] * limits]
    for column in columns:
        rtol = 1e-4 if column == "df" else 2e-6
        np.testing.assert_allclose(frame[column], expected[column], rtol=rtol)


@pytest.mark.parametrize("method", METHODS)
def test_marginal_means_of_a_factor_design(machines, method):
    model, X = machines
    options = {"df_method": method}
    means = average_predictions(model, X, at={"Machine": ["A", "B", "C"]}, **options)
    assert list(means.index) == ["A", "B", "C"]
    assert_as_emmeans(means, method, "machine_means")
    contrasts = average_effects(model, X, "Machine", **options)
    assert list(contrasts.index) == [("Machine", "B - A"), ("Machine", "C - A")]
    # emmeans adjusts these limits for their number
    assert_as_emmeans(contrasts, method, "machine_contrasts", limits=False)


@pytest.mark.parametrize("method", METHODS)
def test_predictions_and_slopes_go_through_the_pipeline(growth, method):
    model, X = growth
    options = {"df_method": method}
    means = average_predictions(model, X, at={"age": [8, 11, 14]}, **options)
    assert_as_emmeans(means, method, "age_means")
    slope = average_effects(model, X, ["age"], **options)
    assert list(slope.index) == [("age", "slope")]
    assert_as_emmeans(slope, method, "age_slope")
    change = average_effects(model, X, {"age": [8, 14]}, **options)
    assert change.index[0] == ("age", "14 - 8")
    difference = means["estimate"].iloc[2] - means["estimate"].iloc[0]
    assert change["estimate"].item() == pytest.approx(difference)


def test_averages_over_combinations(growth):
    model, X = growth
    frame = average_predictions(model, X, at={"Sex": ["Male", "Female"], "age": [10]})
    assert frame.index.names == ["Sex", "age"]
    for (sex, age), row in frame.iterrows():
        one = pd.DataFrame({"age": [age], "Sex": [sex]})
        line = model[-1].predict_population(model[0].transform(one))
        assert row["estimate"] == pytest.approx(line[0])
    every = average_predictions(model, X)
    population = model[-1].predict_population(model[0].transform(X))
    assert every["estimate"].item() == pytest.approx(population.mean())
    assert list(every.columns) == ["estimate", "std_error", "df", "lower", "upper"]


def dense_means(mean, sd):
    """The mean over effects of groups, at each linear predictor, by a sum."""
    z = np.linspace(-9, 9, 721)
    weights = norm.pdf(z) / norm.pdf(z).sum()
    return lambda eta: mean(np.asarray(eta)[:, None] + sd * z) @ weights


@pytest.mark.parametrize("family", ["binary", "counts"])
def test_outcomes_by_a_dense_delta_method(family):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 8)
    X = pd.DataFrame({"x": rng.normal(size=240), "drug": rng.choice(["no", "yes"], 240)})
    eta = 0.6 * X["x"] + 0.8 * (X["drug"] == "yes") + rng.normal(size=30)[groups]
    binary = family == "binary"
    y = rng.random(240) < expit(eta) if binary else rng.poisson(np.exp(0.5 * eta))
    last = (RandomInterceptClassifier if binary else RandomInterceptPoissonRegressor)()
    columns = make_column_transformer(
        (OneHotEncoder(drop="first"), ["drug"]), remainder="passthrough"
    )
    model = make_pipeline(columns, last)
    model.fit(X, y, **{f"{model.steps[-1][0]}__groups": groups})
    sd = np.sqrt(last.random_effects_cov_.to_numpy().item())
    average = dense_means(expit if binary else np.exp, sd)
    beta = np.append(last.intercept_, last.coef_)
    x = X["x"].to_numpy()[:40]

    def effects(beta):
        high, low = (
            average(beta[0] + beta[1] * drug + beta[2] * x).mean() for drug in (1.0, 0.0)
        )
        h, line = 1e-3, beta[0] + beta[1] * (X["drug"][:40] == "yes") + beta[2] * x
        steps = average(line + beta[2] * h) - average(line - beta[2] * h)
        return np.array([high - low, steps.mean() / (2 * h)])

    gradient = np.column_stack(
        [(effects(beta + h) - effects(beta - h)) / 2e-4 for h in 1e-4 * np.eye(3)]
    )
    frame = average_effects(model, X[:40], ["drug", "x"])
    assert list(frame.columns[:4]) == ["estimate", "std_error", "z", "p_value"]
    np.testing.assert_allclose(frame["estimate"], effects(beta), rtol=1e-5)
    variances = np.diag(gradient @ last.coef_cov_.to_numpy() @ gradient.T)
    np.testing.assert_allclose(frame["std_error"] ** 2, variances, rtol=1e-4)


def test_ways_to_give_rows_and_groups():
    X, y, groups = load_sleepstudy(return_X_y=True)
    model = RandomSlopeRegressor("Days").fit(X, y, groups=groups)
    expected = model.fixed_effects_frame().loc["Days"]
    for given in (X, pl.from_pandas(X)):
        frame = average_effects(model, given, "Days")
        np.testing.assert_allclose(frame.iloc[0], expected)
    array = RandomSlopeRegressor([0]).fit(X.to_numpy(), y, groups=groups)
    np.testing.assert_allclose(average_effects(array, X.to_numpy(), 0).iloc[0], expected)
    table = X.assign(Subject=groups)
    by_column = RandomSlopeRegressor("Days", group_by="Subject").fit(table, y)
    for given in (table, X):
        np.testing.assert_allclose(average_effects(by_column, given, "Days").iloc[0], expected)
    for other in (PooledRegressor(), FixedEffectsRegressor()):
        frame = average_effects(other.fit(X, y, groups=groups), X, {"Days": [0, 2]})
        row = other.fixed_effects_frame().loc["Days"]
        np.testing.assert_allclose(frame[["estimate", "std_error"]], [2 * row.iloc[:2]])


def test_several_factors():
    X, y, factors = load_penicillin(return_X_y=True)
    X = pd.DataFrame({"x": np.arange(len(y)) % 5.0})
    model = RandomInterceptRegressor().fit(X, y, groups=factors)
    frame = average_effects(model, X, "x")
    np.testing.assert_allclose(frame.iloc[0], model.fixed_effects_frame().loc["x"])


def test_what_is_refused(machines, growth):
    model, X = machines
    with pytest.raises(ValueError, match=r"'z' must be a column of X, but these are \['Mach"):
        average_effects(model, X, "z")
    with pytest.raises(ValueError, match="'z' must be a column of X"):
        average_predictions(model, X, at={"z": [1]})
    with pytest.raises(ValueError, match="two values of 'Machine' or more"):
        average_effects(model, X[X["Machine"] == "A"], "Machine")
    with pytest.raises(TypeError, match="must be a fitted model of this package, or a pipel"):
        average_effects(LinearRegression(), X, "x")
    with pytest.raises(ValueError, match="3 must be a column of X, but these are"):
        average_effects(growth[0][-1], np.zeros((2, 3)), 3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    twice = pd.DataFrame({"x": x, "double": 2 * x})
    with pytest.warns(LinAlgWarning):
        dependent = PooledRegressor().fit(twice, rng.normal(size=40))
    for name in twice:  # neither alone was ever seen to change
        with pytest.raises(ValueError, match="do not determine this average: in them the col"):
            average_effects(dependent, twice, name)


NOT_AVERAGED = {
    "no values": ({"Machine": []}, ValueError, "name two values of 'Machine' or more"),
    "one value": ({"x": 1.0}, TypeError, "must give 'x' a list of values, .* but got 1.0"),
    "text": ({"Machine": "AB"}, TypeError, "must give 'Machine' a list of values"),
    "nothing": ([], ValueError, "`variables` must name a column or more"),
    "the groups": ("Worker", ValueError, "'Worker' must be a column that changes the av"),
}


@pytest.mark.parametrize("given", NOT_AVERAGED)
def test_what_cannot_be_asked(machines, given):
    variables, error, message = NOT_AVERAGED[given]
    with pytest.raises(error, match=message):
        average_effects(*machines, variables)


def test_what_cannot_be_predicted(machines):
    model, X = machines
    with pytest.raises(ValueError, match=r"`at` must give 'x' a list of values, .* but got"):
        average_predictions(model, X, at={"x": []})
    with pytest.raises(ValueError, match="X must have rows to average over, but has 0"):
        average_predictions(model, X[:0])
    with pytest.raises(ValueError, match=r"'df_method' parameter .* must be a str among"):
        average_predictions(model, X, df_method="satterthwait")


@pytest.fixture(scope="module")
def crops():
    """Rows of two factors, one of ordered categories, and a column that is curved."""
    rng = np.random.default_rng(3)
    soil, rain = rng.choice(["clay", "loam", "sand"], 90), 1e4 + rng.gamma(3, 10, 90)
    farm = rng.integers(0, 8, 90)
    kind = pd.Categorical(rng.choice(["low", "high"], 90), ["low", "high"])
    X = pd.DataFrame({"soil": soil, "kind": kind, "rain": rain, "farm": farm})
    return X, (soil == "loam") + rain / 10 + rng.normal(size=8)[farm] + rng.normal(size=90)


def of_crops(drop, include_bias):
    columns = make_column_transformer(
        (OneHotEncoder(drop=drop), ["soil", "kind"]),
        (SplineTransformer(4, include_bias=include_bias), ["rain"]),
        ("passthrough", ["farm"]),
    )
    return make_pipeline(columns, RandomInterceptRegressor(group_by=-1))


def test_all_dummies_and_all_splines_give_the_averages_of_some(crops):
    X, y = crops
    with pytest.warns(LinAlgWarning):
        every = of_crops(None, True).fit(X, y)
    some = of_crops("first", False).fit(X, y)
    at = {"soil": ["clay", "sand"], "kind": ["high"]}
    for average in (
        lambda model: average_effects(model, X, ["soil", "kind", "rain"]),
        lambda model: average_predictions(model, X, at=at),
    ):
        columns = ["estimate", "std_error", "df"]
        pd.testing.assert_frame_equal(
            average(every)[columns], average(some)[columns], rtol=1e-4
        )
    for average in (
        lambda: average_effects(some, X, "farm"),
        lambda: average_predictions(some, X, at={"farm": [1]}),
    ):
        with pytest.raises(ValueError, match="'farm' holds the groups, on which the averaged"):
            average()
    table = average_effects(every, X, "kind")
    assert table.index[0] == ("kind", "high - low")  # in the order of the categories


@pytest.mark.parametrize("of", [csr_matrix, coo_array, np.ndarray.tolist, np.float32])
def test_containers_of_numbers(of):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2)).round(2)
    y = X @ [1, 2] + rng.normal(size=40)
    model = RandomInterceptRegressor().fit(X, y, groups=np.arange(40) % 5)
    for give in (average_effects, lambda *given: average_predictions(*given[:2], at={0: [1]})):
        found, expected = give(model, of(X), [0, 1]), give(model, X, [0, 1])
        assert np.allclose(found["estimate"], expected["estimate"], rtol=1e-6)


def test_the_slope_at_rows_that_are_all_alike_takes_small_steps():
    rng = np.random.default_rng(0)
    x = 1e-6 * rng.normal(5, 1, size=60)
    X = pd.DataFrame({2020: x})  # a name that is no string
    model = make_pipeline(PolynomialFeatures(3, include_bias=False), RandomInterceptRegressor())
    y = (1e6 * x) ** 3 + rng.normal(size=60)
    model.fit(X, y, randominterceptregressor__groups=np.arange(60) % 6)
    coef = model[-1].coef_
    at = 6e-6
    slope = average_effects(model, pd.DataFrame({2020: [at]}), 2020)["estimate"].item()
    assert np.isclose(slope, coef @ [1, 2 * at, 3 * at**2], rtol=1e-6)


def test_a_picture(machines):
    model, X = machines
    display = AverageEffectsDisplay.from_estimator(model, X, ["Machine", "x"])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["x: slope", "Machine: C - A", "Machine: B - A"]
    frame = average_effects(model, X, ["Machine", "x"])[::-1]
    np.testing.assert_allclose(display.points_.get_offsets()[:, 0], frame["estimate"])
    ends = np.array(display.intervals_.get_segments())[:, :, 0]
    np.testing.assert_allclose(ends, frame[["lower", "upper"]])
    at = {"Machine": ["A", "B"]}
    display = AverageEffectsDisplay.from_estimator(model, X, at=at)
    assert display.ax_.get_xlabel() == "average prediction"
    assert display.ax_.get_ylabel() == "Machine"
    with pytest.raises(ValueError, match="One of `variables`, for effects, and `at`"):
        AverageEffectsDisplay.from_estimator(model, X)


def test_polynomial_features():
    X, y, groups = load_sleepstudy(return_X_y=True)
    model = make_pipeline(PolynomialFeatures(2, include_bias=False), RandomInterceptRegressor())
    model.fit(X, y, randominterceptregressor__groups=groups)
    frame = average_effects(model, X, "Days")
    linear, square = model[-1].coef_
    assert frame["estimate"].item() == pytest.approx(linear + 2 * square * X["Days"].mean())
    L = np.array([0, 1, 2 * X["Days"].mean()])
    assert frame["std_error"].item() ** 2 == pytest.approx(L @ model[-1].coef_cov_ @ L)
