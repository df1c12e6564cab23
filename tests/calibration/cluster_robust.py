"""How often tests robust to clusters reject coefficients of 0: size, a table of the docs.

``python tests/calibration/cluster_robust.py`` draws 600 data sets for each number of groups
and writes docs/cluster_robust_table.md; give another number of data sets as an argument for a
look.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from skmixed import FixedEffectsRegressor, PooledRegressor

PAGE = Path(__file__).parents[2] / "docs" / "cluster_robust_table.md"
DATA_SETS = 600
N_GROUPS = [10, 30, 100]
KINDS = ["classical", "CR0", "CR1", "CR1S", "CR2"]
LEVEL = 0.05
ROWS = ["pooled, x of rows", "pooled, z of groups", "fixed effects, x of rows"]


def draw(rng, n_groups):
    """Groups of 2 to 40 rows; y does not depend on x and z, but its slope of x differs."""
    groups = np.repeat(np.arange(n_groups), rng.integers(2, 41, n_groups))
    x = rng.normal(size=len(groups)) + rng.normal(size=n_groups)[groups]
    z = rng.lognormal(size=n_groups)[groups]
    level, slope = rng.normal(size=(2, n_groups))
    y = level[groups] + 0.5 * slope[groups] * x + rng.normal(size=len(groups))
    return np.column_stack([x, z]), y, groups


def rejections(n_groups, seed):
    """Whether each test of a data set rejects, shape (3, n_kinds)."""
    X, y, groups = draw(np.random.default_rng([n_groups, seed]), n_groups)
    rejected = []
    for kind in KINDS:
        pooled = PooledRegressor(standard_errors=kind).fit(X, y, groups=groups)
        fixed = FixedEffectsRegressor(standard_errors=kind).fit(X[:, :1], y, groups=groups)
        p = pooled.fixed_effects_frame()["p_value"]
        within = fixed.fixed_effects_frame()["p_value"]
        rejected.append([p["x0"] < LEVEL, p["x1"] < LEVEL, within["x0"] < LEVEL])
    return np.transpose(rejected)


def measure(n_data_sets):
    """Shares of data sets in which tests reject, shape (n_numbers, 3, n_kinds)."""
    return [
        np.mean(
            Parallel(2)(delayed(rejections)(n, seed) for seed in range(n_data_sets)), axis=0
        )
        for n in N_GROUPS
    ]


def page(shares, n_data_sets):
    """Write the table as Markdown."""
    error = 100 * np.sqrt(LEVEL * (1 - LEVEL) / n_data_sets)
    lines = [
        f"Rejections of a true null hypothesis at 5%, in % of {n_data_sets:,} data sets "
        f"(standard error of a 5: {error:.1f}), by `tests/calibration/cluster_robust.py`:",
        "",
        "| test | groups | " + " | ".join(KINDS) + " |",
        "|---|---|" + "---|" * len(KINDS),
    ]
    for i, row in enumerate(ROWS):
        for n, share in zip(N_GROUPS, shares, strict=True):
            cells = " | ".join(f"{100 * value:.1f}" for value in share[i])
            lines.append(f"| {row} | {n} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    n_data_sets = int(sys.argv[1]) if len(sys.argv) > 1 else DATA_SETS
    text = page(measure(n_data_sets), n_data_sets)
    if len(sys.argv) == 1:
        PAGE.write_text(text)
    print(text)
