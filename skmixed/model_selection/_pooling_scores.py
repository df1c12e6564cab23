"""Scores of a fold, and what can be said of their differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

MEASURES = ["rmse", "mae", "r2", "log_density", "coverage", "width"]
LEVEL = 0.95


def score_fold(y, mean, std):
    """Score the predictions of a fold.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        True values.
    mean : ndarray of shape (n_rows,) or None
        Predictions; None if there are none.
    std : ndarray of shape (n_rows,) or None
        Standard deviations of normal predictive distributions.

    Returns
    -------
    dict of str to float
        By measure; NaN where it cannot be computed.
    """
    scores = dict.fromkeys(MEASURES, np.nan)
    if mean is not None:
        scores["rmse"] = root_mean_squared_error(y, mean)
        scores["mae"] = mean_absolute_error(y, mean)
        scores["r2"] = r2_score(y, mean) if len(y) > 1 else np.nan
    if std is not None:
        half = norm.ppf((1 + LEVEL) / 2) * std
        scores["log_density"] = norm.logpdf(y, mean, std).mean()
        scores["coverage"] = np.mean(np.abs(y - mean) <= half)
        scores["width"] = np.mean(2 * half)
    return scores


def corrected_std_error(differences, n_train, n_test):
    """Compute Nadeau and Bengio's standard error of a mean difference over folds.

    Parameters
    ----------
    differences : ndarray of shape (n_folds,)
        Paired differences of scores.
    n_train, n_test : float
        Rows of a training and of a test set, or their sums over the folds.

    Returns
    -------
    float
        sqrt((1 / n_folds + n_test / n_train) s2).
    """
    factor = 1 / len(differences) + n_test / n_train
    return float(np.sqrt(factor * np.var(differences, ddof=1)))


def errors_by_group_size(predictions, y, codes):
    """Compute the error in known groups by how many rows a group has in training.

    Parameters
    ----------
    predictions : list of (Split, str, Prediction)
        All splits and models.
    y : ndarray of shape (n_rows,)
        True values.
    codes : ndarray of shape (n_rows,)
        Groups, numbered from 0.

    Returns
    -------
    DataFrame
        A row for each quarter of the groups by size, and one for groups without a row in
        training: the share of the test rows, and the RMSE of each model; NaN for a model that
        failed in a fold.
    """
    known = [each for each in predictions if each[0].regime == "known groups"]
    squares, sizes, n_training = {}, [], []
    for split, name, prediction in known:
        if name == known[0][1]:
            counts = np.bincount(codes[split.train], minlength=codes.max() + 1)
            n_training.append(counts[counts > 0])
            sizes.append(counts[codes[split.test]])
        mean = np.nan if prediction.mean is None else prediction.mean
        squares.setdefault(name, []).append((y[split.test] - mean) ** 2)
    size = np.concatenate(sizes)
    quartiles = [0.25, 0.5, 0.75]
    edges = np.quantile(np.concatenate(n_training), quartiles, method="inverted_cdf")
    rows = pd.DataFrame({name: np.concatenate(parts) for name, parts in squares.items()})
    by_bin = rows.groupby(np.searchsorted([0, *np.unique(edges)], size))
    table = by_bin.sum(min_count=1).div(by_bin.size(), axis=0) ** 0.5
    table = table.where(rows.notna().all(), axis=1)
    table.insert(0, "share", by_bin.size() / len(rows))
    bounds = pd.Series(size).groupby(np.searchsorted([0, *np.unique(edges)], size))
    labels = map(_range, bounds.min(), bounds.max())
    return table.set_axis(pd.Index(list(labels), name="training rows"))


def _range(low, high):
    return f"{low}" if low == high else f"{low}-{high}"
