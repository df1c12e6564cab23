"""What cross-validation is given: rows with their metadata, and splits that are listed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from skmixed._rows.containers import take_rows
from skmixed._rows.factors import is_several, take_factors
from skmixed._rows.routing import refuse_class
from skmixed._sklearn_private import num_samples
from skmixed.model_selection._split import TwoWayGroupKFold

NO_SPLITS = "`cv` must give at least one split into training and test rows, but gives none."
SEVERAL_FACTORS = (
    "The groups of a splitter are one factor, but `groups` has the columns {names}. Keep them "
    "as columns of X, and name them to the model, group_by={names}; then give the splitter one "
    "of them, as in groups=X[{first!r}]."
)
NO_PAIR = (
    "`cv` must give pairs (train, test) of positions of rows, from 0 to {last}, or of masks of "
    "{n_rows} rows, but split {number} is {given}."
)


def take_rows_and_metadata(X, y, groups, params, cv=None):
    """Take rows as they are handed in; metadata that has a value for each row with them."""
    by_row = {"groups": groups, "sample_weight": (params or {}).get("sample_weight")}
    X, y, *values = take_rows(X=X, y=y, **by_row)
    taken = {k: v for k, v in zip(by_row, values, strict=True) if v is not None}
    takes_several = isinstance(cv, TwoWayGroupKFold)
    if not takes_several and is_several(factors := take_factors(taken.get("groups"))):
        raise ValueError(SEVERAL_FACTORS.format(names=list(factors), first=next(iter(factors))))
    return X, y, {**(params or {}), **taken}


def check_folds(cv, X):
    """Refuse a class, or a list of splits that are none; return `cv`, whose splits last."""
    refuse_class(cv, "cv")
    if isinstance(cv, str) or hasattr(cv, "split") or not isinstance(cv, Iterable):
        return cv
    splits, n_rows = list(cv), num_samples(X)
    for number, split in enumerate(splits):
        if not _is_pair(split, n_rows):
            given = repr(split)
            given = given if len(given) < 60 else f"{given[:60]}..."
            numbers = {"number": number, "n_rows": n_rows, "last": n_rows - 1}
            raise ValueError(NO_PAIR.format(given=given, **numbers))
    return list(not_empty(splits))


def not_empty(splits):
    """Yield splits, and refuse to if there are none."""
    split = None
    for split in splits:
        yield split
    if split is None:
        raise ValueError(NO_SPLITS)


def _is_pair(split, n_rows):
    if not hasattr(split, "__len__") or len(split) != 2:
        return False
    return all(_are_rows(np.asarray(part), n_rows) for part in split)


def _are_rows(part, n_rows):
    if part.ndim != 1 or part.dtype.kind not in "biu":
        return False
    if part.dtype == bool:
        return len(part) == n_rows
    return not len(part) or (-n_rows <= part.min() and part.max() < n_rows)
