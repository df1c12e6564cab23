"""How often two models of crossed data are told apart: size and power, and a table of the docs.

``python tests/calibration/cells.py`` draws 300 data sets for each number of groups and writes
docs/cells_table.md; give another number of data sets as an argument for a look. All models are
fitted once in each fold.
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

from skmixed import PooledRegressor, RandomInterceptRegressor
from skmixed.model_selection._paired_difference import paired_difference
from skmixed.model_selection._pooling_scores import TestedFold
from skmixed.model_selection._pooling_splits import split_cells

PAGE = Path(__file__).parents[2] / "docs" / "cells_table.md"
DATA_SETS = 300
N_GROUPS = [(10, 10), (10, 30), (30, 30)]
REGIMES = {
    "known groups": "known, known",
    "new groups of a": "new, known",
    "new groups of b": "known, new",
    "new groups of a and b": "new, new",
}


class Intercept:
    """Random intercepts of some columns of the groups."""

    def __init__(self, columns):
        self.columns, self.model = columns, RandomInterceptRegressor()

    def fit(self, X, y, groups):
        self.model.fit(X, y, groups=groups[:, self.columns])
        return self

    def predict(self, X, groups):
        return self.model.predict(X, groups=groups[:, self.columns])


PAIRS = {
    "equal: lines in x1 and in x2": ("line in x1", "line in x2"),
    "equal: five trees, drawn in each fit": ("trees", "other trees"),
    "random intercepts of a and b, of a": ("both", "one"),
    "random intercepts of a and b, pooled": ("both", "pooled"),
}


def models(seed):
    return {
        "line in x1": Line(0),
        "line in x2": Line(1),
        "trees": Trees(2 * seed, is_fixed=False),
        "other trees": Trees(2 * seed + 1, is_fixed=False),
        "both": Intercept([0, 1]),
        "one": Intercept(0),
        "pooled": PooledRegressor(),
    }


def draw(rng, n_groups):
    """Rows of two crossed factors, 12 of a group where both have as many; x1 and x2 are exchangeable."""
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
    """Difference and p value for each regime and pair of models."""
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
            test = paired_difference(values, [fold.group for fold in folds])
            alone = [
                paired_difference(values, [fold.group[:, factor] for fold in folds])
                for factor in range(2)
            ]
            found.append(
                {
                    "models": pair,
                    "groups": "{} x {}".format(*n_groups),
                    "regime": label,
                    "difference": test.difference,
                    "std_error": test.std_error,
                    "rejected": test.p_value < LEVEL,
                    "by a alone": alone[0].p_value < LEVEL,
                    "by b alone": alone[1].p_value < LEVEL,
                }
            )
    return found
