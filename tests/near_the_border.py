"""Small sets, each with a level at which a profile limit is next to its border."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from profile_oracle import DenseModel
from scipy.stats import chi2

# By how much the deviance at the border is above the bound; below it for some numbers.
GAPS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Sizes that are tried until it costs something to put the parameter at its border.
SIZES = (0.0, 0.2, 0.4, 0.6, 0.9, 1.3, 2.0, 4.0)
LEAST_RISE = 0.3
# Sets from this number on have few groups of few rows, so that there are several minima; some
# of them are for levels in use.
TINY = 1000
LEVELS = {3: 0.95, 7: 0.99}


@dataclass(frozen=True)
class NearBorder:
    """Rows, a model and a level, and the parameter which that level takes to its border."""

    number: int
    X: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None
    y: np.ndarray
    diagonal: bool
    random_intercept: bool
    border: dict
    thorough: bool

    @cached_property
    def dense(self):
        D = np.column_stack([np.ones(len(self.y)), self.X])
        Z = D if self.random_intercept else self.X
        return DenseModel(D, self.y, Z, self.groups, self.diagonal, self.weights, self.thorough)

    @cached_property
    def rise(self):
        """Of the deviance, at the border."""
        return self.dense.held(**self.border) - self.dense.lowest

    @property
    def level(self):
        number = self.number
        if number >= TINY and number % 8 in LEVELS:
            return LEVELS[number % 8]
        below = number // 16 % 4 == 3
        gap = GAPS[number // 2 % 8] * (-1 if below else 1)
        return chi2.cdf(self.rise - gap, 1)


def near_border(number, *, thorough=True):
    """Return a set: 2 or 3 random effects, correlated or not, weighted or not.

    `thorough` says how the minima of its deviance are looked for.
    """
    rng = np.random.default_rng(10_000 + number)
    q, diagonal, random_intercept = 2 + number % 2, number // 2 % 2 == 1, number // 4 % 3 > 0
    n_groups = rng.integers(5, 31) if number % 5 else rng.integers(5, 9)
    sizes = rng.integers(3, 11, n_groups)
    if number >= TINY:
        sizes = rng.integers(3, 6, n_groups := rng.integers(5, 9))
    if q == 3:
        sizes = np.maximum(sizes, rng.integers(3, 6))
    groups = np.repeat(np.arange(n_groups), sizes)
    n = len(groups)
    X = rng.normal(size=(n, q - random_intercept)) + rng.choice([0.0, 1.0])
    weights = rng.choice([0.5, 1.0, 2.0, 3.0], n) if number // 3 % 3 == 0 else None
    b = rng.normal(size=(n_groups, q))
    sd = np.array([1.0, 0.7, 0.5])[:q] * rng.choice([0.5, 1.0, 2.0])
    e = rng.normal(size=n)
    if weights is not None:
        e /= np.sqrt(weights / weights.mean())
    i = int(rng.integers(q))
    j = (i + 1) % q
    of_correlation = not diagonal and number % 3 == 1
    border = {"correlation": (*sorted((i, j)), 1.0)} if of_correlation else {"sd": (i, 0.0)}
    Z = np.column_stack([np.ones(n), X]) if random_intercept else X
    for size in SIZES[0 if number >= TINY else 1 :]:
        effects = b * sd
        if of_correlation:
            rho = np.clip(1 - size / 2, -0.9, 1)
            effects[:, j] = sd[j] * (rho * b[:, i] + np.sqrt(1 - rho**2) * b[:, j])
            effects *= 2
        else:
            effects[:, i] = size / 2 * b[:, i]
        y = 1 + X.sum(axis=1) + np.sum(effects[groups] * Z, axis=1) + e
        found = NearBorder(
            number, X, groups, weights, y, diagonal, random_intercept, border, thorough
        )
        if found.rise > LEAST_RISE:
            break
    return found
