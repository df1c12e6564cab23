"""The column of X that names the stratum of each row, for residual variances that differ."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from skmixed._rows.columns import find_group_column, split_group_column
from skmixed._rows.factors import group_columns
from skmixed._rows.labels import LABELS_SHOWN, check_none_missing, encode_groups, match_groups
from skmixed._rows.messages import ALSO_THE_GROUPS, NO_STRATUM, NOT_A_STRATUM, NOT_FOR_STRATA
from skmixed.exceptions import NotAvailableError

ONE_VARIANCE = "Fit the model without variance_by for it."


def columns_taken_out(X, group_by, variance_by):
    """Positions of the columns of X that are no features, sorted: groups and strata.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray or sparse matrix
        Features and, among them, these.
    group_by : str, int, tuple, list of these or None
        The group columns.
    variance_by : str, int or None
        The column of strata.

    Returns
    -------
    list of int
        Levels of an index have none.
    """
    taken = group_columns(X, group_by)
    if variance_by is None:
        return taken
    own = find_group_column(X, variance_by, "variance_by")
    if own in taken:
        raise ValueError(ALSO_THE_GROUPS.format(variance_by=variance_by))
    return taken if own is None else sorted([*taken, own])


def read_strata(X, variance_by):
    """Give numbers to the strata of the rows of a fit; return codes and sorted labels."""
    labels = split_group_column(X, variance_by, "variance_by")[1]
    with _named(variance_by):
        return encode_groups(labels, len(labels))


def match_strata(X, variance_by, known):
    """Find the strata of rows among those of the fit; a row without one is an error."""
    labels = split_group_column(X, variance_by, "variance_by")[1]
    with _named(variance_by):
        codes, new = match_groups(labels, known, len(labels))
        if len(new):
            shown = ", ".join(repr(label) for label in new[:LABELS_SHOWN].tolist())
            given = {"new": shown, "known": ", ".join(map(repr, known[:LABELS_SHOWN].tolist()))}
            raise ValueError(NOT_A_STRATUM.format(**given))
        check_none_missing(codes, "whose spread is asked for")
    return codes


def present_strata(codes, labels, weight):
    """Leave out rows of weight 0, and strata of nothing else."""
    if weight is None or weight.all():
        return codes, labels
    present, codes = np.unique(codes[weight > 0], return_inverse=True)
    return codes, labels[present]


def refuse_strata(columns, name, remedy=ONE_VARIANCE):
    """Refuse what does not exist for residual variances that differ between strata."""
    if columns.variance_by is not None:
        given = {"name": name, "by": columns.variance_by, "remedy": remedy}
        raise NotAvailableError(NOT_FOR_STRATA.format(**given))


@contextmanager
def _named(variance_by):
    """Say that an error is about strata."""
    try:
        yield
    except ValueError as error:
        said = str(error).replace("groups", "strata")
        raise ValueError(NO_STRATUM.format(variance_by=variance_by, said=said)) from error
