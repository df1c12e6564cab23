"""The way to the coordinates of a problem and back, against the rows."""

import numpy as np
import pytest

from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.moments.by_group import shifted_columns
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines

STRUCTURES = {
    "intercept": {},
    "no intercept": {"fit_intercept": False},
    "slopes alone": {"random_intercept": False},
    "diagonal": {"diagonal": True},
    "not fixed": {"fixed_slopes": False},
}


@pytest.fixture(params=STRUCTURES.values(), ids=STRUCTURES)
def case(request):
    """Rows with a dependent column, their moments and the coordinates of a model."""
    rng = np.random.default_rng(0)
    X = rng.normal([3.0, -20.0, 0.0], [1.0, 5.0, 0.1], size=(80, 3))
    X = np.column_stack([X, 2 * X[:, 0]])
    y, codes = 100 + rng.normal(size=80), rng.integers(0, 9, 80)
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(9), random=(0, 2, 3))
    return X, y, moments, make_problem(moments, **request.param), request.param


def test_columns_of_rows_have_the_moments_of_the_problem(case):
    X, y, _, problem, _ = case
    coordinates = problem.coordinates
    D = shifted_columns(X, y, coordinates.shift)
    columns, Z = coordinates.fixed_columns(D), coordinates.random_columns(D)
    np.testing.assert_allclose(columns @ columns.T, problem.T, atol=1e-9)
    np.testing.assert_allclose(coordinates.cross_products(D @ D.T), problem.T, atol=1e-9)
    np.testing.assert_allclose(Z @ columns.T, problem.C.sum(axis=-1), atol=1e-9)
    np.testing.assert_allclose(Z @ Z.T, problem.G.sum(axis=-1), atol=1e-9)
    assert np.all(np.diag(problem.T) < 1.2 * 80)


def test_moments_around_another_shift_give_the_same_groups(case):
    _, _, moments, problem, _ = case
    other = OwnLines.of(moments.around(moments.shift + 2.0 * (moments.shift != 0)))
    found = problem.coordinates.of_lines(other)
    for one, expected in zip(found, (problem.own, problem.root), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-9)


def test_lines_are_the_same_in_both_coordinates(case):
    X, y, _, problem, structure = case
    coordinates, ones = problem.coordinates, np.ones((80, 1))
    D = shifted_columns(X, y, coordinates.shift)
    rng = np.random.default_rng(1)
    beta, b = rng.normal(size=problem.p), rng.normal(size=(len(problem.C), 1))
    fixed = np.hstack([ones, X]) if structure.get("fit_intercept", True) else X
    columns = coordinates.fixed_columns(D)
    residual = coordinates.y_scale * (columns[-1] - beta @ columns[:-1])
    found = y - fixed @ coordinates.to_user_coefficients(beta)
    np.testing.assert_allclose(found, residual, atol=1e-10)
    first = 0 if structure.get("random_intercept", True) else 1
    Z = np.hstack([ones, X[:, [1, 2]]])[:, first:]
    effects = coordinates.y_scale * coordinates.random_columns(D).T @ b
    np.testing.assert_allclose(Z @ coordinates.to_user_random_effects(b), effects, atol=1e-10)
    assert not coordinates.kept[-1]
    assert coordinates.dependent[-1]
    assert coordinates.random_kept.all()
    cov = coordinates.to_user_covariance(problem.T[:-1, :-1])
    kept = coordinates.kept
    expected = np.linalg.inv(fixed[:, kept].T @ fixed[:, kept]) * coordinates.y_scale**2
    np.testing.assert_allclose(cov[np.ix_(kept, kept)], expected, rtol=1e-8)
    assert np.isnan(cov[~kept]).all()
