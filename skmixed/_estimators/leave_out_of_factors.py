"""Predictions of the training rows by fits without them, with several grouping factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.predictions import predict_random
from skmixed._estimators.several_factors import as_fitted
from skmixed._numerics.leave_out.levels_left_out import (
    MOST_ROWS,
    LevelsLeftOut,
    batches_of_levels,
    solve_without,
)
from skmixed._numerics.linalg.digits import SAME_SUMS
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._rows.labels import as_index
from skmixed._rows.messages import NOT_THE_ROWS_OF_THE_FIT, ONE_GROUP_TO_LEAVE_OUT
from skmixed._rows.reader import TrainingRows, sum_up
from skmixed._rows.threads import one_blas_thread

# Of a row left out, at least this share of its own y must not be in its fitted value.
LEAST_LEFT = 1e-9


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
    model = as_fitted(model)
    fitted = model._fitted
    _check_rows_of_fit(sum_up(rows, model._columns), fitted.moments)
    mean, codes = _predict(model, rows)
    weight = 1.0 if rows.sample_weight is None else rows.sample_weight
    left = 1 - weight * fitted.variance_of_means(rows.X, codes)
    alone = np.flatnonzero(left < LEAST_LEFT)
    if len(alone):
        raise ValueError(
            f"{len(alone)} of {len(left)} rows, such as row {alone[0]}, are the only ones to "
            "tell of a coefficient, so the others do not predict them. Leave these rows, or "
            "the columns that vary in them alone, out of the fit."
        )
    return rows.y - (rows.y - mean) / left


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
    model = as_fitted(model)
    _check_rows_of_fit(sum_up(rows, model._columns), model._fitted.moments)
    labels = model.groups_[factor]
    if len(labels) == 1:
        raise ValueError(ONE_GROUP_TO_LEAVE_OUT.format(label=labels.tolist()[0]))
    with one_blas_thread():
        return _LevelsOfRows.of(model, rows, factor).predict()


@dataclass(frozen=True)
class _LevelsOfRows:
    """The rows of a fit, to be left out level by level.

    Attributes
    ----------
    model : estimator
        The fitted model.
    rows : TrainingRows
        Its rows, with weights.
    codes : ndarray of shape (n_factors, n_rows)
        Position of each row's level of each factor in the fit, -1 if it is not there.
    residual : ndarray of shape (n_rows,)
        Around the fit.
    left_out : ndarray of shape (n_rows,)
        The level of each row that is left out.
    n_levels : int
        Their number.
    """

    model: Any
    rows: TrainingRows
    codes: np.ndarray
    residual: np.ndarray
    left_out: np.ndarray
    n_levels: int

    @classmethod
    def of(cls, model, rows, factor):
        """Predict the rows by the fit, first."""
        if rows.sample_weight is None:
            rows = rows._replace(sample_weight=np.ones(len(rows.y)))
        if hasattr(rows.X, "tocsr"):
            rows = rows._replace(X=rows.X.tocsr())
        mean, codes = _predict(model, rows)
        f = model._columns.factor_names.index(factor)
        return cls(model, rows, codes, rows.y - mean, codes[f], model.n_groups_[factor])

    def predict(self):
        """Leave out each level in turn; rows of no level of the fit are predicted by all."""
        fitted, residual = self.model._fitted, self.residual.copy()
        fit = LevelsLeftOut.at_optimum(fitted.criterion, fitted.Lambdas)
        for batch in batches_of_levels(self.left_out, self.n_levels):
            residual[batch] = self._without(fit, batch)
        return self.rows.y - residual

    def _without(self, fit, some):
        """Residuals of all rows of some levels around fits without their level."""
        levels = self.left_out[some]
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
            residual[levels == level] = self._without(fit, some[levels == level])
        return residual

    def _refitted_without(self, some):
        """Residuals of the rows of a level around a fit to the sums of all others."""
        model, fitted, rows = self.model, self.model._fitted, self.rows
        part = TrainingRows(
            rows.X[some],
            rows.y[some],
            tuple(codes[some] for codes in rows.codes),
            rows.labels,
            rows.sample_weight[some],
        )
        random = [factor.random for factor in fitted.moments.factors]
        left_out = FactorMoments.from_rows(*part, random=random, shift=fitted.moments.shift)
        moments = fitted.moments - left_out
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


def _predict(model, rows):
    """Fitted values of rows, and the positions of their levels, (n_factors, n_rows)."""
    mean, codes = model._predict_fixed(rows.X), []
    parts = zip(model._columns.factors, rows.codes, rows.labels, strict=True)
    for factor, own, labels in parts:
        name = factor.group_name
        codes.append(model.groups_[name].get_indexer(labels)[own])
        mean += predict_random(rows.X, codes[-1], model.random_effects_[name], factor.slopes)
    return mean, np.stack(codes)


def _check_rows_of_fit(given, fitted):
    """Refuse rows that do not have the sums of those of the fit."""
    given = given.around(fitted.shift)
    size = np.sqrt(np.outer(np.diag(fitted.T), np.diag(fitted.T)))
    same = np.all(np.abs(given.T - fitted.T) <= SAME_SUMS * size)
    for one, other in zip(given.factors, fitted.factors, strict=True):
        same = same and np.array_equal(one.labels, other.labels)
        same = same and np.array_equal(one.n_rows, other.n_rows)
        same = same and np.all(np.abs(one.C[0] - other.C[0]) <= SAME_SUMS * size[:1].T)
    if not same:
        what = f"got {given.n:.10g}, where the fit had {fitted.n:.10g}, or others"
        raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(what=what))
