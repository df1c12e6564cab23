"""Predictions of the training rows by fits without them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from skmixed._numerics.leave_out.variances_held import LeaveOut
from skmixed._numerics.linalg.digits import SAME_SUMS
from skmixed._numerics.moments.by_group import cross_products_by_group, shifted_columns
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._rows.messages import (
    MISSING_IN_PREDICT,
    NOT_THE_ROWS_OF_THE_FIT,
    ONE_GROUP_TO_LEAVE_OUT,
)
from skmixed._sklearn_private import StrOptions, validate_params

# Numbers that are expanded at a time.
BATCH_VALUES = 2**17


class LeaveOutMixin:
    """What a fitted mixed model would predict for its rows had it not seen them."""

    @validate_params(
        {"leave": [StrOptions({"row", "group"})]}, prefer_skip_nested_validation=True
    )
    def loo_predict(self, X, y, groups=None, sample_weight=None, *, leave="row"):
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
            What is left out. Without its group a row is predicted by the population line.

        Returns
        -------
        ndarray of shape (n_rows,)
            Predicted values, in the order of the rows given.

        Raises
        ------
        ValueError
            If these are not the rows of the fit, or if there is but one group to leave out.

        Notes
        -----
        With V the covariance of y and P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1, the residuals
        of rows S around a fit without them are (P_SS)^-1 (P y)_S. For n rows, p columns and J
        groups this costs O(n p^2) for rows, and O(n p^2 + J p^3) for groups.

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
        self._check_has_groups("loo_predict")
        if groups is None and self.group_by is None:
            name = type(self).__name__
            raise ValueError(MISSING_IN_PREDICT.format(method="loo_predict", name=name))
        rows = self._check_training_rows(X, y, groups, sample_weight, reset=False)
        if rows.sample_weight is None:
            rows = rows._replace(sample_weight=np.ones(len(rows.y)))
        if hasattr(rows.X, "tocsr"):
            rows = rows._replace(X=rows.X.tocsr())
        rows = self._check_rows_of_fit(rows)
        fit = LeaveOut.from_criterion(self._criterion, self._Lambda)
        without = self._without_each_row if leave == "row" else self._without_each_group
        return rows.y - fit.problem.coordinates.y_scale * without(fit, rows)

    def _check_rows_of_fit(self, rows):
        """Compare with the moments of the fit; number groups as there, with -1 if not there."""
        fitted = self._moments
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
            raise ValueError(
                NOT_THE_ROWS_OF_THE_FIT.format(what="their sums of squares are others")
            )
        there = np.bincount(rows.codes, rows.sample_weight > 0, len(rows.labels)) > 0
        position = np.where(there, np.cumsum(there) - 1, -1)
        return rows._replace(codes=position[rows.codes], labels=fitted.labels)

    def _without_each_row(self, fit, rows):
        residual = np.empty(len(rows.y))
        determined = np.empty(len(rows.y), dtype=bool)
        size = max(BATCH_VALUES // (fit.b.shape[0] * len(self._moments.shift)), 1)
        for batch in gen_batches(len(rows.y), size):
            D = self._shifted(fit, rows, batch)
            residual[batch], determined[batch] = fit.without_each_row(
                D, rows.codes[batch], rows.sample_weight[batch]
            )
        for row in np.flatnonzero(~determined):  # one for each coefficient at most
            residual[row] = self._refit_without(fit, rows, np.array([row]))[0]
        return residual

    def _without_each_group(self, fit, rows):
        labels = self._moments.labels
        if len(labels) == 1:
            raise ValueError(ONE_GROUP_TO_LEAVE_OUT.format(label=labels.tolist()[0]))
        residual = np.empty(len(rows.y))
        determined = np.empty(len(labels), dtype=bool)
        outside = rows.codes < 0
        residual[outside] = fit.residuals(
            self._shifted(fit, rows, outside), rows.codes[outside]
        )
        for groups, some, D, products in cross_products_by_group(
            rows.X,
            rows.y,
            rows.codes,
            len(labels),
            shift=fit.problem.coordinates.shift,
            sample_weight=rows.sample_weight,
        ):
            residual[some], determined[groups] = fit.without_each_group(
                D, rows.codes[some] - groups[0], products, groups
            )
        for group in np.flatnonzero(~determined):  # likewise
            some = np.flatnonzero(rows.codes == group)
            residual[some] = self._refit_without(fit, rows, some)
        return residual

    def _refit_without(self, fit, rows, left_out):
        """Residuals of rows around a fit to the others, summed up from these."""
        kept = np.delete(np.arange(len(rows.y)), left_out)
        X, y, codes, labels, weight = rows
        fitted, numbers = self._moments, np.arange(len(labels))
        moments = GroupedMoments.from_rows(
            X[kept],
            y[kept],
            codes[kept],
            numbers,
            weight[kept],
            random=fitted.random,
            shift=fitted.shift,
        )
        position = np.full(len(labels), -1)
        position[moments.labels] = np.arange(len(moments.labels))
        rest = fit.refit(self._criterion, moments)
        return rest.residuals(self._shifted(fit, rows, left_out), position[codes[left_out]])

    def _shifted(self, fit, rows, some):
        shift = fit.problem.coordinates.shift
        return shifted_columns(rows.X[some], rows.y[some], shift)
