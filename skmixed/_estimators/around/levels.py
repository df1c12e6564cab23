"""The models of the groups: a linear start, and that of the residuals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.around.group_means import GroupMeans
from skmixed._estimators.random_slope import RandomSlopeRegressor
from skmixed._numerics.leave_out.effects_of_folds import AKAIKE
from skmixed._rows.columns import dense_column
from skmixed._rows.factors import by_factor, factors_as_fitted
from skmixed._rows.features import complete
from skmixed._rows.messages import NAMED_TWICE
from skmixed._sklearn_private import safe_indexing

# More columns than these take no part in the start, whose cost is their number squared.
MOST_COLUMNS = 1000
BETWEEN = "_between"
# What the parameters may be for a factor.
ALLOWED = {"covariance": ["full", "diag"], "new_groups": ["population", "error"]}


@dataclass(frozen=True)
class Rows:
    """Checked rows: those of a fit have all of this, those to predict only the first three.

    Attributes
    ----------
    X : table
        The features, as the regressor in the middle is given them.
    numbers : {ndarray, sparse matrix} of shape (n_rows, n_numbers)
        Columns that hold numbers; NaN where a value is missing.
    groups : Series, DataFrame of several factors, array-like or None
        Labels.
    y : ndarray of shape (n_rows,)
        Target.
    weight : ndarray of shape (n_rows,) or None
        Weights.
    codes : list of ndarray of shape (n_rows,)
        The group of each row, by factor; empty without groups.
    labels : list of Index
        What the codes stand for.
    """

    X: Any
    numbers: Any
    groups: Any
    y: Any = None
    weight: Any = None
    codes: Any = ()
    labels: Any = ()

    @property
    def n_rows(self):
        """Number of rows."""
        return self.X.shape[0]

    def by_factor(self, columns):
        """List the labels of the rows by each factor."""
        if not columns.factors:
            return [self.groups]
        groups = factors_as_fitted(self.groups, columns)
        return [groups[name] for name in columns.factor_names]

    def take(self, rows):
        """Take some of the rows, without the features, but for their numbers."""
        return replace(
            self,
            X=self.numbers[rows],
            numbers=self.numbers[rows],
            groups=_take_labels(self.groups, rows),
            y=self.y[rows],
            weight=None if self.weight is None else self.weight[rows],
            codes=[codes[rows] for codes in self.codes],
        )

    def group_means(self):
        """Means of the numbers in the groups of each factor."""
        counts = slice(None) if self.weight is None else self.weight > 0
        weight = None if self.weight is None else self.weight[counts]
        return [
            GroupMeans.of(self.numbers[counts], codes[counts], labels, weight)
            for codes, labels in zip(self.codes, self.labels, strict=True)
        ]


def group_model(model, columns, slopes, **options):
    """Make a mixed model with the parameters of the user's.

    Parameters
    ----------
    model : MixedEffectsRegressor
        Whose parameters they are.
    columns : Columns
        Of the fit.
    slopes : list of list
        The slope columns of each factor, as the new model knows them.
    **options : object
        Further parameters.
    """

    def of(parameter, default):
        value, names = getattr(model, parameter), columns.names
        known = {"default": default, "allowed": ALLOWED[parameter]}
        return by_name(by_factor(value, names, columns.group_by, parameter, **known))

    def by_name(values):
        return dict(zip(columns.names, values, strict=True)) if columns.factors else values[0]

    return RandomSlopeRegressor(
        by_name(slopes),
        covariance=of("covariance", "full"),
        new_groups=of("new_groups", "population"),
        method=model.method,
        **options,
    )


def levels_of_start(model, columns, slopes, rows, train):
    """Fit a linear mixed model to some rows, and say what their groups add to y.

    Parameters
    ----------
    model : MixedEffectsRegressor
        Whose parameters are used.
    columns : Columns
        Of the fit.
    slopes : list of list of int
        The slope columns of each factor among the numbers.
    rows : Rows
        Of the fit.
    train : ndarray
        Which of them.

    Returns
    -------
    ndarray of shape (n_train,)
        By their means and their random effects.
    """
    rows = rows.take(train)
    means = rows.group_means() if model.between else []
    X, slopes, means = _columns_of_start(rows.numbers, slopes, means)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what must be said is said of the residuals' model
        linear = group_model(model, columns, slopes)
        linear, means = fit_with_means(linear, rows, columns, X, means)
    table = beside(X, means_of_rows(means, rows, columns))
    line = safe_sparse_dot(X, linear.coef_[: X.shape[1]]) + linear.intercept_
    return linear.predict(table, rows.groups) - line


def fit_with_means(linear, rows, columns, X, means, named=None):
    """Fit a model of columns and of those means that lower Akaike's criterion.

    Parameters
    ----------
    linear : RandomSlopeRegressor
        Not fitted.
    rows : Rows
        Of the fit.
    columns : Columns
        Of the fit.
    X : {ndarray, sparse matrix} of shape (n_rows, n_columns)
        The columns.
    means : list of GroupMeans
        Of each factor.
    named : callable, optional
        Makes a table with names of the columns, given the means.

    Returns
    -------
    linear : RandomSlopeRegressor
        Fitted.
    means : list of GroupMeans
        With the columns that are used.
    """

    def fit(means):
        table = beside(X, means_of_rows(means, rows, columns))
        table = table if named is None else named(table, means)
        return linear.fit(table, rows.y, rows.groups, rows.weight)

    fit(means)
    gamma = linear.coef_[X.shape[1] :]
    variance = np.diag(linear.coef_cov_)[-len(gamma) :] if len(gamma) else gamma
    pays = gamma**2 > AKAIKE * np.nan_to_num(variance, nan=np.inf)  # NaN: it is dropped
    if not pays.all():
        ends = np.cumsum([len(of.columns) for of in means])[:-1]
        means = [of.keep(own) for of, own in zip(means, np.split(pays, ends), strict=True)]
        fit(means)
    return linear, means


def means_of_rows(means, rows, columns):
    """Group means of each row, of one factor after the other; None if there are none."""
    labels = rows.by_factor(columns)
    return _stack(
        [of.of_rows(rows.numbers, own) for of, own in zip(means, labels, strict=False)]
    )


def means_of_rows_alone(means, rows):
    """Group means of rows of which each is all that is known of its group."""
    return _stack([of.of_rows_alone(rows.numbers) for of in means])


def slope_values(rows, positions):
    """Take the slope columns out of the numbers."""
    values = _stack([dense_column(rows.numbers, i)[:, np.newaxis] for i in positions])
    return np.empty((rows.n_rows, 0)) if values is None else values


def beside(X, means):
    """Put the means beside the columns."""
    return X if means is None else np.column_stack([X, means])


def with_names(rows, table, names):
    """Put columns into a table with the index of the groups."""
    if len(set(names)) < len(names):
        twice = sorted(name for name in set(names) if names.count(name) > 1)
        raise ValueError(NAMED_TWICE.format(names=", ".join(twice)))
    groups = rows.groups
    index = groups.index if isinstance(groups, pd.Series | pd.DataFrame) else None
    return pd.DataFrame(table, index, names)


def constant_column(rows):
    """Make the only column of the residuals' model without groups."""
    return pd.DataFrame({"level": np.ones(rows.n_rows)})


def _columns_of_start(numbers, slopes, means):
    """Columns of a linear model, where the slopes are among them, and the means."""
    X = numbers if issparse(numbers) else complete(numbers)
    n_columns = X.shape[1] + sum(len(of.columns) for of in means)
    if n_columns <= min(MOST_COLUMNS, X.shape[0] - 2):
        return X, slopes, means
    chosen = sorted(set().union(*slopes))
    X = X[:, chosen].toarray() if issparse(X) else X[:, chosen]
    slopes = [[chosen.index(i) for i in own] for own in slopes]
    return X, slopes, []


def _take_labels(groups, rows):
    if isinstance(
        groups, pd.api.extensions.ExtensionArray
    ):  # not all of them know `[rows, ...]`
        return groups.take(rows)
    return safe_indexing(groups, rows)


def _stack(parts):
    parts = [part for part in parts if part.shape[1]]
    return np.column_stack(parts) if parts else None
