"""Predictions of the training rows by fits without them, with several grouping factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.predictions import predict_random
from skmixed._estimators.several_factors import as_fitted
from skmixed._numerics.leave_out.folds import subtract_fold
from skmixed._numerics.leave_out.levels_left_out import (
    MOST_ROWS,
    LevelsLeftOut,
    batches_of_levels,
    solve_without,
)
from skmixed._numerics.linalg.digits import DETERMINED, SAME_SUMS
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._rows.labels import as_index
from skmixed._rows.messages import NOT_THE_ROWS_OF_THE_FIT, ONE_GROUP_TO_LEAVE_OUT
from skmixed._rows.reader import TrainingRows, sum_up
from skmixed._rows.threads import one_blas_thread


def predict_without_each_row(model, rows):
    """Predict each row of a fit from the others, the variances held.

    A fitted value moves with its own y by h_i, which is the variance of the prediction over
    sigma2, w_i times: so what the others say of the row is y_i - (y_i - y^_i) / (1 - w_i h_i).

    Parameters
    ----------
    model : estimator
        The fitted model.
    rows : TrainingRows
        The rows of its fit.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    return _RowsOfFit.of(model, rows).predict_without_rows()


def predict_without_each_level(model, rows, factor):
    """Predict each row of a fit by the rows of other levels of a factor, the variances held.

    Parameters
    ----------
    model : estimator
        The fitted model.
    rows : TrainingRows
        The rows of its fit.
    factor : str
        Name of the factor whose levels are left out.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    rows_of_fit = _RowsOfFit.of(model, rows)
    labels = rows_of_fit.model.groups_[factor]
    if len(labels) == 1:
        raise ValueError(ONE_GROUP_TO_LEAVE_OUT.format(label=labels.tolist()[0]))
    with one_blas_thread():
        return rows_of_fit.predict_without_levels(factor)


@dataclass(frozen=True)
class _RowsOfFit:
    """The rows of a fit, some of which are left out.

    Attributes
    ----------
    model : estimator
        The fitted model, its levels known by these rows alone.
    rows : TrainingRows
        Its rows, with weights.
    codes : ndarray of shape (n_factors, n_rows)
        Position of each row's level of each factor in the fit, -1 if it is not there.
    residual : ndarray of shape (n_rows,)
        Around the fit.
    """

    model: Any
    rows: TrainingRows
    codes: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(cls, model, rows):
        """Check that the rows are those of the fit, and predict them by it."""
        model = as_fitted(model)
        given, names = sum_up(rows, model._columns), model._columns.factor_names
        _check_rows_of_fit(given, model._fitted.moments, names)
        if rows.sample_weight is None:
            rows = rows._replace(sample_weight=np.ones(len(rows.y)))
        if hasattr(rows.X, "tocsr"):
            rows = rows._replace(X=rows.X.tocsr())
        mean, codes = _predict(model, rows)
        return cls(model, rows, codes, rows.y - mean)

    def predict_without_rows(self):
        """Leave out each row in turn."""
        variance = self.model._fitted.variance_of_means(self.rows.X, self.codes)
        left = 1 - self.rows.sample_weight * variance
        alone = left < DETERMINED  # the only one to tell of a coefficient
        residual = self.residual / np.where(alone, 1.0, left)
        for row in np.flatnonzero(alone):  # one for each coefficient at most
            residual[row] = self._refitted_without(np.array([row]))[0]
        return self.rows.y - residual

    def predict_without_levels(self, factor):
        """Leave out each level in turn; rows of no level of the fit are predicted by all."""
        fitted, residual = self.model._fitted, self.residual.copy()
        levels = self.codes[self.model._columns.factor_names.index(factor)]
        fit = LevelsLeftOut.at_optimum(fitted.criterion, fitted.Lambdas)
        for batch in batches_of_levels(levels, self.model.n_groups_[factor]):
            residual[batch] = self._without(fit, batch, levels[batch])
        return self.rows.y - residual

    def _without(self, fit, some, levels):
        """Residuals of all rows of some levels around fits without their level."""
        if len(some) <= MOST_ROWS:
            X, Z = self.model._fitted.scaled_columns(self.rows.X[some])
            residual, determined = fit.without_levels(
                self.residual[some],
                X,
                Z,
                self.codes[:, some],
                levels,
                self.rows.sample_weight[some],
            )
            if determined:
                return residual
        if levels[0] == levels[-1]:
            return self._refitted_without(some)
        residual = np.empty(len(some))  # some level is all there is to know of a coefficient
        for level in np.unique(levels):
            own = levels == level
            residual[own] = self._without(fit, some[own], levels[own])
        return residual

    def _refitted_without(self, some):
        """Residuals of some rows around a fit to the sums of all others."""
        model, fitted, part = self.model, self.model._fitted, _take(self.rows, some)
        left_out = self._sum_up(part, fitted.moments.shift)
        moments = subtract_fold(fitted.moments, left_out)
        if moments is None:  # as where a column is constant in the others
            others = np.delete(np.arange(len(self.residual)), some)
            moments = self._sum_up(_take(self.rows, others))
        back = fitted.criterion.problem.by_factor
        Lambdas = [own.to_user_factor(L) for own, L in zip(back, fitted.Lambdas, strict=True)]
        solution = solve_without(moments, fitted.specifications, Lambdas)
        first = len(solution.beta) - part.X.shape[1]  # 1 if there is an intercept
        mean = safe_sparse_dot(part.X, solution.beta[first:]) + solution.beta[:first].sum()
        parts = zip(model._columns.factors, moments.factors, solution.b, strict=True)
        for f, (factor, of, b) in enumerate(parts):
            effects = model.random_effects_[factor.group_name]
            position = as_index(of.labels, name=effects.index.name).get_indexer(effects.index)
            known = self.codes[f, some]
            codes = np.where(known < 0, -1, position[known])
            left = pd.DataFrame(b.T, columns=effects.columns)
            mean = mean + predict_random(part.X, codes, left, factor.slopes)
        return part.y - mean

    def _sum_up(self, rows, shift=None):
        random = [factor.random for factor in self.model._fitted.moments.factors]
        return FactorMoments.from_rows(*rows, random=random, shift=shift)


def _take(rows, some):
    codes = tuple(codes[some] for codes in rows.codes)
    return TrainingRows(
        rows.X[some], rows.y[some], codes, rows.labels, rows.sample_weight[some]
    )


def _predict(model, rows):
    """Fitted values of rows, and the positions of their levels, (n_factors, n_rows)."""
    mean, codes = model._predict_fixed(rows.X), []
    parts = zip(model._columns.factors, rows.codes, rows.labels, strict=True)
    for factor, own, labels in parts:
        name = factor.group_name
        codes.append(model.groups_[name].get_indexer(labels)[own])
        mean += predict_random(rows.X, codes[-1], model.random_effects_[name], factor.slopes)
    return mean, np.stack(codes)


def _check_rows_of_fit(given, fitted, names):
    """Refuse rows that do not have the sums of those of the fit."""
    given = given.around(fitted.shift)
    for name, one, other in zip(names, given.factors, fitted.factors, strict=True):
        same_groups = np.array_equal(one.labels, other.labels)
        if not same_groups or not np.array_equal(one.n_rows, other.n_rows):
            what = (
                f"got {one.n_rows.sum()} rows in {len(one.labels)} groups of {name!r}, where "
                f"the fit had {other.n_rows.sum()} in {len(other.labels)}, or other groups"
            )
            raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(what=what))
    size = np.sqrt(np.outer(np.diag(fitted.T), np.diag(fitted.T)))
    differ = [np.abs(given.T - fitted.T) > SAME_SUMS * size]
    for one, other in zip(given.factors, fitted.factors, strict=True):
        differ.append(np.abs(one.C[0] - other.C[0]) > SAME_SUMS * size[:1].T)
    if any(map(np.any, differ)):
        what = "their sums of squares are others"
        raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(what=what))
