"""The criterion in one variance ratio, its derivatives, its minimum and what follows."""

import numpy as np
import pytest
from dense_oracle import dense_solution
from two_minima import rows_of_two_minima

from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.search_one_column import minimize_ratio
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.linalg.digits import LARGEST_SD_RATIO
from skmixed._numerics.moments.moments import GroupedMoments


def criterion_of(X, y, groups, *, reml=True, fit_intercept=True, sample_weight=None):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(X, y, codes, labels, sample_weight=sample_weight)
    return RatioCriterion.from_problem(
        make_problem(moments, fit_intercept=fit_intercept), reml=reml
    )


def minimum(criterion, **options):
    return minimize_ratio(criterion, **{"tol": 1e-8, "max_iter": 100, **options})


def ratio(optimum):
    return optimum.Lambda[0, 0] ** 2


def simulate(seed, n=60, n_groups=8, k=2, between=1.0):
    rng = np.random.default_rng(seed)
    groups = rng.choice(n_groups, n, p=rng.dirichlet(np.full(n_groups, 1.0)))
    X = rng.normal(size=(n, k))
    if k:
        X[:, 0] += rng.normal(size=n_groups)[groups]
    return (
        X,
        X.sum(1) + between * rng.normal(size=n_groups)[groups] + rng.normal(size=n),
        groups,
    )


PSI = np.array([0.0, 1e-3, 0.3, 2.0, 50.0])


@pytest.mark.parametrize("psi", PSI)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_agrees_with_the_dense_covariance(psi, reml, fit_intercept):
    X, y, groups = simulate(0)
    criterion = criterion_of(X, y, groups, reml=reml, fit_intercept=fit_intercept)
    solution = solve(criterion, np.array([[np.sqrt(psi)]]))
    ones = np.ones((len(y), 1))
    D = np.hstack([ones, X]) if fit_intercept else X
    oracle = dense_solution(D, y, ones, groups, np.array([[psi]]), reml=reml)
    assert solution.criterion == pytest.approx(oracle["criterion"], abs=1e-8)
    assert solution.sigma2 == pytest.approx(oracle["sigma2"], rel=1e-9)
    np.testing.assert_allclose(solution.beta, oracle["beta"], atol=1e-9)
    np.testing.assert_allclose(solution.beta_cov, oracle["beta_cov"], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(solution.b.T, oracle["b"], atol=1e-9)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("psi", [0.05, 0.7, 9.0])
def test_derivatives_agree_with_finite_differences(reml, weighted, psi):
    X, y, groups = simulate(1)
    w = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    criterion = criterion_of(X, y, groups, reml=reml, sample_weight=w)
    h = 1e-5 * psi
    below, at, above = (criterion(np.array([psi + d])) for d in (-h, 0.0, h))
    assert at.slope[0] == pytest.approx((above.value - below.value)[0] / (2 * h), rel=1e-5)
    assert at.curvature[0] == pytest.approx((above.slope - below.slope)[0] / (2 * h), rel=1e-5)


def test_slope_at_zero_agrees_with_finite_differences():
    criterion = criterion_of(*simulate(1))
    at = criterion(np.array([0.0, 1e-7]))
    assert at.slope[0] == pytest.approx((at.value[1] - at.value[0]) / 1e-7, rel=1e-3)


def test_groups_kept_apart_or_added_up_give_the_same():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(90), rng.integers(1, 4, 90))
    X = rng.normal(size=(len(groups), 2))
    y = rng.normal(size=90)[groups] + rng.normal(size=len(groups))
    added_up = criterion_of(X, y, groups)
    assert added_up.between.ndim == 3
    # weights that differ in the twelfth digit make all sizes differ
    w = 1 + 1e-12 * rng.normal(size=len(y))
    apart = criterion_of(X, y, groups, sample_weight=w)
    assert apart.between.ndim == 2
    for one, other in zip(
        (added_up(PSI).value, added_up(PSI).slope, added_up(PSI).curvature),
        (apart(PSI).value, apart(PSI).slope, apart(PSI).curvature),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-8)
    coarse = apart.coarsened()
    assert coarse.between.ndim == 3
    np.testing.assert_allclose(coarse(PSI).value, apart(PSI).value, rtol=1e-5)
    assert ratio(minimum(apart)) == pytest.approx(ratio(minimum(added_up)), rel=1e-7)


@pytest.mark.parametrize("seed", range(150))
def test_the_minimum_is_global(seed):
    """Small, very unbalanced data: one in fifty of these has two local minima."""
    X, y, groups = simulate(seed, n=40, n_groups=12, k=seed % 3, between=0.35)
    criterion = criterion_of(X, y, groups, reml=bool(seed % 2))
    optimum = minimum(criterion)
    grid = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 300)])
    reached = criterion(np.array([ratio(optimum)])).value[0]
    assert optimum.converged
    assert reached <= criterion(grid).value.min() + 1e-9


def test_of_two_minima_the_lower_is_taken():
    """Zero is a local minimum here, and lies 0.69 above the other one."""
    X, y, groups = rows_of_two_minima()
    criterion = criterion_of(X, y, groups, reml=False)
    optimum = minimum(criterion)
    at = criterion(np.array([0.0, ratio(optimum)]))
    assert at.slope[0] > 0
    assert ratio(optimum) == pytest.approx(0.0800926660515309, rel=1e-6)
    assert at.value[0] - at.value[1] == pytest.approx(0.690022176, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_minimum_has_all_digits(seed):
    """The slope is 0 but for rounding, whatever the tolerance."""
    criterion = criterion_of(*simulate(seed, n=300))
    psi = ratio(minimum(criterion, tol=1e-4))
    at = criterion(np.array([psi]))
    assert abs(at.slope[0]) < 1e-7 * at.curvature[0] * psi or psi == 0


def test_newton_takes_few_steps():
    steps = [minimum(criterion_of(*simulate(seed, n=300))).n_iter for seed in range(20)]
    assert max(steps) <= 6


def test_a_variance_that_is_not_there_is_exactly_zero():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 5)
    y = np.tile([-2.0, -1, 0, 1, 2], 10) + 1e-9 * rng.normal(size=50)
    assert ratio(minimum(criterion_of(np.empty((50, 0)), y, groups))) == 0.0


def test_group_dummies_in_x_leave_no_variance():
    """REML does not depend on psi then, so rounding must not decide."""
    X, y, groups = simulate(3)
    X = np.equal.outer(groups, np.unique(groups)[1:]).astype(float)
    assert ratio(minimum(criterion_of(X, y, groups))) == 0.0


def test_y_explained_exactly_within_groups_runs_to_the_limit():
    groups = np.repeat(np.arange(8), 4)
    y = np.random.default_rng(0).normal(size=8)[groups]
    optimum = minimum(criterion_of(np.empty((32, 0)), y, groups))
    assert optimum.Lambda == pytest.approx(LARGEST_SD_RATIO)
    assert optimum.diverged
    assert not optimum.converged


def test_a_large_ratio_costs_no_more_digits_than_the_sums_hold():
    """Group means 1e4 residual standard deviations apart: 8 of 16 digits go into T."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 4)
    level = 1e4 * rng.normal(size=50)
    y = level[groups] + rng.normal(size=200)
    criterion = criterion_of(np.empty((200, 0)), y, groups)
    solution = solve(criterion, minimum(criterion).Lambda)
    means = y.reshape(50, 4).mean(1)
    within = np.sum((y - means[groups]) ** 2) / 150
    assert solution.sigma2 == pytest.approx(within, rel=1e-7)
    expected = np.var(means, ddof=1) - within / 4  # balanced: the anova estimate
    assert solution.sigma2 * solution.Lambda[0, 0] ** 2 == pytest.approx(expected, rel=1e-7)


def test_too_few_iterations_are_reported():
    optimum = minimum(criterion_of(*simulate(0)), max_iter=1, tol=1e-30)
    assert not optimum.converged
    assert optimum.n_iter == 1
    assert ratio(optimum) > 0
