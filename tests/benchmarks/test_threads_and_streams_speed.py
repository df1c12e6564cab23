"""Fits in threads and processes, groups learned after a fit, and many random slopes."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sklearn
from sklearn.model_selection import KFold
from sklearn.model_selection import cross_validate as loop

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression
from skmixed.metrics import group_scorer


def test_two_fits_in_threads(median_seconds, record_ratio):
    X, y, groups = make_mixed_regression(1_000_000, 10, 10_000, random_state=0)

    def fit(_):
        return RandomInterceptRegressor().fit(X, y, groups=groups)

    with ThreadPoolExecutor(2) as threads:
        seconds = median_seconds(
            {
                "in turn": lambda: list(map(fit, range(2))),
                "threads": lambda: list(threads.map(fit, range(2))),
            }
        )
    ratio = seconds["threads"] / seconds["in turn"]
    record_ratio("two fits in two threads / in turn, 1e6 x 10, 10,000 groups", ratio)
    assert ratio <= 1.2


def test_folds_in_processes(median_seconds, record_ratio):
    X, y, groups = make_mixed_regression(
        300_000, 10, 10_000, slope_variances=[0.3] + [0.0] * 9, random_state=0
    )
    options = {
        "params": {"groups": groups},
        "cv": KFold(8, shuffle=True, random_state=0),
        "scoring": group_scorer("r2"),
    }
    model = RandomSlopeRegressor(0)
    with sklearn.config_context(enable_metadata_routing=True):
        seconds = median_seconds(
            {
                "one": lambda: loop(model, X, y, n_jobs=1, **options),
                "two": lambda: loop(model, X, y, n_jobs=2, **options),
            }
        )
    ratio = seconds["two"] / seconds["one"]
    record_ratio("eight folds in two processes / in one, 3e5 x 10, one slope", ratio)
    assert ratio <= 1.2


@pytest.mark.parametrize(("n_groups", "limit"), [(1_000, 0.005), (100_000, 0.1)])
def test_one_row_of_a_new_group(n_groups, limit, median_seconds, record_ratio):
    X, y, groups = make_mixed_regression(4 * n_groups, 5, n_groups, random_state=0)
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    seconds = median_seconds(
        {"update": lambda: model.update_groups(X[:1], y[:1], groups=[n_groups])}, rounds=20
    )
    record_ratio(f"seconds of update_groups, one row, {n_groups:,} groups", seconds["update"])
    assert seconds["update"] <= limit


@pytest.mark.parametrize(("n_slopes", "limit"), [(9, 1.0), (19, 15.0)])
def test_many_slopes(n_slopes, limit, median_seconds, record_ratio):
    X, y, groups = make_mixed_regression(
        20_000, n_slopes, 200, slope_variances=[0.3] * n_slopes, random_state=0
    )
    model = RandomSlopeRegressor("all")
    seconds = median_seconds({"fit": lambda: model.fit(X, y, groups=groups)}, rounds=1)
    record_ratio(f"seconds of a fit with {n_slopes + 1} random effects", seconds["fit"])
    assert seconds["fit"] <= limit
