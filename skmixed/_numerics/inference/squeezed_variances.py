"""Variances of many small groups, each drawn towards what is usual among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

from skmixed._numerics.linalg.arrays import Array

# Of log d0: beyond the upper end the prior holds variances equal, and the limit is taken.
BOUNDS_OF_LOG_DF = (np.log(0.05), np.log(1e5))
# The gain in log-likelihood below which rounding could be all there is.
LEAST_GAIN = 1e-6


@dataclass(frozen=True)
class SqueezedVariances:
    """Posterior variances under sigma_j^2 ~ d0 s0^2 / chi2(d0), both estimated (Smyth 2004).

    d0 and s0^2 maximise the likelihood of the s_j^2, which given them are s0^2 F(d_j, d0). The
    moments of log s_j^2 that Smyth matches are not there if an s_j^2 is 0, and count a group
    of two rows as one of a hundred.
    """

    prior_df: float
    prior_variance: float
    variances: Array

    @classmethod
    def from_squares(cls, squares: Array, df: Array) -> SqueezedVariances:
        """Squeeze squares / df; a group without degrees of freedom gets s0^2."""
        total = df.sum()
        if not total > 0:
            return cls(np.nan, np.nan, np.full(len(df), np.nan))
        pooled = squares.sum() / total
        d0, s0 = _prior(squares / pooled, df) if pooled > 0 else (np.inf, 1.0)
        prior = s0 * pooled
        if np.isinf(d0):
            return cls(d0, prior, np.full(len(df), prior))
        return cls(d0, prior, (d0 * prior + squares) / (d0 + df))


def _prior(squares: Array, df: Array) -> tuple[float, float]:
    """d0 and s0^2, of squares whose pooled variance is 1."""
    told = df > 0
    squares, df = squares[told], df[told]
    found = minimize(
        _minus_log_likelihood,
        (0.0, np.log(4.0)),
        args=(squares, df),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-30.0, 30.0), BOUNDS_OF_LOG_DF],
    )
    equal = df.sum() / 2 * (np.log(2) + 1)  # the limit of d0 = inf
    if found.x[1] >= BOUNDS_OF_LOG_DF[1] or not found.fun < equal - LEAST_GAIN:
        return np.inf, 1.0
    s0, d0 = np.exp(found.x)
    return float(d0), float(s0)


def _minus_log_likelihood(at: Array, squares: Array, df: Array) -> tuple[float, Array]:
    """Without what depends on neither log s0^2 nor log d0; and its gradient."""
    s0, d0 = np.exp(at)
    both, prior = df + d0, d0 * s0
    v = prior + squares
    terms = gammaln(both / 2) - gammaln(d0 / 2) + d0 / 2 * np.log(prior) - both / 2 * np.log(v)
    by_log_s0 = d0 / 2 - both / 2 * prior / v
    by_d0 = digamma(both / 2) - digamma(d0 / 2) + np.log(prior / v) + 1 - both * s0 / v
    return -float(terms.sum()), -np.array([by_log_s0.sum(), d0 / 2 * by_d0.sum()])
