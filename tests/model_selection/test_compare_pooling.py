import re
import warnings
from dataclasses import replace

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import coo_array
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import BayesianRidge, LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    compare_pooling,
)
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.exceptions import SingularFitWarning
from skmixed.model_selection import WithinGroupKFold
from skmixed.model_selection._paired_difference import paired_difference
from skmixed.model_selection._pooling_splits import split_rows

KNOWN, NEW = "known groups", "new groups"
OURS = {
    "pooled": PooledRegressor(),
    "fixed effects": FixedEffectsRegressor(),
    "random intercept": RandomInterceptRegressor(),
    "fixed slopes": FixedEffectsRegressor([0]),
    "random slopes": RandomSlopeRegressor([0]),
}


@pytest.fixture(scope="module")
def rows():
    return make_mixed_regression(
        240, 2, 30, intercept_variance=1.5, slope_variances=0.3, balanced=False, random_state=0
    )


@pytest.fixture(scope="module")
def frame(rows):
    X, y, groups = rows
    return pd.DataFrame(X, columns=["a", "b"]).assign(site=groups), y


@pytest.fixture(scope="module")
def comparison(rows):
    return compare_pooling(*rows, slopes=[0], n_splits=4, n_repeats=2, random_state=0)


def by_hand(rows, n_splits=4, n_repeats=2, seed=0):
    """Errors, standard deviations and training sizes, with splitters of their own."""
    X, y, groups = rows
    seeds = np.random.RandomState(seed).randint(2**31, size=n_repeats)
    for repeat, seed in enumerate(seeds):
        for regime, splitter in ((KNOWN, WithinGroupKFold), (NEW, GroupKFold)):
            cv = splitter(n_splits, shuffle=True, random_state=int(seed))
            for fold, (train, test) in enumerate(cv.split(X, y, groups)):
                for name, model in OURS.items():
                    model.fit(X[train], y[train], groups=groups[train])
                    mean, std = model.predict(X[test], groups[test], return_std=True)
                    if np.isnan(std).any():  # of new groups, under fixed effects
                        std = np.nan
                    size = np.array([(groups[train] == g).sum() for g in groups[test]])
                    yield (regime, name, repeat, fold), y[test], mean, std, size


@pytest.mark.filterwarnings("ignore::Warning")
def test_scores_are_those_of_a_loop_by_hand(rows, comparison):
    scores = comparison.scores.set_index(["regime", "model", "repeat", "fold"])
    sizes = comparison.group_size_scores
    sizes = sizes.set_index(["model", "repeat", "fold", "training_rows"])
    n_folds = 0
    for key, y, mean, std, size in by_hand(rows):
        n_folds += 1
        found, error = scores.loc[key], y - mean
        half = norm.ppf(0.975) * std * np.ones(len(y))
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
        assert found["mae"] == pytest.approx(np.mean(np.abs(error)))
        assert found["r2"] == pytest.approx(1 - np.mean(error**2) / np.var(y))
        assert found["n_test"] == len(y)
        if np.ndim(std):
            density = np.mean(-0.5 * (error / std) ** 2 - np.log(std * np.sqrt(2 * np.pi)))
            assert found["log_density"] == pytest.approx(density)
            assert found["coverage"] == np.mean(np.abs(error) <= half)
            assert found["width"] == pytest.approx(2 * half.mean())
        else:
            assert found[["log_density", "coverage", "width"]].isna().all()
        if key[0] == KNOWN:
            of_fold = sizes.loc[key[1:]]
            assert of_fold["n_test"].sum() == len(y)
            for label, part in of_fold.iterrows():
                low, _, high = label.partition("-")
                within = (size >= int(low)) & (size <= int(high or low))
                assert part["n_test"] == within.sum()
                expected = np.sqrt(np.mean(error[within] ** 2))
                assert part["rmse"] == pytest.approx(expected)
    assert n_folds == len(scores) == 2 * 5 * 2 * 4


def test_quarters_of_the_groups(comparison):
    table = comparison.by_group_size
    assert table["share"].sum() == pytest.approx(1)
    assert table.index[0] == "0"
    lows = [int(label.split("-")[0]) for label in table.index]
    assert lows == sorted(lows)
    scores = comparison.group_size_scores
    last = scores[scores["training_rows"] == table.index[-1]]
    expected = last[last["model"] == "pooled"]["rmse"].mean()
    assert table["pooled"].iloc[-1] == pytest.approx(expected)


def test_folds_do_not_leak(rows):
    codes = np.unique(rows[2], return_inverse=True)[1]
    sizes = np.bincount(codes)
    tested = {}
    for split in split_rows(codes, 4, 2, np.random.RandomState(0)):
        assert not np.intersect1d(split.train, split.test).size
        assert len(split.train) + len(split.test) == len(codes)
        shared = np.isin(codes[split.test], codes[split.train])
        if split.regime == NEW:
            assert not shared.any()
        else:
            np.testing.assert_array_equal(shared, sizes[codes[split.test]] > 1)
        tested.setdefault((split.regime, split.repeat), []).append(split.test)
    assert len(tested) == 4
    for tests in tested.values():
        np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(codes)))
    assert not np.array_equal(tested[KNOWN, 0][0], tested[KNOWN, 1][0])


def test_difference_of_two_models(rows, comparison):
    """Its rows are those that both predict, its mean that of the folds' scores."""
    X, y, groups = rows
    values, codes = [], []
    for seed in np.random.RandomState(0).randint(2**31, size=2):
        cv = GroupKFold(4, shuffle=True, random_state=int(seed))
        for train, test in cv.split(X, y, groups):
            pair = []
            for name in ("fixed effects", "random intercept"):
                model = OURS[name].fit(X[train], y[train], groups=groups[train])
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    square = (y[test] - model.predict(X[test], groups[test])) ** 2
                rmse = np.sqrt(square.mean())
                pair.append(rmse / 2 + square / (2 * rmse))
            values.append(pair[0] - pair[1])
            codes.append(groups[test])
    found = comparison.difference("fixed effects", "random intercept", NEW)
    names = {"model": "fixed effects", "other": "random intercept", "regime": NEW}
    expected = replace(paired_difference(values, codes), **names, score="rmse")
    assert vars(found) == pytest.approx(vars(expected))
    assert (
        str(found)
        == repr(found)
        == (
            "rmse in new groups, fixed effects less random intercept:\n"
            f"{found.difference:.3f} (SE {found.std_error:.3f}, p = {found.p_value:.2g}, "
            f"df = {found.df:.1f})"
        )
    )
    for score in ("rmse", "mae", "r2"):
        folds = comparison.scores.pivot(
            index=["regime", "repeat", "fold"], columns="model", values=score
        ).loc[NEW]
        found = comparison.difference("fixed effects", "random intercept", NEW, score=score)
        expected = (folds["fixed effects"] - folds["random intercept"]).mean()
        assert found.difference == pytest.approx(expected)
        assert found.std_error > 0
    best = comparison.summary.loc[NEW, "rmse"].idxmin()
    row = comparison.summary.loc[(NEW, "fixed effects")]
    expected = comparison.difference("fixed effects", best, NEW)
    assert row["difference"] == pytest.approx(expected.difference)
    assert row["std_error"] == pytest.approx(expected.std_error)
    assert comparison.summary.loc[(NEW, best), "difference"] == 0
    density = comparison.difference("random slopes", "random intercept", score="log_density")
    assert density.difference > 0
    none = comparison.difference("fixed effects", "random intercept", NEW, score="log_density")
    assert np.isnan([none.difference, none.std_error, none.p_value]).all()


def test_column_and_array_give_the_same(rows, frame, comparison):
    table, y = frame
    inside = compare_pooling(
        table, y, group_by="site", slopes=["a"], n_splits=4, n_repeats=2, random_state=0
    )
    seconds = "fit_seconds"
    pd.testing.assert_frame_equal(
        inside.scores.drop(columns=seconds), comparison.scores.drop(columns=seconds)
    )
    assert inside.group_sizes.index.name == "site"


@pytest.mark.parametrize("routing", [False, True])
def test_it_does_not_depend_on_jobs_or_routing(rows, routing, comparison):
    with sklearn.config_context(enable_metadata_routing=routing):
        again = compare_pooling(
            *rows, slopes=[0], n_splits=4, n_repeats=2, random_state=0, n_jobs=2
        )
    for name in ("scores", "group_size_scores", "warned"):
        found, expected = getattr(again, name), getattr(comparison, name)
        pd.testing.assert_frame_equal(
            found.drop(columns="fit_seconds", errors="ignore"),
            expected.drop(columns="fit_seconds", errors="ignore"),
        )
    assert again.findings == comparison.findings


def test_other_models_see_the_group_column(frame):
    table, y = frame
    one_hot = OneHotEncoder(handle_unknown="ignore")
    one_hot = make_column_transformer((one_hot, ["site"]), remainder="passthrough")
    target = make_column_transformer((TargetEncoder(), ["site"]), remainder="passthrough")
    comparison = compare_pooling(
        table,
        y,
        group_by="site",
        n_repeats=1,
        random_state=0,
        estimators={
            "dummies": make_pipeline(one_hot, Ridge(1e-8)),
            "target": make_pipeline(target, Ridge()),
            "search": GridSearchCV(
                RandomInterceptRegressor(group_by="site"),
                {"method": ["reml"]},
                cv=WithinGroupKFold(2),
            ),
            "scaled": make_pipeline(
                StandardScaler().set_output(transform="pandas"), BayesianRidge()
            ),
        },
    )
    assert comparison.cannot.empty
    summary = comparison.summary.loc[KNOWN]
    difference = summary.loc["dummies", "rmse"] - summary.loc["fixed effects", "rmse"]
    assert abs(difference) < 0.05  # they differ in singletons alone
    with_density = summary["log_density"].notna()
    # nothing is known of singletons whose row is left out, under fixed effects
    without = set(summary.index[~with_density])
    assert without == {"dummies", "target", "fixed effects"}
    pd.testing.assert_series_equal(
        summary.loc["search"].drop("fit_seconds"),
        summary.loc["random intercept"].drop("fit_seconds"),
        check_names=False,
    )


def test_other_models_get_groups_if_they_ask(rows):
    estimators = {
        "line": LinearRegression(),
        "pipeline": make_pipeline(StandardScaler(), RandomInterceptRegressor()),
    }
    comparison = compare_pooling(
        *rows, estimators=estimators, n_splits=3, n_repeats=1, random_state=0
    )
    measures = ["rmse", "coverage", "log_density"]
    summary = comparison.summary[measures]
    for regime in (KNOWN, NEW):
        line, pooled = summary.loc[(regime, "line")], summary.loc[(regime, "pooled")]
        assert line["rmse"] == pytest.approx(pooled["rmse"], rel=1e-6)
        assert line.isna().tolist() == [False, True, True]
        np.testing.assert_allclose(
            summary.loc[(regime, "random intercept")],
            summary.loc[(regime, "pipeline")],
            rtol=1e-6,
        )
    icc = comparison.scores.set_index("model")["icc"]
    assert icc["line"].isna().all()
    assert icc["pipeline"].between(0, 1).all()


class Moody(RegressorMixin, BaseEstimator):
    """Fails in fit, or where the first row of training is odd."""

    def __init__(self, always=False):
        self.always = always

    def fit(self, X, y):
        if self.always or int(np.abs(X[0, 0]) * 1e6) % 2:
            raise RuntimeError("not today\nnor tomorrow" if self.always else "but:\n  thus")
        self.mean_ = y.mean()
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_models_that_cannot(rows):
    comparison = compare_pooling(
        *rows,
        random_state=0,
        estimators={
            "strict": FixedEffectsRegressor(new_groups="error"),
            "never": Moody(always=True),
            "sometimes": Moody(),
        },
    )
    cannot = comparison.cannot.set_index(["model", "regime"])
    assert cannot.loc[("strict", NEW), "folds"] == 10
    assert "but 6 are new" in cannot.loc[("strict", NEW), "message"]
    assert cannot.loc[("never", KNOWN), "message"] == "RuntimeError: not today"
    assert cannot.loc[("never", KNOWN), "kind"] == "RuntimeError"
    assert 0 < cannot.loc[("sometimes", NEW), "folds"] < 10
    assert cannot.loc[("sometimes", NEW), "message"] == "RuntimeError: but: thus"
    summary = comparison.summary
    assert summary.loc[(NEW, "strict")].isna().all()
    assert summary.loc[(NEW, "sometimes"), ["rmse", "difference"]].isna().all()
    assert comparison.by_group_size["never"].isna().all()
    scores = comparison.scores.set_index(["regime", "model"])
    assert scores.loc[(NEW, "sometimes"), "rmse"].notna().any()
    text = str(comparison)
    assert "- never in known groups and new groups, 20 of 20 folds: RuntimeError" in text
    assert "cannot predict" in {label.get_text() for label in comparison.plot().axes_[1].texts}


class Column(RegressorMixin, BaseEstimator):
    """Predicts a column of shape (n_rows, 1), as neural networks do, of one value."""

    def __init__(self, value=0.0):
        self.value = value

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full((len(X), 1), self.value)


def test_predictions_of_other_shapes_and_infinite_ones(rows):
    estimators = {"zero": Column(), "infinite": Column(np.inf)}
    comparison = compare_pooling(*rows, n_repeats=1, random_state=0, estimators=estimators)
    scores = comparison.scores.query("model == 'zero'")
    total = np.sum(scores["n_test"] * scores["rmse"] ** 2)
    assert total == pytest.approx(2 * np.sum(rows[1] ** 2))
    assert set(comparison.cannot["model"]) == {"infinite"}
    assert comparison.cannot["message"].str.contains("predictions contains infinity").all()


def test_warnings_are_told_not_shown():
    X, y, school = load_hsb(return_X_y=True)
    comparison = compare_pooling(X, y, school, n_splits=3, n_repeats=1, random_state=0)
    warned = comparison.warned
    assert set(warned["model"]) == {"fixed effects"}
    assert warned["message"].str.contains("for mean_ses, catholic: within groups").all()
    assert list(warned["folds"]) == [3, 3]
    text = " ".join(str(comparison).split())
    assert "fixed effects in known groups and new groups, 6 of 6 folds" in text
    assert warned["message"][0] in text  # to its end, where the remedy is
    assert text.endswith("effects of features that vary between groups.")


class Warner(LinearRegression):
    """Warns of two things, one of them several times with other numbers."""

    def fit(self, X, y):
        for i in range(3):
            warnings.warn(f"column {i} of {len(X)} rows", UserWarning, stacklevel=2)
        warnings.warn("something else", UserWarning, stacklevel=2)
        return super().fit(X, y)


def test_warnings_are_counted_once_a_fold(rows):
    comparison = compare_pooling(
        *rows, n_splits=3, n_repeats=1, random_state=0, estimators={"loud": Warner()}
    )
    warned = comparison.warned.query("model == 'loud' and regime == @NEW")
    assert set(warned["kind"]) == {"UserWarning"}
    assert list(warned["folds"]) == [3, 3]
    assert set(warned["message"].str[13:19]) == {"column", "someth"}


def test_sparse_rows(rows):
    X, y, groups = rows
    options = {"n_splits": 3, "n_repeats": 1, "random_state": 0}
    found = compare_pooling(coo_array(X), y, groups, **options).summary["rmse"]
    expected = compare_pooling(X, y, groups, **options).summary["rmse"]
    np.testing.assert_allclose(found, expected)


def test_findings_have_their_numbers(comparison):
    findings = "\n".join(comparison.findings)
    rmse, coverage = comparison.summary["rmse"], comparison.summary["coverage"]
    best = rmse[KNOWN].idxmin()
    assert best == "random slopes"
    found = comparison.difference("pooled", best)
    assert (
        f"In known groups {best} beats pooled by {found.difference:.2f} "
        f"(SE {found.std_error:.2f}, p = {found.p_value:.2g}) in RMSE, "
        f"{rmse[KNOWN, best]:.2f} against "
        f"{rmse[KNOWN, 'pooled']:.2f}."
    ) in findings
    assert found.p_value < 0.05
    assert comparison.difference("pooled", "fixed effects", NEW).p_value > 0.05
    assert re.search(r"In new groups .* cannot be told apart: RMSE", findings)
    assert f"cover {coverage[KNOWN, best]:.1%} of the rows" in findings
    assert "Why: given the features" in findings
    icc = comparison.scores.query("regime == @KNOWN and model == 'random intercept'")["icc"]
    assert f"{icc.mean():.1%} of the variance lies between groups" in findings
    assert f"{(1 - icc.mean()) / icc.mean():.1f} training rows" in findings


def test_for_whom_names_the_small_groups():
    """Many groups of three rows and some of sixty: fixed effects lose in the small ones."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(140), [3] * 120 + [60] * 20)
    X = rng.normal(size=(len(groups), 1))
    y = X[:, 0] + rng.normal(size=140)[groups] * 0.7 + 2 * rng.normal(size=len(groups))
    comparison = compare_pooling(X, y, groups, random_state=0)
    sentences = [line for line in comparison.findings if line.startswith("For whom")]
    (sentence,) = sentences
    smallest = comparison.by_group_size.iloc[0]
    assert sentence.startswith(
        f"For whom: the two differ most in groups of {smallest.name} rows in training "
        f"({smallest['share']:.0%} of the tests): RMSE {smallest['random intercept']:.3f} of "
        f"random intercept against {smallest['fixed effects']:.3f}"
    )


def test_what_rests_on_few_groups_is_a_hint():
    X, y, subject = load_sleepstudy(return_X_y=True)
    few = subject.isin(subject.unique()[:7])
    comparison = compare_pooling(X[few], y[few], subject[few], n_repeats=1, random_state=0)
    found = comparison.difference("pooled", "random intercept")
    assert found.df == 6
    hint = " Take it for a hint: groups are worth 7.0 of equal size, df = 6.0."
    for sentence in comparison.findings:
        assert sentence.endswith(hint) == (" beats " in sentence)
    assert any(" beats " in sentence for sentence in comparison.findings)


def test_equal_lines_predict_the_same():
    """New groups: all lines of balanced data are equal, but for rounding."""
    X, y, subject = load_sleepstudy(return_X_y=True)
    few = subject.isin(subject.unique()[:7])
    comparison = compare_pooling(X[few], y[few], subject[few], n_repeats=1, random_state=0)
    summary = comparison.summary
    assert "In new groups random intercept and pooled predict the same: RMSE 55.144." in (
        comparison.findings
    )
    assert comparison.difference("pooled", "fixed effects", NEW).p_value == 1
    r2 = summary.loc[NEW, "r2"].max()
    assert f"mean of y in the rows tested: r2 is {r2:.3f} at best." in "".join(
        comparison.findings
    )
    assert "In known groups no model" not in str(comparison)


def test_slopes_that_were_left_out_are_named(rows, comparison):
    X, y, groups = rows
    options = {"n_splits": 3, "n_repeats": 1, "random_state": 0}
    sentence = "Slopes that differ between groups were not compared: pass slopes='all', or the "
    sentence += "columns."
    assert compare_pooling(*rows, **options).findings[-1] == sentence
    assert sentence not in comparison.findings
    means = pd.DataFrame(X).groupby(groups).transform("mean")
    assert sentence not in compare_pooling(means, y, groups, **options).findings


def test_no_variance_between_groups():
    rng = np.random.default_rng(3)
    X, groups = rng.normal(size=(400, 1)), np.arange(400) % 4
    y = X[:, 0] + rng.normal(size=400)
    y -= pd.Series(y - X[:, 0]).groupby(groups).transform("mean")
    comparison = compare_pooling(X, y, groups, n_splits=4, n_repeats=1, random_state=0)
    assert SingularFitWarning.__name__ in set(comparison.warned["kind"])
    assert "cannot be told apart" in str(comparison)


def test_text_and_html(comparison):
    text, html = str(comparison), comparison._repr_html_()
    assert text.startswith("Pooling compared on 240 rows in 28 groups (group)")
    assert "4 folds x 2 repeats" in text
    alone = int((comparison.group_sizes == 1).sum())
    assert alone
    assert f"{alone} of 240 rows are alone in their group" in text.replace("\n", " ")
    for title in ("New rows in known groups", "New groups", "RMSE in known groups"):
        assert f"{title}" in text
        assert f"<caption>{title}" in html
    assert "Findings:\n- In known groups" in text
    assert "<li>In known groups" in html
    assert "nan" not in text
    best = comparison.summary.loc[KNOWN, "rmse"].idxmin()
    (line,) = [line for line in text.splitlines() if re.fullmatch(f"{best} +0.0+ *", line)]
    assert line  # the best is no distance from itself, which has no error
    assert repr(comparison) == text


def test_the_picture_shows_the_summary(comparison):
    display = comparison.plot()
    assert len(display.axes_) == 2
    models = list(comparison.summary.loc[KNOWN].index)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == models
    for (regime, model), bar in display.bars_.items():
        row = comparison.summary.loc[(regime, model)]
        (x,), (height,) = bar.lines[0].get_data()
        assert (x, height) == (row["difference"], models.index(model))
        (segment,) = bar.lines[2][0].get_segments()
        assert np.ptp(segment[:, 0]) == pytest.approx(2 * row["std_error"])
    assert len(display.bars_) == 10
    axes = plt.subplots(1, 2)[1]
    assert comparison.plot(axes).axes_[1] is axes[1]
    with pytest.raises(ValueError, match="`ax` must hold 2 axes"):
        comparison.plot(axes[0])
    plt.close("all")


def test_frames_of_text_labels_and_missing_labels(frame):
    table, y = frame
    named = table.assign(site=table["site"].map("site {}".format))
    comparison = compare_pooling(named, y, group_by="site", n_repeats=1, random_state=0)
    assert comparison.group_sizes.index[0].startswith("site")
    with pytest.raises(ValueError, match="must have a label for every row"):
        compare_pooling(table[["a"]], y, table["site"].where(table["site"] > 3))


ERRORS = {
    "no groups": ({"groups": None}, "groups must be given to compare_pooling"),
    "twice": ({"group_by": 0}, "group_by"),
    "one group": ({"groups": np.zeros(240)}, "got 1 group and n_splits=5. One group is no"),
    "few groups": ({"groups": np.arange(240) % 3}, "n_splits=3"),
    "singletons": ({"groups": np.arange(240)}, "each of the 240 groups has one"),
    "slopes": ({"slopes": [7]}, r"slopes=\[7\] must be feature columns"),
    "no slopes": ({"slopes": []}, "must name a column"),
    "name": ({"estimators": {"pooled": Ridge()}}, "but got 'pooled'. Rename it"),
    "reserved": ({"estimators": {"random slopes": Ridge()}}, "'random slopes'. Rename"),
    "estimator": ({"estimators": {"a": StandardScaler()}}, "'a' is StandardScaler"),
    "length": ({"groups": np.zeros(3)}, "3 labels for 240 rows"),
    "folds": ({"n_splits": 1}, "n_splits"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(rows, case):
    X, y, groups = rows
    options, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        compare_pooling(X, y, **{"groups": groups, **options})


def test_errors_of_the_rows_are_raised(rows, frame, comparison):
    X, y, groups = rows
    table, _ = frame
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        compare_pooling(X, y[:-1], groups)
    with pytest.raises(ValueError, match="contains NaN"):
        compare_pooling(np.where(X > 2, np.nan, X), y, groups, estimators={"a": Ridge()})
    with pytest.raises(ValueError, match="group_by='town' must be a column of X"):
        compare_pooling(table, y, group_by="town")
    with pytest.raises(ValueError, match="these columns are not: site"):
        compare_pooling(table.astype({"site": str}).replace("1", "x"), y, groups)
    with pytest.raises(ValueError, match='must be "known groups" or "new groups", but got'):
        comparison.difference("pooled", "fixed effects", "known")
    with pytest.raises(ValueError, match=r"'nobody'\) must be a regime and a model"):
        comparison.difference("pooled", "nobody")
