"""Fits from sums over rows that arrive in batches, or from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._rows.factors import refuse_several, same_groups_named
from skmixed._rows.labels import check_enough_moments, check_same_labels
from skmixed._rows.messages import (
    CHANGED_PARAMETERS,
    MIXED_GROUPS,
    NOT_MOMENTS,
    OTHER_GROUP_COLUMN,
    missing_in_predict,
)
from skmixed._rows.reader import Columns, read_further_rows, read_training_rows, sum_up
from skmixed._rows.sums_of_model import sums_of_model
from skmixed._sklearn_private import fit_context
from skmixed._state import changing_alone, in_one_step

# What is known before the model is solved, and what is not besides the public attributes.
FROM_ROWS = ("n_features_in_", "feature_names_in_")
SOLVED = ("_fitted",)
# Parameters that may change between batches: they decide nothing about the model.
FREE_PARAMETERS = ("new_groups", "max_iter", "tol")


@dataclass(frozen=True, eq=False)
class RowsSeen:
    """The sums of all rows that a model has seen, and the parameters it is solved with."""

    moments: GroupedMoments
    parameters: dict


class StreamingMixin:
    """Fits that see the rows in parts."""

    __metadata_request__partial_fit = {"groups": True}

    @in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None
    ) -> Self:
        """Add a batch of rows to those the model is fitted to.

        Batches of any size in any order give the fit of all their rows, and new groups may
        appear at any time: a batch is summed up and forgotten, so that memory depends on the
        numbers of groups and columns alone. The model is solved when a fitted attribute or a
        prediction is asked for.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            Features, the same columns in every batch.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row, as for `fit`.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row, as for `fit`.

        Returns
        -------
        self : object
            The estimator. After an error it is as it was before the batch.

        Notes
        -----
        If the model cannot be solved, as with too few rows so far, or sums that lack the
        digits, what asks for it raises a `sklearn.exceptions.NotFittedError` that says why;
        further batches may come.

        It is solved with the parameters of the last batch. After `fit`, the rows of `fit` count
        as the first batch, and rows given to `update_groups` as further ones.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_hsb
        >>> X, y, school = load_hsb(return_X_y=True)
        >>> model = RandomInterceptRegressor()
        >>> for start in range(0, len(y), 1000):
        ...     batch = slice(start, start + 1000)
        ...     model = model.partial_fit(X[batch], y[batch], groups=school[batch])
        >>> round(model.icc_, 4), model.n_groups_
        (0.0475, 160)
        """
        self._check_takes_sums("partial_fit")
        if "_seen" in vars(self):
            self._validate_params()  # scikit-learn checks those of the first batch
            self._check_same_model()
            moments = self._with_batch(X, y, groups, sample_weight)
        else:
            rows, self._columns = read_training_rows(self, X, y, groups, sample_weight)
            moments = sum_up(rows, self._columns)
        self._seen = RowsSeen(moments, self.get_params(deep=False))
        self._unsolve()
        return self

    @in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit_moments(self, moments: Any) -> Self:
        """Fit the model to sums over rows, without the rows.

        Parameters
        ----------
        moments : GroupedMoments
            Sums over all rows, as `GroupedMoments.from_rows`, ``+`` and ``-`` make them. If the
            model has random slopes, these must have been named there, and with several factors
            the factors in the order of the model.

        Returns
        -------
        self : object
            The fitted estimator. After an error it is as it was before.

        Raises
        ------
        ValueError
            If the sums are of other columns, of too few rows, or do not have the digits that
            the fit needs, where residuals are small beside y or groups lie far apart.

        Examples
        --------
        >>> from skmixed import GroupedMoments, RandomInterceptRegressor
        >>> from skmixed.datasets import load_hsb
        >>> X, y, school = load_hsb(return_X_y=True)
        >>> first = GroupedMoments.from_rows(X[:4000], y[:4000], school[:4000])
        >>> rest = GroupedMoments.from_rows(X[4000:], y[4000:], school[4000:])
        >>> round(RandomInterceptRegressor().fit_moments(first + rest).icc_, 3)
        0.047
        """
        self._check_takes_sums("fit_moments")
        if not hasattr(moments, "sums"):
            raise TypeError(NOT_MOMENTS.format(given=type(moments).__name__))
        if not same_groups_named(moments.group_by, self.group_by):
            raise ValueError(
                OTHER_GROUP_COLUMN.format(given=moments.group_by, expected=self.group_by)
            )
        columns = self._columns_of(moments)
        sums = sums_of_model(self, moments, columns)
        check_enough_moments(sums)
        return self._fit_moments(sums, columns)

    # --------------------------------------------------------------------- steps of the above

    def _check_takes_sums(self, method):
        """Refuse what sums without rows cannot tell."""

    def __sklearn_is_fitted__(self):
        return "_seen" in vars(self)

    if not TYPE_CHECKING:  # checkers shall know which attributes there are

        def __getattr__(self, name):
            # Only asked for what is not there: after `partial_fit`, what follows from solving.
            if "_seen" in vars(self) and _follows_from_solving(self, name):
                solved = vars(self._as_it_is())
                if name in solved:
                    return solved[name]
            if hasattr(type(self), name):  # a property failed: its own error says why
                return getattr(type(self), name).__get__(self)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _as_it_is(self):
        now = super()._as_it_is()
        if not _waits_for_solving(now):
            return now
        with changing_alone(self):  # other threads wait for the one that solves
            self._solve()
            return super()._as_it_is()

    def _columns_of(self, moments):
        """Learn of the columns what `fit` learns from rows."""
        self.n_features_in_ = moments.n_columns
        vars(self).pop("feature_names_in_", None)
        if moments.column_names is not None:
            self.feature_names_in_ = np.array(moments.column_names, dtype=object)
        if not moments.factors:
            columns = Columns.of(self, moments.empty_table(), None)
            return replace(columns, group_name=moments.group_name)
        if self._uses_groups:
            refuse_several(self, list(moments.factors))
        return Columns.of(self, moments.empty_table(), pd.DataFrame(columns=moments.factors))

    def _with_batch(self, X, y, groups, sample_weight):
        """Sum up a batch, and add it to the rows so far."""
        so_far = self._seen.moments
        rows = read_further_rows(self, X, y, groups, sample_weight)
        factors = self._columns.factor_names
        if not factors and (rows.codes is None) != (len(so_far.labels) == 0):
            raise ValueError(MIXED_GROUPS)
        batch = sum_up(rows, self._columns)
        check_same_labels(batch, so_far, factors)
        return so_far + batch

    def _check_same_model(self):
        """Refuse parameters that are not those of the rows so far."""
        changed = [
            name
            for name, value in self.get_params(deep=False).items()
            if name not in FREE_PARAMETERS and not _equal(value, self._seen.parameters[name])
        ]
        if changed:
            raise ValueError(CHANGED_PARAMETERS.format(names=", ".join(changed)))

    def _unsolve(self):
        """Drop everything that follows from the moments."""
        for name in [name for name in vars(self) if _follows_from_solving(self, name)]:
            del vars(self)[name]

    @in_one_step
    def _solve(self):
        """Moments -> solution -> attributes, if another thread has not done it by now."""
        if not _waits_for_solving(self):
            return
        seen, parameters = self._seen, self.get_params(deep=False)
        del self._seen  # or an attribute that is not there would have this begin again
        self.set_params(**seen.parameters)
        try:
            check_enough_moments(seen.moments)
            self._fit_moments(seen.moments, self._columns)
        except ValueError as error:  # attributes are not there yet: `hasattr` must say so
            raise NotFittedError(str(error)) from error
        self.set_params(**parameters)


class UpdatingMixin:
    """Groups that a mixed model learns after the fit."""

    @in_one_step
    def update_groups(
        self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None
    ) -> Self:
        """Learn new groups, or more of known ones, without fitting anew.

        Coefficients and variance components stay as they are; each group in `groups` gets the
        conditional modes that follow from all its rows, those of the fit included. A new
        customer or patient can be known from the first row on.

        A call takes about 1 ms if the model knows 1,000 groups and 15 ms if it knows 100,000,
        whether it brings one row or thousands: collect rows, and it is microseconds a group.
        With several factors the effects of all groups follow from the rows of all others, so
        all are solved for, which takes about as long as one step of the search in `fit`.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row; required unless `group_by` is set. Of several factors any
            may be new or known.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row, as for `fit`.

        Returns
        -------
        self : object
            The estimator. After an error it is as it was before.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> known = subject != 308
        >>> model = RandomInterceptRegressor().fit(X[known], y[known], groups=subject[known])
        >>> model.predict(X[9:10], groups=[308]).round(1)
        array([340.1])
        >>> model = model.update_groups(X[:3], y[:3], groups=subject[:3])
        >>> model.predict(X[9:10], groups=[308]).round(1)
        array([332.9])
        """
        check_is_fitted(self)
        self._check_has_groups("update_groups", several=True, iterative=True)
        if groups is None and self._columns.group_by is None:
            raise ValueError(missing_in_predict(self, "update_groups"))
        known = self._with_batch(X, y, groups, sample_weight)
        self._seen = replace(self._seen, moments=known)
        self._store_known(known)
        return self


def _waits_for_solving(model):
    known = vars(model)
    return known.get("_seen") is not None and "_fitted" not in known


def _follows_from_solving(model, name):
    """Whether solving stores an attribute: one that the package's classes annotate."""
    if not name.endswith("_") or name.startswith("_"):
        return name in SOLVED
    ours = (c for c in type(model).__mro__ if c.__module__.split(".")[0] == "skmixed")
    return name not in FROM_ROWS and any(name in get_annotations(c) for c in ours)


def _equal(one, other):
    return np.array_equal(np.asarray(one, dtype=object), np.asarray(other, dtype=object))
