"""Folds in which each row is left out once."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import check_cv

from skmixed._rows.routing import takes_groups

NO_PARTITION = (
    "`cv` must have each row in one test fold, but {n} of {n_rows} rows are in none or in "
    "several. Use KFold or another splitter whose test folds are a partition."
)
NEEDS_GROUPS = (
    "`cv` must be a splitter that needs no groups where there is no single column of them, but "
    "got {cv!r}. {remedy}"
)
NO_WEIGHT_LEFT = (
    "`cv` must leave rows with a positive weight in each training set, but fold {fold} of "
    "{n_folds} has none. Shuffle the rows, as in KFold(5, shuffle=True), or drop those of "
    "weight 0."
)


def make_folds(cv, y, groups, weight, remedy, *, classifier=False):
    """Split the rows by a splitter, and check that the test rows are a partition.

    Parameters
    ----------
    cv : splitter or iterable
        As scikit-learn takes it.
    y : ndarray of shape (n_rows,)
        Target.
    groups : array-like of shape (n_rows,) or None
        For splitters that ask for them.
    weight : ndarray of shape (n_rows,) or None
        Each training set must have some.
    remedy : str
        What to do where groups are asked for that there are not.
    classifier : bool, default=False
        Whether y holds classes.

    Returns
    -------
    list of (train, test)
        Positions or masks of rows.
    """
    splitter = check_cv(cv, y, classifier=classifier)
    says = hasattr(splitter, "get_metadata_routing")
    if groups is None and says and takes_groups(splitter, "split"):
        raise ValueError(NEEDS_GROUPS.format(cv=splitter, remedy=remedy))
    folds = list(splitter.split(np.empty((len(y), 0)), y, groups))
    _check_partition(folds, len(y))
    if weight is not None:
        _check_weight_left(folds, weight)
    return folds


def _check_weight_left(folds, weight):
    for i, (train, _) in enumerate(folds, 1):
        if not np.any(weight[train] > 0):
            raise ValueError(NO_WEIGHT_LEFT.format(fold=i, n_folds=len(folds)))


def _check_partition(folds, n_rows):
    tests = np.concatenate([np.arange(n_rows)[test] for _, test in folds])
    times = np.bincount(tests, minlength=n_rows)
    if np.any(times != 1):
        n_wrong = np.count_nonzero(times != 1)
        raise ValueError(NO_PARTITION.format(n=n_wrong, n_rows=n_rows))
