"""The minimum over covariance matrices: global, exact at the boundary, never a saddle."""

import numpy as np
import pytest
from nasty_sets import nasty_criterion, submodels

from skmixed._numerics.fit import criterion_several_columns as covariance
from skmixed._numerics.fit import search_several_columns as covariance_search
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.descent import Search
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.search_several_columns import minimize_covariance
from skmixed._numerics.moments.moments import GroupedMoments


def criterion_of(X, y, groups, random, *, reml=True, **options):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(X, y, codes, labels, random=random)
    return CovarianceCriterion(make_problem(moments, **options), reml)


def minimum(criterion, **options):
    return minimize_covariance(
        criterion,
        **{"diagonal": criterion.problem.diagonal, "tol": 1e-8, "max_iter": 100, **options},
    )


def simulate(seed):
    """Small data: 3 to 24 unbalanced groups, 2 or 3 random columns, some without variance."""
    rng = np.random.default_rng(seed)
    n_groups, q = int(rng.integers(3, 25)), int(rng.integers(2, 4))
    n = int(rng.integers(q * n_groups + 5, 10 * n_groups + 10))
    groups = rng.choice(n_groups, n, p=rng.dirichlet(np.full(n_groups, 2.0)))
    X = rng.normal(size=(n, int(rng.integers(q - 1, 4))))
    b = rng.normal(size=(n_groups, q)) * rng.choice([0, 0.1, 0.3, 1, 3], size=q)
    y = X.sum(1) + b[groups, 0] + rng.normal(size=n)
    y += np.sum(b[groups, 1:] * X[:, : q - 1], axis=1)
    return criterion_of(
        X, y, groups, tuple(range(q)), reml=seed % 2 == 0, diagonal=seed % 5 == 0
    )


def assert_as_good_as_restarts(seed):
    criterion = simulate(seed)
    optimum = minimum(criterion)
    assert optimum.converged
    rng = np.random.default_rng(seed)
    q = len(criterion.problem.C)
    search = Search(criterion.problem.diagonal, 1e-8, 100)
    pattern = np.eye(q) if criterion.problem.diagonal else np.tri(q)
    starts = (
        pattern * rng.normal(size=(q, q)) * rng.choice([0.1, 0.5, 2, 10]) for _ in range(20)
    )
    ends = (search.descend(criterion, start @ start.T).factor.Lambda for start in starts)
    best = min(criterion.value(Lambda) for Lambda in ends)
    assert criterion.value(optimum.Lambda) <= best + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_never_worse_than_twenty_random_restarts(seed):
    assert_as_good_as_restarts(seed)


def restarts(criterion, seed):
    """Ends of 30 descents from random factors, whose rows are of very different sizes."""
    problem, rng = criterion.problem, np.random.default_rng(seed)
    shape, pattern = (problem.q, problem.q), np.eye(problem.q) if problem.diagonal else 1.0
    starts = [
        pattern * np.tril(rng.normal(size=shape)) * 10.0 ** rng.uniform(-2, 2, (problem.q, 1))
        for _ in range(30)
    ]
    search = Search(problem.diagonal, 1e-8, 200, largest_ratio=problem.largest_ratio)
    return search.descend_side_by_side(criterion, [start @ start.T for start in starts])


def is_missed(seed):
    """Whether a nasty set has a lower minimum than the search finds; None if it has none.

    It has none if something runs off to infinity, or is not identified.
    """
    criterion = nasty_criterion(seed)
    if criterion.problem.q < 2 or not criterion.is_identified or criterion.dof < 2:
        return None
    optimum = minimum(criterion)
    ends = restarts(criterion, seed)
    candidates = [end.factor.Lambda for end in ends]
    for columns, part in submodels(criterion):
        Lambda = np.zeros_like(optimum.Lambda)
        found = minimum(part)
        Lambda[np.ix_(columns, range(len(columns)))] = found.Lambda
        candidates.append(Lambda)
    lowest = min(candidates, key=criterion.value)
    end = Search(criterion.problem.diagonal, 1e-8, 200).descend(criterion, lowest @ lowest.T)
    if not end.converged or end.factor.scale.max() > 1e4:
        return None
    best = min(criterion.value(lowest), end.value)
    return criterion.value(optimum.Lambda) > best + 1e-5 * max(1.0, abs(best) / 1000)


@pytest.mark.parametrize("seed", range(6))
def test_no_minimum_is_missed_on_nasty_sets(seed):
    assert not is_missed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 600, 50))
def test_no_minimum_is_missed_on_many_nasty_sets(first):
    missed = {seed: is_missed(seed) for seed in range(first, first + 50)}
    assert sum(one is not None for one in missed.values()) > 35  # they have a minimum
    assert not [seed for seed, is_one in missed.items() if is_one]


@pytest.mark.parametrize("seed", [57, 58, 59])
def test_several_minima_with_many_groups_and_heavy_tails(seed):
    """One start alone ends 15 above the minimum for the first of these."""
    rng = np.random.default_rng(seed)
    n_groups = 501 if seed > 57 else 201
    groups = np.repeat(np.arange(n_groups), 4)
    X = np.exp(1.5 * rng.normal(size=(len(groups), 2)))
    b = 0.5 * rng.normal(size=(n_groups, 3))[groups]
    y = b[:, 0] + (np.log(X) / 1.5 * b[:, 1:]).sum(1)
    y = y + np.exp(1.5 * rng.normal(size=len(groups)))
    criterion = criterion_of(X, y, groups, (0, 1, 2))
    search = Search(False, 1e-8, 100)
    ratios = (1.0, 0.003, 0.05, 0.3, 5.0, 30.0, 1000.0)
    ends = [search.descend(criterion, ratio * np.eye(3)).factor.Lambda for ratio in ratios]
    best = min(criterion.value(Lambda) for Lambda in ends)
    assert criterion.value(minimum(criterion).Lambda) <= best + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_no_direction_leads_down(seed):
    """First and second order conditions, with random admissible changes of Psi."""
    criterion = simulate(seed)
    Lambda = minimum(criterion).Lambda
    value, rng = criterion.value(Lambda), np.random.default_rng(seed)
    q = len(Lambda)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(10):
            change = rng.normal(size=(q, q))
            if criterion.problem.diagonal:
                change = np.diag(np.diag(change))
            assert criterion.value(Lambda + size * change) >= value - 1e-7


@pytest.mark.parametrize("seed", range(20))
def test_the_end_does_not_depend_on_the_start(seed):
    """To more digits than the criterion has."""
    criterion = simulate(seed)
    Lambda = minimum(criterion).Lambda
    rng, q = np.random.default_rng(seed), len(Lambda)
    nearby = np.eye(q) * rng.uniform(0.8, 1.2, q)
    if not criterion.problem.diagonal:
        nearby += 0.05 * rng.normal(size=(q, q))
    again = minimum(criterion, start=nearby @ Lambda).Lambda
    Psi = Lambda @ Lambda.T
    np.testing.assert_allclose(again @ again.T, Psi, rtol=0, atol=1e-10 * np.abs(Psi).max())


def sleep_like(slope_sd, seed=0, n_groups=20):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), 8)
    x = np.tile(np.arange(8.0), n_groups)
    b = rng.normal(size=(n_groups, 2)) * [1.0, slope_sd]
    y = b[groups, 0] + b[groups, 1] * x + rng.normal(size=len(groups))
    return x[:, None], y, groups


def test_a_variance_that_is_not_there_is_exactly_zero():
    X, y, groups = sleep_like(0.0)
    slopes = np.array([np.polyfit(X[groups == g, 0], y[groups == g], 1)[0] for g in range(20)])
    y = y - (slopes - slopes.mean())[groups] * (X[:, 0] - 3.5)  # equal slopes within groups
    optimum = minimum(criterion_of(X, y, groups, (0, 1)))
    assert optimum.converged
    assert np.count_nonzero(optimum.Lambda.any(axis=0)) == 1
    optimum = minimum(criterion_of(X, y, groups, (0, 1), diagonal=True))
    np.testing.assert_array_equal(optimum.Lambda != 0, [[True, False], [False, False]])


def test_a_saddle_is_left():
    """Without slope variance the gradient in Lambda vanishes there, though S says to move."""
    X, y, groups = sleep_like(1.0)
    criterion = criterion_of(X, y, groups, (0, 1))
    search = Search(False, 1e-8, 100)
    stuck = search.descend(
        criterion_of(X, y, groups, (0, 1), diagonal=True), np.diag([1.0, 0.0])
    )
    for start in (
        np.zeros((2, 2)),
        np.diag([1.0, 0.0]),
        stuck.factor.Lambda @ stuck.factor.Lambda.T,
    ):
        state = search.descend(criterion, start)
        assert state.converged
        assert criterion.value(state.factor.Lambda) == pytest.approx(
            criterion.value(minimum(criterion).Lambda), abs=1e-7
        )


def test_random_effects_that_explain_y_exactly_run_off():
    X, y, groups = sleep_like(1.0)
    rng = np.random.default_rng(0)
    y = rng.normal(size=20)[groups] + rng.normal(size=20)[groups] * X[:, 0]
    optimum = minimum(criterion_of(X, y, groups, (0, 1)))
    assert optimum.diverged
    assert not optimum.converged


def test_too_few_iterations_are_reported():
    optimum = minimum(criterion_of(*sleep_like(1.0), (0, 1)), max_iter=2)
    assert not optimum.converged
    assert optimum.Lambda.any()


def test_descents_side_by_side_end_where_they_end_alone(monkeypatch):
    criterion = simulate(7)
    search = Search(criterion.problem.diagonal, 1e-8, 100)
    starts = [ratio * np.eye(len(criterion.problem.C)) for ratio in covariance_search.STARTS]
    together = search.descend_side_by_side(criterion, starts)
    monkeypatch.setattr(covariance, "LARGE_SUMS", 1)
    one_by_one = search.descend_side_by_side(criterion, starts)
    assert len(together) == len(one_by_one) == len(starts)
    for ends in (together, one_by_one):
        for state in ends:
            assert state.converged
            assert state.value == pytest.approx(criterion.value(state.factor.Lambda), abs=1e-7)
    for state, alone in zip(together, one_by_one, strict=True):
        np.testing.assert_allclose(state.factor.Psi, alone.factor.Psi, atol=1e-7)


def test_a_start_from_a_sample_of_groups_ends_at_the_same_place(monkeypatch):
    criterion = criterion_of(*sleep_like(0.5, n_groups=600), (0, 1))
    whole = minimum(criterion)
    monkeypatch.setattr(covariance_search, "SAMPLE_GROUPS", (200, 50))
    monkeypatch.setattr(covariance_search, "MANY_GROUPS", 100)
    assert len(covariance_search._ever_smaller_samples(criterion)) == 3
    sampled = minimum(criterion)
    np.testing.assert_allclose(
        sampled.Lambda @ sampled.Lambda.T, whole.Lambda @ whole.Lambda.T, rtol=1e-6, atol=1e-9
    )


def test_one_group_leaves_nothing_to_estimate():
    X, y, _ = sleep_like(1.0)
    assert not minimum(criterion_of(X, y, np.zeros(len(y)), (0, 1))).Lambda.any()
