"""Folds in which each row is left out once."""

from __future__ import annotations

import numpy as np

NO_PARTITION = (
    "`cv` must have each row in one test fold, but {n} of {n_rows} rows are in none or in "
    "several. Use KFold or another splitter whose test folds are a partition."
)


def check_partition(folds, n_rows):
    """Refuse folds whose test rows are not a partition of the rows.

    Parameters
    ----------
    folds : list of (train, test)
        Positions or masks of rows.
    n_rows : int
        How many there are.
    """
    tests = np.concatenate([np.arange(n_rows)[test] for _, test in folds])
    times = np.bincount(tests, minlength=n_rows)
    if np.any(times != 1):
        n_wrong = np.count_nonzero(times != 1)
        raise ValueError(NO_PARTITION.format(n=n_wrong, n_rows=n_rows))
