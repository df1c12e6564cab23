"""What a comparison is given: rows, and their groups by one factor or several."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import indexable

from skmixed._rows.columns import as_table
from skmixed._rows.factors import is_several, of_factor, split_groups, take_factors
from skmixed._rows.labels import encode_groups
from skmixed._rows.messages import GIVEN_TWICE, ONE_FACTOR
from skmixed._sklearn_private import num_samples
from skmixed.exceptions import NotAvailableError

NO_GROUPS = (
    "The groups must be given to compare_pooling, but got None. Pass them as `groups`, one "
    "label for each row of X, or name the column of X that holds them: group_by='column'."
)

LINEAR = "For linear models of a y that is 0 or 1: target_type='continuous'."


class Groups(NamedTuple):
    """Names of the factors, codes of shape (n_rows, n_factors), and labels by factor."""

    names: tuple[str, ...]
    codes: np.ndarray
    labels: tuple[pd.Index, ...]

    @property
    def are_several(self):
        return len(self.names) > 1

    @property
    def values(self):
        """Labels of all rows: an array, or a table with a column for each factor."""
        columns = [
            of_factor.to_numpy()[codes]
            for of_factor, codes in zip(self.labels, self.codes.T, strict=True)
        ]
        named = dict(zip(self.names, columns, strict=True))
        return pd.DataFrame(named) if self.are_several else columns[0]

    @property
    def sizes(self):
        """Rows of each group: a Series, or a dictionary of these by factor."""
        series = [
            pd.Series(np.bincount(codes), index=pd.Index(labels, name=name), name="size")
            for name, codes, labels in zip(self.names, self.codes.T, self.labels, strict=True)
        ]
        return dict(zip(self.names, series, strict=True)) if self.are_several else series[0]


def read_groups(X, y, groups, group_by):
    """Check lengths and labels.

    Parameters
    ----------
    X, y, groups, group_by : object
        As given to `compare_pooling`.

    Returns
    -------
    X : array-like
        As a table.
    groups : Groups
        Of its rows.
    """
    if groups is None and group_by is None:
        raise ValueError(NO_GROUPS)
    if groups is not None and group_by is not None:
        raise ValueError(GIVEN_TWICE.format(group_by=group_by))
    X, _ = indexable(as_table(X), y)
    groups = take_factors(groups) if group_by is None else split_groups(X, group_by)[1]
    if is_several(groups):
        columns = {str(name): groups[name] for name in groups}
    else:
        name = getattr(groups, "name", None)
        columns = {"group" if name is None else str(name): groups}
    found = []
    for name, labels in columns.items():
        with of_factor(name) if len(columns) > 1 else nullcontext():
            found.append(encode_groups(labels, num_samples(X)))
    codes, labels = zip(*found, strict=True)
    return X, Groups(tuple(columns), np.column_stack(codes), labels)


def check_sizes(groups, n_splits):
    """Refuse fewer groups than folds, and groups of one row each."""
    sizes = dict(zip(groups.names, map(np.bincount, groups.codes.T), strict=True))
    without_factor = (
        "Leave the factor out of group_by or groups, and its column out of X."
        if groups.are_several
        else "One group is no grouping: use scikit-learn's cross_validate."
    )
    for name in sorted(sizes, key=lambda name: len(sizes[name])):  # the remedy is for all
        with of_factor(name) if groups.are_several else nullcontext():
            _check_sizes(sizes[name], n_splits, without_factor)


def _check_sizes(sizes, n_splits, without_factor):
    if len(sizes) < n_splits:
        one = len(sizes) == 1
        count = "1 group" if one else f"{len(sizes)} groups"
        remedy = without_factor if one else f"Take fewer folds: n_splits={len(sizes)}."
        raise ValueError(
            f"There must be at least as many groups as folds, so that each fold has new groups "
            f"to predict, but got {count} and n_splits={n_splits}. {remedy}"
        )
    if sizes.max() == 1:
        raise ValueError(
            f"At least one group must have two rows, so that there are new rows in known "
            f"groups, but each of the {len(sizes)} groups has one. Is it a column of "
            "identifiers?"
        )


def refuse_several(groups, outcome):
    """Refuse several factors of outcomes whose models take one."""
    if groups.are_several and not outcome.is_continuous:
        raise NotAvailableError(
            f"compare_pooling takes one grouping factor of {outcome.target_type} targets, but "
            f"got {list(groups.names)}. {ONE_FACTOR} {LINEAR}"
        )


def check_rows(model: Any, X, y, groups: Groups) -> bool:
    """Raise here, as `fit` would, what is wrong with the rows: not once for each fold.

    Parameters
    ----------
    model : estimator
        Of several factors the one that asks most of the rows; of one fixed effects.
    X, y, groups : array-like, ndarray and Groups
        All rows.

    Returns
    -------
    bool
        Whether features vary within groups: those that do not have no fixed effect. With
        several factors, whether there are features.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = clone(model).fit(X, y, groups=groups.values if model.group_by is None else None)
    return bool(model.coef_.any())
