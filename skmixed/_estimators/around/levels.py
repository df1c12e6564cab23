"""The models of the groups: a linear start, and that of the residuals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.random_slope import RandomSlopeRegressor
from skmixed._numerics.leave_out.effects_of_folds import AKAIKE
from skmixed._rows.columns import dense_column
from skmixed._rows.factors import by_factor, factors_as_fitted
from skmixed._rows.features import complete
from skmixed._rows.messages import NAMED_TWICE

# More columns than these take no part in the start, whose cost is their number squared.
MOST_COLUMNS = 1000
BETWEEN = "_between"


@dataclass(frozen=True)
class Rows:
    """Checked rows.

    Attributes
    ----------
    X : table
        The features, as the regressor in the middle is given them.
    numbers : {ndarray, sparse matrix} of shape (n_rows, n_numbers)
        Columns that hold numbers; NaN where a value is missing.
    groups : Series, DataFrame of several factors, array-like or None
        Labels.
    """

    X: Any
    numbers: Any
    groups: Any

    @property
    def n_rows(self):
        """Number of rows."""
        return self.X.shape[0]

    def by_factor(self, columns):
        """List the labels of each factor."""
        if not columns.factors:
            return [self.groups]
        groups = factors_as_fitted(self.groups, columns)
        return [groups[name] for name in columns.factor_names]


def group_model(model, columns, slopes, **options):
    """Make a mixed model with the parameters of the user's.

    Parameters
    ----------
    model : MixedEffectsRegressor
        Whose parameters they are.
    columns : Columns
        Of the fit.
    slopes : sequence of list
        The slope columns of each factor, as the new model knows them.
    **options : object
        Further parameters.
    """

    def of(parameter, default):
        value, names = getattr(model, parameter), columns.names
        by = {"default": default, "allowed": ALLOWED[parameter]}
        return by_name(by_factor(value, names, columns.group_by, parameter, **by))

    def by_name(values):
        return dict(zip(columns.names, values, strict=True)) if columns.factors else values[0]

    return RandomSlopeRegressor(
        by_name(slopes),
        covariance=of("covariance", "full"),
        new_groups=of("new_groups", "population"),
        method=model.method,
        **options,
    )


ALLOWED = {"covariance": ["full", "diag"], "new_groups": ["population", "error"]}


def start_linearly(model, rows, y, sample_weight, columns, means, slopes):
    """Fit a linear mixed model, and choose the means of groups.

    Parameters
    ----------
    model : MixedEffectsRegressor
        Whose parameters are used.
    rows : Rows
        Of the fit.
    y : ndarray of shape (n_rows,)
        Target.
    sample_weight : ndarray of shape (n_rows,), optional
        Weights.
    columns : Columns
        Of the fit.
    means : list of GroupMeans
        Of each factor; none if the means take no part.
    slopes : list of list of int
        The slope columns of each factor among the numbers.

    Returns
    -------
    levels : ndarray of shape (n_rows,)
        What the groups add to y, by their means and their random effects.
    means : list of GroupMeans
        With the columns that lower Akaike's criterion.
    """
    X, slopes, means = _columns_of_start(rows.numbers, slopes, means)
    labels = rows.by_factor(columns)
    fit = {"y": y, "groups": rows.groups, "sample_weight": sample_weight}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what must be said is said of the residuals' model
        linear = group_model(model, columns, slopes)
        table = _beside(X, means_of_rows(means, rows.numbers, labels))
        linear.fit(table, **fit)
        paid = _pays(linear, X.shape[1])
        if not paid.all():
            means = _keep(means, paid)
            table = _beside(X, means_of_rows(means, rows.numbers, labels))
            linear.fit(table, **fit)
    line = safe_sparse_dot(X, linear.coef_[: X.shape[1]]) + linear.intercept_
    return linear.predict(table, rows.groups) - line, means


def means_of_rows(means, numbers, labels):
    """Group means of each row, of one factor after the other."""
    return _stack([of.of_rows(numbers, own) for of, own in zip(means, labels, strict=False)])


def means_of_rows_alone(means, numbers):
    """Group means of rows of which each is all that is known of its group."""
    return _stack([of.of_rows_alone(numbers) for of in means])


def slope_values(numbers, positions):
    """Take the slope columns out of the numbers."""
    return _stack([dense_column(numbers, i)[:, np.newaxis] for i in positions])


def residual_table(rows, names, *parts):
    """Put columns of the residuals' model into a table with the index of the groups."""
    if len(set(names)) < len(names):
        twice = sorted(name for name in set(names) if names.count(name) > 1)
        raise ValueError(NAMED_TWICE.format(names=", ".join(twice)))
    parts = [part for part in parts if part is not None]
    table = np.column_stack(parts) if parts else np.empty((rows.n_rows, 0))
    groups = rows.groups
    index = groups.index if isinstance(groups, pd.Series | pd.DataFrame) else None
    return pd.DataFrame(table, index, names)


def constant_table(rows):
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
    return X, slopes, [of.keep(np.zeros(len(of.columns), dtype=bool)) for of in means]


def _beside(X, means):
    """Put the means beside the columns."""
    return X if means is None else np.column_stack([X, means])


def _stack(parts):
    parts = [part for part in parts if part.shape[1]]
    return np.column_stack(parts) if parts else None


def _pays(linear, n_columns):
    """Which of the means, the last columns, have a coefficient that lowers the criterion."""
    gamma = linear.coef_[n_columns:]
    variance = np.diag(linear.coef_cov_)[1 + n_columns :]  # NaN if the column is dropped
    return gamma**2 > AKAIKE * np.nan_to_num(variance, nan=np.inf)


def _keep(means, kept):
    ends = np.cumsum([len(of.columns) for of in means])[:-1]
    return [of.keep(own) for of, own in zip(means, np.split(kept, ends), strict=True)]
