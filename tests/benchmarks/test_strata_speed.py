"""What residual variances of strata cost beside one variance."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression

MODELS = {
    "intercept": RandomInterceptRegressor(group_by="g"),
    "slope": RandomSlopeRegressor(["x0"], group_by="g"),
}
SIZES = {"1e4, 200 groups": (10_000, 200), "1e6, 10,000 groups": (1_000_000, 10_000)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MODELS)
def test_three_strata_beside_one_variance(name, size, record_ratio, median_seconds):
    n, n_groups = SIZES[size]
    X, y, groups = make_mixed_regression(
        n, 5, n_groups, slope_variances=[0.3, 0, 0, 0, 0], random_state=0
    )
    rng = np.random.default_rng(0)
    strata = rng.integers(0, 3, n)
    one = pd.DataFrame(np.asarray(X), columns=[f"x{i}" for i in range(5)]).assign(
        g=np.asarray(groups)
    )
    y = np.asarray(y) + strata * rng.normal(size=n)
    several = one.assign(s=strata)
    model = MODELS[name]
    of_strata = clone(model).set_params(variance_by="s")
    seconds = median_seconds(
        {"one": lambda: model.fit(one, y), "strata": lambda: of_strata.fit(several, y)},
        rounds=3,
    )
    ratio = seconds["strata"] / seconds["one"]
    record_ratio(f"three strata, {name}, {size} / one variance", ratio)
    assert ratio < 15
