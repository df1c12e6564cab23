"""The parts of the variance of y against what is computed from the rows."""

import numpy as np
import pytest

from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.inference.explained_variance import explained_variance
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed.datasets import load_sleepstudy


def fit(X, y, groups, random=(0, 1), *, sample_weight=None, **structure):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(
        X, y, codes, labels, random=random, sample_weight=sample_weight
    )
    problem = make_problem(moments, **structure)
    criterion, optimum = estimate(problem, reml=True, tol=1e-10, max_iter=99)
    return criterion, optimum.Lambda


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 12, 90)
    X = rng.normal(size=(90, 3)) * [1, 20, 0.1] + [0, 5, 1]
    b = rng.normal(size=(12, 2))[groups]
    return X, X @ [1, 0.1, 2] + b[:, 0] + b[:, 1] * X[:, 0] + rng.normal(size=90), groups


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "structure",
    [
        {},
        {"random": (0,)},
        {"fit_intercept": False},
        {"diagonal": True},
        {"random_intercept": False},
        {"random_intercept": False, "fit_intercept": False},
        {"fixed_slopes": False},
    ],
    ids=str,
)
def test_agrees_with_the_rows(rows, structure, weighted):
    X, y, groups = rows
    X = np.column_stack([X, X[:, 0] - X[:, 1]])  # a dependent column
    weight = np.random.default_rng(1).integers(1, 4, 90) if weighted else np.ones(90, int)
    criterion, Lambda = fit(X, y, groups, sample_weight=weight.astype(float), **structure)
    solution = solve(criterion, Lambda)
    found = explained_variance(criterion, Lambda)
    repeated = np.repeat(X, weight, axis=0)
    D = np.column_stack([np.ones(len(repeated)), repeated])
    Z = D[:, list(structure.get("random", (0, 1)))]
    Z = Z[:, 1:] if structure.get("random_intercept") is False else Z
    D = D[:, 1:] if structure.get("fit_intercept") is False else D
    assert found.fixed == pytest.approx(np.var(D @ solution.beta, ddof=1), rel=1e-9)
    ZL = Z @ solution.Lambda
    random = solution.sigma2 * np.mean(np.sum(ZL**2, axis=1))
    assert found.random == pytest.approx(random, rel=1e-9)
    assert found.residual == pytest.approx(solution.sigma2)
    total = found.fixed + random + found.residual
    assert found.marginal == pytest.approx(found.fixed / total)
    assert found.conditional == pytest.approx(1 - found.residual / total)


def test_sleepstudy_has_the_shares_that_mumin_prints():
    X, y, subject = load_sleepstudy(return_X_y=True)
    found = explained_variance(*fit(X.to_numpy(float), y.to_numpy(), subject))
    assert found.marginal == pytest.approx(0.2787, abs=5e-5)
    assert found.conditional == pytest.approx(0.7992, abs=5e-5)


def test_units_and_offsets_do_not_matter(rows):
    X, y, groups = rows
    one = explained_variance(*fit(X, y, groups))
    other = explained_variance(*fit(1e3 * X - 1e5, 1e-4 * y + 1, groups))
    assert other.fixed == pytest.approx(1e-8 * one.fixed, rel=1e-6)
    assert other.marginal == pytest.approx(one.marginal, rel=1e-6)
    assert other.conditional == pytest.approx(one.conditional, rel=1e-6)


def test_a_perfect_fit_explains_all_and_a_constant_nothing(rows):
    X, _, groups = rows
    perfect = explained_variance(*fit(X, X.sum(1), groups))
    assert perfect.marginal == perfect.conditional == 1.0
    constant = explained_variance(*fit(X, np.full(90, 3.0), groups))
    assert np.isnan(constant.marginal)
    assert np.isnan(constant.conditional)


def test_without_groups_there_is_no_random_part(rows):
    X, y, _ = rows
    moments = GroupedMoments.from_rows(X, y, None, np.array([]))
    criterion, optimum = estimate(make_problem(moments), reml=True, tol=1e-8, max_iter=9)
    found = explained_variance(criterion, optimum.Lambda)
    assert found.random == 0.0
    assert found.marginal == found.conditional > 0
