"""How often two models are told apart: size and power of the test, and the table of the docs.

``python tests/calibration/paired.py`` draws 300 data sets for each number of groups and writes
docs/paired_table.md; give another number of data sets as an argument for a look. All models are
fitted once in each fold, and both tests are made from the same predictions.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import t
from sklearn import config_context
from sklearn.tree import ExtraTreeRegressor

from skmixed import FixedEffectsRegressor, PooledRegressor, RandomInterceptRegressor
from skmixed._reports.pooling_names import REGIMES
from skmixed.model_selection._paired_difference import paired_difference
from skmixed.model_selection._pooling_scores import TestedFold
from skmixed.model_selection._pooling_splits import split_rows

PAGE = Path(__file__).parents[2] / "docs" / "paired_table.md"
DATA_SETS = 300
N_GROUPS = [10, 20, 50, 200]
N_SPLITS, N_REPEATS = 5, 2
LEVEL = 0.05


class Line:
    """Least squares with one feature."""

    def __init__(self, column):
        self.column = column

    def fit(self, X, y, groups):
        self.line = np.polyfit(X[:, self.column], y, 1)
        return self

    def predict(self, X, groups):
        return np.polyval(self.line, X[:, self.column])


class Trees:
    """Five trees, drawn anew in each fit, or from one seed in all."""

    def __init__(self, seed, is_fixed):
        self.seed, self.is_fixed = seed, is_fixed
        self.rng = np.random.RandomState(seed)

    def fit(self, X, y, groups):
        rng = np.random.RandomState(self.seed) if self.is_fixed else self.rng
        tree = ExtraTreeRegressor(max_depth=4, min_samples_leaf=3, random_state=rng)
        X, y = X.astype(np.float32), y[:, None].copy()
        self.trees = [tree.fit(X, y, check_input=False).tree_ for _ in range(5)]
        return self

    def predict(self, X, groups):
        X = X.astype(np.float32)
        return np.mean([tree.predict(X)[:, 0] for tree in self.trees], axis=0)


def models(seed):
    return {
        "line in x1": Line(0),
        "line in x2": Line(1),
        "trees": Trees(2 * seed, is_fixed=False),
        "other trees": Trees(2 * seed + 1, is_fixed=False),
        "trees of a seed": Trees(2 * seed, is_fixed=True),
        "trees of another": Trees(2 * seed + 1, is_fixed=True),
        "random intercept": RandomInterceptRegressor(),
        "fixed effects": FixedEffectsRegressor(),
        "pooled": PooledRegressor(),
    }


PAIRS = {
    "equal: lines in x1 and in x2": ("line in x1", "line in x2"),
    "equal: five trees, drawn in each fit": ("trees", "other trees"),
    "five trees, each from a seed of its own": ("trees of a seed", "trees of another"),
    "random intercept, fixed effects": ("random intercept", "fixed effects"),
    "random intercept, pooled": ("random intercept", "pooled"),
}


def draw(rng, n_groups):
    """Groups of 5 to 10 rows; x1 and x2 are exchangeable, z is a feature of groups."""
    groups = np.repeat(np.arange(n_groups), rng.integers(5, 11, n_groups))
    z, level = rng.normal(size=(2, n_groups))
    X = rng.normal(size=(len(groups), 3)) + 0.5 * rng.normal(size=(n_groups, 3))[groups]
    mean = 0.3 * X.sum(axis=1) + (0.3 * z + 0.6 * level)[groups]
    return np.column_stack([X, z[groups]]), mean + rng.normal(size=len(groups)), groups


def predict_folds(n_groups, seed):
    """What is tested in each fold of a data set, by regime and model."""
    X, y, groups = draw(np.random.default_rng([n_groups, seed]), n_groups)
    tested, rivals = {}, models(seed)
    for split in split_rows(groups, N_SPLITS, N_REPEATS, np.random.RandomState(seed)):
        train, test = split.train, split.test
        for name, model in rivals.items():
            mean = model.fit(X[train], y[train], groups=groups[train]).predict(
                X[test], groups=groups[test]
            )
            fold = TestedFold(
                split.repeat, split.fold, y[test], groups[test], np.zeros(len(test)), mean, None
            )
            tested.setdefault((split.regime, name), []).append(fold)
    return tested


def nadeau_bengio(values):
    """p value of Nadeau and Bengio's t test with the corrected error of the folds' spread."""
    differences = [each.mean() for each in values]
    factor = 1 / len(values) + 1 / (N_SPLITS - 1)
    ratio = np.mean(differences) / np.sqrt(factor * np.var(differences, ddof=1))
    return 2 * t.sf(abs(ratio), len(values) - 1)


def tests_of(n_groups, seed):
    """p values of both tests and the difference, for each regime and pair of models."""
    with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore")  # singular fits, and fixed effects without z
        tested = predict_folds(n_groups, seed)
    found = []
    for regime in REGIMES:
        for pair, (model, other) in PAIRS.items():
            folds, others = tested[regime, model], tested[regime, other]
            values = [
                fold.values("rmse") - rival.values("rmse")
                for fold, rival in zip(folds, others, strict=True)
            ]
            test = paired_difference(values, [fold.group for fold in folds])
            found.append(
                {
                    "models": pair,
                    "groups": n_groups,
                    "regime": regime,
                    "difference": test.difference,
                    "rejected": test.p_value < LEVEL,
                    "by folds": nadeau_bengio(values) < LEVEL,
                }
            )
    return found


def run(n_data_sets):
    """Per cent of data sets in which a test tells the models apart, for each cell."""
    jobs = (
        delayed(tests_of)(n_groups, seed)
        for n_groups in N_GROUPS
        for seed in range(n_data_sets)
    )
    found = pd.DataFrame([row for rows in Parallel(n_jobs=-1)(jobs) for row in rows])
    cells = found.groupby(["models", "groups", "regime"], sort=False)
    table = 100 * cells[["rejected", "by folds"]].mean()
    difference = cells["difference"]
    table["deviations"] = difference.mean() / difference.std()
    order = pd.MultiIndex.from_product([PAIRS, N_GROUPS, REGIMES], names=table.index.names)
    return table.loc[order]


def as_markdown(table):
    names = {
        "deviations": "difference, in standard deviations",
        "rejected": "told apart",
        "by folds": "by Nadeau and Bengio",
    }
    text = pd.DataFrame(
        {
            f"{regime}: {name}": table[column].xs(regime, level="regime").map(form.format)
            for regime in REGIMES
            for (column, name), form in zip(
                names.items(), ["{:.1f}", "{:.1f}%", "{:.1f}%"], strict=True
            )
        }
    ).reset_index()
    rows = [text.columns, ["---"] * text.shape[1], *text.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    table = run(int(sys.argv[1]) if len(sys.argv) > 1 else DATA_SETS)
    print(as_markdown(table))
    if len(sys.argv) == 1:
        PAGE.write_text(as_markdown(table))
