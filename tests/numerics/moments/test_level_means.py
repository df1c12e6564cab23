"""Means of levels as columns, from sums, beside those of the rows."""

import numpy as np
import pytest

from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.level_means import with_level_means
from skmixed._numerics.moments.moments import GroupedMoments


def draw_rows(n_factors, weighted):
    rng = np.random.default_rng(0)
    X, y = rng.normal(5, 2, size=(60, 3)), rng.normal(size=60)
    codes = [rng.integers(0, n, 60) for n in (7, 4, 5)[:n_factors]]
    return X, y, codes, rng.integers(0, 3, 60).astype(float) if weighted else None


def means_by_hand(X, codes, weight):
    weight = np.ones(len(X)) if weight is None else weight
    columns = []
    for code in codes:
        sums = np.array([weight[code == j] @ X[code == j] for j in range(code.max() + 1)])
        columns.append((sums / np.bincount(code, weight)[:, None])[code])
    return np.hstack(columns)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_factors", [1, 2, 3])
def test_sums_are_those_of_rows_with_the_means(n_factors, weighted):
    X, y, codes, weight = draw_rows(n_factors, weighted)
    labels = [np.arange(code.max() + 1) for code in codes]
    rows = {"sample_weight": weight, "random": [(0,)] * n_factors}
    got = with_level_means(FactorMoments.from_rows(X, y, codes, labels, **rows))
    wide = np.hstack([X, means_by_hand(X, codes, weight)])
    shift = got.shift
    want = FactorMoments.from_rows(wide, y, codes, labels, **rows, shift=shift)
    np.testing.assert_allclose(got.T, want.T, rtol=1e-10, atol=1e-10)
    for one, other in zip(got.factors, want.factors, strict=True):
        np.testing.assert_allclose(one.C, other.C, rtol=1e-10, atol=1e-10)


def test_one_factor_is_a_case_of_several():
    X, y, (codes,), _ = draw_rows(1, weighted=False)
    labels = np.arange(codes.max() + 1)
    one = with_level_means(GroupedMoments.from_rows(X, y, codes, labels))
    several = FactorMoments.from_rows(X, y, [codes], [labels], random=[(0,)])
    assert np.array_equal(one.T, with_level_means(several).T)


def test_without_features_nothing_is_added():
    _, y, codes, _ = draw_rows(2, weighted=False)
    labels = [np.arange(code.max() + 1) for code in codes]
    sums = FactorMoments.from_rows(np.empty((60, 0)), y, codes, labels, random=[(0,)] * 2)
    assert np.array_equal(with_level_means(sums).T, sums.T)
