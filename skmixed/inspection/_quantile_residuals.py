"""Residuals that are standard normal whatever the distribution of y is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import bernoulli, kstest, norm, poisson
from sklearn.utils import check_random_state, gen_batches

from skmixed._rows.labels import check_weights
from skmixed.inspection._models import draws_as_numbers, family_of, population_means

NOT_WHOLE = (
    "Quantile residuals need counts, but {n} of {n_rows} values of y are no whole numbers. Of "
    "rates give the exposures: sample_weight=exposure."
)
UNUSED_WEIGHTS = (
    "`sample_weight` must be None for residuals of {name} without draws, since it is the "
    "exposure of counts, or the precision of rows that are drawn. Pass n_draws=250, or leave "
    "it out."
)
DISTRIBUTIONS = {"binomial": bernoulli, "poisson": poisson}
# Probabilities nearer to 0 and 1 have quantiles that are infinite.
NEAR = np.finfo(np.float64).eps / 2
# Counts over exposures, times these, are whole up to rounding.
ROUNDING = 1e-8
# Numbers that are ranked at a time.
BATCH_VALUES = 2**20


class UniformityTest(NamedTuple):
    """Whether quantile residuals are standard normal: Kolmogorov and Smirnov's test.

    Attributes
    ----------
    statistic : float
        The largest distance of their distribution from the normal one, between 0 and 1.
    p_value : float
    """

    statistic: float
    p_value: float


def residuals_of(model, rows, X, groups, *, n_draws, sample_weight, random_state):
    """Residuals of predicted rows, their fitted values and what is known of them.

    Parameters
    ----------
    model : estimator
        That was fitted.
    rows : PredictedRows
        As checked, with predictions.
    X, groups : array-likes
        The same as the model takes them.
    n_draws : int or None
        Of y, by which residuals are ranked; None for those of the distribution itself, of
        linear models differences.
    sample_weight : array-like of shape (n_rows,) or None
        As for `simulate`.
    random_state : int, RandomState instance or None
        Draws y, and within steps.

    Returns
    -------
    dict
        Arguments of the display.
    """
    family, rng = family_of(model), check_random_state(random_state)
    if n_draws is None and family != "poisson" and sample_weight is not None:
        raise ValueError(UNUSED_WEIGHTS.format(name=type(model).__name__))
    if n_draws is None and family is None:
        test = _test(rows.residuals / np.sqrt(model.residual_variance_))
        return {"residuals": rows.residuals, "fitted": rows.fitted, "uniformity": test}
    exposure = check_weights(sample_weight, rows.X) if family == "poisson" else None
    y, known = _as_counts(rows.y, exposure), {"family": family or "normal"}
    if n_draws is None:
        mean = rows.fitted if exposure is None else exposure * rows.fitted
        residuals = quantile_residuals(family, y, mean, rng)
        test = {"uniformity": _test(residuals)}
        return known | test | {"residuals": residuals, "fitted": rows.fitted}
    draws = model.simulate(
        X, groups, n_draws=n_draws, random_state=rng, sample_weight=sample_weight
    )
    draws = _as_counts(draws_as_numbers(model, draws).T, exposure).T
    residuals, test = residuals_by_draws(y, draws, rng)
    fitted = population_means(model, X, rows)
    return known | {"residuals": residuals, "fitted": fitted, "uniformity": test}


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


def residuals_by_draws(y, draws, rng):
    """Rank y among draws of it, row by row.

    If the model is true, y and the draws can be exchanged. So a rank, with a number drawn
    evenly within its step, is uniform, and the test's statistic of y is ranked among those of
    the draws, however rows of a group depend on one another. Mean and spread, which a fit
    matches to y and not to the draws, are taken off each of them before.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        The target.
    draws : ndarray of shape (n_rows, n_draws)
        Drawn from the model.
    rng : RandomState
        Breaks ties, and draws within steps.

    Returns
    -------
    residuals : ndarray of shape (n_rows,)
        Normal quantiles.
    test : UniformityTest
    """
    n_rows, n_draws = draws.shape
    shares = np.empty((n_rows, n_draws + 1), order="F")
    for rows in gen_batches(n_rows, max(BATCH_VALUES // (n_draws + 1), 1)):
        both = np.column_stack([y[rows], draws[rows]])
        ranks = np.empty_like(both)
        order = np.lexsort((rng.uniform(size=both.shape), both), axis=1)
        np.put_along_axis(ranks, order, np.arange(n_draws + 1.0)[None], axis=1)
        shares[rows] = (ranks + rng.uniform(size=both.shape)) / (n_draws + 1)
    quantiles = norm.ppf(np.clip(shares, NEAR, 1 - NEAR, out=shares))
    residuals = quantiles[:, 0].copy()
    distances = _distances(quantiles)
    p_value = float(np.mean(distances >= distances[0]))
    return residuals, UniformityTest(float(distances[0]), p_value)


def _test(residuals):
    """Test rows that are independent; None where residuals have no variance to be over."""
    if not np.isfinite(residuals).all():
        return None
    return UniformityTest(*map(float, kstest(residuals, norm.cdf)))


def _distances(quantiles):
    """Largest distance of each column's distribution from a normal one; overwrites them."""
    quantiles -= quantiles.mean(axis=0)
    quantiles /= np.maximum(quantiles.std(axis=0), NEAR)
    quantiles.sort(axis=0)
    shares = norm.cdf(quantiles)
    steps = np.arange(len(shares))[:, None] / len(shares)
    above = np.max(shares - steps, axis=0)
    return np.maximum(above, 1 / len(shares) - np.min(shares - steps, axis=0))


def _as_counts(y, exposure):
    """Turn rates to the counts that they are of; other y stay."""
    if exposure is None:
        return y
    counts = exposure * y
    whole = np.rint(counts)
    return np.where(np.abs(counts - whole) <= ROUNDING * np.maximum(whole, 1), whole, counts)
