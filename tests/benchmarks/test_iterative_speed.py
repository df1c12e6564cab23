"""The iterative solver: time, memory and error beside the exact one and beside gpboost.

Run with ``OMP_NUM_THREADS=1``, so that all use one thread.
"""

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from skmixed import RandomInterceptRegressor

FACTORS = ["a", "b"]


def crossed(n, n_a, n_b):
    """Rows of two random factors that cross, with five features."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(n, 5))).add_prefix("x")
    y = table.sum(axis=1) + rng.normal(size=n)
    for name, n_levels, sd in (("a", n_a, 0.7), ("b", n_b, 0.5)):
        table[name] = rng.integers(n_levels, size=n)
        y += sd * rng.normal(size=n_levels)[table[name]]
    return table, y


def movers(n, n_workers, n_firms):
    """Workers of whom 5% ever change the firm, and who vary 20 times as much as rows do."""
    rng = np.random.default_rng(0)
    worker, home = rng.integers(n_workers, size=n), rng.integers(n_firms, size=n_workers)
    second = rng.integers(n_firms, size=n_workers)
    moves = (rng.random(n_workers) < 0.05)[worker] & (rng.random(n) < 0.5)
    firm = np.where(moves, second[worker], home[worker])
    table = pd.DataFrame({"x": rng.normal(size=n), "a": worker, "b": firm})
    y = table["x"] + np.sqrt(20) * rng.normal(size=n_workers)[worker]
    return table, y + 2 * rng.normal(size=n_firms)[firm] + rng.normal(size=n)


def fitted(table, y, solver):
    start = time.process_time()
    model = RandomInterceptRegressor(group_by=FACTORS, solver=solver).fit(table, y)
    return model, time.process_time() - start


def standard_errors(model):
    """Those of theta, by the average information at the optimum."""
    fit = model._fitted
    directions = [2 * Lambda[None] for Lambda in fit.Lambdas]  # d Psi / d theta
    information, _ = fit.criterion(fit.Lambdas).average_information(directions)
    return np.sqrt(2 * np.diag(np.linalg.inv(information)))


@pytest.mark.parametrize(
    ("make", "sizes", "share"),
    [(crossed, (200_000, 20_000, 3_000), 0.01), (movers, (100_000, 20_000, 2_000), 0.02)],
)
def test_error_and_time_beside_the_exact_solver(make, sizes, share, record_ratio):
    table, y = make(*sizes)
    (exact, ours), (iterative, theirs) = (
        fitted(table, y, solver) for solver in ("exact", "iterative")
    )
    error = np.abs(iterative.theta_ - exact.theta_) / standard_errors(exact)
    record_ratio(f"fit, {make.__name__}, exact / iterative", ours / theirs)
    record_ratio(f"theta, {make.__name__}, error in standard errors", error.max())
    assert error.max() <= share
    stated = iterative.monte_carlo_error_["criterion"]
    assert abs(iterative.criterion_ - exact.criterion_) <= 4 * stated
    std_error = np.sqrt(np.diag(exact.coef_cov_))[1:]
    difference = (iterative.coef_ - exact.coef_)[: len(std_error)]
    assert np.max(np.abs(difference) / std_error) <= 1e-3


def test_fit_of_100_000_by_100_000_relative_to_gpboost(record_ratio):
    table, y = crossed(1_000_000, 100_000, 100_000)
    model, ours = fitted(table, y, "auto")
    assert model.solver_ == "iterative"
    record_ratio("fit, 1e6 rows, 100,000 x 100,000, in CPU seconds", ours)
    gpboost = pytest.importorskip("gpboost")
    X = table.drop(columns=FACTORS).assign(ones=1.0).to_numpy()
    start = time.process_time()
    rival = gpboost.GPModel(
        group_data=table[FACTORS].to_numpy(),
        likelihood="gaussian",
        matrix_inversion_method="iterative",
        num_parallel_threads=1,
    )
    rival.fit(y=y.to_numpy(), X=X)
    theirs = time.process_time() - start
    record_ratio("fit, 1e6 rows, 100,000 x 100,000, gpboost / ours", theirs / ours)
    assert theirs / ours >= 4


def test_memory_of_a_million_rows(record_ratio):
    table, y = crossed(1_000_000, 100_000, 100_000)
    tracemalloc.start()
    fitted(table, y, "auto")
    peak = tracemalloc.get_traced_memory()[1] / 1e9
    tracemalloc.stop()
    record_ratio("fit, 1e6 rows, 100,000 x 100,000, peak of memory in GB", peak)
    assert peak <= 0.6
