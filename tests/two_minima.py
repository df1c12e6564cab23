"""Rows for which the deviance of a random intercept has two minima."""

import numpy as np


def rows_of_two_minima():
    """X, y and groups; one of the minima is at zero, and the other lies 0.69 lower."""
    rng = np.random.default_rng(4317)
    n_groups, n = rng.integers(3, 40), rng.integers(30, 300)
    share = 1 / np.arange(1, n_groups + 1) ** rng.uniform(0, 2)
    groups = rng.choice(n_groups, n, p=share / share.sum())
    k = rng.integers(0, 4)
    X = rng.normal(size=(n, k))
    X[:, 0] = rng.normal(size=n_groups)[groups] + rng.normal(size=n) * rng.uniform(0, 0.3)
    y = rng.normal(size=n_groups)[groups] * rng.uniform(0, 0.4) + rng.normal(size=n)
    return X, y, groups
