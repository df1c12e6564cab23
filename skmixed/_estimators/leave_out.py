"""Predictions of the training rows by fits without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.fitted import FittedModel
from skmixed._estimators.leave_out_of_factors import (
    predict_without_each_level,
    predict_without_each_row,
)
from skmixed._numerics.leave_out.leave_one_out import LeaveOut
from skmixed._numerics.linalg.digits import SAME_SUMS
from skmixed._numerics.moments.by_group import cross_products_by_group, shifted_columns
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._rows.messages import (
    FACTOR_OF_A_ROW,
    FACTOR_TO_LEAVE_OUT,
    NOT_THE_ROWS_OF_THE_FIT,
    ONE_GROUP_TO_LEAVE_OUT,
    missing_in_predict,
)
from skmixed._rows.reader import TrainingRows, read_further_rows
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed._state import in_one_piece

# Numbers that are expanded at a time.
BATCH_VALUES = 2**17


class LeaveOutMixin:
    """What a fitted mixed model would predict for its rows had it not seen them."""

    @in_one_piece
    @validate_params(
        {"leave": [StrOptions({"row", "group"})], "factor": [str, tuple, None]},
        prefer_skip_nested_validation=True,
    )
    def loo_predict(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        sample_weight: Any = None,
        *,
        leave: Literal["row", "group"] = "row",
        factor: str | tuple | None = None,
    ) -> np.ndarray:
        """Predict each training row by a fit without it, or without its group.

        The variance components are held at their estimates, so that nothing is searched for
        and all rows take the time of a few fits. `skmixed.model_selection.cross_validate`
        estimates them anew in each fold.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The rows that the model was fitted to, in any order.
        y : array-like of shape (n_rows,)
            Their target.
        groups : array-like of shape (n_rows,), optional
            Their groups, as for `fit`.
        sample_weight : array-like of shape (n_rows,), optional
            Their weights, as for `fit`. A row of weight w is left out as a whole; one of
            weight 0 was not there, and is predicted by the fit of the others.
        leave : {"row", "group"}, default="row"
            What is left out. Without its group a row is predicted by the population line, and
            with several factors by that and its effects of the others.
        factor : str or tuple, default=None
            With ``leave="group"`` and several factors, the one whose groups are left out. The
            effects of other factors are those of the fit without these rows; 0 where a level
            has no others.

        Returns
        -------
        ndarray of shape (n_rows,)
            Predicted values, in the order of the rows given.

        Raises
        ------
        ValueError
            If these are not the rows of the fit, if there is but one group to leave out, or if
            `factor` does not name one of several, or is given with ``leave="row"``.

        Notes
        -----
        With V the covariance of y and P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1, the residuals
        of rows S around a fit without them are (P_SS)^-1 (P y)_S. For n rows, p columns and J
        groups this costs O(n p^2) for rows, and O(n p^2 + J p^3) for groups. With several
        factors a level takes the cube of its rows, or beyond 2,000 rows a fit to the sums of
        the others.

        Examples
        --------
        >>> import numpy as np
        >>> from skmixed import RandomSlopeRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
        >>> for leave in ("row", "group"):
        ...     error = y - model.loo_predict(X, y, groups=subject, leave=leave)
        ...     print(leave, round(np.sqrt(np.mean(error**2)), 1))
        row 28.5
        group 49.6
        """
        self._check_has_groups("loo_predict", several=True)
        names = self._factors_named(factor)
        if leave == "row" and factor is not None:
            raise ValueError(FACTOR_OF_A_ROW.format(factor=factor))
        if leave == "group" and len(names) > 1:
            raise ValueError(FACTOR_TO_LEAVE_OUT.format(names=names, first=names[0]))
        if groups is None and self._columns.group_by is None:
            raise ValueError(missing_in_predict(self, "loo_predict"))
        rows = read_further_rows(self, X, y, groups, sample_weight)
        if self._columns.factors:
            if leave == "row":
                return predict_without_each_row(self, rows)
            return predict_without_each_level(self, rows, names[0])
        residuals = _RowsLeftOut._from_rows(self._fitted, rows)
        return rows.y - (residuals._of_rows() if leave == "row" else residuals._of_groups())


@dataclass(frozen=True)
class _RowsLeftOut:
    """Residuals of the rows of a fit around fits without them, in units of y.

    Attributes
    ----------
    fitted : FittedModel
        The fit.
    fit : LeaveOut
        What changes without some of its rows.
    rows : TrainingRows
        The rows of the fit, with weights; the code is -1 if a row's group is not in the fit.
    """

    fitted: FittedModel
    fit: LeaveOut
    rows: TrainingRows

    @classmethod
    def _from_rows(cls, fitted, rows):
        """Check that the rows are those of the fit."""
        if rows.sample_weight is None:
            rows = rows._replace(sample_weight=np.ones(len(rows.y)))
        if hasattr(rows.X, "tocsr"):
            rows = rows._replace(X=rows.X.tocsr())
        _check_rows_of_fit(rows, fitted.moments)
        fit = LeaveOut.from_criterion(fitted.criterion, fitted.Lambda)
        # residuals are those of y less what the coordinates take off it
        taken = safe_sparse_dot(rows.X, fit.problem.coordinates.taken)
        rows = rows._replace(y=rows.y - taken)
        return cls(fitted, fit, _number_as_in_fit(rows, fitted.moments))

    def _of_rows(self):
        """Leave out each row in turn."""
        rows, fit = self.rows, self.fit
        residual = np.empty(len(rows.y))
        determined = np.empty(len(rows.y), dtype=bool)
        size = max(BATCH_VALUES // (fit.b.shape[0] * len(self.fitted.moments.shift)), 1)
        for batch in gen_batches(len(rows.y), size):
            residual[batch], determined[batch] = fit.without_each_row(
                self._shifted(batch), rows.codes[batch], rows.sample_weight[batch]
            )
        for row in np.flatnonzero(~determined):  # one for each coefficient at most
            residual[row] = self._refitted_without(np.array([row]))[0]
        return fit.problem.coordinates.y_scale * residual

    def _of_groups(self):
        """Leave out each group in turn."""
        rows, fit, moments = self.rows, self.fit, self.fitted.moments
        n_groups = len(moments.labels)
        if n_groups == 1:
            raise ValueError(ONE_GROUP_TO_LEAVE_OUT.format(label=moments.labels.tolist()[0]))
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
        for group in np.flatnonzero(~determined):  # likewise
            some = np.flatnonzero(rows.codes == group)
            residual[some] = self._refitted_without(some)
        return fit.problem.coordinates.y_scale * residual

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
        return others.residuals(self._shifted(left_out), position[codes[left_out]])

    def _shifted(self, some):
        rows, shift = self.rows, self.fit.problem.coordinates.shift
        return shifted_columns(rows.X[some], rows.y[some], shift)


def _check_rows_of_fit(rows, fitted):
    """Refuse rows whose sums are not the moments of the fit."""
    moments = GroupedMoments.from_rows(*rows, random=fitted.random, shift=fitted.shift)
    same_groups = pd.Index(moments.labels).equals(pd.Index(fitted.labels))
    if not same_groups or not np.array_equal(moments.n_rows, fitted.n_rows):
        what = (
            f"got {moments.n_rows.sum()} rows in {len(moments.labels)} groups, where the "
            f"fit had {fitted.n_rows.sum()} in {len(fitted.labels)}, or other groups"
        )
        raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(what=what))
    size = np.sqrt(np.diag(fitted.T) + moments.n * np.spacing(np.abs(fitted.shift)) ** 2)
    if np.any(np.abs(moments.T - fitted.T) > SAME_SUMS * np.outer(size, size)):
        what = "their sums of squares are others"
        raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(what=what))


def _number_as_in_fit(rows, fitted):
    """Give groups the numbers they have in the fit, and -1 if they have no weight there."""
    has_weight = np.bincount(rows.codes, rows.sample_weight > 0, len(rows.labels)) > 0
    position = np.where(has_weight, np.cumsum(has_weight) - 1, -1)
    return rows._replace(codes=position[rows.codes], labels=fitted.labels)
