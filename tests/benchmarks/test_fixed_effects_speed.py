"""Fixed effects: time of fit beside pyfixest's, in one process."""

import numpy as np
import pandas as pd
import pytest

from skmixed import FixedEffectsRegressor
from skmixed.datasets import make_mixed_regression

pyfixest = pytest.importorskip("pyfixest")


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # pyfixest's use of pandas
@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_fit_relative_to_pyfixest(kind, median_seconds, record_ratio):
    X, y, groups = make_mixed_regression(1_000_000, 3, 100_000, random_state=0)
    if kind == "strings":
        groups = pd.Series(groups).map("customer_{:06d}".format)
    frame = pd.DataFrame(X, columns=["x1", "x2", "x3"]).assign(y=y, g=groups)
    columns = frame[["x1", "x2", "x3"]]

    def fit_ours():
        return FixedEffectsRegressor().fit(columns, frame["y"], groups=frame["g"])

    def fit_rival():
        return pyfixest.feols("y ~ x1 + x2 + x3 | g", data=frame, vcov="iid")

    ours, rival = fit_ours(), fit_rival()
    np.testing.assert_allclose(ours.coef_, rival.coef(), rtol=1e-8)
    std_error = np.sqrt(np.diag(ours.coef_cov_))[1:]
    np.testing.assert_allclose(std_error, rival.se(), rtol=1e-8)
    seconds = median_seconds({"ours": fit_ours, "rival": fit_rival})
    ratio = seconds["ours"] / seconds["rival"]
    record_ratio(f"fit, 1e6 x 3, 100,000 groups, {kind}, fixed effects / pyfixest", ratio)
    assert ratio <= 0.5
