"""`compare_pooling` and its splits with several factors, one of them new or more."""

import re

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    compare_pooling,
)
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection._paired_difference import paired_difference
from skmixed.model_selection._pooling_splits import find_regimes, split_cells

KNOWN, NEW_A, NEW_B = "known groups", "new groups of a", "new groups of b"
NEW_BOTH = "new groups of a and b"
REGIMES = [KNOWN, NEW_A, NEW_B, NEW_BOTH]
OPTIONS = {"n_splits": 3, "n_repeats": 1, "random_state": 0}
MODELS = ["pooled", "a alone", "b alone", "fixed effects", "random intercept"]


@pytest.fixture(scope="module")
def rows():
    X, y, groups = make_mixed_regression(
        180, 2, {"a": 12, "b": 9}, intercept_variance={"a": 2.0, "b": 1.0}, random_state=0
    )
    return pd.DataFrame(X, columns=["x", "z"]), y, groups


@pytest.fixture(scope="module")
def comparison(rows):
    X, y, groups = rows
    return compare_pooling(X, y, groups, **OPTIONS)


def codes_of(name, rng):
    """Groups of several factors, and for each regime whether each is new."""
    a, b, c = (rng.integers(n, size=400) for n in (10, 8, 7))
    inner = 3 * a + rng.integers(3, size=400)
    inner = np.unique(inner, return_inverse=True)[1]
    pairs = np.unique(8 * a + b, return_inverse=True)[1]
    return {
        "crossed": (np.column_stack([a, b]), ["..", "#.", ".#", "##"]),
        "nested": (np.column_stack([a, inner]), ["..", ".#", "##"]),
        "nested and crossed": (
            np.column_stack([a, b, inner]),
            ["...", ".#.", "..#", "#.#", "###"],
        ),
        "with their pairs": (
            np.column_stack([a, b, pairs]),
            ["...", "..#", "#.#", ".##", "###"],
        ),
        "three": (np.column_stack([a, b, c]), ["...", "#..", ".#.", "..#", "###"]),
    }[name]


@pytest.mark.parametrize(
    "name", ["crossed", "nested", "nested and crossed", "with their pairs", "three"]
)
def test_rows_are_tested_in_the_regime_that_they_are_of(name):
    codes, expected = codes_of(name, np.random.default_rng(0))
    regimes = find_regimes(codes)
    assert {"".join(".#"[new] for new in key) for key in regimes} == set(expected)
    assert next(iter(regimes)) == (False,) * codes.shape[1]
    names = list("abc")[: codes.shape[1]]
    n_tested = {}
    for split in split_cells(codes, names, 4, 2, np.random.RandomState(0)):
        assert not np.intersect1d(split.train, split.test).size
        is_new = [
            ~np.isin(of_factor[split.test], of_factor[split.train]) for of_factor in codes.T
        ]
        new = [name for name, of_factor in zip(names, is_new, strict=True) if of_factor.all()]
        assert all(of_factor.all() or not of_factor.any() for of_factor in is_new)
        assert set(re.findall(r"\b[abc]\b", split.regime)) == set(new)
        assert (split.regime == KNOWN) == (not new)
        tested = n_tested.setdefault((split.regime, split.repeat), [])
        tested.extend(split.test)
    assert len(n_tested) == 2 * len(expected)
    for tested in n_tested.values():
        assert len(set(tested)) == len(tested)  # once in a repeat
    if name == "crossed":
        assert all(len(tested) == 400 for tested in n_tested.values())


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.NewGroupsWarning")
def test_scores_are_those_of_a_loop_by_hand(rows, comparison):
    X, y, groups = rows
    codes = groups.to_numpy()
    scores = comparison.scores.set_index(["regime", "model", "repeat", "fold"])
    by_hand = {
        "pooled": (PooledRegressor(), ["a"]),
        "a alone": (RandomInterceptRegressor(), ["a"]),
        "b alone": (RandomInterceptRegressor(), ["b"]),
        "fixed effects": (FixedEffectsRegressor(), ["a", "b"]),
        "random intercept": (RandomInterceptRegressor(), ["a", "b"]),
    }
    assert list(comparison.summary.loc[KNOWN].index) == MODELS == [*by_hand]
    splits = list(split_cells(codes, ["a", "b"], 3, 1, np.random.RandomState(0)))
    assert len(scores) == 5 * len(splits) == 5 * (3 + 3 + 3 + 9)
    values, of_tests = [], []
    for split in splits:
        train, test = split.train, split.test
        squares = {}
        for name, (model, columns) in by_hand.items():
            of_rows = groups[columns].squeeze(axis=1)
            model.fit(X.iloc[train], y[train], groups=of_rows.iloc[train])
            mean, std = model.predict(X.iloc[test], of_rows.iloc[test], return_std=True)
            found = scores.loc[split.regime, name, split.repeat, split.fold]
            assert found["rmse"] == pytest.approx(root_mean_squared_error(y[test], mean))
            width = np.nan if np.isnan(std).any() else 2 * 1.959964 * std.mean()
            assert found["width"] == pytest.approx(width, rel=1e-6, nan_ok=True)
            assert found["n_test"] == len(test)
            squares[name] = (y[test] - mean) ** 2 / (2 * found["rmse"]) + found["rmse"] / 2
        if split.regime == NEW_B:
            values.append(squares["pooled"] - squares["random intercept"])
            of_tests.append(codes[test])
        shares = model.icc_
        assert found["icc (a)"] == pytest.approx(shares["a"])
        assert found["icc"] == pytest.approx(sum(shares.values()))
    expected = paired_difference(values, of_tests)
    found = comparison.difference("pooled", "random intercept", NEW_B)
    assert found.std_error == pytest.approx(expected.std_error)
    assert found.p_value == pytest.approx(expected.p_value)
    assert found.df == pytest.approx(expected.df)
    assert found.difference == pytest.approx(expected.difference)


def test_what_is_known_helps_where_it_is_known(comparison):
    rmse = comparison.summary["rmse"]
    assert list(rmse.index.unique("regime")) == REGIMES
    assert rmse[KNOWN].idxmin() == "random intercept"
    for regime, other, known in ((NEW_A, "a alone", "b alone"), (NEW_B, "b alone", "a alone")):
        assert rmse[regime, known] < rmse[regime, "pooled"]
        assert rmse[regime, known] < rmse[regime, other]
    both = comparison.summary.xs("random intercept", level="model")
    assert both["width"].is_monotonic_increasing or both.loc[KNOWN, "width"] < min(
        both["width"].drop(KNOWN)
    )
    assert both["width"].idxmax() == NEW_BOTH
    assert both["coverage"].between(0.88, 1).all()


def test_by_group_size_is_by_factor(comparison):
    assert list(comparison.by_group_size) == ["a", "b"]
    for name, table in comparison.by_group_size.items():
        assert table["share"].sum() == pytest.approx(1)
        assert list(table.columns) == ["share", *MODELS]
        assert comparison.group_sizes[name].sum() == 180
    found = comparison.group_size_scores["b"].groupby("model")["n_test"].sum()
    assert (found == 180).all()


def test_columns_of_X_and_a_table_beside_it_give_the_same(rows, comparison):
    X, y, groups = rows
    named = groups.assign(b=groups["b"].map("b{}".format))
    inside = compare_pooling(X.join(named), y, group_by=["a", "b"], **OPTIONS)
    columns = ["regime", "model", "repeat", "fold", "rmse", "coverage", "icc (b)"]
    pd.testing.assert_frame_equal(inside.scores[columns], comparison.scores[columns])


def test_an_array_of_groups_has_names_of_its_own(rows):
    X, y, groups = rows
    comparison = compare_pooling(X, y, groups.to_numpy(), n_splits=2, n_repeats=1)
    assert comparison.scores["regime"].iloc[-1] == "new groups of group0 and group1"
    assert "group1 alone" in comparison.summary.loc[KNOWN].index


@pytest.mark.slow
def test_slopes_by_factor_and_other_models(rows):
    X, y, groups = rows
    one_hot = OneHotEncoder(handle_unknown="ignore")
    dummies = make_column_transformer((one_hot, ["a", "b"]), remainder="passthrough")
    comparison = compare_pooling(
        X.join(groups),
        y,
        group_by=["a", "b"],
        slopes={"a": "x"},
        estimators={"dummies": make_pipeline(dummies, Ridge())},
        **OPTIONS,
    )
    rmse = comparison.summary["rmse"]
    assert list(rmse[KNOWN].index) == [*MODELS, "random slopes", "dummies"]
    assert rmse.notna().all()
    assert rmse[KNOWN, "dummies"] == pytest.approx(rmse[KNOWN, "random intercept"], rel=0.05)
    assert "Slopes that differ" not in str(comparison)
    best = "random slopes" if rmse[KNOWN].idxmin() == "random slopes" else "random intercept"
    assert f"In known groups {best}" in comparison.findings[0]


def test_a_factor_within_another(rows):
    X, y, groups = rows
    frame = X.join(groups).assign(c=groups["a"] // 3)
    options = {**OPTIONS, "n_splits": 2}
    comparison = compare_pooling(frame, y, group_by=["c", ("c", "a"), "b"], **options)
    assert list(comparison.scores["regime"].unique()) == [
        KNOWN,
        "new groups of c:a",
        NEW_B,
        "new groups of c and c:a",
        "new groups of c, c:a and b",
    ]


def test_text_and_picture(comparison):
    text = " ".join(str(comparison).split())
    assert text.startswith("Pooling compared on 180 rows in 12 groups (a) and 9 groups (b)")
    assert "Means over 3 or 9 folds x 1 repeat." in text
    assert "over groups of each factor and fits" in text
    assert "`a alone` is the random intercept of a without the others." in text
    for title in ("New rows in known groups:", "New groups of a:", "New groups of a and b:"):
        assert title in text
    assert "by rows of the group in training (b):" in text
    known = comparison.scores.query("regime == @KNOWN and model == 'random intercept'")
    shares = known[["icc (a)", "icc (b)"]].mean()
    assert f"lies to {shares.iloc[0]:.1%} between groups of a, " in text
    assert f"and to {1 - shares.sum():.1%} within all of these" in text
    found = comparison.difference("pooled", "random intercept", KNOWN)
    assert f"In known groups random intercept beats pooled by {found.difference:.2f}" in text
    assert "In new groups of a random intercept and b alone" in text
    assert "nan" not in text
    display = comparison.plot()
    titles = [panel.get_title(loc="left") for panel in display.axes_]
    assert titles == ["New rows in known groups", *(name.capitalize() for name in REGIMES[1:])]
    assert len(display.bars_) == 20
    plt.close("all")


def test_rows_that_are_in_no_cell_are_counted():
    """A row whose group of b has no other row is never known in b."""
    X, y, groups = make_mixed_regression(120, 1, (8, 6), random_state=0)
    groups[:6, 1] = np.arange(10, 16)
    comparison = compare_pooling(X, y, groups, **{**OPTIONS, "n_splits": 2})
    share = comparison.scores.query("model == 'pooled'").groupby("regime")["n_test"].sum()
    assert share[KNOWN] == 114
    assert "95% of the rows are tested in known groups" in str(comparison)


def test_folds_that_our_models_refuse_are_told():
    """With one group of a in training, all groups of b have one row: effects are residuals."""
    X, y, _ = make_mixed_regression(60, 1, (2, 30), random_state=1)
    groups = pd.DataFrame({"a": np.arange(60) % 2, "b": np.arange(60) // 2})
    options = {"n_splits": 2, "n_repeats": 1, "random_state": 0}
    comparison = compare_pooling(X, y, groups, **options)
    assert set(comparison.cannot["model"]) == {"fixed effects", "random intercept"}
    assert set(comparison.cannot["regime"]) == {KNOWN, NEW_A, NEW_BOTH}
    failed = comparison.summary["rmse"].isna()
    assert failed[NEW_A, "random intercept"]
    assert not failed[NEW_A, "pooled"]
    assert "In new groups of a" not in " ".join(comparison.findings)
    text = " ".join(str(comparison).split())
    assert "random intercept in new groups of a and new groups of a and b, 6 of 6" in text


def test_errors(rows, comparison):
    X, y, groups = rows
    few = groups.assign(b=groups["b"] % 2)
    with pytest.raises(ValueError, match=r"Factor 'b': .*got 2 groups and n_splits=5"):
        compare_pooling(X, y, few)
    with pytest.raises(ValueError, match=r"but got 'a alone'\. Rename it"):
        compare_pooling(X, y, groups, estimators={"a alone": Ridge()})
    with pytest.raises(ValueError, match=r"Factor 'b': .* label for every row"):
        compare_pooling(X, y, groups.assign(b=groups["b"].where(groups["b"] > 0)))
    with pytest.raises(ValueError, match="must name a column"):
        compare_pooling(X, y, groups, slopes={"a": []})
    with pytest.raises(ValueError, match="must have the names of factors as keys"):
        compare_pooling(X, y, groups, slopes={"c": "x"})
    with pytest.raises(ValueError, match='must be "known groups" or "new groups of a" or'):
        comparison.difference("pooled", "a alone", "new groups")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((8, 3), "Factor 'b': .* got 3 groups and n_splits=9. Take fewer folds: n_splits=3"),
        ((3, 8), "Factor 'a': .* got 3 groups and n_splits=9. Take fewer folds: n_splits=3"),
        ((8, 1), "Factor 'b': .* got 1 group and .*. Leave the factor out of group_by or"),
    ],
)
def test_folds_that_no_factor_has_groups_for(sizes, message):
    rows = np.arange(240)
    X = pd.DataFrame({"x": rows % 7, "a": rows % sizes[0], "b": rows // 8 % sizes[1]})
    with pytest.raises(ValueError, match=message):
        compare_pooling(X, np.sin(rows), group_by=["a", "b"], n_splits=9)
