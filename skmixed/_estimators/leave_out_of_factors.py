"""The rows of a fit with several grouping factors, and fits without some of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.predictions import predict_random
from skmixed._estimators.several_factors import BATCH_VALUES, as_fitted
from skmixed._numerics.leave_out.folds import subtract_fold
from skmixed._numerics.leave_out.influence import RowsInFit
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


@dataclass(frozen=True)
class RowsOfFactors:
    """The rows of a fit, some of which are left out.

    Attributes
    ----------
    model : estimator
        The fitted model, its levels known by these rows alone.
    rows : TrainingRows
        Its rows, with weights.
    codes : ndarray of shape (n_factors, n_rows)
        Position of each row's level of each factor in the fit, -1 if it is not there.
    marginal, residual : ndarray of shape (n_rows,)
        Around the population line, and around the fit.
    """

    model: Any
    rows: TrainingRows
    codes: np.ndarray
    marginal: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(cls, model, rows, name):
        """Check that the rows are those of the fit, and predict them by it."""
        model = as_fitted(model)
        given, names = sum_up(rows, model._columns), model._columns.factor_names
        _check_rows_of_fit(given, model._fitted.moments, names, name)
        if rows.sample_weight is None:
            rows = rows._replace(sample_weight=np.ones(len(rows.y)))
        if hasattr(rows.X, "tocsr"):
            rows = rows._replace(X=rows.X.tocsr())
        line = model._predict_fixed(rows.X)
        effects, codes = _predict_effects(model, rows)
        return cls(model, rows, codes, rows.y - line, rows.y - (line + effects))

    @property
    def y(self):
        """As given."""
        return self.rows.y

    def without_rows(self):
        """Leave out each row in turn."""
        batches = [self._in_fit(some).without_each for some in self._batches()]
        residual, determined = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        for row in np.flatnonzero(~determined):  # one for each coefficient at most
            residual[row] = self._refitted_without(np.array([row]))[0][0]
        return residual

    def without_levels(self, name, *, option="leave"):
        """Leave out each level in turn; rows of no level of the fit are predicted by all."""
        return self.levels_determined(name, option=option)[0]

    @cached_property
    def in_fit(self):
        """What the fit says of its rows."""
        return RowsInFit.joined([self._in_fit(some) for some in self._batches()])

    def _batches(self):
        return gen_batches(len(self.y), max(BATCH_VALUES // (1 + self.rows.X.shape[1]), 1))

    def _in_fit(self, some):
        """Return what the fit says of some rows."""
        fitted = self.model._fitted
        X, Z = fitted.scaled_columns(self.rows.X[some])
        of_effects, half = fitted.uncertainty.parts(X, Z, self.codes[:, some])
        parts = zip(Z, fitted.Lambdas, strict=True)
        return RowsInFit(
            weight=self.rows.sample_weight[some],
            residual=self.residual[some],
            marginal=self.marginal[some],
            of_effects=of_effects,
            half=half,
            spread=np.sum([np.sum((z @ L) ** 2, axis=1) for z, L in parts], axis=0),
            of_line=np.sum((self.root @ X.T) ** 2, axis=0),
        )

    def levels_of(self, name):
        """Return each row's level of a factor, -1 if it is not in the fit, and all labels."""
        return self.codes[self.model._columns.factor_names.index(name)], self.model.groups_[
            name
        ]

    def levels_determined(self, name, *, option):
        """Leave out each level of a factor in turn.

        Returns
        -------
        residual : ndarray of shape (n_rows,)
        determined : ndarray of shape (n_levels,), dtype bool
            Whether the other rows determine the same coefficients.
        """
        fitted, residual = self.model._fitted, self.residual.copy()
        codes, labels = self.levels_of(name)
        if len(labels) == 1:
            one = ONE_GROUP_TO_LEAVE_OUT.format(label=labels.tolist()[0], option=option)
            raise ValueError(one)
        determined = np.ones(len(labels), dtype=bool)
        fit = LevelsLeftOut.at_optimum(fitted.criterion, fitted.Lambdas)
        for batch in batches_of_levels(codes, len(labels)):
            residual[batch], determined[codes[batch]] = self._without(fit, batch, codes[batch])
        return residual, determined

    @property
    def coordinates(self):
        """The way from the problem to the user's columns."""
        return self.model._fitted.coordinates

    @property
    def root(self):
        """M_XX^-1/2, in the coordinates of the problem."""
        return self.model._fitted.fixed[1]

    def _without(self, fit, some, levels):
        """Residuals of all rows of some levels around fits without their level.

        And whether the other rows determine the same coefficients.
        """
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
                return residual, np.ones(len(some), dtype=bool)
        if levels[0] == levels[-1]:
            return self._refitted_without(some)
        residual, determined = np.empty(len(some)), np.empty(len(some), dtype=bool)
        # some level is all there is to know of a coefficient
        for level in np.unique(levels):
            own = levels == level
            residual[own], determined[own] = self._without(fit, some[own], levels[own])
        return residual, determined

    def _refitted_without(self, some):
        """Residuals of some rows around a fit to the sums of all others.

        And whether these determine the same coefficients.
        """
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
        same = np.isfinite(np.diag(solution.beta_cov)) == self.coordinates.kept
        return part.y - mean, np.full(len(some), same.all())

    def _sum_up(self, rows, shift=None):
        random = [factor.random for factor in self.model._fitted.moments.factors]
        return FactorMoments.from_rows(*rows, random=random, shift=shift)


def _take(rows, some):
    codes = tuple(codes[some] for codes in rows.codes)
    return TrainingRows(
        rows.X[some], rows.y[some], codes, rows.labels, rows.sample_weight[some]
    )


def _predict_effects(model, rows):
    """Sum of the effects of the levels of rows, and their positions, (n_factors, n_rows)."""
    effects, codes = 0.0, []
    parts = zip(model._columns.factors, rows.codes, rows.labels, strict=True)
    for factor, own, labels in parts:
        name = factor.group_name
        codes.append(model.groups_[name].get_indexer(labels)[own])
        known = model.random_effects_[name]
        effects = effects + predict_random(rows.X, codes[-1], known, factor.slopes)
    return effects, np.stack(codes)


def _check_rows_of_fit(given, fitted, names, method):
    """Refuse rows that do not have the sums of those of the fit."""
    given = given.around(fitted.shift)
    for name, one, other in zip(names, given.factors, fitted.factors, strict=True):
        same_groups = np.array_equal(one.labels, other.labels)
        if not same_groups or not np.array_equal(one.n_rows, other.n_rows):
            what = (
                f"got {one.n_rows.sum()} rows in {len(one.labels)} groups of {name!r}, where "
                f"the fit had {other.n_rows.sum()} in {len(other.labels)}, or other groups"
            )
            raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(name=method, what=what))
    size = np.sqrt(np.outer(np.diag(fitted.T), np.diag(fitted.T)))
    differ = [np.abs(given.T - fitted.T) > SAME_SUMS * size]
    for one, other in zip(given.factors, fitted.factors, strict=True):
        differ.append(np.abs(one.C[0] - other.C[0]) > SAME_SUMS * size[:1].T)
    if any(map(np.any, differ)):
        what = "their sums of squares are others"
        raise ValueError(NOT_THE_ROWS_OF_THE_FIT.format(name=method, what=what))
