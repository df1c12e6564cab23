"""Small sets, each with a level at which a profile limit is next to its border."""

from dataclasses import dataclass

import numpy as np
from profile_oracle import DenseModel
from scipy.stats import chi2

N_SETS = 144
# Rises of the deviance above (or below) the quantile where the parameter is at its border.
GAPS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Sizes of the effect in question that are tried, until its absence costs something.
SIZES = (0.3, 0.5, 0.8, 1.2, 2.0, 4.0)
LEAST_RISE = 0.3


@dataclass(frozen=True)
class NearBorder:
    """Rows and a level, and which parameter is to be near which border there.

    The deviance rises to the quantile that belongs to the level, and by `gap` more, where that
    parameter is at its border.
    """

    X: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None
    q: int
    diagonal: bool
    random_intercept: bool
    border: dict
    gap: float
    rise: float

    @property
    def dense(self):
        return _dense(self.X, self.y, self.groups, self.weights, self)

    @property
    def level(self):
        return chi2.cdf(self.rise, 1)


def near_border(seed):
    """Return the set of that number."""
    rng = np.random.default_rng(seed)
    model = {
        "q": 2 + seed % 2,
        "diagonal": seed % 4 >= 2,
        "random_intercept": seed % 8 < 4 or seed % 16 < 8,
    }
    return rng, model
