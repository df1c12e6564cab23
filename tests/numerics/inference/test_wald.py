"""F tests of several contrasts: by dense algebra, and what must hold of any covariance."""

import numpy as np
import pytest
from dense_oracle import dense_kenward_roger_f, dense_satterthwaite
from hypothesis import given, settings
from hypothesis import strategies as st
from nested_and_crossed import make_rows, some_lambdas

from skmixed._numerics.fit.factor import changes_of_psi
from skmixed._numerics.fit.factors import FactorFit
from skmixed._numerics.inference.degrees_of_freedom import kenward_roger_f
from skmixed._numerics.inference.degrees_of_freedom_of_factors import (
    satterthwaite_of_factors,
    variance_uncertainty,
)
from skmixed._numerics.inference.wald import (
    combined_df,
    independent_rows,
    products_with_dummies,
    sequential_contrasts,
    uncorrelated,
)

CONTRASTS = np.array([[0.0, 1.0, 0.0], [0.5, 1.0, -2.0]])


def directions_of(problem):
    parts = zip(problem.q, problem.diagonal, strict=True)
    return [changes_of_psi(q, diagonal=diagonal) for q, diagonal in parts]


def both_f(structure, variant):
    """Kenward and Roger's F, and that of dense algebra."""
    rows = make_rows(structure, variant)
    Lambdas, values = some_lambdas(rows), np.array([0.3, -0.2])
    criterion, dense = rows.criterion, rows.dense(Lambdas)
    coordinates, directions = criterion.problem.coordinates, directions_of(criterion.problem)
    uncertainty = variance_uncertainty(criterion, rows.scaled(criterion, Lambdas))
    found = kenward_roger_f(
        uncertainty, values * coordinates.y_scale, CONTRASTS @ coordinates.backmap
    )
    return found, dense_kenward_roger_f(dense, rows.fixed, directions, CONTRASTS, values)


@pytest.mark.parametrize(
    ("structure", "variant"),
    [("nested", "intercepts")]
    + [("crossed", variant) for variant in ("intercepts", "slopes", "weights", "uncorrelated")],
)
def test_kenward_rogers_f_is_that_of_dense_algebra(structure, variant):
    found, expected = both_f(structure, variant)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_kenward_rogers_f_needs_groups():
    found, (_, df, _) = both_f("nested", "slopes")
    assert df < 2  # F of so few has no mean to match
    np.testing.assert_array_equal(found, [np.nan, 0.0, np.nan])


def test_satterthwaites_f_is_that_of_dense_algebra():
    rows = make_rows("crossed", "slopes", n=300)
    fit = FactorFit.of(rows.moments, rows.specifications, tol=1e-12, max_iter=100)
    problem, back = fit.problem, fit.problem.coordinates
    scaled = zip(fit.optimum.Lambdas, problem.by_factor, strict=True)
    dense = rows.dense([own.to_user_factor(Lambda) for Lambda, own in scaled])
    cov = CONTRASTS @ dense["beta_cov"] @ CONTRASTS.T
    values = CONTRASTS @ dense["beta"]

    def df_of(P):
        return satterthwaite_of_factors(
            fit.criterion, fit.optimum.Lambdas, P @ CONTRASTS @ back.backmap
        )

    statistic, combinations = uncorrelated(values, cov)
    df = combined_df(df_of(combinations))
    d, P = np.linalg.eigh(cov)
    expected = np.mean((P.T @ values) ** 2 / d)
    nu = dense_satterthwaite(
        dense, rows.fixed, rows.y, directions_of(problem), P.T @ CONTRASTS, reml=True
    )
    means = np.sum(nu / (nu - 2))
    assert statistic == pytest.approx(expected, rel=1e-9)
    assert df == pytest.approx(2 * means / (means - 2), rel=1e-5)


def test_degrees_of_freedom_of_a_mean_of_squares():
    assert combined_df(np.array([1.5])) == 1.5
    assert combined_df(np.array([1.5, 30.0])) == 2.0
    assert combined_df(np.array([7.0, 7.0, 7.0])) == pytest.approx(7.0)
    assert combined_df(np.array([np.inf, np.inf])) == np.inf
    between = combined_df(np.array([10.0, np.inf]))
    assert 10 < between < np.inf
    # the mean of F is that of the mean of the squares
    assert between / (between - 2) == pytest.approx((10 / 8 + 1) / 2)


def random_covariance(seed, k):
    root = np.random.default_rng(seed).normal(size=(k, k + 2))
    return root @ root.T


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(-9, 9))
def test_the_statistic_does_not_depend_on_units(seed, k, exponent):
    cov, values = random_covariance(seed, k), np.arange(1.0, k + 1)
    units = np.ones(k)
    units[0] = 10.0**exponent
    statistic, _ = uncorrelated(units * values, cov * np.outer(units, units))
    assert statistic == pytest.approx(values @ np.linalg.solve(cov, values) / k, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 3))
def test_dependent_rows_change_neither_rank_nor_span(seed, k, more):
    rng = np.random.default_rng(seed)
    L = rng.normal(size=(k, 6))
    wide = np.vstack([L, rng.normal(size=(more, k)) @ L])
    rows = independent_rows(wide)
    assert len(rows) == k
    cov, beta = random_covariance(seed, 6), rng.normal(size=6)
    one, other = (uncorrelated(R @ beta, R @ cov @ R.T)[0] for R in (L, rows))
    assert one == pytest.approx(other, rel=1e-6)


def test_a_singular_covariance_has_no_statistic():
    short = np.random.default_rng(0).normal(size=(3, 2))
    for cov in (np.diag([1.0, 0.0]), np.ones((2, 2)), np.zeros((1, 1)), short @ short.T):
        assert np.isnan(uncorrelated(np.ones(len(cov)), cov)[0])


def test_sequential_contrasts_are_coefficients_of_smaller_models():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4)) * [1, 1e3, 1e-3, 1]
    rows = sequential_contrasts(X.T @ X)
    beta = rng.normal(size=4)
    for i in range(4):
        smaller = np.linalg.lstsq(X[:, : i + 1], X @ beta)[0]
        assert rows[i] @ beta == pytest.approx(smaller[i], rel=1e-8)


def test_products_with_a_column_of_0_and_1_are_found():
    rng = np.random.default_rng(1)
    a, b, x = rng.integers(2, size=50), rng.integers(2, size=50), rng.normal(size=50)
    X = np.column_stack([np.ones(50), a, b, x, a * x, a * b])
    found = {tuple(row) for row in products_with_dummies(X.T @ X)}
    # 4 = 1 x 3, and 5 = 1 x 2 whichever of the two is first
    assert found == {(1, 3, 4), (1, 2, 5), (2, 1, 5)}
    sums_to_0 = np.column_stack([np.ones(50), 2.0 * a - 1, b - 0.5, x, (2 * a - 1) * x])
    assert len(products_with_dummies(sums_to_0.T @ sums_to_0)) == 0
