"""Predictions, random effects and degrees of freedom with several factors, by dense algebra."""

from dataclasses import replace

import numpy as np
import pytest
from dense_oracle import dense_kenward_roger, dense_satterthwaite
from nested_and_crossed import STRUCTURES, make_rows, some_lambdas

from skmixed._numerics.fit.average_information import FactorsOptimum
from skmixed._numerics.fit.factor import changes_of_psi
from skmixed._numerics.fit.factors import FactorFit, solve_factors
from skmixed._numerics.fit.fit import Fit
from skmixed._numerics.inference.degrees_of_freedom import (
    VarianceUncertainty,
    kenward_roger,
    satterthwaite,
)
from skmixed._numerics.inference.degrees_of_freedom_of_factors import (
    satterthwaite_of_factors,
    variance_uncertainty,
)
from skmixed._numerics.inference.prediction_of_factors import FactorsUncertainty, predict_rows

CASES = [(s, v) for s in STRUCTURES for v in ("intercepts", "slopes")]
CASES += [
    ("crossed", v) for v in ("uncorrelated", "weights", "ml", "slope of one", "slope alone")
]
# a fit with its variances within the parameter space
INTERIOR = [
    ("crossed", "intercepts"),
    ("nested", "intercepts"),
    ("three crossed", "intercepts"),
    ("crossed", "slopes"),
    ("crossed", "weights"),
    ("crossed", "ml"),
    ("nested three deep", "intercepts"),
]


def fit_at(rows, Lambdas):
    """A fit whose Lambdas are given, not found."""
    criterion = rows.criterion
    scaled = rows.scaled(criterion, Lambdas)
    at = criterion.eliminate(scaled)
    optimum = FactorsOptimum(scaled, at.value, 1, 1, converged=True)
    return FactorFit(criterion.problem, criterion, optimum, at, solve_factors(at, scaled))


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_solution_is_that_of_dense_algebra(structure, variant):
    rows = make_rows(structure, variant)
    Lambdas = some_lambdas(rows)
    solution, dense = fit_at(rows, Lambdas).solution, rows.dense(Lambdas)
    np.testing.assert_allclose(solution.beta, dense["beta"], rtol=1e-8)
    np.testing.assert_allclose(solution.beta_cov, dense["beta_cov"], rtol=1e-7, atol=1e-10)
    assert solution.sigma2 == pytest.approx(dense["sigma2"], rel=1e-9)
    assert solution.criterion == pytest.approx(dense["criterion"], rel=1e-9)
    np.testing.assert_allclose(
        np.concatenate([b.ravel() for b in solution.b]), dense["b"], atol=1e-8
    )
    start = 0
    parts = zip(solution.posterior, solution.pooling_weights, Lambdas, strict=True)
    for posterior, weights, Lambda in parts:
        q, _, J = posterior.shape
        H = dense["H"][start : start + q * J, start : start + q * J].reshape(q, J, q, J)
        expected = dense["sigma2"] * np.einsum("ajbj->abj", H)
        np.testing.assert_allclose(posterior, expected, rtol=1e-7, atol=1e-10)
        variances = dense["sigma2"] * np.diag(Lambda @ Lambda.T)
        left = np.einsum("aaj->aj", expected)
        np.testing.assert_allclose(weights, 1 - left / variances[:, None], atol=1e-8)
        start += q * J


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_random_effects_are_as_uncertain_as_with_dense_algebra(structure, variant):
    rows = make_rows(structure, variant)
    Lambdas = some_lambdas(rows)
    fit, dense = fit_at(rows, Lambdas), rows.dense(Lambdas)
    own = FactorsUncertainty.of_fit(fit.at, fit.optimum.Lambdas).of_random_effects()
    HC = dense["H"] @ dense["C_X"]
    full, start = dense["H"] + HC @ dense["A_inv"] @ HC.T, 0
    for variances, coordinates in zip(own, fit.problem.by_factor, strict=True):
        back = coordinates.random_backmap
        q, _, J = variances.shape
        expected = full[start : start + q * J, start : start + q * J].reshape(q, J, q, J)
        mine = np.einsum("ac,cdj,bd->abj", back, variances, back)
        np.testing.assert_allclose(mine, np.einsum("ajbj->abj", expected), atol=1e-9)
        start += q * J


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_prediction_variance_is_that_of_dense_algebra(structure, variant):
    rows = make_rows(structure, variant)
    Lambdas = some_lambdas(rows)
    fit, dense = fit_at(rows, Lambdas), rows.dense(Lambdas)
    rng = np.random.default_rng(2)
    n = 60
    X = rng.normal(loc=[5.0, 0.0], size=(n, 2))
    # any levels together, also those that never met, and a new one every so often
    levels = [rng.integers(-1, code.max() + 1, size=n) for code in rows.codes]
    mean, variance = predict_rows(fit, X, levels)
    fixed = np.column_stack([np.ones(n), X])
    Z, start, new = np.zeros((n, len(dense["b"]))), 0, np.zeros(n)
    for code, columns, of, level, Lambda in zip(
        rows.codes, rows.random, rows.specifications, levels, Lambdas, strict=True
    ):
        z = fixed[:, list(columns if of.random_intercept else columns[1:])]
        J = code.max() + 1
        known = np.flatnonzero(level >= 0)
        for a in range(z.shape[1]):
            Z[known, start + level[known]] = z[known, a]
            start += J
        new += (level < 0) * np.sum((z @ Lambda) ** 2, axis=1)
    np.testing.assert_allclose(mean, fixed @ dense["beta"] + Z @ dense["b"], rtol=1e-9)
    a = fixed - Z @ dense["H"] @ dense["C_X"]
    expected = np.sum((Z @ dense["H"]) * Z, axis=1) + np.sum((a @ dense["A_inv"]) * a, axis=1)
    np.testing.assert_allclose(variance, dense["sigma2"] * (expected + new), rtol=1e-8)


@pytest.mark.parametrize("structure", ["crossed", "nested three deep", "partly nested"])
@pytest.mark.parametrize(
    "options",
    [
        {"fit_intercept": False},
        {"not_fixed": (1,)},
        {"fit_intercept": False, "not_fixed": (1,)},
    ],
)
def test_columns_need_not_be_fixed(structure, options):
    rows = replace(make_rows(structure, "slopes"), **options)
    Lambdas = some_lambdas(rows)
    fit, dense = fit_at(rows, Lambdas), rows.dense(Lambdas)
    assert fit.solution.criterion == pytest.approx(dense["criterion"], rel=1e-9)
    np.testing.assert_allclose(
        np.concatenate([b.ravel() for b in fit.solution.b]), dense["b"], atol=1e-7
    )
    beta = np.zeros(3)
    left = [c for c in range(3) if c not in rows.not_fixed and (c or rows.fit_intercept)]
    beta[left] = dense["beta"]
    np.testing.assert_allclose(
        fit.solution.beta, beta[0 if rows.fit_intercept else 1 :], rtol=1e-7
    )
    mean, _ = predict_rows(fit, rows.X, rows.codes)
    start = 0
    expected = rows.fixed @ dense["beta"]
    for Z in dense["Z"]:
        expected = expected + Z @ dense["b"][start : start + Z.shape[1]]
        start += Z.shape[1]
    np.testing.assert_allclose(mean, expected, rtol=1e-7)


def directions_of(problem):
    return [
        changes_of_psi(q, diagonal=diagonal)
        for q, diagonal in zip(problem.q, problem.diagonal, strict=True)
    ]


@pytest.mark.parametrize(("structure", "variant"), [c for c in CASES if c[1] != "ml"])
def test_kenward_roger_is_that_of_dense_algebra(structure, variant):
    rows = make_rows(structure, variant)
    Lambdas = some_lambdas(rows)
    criterion, dense = rows.criterion, rows.dense(Lambdas)
    backmap = criterion.problem.coordinates.backmap
    uncertainty = variance_uncertainty(criterion, rows.scaled(criterion, Lambdas))
    df, variances = kenward_roger(uncertainty, backmap)
    expected = dense_kenward_roger(
        dense, rows.fixed, directions_of(criterion.problem), np.eye(3)
    )
    np.testing.assert_allclose(df, expected[0], rtol=1e-6)
    scale = criterion.problem.coordinates.y_scale
    np.testing.assert_allclose(variances / scale**2, expected[1], rtol=1e-6)


@pytest.mark.parametrize(("structure", "variant"), INTERIOR)
def test_satterthwaite_is_that_of_dense_algebra(structure, variant):
    rows = make_rows(structure, variant, n=300)
    fit = FactorFit.of(rows.moments, rows.specifications, tol=1e-9, max_iter=100)
    assert not any(fit.singular)
    backmap = fit.problem.coordinates.backmap
    df = satterthwaite_of_factors(fit.criterion, fit.optimum.Lambdas, backmap)
    dense = rows.dense(fit.solution.Lambdas)
    expected = dense_satterthwaite(
        dense, rows.fixed, rows.y, directions_of(fit.problem), np.eye(3), reml=rows.reml
    )
    np.testing.assert_allclose(df, expected, rtol=1e-5)


def test_singular_factor_leaves_the_fit_of_the_others():
    rows = make_rows("crossed")
    (a, _), rng = rows.codes, np.random.default_rng(3)
    y = rng.normal(size=len(a)) + rng.normal(size=7)[a]  # nothing of b
    rows = replace(rows, y=y)
    fit = FactorFit.of(rows.moments, rows.specifications, tol=1e-8, max_iter=100)
    assert fit.singular == (False, True)
    assert fit.solution.rank == (1, 0)
    assert not fit.solution.Lambdas[1].any()
    alone = Fit.of(rows.moments.factors[0], rows.specifications[0], tol=1e-8, max_iter=100)
    assert fit.solution.criterion == pytest.approx(alone.solution.criterion, abs=1e-8)
    np.testing.assert_allclose(fit.solution.b[0], alone.solution.b, rtol=1e-5)
    np.testing.assert_array_equal(fit.solution.b[1], 0)
    np.testing.assert_array_equal(fit.solution.pooling_weights[1], 0)
    df = satterthwaite_of_factors(
        fit.criterion, fit.optimum.Lambdas, fit.problem.coordinates.backmap
    )
    expected = satterthwaite(
        rows.specifications[0].criterion(rows.moments.factors[0]),
        alone.optimum.Lambda,
        alone.problem.coordinates.backmap,
    )
    np.testing.assert_allclose(df, expected, rtol=1e-5)


@pytest.mark.parametrize("variant", ["intercepts", "slopes", "uncorrelated", "weights", "ml"])
def test_one_factor_is_a_case_of_several(variant):
    rows = make_rows("crossed", variant, n=200)
    one = replace(
        rows,
        codes=rows.codes[:1],
        random=rows.random[:1],
        diagonal=rows.diagonal and rows.diagonal[:1],
    )
    fit = FactorFit.of(one.moments, one.specifications, tol=1e-8, max_iter=100)
    moments, specification = one.moments.factors[0], one.specifications[0]
    alone = Fit.of(moments, specification, tol=1e-8, max_iter=100)
    assert fit.solution.criterion == pytest.approx(alone.solution.criterion, abs=1e-8)
    np.testing.assert_allclose(fit.solution.b[0], alone.solution.b, atol=1e-5)
    np.testing.assert_allclose(
        fit.solution.pooling_weights[0], alone.solution.pooling_weights, atol=1e-5
    )
    criterion, backmap = specification.criterion(moments), fit.problem.coordinates.backmap
    own = alone.problem.coordinates.backmap  # around other means
    df = satterthwaite_of_factors(fit.criterion, fit.optimum.Lambdas, backmap)
    np.testing.assert_allclose(
        df, satterthwaite(criterion, alone.optimum.Lambda, own), rtol=1e-5
    )
    if one.reml:
        factors = variance_uncertainty(fit.criterion, fit.optimum.Lambdas)
        single = VarianceUncertainty.from_criterion(criterion, alone.optimum.Lambda)
        several, single = kenward_roger(factors, backmap), kenward_roger(single, own)
        np.testing.assert_allclose(several, single, rtol=1e-5)
