import numpy as np
import pandas as pd
import pytest

from skmixed import RandomInterceptRegressor
from skmixed.inspection import VarianceDisplay

EXPLAINED = ["between, explained", "within, explained"]


def test_segments_are_stacked_components(sleep):
    display = VarianceDisplay.from_estimator(sleep[0])
    there = display.components.loc[:, (display.components > 0).any()]
    assert [bars.get_label() for bars in display.bars_] == list(there)
    for bars, name in zip(display.bars_, there, strict=True):
        np.testing.assert_allclose([bar.get_width() for bar in bars], there[name])
    ends = [bar.get_x() + bar.get_width() for bar in display.bars_[-1]]
    np.testing.assert_allclose(ends, display.components.sum(axis=1))
    ticks = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert ticks == ["without features", "model"]
    assert [text.get_text() for text in display.legend_.get_texts()] == list(there)


def test_shares_are_written_where_they_fit(schools):
    display = VarianceDisplay.from_estimator(schools[0])
    shares = display.components.div(display.components.sum(axis=1), axis=0)
    texts = [text.get_text() for text in display.ax_.texts if text.get_text()]
    assert texts == ["14%", "18%", "4%", "7%", "82%", "75%"]
    assert shares.loc["model", "between, explained"] == pytest.approx(0.14, abs=0.005)


def test_the_model_without_features_is_the_null_model(schools):
    model, X, y, groups = schools
    null = RandomInterceptRegressor().fit(X.iloc[:, :0], y, groups)
    row = VarianceDisplay.from_estimator(model).components.loc["without features"]
    assert row["within, unexplained"] == pytest.approx(null.residual_variance_, rel=1e-6)
    expected = null.random_effects_cov_.iloc[0, 0]
    assert row["between, unexplained"] == pytest.approx(expected, rel=1e-6)
    assert row[EXPLAINED].tolist() == [0, 0]


@pytest.mark.parametrize("data", ["sleep", "schools", "crowd"])
def test_both_totals_are_about_the_variance_of_y(data, request):
    model, _, y, _ = request.getfixturevalue(data)
    totals = VarianceDisplay.from_estimator(model).components.sum(axis=1)
    np.testing.assert_allclose(totals["model"], totals["without features"], rtol=0.02)
    np.testing.assert_allclose(totals, np.var(y), rtol=0.06)


@pytest.mark.parametrize("data", ["sleep", "schools", "crowd"])
def test_explained_shares_add_up_to_the_marginal_r2(data, request):
    model = request.getfixturevalue(data)[0]
    row = VarianceDisplay.from_estimator(model).components.loc["model"]
    share = row[EXPLAINED].sum() / row.sum()
    assert share == pytest.approx(model.r2_marginal_, abs=0.005)


def test_it_takes_what_it_draws():
    columns = [
        "between, explained",
        "between, unexplained",
        "within, explained",
        "within, groups' own slopes",
        "within, unexplained",
    ]
    components = pd.DataFrame([[1.0, 2, 3, 0, 4]] * 3, list("abc"), columns)
    display = VarianceDisplay(components=components).plot()
    assert len(display.bars_) == 4
    assert [len(bars) for bars in display.bars_] == [3] * 4
