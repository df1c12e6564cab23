"""Tables for reports: the rows with what the fit says of them, and the fit in one row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.influence import InfluenceMixin
from skmixed._estimators.influence_of_rows import Influence
from skmixed._estimators.predictions import LEVEL
from skmixed._reports.fit_statistics import statistics_of
from skmixed._rows.containers import take_rows
from skmixed._sklearn_private import validate_params
from skmixed._state import in_one_piece

# What a table of the package maketables calls our columns.
OF_MAKETABLES = {"estimate": "b", "std_error": "se", "t": "t", "z": "t", "p_value": "p"}
STATISTICS_OF_MAKETABLES = {"N": "n_rows", "adj_r2": "adjusted_r2", "ll": "log_likelihood"}


class TablesMixin:
    """What goes into reports."""

    @in_one_piece
    def fit_statistics_frame(self) -> pd.DataFrame:
        """Tabulate what describes the fit as a whole, in one row.

        Returns
        -------
        DataFrame of shape (1, n_statistics)
            The columns that the model has of method, standard_errors (if they are robust to
            clusters), n_rows, n_groups (or ``n_groups_<factor>``), log_likelihood, criterion,
            aic, bic, r2, adjusted_r2, r2_within, residual_dof, sigma (standard deviation of
            residuals), icc, r2_marginal, r2_conditional, singular and converged.
            `pandas.concat` puts those of several models below each other.

        See Also
        --------
        skmixed.inference.compare_models : Models side by side, with their coefficients.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomInterceptRegressor().fit(X, y, groups=subject)
        >>> model.fit_statistics_frame()[["n_rows", "n_groups", "aic", "icc"]].round(2)
           n_rows  n_groups      aic   icc
        0     180        18  1794.47  0.59
        """
        check_is_fitted(self)
        return pd.DataFrame([statistics_of(self)])

    @in_one_piece
    @validate_params({"level": [LEVEL]}, prefer_skip_nested_validation=True)
    def augment(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        level: float = 0.95,
        sample_weight: Any = None,
    ) -> pd.DataFrame:
        """Tabulate what the fit says of each of its rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The rows that the model was fitted to, in any order.
        y : array-like of shape (n_rows,)
            Their target.
        groups : array-like of shape (n_rows,), optional
            Their groups, as for `fit`.
        level : float, default=0.95
            Level of the interval, between 0 and 1.
        sample_weight : array-like of shape (n_rows,), optional
            Their weights, as for `fit`.

        Returns
        -------
        DataFrame of shape (n_rows, n_measures)
            With the index of X, so that ``X.join(model.augment(X, y, groups))`` is a table of
            all: ``fitted``, ``population`` (without the group's effects) and ``residual``; of
            linear mixed models and `PooledRegressor` ``standardized_residual``, ``leverage``
            and ``cooks_distance``; of linear models ``lower`` and ``upper``, the limits of the
            row's mean. Of binary outcomes fitted values are probabilities of the second of
            `classes_`.

        See Also
        --------
        fit_statistics_frame : The fit as a whole.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomInterceptRegressor().fit(X, y, groups=subject)
        >>> table = model.augment(X, y, groups=subject)
        >>> table[["fitted", "residual", "leverage", "lower", "upper"]].head(2).round(2)
           fitted  residual  leverage   lower   upper
        0  292.19    -42.63      0.11  272.27  312.10
        1  302.66    -43.95      0.10  283.25  322.06
        """
        check_is_fitted(self)
        given = {"y": y, "groups": groups, "sample_weight": sample_weight}
        X, y, groups, sample_weight = take_rows(X=X, **given)
        table = self._fitted_rows(X, y, groups, sample_weight)
        if hasattr(self, "predict_interval"):
            limits = self.predict_interval(X, groups, level=level, kind="mean")
            table["lower"], table["upper"] = limits.T
        return table

    def _fitted_rows(self, X, y, groups, sample_weight):
        """Fitted values and residuals; with influence where there is such."""
        if isinstance(self, InfluenceMixin):
            rows = Influence.of(self, "augment", X, y, groups, sample_weight)
            residuals, influence = rows.residuals(), rows.of_rows()
            measures = ["leverage", "cooks_distance"]
            columns = ["fitted", "population", "residual", "standardized_residual"]
            return residuals[columns].join(influence[measures])
        fitted, population, target = self._means_of_rows(X, y, groups)
        index = X.index if isinstance(X, pd.DataFrame) else None
        columns = {"fitted": fitted, "population": population, "residual": target - fitted}
        return pd.DataFrame(columns, index)

    def _means_of_rows(self, X, y, groups):
        """Fitted means, those of the population, and y as numbers."""
        return self.predict(X, groups), self.predict_population(X), np.asarray(y, dtype=float)

    # ----------------------------------------------- what the package maketables asks of models

    @property
    def __maketables_coef_table__(self):
        """Coefficients under the names of maketables."""
        table = self.fixed_effects_frame().rename(columns=OF_MAKETABLES)
        return table[["b", "se", "t", "p"]].rename_axis("Coefficient")

    @property
    def __maketables_depvar__(self):
        """What y is called."""
        return self._columns.target or "y"

    @property
    def __maketables_fixef_string__(self):
        """Absorbed effects: none are shown."""
        return None

    @property
    def __maketables_default_stat_keys__(self):
        """What stands below the coefficients."""
        return [key for key in ("N", "n_groups", "icc", "r2", "aic") if self._statistic(key)]

    def __maketables_stat__(self, key):
        """Return a statistic by its name."""
        return self._statistic(key)

    def _statistic(self, key):
        return statistics_of(self).get(STATISTICS_OF_MAKETABLES.get(key, key))
