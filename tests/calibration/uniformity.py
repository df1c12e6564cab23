"""How often true models are rejected by the tests of quantile residuals, and false ones.

``python tests/calibration/uniformity.py`` draws 300 data sets for each row of the table and
writes docs/uniformity_table.md; give another number of data sets as an argument for a look.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import special
from scipy.stats import kstest, norm

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
)
from skmixed.inspection._models import predict_rows
from skmixed.inspection._quantile_residuals import residuals_of

PAGE = Path(__file__).parents[2] / "docs" / "uniformity_table.md"
DATA_SETS, N_DRAWS, LEVEL = 300, 99, 0.05
# Numbers of groups and of rows in each.
SIZES = [(10, 10), (30, 10), (100, 10), (10, 60)]


def normal(mean, rng):
    return mean + rng.normal(size=len(mean))


def skewed(mean, rng):
    return mean + rng.exponential(size=len(mean)) - 1


def binary(mean, rng):
    return rng.random(len(mean)) < special.expit(mean)


def counts(mean, rng):
    return rng.poisson(np.exp(mean))


def counts_that_vary_more(mean, rng):
    return rng.poisson(np.exp(mean) * rng.gamma(1, size=len(mean)))


CASES = {
    "normal": (normal, RandomInterceptRegressor),
    "binary": (binary, RandomInterceptClassifier),
    "counts": (counts, RandomInterceptPoissonRegressor),
    "normal, but skewed": (skewed, RandomInterceptRegressor),
    "counts, but of twice the dispersion": (
        counts_that_vary_more,
        RandomInterceptPoissonRegressor,
    ),
}


def one(case, n_groups, size, seed):
    """Whether each test rejects: given the groups, by draws, and the former on the latter."""
    draw, model = CASES[case]
    rng = np.random.default_rng([n_groups, size, seed])
    groups = np.repeat(np.arange(n_groups), size)
    X = rng.normal(size=(len(groups), 1))
    y = draw(0.5 * X[:, 0] + rng.normal(size=n_groups)[groups], rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular fits
        fitted = model().fit(X, y, groups=groups)
        rows = predict_rows(fitted, X, y, groups)
    options = {"sample_weight": None, "random_state": seed}
    by_draws = residuals_of(fitted, rows, X, groups, n_draws=N_DRAWS, **options)
    given_groups = residuals_of(fitted, rows, X, groups, n_draws=None, **options)
    return {
        "case": case,
        "groups": n_groups,
        "rows in each": size,
        "given the groups": given_groups["uniformity"].p_value <= LEVEL,
        "by draws": by_draws["uniformity"].p_value <= LEVEL,
        "by draws, as if rows were independent": (
            kstest(by_draws["residuals"], norm.cdf).pvalue <= LEVEL
        ),
    }


def run(n_data_sets):
    """Per cent of data sets in which a test rejects."""
    jobs = (
        delayed(one)(case, n_groups, size, seed)
        for case in CASES
        for n_groups, size in SIZES
        for seed in range(n_data_sets)
    )
    found = pd.DataFrame(Parallel(n_jobs=-1)(jobs))
    return 100 * found.groupby(["case", "groups", "rows in each"], sort=False).mean()


def as_markdown(table):
    text = table.map("{:.1f}%".format).reset_index()
    text = text.rename(columns={"case": "y"})
    rows = [text.columns, ["---"] * text.shape[1], *text.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    table = as_markdown(run(int(sys.argv[1]) if len(sys.argv) > 1 else DATA_SETS))
    print(table)
    if len(sys.argv) == 1:
        PAGE.write_text(table)
