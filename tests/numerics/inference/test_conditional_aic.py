"""Effective degrees of freedom against refits of y moved row by row, and dense matrices."""

import numpy as np
import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.inference.conditional_aic import conditional_aic
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed.datasets import load_sleepstudy

TOL = 1e-14
N_GROUPS = 7
# random columns among [1, X], and options of make_problem
MODELS = {
    "intercept": ((0,), {}),
    "no fixed intercept": ((0,), {"fit_intercept": False}),
    "slope": ((0, 1), {}),
    "two slopes": ((0, 1, 2), {}),
    "uncorrelated": ((0, 1, 2), {"diagonal": True}),
    "slope alone": ((0, 1), {"random_intercept": False}),
    "slopes alone": ((0, 1, 2), {"random_intercept": False, "fixed_slopes": False}),
}
# Standard deviations of the random intercept and the two slopes.
SDS = {"all": (2.0, 1.5, 1.0), "two": (2.0, 1.5, 0), "one": (2.0, 0, 0), "none": (0, 0, 0)}
# model, which of these, and the rank of Psi at the optimum
OPTIMA = [
    ("intercept", "all", 1),
    ("no fixed intercept", "all", 1),
    ("slope", "all", 2),
    ("two slopes", "all", 3),
    ("uncorrelated", "all", 3),
    ("slope alone", "all", 1),
    ("slopes alone", "all", 2),
    ("slope", "one", 1),
    ("two slopes", "two", 2),
    ("two slopes", "one", 1),
    ("uncorrelated", "two", 2),
    ("uncorrelated", "one", 1),
    ("intercept", "none", 0),
    ("two slopes", "none", 0),
]


def simulate(sds="all"):
    """Unbalanced rows; where an SD is zero, groups are more alike than by chance."""
    sds = np.array(SDS[sds])
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(N_GROUPS), rng.integers(5, 9, N_GROUPS))
    X = rng.normal([0.5, 0], 1, size=(len(groups), 2))
    Z = np.column_stack([np.ones(len(groups)), X])
    noise = rng.normal(size=len(groups))
    for group in range(N_GROUPS):
        rows = groups == group
        alike = Z[rows][:, sds == 0]
        noise[rows] -= 0.9 * alike @ np.linalg.lstsq(alike, noise[rows])[0]
    b = rng.normal(size=(N_GROUPS, 3)) * sds
    return X, X @ [1, -1] + np.sum(Z * b[groups], axis=1) + noise, groups


def at_optimum(X, y, groups, name, *, reml=True, sample_weight=None, start=None):
    random, structure = MODELS[name]
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(
        X, y, codes, labels, random=random, sample_weight=sample_weight
    )
    problem = make_problem(moments, **structure)
    criterion, optimum = estimate(problem, reml=reml, tol=TOL, max_iter=200, start=start)
    return criterion, optimum.Lambda


def columns(X, name):
    """The fixed and the random columns of a model."""
    random, structure = MODELS[name]
    D = Z = np.column_stack([np.ones(len(X)), X])
    if structure.get("fixed_slopes") is False:
        D = np.delete(D, random[1:], axis=1)
    if structure.get("fit_intercept") is False:
        D = D[:, 1:]
    Z = Z[:, list(random)]
    return D, Z[:, 1:] if structure.get("random_intercept") is False else Z


def by_refits(fitted, y, h=1e-3):
    """tr(d y^ / d y) by central differences."""
    moves = h * np.eye(len(y))
    return sum(fitted(y + e) @ e - fitted(y - e) @ e for e in moves) / (2 * h**2)


@pytest.mark.slow
@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
@pytest.mark.parametrize(("name", "sds", "rank"), OPTIMA)
def test_degrees_of_freedom_count_how_refitted_values_follow_y(name, sds, rank, reml):
    X, y, groups = simulate(sds)
    criterion, Lambda = at_optimum(X, y, groups, name, reml=reml)
    assert np.count_nonzero(Lambda.any(axis=0)) == rank
    Z = columns(X, name)[1]
    D = np.column_stack([np.ones(len(X)), X])
    if MODELS[name][1].get("fit_intercept") is False:
        D = D[:, 1:]

    def fitted(y):
        # in each refit the columns keep their scale, up to rounding, so Lambda may start it
        refit = solve(*at_optimum(X, y, groups, name, reml=reml, start=Lambda))
        return D @ refit.beta + np.sum(Z * refit.b.T[groups], axis=1)

    assert conditional_aic(criterion, Lambda).dof == pytest.approx(
        by_refits(fitted, y), rel=2e-5
    )


@pytest.mark.parametrize(
    "model", [RandomInterceptRegressor(), RandomSlopeRegressor([0])], ids=["intercept", "slope"]
)
def test_degrees_of_freedom_count_how_predictions_follow_y(model):
    X, y, groups = simulate()
    name = "slope" if isinstance(model, RandomSlopeRegressor) else "intercept"
    model.set_params(tol=TOL)

    def fitted(y):
        return model.fit(X, y, groups=groups).predict(X, groups=groups)

    found = conditional_aic(*at_optimum(X, y, groups, name)).dof
    assert found == pytest.approx(by_refits(fitted, y), rel=2e-5)


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_dense_matrices(name, reml):
    X, y, groups = simulate()
    criterion, Lambda = at_optimum(X, y, groups, name, reml=reml)
    found = conditional_aic(criterion, Lambda)
    D, Z = columns(X, name)
    n = len(y)
    factor = criterion.problem.coordinates.random_backmap @ Lambda
    V = np.eye(n) + np.equal.outer(groups, groups) * (Z @ factor @ factor.T @ Z.T)
    VD = np.linalg.solve(V, D)
    P = np.linalg.inv(V) - VD @ np.linalg.solve(D.T @ VD, VD.T)
    assert found.dof_fixed_psi == pytest.approx(np.trace(np.eye(n) - P), rel=1e-9)
    sigma2 = y @ P @ y / criterion.dof
    expected = n * np.log(2 * np.pi * sigma2) + np.sum((P @ y) ** 2) / sigma2
    assert found.deviance == pytest.approx(expected, rel=1e-9)
    assert found.value == found.deviance + 2 * (found.dof + 1)


@pytest.mark.parametrize("name", ["intercept", "slope"])
def test_a_weight_is_a_number_of_rows(name):
    X, y, groups = simulate()
    weight = np.random.default_rng(1).integers(1, 4, len(y))
    weighted = at_optimum(X, y, groups, name, sample_weight=weight.astype(float))
    rows = np.repeat(np.arange(len(y)), weight)
    repeated = at_optimum(X[rows], y[rows], groups[rows], name)
    one, other = conditional_aic(*weighted), conditional_aic(*repeated)
    for part in ("deviance", "dof", "dof_fixed_psi"):
        assert getattr(one, part) == pytest.approx(getattr(other, part), rel=1e-7)


def test_units_do_not_matter():
    X, y, groups = simulate()
    one = conditional_aic(*at_optimum(X, y, groups, "slope"))
    other = conditional_aic(*at_optimum(1e4 * X + 7, 1e-3 * y + 100, groups, "slope"))
    assert other.dof == pytest.approx(one.dof, rel=1e-6)
    log_units = 2 * len(y) * np.log(1e-3)
    assert other.deviance == pytest.approx(one.deviance + log_units, rel=1e-8)


def test_sleepstudy_has_the_conditional_likelihood_that_caic4_prints():
    X, y, subject = load_sleepstudy(return_X_y=True)
    found = conditional_aic(*at_optimum(X.to_numpy(float), y.to_numpy(), subject, "slope"))
    assert found.deviance / -2 == pytest.approx(-824.51, abs=0.005)
    # 30.25, by refits as above; cAIC4 prints 30.30 + 1
    assert found.dof == pytest.approx(30.25346, abs=1e-4)


def test_a_perfect_fit_has_no_finite_deviance():
    X, _, groups = simulate()
    found = conditional_aic(*at_optimum(X, X.sum(1), groups, "slope"))
    assert found.value == -np.inf
    assert found.dof == 3


@pytest.mark.parametrize("groups", [None, "one"])
@pytest.mark.parametrize("random_intercept", [True, False])
def test_without_random_effects_the_degrees_of_freedom_are_the_columns(
    groups, random_intercept
):
    X, y, _ = simulate()
    X[:, 1] = 0
    codes = None if groups is None else np.zeros(len(y), int)
    moments = GroupedMoments.from_rows(
        X, y, codes, np.arange(0 if groups is None else 1), random=(0, 2)
    )
    problem = make_problem(moments, random_intercept=random_intercept)
    criterion, optimum = estimate(problem, reml=False, tol=TOL, max_iter=9)
    found = conditional_aic(criterion, optimum.Lambda)
    D = np.column_stack([np.ones(len(y)), X[:, 0]])
    e = y - D @ np.linalg.lstsq(D, y)[0]
    assert found.dof == found.dof_fixed_psi == 2
    assert found.deviance == pytest.approx(len(y) * (1 + np.log(2 * np.pi * np.mean(e**2))))
