"""Scores of a fold, and what can be said of their differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from skmixed._reports.pooling_names import KNOWN

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


def paired_difference(scores, other, n_train, n_test):
    """Compare two models by their scores in the same folds (Nadeau and Bengio 2003).

    Parameters
    ----------
    scores, other : ndarray of shape (n_folds,)
        Scores of both models.
    n_train, n_test : float
        Rows of a training and of a test set, or their sums over the folds.

    Returns
    -------
    difference : float
        Mean of ``scores - other``.
    std_error : float
        With the variance s2 of the differences sqrt((1 / n_folds + n_test / n_train) s2); NaN
        if there is but one fold.
    """
    differences = np.asarray(scores) - np.asarray(other)
    n_folds = len(differences)
    variance = np.var(differences, ddof=1) if n_folds > 1 else np.nan
    return float(differences.mean()), float(
        np.sqrt((1 / n_folds + n_test / n_train) * variance)
    )


def score_group_sizes(predictions, y, codes):
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
        A row for each range of training rows, model, repeat and fold, if there are test rows of
        such groups: n_test and rmse. Ranges hold a quarter of the groups each; groups without
        a row in training have one of their own.
    """
    known = [each for each in predictions if each[0].regime == KNOWN]
    sizes = {
        (split.repeat, split.fold): np.bincount(codes[split.train], minlength=codes.max() + 1)
        for split, *_ in known
    }
    edges, labels = _quarters(np.array([*sizes.values()]))
    tables = []
    for split, name, prediction in known:
        size = sizes[split.repeat, split.fold][codes[split.test]]
        bins = np.searchsorted(edges, size)
        tables.append(_score_bins(bins, labels, y[split.test], prediction.mean))
        tables[-1][["model", "repeat", "fold"]] = name, split.repeat, split.fold
    columns = ["training_rows", "model", "repeat", "fold", "n_test", "rmse"]
    return pd.concat(tables, ignore_index=True)[columns]


def _quarters(sizes):
    """Cut sizes, of which 0 is apart, in quarters; returns upper edges and names of ranges."""
    quartiles = np.quantile(sizes[sizes > 0], [0.25, 0.5, 0.75, 1], method="inverted_cdf")
    edges = np.unique([0, *quartiles])
    bounds = pd.Series(sizes.ravel()).groupby(np.searchsorted(edges, sizes.ravel()))
    lows = bounds.min().reindex(range(len(edges)), fill_value=0)
    pairs = zip(lows, edges, strict=True)
    names = [f"{low}" if low == high else f"{low}-{high}" for low, high in pairs]
    return edges, pd.Categorical(names, categories=names, ordered=True)


def _score_bins(bins, labels, y, mean):
    n_test = np.bincount(bins, minlength=len(labels))
    squares = (y - (np.nan if mean is None else mean)) ** 2
    sums = np.bincount(bins, squares, minlength=len(labels))
    filled = n_test > 0
    rmse = np.sqrt(sums[filled] / n_test[filled])
    table = {"training_rows": labels[filled], "n_test": n_test[filled], "rmse": rmse}
    return pd.DataFrame(table)
