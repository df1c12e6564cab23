"""Random intercepts: time and memory of fit and predict beside scikit-learn's.

Run with ``pytest tests/benchmarks``; the ratios are printed at the end.
"""

import tracemalloc

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from skmixed import RandomInterceptRegressor
from skmixed._rows.labels import match_groups
from skmixed.datasets import make_mixed_regression

N_ROWS, N_COLUMNS = 1_000_000, 10


@pytest.fixture(scope="module", params=[10_000, 300_000], ids="{:,} groups".format)
def rows(request):
    X, y, groups = make_mixed_regression(N_ROWS, N_COLUMNS, request.param, random_state=0)
    names = pd.Series(groups).map("customer_{:06d}".format)
    return {"X": X, "y": y, "integers": groups, "strings": names}


@pytest.mark.parametrize(
    "estimator", [RandomInterceptRegressor, LinearRegression, Ridge], ids=lambda e: e.__name__
)
def test_time_of_fit(benchmark, rows, estimator):
    options = {"groups": rows["integers"]} if estimator is RandomInterceptRegressor else {}
    benchmark.group = f"fit, {rows['integers'].max() + 1:,} groups"
    benchmark.pedantic(
        estimator().fit, (rows["X"], rows["y"]), options, rounds=5, warmup_rounds=1
    )


def test_fit_relative_to_linear_regression(rows, median_seconds, record_ratio):
    X, y = rows["X"], rows["y"]
    n_groups = rows["integers"].max() + 1
    seconds = median_seconds(
        {
            "integers": lambda: RandomInterceptRegressor().fit(X, y, groups=rows["integers"]),
            "strings": lambda: RandomInterceptRegressor().fit(X, y, groups=rows["strings"]),
            "LinearRegression": lambda: LinearRegression().fit(X, y),
            "Ridge": lambda: Ridge().fit(X, y),
        }
    )
    ratio = {
        kind: seconds[kind] / seconds["LinearRegression"] for kind in ("integers", "strings")
    }
    for kind, value in ratio.items():
        record_ratio(f"fit, {n_groups:,} groups, {kind} / LinearRegression", value)
    of_ridge = seconds["integers"] / seconds["Ridge"]
    record_ratio(f"fit, {n_groups:,} groups, integers / Ridge", of_ridge)
    if n_groups == 10_000:
        assert ratio["integers"] <= 0.5
        assert ratio["strings"] <= 1.0
        assert of_ridge <= 1.0
    else:
        assert ratio["integers"] <= 1.0


def test_predict_relative_to_linear_regression(rows, median_seconds, record_ratio):
    X, y, groups = rows["X"], rows["y"], rows["integers"]
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    linear = LinearRegression().fit(X, y)
    seconds = median_seconds(
        {
            "mixed": lambda: model.predict(X, groups=groups),
            "linear": lambda: linear.predict(X),
            "matching": lambda: match_groups(groups, model.groups_, N_ROWS),
        }
    )
    ratio = (seconds["mixed"] - seconds["matching"]) / seconds["linear"]
    record_ratio(f"predict, {len(model.groups_):,} groups / LinearRegression", ratio)
    assert ratio <= 2.0


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_memory_of_fit(rows, kind, record_ratio):
    n_groups = rows["integers"].max() + 1
    model = RandomInterceptRegressor()
    tracemalloc.start()
    try:
        model.fit(rows["X"], rows["y"], groups=rows[kind])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    ratio = peak / rows["X"].nbytes
    record_ratio(f"memory of fit, {n_groups:,} groups, {kind} / X", ratio)
    if n_groups == 10_000:
        assert ratio <= 0.25
