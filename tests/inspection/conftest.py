import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def sleep():
    """Model with two random effects, and its rows."""
    rows = load_sleepstudy(return_X_y=True)
    return RandomSlopeRegressor("Days").fit(*rows), *rows


@pytest.fixture(scope="session")
def schools():
    """Random intercepts of 160 groups, and five features."""
    rows = load_hsb(return_X_y=True)
    return RandomInterceptRegressor().fit(*rows), *rows


@pytest.fixture(scope="session")
def crowd():
    """Arrays, and 2,000 groups of very different size."""
    rows = make_mixed_regression(
        20_000, 2, 2_000, slope_variances=[0.3, 0], balanced=False, random_state=0
    )
    return RandomSlopeRegressor([0]).fit(*rows), *rows
