"""Means of the features in groups, shrunken by as much as few rows deserve."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from skmixed._numerics.linalg.digits import CONSTANT_WITHIN
from skmixed._rows.labels import match_groups, number_new_groups

# Groups differ in a column if the variance between them is more than so many standard errors.
# If it is less, k may be anything, and so may the mean of a group with many rows.
ERRORS = 3.0


@dataclass(frozen=True)
class GroupMeans:
    """What is known of the means of columns in the groups of one factor.

    A column's mean in group j is predicted by a random-intercept model of the column itself::

        x_ij = mu + m_j + e_ij,    mu + m_j ~ mu + n_j / (n_j + k) (mean of the n_j rows - mu)

    with k the variance within groups over that between them. So the mean of a group of one
    row is not this row.

    Attributes
    ----------
    labels : Index
        The groups.
    columns : ndarray of shape (n_columns,)
        Positions of the columns among those that hold numbers.
    center, k : ndarray of shape (n_columns,)
        mu and k.
    means : ndarray of shape (n_groups, n_columns)
        Predicted means of the groups.
    """

    labels: pd.Index
    columns: np.ndarray
    center: np.ndarray
    k: np.ndarray
    means: np.ndarray

    @classmethod
    def of(cls, values, codes, labels, weight=None):
        """Find the columns that vary within and between groups, and their means.

        Parameters
        ----------
        values : ndarray of shape (n_rows, n_numbers)
            NaN where a value is missing.
        codes : ndarray of shape (n_rows,)
            Group of each row.
        labels : Index
            Of the groups.
        weight : ndarray of shape (n_rows,), optional
            Positive weights.
        """
        present, codes = np.unique(codes, return_inverse=True)
        labels = pd.Index(labels)[present]
        sizes, means = _means(values, codes, len(labels), weight)
        center, within, between, error = _variances(values, codes, sizes, means, weight)
        varies = (within > CONSTANT_WITHIN * between) & (between > ERRORS * error)
        columns = np.flatnonzero(varies)
        k = within[columns] / between[columns]
        own = cls(labels, columns, center[columns], k, np.empty((0, len(columns))))
        return replace(own, means=own._shrink(sizes[:, columns], means[:, columns]))

    def of_rows(self, values, groups):
        """Means in the group of each row; those of new groups are those of the rows given.

        A row whose label is missing is a group of its own.
        """
        values = values[:, self.columns]
        codes, _ = match_groups(groups, self.labels, len(values))
        means = np.empty(values.shape)
        new = codes < 0
        means[~new] = self.means[codes[~new]]
        if new.any():
            own = number_new_groups(groups, new)
            means[new] = self._shrink(*_means(values[new], own, own.max() + 1))[own]
        return means

    def of_rows_alone(self, values):
        """Means in groups of which nothing but the row itself is known."""
        values = values[:, self.columns]
        return self._shrink((~np.isnan(values)).astype(np.float64), values)

    def keep(self, kept):
        """Keep some of the columns."""
        parts = {name: getattr(self, name)[kept] for name in ("columns", "center", "k")}
        return replace(self, means=self.means[:, kept], **parts)

    def knowing(self, values, groups):
        """Learn the means of groups that are new; those known stay."""
        _, new = match_groups(groups, self.labels, len(values))
        if not len(new):
            return self
        first = match_groups(groups, new, len(values))[0]
        rows = np.full(len(new), -1)
        rows[first[first >= 0][::-1]] = np.flatnonzero(first >= 0)[::-1]
        means = self.of_rows(values, groups)[rows]
        labels = self.labels.append(new)
        return replace(self, labels=labels, means=np.concatenate([self.means, means]))

    def _shrink(self, sizes, means):
        """Draw means to the center; what is missing in all rows of a group is there."""
        share = sizes / (sizes + self.k)
        return self.center + share * np.where(sizes > 0, means - self.center, 0.0)


def _means(values, codes, n_groups, weight=None):
    """Sizes and means of each column in each group, over the values that are there."""
    sizes, means = np.zeros((2, n_groups, values.shape[1]))
    for i, x in enumerate(values.T):
        there = ~np.isnan(x)
        own, w = codes[there], None if weight is None else weight[there]
        shift = x[there].mean() if len(own) else 0.0
        d = x[there] - shift if w is None else w * (x[there] - shift)
        sizes[:, i] = np.bincount(own, w, n_groups)
        sums = np.bincount(own, d, n_groups)
        means[:, i] = shift + sums / np.where(sizes[:, i] > 0, sizes[:, i], 1.0)
    return sizes, means


def _variances(values, codes, sizes, means, weight):
    """Mean of each column, and its variances within and between groups: one-way ANOVA.

    The last has a standard error, as if it were zero.
    """
    weight = np.ones(len(values)) if weight is None else weight
    n, n_groups = sizes.sum(axis=0), np.count_nonzero(sizes, axis=0)
    center = np.sum(sizes * means, axis=0) / np.maximum(n, 1.0)
    squares = [
        np.nansum(weight * (x - mean[codes]) ** 2)
        for x, mean in zip(values.T, means.T, strict=True)
    ]
    within = np.array(squares) / np.maximum(n - n_groups, 1.0)
    free = np.maximum(n_groups - 1, 1)
    size = (n - np.sum(sizes**2, axis=0) / np.maximum(n, 1.0)) / free
    mean_square = np.sum(sizes * (means - center) ** 2, axis=0) / free
    size = np.where(size > 0, size, 1.0)
    between = np.where(n > n_groups, (mean_square - within) / size, 0.0)
    return center, within, between, within * np.sqrt(2 / free) / size
