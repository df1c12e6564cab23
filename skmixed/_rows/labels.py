"""Checks of what the user hands in, on top of scikit-learn's."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pandas as pd
from sklearn.utils.validation import assert_all_finite

from skmixed._rows.columns import dense_column
from skmixed._rows.factors import of_factor
from skmixed._rows.messages import (
    INEXACT_LABELS,
    LONE_SURROGATE,
    NO_LABELS,
    NOT_WEIGHTS,
    SMALL_WEIGHTS,
    TOO_LARGE,
    TOO_SMALL,
    WEIGHTS_OUT_OF_RANGE,
)
from skmixed._sklearn_private import check_sample_weight
from skmixed._warn import warn

LABELS_SHOWN = 10
ZONED = "datetime with a time zone"
# What pandas calls objects among which there are floats.
OBJECTS_WITH_FLOATS = ("floating", "mixed-integer-float")
# Sums of squares below this have lost digits to underflow.
SMALLEST_SQUARE = 1e-290
# The largest weight must be one of these: sums of weighted squares are multiplied.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-100, 1e100
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
    _check_exact(labels)
    _check_whole(labels)
    check_none_missing(codes, "in fit")
    try:
        order = labels.argsort()
    except TypeError as error:
        kind = pd.api.types.infer_dtype(labels)
        kind = "datetime with and without a time zone" if kind == "datetime" else kind
        raise ValueError(
            f"`groups` must have labels of one type, but got {kind}. Convert them, as in "
            "groups.astype(str)."
        ) from error
    rank = np.empty(len(labels), dtype=np.intp)
    rank[order] = np.arange(len(labels))
    return rank[codes], labels[order]


def number_categories(values, n_rows):
    """Replace the categories of a column by numbers.

    Parameters
    ----------
    values : array-like of shape (n_rows,)
        Any hashable values, of which some may be missing.
    n_rows : int
        Rows of X.

    Returns
    -------
    codes : ndarray of shape (n_rows,)
        Position of each row's category in `labels`; where it is missing, a number of the
        row's own, from ``len(labels)`` on.
    labels : Index
        The categories, in order of appearance.
    """
    codes, labels = _factorize(_check_labels(values, n_rows))
    missing = np.flatnonzero(codes < 0)
    codes = codes.astype(np.intp)
    codes[missing] = len(labels) + np.arange(len(missing))
    return codes, labels


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
        _check_exact(values)
        codes = labels.get_indexer(values)
        new = pd.Index(values[codes < 0]).unique().dropna()
    else:  # each string is looked up once
        codes, given = _factorize(values)
        _check_exact(given)
        position = np.append(labels.get_indexer(given), -1)
        codes, new = position[codes], given[position[:-1] < 0]
    check_same_kind(new, labels)
    return codes, new


def kind_of_labels(labels):
    """Name the kind of labels that can be compared: number, string, datetime, ..."""
    kind = pd.api.types.infer_dtype(labels, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return "number"
    kind = {"datetime64": "datetime", "date": "datetime"}.get(kind, kind)
    has_zone = kind == "datetime" and getattr(labels[0], "tzinfo", None) is not None
    return ZONED if has_zone else kind


def as_index(labels, name):
    """Make an index of known labels; times of several zones are put in that of the first."""
    labels = pd.Index(labels, name=name)
    if labels.dtype == object and len(labels) and kind_of_labels(labels) == ZONED:
        labels = pd.to_datetime(labels, utc=True).tz_convert(labels[0].tzinfo)
    return labels


def check_same_kind(new, labels):
    """Refuse labels of another type than those that are known."""
    if len(new) and len(labels) and kind_of_labels(new) != kind_of_labels(labels):
        raise ValueError(
            f"`groups` must have labels of the same type as in fit, {kind_of_labels(labels)} "
            f"(such as {labels[:1].tolist()[0]!r}), but got {kind_of_labels(new)} (such as "
            f"{new[:1].tolist()[0]!r}). Convert them, as in groups.astype(...)."
        )


def check_same_labels(new, known, names=()):
    """Refuse sums by labels of another type; of several factors, whose names are given."""
    if not names:
        check_same_kind(pd.Index(new.labels), pd.Index(known.labels))
        return
    for name, *parts in zip(names, new.factors, known.factors, strict=True):
        with of_factor(name):
            check_same_labels(*parts)


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


def warn_about_small_weights(weights):
    """Say what weights mean if all of them are below 1, as numbers of rows never are."""
    if weights is None or not weights.size or (largest := weights.max()) >= 1:
        return
    n_rows, total = np.count_nonzero(weights), weights.sum()
    warn(SMALL_WEIGHTS.format(largest=largest, n_rows=n_rows, total=total), UserWarning)


def check_real(array, name):
    """Refuse an array that is not made of real numbers."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numeric, but got dtype {array.dtype}.")


def check_weights(sample_weight, X):
    """Validate the weights; None stays None."""
    if sample_weight is None:
        return None
    checks = {"dtype": np.float64, "ensure_non_negative": True}
    try:
        if np.asarray(sample_weight).dtype.kind in "mM":
            raise TypeError("dates and durations are none.")
        weights = check_sample_weight(sample_weight, X, **checks)
    except (ValueError, TypeError) as error:
        if "ample" in str(error):  # it says already that it is about weights, or samples
            raise
        given = type(sample_weight).__name__
        raise ValueError(NOT_WEIGHTS.format(given=given, error=error)) from error
    assert_all_finite(weights, input_name="sample_weight")  # one number for all rows, too
    largest = weights.max(initial=0.0)
    if largest == 0:
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if not SMALLEST_WEIGHT <= largest <= LARGEST_WEIGHT:
        limits = {"low": SMALLEST_WEIGHT, "high": LARGEST_WEIGHT}
        raise ValueError(WEIGHTS_OUT_OF_RANGE.format(largest=largest, **limits))
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
    X, y, weight = rows.X, rows.y, rows.sample_weight
    counted = slice(None) if weight is None else weight > 0
    for position in np.flatnonzero(np.diag(moments.T)[1:] < SMALLEST_SQUARE):
        column = (y if position == len(terms) else dense_column(X, position))[counted]
        spread = float(column.max()) - float(column.min())
        if spread > 0:
            name = "y" if position == len(terms) else f"The column {terms[position]}"
            raise ValueError(TOO_SMALL.format(name=name, spread=spread))


def check_enough_moments(moments):
    """Refuse sums of parts over too few rows for variance components, or too large ones."""
    check_finite_moments(moments)
    by_group = getattr(moments, "factors", [moments])[0]  # every factor has all rows
    n_rows, n_columns = int(by_group.n_rows.sum()), len(moments.shift) - 2
    if len(by_group.labels) and n_rows < n_columns + 2:
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


def _check_labels(groups, n_rows):
    """Refuse groups that are not one label for each row."""
    if isinstance(groups, str) or not hasattr(groups, "__len__"):
        name = groups if isinstance(groups, str) else "column"
        raise ValueError(NO_LABELS.format(groups=groups, name=name))
    if not hasattr(groups, "shape"):
        groups = _as_array(groups)
    if np.ma.isMaskedArray(groups):
        groups = pd.Series(groups)
    if not isinstance(groups, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        groups = np.asarray(groups)
    if len(groups.shape) != 1:
        raise ValueError(
            f"`groups` must be one-dimensional, but got shape {tuple(groups.shape)}. Groups "
            "made of several columns need one label each: "
            "groups=frame.groupby(['a', 'b']).ngroup(). Several factors of a mixed model are "
            "the columns of a DataFrame."
        )
    if len(groups) != n_rows:
        raise ValueError(
            f"`groups` must have one label for each row of X, but got {len(groups)} labels "
            f"for {n_rows} rows."
        )
    return _as_pandas_knows(groups)


def _as_array(groups):
    """Make an array of a list; of lists of one label each, one of the labels."""
    if not any(pd.api.types.is_list_like(label) for label in groups):
        with _text_encoded():
            return pd.Series(groups)
    groups = np.array(groups, dtype=object)
    return groups[:, 0] if groups.ndim == 2 and groups.shape[1] == 1 else groups


def _as_pandas_knows(values):
    """Bring labels to a type that pandas can look up: not float16, for one, nor big endian."""
    dtype = values.dtype
    if isinstance(dtype, pd.ArrowDtype):
        value_type = getattr(dtype.pyarrow_dtype, "value_type", None)  # of a dictionary
        return values if value_type is None else values.astype(pd.ArrowDtype(value_type))
    if not isinstance(dtype, np.dtype):
        return values
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        _check_exact(values)
        return np.asarray(values, dtype=np.float32 if dtype.itemsize == 2 else np.float64)
    return values if dtype.isnative else np.asarray(values, dtype=dtype.newbyteorder("="))


@contextmanager
def _text_encoded():
    """Say which label cannot be encoded, where pandas keeps text as UTF-8."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise ValueError(LONE_SURROGATE.format(label=error.object)) from error


def _check_exact(labels):
    """Refuse floats so large that they do not tell whole numbers apart."""
    dtype = getattr(labels.dtype, "numpy_dtype", labels.dtype)  # that of nullable types
    if (
        pd.api.types.is_object_dtype(dtype)
        and pd.api.types.infer_dtype(labels) in OBJECTS_WITH_FLOATS
    ):
        labels, dtype = pd.Series(labels), np.dtype(np.float64)
        labels = labels[labels.map(pd.api.types.is_float)]
    if not isinstance(dtype, np.dtype) or dtype.kind != "f":
        return
    numbers = np.abs(pd.Series(labels).to_numpy(dtype, na_value=np.nan))
    limit = 2 / np.finfo(dtype).eps
    inexact = numbers[np.isfinite(numbers) & (numbers >= limit)]
    if len(inexact):
        label = {"label": inexact[0], "limit": limit, "dtype": dtype}
        raise ValueError(INEXACT_LABELS.format(**label))


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
        with _text_encoded():
            codes, labels = pd.factorize(values, size_hint=SIZE_HINT)
            labels = pd.Index(labels)
            if labels.dtype == object:
                pd.Index(labels.to_numpy())  # what it is made of is found out by then
    except TypeError as error:
        raise ValueError(
            "`groups` must hold labels such as numbers or strings, but got "
            f"{next(iter(values))!r}, which cannot be hashed."
        ) from error
    if isinstance(labels.dtype, pd.CategoricalDtype):
        labels = labels.astype(labels.categories.dtype)
    return codes, labels
