"""Models and rows to leave rows and groups out of."""

import warnings

import numpy as np

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor

MODELS = {
    "intercept": (RandomInterceptRegressor(), (), True),
    "ml": (RandomInterceptRegressor(method="ml"), (), True),
    "no fixed intercept": (RandomInterceptRegressor(fit_intercept=False), (), True),
    "slope": (RandomSlopeRegressor([0]), (0,), True),
    "diagonal": (RandomSlopeRegressor([0, 1], covariance="diag"), (0, 1), True),
    "slope alone": (RandomSlopeRegressor([0], random_intercept=False), (0,), False),
    "not fixed": (RandomSlopeRegressor([0], fixed_slopes=False), (0,), True),
}


def simulate(seed=0, n_groups=9):
    """Groups of one to seven rows, in random order."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(n_groups), rng.integers(1, 8, n_groups)))
    X = rng.normal([2.0, 0.0, 1.0], 1.0, size=(len(groups), 3))
    b = 1.5 * rng.normal(size=(n_groups, 3))[groups]
    y = X @ [1.0, -1.0, 0.5] + b[:, 0] + b[:, 1] * X[:, 0] + rng.normal(size=len(groups))
    return X, y, groups


def fit(model, X, y, groups, weight=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y, groups=groups, sample_weight=weight)
