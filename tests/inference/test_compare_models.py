"""Models side by side, and the tables that go into reports."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_sleepstudy
from skmixed.inference import compare_models

X, Y, SUBJECT = load_sleepstudy(return_X_y=True)
LONG = Y.median() < Y
LEVELS = dict(zip(SUBJECT.unique(), np.linspace(0, 2, 18), strict=True))
RATE = np.exp(SUBJECT.map(LEVELS))
COUNTS = pd.Series(np.random.default_rng(0).poisson(RATE), name="Reaction")


@pytest.fixture(scope="module")
def models():
    return {
        "pooled": PooledRegressor().fit(X, Y, groups=SUBJECT),
        "fixed": FixedEffectsRegressor().fit(X, Y, groups=SUBJECT),
        "mixed": RandomInterceptRegressor(method="ml").fit(X, Y, groups=SUBJECT),
        "slope": RandomSlopeRegressor("Days").fit(X, Y, groups=SUBJECT),
        "binary": RandomInterceptClassifier().fit(X, LONG, groups=SUBJECT),
        "counts": RandomInterceptPoissonRegressor().fit(X, COUNTS, groups=SUBJECT),
    }


TARGETS = {"binary": LONG, "counts": COUNTS}


def test_numbers_are_those_of_the_models(models):
    table = compare_models(list(models.values()), list(models))
    for name, model in models.items():
        frame = model.fixed_effects_frame()[["estimate", "std_error", "p_value"]]
        got = table.coefficients[name].loc[frame.index]
        np.testing.assert_allclose(got, frame, rtol=1e-12)
        own = model.fit_statistics_frame().iloc[0]
        assert table.fit_statistics[name].dropna().to_dict() == own.to_dict()
    sd = table.variance_components["slope"]
    slope = models["slope"]
    assert sd["Subject", "Days"] == pytest.approx(slope.random_effects_cov_.iloc[1, 1] ** 0.5)
    assert sd["Residual", ""] == pytest.approx(slope.residual_variance_**0.5)
    assert table.variance_components.index[-1] == ("Residual", "")


def test_what_is_printed(models):
    table = compare_models([models["pooled"], models["mixed"]], ["pooled", "mixed"], stars=True)
    text = str(table)
    assert re.search(r"Days +10\.4673 \(1\.2382\)\*\*\* +10\.4673 \(0\.8017\)\*\*\*", text)
    assert table.remarks == ()
    assert "***" not in str(compare_models([models["pooled"]]))
    html = table._repr_html_()
    assert "<caption>Fixed effects (standard errors)</caption>" in html


def test_errors_robust_to_clusters_are_named():
    robust = FixedEffectsRegressor(standard_errors="CR1").fit(X, Y, groups=SUBJECT)
    table = compare_models([robust])
    assert table.fit_statistics.loc["standard_errors"].item() == "CR1, 18 clusters"
    assert list(table.fit_statistics.index[:4]) == [
        "method",
        "standard_errors",
        "n_rows",
        "n_groups",
    ]
    assert "()" not in str(table)  # the average intercept has no such error


def test_as_markdown_and_as_latex(models):
    table = compare_models([models["slope"]], ["a_b & c | d"], stars=True)
    markdown, latex = table.to_markdown(), table.to_latex()
    assert r"|  | a_b & c \| d |" in markdown
    assert r"| Days | 10.467 (1.546)\*\*\* |" in markdown
    assert r" & a\_b \& c | d \\" in latex
    assert latex.count(r"\toprule") == latex.count(r"\end{table}") == 3
    assert r"p \textless{} 0.05" in latex
    summary = models["slope"].summary().to_markdown()
    assert "| Subject | (Intercept) | 612" in summary
    assert "|  | Days | 35" in summary


def test_lists_are_items(models):
    from skmixed import describe_groups

    description = describe_groups(X, Y, SUBJECT)
    assert "\n- " in description.to_markdown()
    assert r"\item " in description.to_latex()


def test_what_is_not_to_be_compared_is_said(models):
    other = RandomInterceptRegressor().fit(X[:100], Y[:100], groups=SUBJECT[:100])
    remarks = compare_models([models["slope"], other]).remarks
    assert remarks[0].startswith("The models were not fitted to the same y")
    alone = RandomInterceptRegressor().fit(X.assign(late=X["Days"] > 5), Y, groups=SUBJECT)
    remarks = compare_models([models["slope"], alone]).remarks
    assert "other fixed effects" in remarks[0]
    remarks = compare_models([models["slope"], models["pooled"]]).remarks
    assert "(REML, least squares)" in remarks[0]


def test_models_in_pipelines_have_names(models):
    frame = X.assign(group=np.where(X["Days"] > 4, "late", "early"))
    encoder = make_column_transformer(
        (OneHotEncoder(drop="first"), ["group"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    pipeline = make_pipeline(encoder, RandomInterceptRegressor())
    pipeline.fit(frame, Y, randominterceptregressor__groups=SUBJECT)
    table = compare_models([models["mixed"], pipeline], ["one", "two"])
    assert list(table.coefficients.index) == ["(Intercept)", "Days", "group_late"]


@pytest.mark.parametrize(
    ("given", "names", "error", "message"),
    [
        ([], None, ValueError, "a list of one fitted model at least, but got []"),
        ("model", None, TypeError, "`estimator` must be a fitted model of this package"),
        (["slope"], ["a", "b"], ValueError, "1 distinct names, one for each model"),
        (["slope", "slope"], ["a", "a"], ValueError, "2 distinct names"),
    ],
)
def test_bad_arguments(models, given, names, error, message):
    given = [models[name] for name in given] if isinstance(given, list) else [given]
    with pytest.raises(error, match=re.escape(message)):
        compare_models(given, names)


def test_one_model_is_no_list(models):
    with pytest.raises(ValueError, match=r"Pass them as in compare_models\(\[one, two\]\)"):
        compare_models(models["slope"])


@pytest.mark.parametrize("name", ["pooled", "fixed", "mixed", "slope", "binary", "counts"])
def test_augment_holds_what_the_methods_say(models, name):
    model, y = models[name], TARGETS.get(name, Y)
    table = model.augment(X, y, groups=SUBJECT)
    pd.testing.assert_index_equal(table.index, X.index)
    binary = name == "binary"
    fitted = model.predict_proba(X, SUBJECT)[:, 1] if binary else model.predict(X, SUBJECT)
    np.testing.assert_allclose(table["fitted"], fitted, rtol=1e-10)
    np.testing.assert_allclose(table["population"], model.predict_population(X), rtol=1e-10)
    np.testing.assert_allclose(table["residual"], y - table["fitted"], atol=1e-9)
    if name in ("pooled", "mixed", "slope"):
        influence = model.influence_frame(X, y, groups=SUBJECT)
        np.testing.assert_allclose(table["leverage"], influence["leverage"])
        np.testing.assert_allclose(table["cooks_distance"], influence["cooks_distance"])
    if name not in TARGETS:
        limits = model.predict_interval(X, SUBJECT, level=0.95, kind="mean")
        np.testing.assert_allclose(table[["lower", "upper"]], limits)


def test_augment_takes_the_rows_of_the_fit_alone(models):
    with pytest.raises(ValueError, match="rows of the fit"):
        models["mixed"].augment(X[:50], Y[:50], groups=SUBJECT[:50])
    with pytest.raises(ValueError, match="'level' parameter of RandomSlope"):
        models["slope"].augment(X, Y, groups=SUBJECT, level=95)


def test_statistics_in_one_row(models):
    row = models["slope"].fit_statistics_frame().iloc[0]
    assert (row["method"], row["n_rows"], row["n_groups"]) == ("REML", 180, 18)
    assert row["criterion"] == models["slope"].criterion_
    assert models["binary"].fit_statistics_frame()["method"][0] == "quadrature, 9 nodes"


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a variance 0, and labels used again
def test_statistics_of_several_factors():
    rows = X.assign(subject=SUBJECT.to_numpy(), parity=np.where(X["Days"] % 2, "odd", "even"))
    model = RandomInterceptRegressor(group_by=["subject", "parity"], method="ml")
    row = model.fit(rows, Y).fit_statistics_frame().iloc[0]
    assert row["n_groups_subject"] == 18
    assert row["icc_subject"] == model.icc_["subject"]
    assert ("parity", "(Intercept)") in compare_models([model]).variance_components.index


@pytest.mark.parametrize("name", ["pooled", "fixed", "mixed", "slope", "binary", "counts"])
def test_what_maketables_reads(models, name):
    model = models[name]
    table = model.__maketables_coef_table__
    assert list(table.columns) == ["b", "se", "t", "p"]
    assert table.index.name == "Coefficient"
    assert model.__maketables_stat__("N") == 180
    assert model.__maketables_stat__("no such") is None
    assert "N" in model.__maketables_default_stat_keys__
    assert model.__maketables_depvar__ == ("Reaction" if Y is not None else "")


def test_maketables_itself(models):
    maketables = pytest.importorskip("maketables")
    table = maketables.ETable([models["pooled"], models["mixed"]])
    assert "Days" in str(table.df)
