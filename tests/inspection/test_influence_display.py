"""The groups and rows that a fit hangs on, as a picture."""

import numpy as np
import pandas as pd
import pytest

from skmixed import (
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptRegressor,
)
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import NotAvailableError
from skmixed.inspection import InfluenceDisplay


def test_groups_are_ranked(sleep):
    model, X, y, groups = sleep
    display = InfluenceDisplay.from_estimator(model, X, y, groups)
    table = model.influence_frame(X, y, groups, by="group").sort_values("cooks_distance")
    at = display.points_[0].get_offsets()
    np.testing.assert_allclose(at[:, 0], table["cooks_distance"])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [str(label) for label in table.index]
    for points, name in zip(display.points_[1:], table.columns[2:], strict=True):
        np.testing.assert_allclose(points.get_offsets()[:, 0], table[name])
        assert points.get_label() == name.removeprefix("dfbetas_")
    assert display.name == display.ax_.get_ylabel() == "Subject"


def test_the_largest_of_many_are_shown(crowd):
    model, X, y, groups = crowd
    display = InfluenceDisplay.from_estimator(model, X, y, groups, n_labels=12)
    assert len(display.points_[0].get_offsets()) == 12
    assert display.ax_.get_title(loc="right") == f"12 of {model.n_groups_:,} groups"
    display.plot()
    assert len(display.points_[0].get_offsets()) == 20


def test_many_terms(schools):
    display = InfluenceDisplay.from_estimator(*schools)
    assert len(display.points_) == 1 + 5
    assert display.axes_[1].get_title(loc="right") == "5 of 6 terms: the largest"


def test_rows_with_curves_of_the_same_distance(sleep):
    model, X, y, groups = sleep
    display = InfluenceDisplay.from_estimator(model, X, y, groups, by="row", n_labels=3)
    table = model.influence_frame(X, y, groups)
    residual = model.residuals_frame(X, y, groups)["standardized_residual"]
    at = np.column_stack([table["leverage"], residual])
    np.testing.assert_allclose(display.points_[0].get_offsets(), at)
    top = table["cooks_distance_conditional"].nlargest(3).index
    np.testing.assert_allclose(display.points_[1].get_offsets(), at[top])
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts[:3] == [str(row) for row in top]
    # a curve is where the distance is what stands at its end
    h, r = display.lines_[0].get_data()
    np.testing.assert_allclose(r**2 * h / ((1 - h) * 2), float(texts[3]))


def test_points_are_a_sample_with_the_largest(crowd):
    model, X, y, groups = crowd
    display = InfluenceDisplay.from_estimator(model, X, y, groups, by="row", max_points=500)
    assert display.ax_.get_title(loc="right") == "500 of 20,000 rows drawn"
    assert [len(points.get_offsets()) for points in display.points_] == [500, 5]


@pytest.mark.parametrize("by", ["row", "group"])
def test_pooled_and_several_factors(by):
    X, y, subject = load_sleepstudy(return_X_y=True)
    rng, pooled = np.random.default_rng(0), PooledRegressor().fit(X, y)
    InfluenceDisplay.from_estimator(pooled, X, y, subject, by=by)
    two = pd.DataFrame({"subject": subject, "rater": rng.integers(0, 4, len(y))})
    y = y + 20 * rng.normal(size=4)[two["rater"]]
    model = RandomInterceptRegressor().fit(X, y, groups=two)
    factor = "subject" if by == "group" else None
    display = InfluenceDisplay.from_estimator(model, X, y, two, by=by, factor=factor)
    assert display.name == ("subject" if by == "group" else "row")
    if by == "group":
        with pytest.raises(ValueError, match="by='group' must know which groups"):
            InfluenceDisplay.from_estimator(model, X, y, two)


def test_a_column_without_a_coefficient_is_left_out():
    X, y, subject = load_sleepstudy(return_X_y=True)
    with pytest.warns(Warning, match="rank-deficient"):
        model = RandomInterceptRegressor().fit(X.assign(hours=24 * X["Days"]), y, subject)
    display = InfluenceDisplay.from_estimator(model, X.assign(hours=24 * X["Days"]), y, subject)
    assert [p.get_label() for p in display.points_[1:]] == ["(Intercept)", "Days"]


def test_what_is_refused(sleep):
    model, X, y, groups = sleep
    with pytest.raises(ValueError, match="`InfluenceDisplay` must be given the rows of"):
        InfluenceDisplay.from_estimator(model, X, y + 1, groups)
    with pytest.raises(ValueError, match="The 'n_labels' parameter of"):
        InfluenceDisplay.from_estimator(model, X, y, groups, n_labels=0)
    with pytest.raises(ValueError, match="The 'by' parameter of"):
        InfluenceDisplay.from_estimator(model, X, y, groups, by="pie")
    slow = RandomInterceptClassifier().fit(X, y > y.median(), groups)
    with pytest.raises(NotAvailableError, match="no InfluenceDisplay of RandomInterceptClass"):
        InfluenceDisplay.from_estimator(slow, X, y > y.median(), groups)
