"""Residual variances by stratum: the criterion and its gradient against dense matrices."""

import numpy as np
import pytest

from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.strata import (
    NoDigitsError,
    StrataSums,
    VanishingVarianceError,
    fit_strata,
)
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.strata import StratifiedMoments


def simulate(seed=0, n=90, n_groups=8, n_strata=3):
    rng = np.random.default_rng(seed)
    codes, strata = rng.integers(0, n_groups, n), rng.integers(0, n_strata, n)
    X = rng.normal(3, 1, (n, 2))
    y = X[:, 0] + rng.normal(size=n_groups)[codes] + (1 + strata) * rng.normal(size=n)
    return X, y, codes, strata


def summed(X, y, codes, strata, weight=None, random=(0, 1)):
    labels = np.arange(codes.max() + 1)
    total = GroupedMoments.from_rows(X, y, codes, labels, weight, random=random)
    rows = (X, y, codes, labels, weight, strata)
    return StratifiedMoments.from_rows(*rows, total=total)


def dense_criterion(X, y, Z, codes, variances, Psi, *, reml):
    """Up to a constant, profiled to beta and a common factor of all variances."""
    same = codes[:, None] == codes
    V = np.diag(variances) + same * (Z @ Psi @ Z.T)
    A = X.T @ np.linalg.solve(V, X)
    beta = np.linalg.solve(A, X.T @ np.linalg.solve(V, y))
    r2 = (y - X @ beta) @ np.linalg.solve(V, y - X @ beta)
    dof = len(y) - X.shape[1] * reml
    value = np.linalg.slogdet(V)[1] + dof * (1 + np.log(2 * np.pi * r2 / dof))
    return value + np.linalg.slogdet(A)[1] * reml


def test_moments_of_strata_sum_to_those_of_all_rows():
    X, y, codes, strata = simulate()
    moments = summed(X, y, codes, strata)
    np.testing.assert_allclose(moments.T.sum(axis=0), moments.total.T, atol=1e-9)
    np.testing.assert_allclose(moments.C.sum(axis=0), moments.total.C, atol=1e-9)
    w = np.array([0.5, 2.0, 1.5])
    weighted = GroupedMoments.from_rows(
        X, y, codes, moments.total.labels, w[strata], random=(0, 1), shift=moments.total.shift
    )
    np.testing.assert_allclose(moments.weighted(w).T, weighted.T, atol=1e-9)
    np.testing.assert_allclose(moments.weighted(w).C, weighted.C, atol=1e-9)
    T, C = moments.around(np.zeros(4))
    zero = moments.total.around(np.zeros(4))
    np.testing.assert_allclose(T.sum(axis=0), zero.T, rtol=1e-10)
    np.testing.assert_allclose(C.sum(axis=0), zero.C, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("random", [(0,), (0, 1)])
def test_gradient_is_that_of_the_dense_criterion(random, reml):
    X, y, codes, strata = simulate()
    moments = summed(X, y, codes, strata, random=random)
    w = np.array([0.6, 1.3, 1.0])
    specification = Specification(reml=reml)
    coordinates = specification.problem(moments.weighted(w)).coordinates
    q = len(random)
    Psi = np.diag([0.4, 0.2])[:q, :q] + 0.05
    found = StrataSums.of(moments, coordinates).at(Psi, w).gradient(w, moments.n, reml=reml)
    # Psi in the units of the user's columns
    back = coordinates.random_backmap
    Psi = back @ Psi @ back.T
    D = np.column_stack([np.ones(len(y)), X])

    def value(log_w):
        variances = np.exp(-log_w)[strata]
        return dense_criterion(D, y, D[:, list(random)], codes, variances, Psi, reml=reml)

    steps = 1e-5 * np.eye(3)
    numeric = [(value(np.log(w) + h) - value(np.log(w) - h)) / 2e-5 for h in steps]
    np.testing.assert_allclose(found, numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_criterion_is_the_dense_one_and_least(reml):
    X, y, codes, strata = simulate(1)
    found = fit_strata(
        summed(X, y, codes, strata), Specification(reml=reml), tol=1e-8, max_iter=100
    )
    assert found.converged
    D, solution = np.column_stack([np.ones(len(y)), X]), found.fit.solution
    Psi = solution.Lambda @ solution.Lambda.T

    def value(log_w):
        variances = np.exp(-log_w)[strata]
        return dense_criterion(D, y, D[:, :2], codes, variances, Psi, reml=reml)

    least = value(np.log(found.w))
    assert found.criterion == pytest.approx(least, abs=1e-8)
    rng = np.random.default_rng(0)
    assert all(value(np.log(found.w) + 0.01 * rng.normal(size=3)) > least for _ in range(10))


def test_weights_sum_to_the_number_of_rows():
    X, y, codes, strata = simulate(2)
    weight = np.random.default_rng(0).integers(1, 4, len(y)).astype(float)
    moments = summed(X, y, codes, strata, weight)
    found = fit_strata(moments, Specification(), tol=1e-8, max_iter=100)
    assert found.w @ moments.n == pytest.approx(weight.sum())
    assert found.fit.problem.n == pytest.approx(weight.sum())


def test_vanishing_variances_are_found():
    X, y, codes, strata = simulate(3)
    single = np.where(np.arange(len(y)) == 7, 3, strata)
    with pytest.raises(VanishingVarianceError, match="stratum 3 goes to 0"):
        fit_strata(summed(X, y, codes, single), Specification(), tol=1e-8, max_iter=100)
    exact = np.where(strata == 1, X[:, 0] + codes, y)
    with pytest.raises(VanishingVarianceError, match="stratum 1 goes to 0"):
        fit_strata(summed(X, exact, codes, strata), Specification(), tol=1e-8, max_iter=100)
    with pytest.raises(NoDigitsError, match="digits"):
        fit_strata(
            summed(X, X[:, 0] + codes, codes, strata), Specification(), tol=1e-8, max_iter=100
        )
