"""Columns of a table taken out, and put together again."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from skmixed._rows.messages import NAMED_TWICE


def get_column(X, position):
    """One column of a frame of pandas or polars, or of an array."""
    return X.iloc[:, position] if hasattr(X, "iloc") else X[:, position]


def as_container(X, columns, names):
    """Make a table like X of columns: a frame of one, an array of an array."""
    if not hasattr(X, "columns"):
        return np.stack(columns).T  # writes whole columns, three times as fast as rows
    table = dict(zip(names, columns, strict=True))
    return pd.DataFrame(table, X.index) if hasattr(X, "iloc") else type(X)(table)


def check_distinct(names):
    """Refuse columns of equal names."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(NAMED_TWICE.format(names=", ".join(twice)))
