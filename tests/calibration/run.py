"""How often 95% intervals cover the truth: simulations, and the table of the docs.

``python tests/calibration/run.py`` draws 2,000 data sets of each design and writes
docs/calibration_table.md; give another number of data sets as an argument for a look.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor

PAGE = Path(__file__).parents[2] / "docs" / "calibration_table.md"
DATA_SETS = 2000
BETA = np.array([1.0, 0.5, 0.3])  # intercept, x (varies within groups), z (level 2)
UNBALANCED = [2, 3, 5, 8, 12, 20, 30]


@dataclass(frozen=True)
class Design:
    name: str
    n_groups: int
    balanced: bool
    slope: bool

    def sizes(self, rng):
        if self.balanced:
            return np.full(self.n_groups, 10)
        return rng.permutation(np.resize(UNBALANCED, self.n_groups))

    @property
    def model(self):
        return RandomSlopeRegressor("x") if self.slope else RandomInterceptRegressor()


DESIGNS = [
    Design(f"{n_groups} groups, {sizes}", n_groups, sizes == "balanced", slope)
    for slope in (False, True)
    for n_groups, sizes in [
        (50, "balanced"), (20, "balanced"), (50, "unbalanced"), (20, "unbalanced"),
        (8, "balanced"), (8, "unbalanced"),
    ]
]  # fmt: skip


def draw_rows(rng, z, b, groups):
    """Rows of groups with level-2 predictor z and effects b, as (X, mean of y)."""
    x = rng.normal(size=len(groups))
    mean = BETA[0] + BETA[1] * x + BETA[2] * z[groups] + b[groups, 0] + b[groups, 1] * x
    return pd.DataFrame({"x": x, "z": z[groups]}), mean


def draw_groups(rng, design, n_groups):
    """Level-2 predictor and effects of some groups."""
    return rng.normal(size=n_groups), rng.normal(size=(n_groups, 2)) * [1.0, 0.5 * design.slope]


def coverage(design, seed):
    """Share of intervals that cover the truth, on one data set."""
    rng = np.random.default_rng([DESIGNS.index(design), seed])
    z, b = draw_groups(rng, design, design.n_groups)
    groups = np.repeat(np.arange(design.n_groups), design.sizes(rng))
    X, mean = draw_rows(rng, z, b, groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular fits are part of the matter
        model = design.model.fit(X, mean + rng.normal(size=len(mean)), groups=groups)
    shares = {}
    for name, df_method in [
        ("Satterthwaite", "satterthwaite"),
        ("Kenward-Roger", "kenward-roger"),
    ]:
        frame = model.fixed_effects_frame(df_method=df_method)
        covered = (frame["lower"] < BETA) & (frame["upper"] > BETA)
        shares |= {f"{term}, {name}": covered[term] for term in ("x", "z")}
    frame, truth = model.random_effects_frame(), b[:, : 1 + design.slope].ravel()
    shares["group effects"] = np.mean((frame["lower"] < truth) & (truth < frame["upper"]))
    known = np.arange(design.n_groups)
    shares["new row, known group"] = _share_of_new_rows(rng, model, z, b, known, known)
    z, b = draw_groups(rng, design, design.n_groups)
    shares["new row, new group"] = _share_of_new_rows(rng, model, z, b, known, known + 1000)
    return shares


def _share_of_new_rows(rng, model, z, b, groups, labels):
    X, mean = draw_rows(rng, z, b, groups)
    y = mean + rng.normal(size=len(mean))
    limits = model.predict_interval(X, groups=labels)
    return np.mean((limits[:, 0] < y) & (y < limits[:, 1]))


def run(n_data_sets):
    """Coverage in per cent, with its Monte Carlo error: a row for each design and question."""
    tables = {}
    for design in DESIGNS:
        jobs = (delayed(coverage)(design, seed) for seed in range(n_data_sets))
        shares = 100 * pd.DataFrame(Parallel(n_jobs=-1)(jobs)).astype(float)
        kind = "random slope" if design.slope else "random intercept"
        error = shares.std() / np.sqrt(n_data_sets)
        tables[kind, design.name] = pd.DataFrame({"coverage": shares.mean(), "error": error})
    return pd.concat(tables, names=["model", "design", "interval"])


def as_markdown(table):
    text = table["coverage"].map("{:.1f}".format) + " ± " + table["error"].map("{:.1f}".format)
    wide = text.unstack("interval")[text.index.unique("interval")].reset_index()
    lines = [wide.columns, ["---"] * wide.shape[1], *wide.to_numpy()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    table = run(int(sys.argv[1]) if len(sys.argv) > 1 else DATA_SETS)
    print(as_markdown(table))
    if len(sys.argv) == 1:
        PAGE.write_text(as_markdown(table))
