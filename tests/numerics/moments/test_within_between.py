"""What varies within groups, and what between them."""

import numpy as np
import pytest

from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.within_between import (
    group_means,
    scatter,
    shares,
    which_vary,
)


@pytest.fixture(params=[0.0, 1e6])
def rows(request):
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.arange(6), rng.integers(0, 6, 60)])
    level_2 = rng.standard_normal(6)[codes]
    X = np.column_stack([rng.standard_normal(66) + level_2, level_2, np.full(66, 0.1)])
    return X + request.param, rng.standard_normal(66), codes, rng.integers(1, 4, 66) * 1.0


def test_scatter_adds_up_and_vanishes_exactly(rows):
    X, y, codes, w = rows
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(6), sample_weight=w)
    within, between = scatter(OwnLines.of(moments))
    D = np.column_stack([X, y])
    total = np.diag(np.cov(D.T, ddof=0, aweights=w)) * w.sum()
    found = (within + between)[1:]
    np.testing.assert_allclose(found, total, atol=1e-7 if X.max() > 1e5 else 1e-11)
    assert not within[[0, 2, 3]].any()
    assert not between[[0, 3]].any()


@pytest.mark.parametrize("random", [(0,), (0, 1), (0, 2, 1)])
def test_shares_do_not_hang_on_the_random_columns_nor_on_what_was_taken_off(rows, random):
    X, y, codes, w = rows
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(6), w, random=random)
    lines = OwnLines.of(moments).with_taken(np.array([3.0, -1.0, 0.0]))
    _, means = group_means(np.column_stack([X, y]), codes, 6, w)
    D = np.column_stack([X, y])
    expected = [
        np.average((d - m[codes]) ** 2, weights=w)
        / np.average((d - np.average(d, weights=w)) ** 2, weights=w)
        for d, m in zip(D[:, [0, 1, 3]].T, means[:, [0, 1, 3]].T, strict=True)
    ]
    within, between = shares(lines)
    np.testing.assert_allclose(within[[0, 1, 3]], expected, atol=1e-8)
    np.testing.assert_allclose(between[[0, 1, 3]], 1 - np.array(expected), atol=1e-8)
    assert within[1] == 0
    assert np.isnan([within[2], between[2]]).all()


def test_which_vary(rows):
    X, _, codes, w = rows
    sizes, means = group_means(X, codes, 6, w)
    within, between = which_vary(X, codes, sizes, means, w)
    assert within.tolist() == [True, False, False]
    assert between.tolist() == [True, True, False]


@pytest.mark.parametrize("apart", [1e7, 1e10])
def test_columns_vary_within_groups_that_are_far_apart(apart):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(6), 5000)
    level = (apart * rng.standard_normal(6))[codes]
    X = np.column_stack([level, level + rng.standard_normal(30_000)])
    within, between = which_vary(X, codes, *group_means(X, codes, 6))
    assert within.tolist() == [False, True]
    assert between.tolist() == [True, True]
