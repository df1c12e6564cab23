"""What is left of the moments without some rows, and when it has to be summed up anew."""

import numpy as np
import pytest
import scipy.sparse as sp

from skmixed._numerics.leave_out.folds import subtract_fold, sums_of_squares
from skmixed._numerics.moments.by_group import cross_products_by_group, shifted_columns
from skmixed._numerics.moments.moments import GroupedMoments


def simulate(n=300, n_groups=12, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1, 100, 0.01] + [0, 5, 7]
    return X, rng.normal(size=n) - 3, rng.integers(0, n_groups, n)


def moments_of(X, y, codes, rows, weight=None, shift=None):
    weight = None if weight is None else weight[rows]
    labels = np.arange(codes.max() + 1)
    random = (0, 2)
    return GroupedMoments.from_rows(
        X[rows], y[rows], codes[rows], labels, weight, random=random, shift=shift
    )


def split(X, y, codes, left_out, weight=None):
    """The rest by difference, and summed up from its rows."""
    total = moments_of(X, y, codes, np.arange(len(y)), weight)
    fold = moments_of(X, y, codes, np.flatnonzero(left_out), weight, total.shift)
    direct = moments_of(X, y, codes, np.flatnonzero(~left_out), weight, total.shift)
    return subtract_fold(total, fold), direct


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_the_rest_is_that_of_the_rows(weighted):
    X, y, codes = simulate()
    rng = np.random.default_rng(1)
    weight = rng.uniform(0, 2, len(y)) * (rng.random(len(y)) > 0.2) if weighted else None
    left_out = (np.arange(len(y)) % 5 == 0) | (codes == 3)
    rest, direct = split(X, y, codes, left_out, weight)
    np.testing.assert_array_equal(rest.labels, direct.labels)
    np.testing.assert_array_equal(rest.n_rows, direct.n_rows)
    if not weighted:
        np.testing.assert_array_equal(rest.sizes, direct.sizes)
        assert rest.n == direct.n
    scale = np.sqrt(np.diag(direct.T))
    tolerance = 1e-13 * np.outer(scale, scale)
    assert np.all(np.abs(rest.T - direct.T) <= tolerance)
    assert np.all(np.abs(rest.C - direct.C) <= tolerance[[0, 2], :, None])


def test_a_group_left_out_as_a_whole_leaves_no_dust():
    X, y, codes = simulate()
    weight = np.random.default_rng(0).uniform(0.1, 1, len(y))  # sums that do not cancel exactly
    rest, _ = split(X, y, codes, codes == 4, weight)
    np.testing.assert_array_equal(rest.labels, np.delete(np.arange(12), 4))
    assert rest.n_rows.sum() == np.count_nonzero(codes != 4)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda X, y, fold: X.__setitem__((slice(None), 0), fold),
        lambda X, y, fold: X.__setitem__((fold, 0), 1e3 * X[fold, 0]),
        lambda X, y, fold: y.__setitem__(~fold, 2.0),
        lambda X, y, fold: X.__setitem__((~fold, 0), X[~fold, 1] + 1e-4 * X[~fold, 0]),
        lambda X, y, fold: y.__setitem__(slice(None), 1e3 * fold * y + X[:, 0]),
        lambda X, y, fold: X.__iadd__(1e9),
    ],
    ids=[
        "dummy of the fold",
        "wild in the fold",
        "constant y left",
        "nearly dependent columns, but in the fold",
        "y explained, but in the fold",
        "far from zero",
    ],
)
def test_where_digits_would_be_lost_there_is_no_difference(spoil):
    X, y, codes = simulate()
    left_out = np.arange(len(y)) % 5 == 0
    assert split(X, y, codes, left_out)[0] is not None
    spoil(X, y, left_out)
    assert split(X, y, codes, left_out)[0] is None


def test_columns_that_are_clear_in_the_whole_are_no_obstacle():
    X, y, codes = simulate()
    X[:, 1] = 2 * X[:, 0] + 1  # dependent in any fold
    X[:, 2] = 4.4
    left_out = np.arange(len(y)) % 5 == 0
    assert split(X, y, codes, left_out)[0] is not None
    X[~left_out, 1] = 5 * X[~left_out, 0]  # dependent in what is left
    X[left_out, 1] = 3.0
    assert split(X, y, codes, left_out)[0] is not None


def test_few_rows_or_little_of_a_group_left():
    X, y, codes = simulate()
    assert split(X, y, codes, np.arange(len(y)) >= 4)[0] is None
    weight = np.where(np.arange(len(y)) % 5 == 0, 1e3, 1.0)
    assert split(X, y, codes, np.arange(len(y)) % 5 == 0, weight)[0] is None


@pytest.mark.parametrize("convert", [np.asarray, sp.csc_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_cross_products_by_group(weighted, convert):

    X, y, codes = simulate()
    codes = np.where(codes == 11, -1, codes)  # not in the moments
    weight = np.random.default_rng(0).uniform(0, 2, len(y)) if weighted else None
    shift = np.array([0.0, 1.0, 5.0, 0.0, -3.0])
    seen = []
    for groups, rows, D, products in cross_products_by_group(
        convert(X), y, codes, 11, shift=shift, sample_weight=weight, chunk=300
    ):
        np.testing.assert_array_equal(D, shifted_columns(X[rows], y[rows], shift))
        for k, group in enumerate(groups):
            own = shifted_columns(X[codes == group], y[codes == group], shift)
            w = 1.0 if weight is None else weight[codes == group]
            np.testing.assert_allclose(products[..., k], (own * w) @ own.T, atol=1e-9)
        seen.extend(rows)
    np.testing.assert_array_equal(np.sort(seen), np.flatnonzero(codes >= 0))


# ------------------------------------------------------------------------ sums of squares


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_sums_of_squares_are_those_of_the_rows(offset):
    X, y, codes = simulate()
    line = np.array([0.5, 1.0, -0.02, 3.0])
    effects = np.random.default_rng(1).normal(size=(2, 12))
    effects[:, 5] = 0.0  # a new group
    moments = moments_of(X + np.array([0, offset, 0]), y + offset, codes, np.arange(len(y)))
    moved = line + np.array([offset * (1 - line[2]), 0, 0, 0])
    effects_there = effects - [[offset], [0]] * effects[1]
    errors, total = sums_of_squares(moments, moved, effects_there)
    direct = y - line[0] - X @ line[1:] - effects[0, codes] - effects[1, codes] * X[:, 1]
    tolerance = 1e-12 if offset == 0 else 1e-6  # of the rows themselves
    assert errors == pytest.approx(direct @ direct, rel=tolerance)
    assert total == pytest.approx(len(y) * np.var(y), rel=tolerance)


def test_sums_of_squares_with_few_digits_are_not_given():
    X, y, codes = simulate()
    everything, nothing = np.arange(len(y)), np.zeros((2, 12))
    line = np.array([1.0, 2.0, 3.0, 4.0])
    noise = 1e-7 * y
    explained = moments_of(X, line[0] + X @ line[1:] + noise, codes, everything)
    assert sums_of_squares(explained, line, nothing) is None
    constant = moments_of(X, np.full(len(y), 3.0), codes, everything, shift=np.zeros(5))
    assert sums_of_squares(constant, line, nothing) is None
    assert sums_of_squares(moments_of(X, y, codes, [0]), line, np.zeros((2, 1))) is None
