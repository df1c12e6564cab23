import numpy as np
import pytest

from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.moments.moments import GroupedMoments


def problem_of(X, y, groups, **options):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(X, y, codes, labels)
    return make_problem(moments, **{"fit_intercept": True, **options})


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 4)), rng.normal(size=200), rng.integers(0, 10, 200)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_scaled_coefficients_return_to_the_users_columns(rows, scale, fit_intercept):
    X, y, groups = rows
    X = X * scale + (3 * scale if fit_intercept else 0)
    problem = problem_of(X, y + 5, groups, fit_intercept=fit_intercept)
    beta = np.linalg.solve(problem.T[:-1, :-1], problem.T[:-1, -1])
    D = np.column_stack([np.ones(200), X]) if fit_intercept else X
    expected = np.linalg.lstsq(D, y + 5, rcond=None)[0]
    np.testing.assert_allclose(
        problem.coordinates.to_user_coefficients(beta), expected, rtol=1e-9
    )
    log_det = np.linalg.slogdet(problem.T[:-1, :-1])[1] + problem.coordinates.log_scale
    assert log_det == pytest.approx(np.linalg.slogdet(D.T @ D)[1], abs=1e-6)


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        (lambda X: X[:, 0], False),
        (lambda X: X[:, 0] - 3 * X[:, 2] + 7, False),
        (lambda X: np.full(len(X), 0.1), False),
        (lambda X: np.zeros(len(X)), False),
        (lambda X: X[:, 1] + 1e-4 * X[:, 2] ** 2, True),
        (lambda X: 1e8 + 1e-3 * np.arange(len(X)) ** 2, True),
    ],
)
def test_columns_that_follow_from_those_before_are_dropped(rows, column, kept):
    X, y, groups = rows
    problem = problem_of(np.column_stack([X, column(X), X[:, 3] ** 2]), y, groups)
    np.testing.assert_array_equal(problem.coordinates.kept, [True] * 5 + [kept, True])


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("value", [1.0, -0.1])
def test_a_constant_column_serves_as_intercept(rows, place, value):
    """As in the matrices of formula packages; a large level of y costs no digits then."""
    X, y, groups = rows
    y = y + 1e6
    design = np.insert(X, place, value, axis=1)
    problem = problem_of(design, y, groups, fit_intercept=False)
    expected = problem_of(X, y, groups)
    assert problem.coordinates.kept.all()
    np.testing.assert_allclose(problem.T, expected.T, atol=1e-8)
    beta = np.linalg.solve(problem.T[:-1, :-1], problem.T[:-1, -1])
    coef = problem.coordinates.to_user_coefficients(beta)
    fitted = design @ np.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(design @ coef, fitted, rtol=1e-10)
    log_det = np.linalg.slogdet(problem.T[:-1, :-1])[1] + problem.coordinates.log_scale
    assert log_det == pytest.approx(np.linalg.slogdet(design.T @ design)[1], abs=1e-8)


def test_moments_around_a_bad_shift_give_the_same_problem(rows):
    X, y, groups = rows
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(X, y, codes, labels)
    good = make_problem(moments, fit_intercept=True)
    bad = make_problem(
        moments.around(moments.shift + 9 * (np.arange(6) > 0)), fit_intercept=True
    )
    for problem in (good, bad):
        beta = np.linalg.solve(problem.T[:-1, :-1], problem.T[:-1, -1])
        expected = np.linalg.lstsq(np.column_stack([np.ones(200), X]), y, rcond=None)[0]
        np.testing.assert_allclose(
            problem.coordinates.to_user_coefficients(beta), expected, rtol=1e-10
        )
