"""Scores of a fold as means of values of its rows: each varies as the score does."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy
from scipy.stats import norm, rankdata

LEVEL = 0.95
# Probabilities that are 0 or 1 are taken for numbers this far from them, as log_loss does.
NEAR = np.finfo(np.float64).eps


def rmse(y, mean, _=None):
    """RMSE in terms of squares, to first order: rows then vary as it does."""
    squares = (y - mean) ** 2
    root = np.sqrt(squares.mean())
    return (root + squares / root) / 2 if root > 0 else squares


def mae(y, mean, _=None):
    """Absolute errors."""
    return np.abs(y - mean)


def r2(y, mean, _=None):
    """1 - (squared error) / (variance of y)."""
    return 1 - (y - mean) ** 2 / (y.var() or np.nan)


def log_density(y, mean, std):
    """Logarithm of the normal density."""
    return norm.logpdf(y, mean, std)


def coverage(y, mean, std):
    """Whether intervals hold y."""
    return (np.abs(y - mean) <= _half(std)).astype(np.float64)


def width(y, mean, std):
    """Width of intervals."""
    return 2 * _half(std)


def log_loss(y, mean, _=None):
    """Negative logarithm of the probability of the class that is there."""
    return -np.log(np.clip(np.where(y > 0, mean, 1 - mean), NEAR, 1 - NEAR))


def brier(y, mean, _=None):
    """Squared differences of classes, 0 and 1, and their probabilities."""
    return (y - mean) ** 2


def auc(y, mean, _=None):
    """Area under the ROC curve to first order, by the rows' placements (DeLong 1988).

    The placement of a row is the share of rows of the other class that it is ranked right
    against. The mean of the placements of either class is the area.
    """
    positive = y > 0
    share = positive.mean()
    if share in (0, 1):
        return np.full(len(y), np.nan)
    ranks, placement = rankdata(mean), np.empty(len(y))
    for of_class in (positive, ~positive):
        below = ranks[of_class] - rankdata(mean[of_class])
        placement[of_class] = below / np.count_nonzero(~of_class)
    placement[~positive] = 1 - placement[~positive]
    area = placement[positive].mean()
    return area + (placement - area) / np.where(positive, share, 1 - share)


def poisson_deviance(y, mean, _=None):
    """Compute unit deviances of the Poisson distribution."""
    return 2 * (xlogy(y, y / mean) - y + mean)


def d2_log_loss(y, mean, _=None):
    """1 - (log loss) / (log loss of the share of the class)."""
    return _explained(log_loss, y, mean)


def d2_deviance(y, mean, _=None):
    """1 - (deviance) / (deviance of the mean of y)."""
    return _explained(poisson_deviance, y, mean)


def _explained(loss, y, mean):
    if np.ptp(y) == 0:
        return np.full(len(y), np.nan)
    return 1 - loss(y, mean) / loss(y, np.full(len(y), y.mean())).mean()


def _half(std):
    return norm.ppf((1 + LEVEL) / 2) * std
