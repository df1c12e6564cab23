"""The rows of a fit with one grouping factor, and fits without some of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.fitted import BATCH_VALUES, FittedModel
from skmixed._numerics.leave_out.influence import RowsInFit
from skmixed._numerics.leave_out.leave_one_out import LeaveOut
from skmixed._numerics.linalg.digits import SAME_SUMS
from skmixed._numerics.moments.by_group import cross_products_by_group, shifted_columns
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._rows.labels import check_weights, encode_groups
from skmixed._rows.messages import (
    GROUPS_OF_POOLED,
    NOT_THE_ROWS_OF_THE_FIT,
    ONE_GROUP_TO_LEAVE_OUT,
)
from skmixed._rows.reader import TrainingRows, read_rows_and_target


@dataclass(frozen=True)
class RowsOfGroups:
    """The rows of a fit, some of which are left out; residuals are in units of y.

    Attributes
    ----------
    y : ndarray of shape (n_rows,)
        As given.
    fitted : FittedModel
        The fit.
    fit : LeaveOut
        What changes without some of its rows.
    rows : TrainingRows
        The rows of the fit, with weights, y less what the coordinates take off it; the code is
        -1 if a row's group is not in the fit.
    """

    y: np.ndarray
    fitted: FittedModel
    fit: LeaveOut
    rows: TrainingRows

    @classmethod
    def of(cls, fitted, rows, name):
        """Check that the rows are those of the fit."""
        if rows.sample_weight is None:
            rows = rows._replace(sample_weight=np.ones(len(rows.y)))
        if hasattr(rows.X, "tocsr"):
            rows = rows._replace(X=rows.X.tocsr())
        _check_rows_of_fit(rows, fitted.moments, name)
        fit = LeaveOut.from_criterion(fitted.criterion, fitted.Lambda)
        # residuals are those of y less what the coordinates take off it
        taken = safe_sparse_dot(rows.X, fit.problem.coordinates.taken)
        less = rows._replace(y=rows.y - taken)
        return cls(rows.y, fitted, fit, _number_as_in_fit(less, fitted.moments))

    def without_rows(self):
        """Leave out each row in turn."""
        batches = [rows.without_each for rows in self._batches_in_fit()]
        residual, determined = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        residual *= self.fit.problem.coordinates.y_scale
        for row in np.flatnonzero(~determined):  # one for each coefficient at most
            residual[row] = self._refitted_without(np.array([row]))[0]
        return residual

    def without_levels(self, name, *, option="leave"):
        """Leave out each group in turn."""
        residual, determined = self.levels_determined(name, option=option)
        for group in np.flatnonzero(~determined):  # likewise
            some = np.flatnonzero(self.rows.codes == group)
            residual[some] = self._refitted_without(some)
        return residual

    @cached_property
    def in_fit(self):
        """What the fit says of its rows."""
        rows = RowsInFit.joined(list(self._batches_in_fit()))
        return rows.in_units(self.fit.problem.coordinates.y_scale)

    def _batches_in_fit(self):
        """Yield what the fit says of some rows at a time."""
        rows, fit = self.rows, self.fit
        size = max(BATCH_VALUES // (fit.b.shape[0] * len(self.fitted.moments.shift)), 1)
        for some in gen_batches(len(rows.y), size):
            weight = rows.sample_weight[some]
            yield fit.rows_in_fit(self._shifted(some), rows.codes[some], weight)

    def levels_of(self, name):
        """Return the group of each row, -1 if it is not in the fit, and the labels of all."""
        return self.rows.codes, self.fitted.moments.labels

    def levels_determined(self, name, *, option):
        """Leave out each group in turn, as if the others determined the same coefficients.

        Returns
        -------
        residual : ndarray of shape (n_rows,)
        determined : ndarray of shape (n_groups,), dtype bool
            Whether they do. If not, residuals of the group are wrong.
        """
        rows, fit, labels = self.rows, self.fit, self.fitted.moments.labels
        n_groups = len(labels)
        if n_groups == 1:
            one = ONE_GROUP_TO_LEAVE_OUT.format(label=labels.tolist()[0], option=option)
            raise ValueError(one)
        residual, determined = np.empty(len(rows.y)), np.empty(n_groups, dtype=bool)
        outside = rows.codes < 0
        residual[outside] = fit.residuals(self._shifted(outside), rows.codes[outside])
        for groups, some, D, products in cross_products_by_group(
            rows.X,
            rows.y,
            rows.codes,
            n_groups,
            shift=fit.problem.coordinates.shift,
            sample_weight=rows.sample_weight,
        ):
            residual[some], determined[groups] = fit.without_each_group(
                D, rows.codes[some] - groups[0], products, groups
            )
        return fit.problem.coordinates.y_scale * residual, determined

    @property
    def coordinates(self):
        """The way from the problem to the user's columns."""
        return self.fit.problem.coordinates

    @property
    def root(self):
        """M_XX^-1/2, in the coordinates of the problem."""
        return self.fit.root

    def _refitted_without(self, left_out):
        """Residuals of rows around a fit to the others, summed up from these."""
        X, y, codes, labels, weight = self.rows
        kept = np.delete(np.arange(len(y)), left_out)
        moments = GroupedMoments.from_rows(
            X[kept],
            y[kept],
            codes[kept],
            np.arange(len(labels)),
            weight[kept],
            random=self.fitted.moments.random,
            shift=self.fit.problem.coordinates.shift,
        )
        position = np.full(len(labels), -1)
        position[moments.labels] = np.arange(len(moments.labels))
        others = self.fit.refit(self.fitted.criterion, moments)
        residual = others.residuals(self._shifted(left_out), position[codes[left_out]])
        return self.fit.problem.coordinates.y_scale * residual

    def _shifted(self, some):
        rows, shift = self.rows, self.fit.problem.coordinates.shift
        return shifted_columns(rows.X[some], rows.y[some], shift)


def _check_rows_of_fit(rows, fitted, name):
    """Refuse rows whose sums are not the moments of the fit."""
    moments = GroupedMoments.from_rows(*rows, random=fitted.random, shift=fitted.shift)
    same_groups = pd.Index(moments.labels).equals(pd.Index(fitted.labels))
    if not same_groups or not np.array_equal(moments.n_rows, fitted.n_rows):
        what = (
            f"got {moments.n_rows.sum()} rows in {len(moments.labels)} groups, where the "
            f"fit had {fitted.n_rows.sum()} in {len(fitted.labels)}, or other groups"
        )
        raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(name=name, what=what))
    size = np.sqrt(np.diag(fitted.T) + moments.n * np.spacing(np.abs(fitted.shift)) ** 2)
    if np.any(np.abs(moments.T - fitted.T) > SAME_SUMS * np.outer(size, size)):
        what = "their sums of squares are others"
        raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(name=name, what=what))


def rows_of_pooled_fit(model, name, X, y, groups, sample_weight, by):
    """Read rows again that a pooled regression was fitted to; groups, to leave them out."""
    X, y, groups = read_rows_and_target(model, X, y, groups)
    weight = check_weights(sample_weight, X)
    rows = TrainingRows(X, y, None, np.array([]), weight)
    of_fit = RowsOfGroups.of(model._fitted.without_groups(), rows, name)
    if by == "row":
        return of_fit
    if groups is None:
        raise ValueError(GROUPS_OF_POOLED)
    codes, labels = encode_groups(groups, len(y))
    rows = rows._replace(codes=codes, labels=labels.to_numpy())
    moments = GroupedMoments.from_rows(*rows, shift=model._fitted.moments.shift)
    return RowsOfGroups.of(model._fitted.without_groups(moments), rows, name)


def _number_as_in_fit(rows, fitted):
    """Give groups the numbers they have in the fit, and -1 if they have no weight there."""
    if rows.codes is None:
        return rows._replace(codes=np.full(len(rows.y), -1), labels=fitted.labels)
    has_weight = np.bincount(rows.codes, rows.sample_weight > 0, len(rows.labels)) > 0
    position = np.where(has_weight, np.cumsum(has_weight) - 1, -1)
    return rows._replace(codes=position[rows.codes], labels=fitted.labels)
