import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from scipy.stats import norm

from skmixed.inspection import RandomEffectsDisplay
from skmixed.inspection._style import BLUE, FAINT, LIGHT_BLUE, QUIET


def intervals(lines):
    segments = np.array(lines.get_segments())
    return segments[:, 0, 1], segments[:, :, 0]


def tick_labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def test_intervals_of_all_groups(sleep):
    model, *_ = sleep
    display = RandomEffectsDisplay.from_estimator(model, level=0.8)
    assert [ax.get_title(loc="left") for ax in display.axes_] == ["(Intercept)", "Days"]
    assert display.ax_.get_xlabel() == "effect with 80% interval"
    assert display.ax_.get_ylabel() == "Subject"
    order = model.random_effects_["(Intercept)"].sort_values().index
    assert tick_labels(display.axes_[0]) == [str(label) for label in order]
    assert tick_labels(display.axes_[1]) == [""] * 18
    frame = model.random_effects_frame(0.8).set_index("group")
    for lines, points, term in zip(
        display.lines_, display.points_, ["(Intercept)", "Days"], strict=True
    ):
        table = frame[frame["term"] == term].loc[order]
        rows, limits = intervals(lines)
        np.testing.assert_array_equal(rows, np.arange(18))
        np.testing.assert_allclose(limits, table[["lower", "upper"]])
        np.testing.assert_allclose(points.get_offsets()[:, 0], table["estimate"])


def test_intervals_clear_of_zero_are_dark(sleep):
    display = RandomEffectsDisplay.from_estimator(sleep[0], terms="Days")
    _, limits = intervals(display.lines_[0])
    clear = np.prod(limits, axis=1) > 0
    assert 0 < clear.sum() < 18
    expected = [to_rgba(LIGHT_BLUE if is_clear else FAINT) for is_clear in clear]
    np.testing.assert_allclose(display.lines_[0].get_colors(), expected)
    expected = [to_rgba(BLUE if is_clear else QUIET) for is_clear in clear]
    np.testing.assert_allclose(display.points_[0].get_facecolors(), expected)


def test_many_groups_are_sorted_by_each_term_and_not_labelled(crowd):
    display = RandomEffectsDisplay.from_estimator(crowd[0])
    n_groups = crowd[0].n_groups_
    for points in display.points_:
        assert np.all(np.diff(points.get_offsets()[:, 0]) >= 0)
    for ax in display.axes_:
        assert len(ax.get_yticks()) == 0
        assert ax.get_ylim() == (-0.7, n_groups - 0.3)
    assert display.ax_.get_ylabel() == f"group ({n_groups:,}, sorted by effect)"


def test_terms_can_be_chosen(sleep):
    display = RandomEffectsDisplay.from_estimator(sleep[0], terms=["Days"])
    assert len(display.axes_) == 1
    assert set(display.effects["term"]) == {"Days"}
    with pytest.raises(
        ValueError, match=r"terms='days' must be .* \['\(Intercept\)', 'Days'\]"
    ):
        RandomEffectsDisplay.from_estimator(sleep[0], terms="days")


def test_distribution_with_the_estimated_normal(sleep):
    model, *_ = sleep
    display = RandomEffectsDisplay.from_estimator(model, kind="distribution")
    std_dev = np.sqrt(np.diag(model.random_effects_cov_))
    for line, bars, std in zip(display.lines_, display.bars_, std_dev, strict=True):
        np.testing.assert_allclose(line.get_ydata(), norm.pdf(line.get_xdata(), scale=std))
        area = sum(bar.get_width() * bar.get_height() for bar in bars)
        assert area == pytest.approx(1)
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["predicted effects", "estimated normal,\nsd 24.7"]


def test_labels_are_left_out_where_they_have_no_room(sleep):
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(3, 1.5))
    display = RandomEffectsDisplay.from_estimator(sleep[0], terms="Days", ax=ax)
    assert len(display.ax_.get_yticks()) == 0


def test_it_takes_what_it_draws():
    effects = pd.DataFrame(
        {"group": ["a", "b"], "term": "x", "estimate": [1.0, -2], "lower": -3, "upper": [2, 1]}
    )
    display = RandomEffectsDisplay(effects=effects, std_dev=pd.Series({"x": 1.5})).plot()
    assert tick_labels(display.ax_) == ["b", "a"]
    np.testing.assert_allclose(intervals(display.lines_[0])[1], [[-3, 1], [-3, 2]])
