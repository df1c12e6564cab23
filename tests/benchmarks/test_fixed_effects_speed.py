"""Fixed effects: time of fit beside pyfixest's, in one process."""

import time

import numpy as np
import pandas as pd
import pytest

from skmixed import FixedEffectsRegressor
from skmixed.datasets import make_mixed_regression

N_WORKERS, N_FIRMS, ROWS_EACH = 100_000, 10_000, 10
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


def draw_firms(moves, rng):
    """Firm of each worker's rows: another one each time, or the same but for some moves."""
    if moves == "often":
        return rng.integers(0, N_FIRMS, (N_WORKERS, ROWS_EACH))
    steps = rng.integers(-5, 6, (N_WORKERS, ROWS_EACH))
    steps[rng.random(steps.shape) > 0.05 / ROWS_EACH] = 0  # a worker in twenty moves, nearby
    steps[:, 0] = rng.integers(0, N_FIRMS, N_WORKERS)
    return np.cumsum(steps, axis=1) % N_FIRMS


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("moves", ["often", "seldom"])
def test_fit_of_two_factors_relative_to_pyfixest(moves, median_seconds, record_ratio):
    rng = np.random.default_rng(0)
    worker = np.repeat(np.arange(N_WORKERS), ROWS_EACH)
    firm = draw_firms(moves, rng).ravel()
    frame = pd.DataFrame(rng.normal(size=(len(worker), 5)), columns=[*"abcde"])
    y = frame.sum(axis=1) + rng.normal(size=N_WORKERS)[worker] + rng.normal(size=N_FIRMS)[firm]
    frame = frame.assign(y=y + rng.normal(size=len(y)), worker=worker, firm=firm)

    def fit_ours():
        model = FixedEffectsRegressor(group_by=["worker", "firm"])
        return model.fit(frame.drop(columns="y"), frame["y"])

    # alternating projections, the default, take minutes where workers seldom move
    demeaner = pyfixest.MapDemeaner() if moves == "often" else pyfixest.LsmrDemeaner()
    formula = "y ~ a + b + c + d + e | worker + firm"

    def fit_rival():
        return pyfixest.feols(formula, frame, vcov="iid", demeaner=demeaner)

    ours, rival = fit_ours(), fit_rival()
    # the rival stops at a tolerance of 1e-6
    np.testing.assert_allclose(ours.coef_[:5], rival.coef(), rtol=1e-5)
    calls = {"ours": fit_ours, "rival": fit_rival}
    seconds = median_seconds(calls, rounds=3, clock=time.process_time)
    ratio = seconds["ours"] / seconds["rival"]
    what = "fit, 1e6 x 5, 100,000 x 10,000 groups"
    record_ratio(f"{what}, moves {moves}, fixed effects / pyfixest", ratio)
    assert ratio <= 1
