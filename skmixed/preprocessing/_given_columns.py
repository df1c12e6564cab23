"""The numeric columns that effects of categories are given."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_array

from skmixed._rows.features import cells_explained, numeric_columns

CHOOSE = (
    "Effects of categories are given the other columns of X (given={given!r}). Name the "
    "numeric ones, as in given=['age', 'income']; say given=None for effects by themselves; or "
    "put columns of text among `columns`."
)


def read_given(X, positions, encoder):
    """Take columns out of a table, and refuse those that are not numbers.

    Returns
    -------
    ndarray of shape (n_rows, n_given)
        NaN where a value is missing.
    """
    if not positions:
        return np.empty((X.shape[0], 0))
    table = X.iloc[:, positions] if hasattr(X, "iloc") else X[:, positions]
    known = {"groups": (), "positions": positions}
    checks = {"dtype": np.float64, "ensure_all_finite": "allow-nan", "input_name": "X"}
    try:
        table = numeric_columns(table, **known)
        with cells_explained(table, **known):
            return check_array(table, estimator=encoder, **checks)
    except ValueError as error:
        raise ValueError(f"{error} {CHOOSE.format(given=encoder.given)}") from error
