"""The half-line of a variance ratio and its coordinate."""

import numpy as np
import pytest

from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.half_line import HalfLine
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.linalg.digits import LARGEST_SD_RATIO
from skmixed._numerics.moments.moments import GroupedMoments


@pytest.fixture(scope="module")
def line():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), np.arange(2, 10))
    X = rng.normal(size=(len(groups), 2))
    y = X.sum(1) + rng.normal(size=8)[groups] + rng.normal(size=len(groups))
    moments = GroupedMoments.from_rows(X, y, groups, np.arange(8))
    return HalfLine(RatioCriterion.from_problem(make_problem(moments), reml=True))


def test_the_line_reaches_from_zero_to_the_largest_ratio(line):
    assert line.psi(0.0) == 0
    assert line.psi(line.end) == pytest.approx(LARGEST_SD_RATIO**2)
    assert line.x(float(line.psi(3.0))) == pytest.approx(3.0)
    grid = line.grid(0.7)
    assert grid[0] == 0
    assert grid[-1] >= line.end
    np.testing.assert_allclose(np.diff(grid), 0.7)


def test_derivatives_agree_with_finite_differences(line):
    x, h = np.array([0.3, 1.0, 4.0]), 1e-4
    value, slope, curvature = line.derivatives(x)
    below, above = line.derivatives(x - h), line.derivatives(x + h)
    np.testing.assert_allclose(value, line.criterion(line.psi(x)).value)
    np.testing.assert_allclose(slope, (above[0] - below[0]) / (2 * h), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(curvature, (above[1] - below[1]) / (2 * h), rtol=1e-6, atol=1e-6)
