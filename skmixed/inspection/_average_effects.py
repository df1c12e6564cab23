"""Predictions at chosen values and effects of features, averaged over rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.inference import LEVEL
from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._estimators.likelihoods.fitted import quadratic_forms
from skmixed._numerics.likelihoods.averages import averaged_mean
from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._public import public
from skmixed._reports.tests import DfMethod, with_tests, with_z_tests
from skmixed._rows.columns import as_table
from skmixed._rows.reader import by_features_alone, read_rows
from skmixed._rows.routing import predicting_model
from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import validate_params
from skmixed.inspection._models import ALL_MODELS

# Step of differences, in ranges of a column: of polynomials of degree two they are exact.
STEP = 1e-4
# Step of the linear predictor in the slope of an averaged mean.
LINK_STEP = 1e-4
TOO_FEW = (
    "`variables` must name two values of {name!r} or more, to compare them, but there are "
    "{given}."
)
NO_COEFFICIENT = (
    "The effect depends on the column {term!r}, which has no coefficient, since it depends "
    "linearly on others in the rows of the fit, or under fixed effects on the groups. Leave it "
    "out of the fit, as by OneHotEncoder(drop='first')."
)
NOT_A_MODEL = (
    "`estimator` must be a fitted model of this package, or a pipeline or search that ends in "
    "one, but got {given}."
)
NO_COLUMN = "{name!r} must be a column of X, but these are {columns}."


@public("skmixed.inspection")
@validate_params({"level": [LEVEL], "at": [Mapping, None]}, prefer_skip_nested_validation=True)
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
        If a column is not in X, or has no coefficient.

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
    values = [np.atleast_1d(np.asarray(some, dtype=object)) for some in at.values()]
    for name in at:
        _column(averages.X, name)
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
    {"level": [LEVEL], "variables": [str, Integral, list, Mapping]},
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
        others the difference of each value in X from the first. A dictionary gives values by
        column: of each the difference from the first of them. None in their place is as before.
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
        If a column is not in X, has a single value, or has no coefficient.

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
    found, labels = [], []
    for name, values in variables.items():
        for label, effect in averages.effects(name, values):
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
        column = _column(self.X, name)
        is_number = column.dtype.kind in "iuf"
        if values is None and is_number:
            reach = float(np.ptp(column)) or 1.0
            step = STEP * reach
            high, low = (self.at({name: column + h}) for h in (step, -step))
            return [("slope", high.less(low, 2 * step))]
        values = pd.unique(pd.Series(column).dropna()) if values is None else values
        values = sorted(values) if not isinstance(values, list | tuple) else list(values)
        if len(values) < 2:
            raise ValueError(TOO_FEW.format(name=name, given=values))
        first, *others = (self.at({name: value}) for value in values)
        return [
            (f"{value} - {values[0]}", other.less(first))
            for value, other in zip(values[1:], others, strict=True)
        ]

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
        """Refuse averages that hang on a column that was dropped."""
        model = self.model
        dropped = np.isnan(np.diag(model.coef_cov_))
        first = len(dropped) - len(model._terms)
        dropped[[first + position for position in model._columns.random_only]] = False
        at_fault = np.flatnonzero(dropped & np.any(np.abs(L) > 0, axis=0))
        if len(at_fault):
            raise ValueError(NO_COEFFICIENT.format(term=model.coef_cov_.index[at_fault[0]]))


def _column(X, name):
    """Values of a column of X."""
    if hasattr(X, "columns"):
        if name not in X.columns:
            raise ValueError(NO_COLUMN.format(name=name, columns=list(X.columns)))
        return X[name].to_numpy()
    if not isinstance(name, Integral) or not -X.shape[1] <= name < X.shape[1]:
        raise ValueError(NO_COLUMN.format(name=name, columns=list(range(X.shape[1]))))
    return X[:, name]


def _with_values(X, values):
    """Set columns of a copy of X."""
    if hasattr(X, "columns"):
        return X.assign(**values)
    X = X.astype(np.float64) if values and X.dtype.kind in "iub" else X.copy()
    for name, value in values.items():
        X[:, name] = value
    return X
