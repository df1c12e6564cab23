import numpy as np
import pytest
from scipy.stats import gaussian_kde

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
)
from skmixed.datasets import load_epilepsy, load_penicillin
from skmixed.inspection import PredictiveCheckDisplay


def check(model, X, y, groups=None, **options):
    return PredictiveCheckDisplay.from_estimator(
        model, X, y, groups, **{"n_draws": 50, **options}
    )


def texts(display):
    return [ax.get_title(loc="right") for ax in display.axes_]


def test_what_is_drawn(sleep):
    model, X, y, groups = sleep
    display = check(model, X, y, groups, statistic=np.max)
    np.testing.assert_array_equal(
        display.draws, model.simulate(X, groups, n_draws=50, random_state=0)
    )
    assert len(display.axes_) == 3
    means = y.groupby(groups).mean().sort_values()
    np.testing.assert_allclose(display.observed_["groups"], means)
    first = np.sort(np.bincount(groups.factorize()[0], display.draws[:, 0]) / 10)
    np.testing.assert_allclose(display.replicated_["groups"][0], first)
    n_above = np.sum(display.draws.max(axis=0) >= y.max())
    assert display.p_value_ == (1 + n_above) / 51
    assert texts(display)[2] == f"{n_above} of 50 draws at or above y"
    assert display.axes_[2].get_xlabel() == "max (blue: y)"


def test_densities_are_those_of_kernels(sleep):
    model, X, y, groups = sleep
    display = check(model, X, y, groups, kind="distribution")
    x, density = display.ax_.lines[1].get_data()
    quartiles = np.quantile(y, [0.25, 0.75])
    width = 0.9 * min(y.std(ddof=0), np.ptp(quartiles) / 1.34) * len(y) ** -0.2
    expected = gaussian_kde(y, bw_method=width / y.std(ddof=1))(x)
    np.testing.assert_allclose(density, expected, atol=0.01 * expected.max())
    assert texts(display) == ["grey: 95% of 50 draws"]


def test_a_pooled_fit_does_not_draw_groups_that_differ(sleep):
    model, X, y, groups = sleep
    spread = {}
    for name, fitted in {"pooled": PooledRegressor().fit(X, y), "mixed": model}.items():
        display = check(fitted, X, y, groups, kind="groups")
        spread[name] = np.ptp(display.replicated_["groups"], axis=1)
    observed = np.ptp(display.observed_["groups"])
    assert spread["pooled"].max() < observed < spread["mixed"].max()


def test_outcomes(schools):
    _, X, y, groups = schools
    X, y = X[["ses"]], np.where(y > 13, "high", "low")
    model = RandomInterceptClassifier().fit(X, y, groups=groups)
    display = check(model, X, y, groups, statistic=np.mean)
    assert set(np.unique(display.draws)) == {0, 1}
    share = np.mean(y == "low")
    np.testing.assert_allclose(display.observed_["distribution"], [1 - share, share])
    assert [tick.get_text() for tick in display.axes_[0].get_xticklabels()] == ["high", "low"]
    X, y, groups = load_epilepsy(return_X_y=True)
    model = RandomInterceptPoissonRegressor().fit(X, y, groups=groups)
    assert check(model, X, y, groups).axes_[0].get_ylabel() == "density (blue: y)"
    rng = np.random.default_rng(0)
    level = 0.3 * rng.normal(size=30)
    X, groups = rng.normal(size=(300, 1)), np.repeat(np.arange(30), 10)
    few = rng.poisson(np.exp(level[groups]))
    model = RandomInterceptPoissonRegressor().fit(X, few, groups=groups)
    display = check(model, X, few, groups, kind="distribution")
    assert display.ax_.get_xlabel() == "count"
    shares = np.bincount(few) / 300
    np.testing.assert_allclose(display.observed_["distribution"][: len(shares)], shares)
    rates = check(model, X, few, groups, kind="distribution", sample_weight=np.full(300, 3.0))
    assert rates.ax_.get_ylabel() == "density (blue: y)"
    assert rates.draws.std() < display.draws.std()


def test_of_several_factors():
    X, y, factors = load_penicillin(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=factors)
    assert check(model, X, y, factors, kind="distribution").groups is None
    with pytest.raises(ValueError, match="There are several factors; name one of them"):
        check(model, X, y, factors)
    display = check(model, X, y, factors, factor="sample", conditional=True)
    assert display.axes_[1].get_xlabel() == "sample (6, sorted by mean)"
    spread = display.replicated_["groups"].std(axis=0)
    assert np.all(spread < 0.25)  # groups keep their effects


def test_what_is_not_there(sleep):
    _, X, y, groups = sleep
    fixed = FixedEffectsRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="kind='statistic' needs `statistic`, a function of y"):
        check(fixed, X, y, groups, kind="statistic")
    with pytest.raises(ValueError, match="kind='groups' needs the groups of the rows"):
        check(PooledRegressor().fit(X, y), X, y, kind="groups")


def test_y_that_does_not_vary_has_a_density():
    display = PredictiveCheckDisplay(y=np.full(5, 3.0), draws=np.full((5, 4), 3.0))
    x, density = display.plot().ax_.lines[1].get_data()
    assert np.sum(density) * (x[1] - x[0]) == pytest.approx(1, abs=0.01)
