"""Labels of two classes, and counts: targets that are not normal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import assert_all_finite, column_or_1d

from skmixed._rows.containers import take_rows
from skmixed._rows.messages import (
    COUNTS_ARE_ZERO,
    HUGE_COUNTS,
    MANY_CLASSES,
    MISSING_IN_Y,
    MIXED_LABELS,
    NEGATIVE_COUNTS,
    NO_COUNTS,
    NUMBERS_AS_LABELS,
    ONE_CLASS,
    UNKNOWN_CLASSES,
)
from skmixed._warn import warn

CLASSES_SHOWN = 5
# What arrays of objects are, if not text.
OBJECTS = {"boolean": np.bool_, "integer": np.int64}
# Of larger ones the logarithm of the likelihood is not known to 1e-5.
LARGEST_COUNT = 2e10
# Numbers that differ by less, relative to their size, are the same.
SAME = 1e-5


def encode_classes(y):
    """Turn labels of two classes into 0.0 and 1.0.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or None
        Labels of any type that can be sorted.

    Returns
    -------
    y : Series, ndarray or None
        Numbers, under the index and name of a Series; None, which the reader of rows refuses.
    classes : ndarray of shape (2,), or less
        The labels, sorted.
    """
    if y is None:
        return None, np.array([])
    labels = read_classes(y)
    _check_kind(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) > 2:  # a single one may be that of rows too few, which are refused first
        _refuse_classes(classes, type_of_target(labels))
    return _like(y, codes.astype(np.float64)), classes


def encode_known_classes(y, classes):
    """Turn labels into 0.0 and 1.0 as a fitted model does; refuse others."""
    labels = read_classes(y)
    unknown = np.unique(labels[~np.isin(labels, classes)])
    if len(unknown):
        given = {"classes": classes.tolist(), "unknown": unknown[:CLASSES_SHOWN].tolist()}
        raise ValueError(UNKNOWN_CLASSES.format(**given))
    return (labels == classes[1]).astype(np.float64)


def read_classes(y):
    """Check that labels are a vector without missing ones; take them out of objects."""
    (y,) = take_rows(y=y)
    missing = pd.isna(pd.Series(y) if isinstance(y, list | tuple) else y)
    n_missing = int(np.count_nonzero(missing))
    if n_missing:
        raise ValueError(MISSING_IN_Y.format(n=n_missing, n_rows=len(y)))
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    kept_as = OBJECTS.get(pd.api.types.infer_dtype(labels))
    return labels if kept_as is None else labels.astype(kept_as)


def check_two_classes(y, classes):
    """Refuse numbers of classes, among the rows that count, that are all alike."""
    if len(y) and np.all(y == y[0]):
        raise ValueError(ONE_CLASS.format(label=repr(classes.tolist()[int(y[0])])))


def check_counts(y):
    """Refuse negative counts, and counts that are all zero."""
    n_negative = np.count_nonzero(y < 0)
    if n_negative:
        given = {"n": n_negative, "n_rows": len(y), "least": y.min()}
        raise ValueError(NEGATIVE_COUNTS.format(**given))
    if not np.any(y):
        raise ValueError(COUNTS_ARE_ZERO.format(n_rows=len(y)))


def check_size_of_counts(counts):
    """Refuse counts whose likelihood has too few digits left to be maximised."""
    if counts.max() > LARGEST_COUNT:
        raise ValueError(HUGE_COUNTS.format(most=LARGEST_COUNT, largest=counts.max()))


def are_whole(numbers):
    """Whether numbers are integers, up to rounding."""
    return bool(np.all(np.abs(numbers - np.rint(numbers)) <= SAME * np.maximum(numbers, 1.0)))


def warn_about_fractions(y, counts, weight):
    """Warn of what is no count, and no rate with its exposure."""
    if not are_whole(y) and not are_whole(counts):
        what = "y" if weight is None else "y times `sample_weight`"
        fraction = counts[np.argmax(np.abs(counts - np.rint(counts)))]
        warn(NO_COUNTS.format(what=what, fraction=fraction), UserWarning)


def _check_kind(labels):
    """Refuse what are no labels: numbers that are not whole, and mixtures of types."""
    inferred = pd.api.types.infer_dtype(labels)
    if inferred.startswith("mixed"):
        raise ValueError(MIXED_LABELS.format(inferred=inferred))
    kind = type_of_target(labels, input_name="y")
    if kind == "continuous":
        fraction = labels[labels != np.rint(labels)][0]
        raise ValueError(NUMBERS_AS_LABELS.format(kind=kind, fraction=fraction))
    check_classification_targets(labels)


def _refuse_classes(classes, kind):
    shown = ", ".join(repr(label) for label in classes[:CLASSES_SHOWN].tolist())
    more = ", ..." if len(classes) > CLASSES_SHOWN else ""
    given = {"n": len(classes), "classes": shown + more, "kind": kind}
    raise ValueError(MANY_CLASSES.format(**given))


def _like(y, values):
    """Keep the index and the name of a Series."""
    return pd.Series(values, y.index, name=y.name) if isinstance(y, pd.Series) else values
