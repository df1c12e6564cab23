"""How often equal models of crossed data are told apart: size of the test, a table of the docs.

``python tests/calibration/cells.py`` draws 300 data sets for each number of groups and writes
docs/cells_table.md; give another number of data sets as an argument for a look.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from paired import LEVEL, N_REPEATS, N_SPLITS, Line, Trees
from sklearn import config_context

from skmixed.model_selection._paired_difference import paired_difference
from skmixed.model_selection._pooling_scores import TestedFold
from skmixed.model_selection._pooling_splits import split_cells

PAGE = Path(__file__).parents[2] / "docs" / "cells_table.md"
DATA_SETS = 300
N_GROUPS = [(10, 10), (30, 30)]
REGIMES = {
    "known groups": "known, known",
    "new groups of a": "new, known",
    "new groups of b": "known, new",
    "new groups of a and b": "new, new",
}
PAIRS = {
    "lines in x1 and in x2": ("line in x1", "line in x2"),
    "five trees, drawn in each fit": ("trees", "other trees"),
}


def models(seed):
    return {
        "line in x1": Line(0),
        "line in x2": Line(1),
        "trees": Trees(2 * seed, is_fixed=False),
        "other trees": Trees(2 * seed + 1, is_fixed=False),
    }


def draw(rng, n_groups):
    """Two crossed factors, six rows for each group of either; x1 and x2 are exchangeable."""
    n_rows = 6 * sum(n_groups)
    groups = np.column_stack([rng.permutation(np.arange(n_rows) % n) for n in n_groups])
    X, level = rng.normal(size=(n_rows, 3)), np.zeros(n_rows)
    for codes, n in zip(groups.T, n_groups, strict=True):
        X += 0.5 * rng.normal(size=(n, 3))[codes]
        level += 0.6 * rng.normal(size=n)[codes]
    return X, 0.3 * X.sum(axis=1) + level + rng.normal(size=n_rows), groups


def predict_folds(n_groups, seed):
    """What is tested in each fold of a data set, by regime and model."""
    X, y, groups = draw(np.random.default_rng([*n_groups, seed]), n_groups)
    tested, rivals = {}, models(seed)
    rng = np.random.RandomState(seed)
    for split in split_cells(groups, ["a", "b"], N_SPLITS, N_REPEATS, rng):
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


def tests_of(n_groups, seed):
    """Whether models are told apart, by regime and pair: by both factors, and by either."""
    with warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore")
        tested = predict_folds(n_groups, seed)
    found = []
    for regime, label in REGIMES.items():
        for pair, (model, other) in PAIRS.items():
            folds, others = tested[regime, model], tested[regime, other]
            values = [
                fold.values("rmse") - rival.values("rmse")
                for fold, rival in zip(folds, others, strict=True)
            ]
            row = {"models": pair, "groups": "{} x {}".format(*n_groups), "new": label}
            for name, columns in {"told apart": [0, 1], "by a": [0], "by b": [1]}.items():
                test = paired_difference(values, [fold.group[:, columns] for fold in folds])
                row[name] = test.p_value < LEVEL
            found.append(row)
    return found


def run(n_data_sets):
    """Per cent of data sets in which a test tells the models apart, for each cell."""
    jobs = (
        delayed(tests_of)(n_groups, seed)
        for n_groups in N_GROUPS
        for seed in range(n_data_sets)
    )
    found = pd.DataFrame([row for rows in Parallel(n_jobs=-1)(jobs) for row in rows])
    return 100 * found.groupby(["models", "groups", "new"], sort=False).mean()


def as_markdown(table):
    """One row for each pair of models and number of groups; by both factors, by a, by b."""
    text = table.map("{:.1f}".format).agg(" / ".join, axis=1).unstack("new", sort=False)
    text = text.reset_index()
    rows = [text.columns, ["---"] * text.shape[1], *text.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    table = run(int(sys.argv[1]) if len(sys.argv) > 1 else DATA_SETS)
    print(as_markdown(table))
    if len(sys.argv) == 1:
        PAGE.write_text(as_markdown(table))
