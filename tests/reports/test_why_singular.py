"""What a singular fit is put down to, in cases that lie side by side."""

import numpy as np
import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression
from skmixed.exceptions import SingularFitWarning

J, M = 8, 6
GROUPS = np.repeat(np.arange(J), M)
RNG = np.random.default_rng(0)
x = RNG.normal(size=J * M)
LEVELS = RNG.normal(size=(J, J))[GROUPS]
DUMMIES = np.eye(J)[GROUPS]
b = 3 * RNG.normal(size=(2, J))[:, GROUPS]
Y = b[0] + (1 + b[1]) * x + RNG.normal(size=J * M)
BY_CHANCE = "differ no more than"


def message_of(model, *columns, y=Y, groups=GROUPS, weight=None):
    with pytest.warns() as caught:
        model.fit(np.column_stack(columns), y, groups=groups, sample_weight=weight)
    messages = [str(w.message) for w in caught if w.category is SingularFitWarning]
    assert len(messages) == 1
    return messages[0]


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("levels", [LEVELS[:, : J - 1], DUMMIES[:, 1:], LEVELS, DUMMIES])
def test_levels_fitted_exactly(method, levels):
    message = message_of(RandomInterceptRegressor(method=method), x, levels)
    assert "8 fixed effects are constant within groups, the intercept included" in message
    assert "levels of the 8 groups exactly" in message
    assert BY_CHANCE not in message


def test_without_an_intercept_all_dummies_are_needed():
    model = RandomInterceptRegressor(fit_intercept=False)
    message = message_of(model, x, DUMMIES)
    assert "8 fixed effects are constant within groups, and fit" in message
    # the level of the first group is all there is to see
    model.fit(np.column_stack([x, DUMMIES[:, 1:]]), Y + 20 * DUMMIES[:, 0], groups=GROUPS)
    assert model.theta_ > 1
    assert not model.singular_


def test_one_column_less_leaves_something_to_see():
    levels = LEVELS[:, : J - 2]
    model = RandomInterceptRegressor()
    # what the fixed effects leave of the levels is one number
    away = np.linalg.svd(np.column_stack([np.ones(J), LEVELS[::M, : J - 2]]).T)[2][-1]
    model.fit(np.column_stack([x, levels]), Y + 20 * away[GROUPS], groups=GROUPS)
    assert model.theta_ > 1
    noise = RNG.normal(size=J * M)
    noise -= np.array([noise[g == GROUPS].mean() for g in range(J)])[GROUPS]
    assert BY_CHANCE in message_of(RandomInterceptRegressor(), x, levels, y=noise)


def test_groups_without_weight_do_not_count():
    weight = (GROUPS < 5).astype(float)
    message = message_of(RandomInterceptRegressor(), x, LEVELS[:, :4], weight=weight)
    assert "5 fixed effects are constant within groups" in message
    message = message_of(RandomInterceptRegressor(), x, weight=(GROUPS == 3).astype(float))
    assert "only one group, 3" in message
    first = np.tile(np.arange(M) == 0, J).astype(float)
    message = message_of(RandomInterceptRegressor(), x, weight=first)
    assert "each of the 8 groups has one row, and" in message


@pytest.mark.parametrize("shift", [0.0, 100.0])
@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_slopes_fitted_exactly(shift, covariance):
    z = x + shift
    model = RandomSlopeRegressor([0], covariance=covariance)
    message = message_of(model, z, z[:, None] * DUMMIES[:, 1:])
    assert "fit the effects of x0 in each of the 8 groups exactly" in message
    assert model.random_effects_cov_.loc["x0", "x0"] == 0.0
    assert model.random_effects_cov_.loc["(Intercept)", "(Intercept)"] > 0
    # the restricted likelihood is that of the model without the slope
    X = np.column_stack([z, z[:, None] * DUMMIES[:, 1:]])
    alone = RandomInterceptRegressor().fit(X, Y, groups=GROUPS)
    np.testing.assert_allclose(model.criterion_, alone.criterion_, rtol=1e-7)
    np.testing.assert_allclose(model.theta_[0], alone.theta_[0], rtol=1e-3)


def test_levels_fitted_exactly_beside_slopes():
    model = RandomSlopeRegressor([0])
    message = message_of(model, x, DUMMIES[:, 1:])
    assert "fit the effects of (Intercept) in each" in message
    assert model.random_effects_cov_.loc["x0", "x0"] > 0
    message = message_of(model, x, DUMMIES[:, 1:], x[:, None] * DUMMIES[:, 1:])
    assert "fit the effects of (Intercept), x0 in each" in message
    message = message_of(
        RandomSlopeRegressor([0], random_intercept=False), x, x[:, None] * DUMMIES[:, 1:]
    )
    assert "fit the effects of x0 in each" in message


def test_one_slope_less_is_not_saturated():
    model = RandomSlopeRegressor([0], random_intercept=False)
    X = np.column_stack([x, x[:, None] * DUMMIES[:, 2:]])
    # the slopes of the first two groups differ
    model.fit(X, Y + 20 * DUMMIES[:, 0] * x, groups=GROUPS)
    assert model.theta_ > 1


def test_rows_that_are_all_alike_are_as_one_row():
    twice, half = np.repeat(np.arange(30), 2), np.full(60, 0.5)
    X, y = RNG.normal(size=30), RNG.normal(size=30)
    model = RandomInterceptRegressor()
    message = message_of(model, X[twice], y=y[twice], groups=twice, weight=half)
    assert "has one row, or rows that are all alike" in message


def test_weights_of_a_small_sum_are_named():
    groups = np.arange(J * M)
    weight = np.exp(np.random.default_rng(1).normal(size=J * M))
    weight *= 0.4 / weight.mean()
    message = message_of(RandomInterceptRegressor(), x, groups=groups, weight=weight)
    assert "which is 19.2 for 48 rows" in message


def test_a_fit_explained_exactly():
    message = message_of(RandomInterceptRegressor(), x, y=1 + 2 * x)
    assert "fixed effects explain y exactly" in message


def test_two_random_effects_that_go_together_are_called_correlated():
    X, y, groups = make_mixed_regression(120, 2, 20, intercept_variance=0.3, random_state=0)
    model = RandomSlopeRegressor([0])
    message = message_of(model, X, y=y, groups=groups)
    correlated = "Singular fit: intercept and slope of x0 are perfectly correlated."
    assert message.startswith(correlated)
    assert correlated in model.summary().remarks
    message = message_of(RandomSlopeRegressor("all"), X, y=y, groups=groups)
    assert "the 3 random effects of a group vary in 1 direction only" in message


@pytest.mark.parametrize(
    ("slopes", "said"), [([2], ["NotIdentified"]), ([0, 2], ["NotIdentified", "SingularFit"])]
)
def test_a_constant_slope_is_blamed_once(slopes, said):
    """A second warning tells of another cause: here, that there are no slopes of x0, either."""
    X, y, groups = make_mixed_regression(120, 2, 20, intercept_variance=0.3, random_state=0)
    X = np.column_stack([X, np.random.default_rng(0).normal(size=20)[groups]])
    with pytest.warns() as caught:
        model = RandomSlopeRegressor(slopes).fit(X, y, groups=groups)
    assert model.singular_
    assert [w.category.__name__ for w in caught] == [f"{name}Warning" for name in said]
