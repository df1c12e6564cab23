"""The rows of a fold: which are left out, which are tested, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from skmixed._numerics.moments.moments import GroupedMoments
from skmixed.model_selection._refit import RefitsFromMoments

# Moments of so many folds are held at the same time.
MANY_FOLDS = 20


@dataclass(frozen=True)
class Fold:
    """Rows of a fold.

    Attributes
    ----------
    test : ndarray
        Positions of the rows to predict.
    left_out : ndarray or None
        Positions of all rows that do not train, the same array as `test` if they are the same
        rows; None if a row trains twice.
    train : ndarray or None
        Positions of the training rows; None if these are all rows but `test`, in order.
    """

    test: np.ndarray
    left_out: np.ndarray | None
    train: np.ndarray | None

    @classmethod
    def from_split(cls, train, test, n_rows):
        """Find out what is left out; no `train` stands for all rows but `test`."""
        test = _positions(test)
        if train is None:
            return cls(test, test, None)
        train = _positions(train)
        is_left_out, is_tested = ~_mask(train, n_rows), _mask(test, n_rows)
        n_left_out = np.count_nonzero(is_left_out)
        if n_left_out + len(train) > n_rows:
            return cls(test, None, train)
        if n_left_out != len(test) or not np.array_equal(is_left_out, is_tested):
            return cls(test, np.flatnonzero(is_left_out), train)
        in_order = np.all(train[1:] > train[:-1])
        return cls(test, test, None if in_order else train)

    def training_rows(self, n_rows):
        """Positions of the training rows, written out."""
        if self.train is not None:
            return self.train
        return np.delete(np.arange(n_rows), self.test)


@dataclass(frozen=True)
class Subset:
    """Some rows of a cross-validation, taken and summed up when they are first asked for.

    Attributes
    ----------
    refits : RefitsFromMoments
        All rows.
    positions : ndarray
        Positions of these.
    summed_up : GroupedMoments or None
        Their moments, if they were summed up before.
    """

    refits: RefitsFromMoments
    positions: np.ndarray
    summed_up: GroupedMoments | None = None

    @cached_property
    def rows(self):
        """The rows, as `RefitsFromMoments.take` returns them."""
        return self.refits.take(self.positions)

    @cached_property
    def moments(self):
        """Their moments."""
        return self.refits.sum_up(self.rows) if self.summed_up is None else self.summed_up


def first_partition(folds, n_rows):
    """Left-out rows of the first folds if they share out all rows, else None; and all folds."""
    head, covered = [], 0
    for fold in folds:
        head.append(fold)
        if fold.test is not fold.left_out or len(head) > MANY_FOLDS:
            break
        covered += len(fold.test)
        if covered >= n_rows:
            break
    parts = None
    if covered == n_rows and len(head) <= MANY_FOLDS:
        parts = [fold.test for fold in head]
        parts = parts if _mask(np.concatenate(parts), n_rows).all() else None
    return parts, chain(head, folds)


def _mask(positions, n_rows):
    mask = np.zeros(n_rows, dtype=bool)
    mask[positions] = True
    return mask


def _positions(rows):
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows
