import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from scipy.sparse import csr_array

from skmixed import FixedEffectsRegressor, PooledRegressor, RandomSlopeRegressor
from skmixed.inspection import GroupLinesDisplay


def test_lines_are_those_of_the_model(sleep):
    model, X, y, groups = sleep
    display = GroupLinesDisplay.from_estimator(model, X, y, groups, column="Days")
    segments = np.array(display.lines_.get_segments())
    np.testing.assert_allclose(segments[..., 0], [[0, 9]] * 18)
    ends = X.iloc[[0, 9]]
    for segment, label in zip(segments, model.groups_, strict=True):
        np.testing.assert_allclose(segment[:, 1], model.predict(ends, [label] * 2))
    (population,) = display.population_lines_
    np.testing.assert_allclose(population.get_ydata(), model.predict_population(ends))
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Days", "Reaction")


def test_highlighted_groups_have_their_rows(sleep):
    model, X, y, groups = sleep
    display = GroupLinesDisplay.from_estimator(
        model, X, y, groups, column="Days", highlight=[309, 370]
    )
    assert list(display.highlights_) == [309, 370]
    for points, label in zip(display.points_[1:], [309, 370], strict=True):
        np.testing.assert_allclose(points.get_offsets()[:, 1], y[groups == label])
    assert len(display.points_[0].get_offsets()) == 160
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["population", "Subject 309", "Subject 370"]


def test_other_features_are_held_at_their_mean(schools):
    model, X, y, groups = schools
    display = GroupLinesDisplay.from_estimator(
        model, X, y, groups, column="ses", highlight=[1224], max_points=None
    )
    held = X.assign(**X.drop(columns="ses").mean())
    own = groups == 1224
    residual = y - model.predict(X, groups)
    expected = (model.predict(held, groups) + residual)[own]
    np.testing.assert_allclose(display.points_[1].get_offsets()[:, 1], expected)
    line = display.highlights_[1224]
    np.testing.assert_allclose(line.get_xdata(), [X["ses"][own].min(), X["ses"][own].max()])
    at_ends = held.iloc[:2].assign(ses=line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), model.predict(at_ends, [1224] * 2))
    assert display.ax_.get_ylabel() == "math, other features at their mean"
    assert display.ax_.get_title(loc="right") == ""


def test_many_rows_are_thinned_and_that_is_said(schools):
    options = {"column": "ses", "highlight": 0, "max_points": 500}
    display = GroupLinesDisplay.from_estimator(*schools, **options)
    again = GroupLinesDisplay.from_estimator(*schools, **options)
    points = display.points_[0].get_offsets()
    assert len(points) == 500
    np.testing.assert_array_equal(points, again.points_[0].get_offsets())
    assert display.ax_.get_title(loc="right") == "grey: 500 of 7,185 rows"


def test_groups_are_spread_from_the_lowest_to_the_highest_slope(sleep):
    slopes = sleep[0].group_coef_["Days"].sort_values()
    display = GroupLinesDisplay.from_estimator(*sleep, column="Days", highlight=3)
    assert list(display.highlights_) == [slopes.index[i] for i in (0, 8, 17)]


def test_groups_are_spread_by_level_if_slopes_do_not_vary(schools):
    model = schools[0]
    display = GroupLinesDisplay.from_estimator(*schools, column="ses", highlight=2)
    sizes = model.group_sizes_
    large = model.random_effects_["(Intercept)"][sizes >= sizes.median()].sort_values()
    assert list(display.highlights_) == [large.index[0], large.index[-1]]


def test_small_panels(sleep):
    model, X, y, groups = sleep
    display = GroupLinesDisplay.from_estimator(
        *sleep, column="Days", kind="panels", highlight=[308, 309, 310]
    )
    titles = [ax.get_title(loc="left") for ax in display.axes_]
    assert titles == ["308", "309", "310"]
    for line, points, label in zip(
        display.lines_, display.points_, [308, 309, 310], strict=True
    ):
        ends = X.iloc[[0, 9]]
        np.testing.assert_allclose(line.get_ydata(), model.predict(ends, [label] * 2))
        np.testing.assert_allclose(points.get_offsets()[:, 1], y[groups == label])
    assert display.figure_.get_supxlabel() == "Days"
    assert display.figure_.get_supylabel() == "Reaction"
    assert len({ax.get_ylim() for ax in display.axes_}) == 1


def test_rows_of_new_groups_stand_around_the_population_line(sleep):
    model, X, y, groups = sleep
    display = GroupLinesDisplay.from_estimator(
        model, X[:20], y[:20], groups[:20].replace(309, 999), column="Days", highlight=[308]
    )
    np.testing.assert_allclose(display.points_[0].get_offsets()[:, 1], y[10:20])
    assert len(display.lines_.get_segments()) == 1
    with pytest.raises(ValueError, match=r"highlight=\[309, 999\] must be labels of groups"):
        display.plot(highlight=[308, 309, 999])


def test_sparse_features(crowd):
    model, X, y, groups = crowd
    sparse = RandomSlopeRegressor([0]).fit(csr_array(X), y, groups)
    display = GroupLinesDisplay.from_estimator(sparse, csr_array(X), y, groups, column="x0")
    expected = GroupLinesDisplay.from_estimator(model, X, y, groups, column="x0")
    np.testing.assert_allclose(display.lines, expected.lines, atol=1e-6)
    assert display.ax_.get_ylabel() == "y, other features at their mean"


def test_wrong_arguments_are_refused(sleep):
    with pytest.raises(ValueError, match=r"column='days' must be a feature .* \['Days'\]"):
        GroupLinesDisplay.from_estimator(*sleep, column="days")
    with pytest.raises(ValueError, match="`highlight` must be 0 to 6 groups, but got 7"):
        GroupLinesDisplay.from_estimator(*sleep, column="Days", highlight=7)
    with pytest.raises(ValueError, match="`highlight` must be 1 to 30 groups, but got 0"):
        GroupLinesDisplay.from_estimator(*sleep, column="Days", highlight=0, kind="panels")
    with pytest.raises(ValueError, match="`groups` must be given to `predict`"):
        GroupLinesDisplay.from_estimator(*sleep[:3], column="Days")


def test_long_labels_are_broken_into_lines(sleep):
    model, X, y, groups = sleep
    named = groups.map("participant number {}".format)
    model = RandomSlopeRegressor("Days").fit(X, y, named)
    rows = model, X, y, named
    display = GroupLinesDisplay.from_estimator(*rows, column="Days", kind="panels")
    titles = [ax.get_title(loc="left") for ax in display.axes_]
    assert titles[0] == "participant number\n335"


# ------------------------------------------------------- models whose groups differ otherwise


@pytest.mark.parametrize("slopes", [None, "Days"])
def test_lines_of_fixed_effects_are_those_of_the_model(sleep, slopes):
    _, X, y, groups = sleep
    model = FixedEffectsRegressor(slopes).fit(X, y, groups)
    display = GroupLinesDisplay.from_estimator(model, X, y, groups, column="Days")
    ends = X.iloc[[0, 9]]
    segments = np.array(display.lines_.get_segments())
    for segment, label in zip(segments, model.groups_, strict=True):
        np.testing.assert_allclose(segment[:, 1], model.predict(ends, [label] * 2))
        if slopes:  # as of a regression of each group alone
            own = np.polyfit(X["Days"][groups == label], y[groups == label], 1)
            np.testing.assert_allclose(segment[:, 1], np.polyval(own, [0, 9]))
    (population,) = display.population_lines_
    np.testing.assert_allclose(population.get_ydata(), model.predict_population(ends))
    assert population.get_label() == "average group"


def test_pooling_has_one_line_and_shows_the_rows_of_groups(sleep):
    _, X, y, groups = sleep
    model = PooledRegressor().fit(X, y)
    options = {"column": "Days", "highlight": [309, 370]}
    display = GroupLinesDisplay.from_estimator(model, X, y, groups, **options)
    assert len(display.lines_.get_segments()) == len(display.highlights_) == 0
    (population,) = display.population_lines_
    np.testing.assert_allclose(population.get_ydata(), model.predict(X.iloc[[0, 9]]))
    for points, label in zip(display.points_[1:], [309, 370], strict=True):
        np.testing.assert_allclose(points.get_offsets()[:, 1], y[groups == label])
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["all groups", "Subject 309", "Subject 370"]
    assert list(display.ax_.lines) == [population]


def test_pooling_spreads_groups_by_the_mean_of_their_rows(sleep):
    _, X, y, groups = sleep
    model = PooledRegressor().fit(X, y, groups)
    display = GroupLinesDisplay.from_estimator(
        model, X, y, groups, column="Days", kind="panels", highlight=3
    )
    order = y.groupby(groups).mean().sort_values().index
    titles = [ax.get_title(loc="left") for ax in display.axes_]
    assert titles == [str(order[i]) for i in (0, 8, 17)]
    assert [len(ax.lines) for ax in display.axes_] == [1, 1, 1]
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == ["all groups"]


def test_pooling_needs_no_groups(sleep):
    _, X, y, groups = sleep
    model = PooledRegressor().fit(X, y)
    display = GroupLinesDisplay.from_estimator(model, X, y, column="Days")
    np.testing.assert_allclose(display.points_[0].get_offsets()[:, 1], y)
    with pytest.raises(ValueError, match=r"but got 0\. Pass `groups`: there are none"):
        GroupLinesDisplay.from_estimator(model, X, y, column="Days", kind="panels")
    some = groups.astype(object).where(groups != 308, None)  # a label may be missing
    display = GroupLinesDisplay.from_estimator(model, X, y, some, column="Days", highlight=0)
    assert list(display.lines.index) == sorted(set(groups) - {308})


def test_models_stand_beside_one_another(sleep):
    random, X, y, groups = sleep
    models = [PooledRegressor(), FixedEffectsRegressor("Days"), random]
    _, axes = plt.subplots(1, 3, sharey=True)
    for model, ax in zip(models, axes, strict=True):
        fitted = model.fit(X, y, groups)
        display = GroupLinesDisplay.from_estimator(
            fitted, X, y, groups, column="Days", highlight=[309], ax=ax
        )
        np.testing.assert_allclose(display.points_[1].get_offsets()[:, 1], y[groups == 309])
    assert all(ax.has_data() for ax in axes)


def test_a_column_without_a_coefficient_has_no_lines(sleep):
    _, X, y, groups = sleep
    table = X.assign(size=groups % 7)
    with pytest.warns(LinAlgWarning, match="No coefficient can be estimated for size"):
        model = FixedEffectsRegressor().fit(table, y, groups)
    with pytest.raises(ValueError, match="column='size' must have a coefficient, but has none"):
        GroupLinesDisplay.from_estimator(model, table, y, groups, column="size")
    display = GroupLinesDisplay.from_estimator(model, table, y, groups, column="Days")
    expected = pd.DataFrame({"Days": 0.0, "size": (groups % 7).mean()}, index=model.groups_)
    np.testing.assert_allclose(
        display.lines["intercept"], model.predict(expected, model.groups_)
    )


def test_a_slope_that_is_no_fixed_effect_has_lines(sleep):
    _, X, y, groups = sleep
    model = RandomSlopeRegressor("Days", fixed_slopes=False).fit(X, y, groups)
    display = GroupLinesDisplay.from_estimator(model, X, y, groups, column="Days")
    assert display.population["slope"] == 0
    assert display.lines["slope"].abs().min() > 0
