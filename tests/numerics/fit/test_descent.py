"""A descent as a state that asks for one Psi after another."""

import numpy as np
import pytest

from skmixed._numerics.fit.descent import Descent, Point, Search, Step
from skmixed._numerics.fit.factor import Factor
from skmixed._numerics.linalg.quadratic import QuadraticModel

TARGET = np.array([2.0, 0.5])


def point_of(descent):
    """A quadratic criterion in the standard deviations of a diagonal Psi."""
    factor = Factor.of_psi(descent.wanted, diagonal=True)
    error = factor.scale - TARGET
    return Point(factor, float(error @ error), QuadraticModel.of(2 * error, 2 * np.eye(2)))


def test_a_descent_asks_until_it_ends():
    descent = Descent(Search(diagonal=True, tol=1e-8, max_iter=20), np.eye(2))
    np.testing.assert_array_equal(descent.wanted, np.eye(2))
    wanted = 0
    while descent.end is None:
        descent.advance(point_of(descent))
        wanted += 1
    assert descent.end.converged
    assert descent.end.n_iter == wanted == 2  # one step leads there, the last confirms it
    np.testing.assert_allclose(descent.end.factor.scale, TARGET)
    assert descent.end.value == pytest.approx(0, abs=1e-12)


def test_a_step_is_halved_until_it_lowers_the_criterion():
    descent = Descent(Search(diagonal=True, tol=1e-8, max_iter=20), np.eye(2))
    start = point_of(descent)
    descent.advance(start)
    for halvings in range(3):
        assert descent.step.halvings == halvings
        np.testing.assert_allclose(
            np.sqrt(np.diag(descent.wanted)), 1 + 0.5**halvings * (TARGET - 1)
        )
        there = point_of(descent)
        descent.advance(Point(there.factor, start.value + 1, there.model))
    assert descent.n_iter == 1


def test_a_descent_without_gain_or_steps_ends_without_convergence():
    stuck = Descent(Search(diagonal=True, tol=1e-8, max_iter=20), np.eye(2))
    start = point_of(stuck)
    while stuck.end is None:
        stuck.advance(start)
    short = Descent(Search(diagonal=True, tol=1e-8, max_iter=1), np.eye(2))
    short.advance(point_of(short))
    short.advance(point_of(short))
    for end in (stuck.end, short.end):
        assert not end.converged
        assert end.n_iter == 1


def test_a_descent_ends_near_a_known_minimum():
    first = Descent(Search(diagonal=True, tol=1e-8, max_iter=20), np.eye(2))
    while first.end is None:
        first.advance(point_of(first))
    start = np.diag((TARGET + 0.01) ** 2)
    second = Descent(Search(diagonal=True, tol=1e-8, max_iter=20), start, [first.end])
    second.advance(point_of(second))
    assert second.end is first.end


def test_a_saddle_is_left_along_its_negative_curvature():
    model = QuadraticModel.of(np.zeros(2), np.diag([1.0, -1.0]))
    step = Step.from_point(Point(Factor(np.eye(2), np.ones(2)), 0.0, model), tol=1e-8)
    np.testing.assert_allclose(np.abs(model.basis @ step.whole), [0, 1])
    assert not step.is_sure
