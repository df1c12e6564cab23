import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from scipy.stats import kstest, norm

from skmixed import FixedEffectsRegressor, PooledRegressor, RandomInterceptRegressor
from skmixed.datasets import make_mixed_regression
from skmixed.inspection import ResidualsDisplay
from skmixed.inspection._quantile_residuals import residuals_by_draws


def test_against_fitted_values(sleep):
    model, X, y, groups = sleep
    display = ResidualsDisplay.from_estimator(model, X, y, groups)
    fitted = model.predict(X, groups)
    expected = np.column_stack([fitted, y - fitted])
    np.testing.assert_allclose(display.points_["fitted"].get_offsets(), expected)
    x, mean = display.lines_["fitted"].get_data()
    assert len(x) == 9
    bins = np.array_split(expected[np.argsort(fitted)], 9)
    np.testing.assert_allclose(np.column_stack([x, mean]), [part.mean(axis=0) for part in bins])


def test_many_rows_are_thinned_and_that_is_said(schools):
    display = ResidualsDisplay.from_estimator(*schools, max_points=1_000)
    assert len(display.points_["fitted"].get_offsets()) == 1_000
    assert display.ax_.get_title(loc="right") == "1,000 of 7,185 rows drawn"
    display.plot(max_points=None)
    assert len(display.points_["fitted"].get_offsets()) == 7_185
    assert display.ax_.get_title(loc="right") == ""


def test_by_group(sleep):
    model, X, y, groups = sleep
    display = ResidualsDisplay.from_estimator(model, X, y, groups, kind="groups")
    residual = (y - model.predict(X, groups)).groupby(groups)
    median = residual.median().sort_values()
    np.testing.assert_allclose(display.points_["groups"].get_offsets()[:, 0], median)
    quartiles = np.array(display.lines_["groups"].get_segments())[:, :, 0]
    np.testing.assert_allclose(quartiles[:, 1], residual.quantile(0.75)[median.index])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [str(label) for label in median.index]


def test_missing_and_new_labels_are_groups_too(sleep):
    model, X, y, groups = sleep
    labels = groups.astype(object).where(groups != 308, None).where(groups != 309, 999)
    display = ResidualsDisplay.from_estimator(model, X, y, labels, kind="groups")
    ticks = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert len(ticks) == 18
    assert {"999", "None"} <= set(ticks) or {"999", "nan"} <= set(ticks)


def test_quantiles_of_residuals(sleep):
    display = ResidualsDisplay.from_estimator(*sleep, kind="qq")
    z, values = display.points_["qq"].get_offsets().T
    np.testing.assert_allclose(z, norm.ppf((np.arange(180) + 0.5) / 180))
    np.testing.assert_allclose(values, np.sort(display.residuals))
    line = np.polyfit(*display.lines_["qq"].get_data(), 1)
    np.testing.assert_allclose(line[0], display.residuals.std())


def test_quantiles_of_many_residuals_keep_the_tails(schools):
    display = ResidualsDisplay.from_estimator(*schools, kind="qq")
    z, values = display.points_["qq"].get_offsets().T
    assert 500 < len(z) <= 1_000
    tails = np.sort(display.residuals)
    np.testing.assert_allclose(values[:5], tails[:5])
    np.testing.assert_allclose(values[-5:], tails[-5:])


def test_random_effects_are_standardised():
    X, y, groups = make_mixed_regression(6_000, 1, 1_500, balanced=False, random_state=1)
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    display = ResidualsDisplay.from_estimator(model, X, y, groups, kind="random_effects")
    small = (model.group_sizes_ <= 2).to_numpy()
    for part in (small, ~small):  # shrunk by very different amounts
        assert display.effects[part].std().item() == pytest.approx(1, abs=0.1)
    (points,) = display.points_["random_effects"]
    assert np.all(np.diff(points.get_offsets()[:, 1]) >= 0)


def test_each_term_has_its_color(sleep):
    display = ResidualsDisplay.from_estimator(*sleep, kind="random_effects")
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == ["(Intercept)", "Days"]
    colors = {tuple(p.get_facecolor()[0]) for p in display.points_["random_effects"]}
    assert len(colors) == 2


def test_from_predictions(sleep):
    model, X, y, groups = sleep
    fitted = model.predict(X, groups)
    display = ResidualsDisplay.from_predictions(y, fitted, groups, kind="panels")
    assert len(display.axes_) == 3
    assert display.axes_[1].get_ylabel() == "Subject"
    np.testing.assert_allclose(display.residuals, y - fitted)
    display = ResidualsDisplay.from_predictions(list(y), list(fitted), kind="panels")
    assert len(display.axes_) == 2
    with pytest.raises(ValueError, match="kind='groups' needs the groups of the rows: pass"):
        display.plot(kind="groups")
    with pytest.raises(ValueError, match="kind='random_effects' needs a fitted mixed model"):
        display.plot(kind="random_effects")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ResidualsDisplay.from_predictions(y, fitted[:5])


def test_no_more_labels_than_fit():
    rng = np.random.default_rng(0)
    groups = pd.Series(np.repeat(np.arange(35), 4), name="town")
    y = rng.normal(size=140)
    alone = ResidualsDisplay.from_predictions(y, np.zeros(140), groups, kind="groups")
    assert len(alone.ax_.get_yticks()) == 35
    panels = ResidualsDisplay.from_predictions(y, np.zeros(140), groups, kind="panels")
    assert panels.axes_[1].get_ylabel() == "town (35, sorted by median)"


@pytest.mark.parametrize("model", [FixedEffectsRegressor("Days"), PooledRegressor()])
def test_of_models_without_random_effects(sleep, model):
    _, X, y, groups = sleep
    model.fit(X, y, groups)
    display = ResidualsDisplay.from_estimator(model, X, y, groups, kind="panels")
    assert list(display.points_) == ["fitted", "groups", "qq"]
    np.testing.assert_allclose(display.residuals, y - model.predict(X, groups))
    assert display.axes_[1].get_ylabel() == "Subject"
    with pytest.raises(ValueError, match="kind='random_effects' needs a fitted mixed model"):
        display.plot(kind="random_effects")


def test_of_pooling_without_groups(sleep):
    _, X, y, _ = sleep
    display = ResidualsDisplay.from_estimator(PooledRegressor().fit(X, y), X, y, kind="panels")
    assert list(display.points_) == ["fitted", "qq"]
    with pytest.raises(ValueError, match="kind='groups' needs the groups of the rows: pass"):
        display.plot(kind="groups")


def test_the_groups_of_pooling_keep_their_name(sleep):
    _, X, y, subject = sleep
    model = PooledRegressor().fit(X, y)
    display = ResidualsDisplay.from_estimator(model, X, y, groups=subject, kind="groups")
    assert display.ax_.get_ylabel() == "Subject"
    display = ResidualsDisplay.from_estimator(
        model, X, y, groups=subject.to_numpy(), kind="groups"
    )
    assert display.ax_.get_ylabel() == "group"


def test_ranks_among_draws_are_those_of_a_loop():
    rng = np.random.RandomState(0)
    draws = np.rint(rng.normal(size=(300, 30)))  # with ties
    y = np.rint(rng.normal(size=300))
    residuals, test = residuals_by_draws(y, draws, np.random.RandomState(1))
    shares = norm.cdf(residuals) * 31
    for share, value, row in zip(shares, y, draws, strict=True):
        below = np.sum(row < value)
        assert below - 1e-9 <= share <= below + np.sum(row == value) + 1 + 1e-9
    scaled = (residuals - residuals.mean()) / residuals.std()
    assert test.statistic == pytest.approx(kstest(scaled, norm.cdf).statistic)
    assert round(test.p_value * 31, 9) % 1 == 0


def test_draws_know_that_rows_of_a_group_depend_on_one_another():
    """Eight groups of 40 rows: a true model is rejected by a test for independent rows."""
    by_draws, by_rows = [], []
    for seed in range(60):
        rng = np.random.RandomState(seed)
        draws = np.repeat(rng.normal(size=(8, 40)), 40, axis=0) + rng.normal(size=(320, 40))
        residuals, test = residuals_by_draws(draws[:, 0], draws[:, 1:], rng)
        by_draws.append(test.p_value <= 0.05)
        by_rows.append(kstest(residuals, norm.cdf).pvalue <= 0.05)
    assert np.mean(by_draws) <= 0.1  # 3 in 100 exceed that
    assert np.mean(by_rows) > 0.5


def test_residuals_by_draws(sleep):
    model, X, y, groups = sleep
    display = ResidualsDisplay.from_estimator(
        model, X, y, groups, kind="panels", n_draws=200, random_state=3
    )
    assert display.family == "normal"
    np.testing.assert_allclose(display.fitted, model.predict_population(X))
    Z = np.column_stack([np.ones(180), X])
    variance = np.einsum("na,ab,nb->n", Z, model.random_effects_cov_, Z)
    exact = (y - display.fitted) / np.sqrt(variance + model.residual_variance_)
    assert np.abs(display.residuals - exact).mean() < 0.15
    assert display.uniformity.p_value > 0.05
    note = display.axes_[2].get_title(loc="right")
    assert note == f"Kolmogorov-Smirnov: p = {display.uniformity.p_value:.3f}"
    fixed = FixedEffectsRegressor().fit(X, y, groups)
    display = ResidualsDisplay.from_estimator(fixed, X, y, groups, n_draws=20)
    np.testing.assert_allclose(display.fitted, fixed.predict(X, groups))


def test_residuals_that_are_skewed(schools):
    model, X, y, groups = schools
    display = ResidualsDisplay.from_estimator(*schools, kind="qq", n_draws=99)
    assert display.uniformity.p_value == 0.01
    display = ResidualsDisplay.from_estimator(*schools)
    scaled = (y - model.predict(X, groups)) / np.sqrt(model.residual_variance_)
    assert display.uniformity == pytest.approx(kstest(scaled, norm.cdf)[:2])
    assert display.uniformity.p_value < 1e-5


def test_a_fit_without_residuals_is_not_tested(sleep):
    _, X, y, _ = sleep
    with pytest.warns(LinAlgWarning):
        exact = PooledRegressor().fit(X[:2], y[:2])
    assert ResidualsDisplay.from_estimator(exact, X[:2], y[:2]).uniformity is None


def test_weights_that_residuals_do_not_depend_on(sleep):
    model, X, y, groups = sleep
    weight = np.full(180, 2.0)
    with pytest.raises(ValueError, match="residuals of RandomSlopeRegressor without draws"):
        ResidualsDisplay.from_estimator(model, X, y, groups, sample_weight=weight)
    display = ResidualsDisplay.from_estimator(
        model, X, y, groups, sample_weight=1e6 * weight, n_draws=50
    )
    assert display.residuals.std() > 1  # draws hardly vary within groups
