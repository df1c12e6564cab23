"""How often true models are rejected by the tests of quantile residuals, and false ones.

``python tests/calibration/uniformity.py`` draws 500 data sets for each row of the table and
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
DATA_SETS, N_DRAWS, LEVEL = 500, 99, 0.05
N_GROUPS, GROUP_SIZE = [10, 30, 100], 10


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


def one(case, n_groups, seed):
    """Whether each test rejects: by draws, of rows alone on the same, and given the groups."""
    draw, model = CASES[case]
    rng = np.random.default_rng([n_groups, seed])
    groups = np.repeat(np.arange(n_groups), GROUP_SIZE)
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
        "by draws": by_draws["uniformity"].p_value <= LEVEL,
        "by draws, as if rows were independent": kstest(
            by_draws["residuals"], norm.cdf
        ).pvalue
        <= LEVEL,
        "given the groups": given_groups["uniformity"].p_value <= LEVEL
        if "uniformity" in given_groups
        else np.nan,
    }


def run(n_data_sets):
    """Per cent of data sets in which a test rejects."""
    jobs = (
        delayed(one)(case, n_groups, seed)
        for case in CASES
        for n_groups in N_GROUPS
        for seed in range(n_data_sets)
    )
    found = pd.DataFrame(Parallel(n_jobs=-1)(jobs))
    return 100 * found.astype({"given the groups": float}).groupby(
        ["case", "groups"], sort=False
    ).mean()


def as_markdown(table):
    text = table.map("{:.1f}%".format).replace("nan%", "-").reset_index()
    text = text.rename(columns={"case": "y"})
    rows = [text.columns, ["---"] * text.shape[1], *text.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    table = as_markdown(run(int(sys.argv[1]) if len(sys.argv) > 1 else DATA_SETS))
    print(table)
    if len(sys.argv) == 1:
        PAGE.write_text(table)
