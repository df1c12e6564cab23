"""Small sets of binary outcomes and counts, in groups."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest


class Rows(NamedTuple):
    X: pd.DataFrame
    y: np.ndarray
    groups: np.ndarray

    @property
    def table(self):
        """X with a column of the groups."""
        return self.X.assign(school=self.groups)


def draw(family, n=300, n_groups=20, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["x", "z"])
    codes = rng.integers(n_groups, size=n)
    groups = np.array([f"school {i:02}" for i in range(n_groups)])[codes]
    slope = 0.8 + 0.5 * rng.normal(size=n_groups)
    eta = 0.3 + slope[codes] * X["x"] - 0.5 * X["z"] + rng.normal(size=n_groups)[codes]
    if family == "binomial":
        y = (rng.random(n) < 1 / (1 + np.exp(-eta.to_numpy()))).astype(int)
    else:
        y = rng.poisson(np.exp(0.5 * eta))
    return Rows(X, y, groups)


@pytest.fixture(scope="session")
def binary():
    return draw("binomial")


@pytest.fixture(scope="session")
def counts():
    return draw("poisson")
