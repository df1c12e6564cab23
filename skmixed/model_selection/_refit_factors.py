"""Fits without some of the rows, of models with several factors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._estimators.predictions import predict_random
from skmixed._estimators.several_factors import fit_factors
from skmixed._numerics.linalg.digits import DIGITS_FOR_FOLDS
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._reports.several_factors import warn_about_factors


def sum_up_factors(rows, labels, columns, shift):
    """Moments of rows; the labels of each factor are their numbers."""
    numbers = [np.arange(len(own)) for own in labels]
    random = [factor.random for factor in columns.factors]
    return FactorMoments.from_rows(**rows, labels=numbers, random=random, shift=shift)


def fit_factors_to(rest, model, labels, columns):
    """Fit a model to the moments that are left.

    The search begins where it does in `fit`, and so takes the same steps: with a start at the
    estimates of all rows it would save one in three, and end a little elsewhere.

    Parameters
    ----------
    rest : FactorMoments
        Of the training rows; the labels of each factor are their numbers.
    model : BaseMixedRegressor
        Becomes fitted.
    labels : sequence of ndarray
        All labels of each factor.
    columns : Columns
        What is known of the columns.

    Returns
    -------
    FitOfFactors or None
        None if the moments have too few digits for the fit.
    """
    parts = list(zip(rest.factors, labels, strict=True))
    factors = tuple(replace(factor, labels=own[factor.labels]) for factor, own in parts)
    moments = replace(rest, factors=factors)
    fit = fit_factors(model, moments, columns)
    if not fit.optimum.converged or fit.digits_left < DIGITS_FOR_FOLDS:
        return None
    model._store_factors(fit, moments, columns)
    warn_about_factors(model, fit)
    return FitOfFactors(model, tuple(_positions(f.labels, len(own)) for f, own in parts))


@dataclass(frozen=True)
class FitOfFactors:
    """A fitted model, and for each factor the positions of all its groups, -1 for new ones."""

    model: BaseMixedRegressor
    positions: tuple[np.ndarray, ...]

    def predict(self, rows):
        """Predict rows from `RefitsFromMoments.take`; None if new groups are an error."""
        model = self.model
        factors = model._columns.factors
        y = model._predict_fixed(rows["X"])
        new_groups = model._new_groups_of(model._columns.factor_names)
        parts = zip(factors, self.positions, rows["codes"], new_groups, strict=True)
        for factor, position, codes, new in parts:
            codes = position[codes]
            if new == "error" and np.any(codes < 0):
                return None
            effects = model.random_effects_[factor.group_name]
            y += predict_random(rows["X"], codes, effects, factor.slopes)
        return y

    def sums_of_squares(self, part):
        """Return None: rows are predicted one by one."""


def _positions(numbers, n_labels):
    position = np.full(n_labels, -1)
    position[numbers] = np.arange(len(numbers))
    return position
