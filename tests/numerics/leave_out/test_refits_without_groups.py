"""Refits without each group, against fits from scratch."""

import numpy as np
import pytest

from skmixed._numerics.fit.close_by import first_steps
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.leave_out import criteria_without_groups
from skmixed._numerics.leave_out.criteria_without_groups import (
    LeftOut,
    RatioCriteriaWithoutGroups,
)
from skmixed._numerics.leave_out.refits_without_groups import (
    _gradients_without,
    refit_without_each,
)
from skmixed._numerics.moments.by_group import cross_products_by_group
from skmixed._numerics.moments.moments import GroupedMoments

N_GROUPS = 60
OPTIONS = {"tol": 1e-8, "max_iter": 100}


def simulate(seed=0, weighted=False):
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(N_GROUPS), rng.integers(2, 9, N_GROUPS)))
    X = rng.normal([0.0, 3.0], 1.0, size=(len(codes), 2))
    b = rng.normal(size=(N_GROUPS, 3))[codes]
    y = b[:, 0] + X @ [1.0, 2.0] + b[:, 1] * X[:, 0] + rng.normal(size=len(codes))
    return X, y, codes, rng.uniform(0.5, 2.0, len(codes)) if weighted else None


def fit(rows, random, kept=slice(None), *, reml=True, **structure):
    X, y, codes, weight = rows
    labels, codes = np.unique(codes[kept], return_inverse=True)
    weight = None if weight is None else weight[kept]
    moments = GroupedMoments.from_rows(X[kept], y[kept], codes, labels, weight, random=random)
    criterion, optimum = estimate(make_problem(moments, **structure), reml=reml, **OPTIONS)
    return moments, criterion, optimum


def refit(rows, moments, criterion, optimum):
    X, y, codes, weight = rows
    ((groups, _, _, products),) = cross_products_by_group(
        X, y, codes, N_GROUPS, shift=criterion.problem.coordinates.shift, sample_weight=weight
    )
    return refit_without_each(
        criterion, optimum.Lambda, groups, products, moments.sizes, tol=1e-8
    )


def coefficients(criterion, optimum):
    beta, _ = criterion.coefficients(criterion.eliminate(optimum.Lambda)[1])
    return criterion.problem.coordinates.to_user_coefficients(beta)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
@pytest.mark.parametrize(
    ("random", "structure"),
    [
        ((0,), {}),
        ((0,), {"fit_intercept": False}),
        ((0, 1), {"random_intercept": False}),
        ((0, 1), {}),
        ((0, 1), {"diagonal": True}),
        ((0, 1), {"fixed_slopes": False}),
    ],
    ids=["intercept", "no fixed intercept", "slope alone", "slope", "diagonal", "not fixed"],
)
def test_as_fits_from_scratch(random, structure, reml, weighted):
    rows = simulate(weighted=weighted)
    whole = fit(rows, random, reml=reml, **structure)
    refits = refit(rows, *whole)
    assert refits.found.mean() > 0.9
    coordinates = whole[1].problem.coordinates
    for group in np.flatnonzero(refits.found)[::7]:
        _, criterion, optimum = fit(rows, random, rows[2] != group, reml=reml, **structure)
        expected = coefficients(criterion, optimum)
        np.testing.assert_allclose(refits.beta[group], expected, atol=1e-10)
        factor = criterion.problem.coordinates.to_user_factor(optimum.Lambda)
        found = coordinates.to_user_factor(refits.Lambda[group])
        np.testing.assert_allclose(found @ found.T, factor @ factor.T, atol=1e-7)


def test_the_criteria_are_those_without_a_group():
    rows = simulate()
    _, criterion, _ = whole = fit(rows, (0,))
    ((groups, _, _, products),) = cross_products_by_group(
        *rows[:3], N_GROUPS, shift=criterion.problem.coordinates.shift
    )
    T_groups = criterion.problem.coordinates.cross_products(products)
    n = criterion.problem.n - whole[0].sizes
    psi = np.random.default_rng(0).uniform(0.1, 2.0, N_GROUPS)
    at = RatioCriteriaWithoutGroups.from_groups(criterion, LeftOut(groups, T_groups, n))(psi)
    for group in (0, 7, 31):
        alone = fit(rows, (0,), rows[2] != group)[1]
        scale = (
            criterion.problem.coordinates.random_backmap[0, 0]
            / alone.problem.coordinates.random_backmap[0, 0]
        )
        expected = alone(psi[[group]] * scale**2)
        assert at.slope[group] == pytest.approx(expected.slope[0] * scale**2, rel=1e-9)
        assert at.curvature[group] == pytest.approx(expected.curvature[0] * scale**4, rel=1e-9)


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
def test_gradients_without_a_group_agree_with_evaluations(reml):
    rows = simulate()
    moments, criterion, optimum = fit(rows, (0, 1), reml=reml)
    problem = criterion.problem
    ((groups, _, _, products),) = cross_products_by_group(
        *rows[:3], N_GROUPS, shift=problem.coordinates.shift
    )
    T_groups = problem.coordinates.cross_products(products)
    n = problem.n - moments.sizes
    S = _gradients_without(criterion, optimum.Lambda, LeftOut(groups, T_groups, n))
    for group in (0, 13):
        _, alone, _ = fit(rows, (0, 1), rows[2] != group, reml=reml)
        change = np.linalg.solve(
            alone.problem.coordinates.random_backmap, problem.coordinates.random_backmap
        )
        expected = change.T @ alone(change @ optimum.Lambda).S @ change
        np.testing.assert_allclose(S[group], expected, atol=1e-8)


def test_first_steps_lead_where_the_gradient_is_of_second_order():
    _, criterion, optimum = fit(simulate(), (0, 1))
    S = 0.1 * np.array([[[1.0, 0.2], [0.2, -0.5]], [[0.0, 0.0], [0.0, 0.0]]])
    ends, predicted_decrease = first_steps(criterion, optimum.Lambda, S, diagonal=False)
    assert predicted_decrease[0] > 0
    assert predicted_decrease[1] == 0
    np.testing.assert_allclose(criterion(ends[0]).S, -S[0], atol=0.01)
    np.testing.assert_allclose(ends[1] @ ends[1].T, optimum.Lambda @ optimum.Lambda.T)


def test_interpolated_sums_have_all_digits():
    _, criterion, _ = fit(simulate(weighted=True), (0,))
    assert criterion.between.ndim == 2
    psi = np.random.default_rng(0).uniform(0.3, 1.1, 200)
    interpolated = criteria_without_groups._interpolated(criterion.sums, psi)
    for found, expected in zip(interpolated, criterion.sums(psi), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_what_has_to_be_looked_at_is_not_found():
    X, y, codes, _ = simulate()
    X = np.column_stack([X, codes == 3, np.where(codes == 5, 1e4 * X[:, 0], X[:, 1] ** 2)])
    y = y + 200.0 * (codes == 8)  # without this group the variance is another one
    rows = X, y, codes, None
    for random in ((0,), (0, 1)):
        found = refit(rows, *fit(rows, random)).found
        assert not found[[3, 5, 8]].any()
        assert found.mean() > 0.8


def test_the_criterion_may_not_be_that_of_one_minimum():
    _, _, optimum = fit(simulate(), (0, 1))
    assert optimum.is_only_minimum
    rng = np.random.default_rng(57)  # two minima, as in the tests of the search
    codes = np.repeat(np.arange(201), 4)
    X = np.exp(1.5 * rng.normal(size=(len(codes), 2)))
    b = 0.5 * rng.normal(size=(201, 3))[codes]
    y = b[:, 0] + (np.log(X) / 1.5 * b[:, 1:]).sum(1)
    y = y + np.exp(1.5 * rng.normal(size=len(codes)))
    _, criterion, optimum = fit((X, y, codes, None), (0, 1, 2))
    assert isinstance(criterion, CovarianceCriterion)
    assert not optimum.is_only_minimum
