"""Comparisons of models of binary outcomes and of counts."""

import pickle

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy.optimize import minimize
from scipy.sparse import coo_array
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import (
    brier_score_loss,
    d2_log_loss_score,
    d2_tweedie_score,
    log_loss,
    mean_poisson_deviance,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomSlopeClassifier,
    RandomSlopePoissonRegressor,
    compare_pooling,
)
from skmixed.exceptions import NotAvailableError
from skmixed.model_selection import WithinGroupKFold
from skmixed.model_selection._paired_difference import paired_difference
from skmixed.model_selection._pooling_outcomes import read_outcome

KNOWN, NEW = "known groups", "new groups"
OPTIONS = {"n_splits": 3, "n_repeats": 1, "random_state": 0}


def draw_rows(n_rows=300, n_groups=30, sd=1.0, slope_sd=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X, groups = rng.normal(size=(n_rows, 2)), rng.integers(n_groups, size=n_rows)
    levels, slopes = sd * rng.normal(size=n_groups), slope_sd * rng.normal(size=n_groups)
    return X, X[:, 0] * (0.7 + slopes[groups]) + levels[groups], groups, rng


class Column(TransformerMixin, BaseEstimator):
    """Keep one column."""

    def __init__(self, position=0):
        self.position = position

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X[:, [self.position]]


@pytest.fixture(scope="module")
def binary():
    X, eta, groups, rng = draw_rows(sd=1.6)
    return X, np.where(rng.random(len(eta)) < expit(eta), "pass", "fail"), groups


@pytest.fixture(scope="module")
def counts():
    X, eta, groups, rng = draw_rows(sd=0.6)
    return X, rng.poisson(np.exp(0.5 * eta)), groups


@pytest.fixture(scope="module")
def of_binary(binary):
    return compare_pooling(*binary, slopes=[0], **OPTIONS)


@pytest.fixture(scope="module")
def of_counts(counts):
    return compare_pooling(*counts, target_type="count", slopes=[0], **OPTIONS)


def folds(X, y, groups, n_splits=3):
    seed = int(np.random.RandomState(0).randint(2**31, size=1)[0])
    for regime, splitter in ((KNOWN, WithinGroupKFold), (NEW, GroupKFold)):
        cv = splitter(n_splits, shuffle=True, random_state=seed)
        for fold, (train, test) in enumerate(cv.split(X, y, groups)):
            yield (regime, fold), train, test


def with_dummies(X, groups, labels, scale):
    return np.hstack([X / scale, groups[:, None] == labels])


def classify(name, rows, test):
    """Probabilities of the second class, by hand."""
    X, y, groups = rows
    if name == "pooled":
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X, y)
        return model.predict_proba(test[0])[:, 1]
    if name == "one-hot + ridge":
        how = np.unique(groups), X.std(axis=0)
        model = LogisticRegression(tol=1e-10, max_iter=1000)
        model.fit(with_dummies(X, groups, *how), y)
        return model.predict_proba(with_dummies(*test, *how))[:, 1]
    kinds = {"random intercept": RandomInterceptClassifier()}
    model = kinds.get(name, RandomSlopeClassifier([0])).fit(X, y, groups=groups)
    return model.predict_proba(*test)[:, 1]


def count(name, rows, test):
    """Means of counts, by hand."""
    X, y, groups = rows
    tight = {"tol": 1e-10, "max_iter": 1000}
    if name == "pooled":
        return PoissonRegressor(alpha=0, **tight).fit(X, y).predict(test[0])
    if name == "one-hot + ridge":
        how = np.unique(groups), X.std(axis=0)
        model = PoissonRegressor(alpha=1 / len(y), **tight)
        return model.fit(with_dummies(X, groups, *how), y).predict(with_dummies(*test, *how))
    kinds = {"random intercept": RandomInterceptPoissonRegressor()}
    model = kinds.get(name, RandomSlopePoissonRegressor([0])).fit(X, y, groups=groups)
    return model.predict(*test)


@pytest.mark.filterwarnings("ignore::Warning")
def test_scores_of_binary_outcomes_are_those_of_a_loop_by_hand(binary, of_binary):
    X, y, groups = binary
    scores = of_binary.scores.set_index(["model", "regime", "fold"])
    names = ["pooled", "one-hot + ridge", "target encoding", "random intercept"]
    assert [*scores.index.unique("model")] == [*names, "random slopes"]
    for key, train, test in folds(*binary):
        for name in (*names[:2], "random intercept", "random slopes"):
            given = [part[train] for part in binary]
            probability = classify(name, given, (X[test], groups[test]))
            found, of_pass = scores.loc[(name, *key)], y[test] == "pass"
            expected = {
                "log_loss": log_loss(of_pass, probability),
                "brier": brier_score_loss(of_pass, probability),
                "auc": roc_auc_score(of_pass, probability),
                "d2_log_loss": d2_log_loss_score(of_pass, probability),
            }
            assert found[[*expected]].to_dict() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert scores.loc["random intercept", "icc"].between(0.3, 0.8).all()
    assert of_binary.target_type == "binary"
    assert of_binary.classes.tolist() == ["fail", "pass"]
    assert of_binary.cannot.empty


@pytest.mark.filterwarnings("ignore::Warning")
def test_scores_of_counts_are_those_of_a_loop_by_hand(counts, of_counts):
    X, y, groups = counts
    scores = of_counts.scores.set_index(["model", "regime", "fold"])
    names = ["pooled", "one-hot + ridge", "random intercept", "random slopes"]
    assert [*scores.index.unique("model")] == names
    for key, train, test in folds(*counts):
        for name in names:
            mean = count(name, [part[train] for part in counts], (X[test], groups[test]))
            expected = {
                "poisson_deviance": mean_poisson_deviance(y[test], mean),
                "rmse": np.sqrt(np.mean((y[test] - mean) ** 2)),
                "mae": np.mean(np.abs(y[test] - mean)),
                "d2_deviance": d2_tweedie_score(y[test], mean, power=1),
            }
            found = scores.loc[(name, *key)][[*expected]].to_dict()
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert of_counts.classes is None


def recalibrate(loss, y, link):
    """Slope and, with a slope of 1, intercept, by a general optimiser."""
    slope = minimize(lambda ab: loss(y, ab[0] + ab[1] * link), [0, 1], tol=1e-10).x[1]
    return slope, minimize(lambda a: loss(y, a[0] + link), [0], tol=1e-10).x[0]


def test_calibration_is_that_of_a_regression_on_the_link(binary, counts, of_binary, of_counts):
    cases = [
        (of_binary, lambda y, eta: np.mean(np.logaddexp(0, eta) - y * eta), logit),
        (of_counts, lambda y, eta: np.mean(np.exp(eta) - y * eta), np.log),
    ]
    for comparison, loss, link in cases:
        for key in ((KNOWN, "random intercept"), (NEW, "one-hot + ridge")):
            tested = comparison._tested[key]
            y = np.concatenate([fold.y for fold in tested])
            eta = np.concatenate([link(fold.mean) for fold in tested])
            names = ["calibration_slope", "calibration_intercept"]
            found = comparison.summary.loc[key, names].to_numpy(float)
            np.testing.assert_allclose(found, recalibrate(loss, y, eta), atol=2e-4)


def test_difference_is_paired_by_row(binary, of_binary):
    X, y, groups = binary
    values, codes = [], []
    for key, train, test in folds(*binary):
        if key[0] == KNOWN:
            given = [part[train] for part in binary]
            losses = []
            for name in ("pooled", "random intercept"):
                p = classify(name, given, (X[test], groups[test]))
                losses.append(-np.log(np.where(y[test] == "pass", p, 1 - p)))
            values.append(losses[0] - losses[1])
            codes.append(groups[test])
    expected = paired_difference(values, codes)
    found = of_binary.difference("pooled", "random intercept")
    for name in ("difference", "std_error", "df", "p_value"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-4)
    assert found.score == "log_loss"
    area = of_binary.difference("pooled", "random intercept", score="auc")
    mean = of_binary.summary["auc"][KNOWN]
    assert area.difference == pytest.approx(mean["pooled"] - mean["random intercept"])
    assert area.std_error > 0
    with pytest.raises(
        ValueError, match=r"`score` must be one of \['log_loss', 'brier', .*'r2'"
    ):
        of_binary.difference("pooled", "random intercept", score="r2")


def test_rows_of_an_area_vary_as_delong_says(of_binary):
    (fold, *_) = of_binary._tested[KNOWN, "random intercept"]
    rows, positive = fold.values("auc"), fold.y == 1
    wins = (fold.mean[positive][:, None] > fold.mean[~positive]).astype(float)
    wins += (fold.mean[positive][:, None] == fold.mean[~positive]) / 2
    variance = (
        wins.mean(axis=1).var() / positive.sum() + wins.mean(axis=0).var() / (~positive).sum()
    )
    assert rows.mean() == pytest.approx(wins.mean())
    assert rows.var() / len(rows) == pytest.approx(variance)


def test_a_class_may_be_missing_from_a_fold():
    X, y = np.random.default_rng(0).normal(size=(40, 1)), np.arange(40) == 7
    groups = np.arange(40) % 8
    comparison = compare_pooling(X, y, groups, **OPTIONS)
    assert comparison.summary["auc"].isna().all()
    assert "nan" not in str(comparison)
    assert comparison.cannot["message"].str.contains("class").all()
    assert {"pooled", "random intercept"} <= set(comparison.cannot["model"])


def test_findings_text_and_picture(of_binary, of_counts):
    text, findings = str(of_binary), "\n".join(of_binary.findings)
    summary = of_binary.summary.loc[KNOWN]
    best = summary["log_loss"][["random intercept", "random slopes"]].idxmin()
    found = of_binary.difference("pooled", best)
    n = found._decimals
    assert f"In known groups {best} beats pooled by {found.difference:.{n}f} (SE " in findings
    losses = f"{summary['log_loss'][best]:.{n}f} against {summary['log_loss']['pooled']:.{n}f}"
    assert f"in log loss, {losses}" in findings
    slope, level = summary.loc[best, ["calibration_slope", "calibration_intercept"]]
    expected = f"calibration slope of {slope:.2f} and intercept of {level:.2f} (right: 1 and 0)"
    assert expected in findings
    assert "of the variance on the scale of the log-odds lies between groups" in findings
    for name in ("one-hot + ridge", "target encoding"):
        assert any(name in line and best in line for line in of_binary.findings)
    assert "probabilities are those of 'pass', not of 'fail'" in text.replace("\n", " ")
    assert "Log loss in known groups, by rows of the group in training" in text
    assert "RMSE" not in text
    assert max(map(len, text.splitlines())) <= 80
    (header, _) = [line for line in text.splitlines() if "log_loss  brier" in line]
    assert header.split()[-1] == "std_error"  # on one line
    assert "<caption>Log loss in known groups" in of_binary._repr_html_()
    display = of_binary.plot()
    assert display.ax_.get_xlabel() == "log loss above the best (± std error)"
    (x,), _ = display.bars_[KNOWN, "pooled"].lines[0].get_data()
    assert x == summary.loc["pooled", "difference"]
    text = " ".join(str(of_counts).split())
    assert "Poisson deviance in known groups, by rows" in text
    assert "logarithm of the mean lies between groups" in text
    assert "the means of random" in text
    assert of_counts.plot().ax_.get_xlabel().startswith("Poisson deviance above the best")
    plt.close("all")
    again = pickle.loads(pickle.dumps(of_binary))
    assert str(again) == str(of_binary)


def test_what_y_is_taken_for(binary):
    X, y, groups = binary
    passed, options = y == "pass", {**OPTIONS, "n_splits": 2}
    expected = compare_pooling(X, passed, groups, **options).scores.drop(columns="fit_seconds")
    for labels in (pd.Series(y, dtype="category"), passed.astype(float)):
        found = compare_pooling(X, labels, groups, **options)
        assert found.target_type == "binary"
        pd.testing.assert_frame_equal(found.scores.drop(columns="fit_seconds"), expected)
    for labels in (
        passed,
        pd.Series(passed, dtype="boolean"),
        pd.Series(passed.astype(int), dtype="Int64"),
        pl.Series(passed),
        pl.Series(y),
        y.tolist(),
        y.astype(object),
    ):
        outcome, given, numbers, classes = read_outcome(labels, "auto")
        assert outcome.target_type == "binary"
        assert given.dtype.kind in "bifU"
        np.testing.assert_array_equal(given == classes[1], passed)
        np.testing.assert_array_equal(numbers, passed)
        assert len(classes) == 2
    one_and_two = compare_pooling(X, 1 + passed, groups, target_type="binary", **options)
    pd.testing.assert_frame_equal(one_and_two.scores.drop(columns="fit_seconds"), expected)
    assert "target_type='continuous' compares linear models of it" in str(one_and_two)
    line = compare_pooling(X, 1 + passed, groups, **options)
    number = compare_pooling(X, passed.astype(int), groups, target_type="continuous", **options)
    for comparison in (line, number):
        assert comparison.target_type == "continuous"
        assert "rmse" in comparison.summary
    np.testing.assert_allclose(line.summary["rmse"], number.summary["rmse"])


@pytest.mark.slow
def test_estimators_and_the_column_of_groups(binary, of_binary):
    X, y, groups = binary
    table = pd.DataFrame(X, columns=["a", "b"]).assign(site=groups)
    dummies = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["site"]), (StandardScaler(), ["a", "b"])
    )
    estimators = {
        "dummies": make_pipeline(dummies, LogisticRegression(tol=1e-8)),
        "search": GridSearchCV(
            RandomInterceptClassifier(group_by="site"),
            {"quadrature": [9]},
            cv=WithinGroupKFold(2),
            scoring="neg_log_loss",
        ),
        "trees": HistGradientBoostingClassifier(max_iter=5),
        "prior": DummyClassifier(),
    }
    comparison = compare_pooling(
        table, y, group_by="site", slopes=["a"], estimators=estimators, **OPTIONS
    )
    summary = comparison.summary.drop(columns=["fit_seconds", "difference", "std_error"])
    ours = of_binary.summary[summary.columns]
    pd.testing.assert_frame_equal(summary.loc[ours.index], ours, check_like=True)
    for regime in (KNOWN, NEW):
        np.testing.assert_allclose(
            summary.loc[(regime, "dummies")],
            summary.loc[(regime, "one-hot + ridge")],
            rtol=1e-3,
        )
        pd.testing.assert_series_equal(
            summary.loc[(regime, "search")],
            summary.loc[(regime, "random intercept")],
            check_names=False,
        )
        assert np.isnan(summary.loc[(regime, "prior"), "calibration_slope"])
        assert summary.loc[(regime, "prior"), "auc"] == 0.5
    at_groups = {"pipeline": make_pipeline(StandardScaler(), RandomInterceptClassifier())}
    comparison = compare_pooling(*binary, estimators=at_groups, **OPTIONS)
    loss = comparison.summary["log_loss"]
    for regime in (KNOWN, NEW):
        assert loss[regime, "pipeline"] == pytest.approx(loss[regime, "random intercept"])


def test_estimators_of_counts(counts):
    estimators = {"mean": DummyRegressor(), "line": LinearRegression()}
    comparison = compare_pooling(*counts, target_type="count", estimators=estimators, **OPTIONS)
    assert set(comparison.cannot["model"]) == {"line"}
    assert comparison.cannot["message"].str.contains("counts must be above 0, but .* of").all()
    of_mean = comparison.summary.loc[(NEW, "mean")]
    assert of_mean["d2_deviance"] == pytest.approx(0, abs=0.1)
    assert np.isnan(of_mean["calibration_slope"])


@pytest.mark.slow
@pytest.mark.parametrize("target_type", ["binary", "count"])
def test_models_without_features_and_sparse_ones(target_type):
    X, eta, groups, rng = draw_rows(n_rows=200, n_groups=10)
    y = (rng.random(200) < expit(eta)).astype(int)
    table = pd.DataFrame({"site": groups})
    options = {"target_type": target_type, **OPTIONS}
    null = compare_pooling(table, y, group_by="site", **options)
    assert null.cannot.empty
    share = null.summary.loc[(KNOWN, "pooled")]
    assert share[["d2_log_loss" if target_type == "binary" else "d2_deviance"]].item() < 0.01
    assert null.summary.loc[(NEW, "random intercept"), "calibration_slope"] is not None
    assert "Slopes that differ" not in str(null)
    sparse = compare_pooling(coo_array(X), y, groups, **options).summary
    dense = compare_pooling(X, y, groups, **options).summary
    loss = sparse.columns[0]
    np.testing.assert_allclose(sparse[loss], dense[loss], rtol=1e-6)


def test_settings_of_the_user_and_jobs_do_not_matter(binary, of_binary):
    X, y, groups = binary
    table = pl.DataFrame({"a": X[:, 0], "b": X[:, 1] + 1e6, "site": groups})
    with sklearn.config_context(transform_output="pandas", enable_metadata_routing=True):
        found = compare_pooling(
            table, pl.Series(y), group_by="site", slopes=["a"], n_jobs=2, **OPTIONS
        )
    measures = ["log_loss", "brier", "auc"]
    np.testing.assert_allclose(found.scores[measures], of_binary.scores[measures], rtol=1e-4)
    assert found.cannot.empty


ERRORS = {
    "three classes": ({"y": ["a", "b", "c"] * 100}, "two classes, but has 3: 'a', 'b', 'c'"),
    "one class": ({"y": ["a"] * 300}, "there is one class, 'a'"),
    "many numbers": (
        {"y": np.arange(300) % 7, "target_type": "binary"},
        "two classes, but has 7",
    ),
    "negative": ({"y": np.arange(300) - 3, "target_type": "count"}, "but 3 of 300 values are"),
    "all zero": ({"y": np.zeros(300), "target_type": "count"}, "all 300 are 0"),
    "text": ({"target_type": "count"}, "y"),
    "missing": ({"y": [None, *["a", "b"] * 149, "a"]}, "missing"),
    "type": ({"target_type": "ordinal"}, "'target_type' parameter"),
    "no probabilities": (
        {"estimators": {"svm": LinearSVC()}},
        "must hold classifiers of binary y with fit and predict_proba, but 'svm' is",
    ),
    "reserved": ({"estimators": {"target encoding": LogisticRegression()}}, "Rename it"),
    "slopes": ({"slopes": []}, "must name a column"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(binary, case):
    X, y, groups = binary
    options, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        compare_pooling(X, **{"y": y, "groups": groups, **options})


def test_several_factors_are_refused(binary):
    X, y, groups = binary
    several = pd.DataFrame({"school": groups, "rater": np.arange(len(y)) % 12})
    message = r"takes one grouping factor of binary targets, but got \['school', 'rater'\]"
    with pytest.raises(NotAvailableError, match=message):
        compare_pooling(X, y, several)


@pytest.mark.slow
@pytest.mark.parametrize("target_type", ["binary", "count"])
def test_equal_models_are_told_apart_as_often_as_chance_does(target_type):
    """Each knows one of two features that are alike."""
    line = LogisticRegression() if target_type == "binary" else PoissonRegressor(alpha=0)
    estimators = {name: make_pipeline(Column(i), line) for i, name in enumerate("ab")}
    p_values = []
    for seed in range(40):
        X, eta, groups, rng = draw_rows(n_rows=200, n_groups=20, sd=0.5, seed=seed)
        eta += 0.7 * X[:, 1]
        y = (
            rng.random(200) < expit(eta)
            if target_type == "binary"
            else rng.poisson(np.exp(eta))
        )
        options = {"target_type": target_type, "estimators": estimators, **OPTIONS}
        comparison = compare_pooling(X, y, groups, **options)
        p_values += [comparison.difference("a", "b", regime).p_value for regime in (KNOWN, NEW)]
    assert 0 < np.mean(np.array(p_values) < 0.05) <= 0.12
