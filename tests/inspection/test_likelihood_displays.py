"""Pictures of models of binary outcomes and of counts."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import binom, kstest, norm, poisson
from sklearn.calibration import CalibrationDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import RandomInterceptPoissonRegressor, RandomSlopeClassifier
from skmixed.exceptions import NotAvailableError
from skmixed.inspection import (
    GroupLinesDisplay,
    RandomEffectsDisplay,
    ResidualsDisplay,
    ShrinkageDisplay,
    VarianceDisplay,
)
from skmixed.inspection._quantile_residuals import quantile_residuals


@pytest.fixture(scope="module")
def cured():
    """Model of a binary outcome with labels, and its rows."""
    X, eta, clinic, rng = draw_rows()
    y = np.where(rng.random(len(eta)) < expit(eta), "yes", "no")
    y = pd.Series(y, name="cured")
    return RandomSlopeClassifier("age").fit(X, y, groups=clinic), X, y, clinic


@pytest.fixture(scope="module")
def visits():
    """Model of counts, and its rows."""
    X, eta, clinic, rng = draw_rows()
    y = pd.Series(rng.poisson(np.exp(0.5 * eta)), name="visits")
    return RandomInterceptPoissonRegressor().fit(X, y, groups=clinic), X, y, clinic


def draw_rows():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(900, 2)), columns=["age", "income"])
    clinic = pd.Series(rng.integers(40, size=900), name="clinic")
    level, slope = rng.normal(size=40), 1 + 0.5 * rng.normal(size=40)
    return X, X["age"] * slope[clinic] + level[clinic], clinic, rng


KINDS = {
    "effects": lambda model, *rows: RandomEffectsDisplay.from_estimator(model),
    "distribution": lambda model, *rows: RandomEffectsDisplay.from_estimator(
        model, kind="distribution"
    ),
    "curves": lambda *given: GroupLinesDisplay.from_estimator(*given, column="age"),
    "panels": lambda *given: GroupLinesDisplay.from_estimator(
        *given, column="age", kind="panels", highlight=6
    ),
    "residuals": lambda *given: ResidualsDisplay.from_estimator(*given, kind="panels"),
}


@pytest.mark.parametrize("data", ["cured", "visits"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_texts_are_within_the_figure(kind, data, request):
    figure = KINDS[kind](*request.getfixturevalue(data)).figure_
    figure.canvas.draw()
    labels = [text for ax in figure.axes for text in (ax.xaxis.label, ax.yaxis.label)]
    for text in [*labels, *figure.texts, *(ax.title for ax in figure.axes)]:
        box = text.get_window_extent()
        if text.get_text():
            assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text
            assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text


def test_labels_name_the_scale(cured, visits):
    for (model, *rows), effect, mean, fitted in (
        (cured, "effect (log-odds)", "probability of cured = yes,", "fitted probability"),
        (visits, "effect (logarithm of the mean)", "mean of visits, other", "fitted mean"),
    ):
        display = RandomEffectsDisplay.from_estimator(model)
        assert display.ax_.get_xlabel() == f"{effect} with 95% interval"
        assert display.plot(kind="distribution").ax_.get_xlabel() == effect
        lines = GroupLinesDisplay.from_estimator(model, *rows, column="age")
        assert lines.ax_.get_ylabel().startswith(mean)
        residuals = ResidualsDisplay.from_estimator(model, *rows)
        assert residuals.ax_.get_xlabel() == fitted
        assert residuals.ax_.get_ylabel() == "quantile residual (orange: mean)"


def test_effects_are_those_of_the_frame(cured):
    model = cured[0]
    display = RandomEffectsDisplay.from_estimator(model, level=0.8, terms="age")
    frame = model.random_effects_frame(0.8).query("term == 'age'")
    pd.testing.assert_frame_equal(display.effects, frame)
    cov = model.random_effects_cov_
    assert display.std_dev["age"] == pytest.approx(np.sqrt(cov.loc["age", "age"]))


@pytest.mark.parametrize("data", ["cured", "visits"])
def test_curves_are_means_at_the_modes(data, request):
    model, X, y, clinic = request.getfixturevalue(data)
    display = GroupLinesDisplay.from_estimator(model, X, y, clinic, column="age", highlight=[3])
    mean = expit if data == "cured" else np.exp
    x, height = display.highlights_[3].get_data()
    own = X["age"][clinic == 3]
    assert (x[0], x[-1]) == (own.min(), own.max())
    rows = pd.DataFrame({"age": x, "income": X["income"].mean()})
    expected = mean(model.linear_predictor(rows, groups=np.full(len(x), 3)))
    np.testing.assert_allclose(height, expected)
    x, height = display.population_lines_[0].get_data()
    rows = pd.DataFrame({"age": x, "income": X["income"].mean()})
    np.testing.assert_allclose(height, model.predict_population(rows, average=False))
    assert display.population_lines_[0].get_label() == "average group"
    segments = dict(zip(model.groups_, display.lines_.get_segments(), strict=True))
    np.testing.assert_allclose(segments[3], np.column_stack(display.highlights_[3].get_data()))


def test_points_are_y_as_it_is(cured, visits):
    model, X, y, clinic = visits
    display = GroupLinesDisplay.from_estimator(model, X, y, clinic, column="age")
    np.testing.assert_array_equal(display.points["y"], y)
    model, X, y, clinic = cured
    display = GroupLinesDisplay.from_estimator(model, X, y, clinic, column="age")
    np.testing.assert_array_equal(display.points["y"], y == "yes")
    drawn = np.concatenate([points.get_offsets()[:, 1] for points in display.points_])
    drawn = np.asarray(drawn)
    assert np.all((np.abs(drawn - 1.03) < 0.031) | (np.abs(drawn + 0.03) < 0.031))
    assert np.count_nonzero(drawn > 0.5) == np.count_nonzero(y == "yes")


@pytest.mark.parametrize(
    ("family", "distribution"), [("binomial", lambda m: binom(1, m)), ("poisson", poisson)]
)
def test_quantile_residuals_are_those_of_a_loop(family, distribution):
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.05, 0.95, size=50)
    y = distribution(mean).rvs(random_state=rng)
    found = quantile_residuals(family, y, mean, 3)
    within = np.random.RandomState(3).uniform(size=50)
    for i in range(50):
        cdf = distribution(mean[i]).cdf
        low, high = cdf(y[i] - 1), cdf(y[i])
        assert found[i] == pytest.approx(norm.ppf(low + within[i] * (high - low)), abs=1e-8)


def test_quantile_residuals_are_normal_if_the_model_is_true():
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.1, 0.9, size=4000)
    assert kstest(quantile_residuals("binomial", rng.random(4000) < mean, mean, 0), norm.cdf)[1]
    mean *= 5
    counts = rng.poisson(mean)
    drawn = quantile_residuals("poisson", counts, mean, 0)
    assert kstest(drawn, norm.cdf).pvalue > 0.05
    gamma = rng.gamma(1, size=4000)
    assert quantile_residuals("poisson", rng.poisson(mean * gamma), mean, 0).std() > 1.3


def test_quantile_residuals_of_what_cannot_be_are_finite():
    y, mean = np.array([1.0, 0.0, 500.0, 0.0]), np.array([0.0, 1.0, 1e-3, 1e3])
    assert np.isfinite(quantile_residuals("binomial", y[:2], mean[:2], 0)).all()
    of_counts = quantile_residuals("poisson", y[2:], mean[2:], 0)
    assert np.isfinite(of_counts).all()
    assert of_counts[0] > 8
    assert of_counts[1] < -8


def test_residuals_of_a_fit(cured, visits):
    for model, *rows in (cured, visits):
        display = ResidualsDisplay.from_estimator(model, *rows, kind="panels")
        assert len(display.axes_) == 4
        assert abs(display.residuals.mean()) < 0.15
        assert display.residuals.std() == pytest.approx(1, abs=0.1)
        again = ResidualsDisplay.from_estimator(model, *rows)
        np.testing.assert_array_equal(again.residuals, display.residuals)
        other = ResidualsDisplay.from_estimator(model, *rows, random_state=1)
        assert not np.array_equal(other.residuals, display.residuals)
        line = display.lines_["qq"].get_xydata()
        np.testing.assert_array_equal(line[:, 0], line[:, 1])  # standard normal
    model, X, _, clinic = cured
    fitted = ResidualsDisplay.from_estimator(*cured).fitted
    np.testing.assert_array_equal(fitted, model.predict_proba(X, clinic)[:, 1])


def test_pipelines_and_the_column_of_groups(cured):
    _, X, y, clinic = cured
    table = X.assign(clinic=clinic)
    inside = RandomSlopeClassifier("age", group_by="clinic").fit(table, y)
    one = ResidualsDisplay.from_estimator(inside, table, y)
    np.testing.assert_allclose(one.residuals, ResidualsDisplay.from_estimator(*cured).residuals)
    pipeline = make_pipeline(StandardScaler(), RandomInterceptPoissonRegressor())
    counts = (y == "yes").astype(int)
    pipeline.fit(X, counts, randominterceptpoissonregressor__groups=clinic)
    display = GroupLinesDisplay.from_estimator(pipeline, X, counts, clinic, column="x0")
    assert display.link == "log"


@pytest.mark.parametrize("display", [ShrinkageDisplay, VarianceDisplay])
def test_pictures_that_do_not_exist_say_why(display, cured):
    message = f"There is no {display.__name__} of RandomSlopeClassifier: .*pooling_weights_|r2_"
    with pytest.raises(NotAvailableError, match=message):
        display.from_estimator(cured[0])


def test_errors(cured, visits):
    model, X, y, clinic = cured
    with pytest.raises(
        ValueError, match=r"seen in fit, \['no', 'yes'\], .* others: \['maybe'\]"
    ):
        ResidualsDisplay.from_estimator(model, X, y.replace("no", "maybe"), clinic)
    model, X, y, clinic = visits
    with pytest.raises(ValueError, match=r"need counts, but 1 of 900 values of y are no whole"):
        ResidualsDisplay.from_estimator(model, X, y + (y.index == 3) / 2, clinic)


def test_calibration_is_drawn_by_scikit_learn(cured):
    """As docs/comparing.md shows it."""
    model, X, y, clinic = cured
    probability = model.predict_proba(X, groups=clinic)[:, 1]
    display = CalibrationDisplay.from_predictions(y, probability, pos_label="yes", n_bins=5)
    assert np.abs(display.prob_true - display.prob_pred).max() < 0.2
    plt.close("all")


def test_rates_with_exposures_have_the_residuals_of_counts(visits):
    model, X, y, clinic = visits
    exposure = np.where(X["income"] > 0, 1.0, 1e-3)
    display = ResidualsDisplay.from_estimator(
        model, X, y / exposure, clinic, sample_weight=exposure, kind="qq"
    )
    expected = quantile_residuals("poisson", y, exposure * model.predict(X, clinic), 0)
    np.testing.assert_allclose(display.residuals, expected)
    assert display.uniformity == kstest(expected, norm.cdf)[:2]
    assert display.ax_.get_title(loc="right") == "Kolmogorov-Smirnov: p < 0.001"
    by_draws = ResidualsDisplay.from_estimator(
        model, X, y / exposure, clinic, sample_weight=exposure, n_draws=50
    )
    assert np.all(by_draws.residuals[(exposure < 1) & (y > 2)] > 1.5)
    with pytest.raises(ValueError, match="Of rates give the exposures: sample_weight=exposure"):
        ResidualsDisplay.from_estimator(model, X, y / 3, clinic)


@pytest.mark.parametrize("data", ["cured", "visits"])
def test_residuals_by_draws_of_a_true_model(data, request):
    model, *rows = request.getfixturevalue(data)
    display = ResidualsDisplay.from_estimator(model, *rows, kind="qq", n_draws=50)
    assert display.uniformity.p_value > 0.05
    assert display.residuals.std() == pytest.approx(1, abs=0.08)
    assert display.family == model._family
    assert set(np.round(display.fitted, 12)) <= set(
        np.round(model.predict_population(rows[0]), 12)
    )
