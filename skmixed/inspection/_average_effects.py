"""Predictions at chosen values and effects of features, averaged over rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.pipeline import Pipeline
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.contrasts import around_their_means
from skmixed._estimators.fixed_effects import FixedEffectsRegressor
from skmixed._estimators.inference import LEVEL
from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._estimators.likelihoods.fitted import quadratic_forms
from skmixed._numerics.likelihoods.averages import averaged_mean
from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._public import public
from skmixed._reports.tests import DfMethod, with_tests, with_z_tests
from skmixed._rows.columns import as_table, dense_column
from skmixed._rows.reader import by_features_alone, read_rows
from skmixed._rows.routing import names_of_coefficients, names_out, predicting_model
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed.inspection._models import ALL_MODELS

# Step of differences, in ranges of a column: of polynomials of degree two they are exact.
STEP = 1e-4
# Up to which share of its terms a difference that should be 0 is taken for rounding.
ESTIMABLE = 1e-7
# Step of the linear predictor in the slope of an averaged mean.
LINK_STEP = 1e-4
TOO_FEW = (
    "`variables` must name two values of {name!r} or more, to compare them, but there are "
    "{given}."
)
NO_VALUES = (
    "`{parameter}` must give {name!r} a list of values, such as {{{name!r}: [0, 1]}}, but got "
    "{given!r}."
)
NOTHING_ASKED = "`variables` must name a column or more, but got {given!r}."
NO_ROWS = "X must have rows to average over, but has 0 of them."
HOLDS_GROUPS = (
    "{name!r} holds the groups, on which the averaged predictions do not depend: they are "
    "those of an average group. Ask model.group_coef_, or predict(X, groups), for known groups."
)
CHANGES_NOTHING = (
    "{name!r} must be a column that changes the averaged predictions, but none of them changes "
    "with it: it holds the groups, or the steps before the model leave it out."
)
NO_COEFFICIENT = (
    "The rows of the fit do not determine this average: in them the column {term!r} depends "
    "linearly on others, or under fixed effects on the groups, and has no coefficient. Average "
    "over rows in which it depends on them alike, or leave it out of the fit, as by "
    "OneHotEncoder(drop='first')."
)
NOT_A_MODEL = (
    "`estimator` must be a fitted model of this package, or a pipeline or search that ends in "
    "one, but got {given}."
)
NO_COLUMN = "{name!r} must be a column of X, but these are {columns}."


OPTIONS = {
    "level": [LEVEL],
    "df_method": [StrOptions({"satterthwaite", "kenward-roger", "normal"}), None],
}


@public("skmixed.inspection")
@validate_params({"at": [Mapping, None], **OPTIONS}, prefer_skip_nested_validation=True)
def average_predictions(
    estimator: Any,
    X: Any,
    *,
    at: Mapping[Any, Any] | None = None,
    level: float = 0.95,
    df_method: DfMethod | None = None,
) -> pd.DataFrame:
    """Average population predictions over rows, with columns set to chosen values.

    Parameters
    ----------
    estimator : estimator
        A model of this package, or a fitted search or pipeline that ends in one.
    X : {array-like, DataFrame} of shape (n_rows, n_columns)
        Rows as the estimator takes them, over which predictions are averaged: those of the fit,
        or a grid in which each combination counts alike, as emmeans averages.
    at : dict, default=None
        Values by column, a name or of an array its position: each combination of them is set in
        all rows. If None, rows stay as they are.
    level : float, default=0.95
        Level of the intervals, between 0 and 1.
    df_method : {"satterthwaite", "kenward-roger", "normal"}, default=None
        As in `fixed_effects_frame`; Satterthwaite's of linear mixed models if None.

    Returns
    -------
    DataFrame
        A row for each combination; columns estimate, std_error, df (not of binary and count
        outcomes), lower and upper.

    Raises
    ------
    ValueError
        If a column is not in X or holds the groups, if there are no rows or no values, or if
        the rows of the fit do not determine an average.

    See Also
    --------
    average_effects : Differences of these, and slopes.

    Notes
    -----
    Predictions are those of `predict_population`: the population line, of fixed effects that of
    the average group; probabilities and means averaged over groups. Standard errors are those
    of the fixed effects, by the delta method where predictions are not linear in them; the
    variances of random effects count as known there. This is what the R packages emmeans and
    marginaleffects (``avg_predictions``) do.

    Columns may depend linearly on others, as all dummies of a factor do, or all columns of a
    spline. An average L beta is given if it is estimable: the same for all beta that fit alike.
    Under fixed effects, and of binary and count outcomes, an average is given if it leaves out
    the columns without a coefficient.

    References
    ----------
    Searle, S. R., Speed, F. M. and Milliken, G. A. (1980). Population marginal means in the
    linear model. The American Statistician, 34(4), 216-221. doi:10.1080/00031305.1980.10483031

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inspection import average_predictions
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=school)
    >>> average_predictions(model, X, at={"catholic": [0, 1]}).round(2)
              estimate  std_error      df  lower  upper
    catholic
    0            11.89       0.18  160.44  11.54  12.25
    1            13.61       0.20  138.85  13.22  14.00
    """
    averages, at = _Averages.of(estimator, X), {} if at is None else dict(at)
    values = [_values_at(name, some) for name, some in at.items()]
    for name in at:
        averages.column(name)
    settings = list(product(*values))
    found = [averages.at(dict(zip(at, setting, strict=True))) for setting in settings]
    frame = averages.tabulate(found, level, df_method)
    frame = frame.drop(columns=["t", "z", "p_value"], errors="ignore")
    if not at:
        return frame.set_axis(pd.Index(["all rows"]))
    return frame.set_axis(
        pd.MultiIndex.from_tuples(settings, names=list(at))
        if len(at) > 1
        else pd.Index([setting[0] for setting in settings], name=next(iter(at)))
    )


@public("skmixed.inspection")
@validate_params(
    {"variables": [str, Integral, list, Mapping], **OPTIONS},
    prefer_skip_nested_validation=True,
)
def average_effects(
    estimator: Any,
    X: Any,
    variables: Any,
    *,
    level: float = 0.95,
    df_method: DfMethod | None = None,
) -> pd.DataFrame:
    """Average effects of columns on population predictions over rows.

    Parameters
    ----------
    estimator : estimator
        A model of this package, or a fitted search or pipeline that ends in one. Effects go
        through the steps of a pipeline: of polynomials, splines, products and dummies that it
        makes of a column.
    X : {array-like, DataFrame} of shape (n_rows, n_columns)
        Rows as the estimator takes them, over which effects are averaged.
    variables : str, int, list of these, or dict
        Columns, by name or of an array by position. Of a numeric column the slope is taken, of
        others the difference of each value in X from the first, in the order of categories, or
        sorted. A dictionary gives values by column: of each the difference from the first of
        them. None in their place is as before.
    level : float, default=0.95
        Level of the intervals, between 0 and 1.
    df_method : {"satterthwaite", "kenward-roger", "normal"}, default=None
        As in `fixed_effects_frame`; Satterthwaite's of linear mixed models if None.

    Returns
    -------
    DataFrame
        A row for each variable and effect; columns estimate, std_error, df, t, p_value (of a
        two-sided test against 0), lower and upper; z in place of df and t of binary and count
        outcomes, whose effects are on the scale of probabilities and means.

    Raises
    ------
    ValueError
        If a column is not in X, holds the groups or has a single value, if there are no rows,
        or if the rows of the fit do not determine an effect.

    See Also
    --------
    average_predictions : What these are differences of.

    Notes
    -----
    An effect is the mean over rows of the difference that setting the column makes; a slope is
    the mean of the derivatives, by a difference quotient across a ten-thousandth of the
    column's range. Standard errors are as in `average_predictions`. The R package
    marginaleffects calls these ``avg_slopes`` and ``avg_comparisons``.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import PolynomialFeatures
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inspection import average_effects
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> parabola = PolynomialFeatures(2, include_bias=False)
    >>> curve = make_pipeline(parabola, RandomInterceptRegressor())
    >>> _ = curve.fit(X, y, randominterceptregressor__groups=subject)
    >>> effects = average_effects(curve, X, {"Days": None})
    >>> effects[["estimate", "std_error", "df"]].round(2)
                     estimate  std_error     df
    variable effect
    Days     slope      10.47        0.8  160.0
    """
    averages = _Averages.of(estimator, X)
    if not isinstance(variables, Mapping):
        names = variables if isinstance(variables, list) else [variables]
        variables = dict.fromkeys(names)
    if not variables:
        raise ValueError(NOTHING_ASKED.format(given=variables))
    found, labels = [], []
    for name, values in variables.items():
        effects = averages.effects(name, values)
        if not any(effect.gradient.any() for _, effect in effects):
            raise ValueError(CHANGES_NOTHING.format(name=name))
        for label, effect in effects:
            labels.append((name, label))
            found.append(effect)
    frame = averages.tabulate(found, level, df_method)
    return frame.set_axis(pd.MultiIndex.from_tuples(labels, names=["variable", "effect"]))


class _Average(NamedTuple):
    """A mean of predictions, and its derivatives by the coefficients."""

    value: float
    gradient: np.ndarray

    def less(self, other, over=1.0):
        """Subtract another, and divide."""
        return _Average(
            (self.value - other.value) / over, (self.gradient - other.gradient) / over
        )


class _Averages(NamedTuple):
    """Rows, the steps of a pipeline, and the model that predicts them."""

    model: Any
    steps: Pipeline | None
    X: Any

    @classmethod
    def of(cls, estimator, X):
        """Find the model, and make a table of X."""
        estimator, steps = predicting_model(estimator), None
        if isinstance(estimator, Pipeline):
            steps, estimator = (estimator[:-1] if len(estimator) > 1 else None), estimator[-1]
        if not isinstance(estimator, ALL_MODELS[0]):
            raise TypeError(NOT_A_MODEL.format(given=type(estimator).__name__))
        check_is_fitted(estimator)
        X = X.to_pandas() if hasattr(X, "to_pandas") else as_table(X)
        X = X.tocsc() if hasattr(X, "tocsc") else X
        if not X.shape[0]:
            raise ValueError(NO_ROWS)
        return cls(estimator._as_it_is(), steps, X)

    def at(self, values):
        """Average predictions with columns set to values, or moved by arrays."""
        X = _with_values(self.X, values)
        X = X if self.steps is None else self.steps.transform(X)
        model = by_features_alone(self.model, X)
        X, _ = read_rows(model, X)
        n_terms = len(model.coef_cov_)
        if isinstance(model, BaseLikelihoodModel):
            eta, fitted = model._predict_fixed(X), model._fitted
            variance = quadratic_forms(fitted.random.of_rows(X), fitted.Psi)
            family = FAMILIES[fitted.family]
            value = averaged_mean(family, eta, variance).mean()
            high, low = (
                averaged_mean(family, eta + h, variance) for h in (LINK_STEP, -LINK_STEP)
            )
            slope = (high - low) / (2 * LINK_STEP)
        else:
            value, slope = None, np.ones(X.shape[0])
        gradient = np.append(slope.sum(), safe_sparse_dot(slope, X)) / X.shape[0]
        gradient = gradient[len(gradient) - n_terms :]
        if value is None:
            value = gradient @ np.nan_to_num(model._coefficients)
        return _Average(float(value), gradient)

    def effects(self, name, values):
        """Label and compute the slope of a column, or differences from its first value."""
        column = self.column(name)
        if values is None and is_numeric_dtype(column) and not is_bool_dtype(column):
            column = column.to_numpy(dtype=np.float64, na_value=np.nan)
            step = STEP * _reach(column)
            high, low = (self.at({name: column + h}) for h in (step, -step))
            return [("slope", high.less(low, 2 * step))]
        values = _levels(column) if values is None else values
        if isinstance(values, str) or np.ndim(values) != 1:
            raise TypeError(NO_VALUES.format(parameter="variables", name=name, given=values))
        if len(values) < 2:
            raise ValueError(TOO_FEW.format(name=name, given=list(values)))
        first, *others = (self.at({name: value}) for value in values)
        base, *values = values
        return [
            (f"{value} - {base}", other.less(first))
            for value, other in zip(values, others, strict=True)
        ]

    def column(self, name):
        """Take a column of X that does not hold the groups."""
        column = _column(self.X, name)
        if self._holds_groups(name):
            raise ValueError(HOLDS_GROUPS.format(name=name))
        return column

    def _holds_groups(self, name):
        model, width = self.model, self.X.shape[1]
        if self.steps is not None:
            names = [str(label).rpartition("__")[2] for label in names_out(self.steps) or ()]
        elif hasattr(self.X, "columns"):
            names = list(getattr(model, "feature_names_in_", ()))
        else:
            name, names = name % width, range(width if width == model.n_features_in_ else 0)
        return any(names[i] == name for i in model._columns.group if i < len(names))

    def tabulate(self, found, level, df_method):
        """Tabulate averages with standard errors and intervals."""
        estimate = np.array([average.value for average in found])
        L = np.array([average.gradient for average in found])
        self._check_coefficients(L)
        with one_blas_thread():
            variances, df = self.model._coefficient_tests(df_method).single(L)
        terms, std_error = pd.RangeIndex(len(L)), np.sqrt(variances)
        if isinstance(self.model, BaseLikelihoodModel):
            return with_z_tests(estimate, std_error, level, terms)
        return with_tests(estimate, std_error, df, level, terms)

    def _check_coefficients(self, L):
        """Refuse averages that differ between coefficients that fit alike."""
        model = self.model
        dropped = np.isnan(np.diag(model.coef_cov_))
        first = len(dropped) - len(model._terms)
        random_only = [first + position for position in model._columns.random_only]
        dropped[random_only] = False
        if isinstance(model, BaseLikelihoodModel | FixedEffectsRegressor):
            at_fault = dropped & np.any(L != 0, axis=0)
        else:
            kept = ~dropped
            kept[random_only] = False
            at_fault = ~self._determined(L, kept[first:], dropped[first:])
        if at_fault.any():
            term = names_of_coefficients(model, self.steps)[np.flatnonzero(at_fault)[0]]
            raise ValueError(NO_COEFFICIENT.format(term=term))

    def _determined(self, L, kept, dropped):
        """Which columns without a coefficient L depends on as they do on the others."""
        first = L.shape[1] - len(kept)
        with one_blas_thread():
            means, G = around_their_means(self.model)
        unit = np.sqrt(np.diag(G))
        unit[~(unit > 0)] = 1.0
        level = np.outer(L[:, 0], means) if first else np.zeros((len(L), len(kept)))
        own, size = (L[:, first:] - level) / unit, (np.abs(L[:, first:]) + np.abs(level)) / unit
        G = G / np.outer(unit, unit)
        on_others = np.linalg.lstsq(G[np.ix_(kept, kept)], G[np.ix_(kept, dropped)])[0]
        gap = np.abs(own[:, dropped] - own[:, kept] @ on_others)
        size = size[:, dropped] + np.sum(size[:, kept], axis=1)[:, None]
        determined = np.ones(L.shape[1], dtype=bool)
        determined[first:][dropped] = np.all(gap <= ESTIMABLE * size, axis=0)
        return determined


def _values_at(name, values):
    values = np.atleast_1d(np.asarray(values, dtype=object))
    if values.ndim != 1 or not len(values):
        raise ValueError(NO_VALUES.format(parameter="at", name=name, given=values.tolist()))
    return values


def _levels(column):
    """Values of a column, in the order of its categories, or sorted if they can be."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.remove_unused_categories().cat.categories)
    values = list(pd.unique(column.dropna()))
    try:
        return sorted(values)
    except TypeError:  # numbers and text
        return values


def _reach(column):
    """Range of a column, of one that is constant its size."""
    known = column[~np.isnan(column)]
    reach = np.ptp(known) if len(known) else 0.0
    return float(reach or np.max(np.abs(known), initial=0.0) or 1.0)


def _column(X, name):
    """Values of a column of X, as a Series."""
    if hasattr(X, "columns"):
        if name not in X.columns:
            raise ValueError(NO_COLUMN.format(name=name, columns=list(X.columns)))
        return X[name]
    is_position = isinstance(name, Integral) and not isinstance(name, bool)
    if not is_position or not -X.shape[1] <= name < X.shape[1]:
        raise ValueError(NO_COLUMN.format(name=name, columns=list(range(X.shape[1]))))
    return pd.Series(dense_column(X, name)).infer_objects()


def _with_values(X, values):
    """Set columns of a copy of X."""
    if not values:
        return X
    if hasattr(X, "columns"):
        X = X.copy(deep=False)
        for name, value in values.items():
            X[name] = value
        return X
    if hasattr(X, "tolil"):
        X = X.astype(np.float64).tolil()
        for name, value in values.items():
            X[:, name] = np.reshape(value, (-1, 1))
        return X.tocsr()
    X = X.astype(np.float64) if X.dtype.kind in "iubf" else X.copy()
    for name, value in values.items():
        X[:, name] = value
    return X
