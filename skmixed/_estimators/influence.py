"""Residuals of the rows of a fit, and how much each row and each group decides of it."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from skmixed._estimators.influence_of_rows import Influence
from skmixed._estimators.leave_out import groups_to_leave_out, rows_of_fit
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed._state import in_one_piece


class InfluenceMixin:
    """Which rows and groups a fitted model hangs on.

    Subclasses may have a `_rows_of_fit` of their own.
    """

    @in_one_piece
    def residuals_frame(
        self, X: Any, y: Any, groups: Any = None, *, sample_weight: Any = None
    ) -> pd.DataFrame:
        """Tabulate fitted values and residuals of the rows of the fit.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The rows that the model was fitted to, in any order.
        y : array-like of shape (n_rows,)
            Their target.
        groups : array-like of shape (n_rows,), optional
            Their groups, as for `fit`.
        sample_weight : array-like of shape (n_rows,), optional
            Their weights, as for `fit`.

        Returns
        -------
        DataFrame of shape (n_rows, 6)
            With the index of X:

            - ``fitted``, x'beta + z'b, and ``population``, x'beta, in units of y
            - ``residual``, y - fitted, and ``marginal_residual``, y - population
            - ``standardized_residual`` and ``standardized_marginal_residual``: each over its
              own standard deviation. NaN for a row of weight 0, and for one that has no other
              beside it to judge it by: of leverage 1.

        Raises
        ------
        ValueError
            If these are not the rows of the fit.

        See Also
        --------
        skmixed.inspection.ResidualsDisplay : Residuals of any rows, as a picture.

        Notes
        -----
        With w the weight of a row, h its leverage, and V sigma2 the covariance of y,

            Var(residual) = sigma2 (1 - h) / w,
            Var(marginal residual) = sigma2 (V_ii - x' (X' V^-1 X)^-1 x),

        the variance components held at their estimates: residuals are internally studentised.
        ``sqrt(w) residual / sigma`` are lme4's scaled Pearson residuals. Marginal residuals of
        the same group are correlated, and show whether the population line fits; conditional
        ones show outlying rows.

        References
        ----------
        Nobre, J. S. and Singer, J. M. (2007). Residual analysis for linear mixed models.
        Biometrical Journal, 49(6), 863-875. doi:10.1002/bimj.200610341

        Examples
        --------
        >>> from skmixed import RandomSlopeRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
        >>> table = model.residuals_frame(X, y, groups=subject)
        >>> table[["fitted", "residual", "standardized_residual"]].head(2).round(2)
           fitted  residual  standardized_residual
        0  253.66     -4.10                  -0.18
        1  273.33    -14.63                  -0.63
        """
        given = X, y, groups, sample_weight
        return Influence.of(self, "residuals_frame", *given).residuals()

    @in_one_piece
    @validate_params(
        {"by": [StrOptions({"row", "group"})], "factor": [str, tuple, None]},
        prefer_skip_nested_validation=True,
    )
    def influence_frame(
        self,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        by: Literal["row", "group"] = "row",
        factor: str | tuple | None = None,
        sample_weight: Any = None,
    ) -> pd.DataFrame:
        """Tabulate how far the fit would move without each of its rows, or of its groups.

        The variance components are held at their estimates, so that all refits together take
        the time of a few fits.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The rows that the model was fitted to, in any order.
        y : array-like of shape (n_rows,)
            Their target.
        groups : array-like of shape (n_rows,), optional
            Their groups, as for `fit`.
        by : {"row", "group"}, default="row"
            What is left out.
        factor : str or tuple, default=None
            With ``by="group"`` and several factors, the one whose groups are left out.
        sample_weight : array-like of shape (n_rows,), optional
            Their weights, as for `fit`. A row of weight w is left out as a whole.

        Returns
        -------
        DataFrame of shape (n_rows or n_groups, n_measures)
            With the index of X, or the labels of the groups:

            - ``leverage``: how far a fitted value moves with its own y, from 0 to 1; of a group
              the sum over its rows. They add up to the effective number of parameters.
            - ``cooks_distance``: how far the fixed effects would move, in the metric of their
              covariance and over their number.
            - ``cooks_distance_conditional``, by row: the same of fixed and random effects
              together, still over the number of fixed effects; lme4's ``cooks.distance``.
            - ``dfbetas_<term>``: by how many of its standard errors a fixed effect is higher
              with the row or group than without; NaN for a term without a coefficient.

            NaN where the others do not determine the same coefficients. A row of weight 0 was
            not there, and has 0 in all columns.

        Raises
        ------
        ValueError
            If these are not the rows of the fit, if there is but one group to leave out, or if
            `factor` does not name one of several, or is given with ``by="row"``.

        See Also
        --------
        skmixed.inspection.InfluenceDisplay : The same as a picture.
        loo_predict : What fits without a row or group predict for it.

        Notes
        -----
        Without rows S the fixed effects are

            beta_S = beta - (X' V^-1 X)^-1 (X' V^-1)_S (P_SS)^-1 (P y)_S

        with P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1. Cook's distance
        is ``(beta - beta_S)' cov^-1 (beta - beta_S) / p``, and DFBETAS are
        ``(beta - beta_S) / se``, with `coef_cov_` and its standard errors, those of the fit of
        all rows. For n rows, p columns and J groups this costs O(n p^2) and O(J p^3), and one
        more table as large as X. With several factors a level takes the cube of its rows, or
        beyond 2,000 rows a fit to the sums of the others.

        References
        ----------
        Demidenko, E. and Stukel, T. A. (2005). Influence analysis for linear mixed-effects
        models. Statistics in Medicine, 24(6), 893-909. doi:10.1002/sim.1974

        Examples
        --------
        >>> from skmixed import RandomSlopeRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
        >>> table = model.influence_frame(X, y, groups=subject, by="group")
        >>> largest = table.nlargest(2, "cooks_distance").rename_axis(None)
        >>> largest[["leverage", "cooks_distance", "dfbetas_Days"]].round(2)
             leverage  cooks_distance  dfbetas_Days
        309      1.61            0.15         -0.31
        335      1.61            0.13         -0.51
        """
        name = groups_to_leave_out(self, by, factor, option="by")[0]
        rows = Influence.of(self, "influence_frame", X, y, groups, sample_weight, by=by)
        return rows.of_rows() if by == "row" else rows.of_groups(name)

    def _rows_of_fit(self, name, X, y, groups, sample_weight, by):
        return rows_of_fit(self, name, X, y, groups, sample_weight)
