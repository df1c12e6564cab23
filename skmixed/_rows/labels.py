"""Checks of what the user hands in, on top of scikit-learn's."""

from __future__ import annotations

import numpy as np
import pandas as pd

from skmixed._rows.columns import dense_column
from skmixed._rows.messages import TOO_LARGE, TOO_SMALL
from skmixed._sklearn_private import check_sample_weight

LABELS_SHOWN = 10
# Sums of squares below this have lost digits to underflow.
SMALLEST_SQUARE = 1e-290
# What errors about text in an array of numbers say.
SIGNS_OF_TEXT = ("convert", "promoted", "must be numeric", "float()")
# The hash table grows from here; pandas would start with 34 MB for a million rows.
SIZE_HINT = 2**14
POPULATION_LINE = (
    "Leave new_groups at its default to predict new groups by the population line."
)


def encode_groups(groups, n_rows):
    """Replace the labels of a fit by numbers.

    Parameters
    ----------
    groups : array-like of shape (n_rows,)
        Labels of any hashable, sortable type: numbers, strings, booleans, dates, categories.
    n_rows : int
        Rows of X.

    Returns
    -------
    codes : ndarray of shape (n_rows,)
        Position of each row's label in `labels`.
    labels : Index
        The labels, sorted and unique.

    Raises
    ------
    ValueError
        If `groups` is not one-dimensional, has another length than X, holds missing labels,
        numbers that are not whole, or labels of types that cannot be sorted together.
    """
    values = _check_labels(groups, n_rows)
    if _are_close_integers(values):
        return _number_integers(np.asarray(values))
    codes, labels = _factorize(values)
    _check_whole(labels)
    check_none_missing(codes, "in fit")
    try:
        order = labels.argsort()
    except TypeError as error:
        kind = pd.api.types.infer_dtype(labels)
        raise ValueError(
            f"`groups` must have labels of one type, but got {kind}. Convert them, as in "
            "groups.astype(str)."
        ) from error
    rank = np.empty(len(labels), dtype=np.intp)
    rank[order] = np.arange(len(labels))
    return rank[codes], labels[order]


def match_groups(groups, labels, n_rows):
    """Find labels among those of the fit.

    Parameters
    ----------
    groups : array-like of shape (n_rows,)
        Labels; missing ones are allowed.
    labels : Index
        The labels of the fit.
    n_rows : int
        Rows of X.

    Returns
    -------
    codes : ndarray of shape (n_rows,)
        Position of each row's label in `labels`, -1 for labels not seen in fit or missing.
    new : Index
        The labels not seen in fit, in order of appearance.

    Raises
    ------
    ValueError
        If `groups` is not one-dimensional, has another length than X or holds labels of
        another type than those of the fit.
    """
    values = _check_labels(groups, n_rows)
    if pd.api.types.is_numeric_dtype(values):
        codes = labels.get_indexer(values)
        new = pd.Index(values[codes < 0]).unique().dropna()
    else:  # each string is looked up once
        codes, given = _factorize(values)
        position = np.append(labels.get_indexer(given), -1)
        codes, new = position[codes], given[position[:-1] < 0]
    check_same_kind(new, labels)
    return codes, new


def check_same_kind(new, labels):
    """Refuse labels of another type than those that are known."""
    if len(new) and len(labels) and _kind(new) != _kind(labels):
        raise ValueError(
            f"`groups` must have labels of the same type as in fit, {_kind(labels)} (such as "
            f"{labels[:1].tolist()[0]!r}), but got {_kind(new)} (such as "
            f"{new[:1].tolist()[0]!r}). Convert them, as in groups.astype(...)."
        )


def number_new_groups(groups, new_rows):
    """Give numbers to the groups of rows whose label was not seen in fit.

    Parameters
    ----------
    groups : array-like of shape (n_rows,)
        Labels; missing ones are allowed.
    new_rows : ndarray of shape (n_rows,), dtype bool
        Rows whose label is new or missing.

    Returns
    -------
    ndarray of shape (n_new_rows,)
        From 0; each missing label is a group of its own.
    """
    codes, labels = _factorize(_check_labels(groups, len(new_rows)))
    missing = codes < 0
    codes[missing] = len(labels) + np.arange(np.count_nonzero(missing))
    return np.unique(codes[new_rows], return_inverse=True)[1]


def check_none_missing(codes, where):
    """Refuse missing labels, whose code is -1."""
    refuse_missing(np.count_nonzero(codes < 0), len(codes), where)


def refuse_missing(n_missing, n_rows, where):
    """Refuse a number of missing labels."""
    if n_missing:
        raise ValueError(
            f"`groups` must have a label for every row {where}, but {n_missing} of {n_rows} "
            "are missing (None, NaN or NA). Drop those rows, or give them a label of their "
            "own, as in groups.fillna('unknown')."
        )


def check_new_groups(new, labels, remedy=POPULATION_LINE):
    """Refuse labels that were not seen in fit."""
    if len(new):
        more = ", ..." if len(new) > LABELS_SHOWN else ""
        shown = ", ".join(repr(label) for label in new[:LABELS_SHOWN].tolist())
        raise ValueError(
            f"`groups` must hold labels seen in fit, since new_groups='error', but "
            f"{len(new)} are new: {shown}{more}; {len(labels)} are known. {remedy}"
        )


def check_real(array, name):
    """Refuse an array that is not made of real numbers."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numeric, but got dtype {array.dtype}.")


def check_weights(sample_weight, X):
    """Validate the weights; None stays None."""
    if sample_weight is None:
        return None
    weights = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not np.any(weights > 0):
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights


def check_enough_rows(X, sample_weight, *, has_groups):
    """Refuse data with too few rows for variance components; a pooled fit takes any."""
    n_rows, n_columns = X.shape
    if sample_weight is not None:
        n_rows = np.count_nonzero(sample_weight)
    needed = n_columns + 2
    if n_rows < needed and has_groups:
        raise ValueError(
            f"X must have at least {needed} rows, two more than its {n_columns} feature "
            f"columns, but got n_samples={n_rows}. Use fewer columns or more rows."
        )
    if sample_weight is not None:
        _check_enough_weight(sample_weight.sum(), n_rows, n_columns)


def check_finite_moments(moments):
    """Refuse sums that are too large for float64."""
    if not np.all(np.isfinite(moments.T)):
        raise ValueError(TOO_LARGE)


def check_squares(rows, moments, terms):
    """Refuse columns whose squares are too small for float64, though they differ."""
    X, y, *_ = rows
    for position in np.flatnonzero(np.diag(moments.T)[1:] < SMALLEST_SQUARE):
        column = y if position == len(terms) else dense_column(X, position)
        spread = float(column.max()) - float(column.min())
        if spread > 0:
            name = "y" if position == len(terms) else f"The column {terms[position]}"
            raise ValueError(TOO_SMALL.format(name=name, spread=spread))


def check_enough_moments(moments):
    """Refuse sums of parts over too few rows for variance components, or too large ones."""
    check_finite_moments(moments)
    n_rows, n_columns = int(moments.n_rows.sum()), len(moments.shift) - 2
    if len(moments.labels) and n_rows < n_columns + 2:
        raise ValueError(
            f"At least {n_columns + 2} rows are needed, two more than the {n_columns} feature "
            f"columns, but the model has seen {n_rows}. Use fewer columns or more rows."
        )
    _check_enough_weight(moments.n, n_rows, n_columns)


def _check_enough_weight(total, n_rows, n_columns):
    """Refuse weights that count as fewer rows than there are."""
    needed = n_columns + 2
    if total < min(needed, n_rows):
        raise ValueError(
            f"`sample_weight` must sum to at least {needed}, two more than the {n_columns} "
            f"feature columns, but sums to {total:.6g}: a weight of 2 counts as two rows. To "
            "give precisions, scale them to mean 1: sample_weight / sample_weight.mean()."
        )


def explain_text_columns(X, error, *, has_groups):
    """Name the columns of a DataFrame that cannot be numbers, or pass the error on."""
    about_text = any(sign in str(error) for sign in SIGNS_OF_TEXT)
    if not (about_text and isinstance(X, pd.DataFrame)):
        raise error
    text = [str(name) for name in X.columns if _is_text(X[name])]
    if not text:
        raise error
    hint = "" if has_groups else f"If one of them holds the groups, pass group_by={text[0]!r}. "
    raise ValueError(
        f"X must be numeric, but these columns are not: {', '.join(text)}. {hint}Encode them "
        "as numbers, for example with sklearn.preprocessing.OneHotEncoder."
    ) from error


def _is_text(column):
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    return bool((numbers.isna() & column.notna()).any())


def _check_labels(groups, n_rows):
    """Refuse groups that are not one label for each row."""
    if isinstance(groups, str) or not hasattr(groups, "__len__"):
        raise ValueError(
            f"`groups` must be an array with one label for each row of X, but got {groups!r}. "
            "To name a column of X, use the constructor: group_by='column'."
        )
    if not hasattr(groups, "shape"):
        nested = any(pd.api.types.is_list_like(label) for label in groups)
        groups = np.array(groups, dtype=object) if nested else pd.Series(groups)
    if np.ma.isMaskedArray(groups):
        groups = pd.Series(groups)
    if len(groups.shape) != 1:
        raise ValueError(
            f"`groups` must be one-dimensional, but got shape {tuple(groups.shape)}. Groups "
            "made of several columns need one label each: "
            "groups=frame.groupby(['a', 'b']).ngroup()."
        )
    if len(groups) != n_rows:
        raise ValueError(
            f"`groups` must have one label for each row of X, but got {len(groups)} labels "
            f"for {n_rows} rows."
        )
    known = isinstance(groups, pd.Series | pd.Index | pd.api.extensions.ExtensionArray)
    return groups if known else np.asarray(groups)


def _check_whole(labels):
    """Refuse a column of measurements, which is a feature and not a grouping."""
    if labels.dtype.kind != "f":
        return
    numbers = labels.to_numpy(dtype=np.float64)
    odd = numbers[~(np.isfinite(numbers) & (np.floor(numbers) == numbers))]
    if len(odd):
        raise ValueError(
            "`groups` must hold labels, but got numbers that are not whole, such as "
            f"{odd[0]}. Is it a feature? If they are labels, convert them, as in "
            "groups.astype(str)."
        )


def _are_close_integers(values):
    """Whether the labels are integers, and spread no further than there are rows."""
    if not isinstance(values.dtype, np.dtype) or values.dtype.kind not in "iu":
        return False
    return len(values) > 0 and int(values.max()) - int(values.min()) < len(values)


def _number_integers(values):
    """Codes and sorted labels of such integers: several times as fast as a hash table."""
    low = values.min()
    codes = np.subtract(values, low, dtype=np.intp)
    there = np.zeros(codes.max() + 1, dtype=bool)
    there[codes] = True
    if not there.all():
        codes = (np.cumsum(there) - 1)[codes]
    return codes, pd.Index(low + np.flatnonzero(there).astype(values.dtype))


def _factorize(values):
    """Codes (-1 if missing) and unique labels, in order of appearance."""
    try:
        codes, labels = pd.factorize(values, size_hint=SIZE_HINT)
    except TypeError as error:
        raise ValueError(
            "`groups` must hold labels such as numbers or strings, but got "
            f"{next(iter(values))!r}, which cannot be hashed."
        ) from error
    if isinstance(labels.dtype, pd.CategoricalDtype):
        labels = labels.astype(labels.categories.dtype)
    return codes, pd.Index(labels)


def _kind(labels):
    if getattr(labels.dtype, "tz", None) is not None:
        return "datetime with a time zone"
    kind = pd.api.types.infer_dtype(labels, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return "number"
    return {"datetime64": "datetime", "date": "datetime"}.get(kind, kind)
