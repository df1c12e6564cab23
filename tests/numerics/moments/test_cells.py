"""Moments of several factors: the pairs of levels that meet, added and taken apart."""

import numpy as np
import pytest
from scipy import sparse

from skmixed._numerics.moments.cells import FactorMoments

RANDOM = [(0, 1), (0,), (0, 2, 1)]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    n = 80
    X = rng.normal(loc=[3.0, -1e3], size=(n, 2))
    codes = [rng.integers(k, size=n) for k in (5, 8, 3)]
    return X, rng.normal(size=n), codes, [np.arange(k) for k in (5, 8, 3)]


def moments_of(rows, some=slice(None), weights=None, **options):
    X, y, codes, labels = rows
    weights = None if weights is None else weights[some]
    own = [code[some] for code in codes]
    return FactorMoments.from_rows(
        X[some], y[some], own, labels, weights, random=RANDOM, **options
    )


def assert_same(one, two, rtol=1e-9, atol=1e-7):
    two = two.around(one.shift)
    for a, b in zip(one.factors, two.factors, strict=True):
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_array_equal(a.n_rows, b.n_rows)
        np.testing.assert_allclose(a.C, b.C, rtol=rtol, atol=atol)
        np.testing.assert_allclose(a.T, b.T, rtol=rtol, atol=atol)
    for pair, cells in one.cells.items():
        other = two.cells[pair]
        np.testing.assert_array_equal(cells.first, other.first)
        np.testing.assert_array_equal(cells.second, other.second)
        np.testing.assert_array_equal(cells.n_rows, other.n_rows)
        np.testing.assert_allclose(cells.values, other.values, rtol=rtol, atol=atol)


@pytest.mark.parametrize("weighted", [False, True])
def test_cells_are_the_cross_products(rows, weighted):
    X, y, codes, _ = rows
    w = (
        np.random.default_rng(1).integers(0, 3, size=len(y)) * 0.5
        if weighted
        else np.ones(len(y))
    )
    moments = moments_of(rows, weights=w if weighted else None)
    D = np.column_stack([np.ones(len(y)), X, y]) - moments.shift
    for (f, g), cells in moments.cells.items():
        labels_f, labels_g = (moments.factors[i].labels for i in (f, g))
        pairs = set()
        parts = zip(
            cells.first,
            cells.second,
            cells.n_rows,
            np.moveaxis(cells.values, -1, 0),
            strict=True,
        )
        for i, j, n, values in parts:
            here = (codes[f] == labels_f[i]) & (codes[g] == labels_g[j]) & (w > 0)
            expected = (D[here][:, RANDOM[f]] * w[here, None]).T @ D[here][:, RANDOM[g]]
            np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-10)
            assert n == np.count_nonzero(here) > 0
            pairs.add((labels_f[i], labels_g[j]))
        met = zip(codes[f][w > 0].tolist(), codes[g][w > 0].tolist(), strict=True)
        assert pairs == set(met)
        key = cells.first * 100 + cells.second
        assert np.all(np.diff(key) > 0)


def test_sparse_rows_have_the_same_moments(rows):
    X, y, codes, labels = rows
    thin = X * (np.abs(X) > 1)
    shift = np.zeros(4)
    one = moments_of((thin, y, codes, labels), shift=shift)
    two = moments_of((sparse.csr_array(thin), y, codes, labels), shift=shift)
    assert_same(one, two)


def test_shift_is_exact_algebra(rows):
    moments = moments_of(rows)
    shift = np.array([0.0, 1.0, -900.0, 2.0])
    assert_same(moments.around(shift), moments_of(rows, shift=shift))


@pytest.mark.parametrize("n_first", [1, 20, 60])
def test_moments_of_batches_add_up(rows, n_first):
    one, two = moments_of(rows, slice(n_first)), moments_of(rows, slice(n_first, None))
    assert_same(moments_of(rows), one + two)
    assert_same(moments_of(rows), two + one)


@pytest.mark.parametrize("n_first", [1, 20, 60, 79])
def test_moments_of_some_rows_are_taken_off(rows, n_first):
    left = moments_of(rows) - moments_of(rows, slice(n_first))
    assert_same(left, moments_of(rows, slice(n_first, None)))


def test_only_some_of_the_rows_are_taken_off(rows):
    X, y, codes, labels = rows
    # the same levels of each factor, in other pairs
    turned = [codes[0], np.roll(codes[1], 1), codes[2]]
    with pytest.raises(ValueError, match=r"more rows than there are of [0-9]+ pairs of levels"):
        _ = moments_of(rows) - moments_of((X, y, turned, labels))


def test_other_factors_are_refused(rows):
    moments = moments_of(rows)
    fewer = FactorMoments(moments.factors[:2], {(0, 1): moments.cells[0, 1]})
    with pytest.raises(ValueError, match=r"same factors .* 3 and 2 factors"):
        _ = moments + fewer


def test_cells_are_found_in_any_order(rows):
    moments = moments_of(rows)
    cells = moments.cells[0, 1]
    turned = moments.between(1, 0)
    assert moments.between(0, 1) is cells
    order = np.lexsort((cells.first, cells.second))
    np.testing.assert_array_equal(turned.first, cells.second[order])
    np.testing.assert_array_equal(turned.values, cells.values.swapaxes(0, 1)[..., order])
    np.testing.assert_array_equal(
        cells.find(cells.first, cells.second), np.arange(len(cells.first))
    )
    assert cells.find(np.array([99]), np.array([0])) == -1


def test_columns_and_factors_are_chosen(rows):
    X, y, codes, labels = rows
    chosen = moments_of(rows).with_random([(0,), (0,), (0, 1)]).of_factors([2, 0])
    direct = FactorMoments.from_rows(
        X, y, [codes[2], codes[0]], [labels[2], labels[0]], random=[(0, 1), (0,)]
    )
    assert_same(direct, chosen)
