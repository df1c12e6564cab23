import re

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.base import clone

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning


@pytest.fixture(scope="module")
def summary():
    return RandomInterceptRegressor().fit(*load_sleepstudy(return_X_y=True)).summary()


def test_tables_hold_the_numbers_of_lme4(summary):
    components = summary.variance_components
    assert components.loc[("Subject", "(Intercept)"), "std_dev"] == pytest.approx(
        37.12, abs=5e-3
    )
    assert components.loc[("Residual", ""), "variance"] == pytest.approx(960.5, abs=0.05)
    assert components["share"].sum() == pytest.approx(1)
    days = summary.fixed_effects.loc["Days"]
    assert days[["estimate", "std_error", "t"]].round(4).tolist() == [10.4673, 0.8042, 13.0154]
    assert days["df"] == pytest.approx(161, abs=1e-3)
    assert summary.fixed_effects_correlation.loc["Days", "(Intercept)"] == pytest.approx(
        -0.371, abs=5e-4
    )
    assert summary.fit_statistics["REML criterion"] == pytest.approx(1786.4651, abs=5e-5)
    assert summary.fit_statistics["Rows"] == 180
    assert summary.fit_statistics["Groups (Subject)"] == 18


def test_text_lines_up(summary):
    text = str(summary)
    assert text == repr(summary)
    block = text.split("Satterthwaite):\n")[1].split("\n\n")[0].splitlines()
    assert len({len(line) for line in block}) == 1
    assert re.search(r"Days +10\.4673 +0\.8042 +161\.0 +13\.015 +<0\.0001 +8\.879", text)
    assert "nan" not in text.lower()


def test_html_has_every_table(summary):
    html = summary._repr_html_()
    assert html.count("<table") == html.count("</table>") == 5
    for caption in (
        "Fit",
        "Variance components",
        "Fixed effects (95% intervals; t, with df by Satterthwaite)",
        "Where the features vary",
        "Correlation of fixed effects",
    ):
        assert f"<caption>{caption}</caption>" in html


def test_names_are_escaped_in_html():
    X, y, groups = load_hsb(return_X_y=True)
    X = X.rename(columns={"ses": "<b>ses</b>"})
    html = RandomInterceptRegressor().fit(X, y, groups=groups).summary()._repr_html_()
    assert "<b>ses</b>" not in html
    assert "&lt;b&gt;ses&lt;/b&gt;" in html


def test_a_singular_fit_is_stated():
    X, y, _ = load_sleepstudy(return_X_y=True)
    groups = np.random.default_rng(1).integers(0, 5, len(y))
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptRegressor(method="ml").fit(X, y, groups=groups)
    text = str(model.summary())
    assert "Singular fit: the random effects do not vary, their variance is 0." in text
    assert "Deviance" in text


def test_a_pooled_fit_is_stated():
    X, y, _ = load_sleepstudy(return_X_y=True)
    with pytest.warns(MissingGroupsWarning):
        model = RandomInterceptRegressor().fit(X, y)
    assert "Fitted without groups" in str(model.summary())


def test_columns_of_very_different_scale_stay_readable():
    X, y, groups = load_hsb(return_X_y=True)
    X = X.assign(ses=X["ses"] * 1e9, female=X["female"] * 1e-9)
    text = str(RandomInterceptRegressor().fit(X, y, groups=groups).summary())
    assert re.search(r"ses +1\.917e-09 +1\.084e-10 +[\d.]+ +17\.674", text)


def test_stars_are_off_by_default():
    model = RandomInterceptRegressor().fit(*load_sleepstudy(return_X_y=True))
    assert "*" not in str(model.summary())
    assert re.search(r"Days .* <0\.0001 +\*\*\* ", str(model.summary(stars=True)))


def test_it_says_where_features_vary():
    X, y, groups = load_hsb(return_X_y=True)
    X = X.assign(own_mean=X["ses"] - X["mean_ses"], constant=1.0)
    with pytest.warns(LinAlgWarning):
        variation = RandomInterceptRegressor().fit(X, y, groups=groups).summary().variation
    means = X.groupby(groups).transform("mean")
    expected = ((means - X.mean()) ** 2).sum() / ((X - X.mean()) ** 2).sum()
    np.testing.assert_allclose(variation["between"][:-1], expected[:-1], atol=1e-3)
    assert variation["varies"]["ses"] == "both"
    assert (
        variation["varies"]["mean_ses"] == variation["varies"]["catholic"] == "between groups"
    )
    assert variation["varies"]["constant"] == "nowhere"
    assert (variation["between"] + variation["within"])[:-1].tolist() == [1.0] * 6


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_a_column_constant_within_groups_is_told_at_any_level(offset):
    X, y, groups = load_hsb(return_X_y=True)
    X = X[["ses", "mean_ses"]] + offset
    variation = RandomInterceptRegressor().fit(X, y, groups=groups).summary().variation
    assert variation["varies"].tolist() == ["both", "between groups"]


def test_level_2_predictors_are_said_to_explain_variance_or_to_raise_it():
    rng = np.random.default_rng(1)
    X, y, groups = load_hsb(return_X_y=True)
    lowered = RandomInterceptRegressor().fit(X, y, groups=groups).summary().remarks[0]
    without = RandomInterceptRegressor().fit(X.iloc[:, :3], y, groups=groups)
    before = without.random_effects_cov_.iloc[0, 0]
    assert f"lower the variance between groups from {before:.4g} to" in lowered
    noise = rng.permutation(np.repeat([0.0, 1.0], 80))
    X = X[["ses"]].assign(noise=noise[np.unique(groups, return_inverse=True)[1]])
    raised = RandomInterceptRegressor().fit(X, y, groups=groups).summary().remarks[0]
    assert "(noise) raise the variance" in raised


@pytest.mark.parametrize("offset", [-3.0, 0.0, 3.0, 1000.0])
def test_the_remark_on_level_2_does_not_depend_on_where_a_slope_column_is_zero(offset):
    X, y, school = load_hsb(return_X_y=True)
    X = X[["ses", "catholic"]].assign(ses=X["ses"] + offset)
    model = RandomSlopeRegressor("ses").fit(X, y, groups=school)
    (remark,) = model.summary().remarks
    assert "(catholic) lower the variance between groups from 4.896 to 4.035" in remark
    assert "explain 18% of it" in remark


def test_the_summary_names_target_level_method_and_stars():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=subject)
    text = str(model.summary(level=0.9, df_method="kenward-roger", stars=True))
    assert text.startswith("RandomInterceptRegressor of Reaction, fitted by REML")
    assert "Fixed effects (90% intervals; t, with df by Kenward and Roger):" in text
    assert text.endswith("* p < 0.05, ** p < 0.01, *** p < 0.001")
    assert "Fixed effects (95% intervals; normal quantiles):" in str(
        model.summary(df_method="normal")
    )
    nameless = RandomInterceptRegressor().fit(X, y.to_numpy(), groups=subject)
    assert str(nameless.summary()).startswith("RandomInterceptRegressor, fitted by REML")
    assert "p < 0.05" not in str(nameless.summary())


@pytest.mark.parametrize("n_features", [11, 12])
def test_correlations_of_many_fixed_effects_are_left_out(n_features):
    X, y, groups = make_mixed_regression(200, n_features, 10, random_state=0)
    summary = RandomInterceptRegressor().fit(X, y, groups=groups).summary()
    left_out = n_features == 12
    assert ("Correlation of fixed effects:" in str(summary)) != left_out
    assert ("Correlations of the 13 fixed effects are not printed" in str(summary)) == left_out
    assert summary.fixed_effects_correlation.shape == (1 + n_features, 1 + n_features)


# ------------------------------------------------------------------------ words, for all models

MODELS = {
    "intercept": RandomInterceptRegressor(),
    "slopes": RandomSlopeRegressor([0]),
    "fixed": FixedEffectsRegressor(),
    "pooled": PooledRegressor(),
}


@pytest.fixture(params=list(MODELS))
def model(request):
    return clone(MODELS[request.param])


def make_rows(n_columns, n_groups=10):
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(300, n_columns)), np.arange(300) % n_groups
    effects = rng.normal(size=(2, n_groups))[:, groups]
    y = X.sum(axis=1) + effects[0] + effects[1] * X[:, 0] + rng.normal(size=300)
    return pd.DataFrame(X).rename(columns="x{}".format), y, groups


def test_it_says_what_its_columns_are(model):
    X, y, groups = make_rows(3)
    summary = model.fit(X, pd.Series(y, name="sales"), groups=groups).summary(level=0.9)
    assert summary.level == 0.9
    for text in (str(summary), summary._repr_html_()):
        assert "Fixed effects (90% intervals; t, with " in text
        assert "of sales, fitted by" in text
        assert "*" not in text
    starred = model.summary(stars=True)
    assert "95% intervals" in str(starred)
    assert str(starred).endswith("* p < 0.05, ** p < 0.01, *** p < 0.001")
    assert "*** p &lt; 0.001" in starred._repr_html_()
    assert "99.9% intervals" in str(model.summary(level=0.999))


@pytest.mark.parametrize("name", [None, "", 0, ("a", "b")])
def test_names_of_targets(model, name):
    X, y, groups = make_rows(2)
    model.fit(X, pd.Series(y, name=name), groups=groups)
    of_target = "" if name in (None, "") else f" of {name}"
    title = model.summary().title
    assert title.startswith(f"{type(model).__name__}{of_target}, fitted by ")


def test_a_target_keeps_its_name_in_batches_and_has_none_in_sums(model):
    X, y, groups = make_rows(2)
    y = pd.Series(y, name="sales")
    for rows in (slice(0, 100), slice(100, 300)):
        model.partial_fit(X[rows], y[rows], groups=groups[rows])
    assert " of sales, fitted by" in model.summary().title
    sums = GroupedMoments.from_rows(X, y, groups, slopes="all")
    assert " of " not in clone(model).fit_moments(sums).summary().title


def test_correlations_of_many_terms_are_not_printed(model):
    for n_columns, printed in ((1, True), (11, True), (12, False), (29, False)):
        X, y, groups = make_rows(n_columns)
        summary = model.fit(X, y, groups=groups).summary()
        text = str(summary).replace("\n", " ")
        assert ("Correlation of fixed effects:" in text) == printed
        assert ("are not printed: they are in `fixed_effects_correlation`" in text) == (
            not printed
        )
        n_terms = n_columns + 1
        assert summary.fixed_effects_correlation.shape == (n_terms, n_terms)


LONG = "measure_of_the_quantity_that_has_a_long_name_"


@pytest.mark.parametrize("prefix", ["", LONG])
@pytest.mark.parametrize("n_columns", [1, 11, 29])
def test_lines_fit_in_80_columns_and_lose_nothing(model, prefix, n_columns):
    X, y, groups = make_rows(n_columns)
    X = X.rename(columns=f"{prefix}{{}}".format)
    summary = model.fit(X, pd.Series(y, name=f"{prefix}y"), groups=groups).summary(stars=True)
    text = str(summary)
    assert max(map(len, text.splitlines())) <= 80
    for term, upper in summary.fixed_effects["upper"].items():
        lines = re.findall(rf"^{re.escape(term)} (.*)$", text, re.M)
        numbers = re.findall(r"-?\d+\.\d+", " ".join(lines))
        assert np.abs(np.array(numbers, dtype=float) - upper).min() < 5e-4


def test_long_names_in_the_heads_of_correlations_give_way_to_numbers():
    X, y, groups = make_rows(3)
    X = X.rename(columns=f"{LONG}{{}}".format)
    summary = RandomSlopeRegressor([0, 1]).fit(X, y, groups=groups).summary()
    text = str(summary)
    correlation = summary.fixed_effects_correlation.to_numpy()
    line = re.search(rf"^3 {LONG}x1 +(-?[\d.]+) +(-?[\d.]+) *$", text, re.M)
    assert line.groups() == tuple(f"{value:.3f}" for value in correlation[2, :2])
    head = re.search(r"^ +corr 1 +corr 2 *$", text, re.M)
    block = text[head.end() :].splitlines()
    of_random = summary.variance_components[f"corr {LONG}x0"].iloc[2]
    assert block[3].split() == ["3", f"{LONG}x1", *block[3].split()[2:]]
    assert float(block[3].split()[-1]) == pytest.approx(of_random, abs=5e-4)


def test_terms_without_an_estimate_are_blank(model):
    X, y, groups = make_rows(2)
    with pytest.warns(LinAlgWarning):
        summary = model.fit(X.assign(twice=2 * X["x0"]), y, groups=groups).summary()
    text = str(summary)
    assert summary.fixed_effects.loc["twice"].isna().all()
    assert "nan" not in text.lower()
    assert re.search(r"^twice *$", text, re.M)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_one_group(model):
    X, y, groups = make_rows(2, n_groups=1)
    text = str(model.fit(X, y, groups=groups).summary())
    assert re.search(r"^x1 +\d", text, re.M)


@pytest.mark.parametrize("name", ["intercept", "fixed", "pooled"])
def test_one_term(name):
    _, y, groups = make_rows(2)
    model = clone(MODELS[name]).set_params(group_by="g")
    text = str(model.fit(pd.DataFrame({"g": groups}), y).summary())
    assert re.search(r"^\(Intercept\) +-?\d", text, re.M)
    assert "Correlation" not in text


def test_where_features_vary_by_factor_and_what_those_of_groups_explain():
    rng = np.random.default_rng(0)
    place = rng.integers(0, 60, 900)
    X = pd.DataFrame({"x": rng.normal(size=900), "school": place // 3, "class": place})
    X["public"], X["size"] = X["school"] % 2, rng.normal(size=60)[place]
    y = X["x"] + 2 * X["public"] + X["size"] + rng.normal(size=20)[X["school"]]
    y += rng.normal(size=60)[place] + rng.normal(size=900)
    factors = ["school", "class"]
    model = RandomInterceptRegressor(group_by=factors).fit(X, y)
    summary = model.summary()
    varies = summary.variation["varies"].unstack("factor")
    assert varies.loc["public"].eq("between groups").all()
    assert varies.loc["size", "class"] == "between groups"
    assert varies.loc["size", "school"] == varies.loc["x", "class"] == "both"
    for name in factors:  # as of each alone
        alone = RandomInterceptRegressor().fit(X[["x", "public", "size"]], y, X[name])
        expected = alone.summary().variation
        pd.testing.assert_frame_equal(summary.variation.loc[name], expected)
    assert "Where the features vary (share between the groups of each factor)" in str(summary)
    of_school, of_class = summary.remarks  # public is of schools, though it is of classes, too
    for remark, name, term in ((of_school, "school", "public"), (of_class, "class", "size")):
        without = RandomInterceptRegressor(group_by=factors).fit(X.drop(columns=term), y)
        before, after = (m.random_effects_cov_[name].iloc[0, 0] for m in (without, model))
        assert remark.startswith(
            f"Level-2 predictors ({term}) lower the variance between groups of {name!r} from "
            f"{before:.4g} to {after:.4g}"
        )
