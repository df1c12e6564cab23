"""The rows of a fit with what is asked about them: residuals, leverage and influence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.leave_out_of_factors import RowsOfFactors
from skmixed._estimators.rows_of_groups import RowsOfGroups
from skmixed._numerics.leave_out.influence import cooks_distance, sum_by_level
from skmixed._rows.containers import take_rows
from skmixed._rows.labels import as_index
from skmixed._rows.threads import one_blas_thread


@dataclass(frozen=True)
class Influence:
    """The rows of a fit, and what is asked about them; all tables from one pass.

    Attributes
    ----------
    model : estimator
        The fitted model.
    rows : RowsOfGroups or RowsOfFactors
        The rows of its fit.
    index : Index
        Of the rows.
    """

    model: Any
    rows: RowsOfGroups | RowsOfFactors
    index: pd.Index

    @classmethod
    def of(cls, model, name, X, y, groups=None, sample_weight=None, *, by="row"):
        """Read the rows again, for a method of this name."""
        check_is_fitted(model)
        given = take_rows(X=X, y=y, groups=groups, sample_weight=sample_weight)
        rows = model._rows_of_fit(name, *given, by)
        X = given[0]
        index = X.index if isinstance(X, pd.DataFrame) else pd.RangeIndex(len(rows.y))
        return cls(model, rows, index)

    def residuals(self):
        """Tabulate fitted values and residuals."""
        rows, y, sigma2 = self.rows.in_fit, self.rows.y, self.model.residual_variance_
        columns = {
            "fitted": y - rows.residual,
            "population": y - rows.marginal,
            "residual": rows.residual,
            "standardized_residual": rows.standardized(sigma2),
            "marginal_residual": rows.marginal,
            "standardized_marginal_residual": rows.standardized_marginal(sigma2),
        }
        return pd.DataFrame(columns, self.index)

    def of_rows(self):
        """Tabulate leverage and influence of each row."""
        rows, sigma2 = self.rows.in_fit, self.model.residual_variance_
        residual, determined = rows.without_each
        changes = rows.changes(np.where(determined, residual, np.nan))
        columns = {
            "leverage": rows.leverage,
            "cooks_distance": cooks_distance(changes, sigma2),
            "cooks_distance_conditional": rows.conditional_distance(sigma2),
        }
        return pd.DataFrame(columns | self._dfbetas(changes), self.index)

    def of_groups(self, name):
        """Tabulate leverage and influence of each group, or level of a factor."""
        with one_blas_thread():
            residual, determined = self.rows.levels_determined(name, option="by")
        codes, labels = self.rows.levels_of(name)
        known = (codes < 0) | determined[codes]
        rows, n_levels = self.rows.in_fit, len(labels)
        changes = sum_by_level(rows.changes(np.where(known, residual, np.nan)), codes, n_levels)
        columns = {
            "leverage": sum_by_level(rows.leverage[None], codes, n_levels)[0],
            "cooks_distance": cooks_distance(changes, self.model.residual_variance_),
        }
        return pd.DataFrame(columns | self._dfbetas(changes), as_index(labels, name=name))

    def _dfbetas(self, changes):
        """DFBETAS of each term, given M^1/2 (beta - beta_S) in the coordinates of the fit."""
        coordinates, cov = self.rows.coordinates, self.model.coef_cov_
        to_user = coordinates.backmap @ self.rows.root.T / coordinates.y_scale
        std_error = np.sqrt(np.diag(cov))
        known = coordinates.kept & (std_error > 0)
        to_user /= np.where(known, std_error, np.nan)[:, None]
        return dict(zip([f"dfbetas_{term}" for term in cov], to_user @ changes, strict=True))
