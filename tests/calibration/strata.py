"""Whether variances of strata are tested and used at the level named: a table of the docs.

``python tests/calibration/strata.py`` draws 1,000 data sets of each design and writes
docs/strata_table.md; give another number of data sets as an argument for a look.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from advice import DOCS, as_markdown
from joblib import Parallel, delayed

from skmixed import RandomInterceptRegressor
from skmixed.inference import likelihood_ratio_test

DATA_SETS, GROUPS, SIZES = 1_000, (10, 30, 100), (2, 3, 5, 8, 12)
DEVIATIONS = np.array([1.0, 1.0, 3.0])


def draw(rng, n_groups, deviations):
    """Unbalanced rows of three strata, and as many new ones of the same groups."""
    groups = np.repeat(np.arange(n_groups), rng.permutation(np.resize(SIZES, n_groups)))
    X = pd.DataFrame({"x": rng.normal(size=len(groups)), "arm": groups % 2, "g": groups})
    X["s"] = rng.permutation(np.resize([0, 1, 2], len(groups)))
    b = rng.normal(size=n_groups)[groups]
    return X, b, b + deviations[X["s"]] * rng.normal(size=len(groups))


def measure(n_groups, seed):
    """Rejections at the 5% level of what is true, and coverage of new rows by stratum."""
    rng = np.random.default_rng([n_groups, seed])
    X, _, y = draw(rng, n_groups, np.ones(3))
    one = RandomInterceptRegressor(group_by="g").fit(X.drop(columns="s"), y)
    model = RandomInterceptRegressor(group_by="g", variance_by="s")
    found = {
        "equal variances": 100 * (likelihood_ratio_test(one, model.fit(X, y)).p_value < 0.05)
    }
    X, b, y = draw(rng, n_groups, DEVIATIONS)
    p_values = model.fit(X, y).fixed_effects_frame()["p_value"]
    found |= {f"no effect of {name}": 100 * (p_values[name] < 0.05) for name in ("x", "arm")}
    new = b + DEVIATIONS[X["s"]] * rng.normal(size=len(b))
    one.fit(X.drop(columns="s"), y)
    for name, interval in (
        ("by stratum", model.predict_interval(X)),
        ("one variance", one.predict_interval(X.drop(columns="s"))),
    ):
        covered = (interval[:, 0] <= new) & (new <= interval[:, 1])
        noisy = X["s"] == 2
        found[f"noisy rows, {name}"] = 100 * covered[noisy].mean()
        found[f"other rows, {name}"] = 100 * covered[~noisy].mean()
    return {"groups": n_groups, **found}


def quietly(n_groups, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular fits are part of the matter
        return measure(n_groups, seed)


def run(n_data_sets):
    """Per cent of data sets or rows."""
    jobs = (delayed(quietly)(J, seed) for J in GROUPS for seed in range(n_data_sets))
    rows = pd.DataFrame(Parallel(n_jobs=-1)(jobs))
    return rows.groupby("groups").mean().rename(index=str)


if __name__ == "__main__":
    n_data_sets = int(sys.argv[1]) if len(sys.argv) > 1 else DATA_SETS
    found = run(n_data_sets)
    table = as_markdown(found, "groups", ["{:.1f}".format] * found.shape[1])
    print(table)
    if n_data_sets == DATA_SETS:
        (DOCS / "strata_table.md").write_text(table)
