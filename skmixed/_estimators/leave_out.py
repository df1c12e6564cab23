"""Predictions of the training rows by fits without them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.leave_out_of_factors import RowsOfFactors
from skmixed._estimators.rows_of_groups import RowsOfGroups
from skmixed._rows.messages import (
    FACTOR_OF_A_ROW,
    FACTOR_TO_LEAVE_OUT,
    missing_in_predict,
)
from skmixed._rows.reader import read_further_rows
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed._state import in_one_piece


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
        check_is_fitted(self)
        names = groups_to_leave_out(self, leave, factor, option="leave")
        rows = rows_of_fit(self, "loo_predict", X, y, groups, sample_weight)
        if leave == "row":
            return rows.y - rows.without_rows()
        with one_blas_thread():
            return rows.y - rows.without_levels(names[0])


def groups_to_leave_out(model, leave, factor, *, option):
    """Name the factors, of which the first is left out with leave="group".

    Parameters
    ----------
    model : estimator
        The fitted model.
    leave : {"row", "group"}
        What is left out.
    factor : str, tuple or None
        Which of several factors.
    option : str
        Name of the argument that `leave` was given as, for errors.

    Returns
    -------
    list of str
        One, or those of all factors.
    """
    names = model._factors_named(factor)
    if leave == "row" and factor is not None:
        raise ValueError(FACTOR_OF_A_ROW.format(factor=factor, option=option))
    if leave == "group" and len(names) > 1:
        raise ValueError(FACTOR_TO_LEAVE_OUT.format(names=names, first=names[0], option=option))
    return names


def rows_of_fit(model, name, X, y, groups, sample_weight):
    """Read rows again that a mixed model was fitted to, for a method of this name.

    Parameters
    ----------
    model : estimator
        The fitted model.
    name : str
        The method that is called.
    X, y, groups, sample_weight : array-likes
        As for `fit`.

    Returns
    -------
    RowsOfGroups or RowsOfFactors
        The rows beside the fit.
    """
    model._check_has_groups(name, several=True)
    if groups is None and model._columns.group_by is None:
        raise ValueError(missing_in_predict(model, name))
    rows = read_further_rows(model, X, y, groups, sample_weight)
    if model._columns.factors:
        return RowsOfFactors.of(model, rows, name)
    return RowsOfGroups.of(model._fitted, rows, name)
