"""Time of fit beside other implementations of the same models, in one process."""

import numpy as np
import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression

mixedlm_rs = pytest.importorskip("mixedlm_rs")


@pytest.mark.filterwarnings("ignore::UserWarning:mixedlm_rs")
@pytest.mark.parametrize("n_random", [1, 2], ids=["intercept", "slope"])
def test_fit_relative_to_mixedlm_rs(n_random, median_seconds, record_ratio):
    X, y, groups = make_mixed_regression(
        200_000, 10, 5000, slope_variances=[0.3] + [0.0] * 9, random_state=0
    )
    design = np.column_stack([np.ones(len(y)), X])
    model = RandomInterceptRegressor() if n_random == 1 else RandomSlopeRegressor([0])

    def fit_rival():
        rival = mixedlm_rs.MixedLM(y, design, groups=groups, exog_re=design[:, :n_random])
        return rival.fit(reml=True)

    assert model.fit(X, y, groups=groups).criterion_ == pytest.approx(
        -2 * fit_rival().llf, abs=1e-4
    )
    seconds = median_seconds(
        {"ours": lambda: model.fit(X, y, groups=groups), "rival": fit_rival}
    )
    ratio = seconds["rival"] / seconds["ours"]
    record_ratio(
        f"fit, 2e5 x 10, 5,000 groups, {n_random} random column(s), mixedlm-rs / ours", ratio
    )
    assert ratio >= 3.0
