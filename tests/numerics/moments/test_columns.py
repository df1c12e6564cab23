"""Moments of other columns are those of rows that were changed likewise."""

import numpy as np
import pytest

from skmixed._numerics.moments.columns import (
    drop_columns,
    drop_columns_of_lines,
    split_columns,
)
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.within_between import group_means


@pytest.fixture(params=[0.0, 1e6])
def rows(request):
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.arange(6), rng.integers(0, 6, 60)])
    level_2 = rng.standard_normal(6)[codes]
    X = np.column_stack([rng.standard_normal(66) + level_2, level_2, np.full(66, 0.1)])
    return X + request.param, rng.standard_normal(66), codes, rng.integers(1, 4, 66) * 1.0


def test_moments_of_split_columns(rows):
    X, y, codes, w = rows
    lines = OwnLines.of(GroupedMoments.from_rows(X, y, codes, np.arange(6), sample_weight=w))
    taken = np.array([2.0, -1.0, 0.5])
    found = split_columns(lines.with_taken(taken))
    sizes, means = group_means(X, codes, 6, w)
    parts = np.hstack([X - means[codes], means[codes]])
    left = y - X @ taken
    expected = GroupedMoments.from_rows(parts, left, codes, np.arange(6), sample_weight=w)
    expected = OwnLines.of(expected.around(found.shift))
    atol = 1e-7 if X.max() > 1e5 else 1e-12
    np.testing.assert_allclose(found.T, expected.T, atol=atol)
    np.testing.assert_allclose(found.within, expected.within, atol=atol)
    np.testing.assert_allclose(found.B, expected.B, atol=atol)
    np.testing.assert_allclose(found.B[0, 0] ** 2, sizes)


@pytest.mark.parametrize("random", [(0,), (0, 2)])
def test_lines_without_some_columns(rows, random):
    """They are those of rows without these, whatever was taken off y."""
    X, y, codes, w = rows
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(6), w, random=random)
    lines = OwnLines.of(moments).with_taken(np.array([2.0, -1.0, 0.5]))
    dropped = np.array([False, True, False, True, False])
    found = drop_columns_of_lines(lines, dropped).with_taken(np.zeros(1))
    expected = OwnLines.of(drop_columns(moments, dropped))
    assert found.random == expected.random
    for name in ("shift", "T", "within", "B"):
        a, b = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def test_moments_without_some_columns(rows):
    X, y, codes, w = rows
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(6), w, random=(0, 2))
    found = drop_columns(moments, np.array([False, True, False, True, False]))
    expected = GroupedMoments.from_rows(
        X[:, [1]], y, codes, np.arange(6), w, random=(0, 1), shift=moments.shift[[0, 2, 4]]
    )
    assert found.random == expected.random
    for name in ("shift", "T", "C"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)
