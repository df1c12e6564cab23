"""Rows and weights that no estimator takes, and what it says of them."""

import numpy as np
import pandas as pd


def replaced(array, value):
    array = array.astype(float)
    array.flat[3] = value
    return array


BAD_ROWS = {
    "y of another length": (lambda X, y, g: (X, y[:-1], g), r"inconsistent .*\[60, 59\]"),
    "None in y": (lambda X, y, g: (X, [None, *y[1:]], g), "Input y contains NaN"),
    "lists for labels": (lambda X, y, g: (X, y, pd.Series([[1]] * 60)), "cannot be hashed"),
    "ragged lists for labels": (lambda X, y, g: (X, y, [[1], [1, 2]] * 30), "cannot be hashed"),
    "sums that underflow": (lambda X, y, g: (X, y * 1e-165, g), "its squares .* vanish"),
    "a feature that underflows": (lambda X, y, g: (X * 1e-170, y, g), "The column x0 must be"),
    "sums that overflow": (lambda X, y, g: (X, y * 1e200, g), "the sums overflow"),
    "groups of another length": (lambda X, y, g: (X, y, g[:-1]), "59 labels for 60 rows"),
    "NaN in X": (lambda X, y, g: (replaced(X, np.nan), y, g), "Input X contains NaN"),
    "infinity in X": (lambda X, y, g: (replaced(X, np.inf), y, g), "Input X contains infinity"),
    "NaN in y": (lambda X, y, g: (X, replaced(y, np.nan), g), "Input y contains NaN"),
    "infinity in y": (
        lambda X, y, g: (X, replaced(y, -np.inf), g),
        "Input y contains infinity",
    ),
    "missing label": (
        lambda X, y, g: (X, y, replaced(g, np.nan)),
        "label for every row in fit, but 1 of 60 are missing",
    ),
    "no labels at all": (lambda X, y, g: (X, y, [None] * 60), "60 of 60 are missing"),
    "groups in two dimensions": (
        lambda X, y, g: (X, y, np.column_stack([g, g])),
        r"does not exist yet for several|Factors 'group0' and 'group1' divide",
    ),
    "a name for groups": (lambda X, y, g: (X, y, "site"), "got 'site'. To name a column"),
    "a number for groups": (
        lambda X, y, g: (X, y, 3),
        "one label for each row of X, but got 3",
    ),
    "a feature for groups": (
        lambda X, y, g: (X, y, X[:, 0]),
        "numbers that are not whole, such as .* Is it a feature",
    ),
    "infinite labels": (lambda X, y, g: (X, y, replaced(g, np.inf)), "not whole, such as inf"),
    "labels of several types": (
        lambda X, y, g: (X, y, ["a", 1] * 30),
        "labels of one type, but got mixed",
    ),
    "too few rows": (
        lambda X, y, g: (X[:3], y[:3], g[:3]),
        "at least 4 rows.* got n_samples=3",
    ),
    "text in y": (lambda X, y, g: (X, y.astype(str), g), "y must be numeric, but got dtype <U"),
    "words in y": (lambda X, y, g: (X, ["low", "high"] * 30, g), "y must be numeric|could not"),
    "two targets": (lambda X, y, g: (X, np.c_[y, y], g), "y should be a 1d array"),
    "ragged X": (lambda X, y, g: ([[1.0, 2.0]] * 59 + [[1.0]], y, g), "inhomogeneous shape"),
    "one-dimensional X": (lambda X, y, g: (X[:, 0], y, g), "Expected 2D array, got 1D"),
}


BAD_WEIGHTS = {
    "negative": (lambda n: -np.ones(n), "[Nn]egative values in .*sample_weight"),
    "NaN": (lambda n: np.full(n, np.nan), "Input sample_weight contains NaN"),
    "zero": (np.zeros, "at least one non-zero number"),
    "too short": (lambda n: np.ones(n - 1), r"sample_weight.shape == \(59,\)"),
    "too little": (
        lambda n: np.full(n, 1e-3),
        "sums to 0.06: a weight of 2 counts as two rows",
    ),
    "too few positive": (lambda n: np.r_[np.ones(3), np.zeros(n - 3)], "got n_samples=3"),
}
