import copy

import numpy as np
import pandas as pd
import pytest

from skmixed.inspection import ShrinkageDisplay


def test_arrows_go_from_own_to_pooled_effects(sleep):
    model, *_ = sleep
    display = ShrinkageDisplay.from_estimator(model)
    for arrows, term in zip(display.arrows_, model.random_effects_, strict=True):
        np.testing.assert_allclose(arrows.get_offsets()[:, 1], display.own[term])
        np.testing.assert_allclose(
            arrows.get_offsets()[:, 1] + arrows.V, model.random_effects_[term]
        )
        assert not arrows.U.any()
    assert [ax.get_title(loc="left") for ax in display.axes_] == ["(Intercept)", "Days"]
    assert display.ax_.get_xlabel() == "Subject (10 rows each, sorted)"
    assert [line.get_ydata() for line in display.lines_] == [[0, 0], [0, 0]]


def test_pooling_weights_shorten_own_effects(schools):
    model, *_ = schools
    display = ShrinkageDisplay.from_estimator(model)
    np.testing.assert_allclose(
        display.own * model.pooling_weights_, model.random_effects_, rtol=1e-8
    )
    assert display.ax_.get_xlabel() == "rows per school (log scale)"
    assert display.ax_.get_xscale() == "log"
    np.testing.assert_allclose(
        display.points_[0].get_offsets()[:, 1], display.partial.iloc[:, 0]
    )


def test_groups_of_one_size_stand_side_by_side(schools):
    display = ShrinkageDisplay.from_estimator(schools[0])
    x, own = display.arrows_[0].get_offsets().T
    sizes = display.sizes.to_numpy()
    assert len(np.unique(x)) == len(x)
    gap = np.diff(np.unique(sizes)).min() / 2
    assert np.all(np.abs(np.log(x / sizes)) < np.log(1 + gap / sizes.min()) * 4)
    order = np.argsort(x)
    np.testing.assert_array_equal(sizes[order], np.sort(sizes))
    for size in np.unique(sizes):
        together = order[sizes[order] == size]
        assert np.all(np.diff(own[together]) >= 0)


def test_it_says_what_is_off_the_axis_and_what_is_undetermined(crowd):
    display = ShrinkageDisplay.from_estimator(crowd[0], terms="x0")
    own = display.own["x0"]
    low, high = display.ax_.get_ylim()
    beyond, undetermined = np.sum((own < low) | (own > high)), own.isna().sum()
    assert beyond > 10
    assert undetermined == (crowd[0].group_sizes_ == 1).sum() > 100
    label = display.ax_.get_xlabel().split("\n")[1]
    assert label == f"own estimates: {beyond} off the axis, {undetermined} undetermined"
    assert len(display.arrows_[0].V) == own.notna().sum()
    assert len(display.points_[0].get_offsets()) == len(own)
    assert display.partial["x0"].between(low, high).all()


def test_few_sizes_have_a_tick_each():
    labels = pd.Index(list("abc"), name="region")
    effects = pd.DataFrame({"x": [1.0, -2.0, 0.5]}, labels)
    sizes = pd.Series([3, 8, 1_200], labels)
    display = ShrinkageDisplay(own=effects, partial=effects / 2, sizes=sizes).plot()
    display.figure_.canvas.draw()
    ticks = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert ticks == ["3", "8", "1,200"]
    assert display.ax_.get_xlabel() == "rows per region (log scale)"


def test_unknown_terms_are_refused(sleep):
    with pytest.raises(ValueError, match=r"terms=\['x'\] must be random effects of the fitted"):
        ShrinkageDisplay.from_estimator(sleep[0], terms=["x"])


def test_sizes_close_together_do_not_have_a_tick_each():
    labels = pd.Index(list("abc"), name="region")
    effects = pd.DataFrame({"x": [1.0, -2.0, 0.5]}, labels)
    sizes = pd.Series([100, 101, 900], labels)
    display = ShrinkageDisplay(own=effects, partial=effects / 2, sizes=sizes).plot()
    display.figure_.canvas.draw()
    assert 101 not in display.ax_.get_xticks()


def test_groups_that_are_learned_later_are_drawn(schools):
    fitted, *_ = schools
    model = copy.deepcopy(fitted)
    X = pd.DataFrame(0.0, range(6), model.feature_names_in_)
    y = model.intercept_ + np.array([5.0, 7.0, 6.0, -1.0, -3.0, -2.0])
    labels = np.repeat(model.groups_.max() + np.array([1, 2]), 3)
    model.update_groups(X, y, groups=labels)
    display = ShrinkageDisplay.from_estimator(model)
    assert len(display.own) == model.n_groups_ == fitted.n_groups_ + 2
    np.testing.assert_allclose(display.own.iloc[-2:, 0], [6.0, -2.0])
    np.testing.assert_allclose(
        display.own * model.pooling_weights_, model.random_effects_, rtol=1e-8
    )
