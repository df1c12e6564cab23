"""Residuals that are standard normal whatever the distribution of y is."""

from __future__ import annotations

import numpy as np
from scipy.stats import bernoulli, norm, poisson
from sklearn.utils import check_random_state

NOT_WHOLE = (
    "Quantile residuals need counts, but {n} of {n_rows} values of y are no whole numbers. Of "
    "rates draw y less its predictions: ResidualsDisplay.from_predictions(y, "
    "model.predict(X, groups))."
)
DISTRIBUTIONS = {"binomial": bernoulli, "poisson": poisson}
# Probabilities nearer to 0 and 1 have quantiles that are infinite.
NEAR = np.finfo(np.float64).eps / 2


def residuals_of(family, rows, random_state):
    """Residuals of predicted rows, by quantiles if y is not normal, and fitted values."""
    given = {"residuals": rows.residuals, "fitted": rows.fitted, "family": family}
    if family is None:
        return given
    drawn = quantile_residuals(family, rows.y, rows.fitted, random_state)
    return given | {"residuals": drawn}


def quantile_residuals(family, y, mean, random_state):
    """Draw randomised quantile residuals (Dunn and Smyth 1996).

    Parameters
    ----------
    family : {"binomial", "poisson"}
        Distribution of y.
    y, mean : ndarray of shape (n_rows,)
        Outcomes, 0 or 1, or counts; and their predicted means.
    random_state : int, RandomState instance or None
        Draws within the steps of the distribution.

    Returns
    -------
    ndarray of shape (n_rows,)
        Normal quantiles.
    """
    n_parts = np.count_nonzero(y % 1)
    if n_parts:
        raise ValueError(NOT_WHOLE.format(n=n_parts, n_rows=len(y)))
    distribution = DISTRIBUTIONS[family](mean)
    within = check_random_state(random_state).uniform(size=len(y))
    probability = distribution.cdf(y - 1) + within * distribution.pmf(y)
    above = distribution.sf(y) + (1 - within) * distribution.pmf(y)
    # each tail by the side on which it has digits
    low = norm.ppf(np.maximum(probability, NEAR))
    return np.where(probability <= 0.5, low, norm.isf(np.maximum(above, NEAR)))
