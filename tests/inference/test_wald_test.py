"""Several coefficients at once: against lmerTest and pbkrtest, and models without groups."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.linalg import LinAlgWarning
from scipy.stats import chi2, f
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from wald_reference import EXPECTED, fitted, with_names

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_sleepstudy, make_mixed_regression
from skmixed.exceptions import NotAvailableError
from skmixed.inference import wald_test

CASES = [(name, test) for name, of in EXPECTED.items() for test in of["tests"]]


@pytest.mark.parametrize(("name", "test"), CASES)
@pytest.mark.parametrize("df_method", ["satterthwaite", "kenward-roger"])
def test_agrees_with_lmertest_and_pbkrtest(name, test, df_method):
    model, stored = fitted(name), EXPECTED[name]["tests"][test]
    found = wald_test(model, with_names(name, stored["L"]), df_method=df_method)
    statistic, df_num, df_denom, p_value = stored[df_method.replace("-", "_")]
    assert found.statistic == pytest.approx(statistic, rel=1e-6)
    assert found.df_num == df_num
    assert found.df_denom == pytest.approx(df_denom, rel=1e-6)
    assert found.p_value == pytest.approx(p_value, rel=1e-4)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X, y, groups = make_mixed_regression(150, 3, 15, coef=[0.3, 0.0, 0.1], random_state=3)
    X = pd.DataFrame(X, columns=["a", "b", "c"])
    return X.assign(level=rng.normal(size=15)[groups]), y, groups


@pytest.fixture(scope="module")
def model(rows):
    X, y, groups = rows
    return RandomInterceptRegressor().fit(X, y, groups=groups)


@pytest.mark.parametrize("df_method", ["satterthwaite", "kenward-roger", "normal"])
def test_one_coefficient_is_tested_as_in_the_table(model, df_method):
    frame = model.fixed_effects_frame(df_method=df_method)
    for term, row in frame.iterrows():
        found = wald_test(model, term, df_method=df_method)
        assert found.statistic == pytest.approx(row["t"] ** 2)
        assert found.df_denom == pytest.approx(row["df"])
        assert found.p_value == pytest.approx(row["p_value"])
        assert found.estimates.loc[term, "std_error"] == pytest.approx(row["std_error"])


def test_ways_to_say_what_is_tested(model):
    L = np.eye(5)[[1, 3]]
    expected = wald_test(model, ["a", "c"])
    for terms in (
        L,
        L.tolist(),
        pd.DataFrame(np.eye(2), columns=["a", "c"]),
        pl.DataFrame({"c": [0, 1], "a": [1, 0]}),
        {"first": {"a": 1}, "third": {"c": 1}},
        np.array(["a", "c"]),
        ("a", "c"),
    ):
        found = wald_test(model, terms)
        assert (found.statistic, found.df_denom) == (expected.statistic, expected.df_denom)
    by_name = pd.Series({"c": 1.0, "a": -1.0, "b": 0.0, "level": 0.0, "(Intercept)": 0.0})
    difference = {"c - a": {"c": 1, "a": -1}}
    assert wald_test(model, by_name).statistic == wald_test(model, difference).statistic
    alone = wald_test(model, [0.0, 1.0, 0.0, 0.0, 0.0])
    assert alone.statistic == wald_test(model, "a").statistic
    assert wald_test(model, {"first": {"a": 1}}).combinations.index.tolist() == ["first"]


def test_ways_to_give_the_model(rows, model):
    X, y, groups = rows
    table = X.assign(site=groups)
    pipeline = make_pipeline("passthrough", RandomInterceptRegressor(group_by="site"))
    search = GridSearchCV(pipeline, {"randominterceptregressor__method": ["reml"]}, cv=3)
    batches = RandomInterceptRegressor().partial_fit(X, y, groups=groups)
    expected = wald_test(model, ["a", "level"])
    for given in (
        pipeline.fit(table, y),
        search.fit(table, y),
        batches,
        pickle.loads(pickle.dumps(model)),
    ):
        found = wald_test(given, ["a", "level"])
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-8)
        assert found.df_denom == pytest.approx(expected.df_denom, rel=1e-6)


def test_names_come_from_the_steps_before(rows):
    X, y, groups = rows
    scaled = make_pipeline(StandardScaler(), RandomInterceptRegressor())
    scaled.fit(X, y, randominterceptregressor__groups=groups)
    assert scaled[-1].coef_cov_.index[1] == "x0"
    assert wald_test(scaled, "a").statistic == wald_test(scaled[-1], "x0").statistic


def by_least_squares(X, y, dropped):
    """F of a submodel's residual sum of squares."""
    full, small = (np.linalg.lstsq(Z, y)[1][0] for Z in (X, np.delete(X, dropped, axis=1)))
    dof = len(y) - X.shape[1]
    return (small - full) / len(dropped) / (full / dof), dof


@pytest.mark.parametrize("df_method", [None, "satterthwaite", "kenward-roger"])
def test_regressions_have_the_f_test_of_their_submodel(rows, df_method):
    X, y, groups = rows
    Z = np.column_stack([np.ones(len(y)), X])
    found = wald_test(PooledRegressor().fit(X, y), ["a", "c"], df_method=df_method)
    statistic, dof = by_least_squares(Z, y, [1, 3])
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(f.sf(statistic, 2, dof))
    dummies = np.column_stack([X[["a", "b", "c"]], np.equal.outer(groups, np.unique(groups))])
    fixed = FixedEffectsRegressor().fit(X[["a", "b", "c"]], y, groups=groups)
    statistic, dof = by_least_squares(dummies, y, [0, 2])
    found = wald_test(fixed, ["a", "c"], df_method=df_method)
    assert found.statistic == pytest.approx(statistic)
    assert found.df_denom == dof


def test_the_normal_law_is_chi_square(rows, model):
    X, y, groups = rows
    b, C = model._coefficients[[1, 3]], model.coef_cov_.to_numpy()[np.ix_([1, 3], [1, 3])]
    found = wald_test(model, ["a", "c"], df_method="normal")
    assert 2 * found.statistic == pytest.approx(b @ np.linalg.solve(C, b))
    assert found.p_value == pytest.approx(chi2.sf(2 * found.statistic, 2))
    assert np.isinf(found.df_denom)
    binary = RandomInterceptClassifier().fit(X, y > np.median(y), groups=groups)
    found = wald_test(binary, ["a", "c"])
    b, C = binary._coefficients[[1, 3]], binary.coef_cov_.to_numpy()[np.ix_([1, 3], [1, 3])]
    assert found.p_value == pytest.approx(chi2.sf(b @ np.linalg.solve(C, b), 2))


def test_columns_without_a_coefficient_do_not_disturb(rows, model):
    X, y, groups = rows
    with pytest.warns(LinAlgWarning, match="twice can be written"):
        more = RandomInterceptRegressor().fit(X.assign(twice=2 * X["a"]), y, groups=groups)
    for df_method in ("satterthwaite", "kenward-roger"):
        one, other = (wald_test(m, ["a", "b"], df_method=df_method) for m in (model, more))
        assert one.statistic == pytest.approx(other.statistic, rel=1e-6)
        assert one.df_denom == pytest.approx(other.df_denom, rel=1e-5)
    with pytest.raises(ValueError, match=r"'twice' has none: such a column depends .* it out"):
        wald_test(more, ["a", "twice"])


def test_weights_count_rows(rows):
    X, y, groups = rows
    weights = np.full(len(y), 2)
    weighted = RandomInterceptRegressor().fit(X, y, groups=groups, sample_weight=weights)
    twice = RandomInterceptRegressor().fit(
        pd.concat([X, X]), np.r_[y, y], groups=np.r_[groups, groups]
    )
    for df_method in ("satterthwaite", "kenward-roger"):
        both = [wald_test(m, ["a", "level"], df_method=df_method) for m in (weighted, twice)]
        one, other = both
        assert one.statistic == pytest.approx(other.statistic, rel=1e-6)
        assert one.df_denom == pytest.approx(other.df_denom, rel=1e-6)


def test_it_prints(model):
    found = wald_test(model, {"a - b": {"a": 1, "b": -1}, "c": {"c": 1}})
    text = str(found)
    assert text.startswith("Wald test that 2 combinations of coefficients are 0\n\nF(2, ")
    assert "a - b" in text
    assert "p = " in found._repr_html_()
    assert "chi2(1) = " in str(wald_test(model, "a", df_method="normal"))
    assert str(wald_test(model, "a")).startswith("Wald test that one combination")


BAD_TERMS = {
    "no name": ("e", ValueError, r"got \['e'\]. These are .*'a', 'b', 'c', 'level'"),
    "one of several": (["a", "e"], ValueError, r"got \['e'\]"),
    "a name of a pipeline": ("step__a", ValueError, "if the pipeline is given"),
    "twice": (["a", "a"], ValueError, r"each coefficient once, but got \['a'\] twice"),
    "nothing": ([], ValueError, "one combination at least, but is empty"),
    "no rows": (np.zeros((0, 5)), ValueError, "one combination at least, but is empty"),
    "an empty dictionary": ({}, ValueError, "is empty"),
    "zeros": (np.zeros((2, 5)), ValueError, r"not 0 in each row, .*\['row 0', 'row 1'\]"),
    "a row of zeros": ({"x": {"a": 0}, "y": {"a": 1}}, ValueError, r"has not in \['x'\]"),
    "no weights": ({"x": {}}, ValueError, r"not 0 in each row"),
    "four columns": (np.eye(4), ValueError, r"each of the 5 coefficients, .* shape \(4, 4\)"),
    "three dimensions": (np.ones((1, 1, 5)), ValueError, r"shape \(1, 1, 5\)"),
    "NaN": ([[np.nan, 1, 0, 0, 0]], ValueError, r"that are finite, but has not in \['row 0'\]"),
    "NaN by name": ({"x": {"a": np.nan}}, ValueError, "that are finite"),
    "infinity": ([[np.inf, 1, 0, 0, 0]], ValueError, "that are finite"),
    "None": (None, TypeError, "`terms` must be names of coefficients, .* got None"),
    "a mask": (np.array([True, False, True, False, False]), TypeError, "got array.*True"),
    "a number": (3, ValueError, r"5 coefficients, .* shape \(1, 1\)"),
    "words for weights": ({"x": {"a": "one"}}, TypeError, "must be names of coefficients"),
    "names and numbers": (["a", 1], TypeError, "must be names of coefficients"),
    "numbers by name": ({"a": 1, "b": 1}, TypeError, "such as {'b - a': "),
    "an unknown weight": ({"x": {"e": 1}}, ValueError, r"got \['e'\]"),
    "an unknown column": (pd.DataFrame({"e": [1]}), ValueError, r"got \['e'\]"),
    "a column twice": (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "twice"),
    "words in a table": (pd.DataFrame({"a": ["one"]}), TypeError, "must be names of coeff"),
    "ragged rows": ([[1, 0], [1]], TypeError, "must be names of coefficients"),
}


@pytest.mark.parametrize("given", BAD_TERMS)
def test_bad_terms(model, given):
    terms, error, message = BAD_TERMS[given]
    with pytest.raises(error, match=message):
        wald_test(model, terms)


def test_bad_models(rows):
    X, y, _ = rows
    with pytest.raises(TypeError, match=r"must be a fitted model .* StandardScaler"):
        wald_test(StandardScaler(), "a")
    with pytest.raises(TypeError, match=r"Call it: PooledRegressor\(...\)"):
        wald_test(PooledRegressor, "a")
    with pytest.raises(Exception, match="not fitted yet"):
        wald_test(PooledRegressor(), "a")
    with pytest.warns(match="groups"):
        pooled = RandomInterceptRegressor().fit(X, y)
    with pytest.raises(NotAvailableError, match="A test of fixed effects"):
        wald_test(pooled, "a")


def test_bad_methods(rows, model):
    X, y, groups = rows
    with pytest.raises(ValueError, match="'normal', but got 'residual'"):
        wald_test(model, "a", df_method="residual")
    by_ml = RandomInterceptRegressor(method="ml").fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="is defined for REML"):
        wald_test(by_ml, "a", df_method="kenward-roger")
    binary = RandomInterceptClassifier().fit(X, y > 0, groups=groups)
    with pytest.raises(ValueError, match="must be 'normal' for RandomInterceptClassifier"):
        wald_test(binary, "a", df_method="satterthwaite")


def test_the_iterative_solver_has_satterthwaites_method():
    from nested_and_crossed import make_rows

    rows = make_rows("crossed")
    table = pd.DataFrame(rows.fixed[:, 1:], columns=["a", "b"])
    factors = {f"f{i}": code for i, code in enumerate(rows.codes)}
    table = table.assign(**factors)
    exact, iterative = (
        RandomInterceptRegressor(group_by=list(factors), solver=solver).fit(table, rows.y)
        for solver in ("exact", "iterative")
    )
    one, other = (wald_test(m, ["a", "b"]) for m in (exact, iterative))
    assert one.statistic == pytest.approx(other.statistic, rel=0.05)
    with pytest.raises(NotAvailableError, match="Use df_method='satterthwaite'"):
        wald_test(iterative, "a", df_method="kenward-roger")


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_what_cannot_be_tested():
    X, y, subject = load_sleepstudy(return_X_y=True)
    exact = PooledRegressor().fit(X, X["Days"] * 2.0)
    with pytest.raises(ValueError, match="covariance of the 2 combinations is singular"):
        wald_test(exact, ["(Intercept)", "Days"])
    mixed = RandomInterceptRegressor().fit(X, X["Days"] * 2.0, groups=subject)
    for df_method in ("satterthwaite", "kenward-roger"):
        with pytest.raises(ValueError, match="because y is explained exactly"):
            wald_test(mixed, ["(Intercept)", "Days"], df_method=df_method)
    few = PooledRegressor().fit(X[:2], y[:2])
    with pytest.raises(ValueError, match="'Days' has none: no residual degrees of freedom"):
        wald_test(few, "Days")


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_too_few_groups_for_kenward_rogers_f():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 6)
    table = pd.DataFrame(rng.normal(size=(24, 1)), columns=["x"])
    table["p"], table["q"], level, slope = rng.normal(size=(4, 4))[:, groups]
    y = level + slope * table["x"] + rng.normal(size=24)
    model = RandomSlopeRegressor("x").fit(table, y, groups=groups)
    with pytest.raises(ValueError, match=r"too few groups for the expansion of 2 combinations"):
        wald_test(model, ["p", "q"], df_method="kenward-roger")
    assert wald_test(model, ["p", "q"]).df_denom > 0
