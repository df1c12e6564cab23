"""Fits without some of the rows, from the moments of all of them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.base import clone
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.grouped import BaseGroupedRegressor
from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._estimators.predictions import predict_random
from skmixed._numerics.fit.identifiability import fits_all_rows
from skmixed._numerics.leave_out.folds import subtract_fold, sums_of_squares
from skmixed._numerics.leave_out.refits_without_groups import (
    EstimatesWithoutGroups,
    refit_without_each,
)
from skmixed._numerics.linalg.digits import DIGITS_FOR_FOLDS
from skmixed._numerics.moments.by_group import cross_products_by_group
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.moments import GroupedMoments, pilot_mean
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._reports.messages import warn_about_fit
from skmixed._rows.factors import refuse_factors
from skmixed._rows.labels import check_enough_rows, check_finite_moments
from skmixed._rows.reader import (
    INTERCEPT,
    RowsAgain,
    read_training_rows,
    warn_about_column_of_groups,
)
from skmixed.model_selection._refit_factors import fit_factors_to, sum_up_factors

# With fewer groups than this, a fold may move the estimates to another minimum.
MANY_GROUPS = 100
# With fewer rows for each random effect, or a smaller share of all rows, likewise.
ROWS_AN_EFFECT = 2
MOST = 0.75
# Groups are left out one by one in chunks whose cross-products are about this many numbers.
MANY_PRODUCTS = 2**21
# Fewer rows than this are as soon summed up as taken away.
FEW_ROWS = 100


class RefitsFromMoments:
    """The rows of a cross-validation, checked and summed up once.

    Parameters
    ----------
    estimator : BaseGroupedRegressor
        Not fitted here; each fit is that of a clone.
    X, y, groups, sample_weight : array-likes
        As for `fit`.
    parts : list of ndarray, default=None
        Positions of rows, to be summed up apart; together they are all rows.

    Attributes
    ----------
    seconds : float
        Time spent so far on what folds share.
    mean_weight : float or None
        Of all rows, if random effects fit these exactly. Only the ratios of weights matter
        then, but the criterion counts their sum, so that folds are to have the same mean.

    Raises
    ------
    ValueError, TypeError
        If all rows together cannot be fitted.
    Warning
        If there is something to say of them, such as that they have no groups.
    """

    def __init__(self, estimator, X, y, groups=None, sample_weight=None, *, parts=None):
        start = time.perf_counter()
        self.estimator = estimator
        model = clone(estimator)
        model._validate_params()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the loop warns in each fold
            rows, columns = read_training_rows(model, X, y, groups, sample_weight)
            if not isinstance(model, BaseMixedRegressor):
                refuse_factors(columns, "a refit from moments")  # folds are fitted in the loop
            model._check_takes_sums("a refit from moments")
        warn_about_column_of_groups(model, rows, columns)
        check_enough_rows(rows.X, rows.sample_weight, has_groups=rows.codes is not None)
        parameters = estimator.get_params(deep=False)
        self.learned = {k: v for k, v in vars(model).items() if k not in parameters}
        self.columns = columns
        self.rows = rows._asdict()
        self.labels = self.rows.pop("labels")
        if hasattr(self.rows["X"], "tocsr"):
            self.rows["X"] = self.rows["X"].tocsr()
        self.shift = pilot_mean(*(self.rows[name] for name in ("X", "y", "sample_weight")))
        if parts is None:
            self.parts, self.total = [], self.sum_up(self.rows)
        else:
            self.parts = [self.sum_up(self.take(part)) for part in parts]
            self.total = sum(self.parts[1:], start=self.parts[0])
        check_finite_moments(self.total)
        self.mean_weight = None
        if not columns.factors:
            self._look_at_rows(model, rows)
        self.seconds = time.perf_counter() - start

    def _look_at_rows(self, model, rows):
        """Refuse what needs the rows, and find the mean weight."""
        rows = rows._replace(labels=np.arange(len(rows.labels)))  # as in the moments
        if RowsAgain(rows).vary_within(OwnLines.of(near_means(self.total))):
            raise ValueError("some columns lie so far apart between groups that fits need rows")
        self.mean_weight = self._mean_weight(model)

    def take(self, rows):
        """Take some rows, as a dictionary of X, y, codes and sample_weight."""
        return {name: _take(values, rows) for name, values in self.rows.items()}

    def sum_up(self, rows):
        """Moments of rows from `take`; the labels of groups are their numbers."""
        if self.columns.factors:
            return sum_up_factors(rows, self.labels, self.columns, self.shift)
        labels = np.arange(len(self.labels))
        return GroupedMoments.from_rows(
            **rows, labels=labels, random=self.columns.random, shift=self.shift
        )

    def without(self, part, n_left_out):
        """Fit to all rows but some.

        Parameters
        ----------
        part : GroupedMoments or FactorMoments
            The moments of these rows.
        n_left_out : int
            Their number, those of weight zero included.

        Returns
        -------
        Fit, FitOfFactors or None
            None if a difference of moments has too few digits for the fit, or the rows do not
            determine it to all digits.
        """
        if not self._leaves_enough(n_left_out):
            return None
        rest = subtract_fold(self.total, part)
        if rest is None:
            return None
        model = clone(self.estimator)
        vars(model).update(self.learned)
        if self.columns.factors:
            return fit_factors_to(rest, model, self.labels, self.columns)
        rest = self._with_mean_weight(rest)
        moments = replace(rest, labels=self.labels[rest.labels])
        if isinstance(model, BaseMixedRegressor):
            fit = model._estimate(self.columns, moments, self._start_for(rest))
            if not fit.optimum.converged or fit.optimum.flat or _lacks_digits(fit.digits_left):
                return None
            model._store(fit, moments, self.columns)
            warn_about_fit(model, fit)
        else:
            solution = model._estimate(moments)
            if _lacks_digits(solution.digits_left):
                return None
            model._store(solution, moments, self.columns)
            model._warn_about(solution)
        position = np.full(len(self.labels), -1)
        position[rest.labels] = np.arange(len(rest.labels))
        return Fit(model, position)

    def line_without(self, left_out):
        """Fit to all rows but those of one group, as far as needed to predict these.

        Returns
        -------
        NewGroup or None
            None unless the rows are one whole group, and the fit is an ordinary one.
        """
        codes = left_out["codes"]
        if codes is None or self.columns.factors or not len(codes):
            return None
        if not self._leaves_enough(len(codes)):
            return None
        if len(codes) != self._n_rows[codes[0]] or np.any(codes != codes[0]):
            return None
        group = self._position[codes[0]]
        if group < 0 or self._one_group_less is None or not self._one_group_less.found[group]:
            return None
        return NewGroup(self._one_group_less.beta[group])

    def fit_params(self, given, train):
        """Return metadata for a fit to some rows, with the weights scaled if need be."""
        if self.mean_weight is None:
            return given
        weight = self.rows["sample_weight"]
        mean = weight[train][weight[train] > 0].mean()
        return {**given, "sample_weight": self.mean_weight / mean * weight}

    # ------------------------------------------------------------------- steps of the above

    def _mean_weight(self, model):
        if self.rows["sample_weight"] is None or not isinstance(model, BaseMixedRegressor):
            return None
        total = self.total
        if not fits_all_rows(model._specification(self.columns).problem(total)):
            return None
        return total.n / total.n_rows.sum()

    def _with_mean_weight(self, moments):
        if self.mean_weight is None:
            return moments
        scale = self.mean_weight * moments.n_rows.sum() / moments.n
        return replace(moments, T=scale * moments.T, C=scale * moments.C)

    def _leaves_enough(self, n_left_out):
        return len(self.rows["y"]) - n_left_out >= FEW_ROWS

    @cached_property
    def _n_rows(self):
        """Rows of each group, those of weight zero included."""
        return np.bincount(self.rows["codes"], minlength=len(self.labels))

    @cached_property
    def _position(self):
        """Of each group in the moments; -1 if all its rows have weight zero."""
        position = np.full(len(self.labels), -1)
        position[self.total.labels] = np.arange(len(self.total.labels))
        return position

    @cached_property
    def _fit(self):
        """Fit of all rows, if folds are likely to have theirs close by."""
        model, start = self.estimator, time.perf_counter()
        if not isinstance(model, BaseMixedRegressor) or len(self.total.labels) < MANY_GROUPS:
            return None
        fit = model._estimate(self.columns, self.total)
        self.seconds += time.perf_counter() - start
        coordinates, optimum = fit.problem.coordinates, fit.optimum
        all_kept = coordinates.random_kept.all() and not coordinates.dependent.any()
        ordinary = (
            not _lacks_digits(fit.digits_left)
            and optimum.is_only_minimum
            and optimum.converged
            and not optimum.flat
        )
        ordinary = ordinary and optimum.Lambda.any(axis=0).all()
        return fit if all_kept and ordinary else None

    def _start_for(self, rest):
        """Relative covariance factor of all rows, in the user's units, if near that of a rest.

        Criteria with few rows for each random effect have several minima, and which is the
        lowest changes if many rows are left out.
        """
        n_rows, n_effects = rest.n_rows.sum(), len(self.columns.random) * len(rest.labels)
        few = n_rows < ROWS_AN_EFFECT * n_effects or n_rows < MOST * self.total.n_rows.sum()
        if few or len(self.columns.random) == 1 or self._fit is None:
            return None
        return self._fit.problem.coordinates.random_backmap @ self._fit.optimum.Lambda

    @cached_property
    def _one_group_less(self):
        """Estimates without each group; None if they are not close to those of all rows."""
        if self._fit is None or self.estimator.new_groups == "error":
            return None
        if self.mean_weight is not None:
            return None
        start, total = time.perf_counter(), self.total
        criterion, optimum = self._fit.criterion, self._fit.optimum
        rows = {**self.rows, "codes": self._position[self.rows["codes"]]}
        chunks = cross_products_by_group(
            **rows, n_groups=len(total.labels), shift=criterion.problem.coordinates.shift
        )
        refits = [
            refit_without_each(
                criterion,
                optimum.Lambda,
                groups,
                products,
                total.sizes[groups],
                tol=self.estimator.tol,
            )
            for groups, _, _, products in chunks
        ]
        self.seconds += time.perf_counter() - start
        return EstimatesWithoutGroups(
            *(
                np.concatenate([getattr(one, name) for one in refits])
                for name in ("Lambda", "beta", "found")
            )
        )


@dataclass(frozen=True)
class Fit:
    """A fitted model, and the positions of all groups among its own, -1 for new ones."""

    model: BaseGroupedRegressor
    position: np.ndarray

    def predict(self, rows):
        """Predict rows from `RefitsFromMoments.take`; None if new groups are an error."""
        y = self.model._predict_fixed(rows["X"])
        if rows["codes"] is None:
            return y
        codes = self.position[rows["codes"]]
        if self.model.new_groups == "error" and np.any(codes < 0):
            return None
        model = self.model
        return y + predict_random(rows["X"], codes, model._group_effects, model._columns.slopes)

    def sums_of_squares(self, part):
        """Return sums of squares around predictions and mean; None if moments do not tell.

        Parameters
        ----------
        part : GroupedMoments
            Of these rows, from `RefitsFromMoments.sum_up`, without weights.
        """
        model, codes = self.model, self.position[part.labels]
        effects = np.zeros((len(part.random), len(codes)))
        if len(codes):
            if model.new_groups == "error" and np.any(codes < 0):
                return None
            table = model._group_effects
            first = 0 if INTERCEPT in table.columns else 1
            effects[first:] = np.where(codes >= 0, table.to_numpy().T[:, codes], 0.0)
        return sums_of_squares(part, np.array([model.intercept_, *model._slopes]), effects)


@dataclass(frozen=True)
class NewGroup:
    """The population line of a fit without a group, for the rows of that group."""

    beta: np.ndarray

    def predict(self, rows):
        """Predict rows from `RefitsFromMoments.take`."""
        first = len(self.beta) - rows["X"].shape[1]  # 1 with an intercept, else 0
        return safe_sparse_dot(rows["X"], self.beta[first:]) + self.beta[:first].sum()


def _lacks_digits(digits):
    return digits < DIGITS_FOR_FOLDS


def _take(values, rows):
    if isinstance(values, tuple):  # codes of several factors
        return tuple(_take(part, rows) for part in values)
    if not isinstance(values, np.ndarray):
        return None if values is None else values[rows]
    if len(rows) and rows[0] >= 0 and np.all(np.diff(rows) == 1):
        return values[rows[0] : rows[-1] + 1]
    return values.take(rows, axis=0)
