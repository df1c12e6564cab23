"""A test for each term: against lmerTest's anova, and what a term is made of."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from wald_reference import EXPECTED, fitted

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptRegressor,
)
from skmixed.exceptions import NotAvailableError
from skmixed.inference import anova_frame, wald_test

SUM_CODED = {
    "arm": ["arm_a", "arm_b"],
    "dose": ["dose_high", "dose_low"],
    "arm:dose": ["arm_a:dose_high", "arm_b:dose_high", "arm_a:dose_low", "arm_b:dose_low"],
}
# Hypotheses of type III in lmerTest are written by columns of its own choice where there is one
# term, or a coding other than 0 and 1. Satterthwaite's df of several coefficients depend on
# that, F does not.
OTHER_ROWS = ["machines_unbalanced", "interaction"]


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("type", ["I", "III"])
@pytest.mark.parametrize("df_method", ["satterthwaite", "kenward-roger"])
@pytest.mark.filterwarnings("ignore:Terms with an interaction")
def test_agrees_with_lmertest(name, type, df_method):
    terms = SUM_CODED if name == "interaction" else None
    found = anova_frame(fitted(name), terms, type, df_method=df_method)
    stored = EXPECTED[name]["anova"][type][df_method.replace("-", "_")]
    expected = pd.DataFrame.from_dict(stored, orient="index")[found.columns]
    assert list(found.index) == list(expected.index)
    differs = name in OTHER_ROWS and type == "III" and df_method == "satterthwaite"
    numbers = ["sum_sq", "mean_sq", "df_num", "statistic"]
    np.testing.assert_allclose(found[numbers], expected[numbers], rtol=1e-6)
    df = expected["df_denom"]
    np.testing.assert_allclose(found["df_denom"], df, rtol=6e-4 if differs else 1e-6)
    p_values = expected["p_value"]
    np.testing.assert_allclose(found["p_value"], p_values, rtol=5e-3 if differs else 1e-5)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "kind": rng.choice(["a", "b", "c"], 240),
            "site": rng.choice(["n", "s"], 240),
            "x": rng.normal(size=240),
            "z": rng.normal(size=240),
            "group": np.repeat(np.arange(24), 10),
        }
    )
    y = table["x"] + rng.normal(size=24)[table["group"]] + rng.normal(size=240)
    return table, y


@pytest.fixture(scope="module")
def coded(rows):
    table, _ = rows
    return pd.get_dummies(table[["kind", "site", "x"]], drop_first=True, dtype=float)


ENCODER = OneHotEncoder(drop="first", sparse_output=False)
BINS = KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf")
BOTH = ["kind", "site"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([(ENCODER, BOTH), ("passthrough", ["x"])], {"kind": 2, "site": 1, "x": 1}),
        ([("passthrough", ["x"]), (ENCODER, BOTH)], {"x": 1, "kind": 2, "site": 1}),
        ([(StandardScaler(), slice("x", "z")), (ENCODER, [1])], {"x": 1, "z": 1, "site": 1}),
        (
            [
                (
                    make_pipeline(SimpleImputer(strategy="most_frequent"), ENCODER),
                    make_column_selector(dtype_exclude="number"),
                )
            ],
            {"kind": 2, "site": 1},
        ),
        ([(SplineTransformer(3, include_bias=False), ["x", "z"])], {"x": 4, "z": 4}),
        ([(BINS, np.array([False, False, True, False, False]))], {"x": 2}),
        ([(PolynomialFeatures(2, include_bias=False), [2, 3])], {"x": 2, "z": 2, "x:z": 1}),
        ([(PCA(2), ["x", "z"]), ("drop", ["site"])], {"pca0": 1, "pca1": 1}),
        ([(OneHotEncoder(drop="if_binary", min_frequency=85), BOTH)], {"kind": 1, "site": 1}),
        ([(OneHotEncoder(drop=["b", "s"]), BOTH)], {"kind": 2, "site": 1}),
    ],
)
@pytest.mark.filterwarnings("ignore:X is rank-deficient")
def test_terms_are_found_through_transformers(rows, columns, expected):
    table, y = rows
    # a column of groups comes last, and out again before the names are given
    transformer = make_column_transformer(*columns, ("passthrough", ["group"]))
    for model in (RandomInterceptRegressor(group_by=-1), FixedEffectsRegressor(group_by=-1)):
        frame = anova_frame(make_pipeline(transformer, model).fit(table, y))
        assert frame["df_num"].to_dict() == expected


def test_an_interaction_is_a_term(rows):
    table, y = rows
    transformer = make_column_transformer((ENCODER, BOTH), ("passthrough", ["x"]))
    products = PolynomialFeatures(interaction_only=True, include_bias=False)
    pipeline = make_pipeline(transformer, products, RandomInterceptRegressor())
    with pytest.warns(LinAlgWarning):  # no row is of two kinds
        pipeline.fit(table, y, randominterceptregressor__groups=table["group"])
    with pytest.warns(UserWarning, match=r"is of its effect where .*kind_b.* is 0\. Code"):
        frame = anova_frame(pipeline)
    expected = {"kind": 2, "site": 1, "x": 1, "kind:site": 2, "kind:x": 2, "site:x": 1}
    assert frame["df_num"].to_dict() == expected


def test_a_pipeline_whose_steps_do_not_name_columns(rows):
    table, y = rows
    pipeline = make_pipeline(FunctionTransformer(np.asarray), RandomInterceptRegressor())
    pipeline.fit(table[["x", "z"]], y, randominterceptregressor__groups=table["group"])
    assert list(anova_frame(pipeline).index) == ["x0", "x1"]


def test_each_row_is_a_wald_test(rows, coded):
    table, y = rows
    model = RandomInterceptRegressor().fit(coded, y, groups=table["group"])
    frame = anova_frame(model, {"kind": ["kind_b", "kind_c"]})
    assert list(frame.index) == ["kind", "x", "site_s"]
    for term, names in {"kind": ["kind_b", "kind_c"], "x": "x"}.items():
        test, row = wald_test(model, names), frame.loc[term]
        numbers = ["statistic", "df_num", "df_denom", "p_value"]
        np.testing.assert_allclose(
            [getattr(test, n) for n in numbers], row[numbers], rtol=1e-12
        )
        assert row["mean_sq"] == pytest.approx(test.statistic * model.residual_variance_)
    alone = anova_frame(model)
    assert list(alone.index) == ["x", "kind_b", "kind_c", "site_s"]
    np.testing.assert_allclose(
        alone["statistic"], model.fixed_effects_frame()["t"].to_numpy()[1:] ** 2
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_type_one_adds_up_in_a_pooled_regression(rows, coded, fit_intercept):
    _, y = rows
    model = PooledRegressor(fit_intercept=fit_intercept).fit(coded, y)
    frame = anova_frame(model, {"kind": ["kind_b", "kind_c"], "site": "site_s"}, "I")
    assert list(frame.index) == ["kind", "site", "x"]
    X = coded[["kind_b", "kind_c", "site_s", "x"]].to_numpy()
    if fit_intercept:
        X = np.column_stack([np.ones(len(y)), X])
    rss = [
        np.sum((y - X[:, :k] @ np.linalg.lstsq(X[:, :k], y)[0]) ** 2)
        for k in fit_intercept + np.array([0, 2, 3, 4])
    ]
    np.testing.assert_allclose(frame["sum_sq"], -np.diff(rss), rtol=1e-8)


def test_outcomes_have_no_sums_of_squares(rows, coded):
    table, y = rows
    model = RandomInterceptClassifier().fit(coded, y > 0, groups=table["group"])
    frame = anova_frame(model, {"kind": ["kind_b", "kind_c"]})
    assert list(frame.columns) == ["df_num", "df_denom", "statistic", "p_value"]
    assert np.isinf(frame["df_denom"]).all()
    assert frame.loc["kind", "p_value"] == wald_test(model, ["kind_b", "kind_c"]).p_value


def test_columns_without_a_coefficient(rows, coded):
    table, y = rows
    more = coded.assign(other=1 - coded["kind_b"], again=coded["x"] * 2)
    with pytest.warns(LinAlgWarning):
        model = RandomInterceptRegressor().fit(more, y, groups=table["group"])
    terms = {"kind": ["kind_b", "kind_c", "other"]}
    for type in ("I", "III"):
        frame = anova_frame(model, terms, type)
        assert frame.loc["kind", "df_num"] == 2
        assert frame.loc["again"].isna().all()


def test_sum_coded_products_are_not_warned_of(rows):
    table, y = rows
    sign = np.where(table["site"] == "n", 1.0, -1.0)
    X = pd.DataFrame({"site": sign, "x": table["x"], "both": sign * table["x"]})
    model = RandomInterceptRegressor().fit(X, y, groups=table["group"])
    assert anova_frame(model)["df_num"].tolist() == [1, 1, 1]  # warnings are errors
    zero_one = X.assign(site=(1 + sign) / 2, both=(1 + sign) / 2 * X["x"])
    model = RandomInterceptRegressor().fit(zero_one, y, groups=table["group"])
    with pytest.warns(UserWarning, match="'both' looks like the product of 'site', .* 'x'"):
        anova_frame(model)
    anova_frame(model, {"all": ["site", "x", "both"]})
    anova_frame(model, type="I")


def test_a_model_without_features_has_no_terms(rows):
    table, y = rows
    model = RandomInterceptRegressor(group_by="group").fit(table[["group"]], y)
    for type in ("I", "III"):
        assert anova_frame(model, type=type).shape == (0, 6)


BAD_TERMS = {
    "a list": (["x"], TypeError, "must be a dictionary from names of terms .* got \\['x'\\]"),
    "an unknown column": ({"kind": ["kind_z"]}, ValueError, r"got \['kind_z'\]. These are"),
    "a column of two terms": (
        {"k": "x", "l": ["x"]},
        ValueError,
        r"once, but got \['x'\] twice",
    ),
    "no columns": ({"kind": []}, ValueError, r"for each term, but \['kind'\] have none"),
    "the intercept": ({"one": ["(Intercept)"]}, ValueError, r"leave out '\(Intercept\)'"),
    "another column's name": ({"x": ["site_s"]}, ValueError, r"\['x'\] are columns of no term"),
}


@pytest.mark.parametrize("given", BAD_TERMS)
def test_bad_terms(rows, coded, given):
    table, y = rows
    terms, error, message = BAD_TERMS[given]
    with pytest.raises(error, match=message):
        anova_frame(RandomInterceptRegressor().fit(coded, y, groups=table["group"]), terms)


def test_bad_types(rows, coded):
    table, y = rows
    model = RandomInterceptRegressor().fit(coded, y, groups=table["group"])
    for type in ("II", 3, None, "iii"):
        with pytest.raises(ValueError, match=f"`type` must be 'I' or 'III', but got {type!r}"):
            anova_frame(model, type=type)
    fixed = FixedEffectsRegressor().fit(coded, y, groups=table["group"])
    with pytest.raises(NotAvailableError, match="type='I' does not exist for FixedEffectsRegr"):
        anova_frame(fixed, type="I")
