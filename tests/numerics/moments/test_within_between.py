"""What varies within groups, and what between them."""

import numpy as np
import pytest

from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.within_between import group_means, scatter, which_vary


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
    within, between = scatter(moments)
    D = np.column_stack([X, y])
    total = np.cov(D.T, ddof=0, aweights=w) * w.sum()
    found = (within + between)[1:, 1:]
    np.testing.assert_allclose(found, total, atol=1e-7 if X.max() > 1e5 else 1e-11)
    assert not within[[0, 2, 3]].any()
    assert not between[3].any()


def test_which_vary(rows):
    X, _, codes, w = rows
    sizes, means = group_means(X, codes, 6, w)
    within, between = which_vary(X, codes, sizes, means, w)
    assert within.tolist() == [True, False, False]
    assert between.tolist() == [True, True, False]
