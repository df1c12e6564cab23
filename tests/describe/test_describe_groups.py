"""A description of groups: each number against another way to get it, each verdict's reason."""

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import f
from sklearn.pipeline import make_pipeline

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    describe_groups,
)
from skmixed._describe.advice import cost_of_pooling
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.inference import compare_slopes
from skmixed.preprocessing import WithinBetween

CHOICE = "Choice"
POOLING, FIXED, RANDOM = (
    "Complete pooling (groups ignored)",
    "Fixed effects (a coefficient for each group)",
    "Random effects (groups drawn from a distribution)",
)


@pytest.fixture(scope="module")
def hsb():
    return load_hsb().frame.drop(columns="mean_ses")


@pytest.fixture(scope="module")
def description(hsb):
    return describe_groups(hsb.drop(columns="math"), hsb["math"], group_by="school")


def advice(*args, **kwargs):
    """All sentences, and the choice."""
    found = describe_groups(*args, **kwargs).advice
    return " ".join(sentence for part in found.values() for sentence in part), found[CHOICE]


# --------------------------------------------------------------------------------- numbers


def test_sizes(hsb, description):
    sizes = hsb.groupby("school").size()
    pd.testing.assert_series_equal(description.group_sizes, sizes, check_names=False)
    assert description.group_sizes.index.name == "school"
    expected = [7185, 160, sizes.min(), sizes.median(), sizes.mean(), sizes.max(), 0]
    assert description.sizes.tolist() == expected
    assert description.title == "7185 rows in 160 groups (school)"


def test_shares_of_variation(hsb, description):
    features = ["math", "ses", "minority", "female", "catholic"]
    means = hsb.groupby("school")[features].transform("mean")
    expected = means.var() / hsb[features].var()
    np.testing.assert_allclose(description.variation["between"], expected, rtol=1e-9)
    np.testing.assert_allclose(description.variation["within"], 1 - expected, atol=1e-9)
    assert list(description.variation.index) == features
    assert description.variation["varies"].tolist() == ["both"] * 4 + ["between groups"]


def test_groups_and_rows_in_which_a_variable_varies(hsb, description):
    features = ["math", "ses", "minority", "female", "catholic"]
    varies = hsb.groupby("school")[features].nunique() > 1
    sizes = hsb.groupby("school").size()
    assert description.variation["groups"].tolist() == varies.sum().tolist()
    expected = [int(sizes[varies[name]].sum()) for name in features]
    assert description.variation["rows"].tolist() == expected


def test_only_the_rows_that_vary_make_a_slope_of_fixed_effects():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 10)
    x = rng.standard_normal(500)
    x[groups >= 5] = rng.standard_normal(50)[groups[groups >= 5]]
    y = x + rng.standard_normal(50)[groups] + rng.standard_normal(500)
    found = describe_groups(x[:, None], y, groups)
    assert found.variation.loc["x0", ["groups", "rows"]].tolist() == [5, 50]
    some = groups < 5
    whole = FixedEffectsRegressor().fit(x[:, None], y, groups=groups)
    part = FixedEffectsRegressor().fit(x[some, None], y[some], groups=groups[some])
    assert whole.coef_[0] == pytest.approx(part.coef_[0], rel=1e-12)
    sentence = "of the 50 groups x0 varies in 5 (50 rows)."
    assert sentence in " ".join(found.advice[FIXED])
    assert whole.effective_sizes_.loc["x0"].tolist() == [5, 50]


def f_test_of_groups(X, y, groups):
    """Dummies of the groups beside X, against X alone, by two regressions."""
    X, dummies = np.column_stack([np.ones(len(y)), X]), pd.get_dummies(groups, dtype=float)
    both = np.column_stack([X, dummies])
    rest, df = [], []
    for D in (X, both):
        beta = np.linalg.lstsq(D, y)[0]
        rest.append(((y - D @ beta) ** 2).sum())
        df.append(len(y) - np.linalg.matrix_rank(D))
    statistic = (rest[0] - rest[1]) / (df[0] - df[1]) / (rest[1] / df[1])
    return statistic, df[0] - df[1], df[1]


def rows_of_models(hsb):
    """Columns of each model, by the name of its row."""
    X, school = hsb.drop(columns=["math", "school"]), hsb["school"]
    yield "y alone", X[[]]
    yield "y given the features", X
    yield "y given split features", WithinBetween().fit_transform(X, groups=school)


def test_variance_components_are_those_of_fitted_models(hsb, description):
    y, school = hsb["math"], hsb["school"]
    for name, columns in rows_of_models(hsb):
        model = RandomInterceptRegressor(group_by="school")
        model.fit(columns.assign(school=school), y)
        found = description.variance_components.loc[name]
        between = model.random_effects_cov_.iloc[0, 0]
        assert found["between"] == pytest.approx(between, rel=1e-6)
        assert found["residual"] == pytest.approx(model.residual_variance_, rel=1e-8)
        assert found["icc"] == pytest.approx(model.icc_, rel=1e-6)
        statistic, df_num, df_den = f_test_of_groups(columns, y, school)
        assert found["statistic"] == pytest.approx(statistic, rel=1e-8)
        assert found[["df_num", "df_den"]].tolist() == [df_num, df_den]
        assert found["p_value"] == pytest.approx(f.sf(statistic, df_num, df_den), rel=1e-6)
        if name == "y alone":
            variance = model.coef_cov_.iloc[0, 0]
            total = between + model.residual_variance_
            rows = description.effective_rows
            assert rows["estimate"] == pytest.approx(total / variance, rel=1e-6)
            assert rows["lower"] < rows["estimate"] < rows["upper"]
        if name == "y given the features":
            frame = model.fixed_effects_frame()
            for column in ("estimate", "std_error"):
                key = {"estimate": "slope"}.get(column, column)
                expected = frame[column].drop("(Intercept)")
                np.testing.assert_allclose(description.slope_sources[key], expected, rtol=1e-6)
            pooled = PooledRegressor().fit(columns, y).fixed_effects_frame()["std_error"]
            assert pooled["catholic"] < frame.loc["catholic", "std_error"]
        if name == "y given split features":
            frames = [
                m.fixed_effects_frame() for m in (model, PooledRegressor().fit(columns, y))
            ]
            name = next(term for term in frames[0].index if term.startswith("catholic"))
            ratio = frames[0].loc[name, "std_error"] / frames[1].loc[name, "std_error"]
            assert description.std_error_ratios.to_dict() == {"catholic": pytest.approx(ratio)}


def test_the_interval_holds_the_ratios_that_are_not_rejected():
    """At a limit, V^-1/2 turns the data into some without differences between groups."""
    X, y, groups = make_mixed_regression(90, 1, 15, balanced=False, random_state=3)
    found = describe_groups(X, y, groups).variance_components.loc["y given the features"]
    D = np.column_stack([np.ones(90), X])
    same = np.equal.outer(groups, groups).astype(float)
    df_num, df_den = f_test_of_groups(X, y, groups)[1:]
    for limit, tail in (("icc_lower", 0.975), ("icc_upper", 0.025)):
        psi = found[limit] / (1 - found[limit])
        V_inv = np.linalg.inv(np.eye(90) + psi * same)
        P = V_inv - V_inv @ D @ np.linalg.solve(D.T @ V_inv @ D, D.T @ V_inv)
        within = y @ _without(np.column_stack([D, same]), y)
        between = (y @ P @ y - within) / df_num / (within / df_den)
        assert f.cdf(between, df_num, df_den) == pytest.approx(tail, abs=1e-5)
    assert found["icc_lower"] < found["icc"] < found["icc_upper"]


def _without(D, y):
    return y - D @ np.linalg.lstsq(D, y)[0]


def test_the_standard_error_of_the_variance_counts_singletons():
    """Balanced: sqrt(2 (ms_B^2 / (J - 1) + ms_W^2 / (n - J))) / m, from mean squares."""
    X, y, groups = make_mixed_regression(60, 0, 12, random_state=1)
    found = describe_groups(X, y, groups).variance_components.loc["y alone"]
    within, between = found["residual"], found["residual"] + 5 * found["between"]
    expected = np.sqrt(2 * (between**2 / 11 + within**2 / 48)) / 5
    assert found["between_std_error"] == pytest.approx(expected, rel=1e-6)
    groups = np.repeat(np.arange(60), np.append(np.ones(58, dtype=int), [10, 10]))
    rng = np.random.default_rng(0)
    y = 2 * rng.standard_normal(60)[groups] + rng.standard_normal(len(groups))
    found = describe_groups(np.empty((len(y), 0)), y, groups).variance_components.iloc[0]
    same = np.equal.outer(groups, groups).astype(float)
    V_inv = np.linalg.inv(found["residual"] * np.eye(len(y)) + found["between"] * same)
    P = V_inv - np.outer(V_inv.sum(axis=0), V_inv.sum(axis=0)) / V_inv.sum()
    parts = (P @ same, P)
    information = np.array([[np.sum(a * b.T) / 2 for b in parts] for a in parts])
    expected = np.sqrt(np.linalg.inv(information)[0, 0])
    assert found["between_std_error"] == pytest.approx(expected, rel=1e-5)


def test_where_a_slope_comes_from():
    """With one feature the slope is a mean of those within and between, so weighted."""
    X, y, groups = make_mixed_regression(200, 1, 20, balanced=False, random_state=5)
    X = X + np.random.default_rng(5).standard_normal(20)[groups, None]
    found = describe_groups(X, y, groups)
    source = found.slope_sources.loc["x0"]
    psi = found.variance_components.loc["y given the features"]
    psi = psi["between"] / psi["residual"]
    same = np.equal.outer(groups, groups).astype(float)
    D = np.column_stack([np.ones(200), X])
    M = D.T @ np.linalg.inv(np.eye(200) + psi * same) @ D
    within = X[:, 0] @ _without(same, X[:, 0])
    total = M[1, 1] - M[0, 1] ** 2 / M[0, 0]
    assert source["from_within"] == pytest.approx(within / total, rel=1e-6)
    assert source["from_within"] + source["from_between"] == pytest.approx(1)
    slope = found.slopes.slopes.loc["x0", "within"]
    V_inv = np.linalg.inv(np.eye(200) + psi * same)
    means = np.column_stack([np.ones(200), X]) - np.column_stack([X * 0, _without(same, X)])
    between = np.linalg.solve(means.T @ V_inv @ means, means.T @ V_inv @ y)[1]
    weights = source[["from_within", "from_between"]]
    assert source["slope"] == pytest.approx(weights @ [slope, between], rel=1e-6)


def test_slopes_are_those_of_a_fitted_pipeline(hsb, description):
    pipeline = make_pipeline(
        WithinBetween(group_by="school"), RandomInterceptRegressor(group_by="school")
    ).fit(hsb.drop(columns="math"), hsb["math"])
    expected = compare_slopes(pipeline)
    np.testing.assert_allclose(description.slopes.slopes, expected.slopes, rtol=1e-6)
    assert description.slopes.statistic == pytest.approx(expected.statistic, rel=1e-7)
    assert description.slopes.df_num == expected.df_num == 3
    assert description.without_fixed_effects_slope == ("catholic",)


def test_ways_to_give_rows(hsb, description):
    X, y, school = hsb.drop(columns=["math", "school"]), hsb["math"], hsb["school"]
    for found in (
        describe_groups(X, y, school),
        describe_groups(X.to_numpy(), y.to_numpy(), school.to_numpy()),
        describe_groups(sp.csr_array(X), y, groups=school.astype(str).astype("category")),
        describe_groups(hsb.drop(columns="math").to_numpy(), y, group_by=-1),
        describe_groups(hsb.set_index("school")[X.columns], y, group_by="school"),
    ):
        values, expected = found.variance_components, description.variance_components
        np.testing.assert_allclose(values, expected, rtol=1e-6)
        assert found.slopes.statistic == pytest.approx(description.slopes.statistic)
    assert list(describe_groups(X.to_numpy(), y.to_numpy(), school).variation.index) == [
        "y",
        "x0",
        "x1",
        "x2",
        "x3",
    ]


def test_weights_count_rows():
    X, y, groups = make_mixed_regression(120, 2, 9, balanced=False, random_state=0)
    w = np.random.default_rng(0).integers(0, 4, len(y))
    w[groups == 3] = 0
    times = np.repeat(np.arange(len(y)), w)
    weighted = describe_groups(X, y, groups, sample_weight=w)
    repeated = describe_groups(X[times], y[times], groups[times])
    assert str(weighted) == str(repeated)
    np.testing.assert_allclose(weighted.residual_spread, repeated.residual_spread, rtol=1e-9)
    assert weighted.variation["rows"].iloc[0] <= w.sum()
    half = describe_groups(X, y, groups, sample_weight=w * 0.5)
    assert half.sizes["rows"] == w.sum() / 2


def test_an_offset_changes_nothing():
    X, y, groups = make_mixed_regression(200, 2, 9, random_state=0)
    X = np.round(np.column_stack([X, X[:9, 0][groups]]), 3)
    near, far = (describe_groups(X + c, np.round(y, 3) + c, groups) for c in (0, 1e8))
    np.testing.assert_allclose(far.variance_components, near.variance_components, rtol=1e-5)
    assert far.variation["varies"].tolist() == near.variation["varies"].tolist()
    assert far.variation["varies"].iloc[-1] == "between groups"


# ------------------------------------------------------- groups far apart, small residuals

DIGITS = Path(__file__).parents[1] / "reference" / "digits"


def exact_share_within(values, groups):
    """Share within groups, by fractions."""
    groups = [[Fraction(v) for v in part] for _, part in values.groupby(groups)]
    everything = [v for part in groups for v in part]
    return float(sum(map(squares, groups)) / squares(everything))


def squares(values):
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values)


@pytest.mark.parametrize("name", sorted(path.stem for path in DIGITS.glob("*.csv")))
@pytest.mark.filterwarnings("error")
def test_shares_have_their_digits(name):
    data = pd.read_csv(DIGITS / f"{name}.csv")
    found = describe_groups(data.drop(columns=["y", "g"]), data["y"], data["g"]).variation
    assert found["varies"].tolist() == ["both"] * len(found)
    for column, within in found["within"].items():
        expected = exact_share_within(data[column], data["g"])
        assert within == pytest.approx(expected, rel=1e-9)


# residual variances and slopes within groups from nlme and from lm with dummies
@pytest.mark.parametrize(
    ("name", "residual", "slopes"),
    [
        ("far_levels", 1.02744293, {"a": 0.96559373, "b": 1.03051481}),
        ("far_groups_y", 1.049092, {"x": 0.034761}),
        ("far_groups_x_fixed", None, {"x": 0.066222}),
        ("small_residuals", 1.0395, {"x": 4999999.925773}),
    ],
)
@pytest.mark.filterwarnings("error")
def test_models_have_their_digits(name, residual, slopes):
    data = pd.read_csv(DIGITS / f"{name}.csv")
    X, y, groups = data.drop(columns=["y", "g"]), data["y"], data["g"]
    found = describe_groups(X, y, groups)
    if residual is not None:
        given = found.variance_components.loc["y given the features", "residual"]
        assert given == pytest.approx(residual, rel=1e-4)
    within, std_error = found.slopes.slopes["within"], found.slopes.slopes["std_error"]
    for column, expected in slopes.items():
        assert within[column] == pytest.approx(expected, abs=2e-3 * std_error[column])
    null = RandomInterceptRegressor(group_by="g").fit(data[["g"]], y)
    alone = found.variance_components.loc["y alone"]
    assert alone["residual"] == pytest.approx(null.residual_variance_, rel=1e-7)
    assert alone["between"] == pytest.approx(null.random_effects_cov_.iloc[0, 0], rel=1e-7)


@pytest.mark.parametrize("of", ["y", "feature", "both"])
@pytest.mark.parametrize("apart", [1e5, 1e7, 1e9])
@pytest.mark.filterwarnings("error")
def test_distance_between_groups_does_not_change_what_is_within(of, apart):
    X, y, groups = make_mixed_regression(400, 2, 20, random_state=1)
    X, y = np.round(X * 2**10) / 2**10, np.round(y * 2**10) / 2**10
    near = describe_groups(X, y, groups)
    of_y, of_x = np.round(apart * np.random.default_rng(0).normal(size=(2, 20)))[:, groups]
    X = np.column_stack([X[:, 0] + (of != "y") * of_x, X[:, 1]])
    y = y + (of != "feature") * of_y
    far = describe_groups(X, y, groups)
    assert far.variation["varies"].tolist() == ["both"] * 3
    a, b = (d.slopes.slopes["within"] for d in (near, far))
    np.testing.assert_allclose(b, a, rtol=1e-6)
    fixed = FixedEffectsRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(b, fixed.coef_, rtol=1e-6)
    # levels far apart are as good as fixed effects, and near ones close to them
    found = far.variance_components.loc["y given split features", "residual"]
    rtol = 0.01 if of == "feature" else 1e-6
    assert found == pytest.approx(fixed.residual_variance_, rel=rtol)


@pytest.mark.filterwarnings("error")
def test_a_feature_of_groups_may_explain_levels_far_apart():
    X, y, groups = make_mixed_regression(400, 1, 20, random_state=1)
    level_2 = np.round(1e3 * np.random.default_rng(0).normal(size=20))[groups]
    near = describe_groups(np.column_stack([X, level_2]), y, groups)
    far = describe_groups(np.column_stack([X, level_2]), y + 2**14 * level_2, groups)
    assert far.without_fixed_effects_slope == ("x1",)
    names = ["between", "residual", "icc"]
    a, b = (d.variance_components.loc["y given the features", names] for d in (near, far))
    np.testing.assert_allclose(b, a, rtol=1e-4)
    slopes = [d.slopes.slopes[["within", "between", "std_error"]] for d in (near, far)]
    np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["far_levels", "far_groups_x_fixed"])
def test_a_pipeline_that_splits_gives_the_same_slopes(name):
    data = pd.read_csv(DIGITS / f"{name}.csv")
    X, y = data.drop(columns="y"), data["y"]
    pipeline = make_pipeline(
        WithinBetween(group_by="g"), RandomInterceptRegressor(group_by="g")
    )
    found = compare_slopes(pipeline.fit(X, y)).slopes
    expected = describe_groups(X, y, group_by="g").slopes.slopes
    np.testing.assert_allclose(found["within"], expected["within"], rtol=1e-6)
    np.testing.assert_allclose(found["std_error"], expected["std_error"], rtol=1e-6)


# ------------------------------------------------------------------------------- sentences


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@example(51, 3, 3, 51)  # what is left of a dependent column is rounding, several times over
@given(st.integers(2, 60), st.integers(0, 3), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_every_sentence_has_a_number(n_rows, n_features, n_groups, seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, (n_rows, n_features)).astype(float)
    y, groups = rng.integers(0, 3, n_rows).astype(float), rng.integers(0, n_groups, n_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=r"Column x\d of X holds the labels")
        found = describe_groups(X, y, groups)
        text, html = str(found), found._repr_html_()
    assert html.count("<table") == html.count("</table>") >= 3
    assert found.advice[CHOICE]
    for name, sentences in found.advice.items():
        assert f"{name}:\n" in text
        for sentence in sentences:
            assert any(character.isdigit() for character in sentence), sentence
            assert "nan" not in sentence


def test_many_groups_that_differ_in_slopes(description):
    choice = description.advice[CHOICE]
    assert choice[0] == (
        "Random effects: groups differ given split features (p < 0.001; intraclass "
        "correlation 0.036 to 0.068 (95%))."
    )
    assert choice[1].startswith(
        "Split ses by WithinBetween: slopes within and between groups differ"
    )
    assert "a row of a new group depends on the other rows given of that group" in choice[1]
    assert len(choice) == 2
    fixed = description.advice[FIXED]
    assert "160 levels are estimated from 7185 rows, 44.9 a group." in fixed
    assert "female varies in 123 (5332 rows)" in fixed[1]
    assert fixed[2].startswith("No slope for catholic: 0% of the variation lies within groups")
    assert "most that of ses: 1.91 within, 4.15 between" in fixed[3]
    components = description.variance_components.loc["y given split features"]
    half = components["residual"] / components["between"]
    weights = (
        f"From {half:.1f} rows on, a group's own mean counts for more than the common line"
    )
    assert description.advice[RANDOM][1].startswith(weights)


def test_few_groups():
    X, y, groups = load_sleepstudy(return_X_y=True)
    text, choice = advice(X, y, groups)
    assert choice[0].startswith("Random effects: groups differ given the features (p < ")
    assert choice[1].startswith("With 18 groups take p-values with a small-sample correction")
    assert "with a standard error of 37% of it (18 groups are few)" in text
    assert "18 of 18 groups have 2 rows or more" in text


def test_too_few_groups():
    X, y, groups = make_mixed_regression(60, 1, 4, intercept_variance=9.0, random_state=0)
    text, choice = advice(X, y, groups)
    assert choice[0].startswith("Fixed effects, if the question is about these groups: 4 are")
    level_2 = np.array([0.0, 1.0, 2.0, 4.0])[groups]
    text, choice = advice(np.column_stack([X, level_2]), y, groups)
    assert choice[0].startswith(
        "Random effects, with caution: fixed effects have no slope for x1, but 4 groups"
    )
    text, choice = advice(np.column_stack([X, level_2, level_2**2, level_2**3]), y, groups)
    assert "The features leave no degrees of freedom between the 4 groups" in text


def test_groups_that_do_not_differ():
    X, y, groups = make_mixed_regression(400, 1, 40, intercept_variance=0, random_state=5)
    text, choice = advice(X, y, groups)
    assert choice[0].startswith(
        "Complete pooling will do for predictions: no differences between"
    )
    assert "Slopes within and between groups cannot be told apart (F(1, " in text
    assert "That is no proof that they are equal: between less within, the slope of x0" in text


def test_groups_of_which_the_data_cannot_tell():
    X, y, groups = make_mixed_regression(30, 1, 10, intercept_variance=0.1, random_state=0)
    _, choice = advice(X, y, groups)
    assert choice[0].startswith("Random effects, since the data cannot tell: no differences")
    assert "at the upper limit pooling would predict known groups" in choice[0]


@pytest.mark.parametrize("n_features", [9, 12])
def test_as_many_features_as_groups_hide_nothing(n_features):
    """Split, they fit the groups' means exactly; that says nothing against groups."""
    rng = np.random.default_rng(n_features)
    groups = np.repeat(np.arange(10), 20)
    X = rng.standard_normal((200, n_features)) + rng.standard_normal((10, n_features))[groups]
    y = X.sum(axis=1) + 2 * rng.standard_normal(10)[groups] + rng.standard_normal(200)
    found = describe_groups(X, y, groups)
    assert found.advice[CHOICE][0].startswith("Random effects: groups differ given the")
    assert found.variance_components.loc["y given split features", "df_num"] == 0
    assert np.isnan(found.slopes.p_value)
    text = " ".join(found.advice[FIXED])
    assert "Whether slopes within and between groups differ cannot be told" in text
    fixed = FixedEffectsRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(found.slopes.slopes["within"], fixed.coef_, rtol=1e-6)


def test_features_of_groups_that_fit_them_exactly():
    X, y, groups = make_mixed_regression(100, 1, 5, random_state=0)
    Z = np.random.default_rng(0).standard_normal((5, 4))[groups]
    found = describe_groups(np.column_stack([X, Z]), y, groups)
    text = " ".join(sentence for part in found.advice.values() for sentence in part)
    assert "The features leave no degrees of freedom between the 5 groups" in text
    assert "cannot be judged: 4 of them, and the other features, fit the 5 groups" in text
    assert "There can be a slope of" not in text
    assert found.conditions.loc["tables of groups to add", "here"] == "0 df between groups"


@pytest.mark.parametrize("noisy", ["small", "some", "none"])
def test_a_spread_that_differs_between_groups_is_said(noisy):
    rng = np.random.default_rng(0)
    sizes = np.tile([4, 20], 20)
    groups, sd = np.repeat(np.arange(40), sizes), np.ones(40)
    sd = {"small": np.where(sizes == 4, 4.0, 1.0), "some": np.exp(rng.normal(size=40))}.get(
        noisy, sd
    )
    y = sd[groups] * rng.standard_normal(len(groups))
    X = rng.standard_normal((len(groups), 1))
    found = describe_groups(X, X[:, 0] + y, groups)
    said = any("do not vary alike" in part for part in found.advice[POOLING])
    assert said == (noisy != "none")
    if noisy == "small":
        expected = [
            (X[:, 0] * 0 + y)[np.isin(groups, np.flatnonzero(sizes == n))].std()
            for n in (20, 4)
        ]
        np.testing.assert_allclose(
            found.residual_spread[["lower", "upper"]], expected, rtol=0.3
        )


def test_what_is_exact_within_groups():
    rng = np.random.default_rng(0)
    groups, x = np.repeat(np.arange(40), 10), rng.standard_normal(400)
    choice = describe_groups(x[:, None], 2 * x + groups, groups).advice[CHOICE]
    assert choice[0].startswith("Fixed and random effects come to the same: within groups")


def test_groups_more_alike_than_chance():
    rng = np.random.default_rng(1)
    groups, y = np.repeat(np.arange(30), 6), rng.standard_normal(180)
    y -= (np.bincount(groups, y) / 6)[groups]
    found = describe_groups(np.empty((180, 0)), y, groups)
    assert found.variance_components[["icc_lower", "icc_upper"]].isna().all(axis=None)
    assert "Is y centred by group" in found.advice[CHOICE][0]


def test_a_level_two_feature_that_few_groups_have():
    X, y, groups = make_mixed_regression(600, 1, 60, random_state=0)
    rare = (np.arange(60) < 4)[groups]
    found = describe_groups(np.column_stack([X, rare]), y, groups)
    assert found.rare_values == {"x1": 4}
    assert "4 for x1" in " ".join(found.advice[RANDOM])


def test_what_is_asked_of_the_rows_as_a_fit_does():
    groups = np.repeat(np.arange(8), 5)
    X, y = np.random.default_rng(0).standard_normal((40, 1)), np.arange(40.0) % 7
    with pytest.warns(UserWarning, match="All weights are below 1"):
        found = describe_groups(X, y, groups, sample_weight=np.full(40, 0.2))
    assert found.n_singletons == 0
    with pytest.warns(UserWarning, match="x0 .*labels of the groups|x0"):
        describe_groups(groups[:, None], y, groups)


def test_what_pooling_costs():
    """Against the errors of both predictions for many new rows, the parameters known."""
    rng = np.random.default_rng(0)
    sizes, icc = np.array([2, 5, 20, 60]), 0.3
    worse, too_small = cost_of_pooling(sizes, icc)
    b = np.sqrt(icc) * rng.standard_normal((40_000, 4))
    mean = b + np.sqrt((1 - icc) / sizes) * rng.standard_normal(b.shape)
    shrunken = mean * sizes * icc / (sizes * icc + 1 - icc)
    pooled, partly = (
        np.average(((b - guess) ** 2).mean(axis=0), weights=sizes) + 1 - icc
        for guess in (0, shrunken)
    )
    assert np.sqrt(pooled / partly) - 1 == pytest.approx(worse, rel=0.02)
    of_all = (mean * sizes).sum(axis=1) / sizes.sum()
    assert of_all.std() * np.sqrt(sizes.sum()) == pytest.approx(too_small, rel=0.02)


def test_the_error_of_slopes_in_new_groups():
    """Of the split model and the other, for many groups drawn as those of the fit were."""
    rng = np.random.default_rng(2)

    def draw(n_groups):
        groups = np.repeat(np.arange(n_groups), 10)
        means = rng.standard_normal(n_groups)[groups]
        X = means[:, None] + rng.standard_normal((len(groups), 1))
        y = X[:, 0] + means + rng.standard_normal(n_groups)[groups]
        return X, y + rng.standard_normal(len(groups)), groups, means

    means, found = draw(20_000)[3], []
    for _ in range(40):
        X, y, groups, _ = draw(30)
        d = describe_groups(X, y, groups)
        between, one = d.slopes.slopes.loc["x0", "between"], d.slope_sources.loc["x0", "slope"]
        slopes = {"split": between, "one slope": one}
        off = {name: ((slope - 2) * means).var() for name, slope in slopes.items()}
        found.append([d.error_in_new_groups, np.sqrt(1 + pd.Series(off) / 2) - 1])
    estimated, true = (
        pd.concat(each, axis=1).mean(axis=1) for each in zip(*found, strict=True)
    )
    np.testing.assert_allclose(estimated, true, rtol=0.35)
    assert true["one slope"] > 3 * true["split"]


def test_conditions(description):
    table = description.conditions
    assert table.loc["features of groups alone"].tolist() == [
        "catholic",
        "random effects alone",
    ]
    assert table.loc["number of groups", "here"] == "160"
    assert table.loc["small groups", "here"].endswith("% below 20.3 rows")
    assert table.loc["unbalanced sizes", "here"] == "14 to 67, median 47"
    assert max(map(len, str(description).splitlines())) <= 80


def test_plot(description, hsb):
    display = description.plot()
    (dark, light), slopes = display.bars_[0], display.bars_[1]
    np.testing.assert_allclose(
        [bar.get_width() for bar in dark], description.variation["within"].iloc[1:]
    )
    np.testing.assert_allclose([bar.get_x() for bar in light], [b.get_width() for b in dark])
    np.testing.assert_allclose(
        [bar.get_width() for bar in slopes[0]], description.slope_sources["from_within"]
    )
    with pytest.raises(ValueError, match="but only math was described"):
        describe_groups(hsb[["school"]], hsb["math"], group_by="school").plot()


def test_singletons_and_dependent_features():
    X, y, groups = make_mixed_regression(100, 1, 20, random_state=0)
    groups = np.append(groups[:97], [50, 51, 52])
    level_2 = np.cos(groups)
    text, _ = advice(np.column_stack([X, X[:, 0] + level_2]), y, groups)
    assert "There are 3 groups of 1 row, which its own level uses up: 3.0% of the rows" in text
    assert "No slope for x1: within groups it depends linearly on the features before" in text


def test_a_variance_of_zero():
    y = np.tile([1.0, -1.0, 0.5, -0.5], 10)
    text, choice = advice(np.empty((40, 0)), y, np.repeat(np.arange(10), 4))
    assert "0.0% of the variance of y lies between groups" in text
    assert "The variance between groups is estimated as 0" in text
    assert "but groups are more alike than chance makes them" in choice[0]
    assert "ruled out" not in choice[0]


# ------------------------------------------------------------------------------ edge cases

Y = np.arange(12.0) % 5


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        (Y, ["a"] * 12, "Complete pooling: there is 1 group, 'a', so"),
        (Y, range(12), "Complete pooling: each of the 12 groups has 1 row"),
        (np.full(12, 3.0), [0, 1] * 6, "y is the same in all 12 rows"),
        (np.arange(12.0) % 3, [0, 1, 2] * 4, "y does not vary within groups"),
    ],
    ids=["one group", "singletons", "constant y", "y of level 2"],
)
@pytest.mark.parametrize("n_features", [0, 1])
def test_nothing_to_choose(y, groups, message, n_features):
    X = np.random.default_rng(0).standard_normal((12, n_features))
    found = describe_groups(X, y, list(groups))
    assert list(found.advice) == [CHOICE]
    assert message in found.advice[CHOICE][0]
    assert message in " ".join(str(found).split())
    assert len(found.variation) == 1 + n_features


def test_features_that_explain_y():
    X, _, groups = make_mixed_regression(60, 1, 6, random_state=0)
    found = describe_groups(X, 2 * X[:, 0], groups)
    assert found.slopes is None
    assert found.variance_components.loc["y given the features"].isna().all()
    assert "the features (1) leave no residuals of y in 60 rows" in found.advice[CHOICE][0]


def test_more_features_than_rows():
    X, y, groups = make_mixed_regression(10, 20, 3, random_state=0)
    assert "leave no residuals" in describe_groups(X, y, groups).advice[CHOICE][0]


def test_only_the_group_column():
    frame = load_hsb().frame
    found = describe_groups(frame[["school"]], frame["math"], group_by="school")
    assert list(found.variance_components.index) == ["y alone"]
    assert found.variance_components.loc["y alone", "icc"] == pytest.approx(0.1804, abs=5e-5)
    assert found.slopes is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": None}, "The groups must be given to describe_groups, but got None"),
        ({"group_by": 0}, "The groups must be given once"),
        ({"groups": [None, *"abcabcabcab"]}, "1 of 12 are missing"),
        ({"X": np.full((12, 1), np.nan)}, "contains NaN"),
        ({"groups": ["a"]}, "one label for each row of X, but got 1 labels"),
        ({"sample_weight": np.zeros(12)}, "at least one non-zero number"),
        ({"X": np.full((12, 1), 1e200) * Y[:, None]}, "the sums overflow"),
    ],
)
def test_refusals(change, message):
    arguments = {"X": np.eye(12, 1), "y": Y, "groups": list("abcabcabcabc")} | change
    with pytest.raises(ValueError, match=message):
        describe_groups(**arguments)
