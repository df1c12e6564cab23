"""What all displays have in common."""

import inspect
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import FixedEffectsRegressor, RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning
from skmixed.inspection import (
    GroupLinesDisplay,
    InfluenceDisplay,
    PredictiveCheckDisplay,
    RandomEffectsDisplay,
    ResidualsDisplay,
    ShrinkageDisplay,
    VarianceDisplay,
)

DISPLAYS = {
    "random-effects": (RandomEffectsDisplay, {}),
    "distribution": (RandomEffectsDisplay, {"kind": "distribution"}),
    "lines": (GroupLinesDisplay, {"column": None}),
    "line-panels": (GroupLinesDisplay, {"column": None, "kind": "panels"}),
    "shrinkage": (ShrinkageDisplay, {}),
    "variance": (VarianceDisplay, {}),
    "fitted": (ResidualsDisplay, {}),
    "residual-panels": (ResidualsDisplay, {"kind": "panels"}),
    "predictive-check": (PredictiveCheckDisplay, {"kind": "groups", "n_draws": 20}),
    "influence-groups": (InfluenceDisplay, {}),
    "influence-rows": (InfluenceDisplay, {"by": "row"}),
}
# How a model is found and given its rows does not depend on the kind of a picture.
ONE_OF_EACH = {display: name for name, (display, _) in reversed(DISPLAYS.items())}.values()
# Displays that take rows, and models without random effects.
OF_ALL_MODELS = GroupLinesDisplay, ResidualsDisplay, PredictiveCheckDisplay


def draw(name, model, X, y, groups=None, column=None, **options):
    display, defaults = DISPLAYS[name]
    options = {**defaults, **options}
    if "column" in options:
        options["column"] = column
    with_rows = display in (*OF_ALL_MODELS, InfluenceDisplay)
    rows = (X, y, groups) if with_rows else ()
    return display.from_estimator(model, *rows, **options)


def first_feature(X):
    return X.columns[0] if hasattr(X, "columns") else "x0"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (name, data)
        for name in DISPLAYS
        for data in ("sleep", "schools", "crowd")
        if not (name.endswith("panels") and data == "schools")  # as many panels as of a crowd
    ],
)
def test_it_draws_few_and_many_groups(name, data, request):
    model, X, y, groups = request.getfixturevalue(data)
    display = draw(name, model, X, y, groups, first_feature(X))
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()
    assert texts_beyond(display.figure_) == []


def texts_beyond(figure):
    """Texts that the edge of the figure cuts."""
    within = figure.bbox.expanded(1.005, 1.005)
    texts = [
        text for text in figure.findobj(plt.Text) if text.get_visible() and text.get_text()
    ]
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    ticks = [label for ax in figure.axes for label in hidden_ticks(ax)]
    return [
        text
        for text, box in boxes.items()
        if text not in ticks
        and not (within.contains(box.x0, box.y0) and within.contains(box.x1, box.y1))
    ]


def hidden_ticks(ax):
    """Labels of ticks beyond the limits, which are not drawn."""
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low <= tick.get_loc() <= high:
                yield tick.label1.get_text()


@pytest.mark.parametrize("name", DISPLAYS)
def test_it_can_be_drawn_again_on_given_axes(name, sleep):
    display = draw(name, *sleep, "Days")
    kind = {key: value for key, value in DISPLAYS[name][1].items() if key == "kind"}
    n_panels = len(display.axes_)
    figure, axes = plt.subplots(1, n_panels)
    assert display.plot(axes, **kind) is display
    assert display.figure_ is figure
    assert list(display.axes_) == list(np.atleast_1d(axes))
    assert all(ax.has_data() for ax in display.axes_)
    with pytest.raises(ValueError, match=rf"`ax` must hold {n_panels} axes.* but got 5\."):
        display.plot(plt.subplots(1, 5)[1], **kind)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_groups_as_a_column(name, sleep):
    model, X, y, groups = sleep
    table = X.assign(Subject=groups)
    by_column = RandomSlopeRegressor("Days", group_by="Subject").fit(table, y)
    display = draw(name, by_column, table, y, None, "Days")
    expected = draw(name, model, X, y, groups, "Days")
    assert_same_data(display, expected)


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize("inside", ["pipeline", "search"])
def test_the_model_is_found_in_pipelines_and_searches(name, inside):
    frame = load_sleepstudy().frame
    X, y = frame[["Subject", "Days"]], frame["Reaction"]
    model = RandomSlopeRegressor("Days", group_by="Subject")
    scaler = make_column_transformer(
        (StandardScaler(), ["Days"]), remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    estimator = make_pipeline(scaler, model)
    if inside == "search":
        grid = {"randomsloperegressor__method": ["reml"]}
        estimator = GridSearchCV(estimator, grid, cv=[(np.arange(180), np.arange(180))])
    estimator.fit(X, y)
    scaled = clone(scaler).fit_transform(X)
    expected = draw(name, clone(model).fit(scaled, y), scaled, y, None, "Days")
    assert_same_data(draw(name, estimator, X, y, None, "Days"), expected)


def assert_same_data(display, expected):
    for ax, other in zip(display.axes_, expected.axes_, strict=True):
        assert ax.get_title(loc="left") == other.get_title(loc="left")
        assert len(ax.collections) == len(other.collections)
        for one, two in zip(ax.collections, other.collections, strict=True):
            np.testing.assert_allclose(one.get_offsets(), two.get_offsets())
        for one, two in zip(ax.lines, other.lines, strict=True):
            np.testing.assert_allclose(one.get_xydata(), two.get_xydata(), atol=1e-12)
        for one, two in zip(ax.patches, other.patches, strict=True):
            np.testing.assert_allclose(one.get_bbox(), two.get_bbox())


@pytest.mark.parametrize("name", DISPLAYS)
def test_a_singular_fit_is_drawn(name):
    X, y, _ = load_sleepstudy(return_X_y=True)
    groups = np.random.default_rng(1).integers(0, 5, len(y))
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptRegressor(method="ml").fit(X, y, groups=groups)
    draw(name, model, X, y, groups, "Days").figure_.canvas.draw()


@pytest.mark.parametrize("name", DISPLAYS)
def test_groups_of_one_row_are_drawn(name):
    X, y, _ = load_sleepstudy(return_X_y=True)
    groups = np.arange(len(y))
    with pytest.warns(SingularFitWarning):
        model = RandomSlopeRegressor("Days").fit(X, y, groups=groups)
    draw(name, model, X, y, groups, "Days").figure_.canvas.draw()


@pytest.mark.parametrize("name", DISPLAYS)
def test_models_that_cannot_be_drawn_are_refused(name):
    X, y, groups = load_sleepstudy(return_X_y=True)
    model = RandomSlopeRegressor("Days")
    rows = X, y, groups, "Days"
    with pytest.raises(NotFittedError):
        draw(name, model, *rows)
    with pytest.warns(MissingGroupsWarning):
        pooled = clone(model).fit(X, y)
    display = DISPLAYS[name][0].__name__
    with pytest.raises(ValueError, match=f"`{display}` needs group effects, but .* without"):
        draw(name, pooled, *rows)
    with pytest.warns(MissingGroupsWarning):
        pooled = FixedEffectsRegressor().fit(X, y)
    takes_all = DISPLAYS[name][0] in OF_ALL_MODELS
    error, message = (
        (ValueError, f"`{display}` needs group effects, but FixedEffectsRegressor was fitted")
        if takes_all
        else (TypeError, f"{display} needs a .*mixed model .* got FixedEffectsRegressor")
    )
    with pytest.raises(error, match=message):
        draw(name, pooled, *rows)
    for other in (LinearRegression().fit(X, y), GridSearchCV(model, {})):
        kind = type(other).__name__
        with pytest.raises(TypeError, match=f"{display} needs a .*of skmixed.* got {kind}"):
            draw(name, other, *rows)
    with pytest.raises(
        TypeError, match="`estimator` must be an object, but got the class Rand"
    ):
        draw(name, RandomSlopeRegressor, *rows)


@pytest.mark.parametrize("name", DISPLAYS)
def test_an_unknown_kind_is_refused(name, sleep):
    if "kind" not in inspect.signature(DISPLAYS[name][0].plot).parameters:
        pytest.skip("of one kind")
    with pytest.raises(ValueError, match=r"The 'kind' parameter of .*plot must be a str among"):
        draw(name, *sleep, "Days", kind="pie")


@pytest.mark.parametrize("name", DISPLAYS)
def test_without_matplotlib_it_says_what_is_missing(name, sleep, monkeypatch):
    display = draw(name, *sleep, "Days")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    class_name = DISPLAYS[name][0].__name__
    with pytest.raises(ImportError, match=f"{class_name}.from_estimator requires matplotlib"):
        draw(name, *sleep, "Days")
    with pytest.raises(ImportError, match=f"{class_name}.plot requires matplotlib"):
        display.plot()
