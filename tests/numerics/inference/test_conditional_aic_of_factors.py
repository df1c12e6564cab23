"""Effective degrees of freedom of several factors: dense matrices, and refits of moved y."""

from dataclasses import replace

import numpy as np
import pytest
from nested_and_crossed import make_rows, some_lambdas

from skmixed._numerics.fit.average_information import minimize_factors
from skmixed._numerics.fit.factors import solve_factors
from skmixed._numerics.inference.conditional_aic_of_factors import conditional_aic_of_factors

TOL = 1e-12


@pytest.mark.parametrize(
    ("structure", "variant"),
    [
        ("crossed", "slopes"),
        ("nested three deep", "ml"),
        ("partly nested", "slope of one"),
        ("crossed", "uncorrelated"),
    ],
)
def test_agrees_with_dense_matrices(structure, variant):
    rows = make_rows(structure, variant)
    criterion, Lambdas = rows.criterion, some_lambdas(rows)
    found = conditional_aic_of_factors(criterion, rows.scaled(criterion, Lambdas))
    dense, n = rows.dense(Lambdas), len(rows.y)
    P, sigma2 = dense["P"], dense["sigma2"]
    assert found.dof_fixed_psi == pytest.approx(n - np.trace(P), rel=1e-9)
    expected = n * np.log(2 * np.pi * sigma2) + np.sum((P @ rows.y) ** 2) / sigma2
    assert found.deviance == pytest.approx(expected, rel=1e-9)


def optimum_of(rows, start=None):
    criterion = rows.criterion
    optimum = minimize_factors(criterion, tol=TOL, max_iter=100, start=start)
    return criterion, optimum.Lambdas


def fitted_values(rows, start):
    criterion, Lambdas = optimum_of(rows, start)
    solution = solve_factors(criterion.eliminate(Lambdas), Lambdas)
    fitted = rows.fixed @ solution.beta
    for Z, code, b in zip(rows.Z, rows.codes, solution.b, strict=True):
        fitted = fitted + np.sum(Z * b.T[code], axis=1)
    return fitted


@pytest.mark.parametrize(
    ("structure", "variant", "seed"),
    [
        ("nested", "ml", 0),
        ("crossed", "slope of one", 1),
        ("two and their pairs", "intercepts", 0),  # a variance is 0
    ],
)
def test_degrees_of_freedom_count_how_refitted_values_follow_y(structure, variant, seed):
    rows = make_rows(structure, variant, n=30, seed=seed, shift=0.0)
    criterion, Lambdas = optimum_of(rows)
    start = [Lambda @ Lambda.T for Lambda in Lambdas]
    h, follow = 1e-3, 0.0
    for i, unit in enumerate(np.eye(len(rows.y))):
        up, down = (
            fitted_values(replace(rows, y=rows.y + step * unit), start) for step in (h, -h)
        )
        follow += (up[i] - down[i]) / (2 * h)
    found = conditional_aic_of_factors(criterion, Lambdas)
    assert found.dof == pytest.approx(follow, rel=1e-4)
    assert found.value == found.deviance + 2 * (found.dof + 1)


def test_a_perfect_fit_has_no_finite_deviance():
    rows = make_rows("crossed")
    exact = replace(rows, y=rows.X @ [1.0, 2.0])
    criterion = exact.criterion
    found = conditional_aic_of_factors(criterion, [np.zeros((1, 1))] * 2)
    assert found.value == -np.inf
    assert found.dof == 3


def test_without_variances_the_degrees_of_freedom_are_the_columns():
    criterion = make_rows("crossed").criterion
    found = conditional_aic_of_factors(criterion, [np.zeros((1, 1))] * 2)
    assert found.dof == pytest.approx(3)
