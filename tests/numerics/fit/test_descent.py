"""Descents from several starts, and what each of them needs."""

from dataclasses import replace

import numpy as np
import pytest

from skmixed._numerics.fit.descent import Points, Search, State, distinct
from skmixed._numerics.fit.factor import Factor
from skmixed._numerics.linalg.quadratic import QuadraticModel

TARGET = np.array([2.0, 0.5])


class Bowl:
    """A quadratic criterion in the standard deviations of a diagonal Psi."""

    at_once = 100

    def __init__(self, bend=2.0):
        self.bend, self.asked = bend, []


class SearchInBowl(Search):
    def points(self, criterion, Psi):
        criterion.asked.append(np.sqrt(np.diagonal(Psi, axis1=1, axis2=2)))
        factor = Factor.of_psi(Psi, diagonal=True)
        error = factor.scale - TARGET
        hessian = np.broadcast_to(criterion.bend * np.eye(2), Psi.shape)
        model = QuadraticModel.of(2 * error, hessian)
        value = np.sum(error**2, axis=1)
        return Points(
            factor.V, factor.scale, value, model.gradient, model.curvature, model.basis
        )


def search(**options):
    return SearchInBowl(**{"diagonal": True, "tol": 1e-8, "max_iter": 50, **options})


def test_a_newton_step_leads_there_and_the_next_one_confirms_it():
    bowl = Bowl()
    end = search().descend(bowl, np.eye(2))
    assert end.converged
    assert end.n_iter == len(bowl.asked) == 2
    np.testing.assert_allclose(end.factor.scale, TARGET)
    assert end.value == pytest.approx(0, abs=1e-12)


def test_a_step_is_halved_until_it_lowers_the_criterion():
    bowl = Bowl(bend=0.4)  # the steps are five times too long
    search(max_iter=1).descend(bowl, np.diag([1.9, 0.45]) ** 2)
    share = (np.array(bowl.asked)[1:4, 0, 0] - 1.9) / 0.1
    np.testing.assert_allclose(share, [5, 2.5, 1.25])  # the last one is good enough


def test_steps_that_are_used_up_end_without_convergence():
    bowl = Bowl(bend=2.2)
    end = search(max_iter=1).descend(bowl, np.eye(2))
    assert not end.converged
    assert end.n_iter == 1
    assert len(bowl.asked) == 2


def test_nothing_to_gain_ends_without_convergence():
    class Wall(SearchInBowl):
        def points(self, criterion, Psi):
            here = super().points(criterion, Psi)
            rise = 0.0 if len(criterion.asked) == 1 else 9.0
            return replace(here, value=here.value + rise)

    end = Wall(diagonal=True, tol=1e-8, max_iter=50).descend(Bowl(), np.eye(2))
    assert not end.converged
    np.testing.assert_array_equal(end.factor.scale, 1)


def test_starts_go_on_side_by_side_and_in_their_order():
    bowl, starts = Bowl(), [np.eye(2), np.diag(TARGET**2), 4 * np.eye(2)]
    ends = search().descend_side_by_side(bowl, starts)
    assert [end.n_iter for end in ends] == [2, 1, 2]
    assert [len(asked) for asked in bowl.asked] == [3, 2]
    for end in ends:
        np.testing.assert_allclose(end.factor.scale, TARGET)


def test_a_saddle_is_left_along_its_negative_curvature():
    class Saddle(SearchInBowl):
        def points(self, criterion, Psi):
            factor = Factor.of_psi(Psi, diagonal=True)
            a, b = (factor.scale - 1).T  # a^2 - b^2 + b^4 with minima at b = +- sqrt(1 / 2)
            gradient = np.column_stack([2 * a, -2 * b + 4 * b**3])
            hessian = np.zeros((len(a), 2, 2))
            hessian[:, 0, 0], hessian[:, 1, 1] = 2, -2 + 12 * b**2
            model = QuadraticModel.of(gradient, hessian)
            value = a**2 - b**2 + b**4
            return Points(
                factor.V, factor.scale, value, model.gradient, model.curvature, model.basis
            )

    end = Saddle(diagonal=True, tol=1e-8, max_iter=50).descend(Bowl(), np.eye(2))
    assert end.converged
    assert end.factor.scale[0] == pytest.approx(1)
    assert abs(end.factor.scale[1] - 1) == pytest.approx(0.5**0.5)


def test_distinct_ends_are_sorted_and_far_apart():
    def end(scale, value):
        return State(Factor(np.eye(2), np.array(scale)), value, 1, converged=True)

    ends = [end([2.0, 1], 3.0), end([1.0, 1], 2.0), end([1.01, 1], 1.9), end([2.0, 1.01], 1.0)]
    assert [one.value for one in distinct(ends)] == [1.0, 1.9]
