"""Random slopes: time of fit beside scikit-learn's linear regression."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from skmixed import RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression


@pytest.mark.parametrize(
    ("n_columns", "n_groups", "n_slopes", "limit"),
    [(10, 10_000, 1, 0.8), (10, 10_000, 3, 2.0), (3, 125_000, 1, 3.0)],
)
def test_fit_relative_to_linear_regression(
    n_columns, n_groups, n_slopes, limit, median_seconds, record_ratio
):
    slopes = list(range(n_slopes))
    X, y, groups = make_mixed_regression(
        1_000_000,
        n_columns,
        n_groups,
        slope_variances=np.where(np.arange(n_columns) < n_slopes, 0.3, 0.0),
        random_state=0,
    )
    seconds = median_seconds(
        {
            "mixed": lambda: RandomSlopeRegressor(slopes).fit(X, y, groups=groups),
            "linear": lambda: LinearRegression().fit(X, y),
        }
    )
    ratio = seconds["mixed"] / seconds["linear"]
    name = f"1e6 rows x {n_columns} columns, {n_groups:,} groups, {n_slopes} slope(s)"
    record_ratio(f"fit, {name} / LinearRegression", ratio)
    assert ratio <= limit
