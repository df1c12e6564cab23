"""Rows: order, copies, types."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._numerics.likelihoods.fit import fit_likelihood
from skmixed._numerics.likelihoods.rows import LikelihoodRows


def draw():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) * (rng.random((200, 3)) < 0.5)
    return X, rng.integers(0, 2, 200), rng.integers(0, 20, 200)


def fit(X, y, groups, **options):
    rows = LikelihoodRows.from_rows(X, y, groups, random=(0, 2), **options)
    return fit_likelihood(rows, FAMILIES["binomial"])


def test_sorted_rows_are_not_copied():
    X, y, groups = draw()
    order = np.argsort(groups)
    rows = LikelihoodRows.from_rows(X[order], y[order], groups[order])
    assert rows.is_sorted
    inside = X[order]
    assert LikelihoodRows.from_rows(inside, y[order], groups[order]).X is inside


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_containers(fit_intercept):
    X, y, groups = draw()
    one = fit(X, y, groups, fit_intercept=fit_intercept)
    for make in (sparse.csr_matrix, sparse.csc_array, np.asfortranarray):
        two = fit(make(X), y, groups, fit_intercept=fit_intercept)
        assert two.value == pytest.approx(one.value, abs=1e-9)
        np.testing.assert_allclose(two.coef, one.coef, rtol=1e-6)


def test_float32_keeps_its_type():
    X, y, groups = draw()
    rows = LikelihoodRows.from_rows(X.astype(np.float32), y, groups)
    assert rows.X.dtype == np.float32
    assert fit(X.astype(np.float32), y, groups).value == pytest.approx(
        fit(X, y, groups).value, abs=1e-4
    )


def test_a_far_column_keeps_its_digits():
    X, y, groups = draw()
    away = X + np.array([0.0, 2.0**30, 0.0])
    near, far = fit(X, y, groups), fit(away, y, groups)
    assert far.value == pytest.approx(near.value, abs=1e-6)
    sparse_far = fit(sparse.csr_array(away), y, groups)
    assert sparse_far.value == pytest.approx(near.value, abs=1e-6)


def test_weights_of_zero_and_their_groups_are_left_out():
    X, y, groups = draw()
    weight = np.where((groups == 3) | (np.arange(200) < 20), 0.0, 1.0)
    rows = LikelihoodRows.from_rows(X, y, groups, weight)
    assert rows.n_rows == np.count_nonzero(weight)
    assert 3 not in rows.groups
    assert rows.w is None


@pytest.mark.parametrize("family", FAMILIES)
def test_unsorted_rows_take_little_more_than_their_copy(family):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100_000, 5)), rng.integers(0, 2, 100_000)
    groups = rng.integers(0, 2500, 100_000)
    tracemalloc.start()
    rows = LikelihoodRows.from_rows(X, y, groups)
    fit_likelihood(rows, FAMILIES[family])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.7 * X.nbytes  # working arrays of a chunk are 0.25 here


def test_targets_that_need_double_precision_keep_it():
    X, y, groups = draw()
    rates = LikelihoodRows.from_rows(X, y / 3, groups)
    assert rates.y.dtype == np.float64
    np.testing.assert_array_equal(np.sort(rates.y), np.sort(y / 3))
    assert LikelihoodRows.from_rows(X, y, groups).y.dtype == np.float32


def test_many_groups_are_sorted():
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 200_000, 1000)
    X, y = groups[:, None].astype(float), rng.integers(0, 2, 1000)
    rows = LikelihoodRows.from_rows(X, y, groups)
    np.testing.assert_array_equal(rows.X[:, 0], np.sort(groups))
    np.testing.assert_array_equal(rows.groups, np.unique(groups))
    np.testing.assert_array_equal(np.repeat(rows.groups, rows.sizes), np.sort(groups))
