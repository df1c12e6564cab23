"""The variance of y, split, where residual variances differ between strata of rows."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.inference.explained_variance import ExplainedVariance
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.coordinates import around_means
from skmixed._numerics.moments.strata import StratifiedMoments


def random_by_stratum(
    moments: StratifiedMoments, cov: Array, *, random_intercept: bool
) -> Array:
    """Return the mean of z_i' Var(b) z_i over the rows of each stratum.

    Parameters
    ----------
    moments : StratifiedMoments
        Of the rows.
    cov : ndarray of shape (n_random, n_random)
        Covariance of the random effects, in the user's units.
    random_intercept : bool
        Whether the column of ones is a random column.
    """
    columns = list(moments.total.random[0 if random_intercept else 1 :])
    T, _ = moments.around(np.zeros(len(moments.total.shift)))
    return np.asarray(np.einsum("sab,ab->s", T[:, columns][:, :, columns], cov) / moments.n)


def explained_variance_of_strata(
    moments: StratifiedMoments, slopes: Array, random: Array, residual: Array
) -> ExplainedVariance:
    """Split the variance of y over all rows, each counting by its own weight alone.

    Parameters
    ----------
    moments : StratifiedMoments
        Of the rows.
    slopes : ndarray of shape (n_features,)
        Fixed effects of the features.
    random : ndarray of shape (n_strata,)
        What `random_by_stratum` returns.
    residual : ndarray of shape (n_strata,)
        Residual variances.
    """
    n, T = moments.total.n, around_means(moments.total).T[1:-1, 1:-1]
    fixed = float(slopes @ T @ slopes) / (n - 1) if n > 1 else np.nan
    share = moments.n / n
    return ExplainedVariance(fixed, (float(share @ random),), float(share @ residual))
