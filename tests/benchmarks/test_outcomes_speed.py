"""Binary outcomes and counts: processor time beside plain regression and beside glmm.

Run with ``OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1``, so that all use one thread.
"""

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from skmixed import RandomInterceptClassifier, RandomInterceptPoissonRegressor

N_ROWS, N_FEATURES, N_GROUPS = 200_000, 5, 5_000


def simulate(family, n=N_ROWS, n_groups=N_GROUPS):
    """Rows of groups that differ by 1 on the scale of the link."""
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(n, N_FEATURES)), rng.integers(n_groups, size=n)
    eta = X @ np.linspace(-0.5, 0.5, N_FEATURES) + rng.normal(size=n_groups)[groups]
    if family == "binomial":
        return X, (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int), groups
    return X, rng.poisson(np.exp(eta / 2)), groups


def test_classifier_relative_to_logistic_regression(median_seconds, record_ratio):
    X, y, groups = simulate("binomial")
    seconds = median_seconds(
        {
            "Laplace": lambda: RandomInterceptClassifier(quadrature=1).fit(X, y, groups),
            "9 nodes": lambda: RandomInterceptClassifier().fit(X, y, groups),
            "plain": lambda: LogisticRegression(C=np.inf).fit(X, y),
        },
        rounds=5,
        clock=time.process_time,
    )
    plain, nodes = (
        seconds["Laplace"] / seconds["plain"],
        seconds["9 nodes"] / seconds["Laplace"],
    )
    record_ratio("binary, 200,000 x 5, 5,000 groups, Laplace / LogisticRegression", plain)
    record_ratio("binary, 200,000 x 5, 5,000 groups, 9 nodes / Laplace", nodes)
    assert plain <= 6
    assert nodes <= 2.5


@pytest.mark.parametrize(("family", "limit"), [("binomial", 3.0), ("poisson", 20.0)])
def test_fit_relative_to_glmm(family, limit, median_seconds, record_ratio):
    glmm = pytest.importorskip("glmm")
    X, y, groups = simulate(family)
    names = [f"x{i}" for i in range(N_FEATURES)]
    table = pd.DataFrame(X, columns=names).assign(y=y.astype(float), g=groups.astype(str))
    formula = f"y ~ {' + '.join(names)} + (1 | g)"
    model = {"binomial": RandomInterceptClassifier, "poisson": RandomInterceptPoissonRegressor}
    seconds = median_seconds(
        {
            "ours": lambda: model[family](quadrature=1).fit(X, y, groups),
            "theirs": lambda: glmm.fit(table, formula, family=family),
        },
        rounds=3,
        clock=time.process_time,
    )
    ratio = seconds["theirs"] / seconds["ours"]
    record_ratio(f"{family}, 200,000 x 5, 5,000 groups, glmm / Laplace", ratio)
    assert ratio >= limit


def test_growth_is_linear(median_seconds, record_ratio):
    sizes = {n: simulate("binomial", n, n // 40) for n in (50_000, 400_000)}
    seconds = median_seconds(
        {
            n: lambda rows=rows: RandomInterceptClassifier().fit(*rows)
            for n, rows in sizes.items()
        },
        rounds=3,
        clock=time.process_time,
    )
    slope = np.log(seconds[400_000] / seconds[50_000]) / np.log(8)
    record_ratio("binary, 50,000 to 400,000 rows, slope of log time", slope)
    assert slope <= 1.15


def test_memory(record_ratio):
    X, y, groups = simulate("binomial")
    tracemalloc.start()
    RandomInterceptClassifier().fit(X, y, groups)
    peak = tracemalloc.get_traced_memory()[1] / X.nbytes
    tracemalloc.stop()
    record_ratio("binary, peak beyond X, in sizes of X", peak)
    assert peak <= 3.0
