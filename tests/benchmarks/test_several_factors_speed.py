"""Several grouping factors: processor time of fit beside other packages, at the same criterion.

Run with ``OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 pytest tests/benchmarks``, so that all use one
thread. InstEval and egsingle are the data of R's lme4 and mlmRev where these are installed, and
are simulated in their shape where they are not.
"""

import subprocess
import time
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from benchmarks.lmer import has_package

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression


def table_of_r(package, name, folder):
    """Export a data set of an R package, or return None."""
    if not has_package(package):
        return None
    file = folder / f"{name}.csv"
    export = f"write.csv({package}::{name}, '{file}', row.names = FALSE)"
    subprocess.run(["Rscript", "-e", export], check=True, capture_output=True)
    return pd.read_csv(file)


def insteval(folder):
    """Ratings of 1,128 lecturers by 2,972 students, crossed."""
    table = table_of_r("lme4", "InstEval", folder)
    if table is not None:
        return table[["y", "service", "s", "d"]]
    rng = np.random.default_rng(0)
    n, popular = 73_421, rng.gamma(1.0, size=1_128)
    s = rng.integers(0, 2_972, n)
    d = rng.choice(1_128, n, p=popular / popular.sum())
    y = 0.3 * rng.standard_normal(2_972)[s] + 0.5 * rng.standard_normal(1_128)[d]
    service = rng.integers(0, 2, n)
    y += 3.3 - 0.1 * service + 1.2 * rng.standard_normal(n)
    return pd.DataFrame({"y": y, "service": service, "s": s, "d": d})


def egsingle(folder):
    """Mathematics of 1,721 children in 60 schools over a few years."""
    table = table_of_r("mlmRev", "egsingle", folder)
    if table is not None:
        names = {"math": "y", "year": "x", "childid": "b", "schoolid": "a"}
        return table[[*names]].rename(columns=names)
    rng = np.random.default_rng(0)
    return simulate_slopes(*children(rng, 7_230, 1_721, 60), rng)


def slopes_on_both(folder):
    """20,000 rows of 5,000 children in 100 schools."""
    rng = np.random.default_rng(0)
    return simulate_slopes(*children(rng, 20_000, 5_000, 100), rng)


def children(rng, n_rows, n_children, n_schools):
    child = rng.integers(0, n_children, n_rows)
    return child, rng.integers(0, n_schools, n_children)[child]


def simulate_slopes(b, a, rng):
    x = rng.uniform(-2.5, 2.5, len(b))
    y = -0.8 + 0.75 * x + 0.55 * rng.standard_normal(len(b))
    for groups, level, slope in ((b, 0.8, 0.1), (a, 0.4, 0.1)):
        own = rng.standard_normal((2, groups.max() + 1)) * [[level], [slope]]
        y += own[0, groups] + own[1, groups] * x
    return pd.DataFrame({"y": y, "x": x, "b": b, "a": a})


def nested(folder):
    """1,000,000 rows of 100,000 classes in 5,000 schools."""
    rng = np.random.default_rng(0)
    class_ = rng.integers(0, 100_000, 1_000_000)
    school = class_ // 20
    x = rng.standard_normal((1_000_000, 2))
    y = x @ [0.5, -0.3] + 0.5 * rng.standard_normal(100_000)[class_]
    y += 0.7 * rng.standard_normal(5_000)[school] + rng.standard_normal(1_000_000)
    return pd.DataFrame(
        {"y": y, "x1": x[:, 0], "x2": x[:, 1], "school": school, "class": class_}
    )


INTERCEPTS, SLOPES = RandomInterceptRegressor, partial(RandomSlopeRegressor, "x")
CROSSED, ON_BOTH = "y ~ service + (1 | s) + (1 | d)", "y ~ x + (x | b) + (x | a)"
NESTED = "1e6 rows, 100,000 classes in 5,000 schools"
# Data, our model, factors, and lme4's formula.
CASES = {
    "InstEval": (insteval, INTERCEPTS, ["s", "d"], CROSSED),
    "egsingle, slopes on both": (egsingle, SLOPES, ["b", "a"], ON_BOTH),
    "2e4 rows, slopes on both": (slopes_on_both, SLOPES, ["b", "a"], ON_BOTH),
    NESTED: (
        nested, INTERCEPTS, ["school", "class"], "y ~ x1 + x2 + (1 | school) + (1 | class)"
    ),
}  # fmt: skip
# How many times as long as ours the rivals take at least.
AT_LEAST = {
    "lme4": dict(zip(CASES, (10, 10, 25, 50), strict=True)),
    "mixedlm": dict(zip(CASES, (1.2, 1.2, 8, 5), strict=True)),
}
ROUNDS = {"lme4": 3, "mixedlm": 5}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    make, estimator, factors, formula = CASES[request.param]
    table = make(tmp_path_factory.mktemp("data"))
    return request.param, table, estimator(group_by=factors), factors, formula


def mixedlm(formula, table, factors):
    package = pytest.importorskip("mixedlm")
    table = table.astype(dict.fromkeys(factors, "category"))
    return lambda: package.lmer(formula, table).REMLcrit()


@pytest.fixture(params=["lme4", "mixedlm"])
def rival(request):
    if request.param == "mixedlm":
        return request.param, mixedlm
    return request.param, partial(request.getfixturevalue("start_lmer"), clock="cpu")


def test_fit_relative_to_rival(case, rival, median_seconds, record_ratio):
    (size, table, model, factors, formula), (name, start) = case, rival
    X, y = table.drop(columns="y"), table["y"]
    fit_rival = start(formula, table, factors)
    rounds = 1 if size == NESTED else ROUNDS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rivals'
        calls = {"ours": lambda: model.fit(X, y), "rival": fit_rival}
        seconds = median_seconds(calls, rounds, time.process_time)
        criterion = fit_rival()
    ratio = seconds["rival"] / seconds["ours"]
    record_ratio(f"fit, {size}, {name} / ours", ratio)
    record_ratio(f"fit, {size}, ours, in CPU seconds", seconds["ours"])
    assert model.criterion_ <= criterion + 1e-4
    assert ratio >= AT_LEAST[name][size]


def test_a_list_of_one_factor_costs_nothing(median_seconds, record_ratio):
    X, y, groups = make_mixed_regression(1_000_000, 5, 10_000, random_state=0)
    X = pd.DataFrame(X).add_prefix("x").assign(g=groups)
    models = {"listed": ["g"], "named": "g"}
    calls = {
        name: partial(RandomInterceptRegressor(group_by=group_by).fit, X, y)
        for name, group_by in models.items()
    }
    seconds = median_seconds(calls, clock=time.process_time)
    ratio = seconds["listed"] / seconds["named"]
    record_ratio("fit, 1e6 rows, group_by=['g'] / group_by='g'", ratio)
    assert ratio <= 1.3
