"""Standard errors robust to clusters: time of fit beside the classical one and pyfixest's."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skmixed import FixedEffectsRegressor, PooledRegressor

N_ROWS, N_GROUPS = 1_000_000, 10_000
COLUMNS = [f"x{i}" for i in range(10)]
MODELS = {"pooled": PooledRegressor(), "fixed effects": FixedEffectsRegressor()}
# how many times the classical fit, which does not read the groups if pooled
MOST = {("pooled", "CR1"): 3, ("fixed effects", "CR1"): 2}
MOST |= {("pooled", "CR2"): 14, ("fixed effects", "CR2"): 7}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, N_GROUPS, N_ROWS)
    table = pd.DataFrame(rng.normal(size=(N_ROWS, 10)), columns=COLUMNS)
    y = table.sum(axis=1) + rng.normal(size=N_GROUPS)[groups] + rng.normal(size=N_ROWS)
    return table.assign(y=y, g=groups)


def fit_ours(name, kind, table):
    model = clone(MODELS[name]).set_params(standard_errors=kind)
    return model.fit(table[COLUMNS], table["y"], groups=table["g"])


@pytest.mark.parametrize("name", list(MODELS))
def test_fit_relative_to_classical_errors(name, table, median_seconds, record_ratio):
    kinds = ["classical", "CR1", "CR2"]
    calls = {kind: lambda kind=kind: fit_ours(name, kind, table) for kind in kinds}
    seconds = median_seconds(calls)
    for kind in kinds[1:]:
        ratio = seconds[kind] / seconds["classical"]
        record_ratio(f"fit, 1e6 x 10, 10,000 groups, {name}, {kind} / classical", ratio)
        assert ratio <= MOST[name, kind]


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # pyfixest's use of pandas
@pytest.mark.parametrize("name", list(MODELS))
def test_fit_relative_to_pyfixest(name, table, median_seconds, record_ratio):
    pyfixest = pytest.importorskip("pyfixest")
    formula = "y ~ " + " + ".join(COLUMNS) + (" | g" if name == "fixed effects" else "")

    def fit_rival():
        return pyfixest.feols(formula, table, vcov={"CRV1": "g"})

    ours = fit_ours(name, "CR1", table).fixed_effects_frame()["std_error"]
    np.testing.assert_allclose(ours[COLUMNS], fit_rival().se()[COLUMNS], rtol=1e-4)
    calls = {"ours": lambda: fit_ours(name, "CR1", table), "rival": fit_rival}
    seconds = median_seconds(calls, rounds=3)
    ratio = seconds["ours"] / seconds["rival"]
    record_ratio(f"fit, 1e6 x 10, 10,000 groups, {name}, CR1 / pyfixest", ratio)
    assert ratio <= 0.5
