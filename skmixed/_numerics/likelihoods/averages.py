"""Means averaged over a normal linear predictor.

For counts E exp(eta + sd z) = exp(eta + variance / 2). For a yes or no, with L logistic,

    E expit(eta + sd z) = P(L <= eta + sd z) = E Phi((eta - L) / sd),

so that there is a smooth integral for any sd: over z where it is small, over L where it is
large. Sums at equal distances are then right to 1e-10.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_ndtr, ndtr

from skmixed._numerics.likelihoods.families import Family
from skmixed._numerics.linalg.arrays import Array

# Standard deviations from which on the integral is over L.
LARGE_SD = 1.0
_Z = np.arange(-7.2, 7.21, 0.6)
_NORMAL = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()
_L = np.arange(-48.0, 48.01, 0.6)
_LOGISTIC = expit(_L) * expit(-_L) / np.sum(expit(_L) * expit(-_L))
# Probabilities that are no larger have lost digits.
LEAST = 1e-290
# Rows that are averaged at a time.
ROWS = 2**13


def averaged_mean(family: Family, eta: Array, variance: Array) -> Array:
    """Mean of y where the linear predictor is normal with mean eta and a variance.

    Parameters
    ----------
    family : Family
    eta, variance : ndarray of shape (n,)
        Broadcast against each other.
    """
    return family.mean(averaged_link(family, eta, variance))


def averaged_link(family: Family, eta: Array, variance: Array) -> Array:
    """Return the link of the averaged mean, right also where that is next to 0 or 1."""
    eta, variance = np.broadcast_arrays(eta, variance)
    if family.name == "poisson":
        return np.asarray(eta + variance / 2)
    log_less = _log_of_smaller(-np.abs(eta), variance)
    link = log_less - np.log1p(-np.exp(log_less))
    return np.where(eta > 0, -link, link)


def _log_of_smaller(eta: Array, variance: Array) -> Array:
    """Logarithm of E expit(eta + sd z) for eta <= 0, however small that is.

    It is that of exp(eta + variance / 2) E expit(-eta - variance + sd z), too: the sums are
    right to as many digits where the mean of the linear predictor is nearer to 0.
    """
    far = eta < -variance / 2
    moved = np.where(far, -eta - variance, eta)
    sd = np.sqrt(variance)
    probability = _smaller_probability(-np.abs(moved), sd)
    probability = np.where(moved > 0, 1.0 - probability, probability)
    log = np.log(np.maximum(probability, LEAST))
    normal = log_ndtr(moved / np.maximum(sd, LEAST))
    log = np.where(probability > LEAST, log, normal)
    return np.asarray(log + np.where(far, eta + variance / 2, 0.0))


def _smaller_probability(eta: Array, sd: Array) -> Array:
    """E expit(eta + sd z) for eta <= 0."""
    flat, spread = eta.ravel(), sd.ravel()
    mean = np.empty(flat.shape)
    for start in range(0, len(flat), ROWS):
        part = slice(start, start + ROWS)
        mean[part] = _of_rows(flat[part], spread[part])
    return mean.reshape(eta.shape)


def _of_rows(eta: Array, sd: Array) -> Array:
    large = sd > LARGE_SD
    mean = np.empty(eta.shape)
    mean[~large] = expit(eta[~large, None] + sd[~large, None] * _Z) @ _NORMAL
    mean[large] = ndtr((eta[large, None] - _L) / sd[large, None]) @ _LOGISTIC
    return mean
