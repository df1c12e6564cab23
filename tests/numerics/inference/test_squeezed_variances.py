"""Variances drawn towards a prior: against the F distribution, and against the truth."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import f

from skmixed._numerics.inference.squeezed_variances import SqueezedVariances


def draw(n_groups, d0, seed=0):
    rng = np.random.default_rng(seed)
    df = rng.integers(1, 15, n_groups).astype(float)
    true = 3.0 * (1.0 if np.isinf(d0) else d0 / rng.chisquare(d0, n_groups))
    return true * rng.chisquare(df), df, true


def test_prior_is_most_likely_by_the_f_distribution():
    squares, df, _ = draw(60, 5)
    found = SqueezedVariances.from_squares(squares, df)

    def minus(at):
        s0, d0 = np.exp(at)
        return -np.sum(f.logpdf(squares / df / s0, df, d0) - np.log(s0))

    best = minimize(minus, (1.0, 1.0), method="Nelder-Mead", options={"xatol": 1e-8})
    np.testing.assert_allclose(
        [found.prior_variance, found.prior_df], np.exp(best.x), rtol=1e-4
    )
    expected = (found.prior_df * found.prior_variance + squares) / (found.prior_df + df)
    np.testing.assert_allclose(found.variances, expected)


def test_it_finds_the_truth_and_beats_own_and_pooled_variances():
    squares, df, true = draw(2000, 5)
    found = SqueezedVariances.from_squares(squares, df)
    assert found.prior_df == pytest.approx(5, rel=0.1)
    assert found.prior_variance == pytest.approx(3, rel=0.05)
    pooled = np.full(len(df), squares.sum() / df.sum())
    own, same, shrunken = (
        np.mean(np.log(v / true) ** 2) for v in (squares / df, pooled, found.variances)
    )
    assert shrunken < 0.6 * min(own, same)


def test_variances_that_differ_less_than_by_chance_are_pooled():
    df = np.array([4.0, 9.0, 2.0, 0.0])
    found = SqueezedVariances.from_squares(2.5 * df, df)
    assert found.prior_df == np.inf
    np.testing.assert_allclose(found.variances, 2.5)


def test_units_and_groups_without_rows_to_spare_change_nothing():
    squares, df, _ = draw(40, 5)
    squares[0] = 0.0
    found = SqueezedVariances.from_squares(squares, df)
    more = SqueezedVariances.from_squares(np.append(squares, 0.0) * 1e-12, np.append(df, 0.0))
    np.testing.assert_allclose(more.variances[:-1], found.variances * 1e-12, rtol=1e-5)
    assert more.variances[-1] == pytest.approx(found.prior_variance * 1e-12, rel=1e-5)
    assert 0 < found.variances[0] < found.prior_variance


def test_nothing_to_tell():
    assert np.isnan(SqueezedVariances.from_squares(np.zeros(3), np.zeros(3)).variances).all()
    assert (SqueezedVariances.from_squares(np.zeros(3), np.ones(3)).variances == 0).all()
