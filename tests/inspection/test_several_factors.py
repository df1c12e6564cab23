"""Pictures of models with several factors: of one of them, or of all."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from skmixed import PooledRegressor, RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.inspection import (
    GroupLinesDisplay,
    RandomEffectsDisplay,
    ResidualsDisplay,
    ShrinkageDisplay,
    VarianceDisplay,
)

FACTORS = ["school", ("school", "class"), "rater"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    place = rng.integers(0, 24, 400)
    X = pd.DataFrame({"hours": rng.normal(size=400), "school": place // 3})
    X["class"], X["rater"] = place % 3, rng.choice(list("ABCDEFGH"), 400)
    y = rng.normal(0.5, 0.5, 8)[place // 3] * X["hours"] + rng.normal(size=24)[place]
    y += rng.normal(size=8)[place // 3]
    y += rng.normal(size=8)[X["rater"].map("ABCDEFGH".index)] + rng.normal(size=400)
    return X, y.rename("grade")


@pytest.fixture(scope="module")
def model(rows):
    return RandomSlopeRegressor({"school": "hours"}, group_by=FACTORS).fit(*rows)


DISPLAYS = {
    "effects": lambda m, X, y, **of: RandomEffectsDisplay.from_estimator(m, **of),
    "shrinkage": lambda m, X, y, **of: ShrinkageDisplay.from_estimator(m, **of),
    "lines": lambda m, X, y, **of: GroupLinesDisplay.from_estimator(
        m, X, y, column="hours", **of
    ),
    "groups": lambda m, X, y, **of: ResidualsDisplay.from_estimator(
        m, X, y, kind="groups", **of
    ),
    "random_effects": lambda m, X, y, **of: ResidualsDisplay.from_estimator(
        m, X, y, kind="random_effects", **of
    ),
    "panels": lambda m, X, y, **of: ResidualsDisplay.from_estimator(
        m, X, y, kind="panels", **of
    ),
}


@pytest.mark.parametrize("name", DISPLAYS)
def test_a_factor_must_be_named(name, model, rows):
    names = r"\['school', 'school:class', 'rater'\]"
    with pytest.raises(ValueError, match=rf"name one of them: factor='school'.*{names}"):
        DISPLAYS[name](model, *rows)
    with pytest.raises(ValueError, match=rf"factor='pupil' must be one of {names}"):
        DISPLAYS[name](model, *rows, factor="pupil")
    display = DISPLAYS[name](model, *rows, factor=("school", "class"))
    display.figure_.canvas.draw()
    plt.close("all")


@pytest.mark.parametrize("name", DISPLAYS)
def test_the_only_factor_need_not_be_named(name, rows):
    X, y = rows
    X = X[["hours", "school"]]
    model = RandomInterceptRegressor(group_by="school").fit(X, y)
    DISPLAYS[name](model, X, y)
    DISPLAYS[name](model, X, y, factor="school")
    with pytest.raises(ValueError, match=r"factor='rater' must be one of \['school'\]"):
        DISPLAYS[name](model, X, y, factor="rater")
    plt.close("all")


def test_residuals_that_know_no_groups_need_no_factor(model, rows):
    for kind in ("fitted", "qq"):
        display = ResidualsDisplay.from_estimator(model, *rows, kind=kind)
        np.testing.assert_allclose(display.residuals, rows[1] - model.predict(rows[0]))
    with pytest.raises(ValueError, match="of several factors `factor`"):
        display.plot(kind="groups")
    plt.close("all")


def test_random_effects_of_a_factor_over_their_deviation(model, rows):
    display = ResidualsDisplay.from_estimator(model, *rows, factor="rater", kind="panels")
    assert len(display.axes_) == 4
    assert display.group_name == "rater"
    cov = model.random_effects_cov_["rater"].iloc[0, 0]
    expected = model.random_effects_["rater"] / np.sqrt(cov * model.pooling_weights_["rater"])
    np.testing.assert_allclose(display.effects, expected)
    plt.close("all")


def test_own_effects_are_least_squares_with_the_other_factors_held(model, rows):
    X, y = rows
    display = ShrinkageDisplay.from_estimator(model, factor="school")
    labels = {"school:class": X["school"].astype(str) + ":" + X["class"].astype(str)}
    left = y - model.predict_population(X)
    for name in ("school:class", "rater"):
        of_row = labels.get(name, X.get(name))
        left -= model.random_effects_[name]["(Intercept)"].reindex(of_row).to_numpy()
    for school, own in display.own.iterrows():
        here = X["school"] == school
        Z = np.column_stack([np.ones(here.sum()), X.loc[here, "hours"]])
        expected = np.linalg.lstsq(Z, left[here], rcond=None)[0]
        np.testing.assert_allclose(own, expected, atol=1e-8)
    # a random intercept is drawn to 0 by psi n / (1 + psi n)
    display = ShrinkageDisplay.from_estimator(model, factor="rater")
    psi = model.random_effects_cov_["rater"].iloc[0, 0] / model.residual_variance_
    weight = (psi * display.sizes / (1 + psi * display.sizes)).to_numpy()[:, None]
    np.testing.assert_allclose(display.partial, weight * display.own, atol=1e-8)
    plt.close("all")


@pytest.mark.parametrize("name", ["effects", "shrinkage"])
def test_groups_that_came_after_the_fit_are_drawn(name, rows):
    X, y = rows
    model = RandomInterceptRegressor(group_by=FACTORS).fit(X, y)
    known = dict(model.n_groups_)
    model.update_groups(X[:9].assign(school=99, rater="Z"), y[:9])
    for factor, n_groups in model.n_groups_.items():
        assert n_groups > known[factor]
        display = DISPLAYS[name](model, X, y, factor=factor)
        drawn = display.effects["group"] if name == "effects" else display.own.index
        assert len(drawn) == n_groups
    if name == "shrinkage":  # of the rater, drawn last: the relation of all known rows
        psi = model.random_effects_cov_["rater"].iloc[0, 0] / model.residual_variance_
        weight = (psi * display.sizes / (1 + psi * display.sizes)).to_numpy()[:, None]
        np.testing.assert_allclose(display.partial, weight * display.own, atol=1e-8)
    plt.close("all")


def test_lines_of_a_factor_and_rows_without_the_effects_of_others(model, rows):
    X, y = rows
    display = GroupLinesDisplay.from_estimator(
        model, X, y, column="hours", factor="school", highlight=[0]
    )
    coef = model.group_coef_["school"]
    np.testing.assert_allclose(display.lines[["intercept", "slope"]], coef)
    own = coef.loc[X["school"]].to_numpy()
    expected = own[:, 0] + own[:, 1] * X["hours"] + y - model.predict(X)
    np.testing.assert_allclose(display.points["y"], expected)
    assert display.ax_.get_ylabel() == "grade, other factors at their mean"
    plt.close("all")


def test_rows_of_a_pooled_model_by_factor(rows):
    X, y = rows
    model = PooledRegressor().fit(X[["hours"]], y)
    groups = X[["school", "rater"]]
    given = {"groups": groups, "factor": "rater"}
    display = ResidualsDisplay.from_estimator(model, X[["hours"]], y, kind="groups", **given)
    assert display.group_name == "rater"
    display = GroupLinesDisplay.from_estimator(
        model, X[["hours"]], y, column="hours", highlight=["A"], **given
    )
    assert list(display.lines.index) == list("ABCDEFGH")
    display = ResidualsDisplay.from_predictions(y, y * 0, kind="groups", **given)
    assert display.group_name == "rater"
    with pytest.raises(ValueError, match=r"name one of them: factor='school'"):
        ResidualsDisplay.from_predictions(y, y * 0, groups, kind="panels")
    plt.close("all")


def test_variances_of_all_factors(model, rows):
    display = VarianceDisplay.from_estimator(model)
    found = display.components
    assert list(found) == ["features", "school", "school:class", "rater", "residual"]
    shares = found.loc["model"] / found.loc["model"].sum()
    assert shares["features"] == pytest.approx(model.r2_marginal_)
    assert 1 - shares["residual"] == pytest.approx(model.r2_conditional_)
    random = found.loc["model"].iloc[1:]
    icc = (random / random.sum()).iloc[:-1]
    np.testing.assert_allclose(icc, list(model.icc_.values()))
    X, y = rows
    null = RandomInterceptRegressor(group_by=FACTORS).fit(X[["school", "class", "rater"]], y)
    variances = [cov.iloc[0, 0] for cov in null.random_effects_cov_.values()]
    expected = [0, *variances, null.residual_variance_]
    np.testing.assert_allclose(found.loc["without features"], expected, rtol=1e-5)
    colors = [to_hex(bars[0].get_facecolor()) for bars in display.bars_]
    assert len(set(colors)) == 5
    plt.close("all")


def test_long_names_and_dates_leave_room():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=300), "shop": rng.integers(0, 8, 300)})
    y = rng.normal(size=8)[X["shop"]] + rng.normal(size=300)
    X["date"] = pd.Timestamp("2024-05-01") + pd.to_timedelta(rng.integers(0, 5, 300), unit="D")
    y += X["date"].dt.day % 2
    X["shop"] = np.char.add(
        "a shop that has a name of some length, no. ", X["shop"].to_numpy(str)
    )
    X.loc[X["shop"].str.endswith("7"), "shop"] += " and of very much more than that"
    model = RandomInterceptRegressor(group_by=["shop", "date"]).fit(X, y.rename("sales " * 9))
    widths = {}
    for name in ("effects", "groups"):
        for factor in ("shop", "date"):
            options = {} if name == "effects" else {"X": X, "y": y, "kind": "groups"}
            make = RandomEffectsDisplay if name == "effects" else ResidualsDisplay
            display = make.from_estimator(model, factor=factor, **options)
            display.figure_.canvas.draw()
            widths[factor] = display.ax_.get_window_extent().width / display.figure_.dpi
            labels = [tick.get_text() for tick in display.ax_.get_yticklabels()]
            if factor == "date":
                assert sorted(labels) == [f"2024-05-0{day}" for day in range(1, 6)]
            else:
                (longest,) = {label for label in labels if "…" in label}
                assert longest.startswith("a shop that")
                assert longest.endswith("than that")
                assert sorted(map(len, labels))[-2:] == [44, 60]
        assert min(widths.values()) > 3
    display = GroupLinesDisplay.from_estimator(model, X, y, column="x", factor="date")
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert all(label.startswith("date 2024-05-0") and len(label) == 15 for label in labels[1:])
    display = GroupLinesDisplay.from_estimator(
        model, X, y.rename("sales of the shop in thousands"), column="x", factor="shop"
    )
    assert display.ax_.get_ylabel().count("\n") == 1
    plt.close("all")
