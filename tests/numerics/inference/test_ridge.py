"""The bracket of a limit on a ridge."""

import numpy as np
import pytest

from skmixed._numerics.inference.profile.ridge import ENOUGH, TOL, _Bracket

HOME, THERE = object(), object()


def bracket(inner=1.0, outer=np.inf, last=np.inf):
    return _Bracket(inner, outer, last, HOME)


def test_a_bracket_narrows_from_both_sides():
    within = bracket(outer=4.0).narrowed(THERE, 2.0, within=True)
    assert (within.inner, within.outer, within.home) == (2, 4, THERE)
    beyond = bracket(outer=4.0).narrowed(THERE, 3.0, within=False)
    assert (beyond.inner, beyond.outer, beyond.home) == (1, 3, HOME)
    assert bracket(outer=4.0).narrowed(THERE, 4 * (1 - TOL / 2), within=True).outer == np.inf


def test_a_limit_is_found_by_a_small_step_or_at_the_last_distance():
    assert bracket().limit(1.0, 0.1, 0.0) is None
    assert bracket().limit(1.0, np.nan, np.nan) is None
    assert bracket().limit(1.0, TOL / 2, ENOUGH / 2) == 1 + TOL / 2
    assert bracket(inner=3.0, last=3.0).limit(3.0, 0.5, 1.0) == 3


def test_a_small_step_along_which_the_profile_is_curved_is_not_the_last():
    assert bracket().limit(1.0, TOL / 2, 2 * ENOUGH) is None


@pytest.mark.parametrize(
    ("outer", "last", "distance", "step", "home", "expected"),
    [
        (np.inf, np.inf, 1.0, 0.5, False, 0.5),
        (np.inf, np.inf, 1.0, 9.0, False, 1.0),  # no further than it has come
        (np.inf, 1.2, 1.0, 0.5, False, 0.2),
        (3.0, np.inf, 3.0, -1.0, False, -1.0),
        (3.0, np.inf, 3.0, -2.5, True, 1.0),  # from the inner point to the middle
        (3.0, np.inf, 3.0, np.nan, True, 1.0),
        (np.inf, np.inf, 1.0, np.nan, True, 1.0),  # as far again
    ],
)
def test_a_step_stays_within_the_bracket(outer, last, distance, step, home, expected):
    start, length = bracket(outer=outer, last=last).next_step(THERE, distance, step)
    assert start is (HOME if home else THERE)
    assert length == pytest.approx(expected)
