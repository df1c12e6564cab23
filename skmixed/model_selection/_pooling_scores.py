"""What was tested in each fold, and its scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from skmixed._reports.pooling_names import KNOWN
from skmixed.model_selection._pooling_outcomes import OF_DISTRIBUTIONS, OF_MEANS


class TestedFold(NamedTuple):
    """Rows of a fold, what a model makes of them, and how large their groups were in training.

    `group` numbers the groups from 0; `size_range` is the position of a range of training rows.
    Both have a column for each factor.
    """

    repeat: int
    fold: int
    y: np.ndarray
    group: np.ndarray
    size_range: np.ndarray
    mean: np.ndarray | None
    std: np.ndarray | None

    def take(self, rows):
        """Keep some of the rows."""
        arrays = {name: part[rows] for name, part in self._asdict().items() if np.ndim(part)}
        return self._replace(**arrays)

    def values(self, measure):
        """Values of the rows whose mean is a score.

        Parameters
        ----------
        measure : str
            One of OF_MEANS or OF_DISTRIBUTIONS.

        Returns
        -------
        ndarray of shape (n_rows,)
            NaN if it cannot be computed.
        """
        if (self.std if measure in OF_DISTRIBUTIONS else self.mean) is None:
            return np.full(len(self.y), np.nan)
        return (OF_MEANS | OF_DISTRIBUTIONS)[measure](self.y, self.mean, self.std)


def tested_folds(predictions, y, codes):
    """Put beside each other what was tested in each fold, by regime and model.

    Parameters
    ----------
    predictions : list of (Split, str, Prediction)
        All splits and models.
    y : ndarray of shape (n_rows,)
        True values.
    codes : ndarray of shape (n_rows, n_factors)
        Groups, numbered from 0.

    Returns
    -------
    tested : dict of (str, str) to list of TestedFold
        By regime and model. Models share the arrays of a fold.
    size_ranges : list of Categorical
        For each factor the names of the ranges of training rows in known groups, in order.
        Ranges hold a quarter of the groups each; groups without a row in training have one of
        their own.
    """
    splits = {split[:3]: split for split, *_ in predictions}
    placed, size_ranges = zip(
        *(_place(splits, of_factor) for of_factor in codes.T), strict=True
    )
    folds = {}
    for key, split in splits.items():
        size_range = np.column_stack([of_factor[key] for of_factor in placed])
        test = split.test
        folds[key] = TestedFold(*key[1:], y[test], codes[test], size_range, None, None)
    tested = {}
    for split, name, found in predictions:
        fold = folds[split[:3]]._replace(mean=found.mean, std=found.std)
        tested.setdefault((split.regime, name), []).append(fold)
    return tested, [*size_ranges]


def _place(splits, codes):
    """Ranges of training rows, and the positions in these of the test rows' groups."""
    n_groups = codes.max() + 1
    sizes = {k: np.bincount(codes[one.train], minlength=n_groups) for k, one in splits.items()}
    edges, size_ranges = _quarters(
        np.array([row for (regime, *_), row in sizes.items() if regime == KNOWN])
    )
    placed = {k: np.searchsorted(edges, sizes[k][codes[one.test]]) for k, one in splits.items()}
    return placed, size_ranges


def score_group_sizes(tested, size_ranges, loss, factor=0):
    """Compute the loss in known groups by how many rows a group has in training.

    Parameters
    ----------
    tested : dict of (str, str) to list of TestedFold
        By regime and model.
    size_ranges : Categorical
        Names of the ranges of training rows.
    loss : str
        The score to compute.
    factor : int, default=0
        Position of the factor whose groups they are.

    Returns
    -------
    DataFrame
        A row for each range of training rows, model, repeat and fold, if there are test rows of
        such groups: n_test and the score.
    """
    tables = []
    for (regime, name), folds in tested.items():
        for fold in folds if regime == KNOWN else ():
            tables.append(_score_ranges(fold, size_ranges, loss, factor))
            tables[-1][["model", "repeat", "fold"]] = name, fold.repeat, fold.fold
    columns = ["training_rows", "model", "repeat", "fold", "n_test", loss]
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


def _score_ranges(fold, size_ranges, loss, factor):
    places = fold.size_range[:, factor]
    parts = {i: fold.take(places == i) for i in np.unique(places)}
    return pd.DataFrame(
        {
            "training_rows": size_ranges[[*parts]],
            "n_test": [len(part.y) for part in parts.values()],
            loss: [part.values(loss).mean() for part in parts.values()],
        }
    )
