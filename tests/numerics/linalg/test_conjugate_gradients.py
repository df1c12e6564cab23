"""Conjugate gradients and the logarithms that they tell of, against dense algebra."""

import numpy as np
import pytest
from scipy.linalg import logm

from skmixed._numerics.linalg.conjugate_gradients import conjugate_gradients


@pytest.fixture(scope="module")
def system():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(40, 60)) / 8
    return np.eye(40) + root @ root.T, rng.choice([-1.0, 1.0], (40, 6))


def test_solves_each_column(system):
    A, b = system
    solved = conjugate_gradients(lambda p: A @ p, b, tol=1e-10, max_steps=100)
    assert solved.converged
    np.testing.assert_allclose(solved.x, np.linalg.solve(A, b), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(solved.residual, b - A @ solved.x, atol=1e-12)


def test_columns_do_not_change_each_other(system):
    A, b = system
    b = b * [1, 1e-6, 1e6, 1, 0, 1]
    both = conjugate_gradients(lambda p: A @ p, b, tol=1e-9, max_steps=100)
    for column in range(b.shape[1]):
        one = b[:, [column]]
        alone = conjugate_gradients(lambda p: A @ p, one, tol=1e-9, max_steps=100)
        np.testing.assert_allclose(both.x[:, [column]], alone.x, rtol=1e-10)


def test_logarithms_are_those_of_dense_algebra(system):
    A, b = system
    solved = conjugate_gradients(lambda p: A @ p, b, tol=1e-6, max_steps=100)
    expected = np.einsum("km,km->m", b, logm(A) @ b) / len(A)
    np.testing.assert_allclose(solved.logarithms(), expected, rtol=1e-10)


def test_logarithm_of_the_identity_takes_one_step(system):
    _, b = system
    solved = conjugate_gradients(lambda p: p, b, tol=1e-6, max_steps=100)
    assert solved.n_steps == 1
    np.testing.assert_allclose(solved.logarithms(), 0, atol=1e-15)


def test_nothing_to_solve_takes_no_step():
    solved = conjugate_gradients(lambda p: p, np.zeros((3, 2)), tol=1e-6, max_steps=100)
    assert solved.n_steps == 0
    assert solved.converged


def test_says_that_it_has_not_converged(system):
    A, b = system
    assert not conjugate_gradients(lambda p: A @ p, b, tol=1e-12, max_steps=3).converged
