"""Linear combinations of coefficients, one by one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from skmixed._estimators.inference import LEVEL
from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._public import public
from skmixed._reports.tests import DfMethod, with_tests, with_z_tests
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed.inference._coefficients import NamedModel


@public("skmixed.inference")
@validate_params(
    {"level": [LEVEL], "adjust": [StrOptions({"holm", "bonferroni"}), None]},
    prefer_skip_nested_validation=True,
)
def contrast_frame(
    estimator: Any,
    contrasts: Any,
    *,
    level: float = 0.95,
    df_method: DfMethod | None = None,
    adjust: Literal["holm", "bonferroni"] | None = None,
) -> pd.DataFrame:
    """Tabulate linear combinations of coefficients with tests and intervals.

    Parameters
    ----------
    estimator : estimator or Pipeline
        As in `wald_test`.
    contrasts : dict, DataFrame, array-like, str or list of str
        As `terms` of `wald_test`, for instance ``{"b - a": {"b": 1, "a": -1}}``.
    level : float, default=0.95
        Level of the intervals, between 0 and 1.
    df_method : {"satterthwaite", "kenward-roger", "normal"}, default=None
        As in `wald_test`. Kenward and Roger's method widens the standard errors, too.
    adjust : {"holm", "bonferroni"}, default=None
        Whether p-values count that there are several contrasts, so that the probability of
        any false rejection is that of a single test. Holm's p-values are never larger than
        Bonferroni's. Intervals are Bonferroni's with either: together they have at least the
        level. If None, each contrast stands for itself.

    Returns
    -------
    DataFrame
        A row for each contrast; columns estimate, std_error, df, t, p_value (of a two-sided
        test against 0), lower and upper. For binary and count outcomes z in place of df and t.

    Raises
    ------
    TypeError, ValueError, NotAvailableError
        As `wald_test` does.

    See Also
    --------
    wald_test : All of them at once.

    References
    ----------
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian
    Journal of Statistics, 6, 65-70.

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inference import contrast_frame
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=school)
    >>> between = {"ses between schools": {"ses": 1, "mean_ses": 1}}
    >>> contrast_frame(model, between)[["estimate", "std_error", "df", "t"]].round(2)
                         estimate  std_error      df      t
    contrast
    ses between schools      4.02       0.34  164.28  11.72
    """
    tested = NamedModel.of(estimator)
    L = tested.combinations(contrasts, "contrasts")
    variances, df = tested.tests(df_method).single(L.to_numpy())
    estimate, std_error = L.to_numpy() @ tested.beta, np.sqrt(variances)
    of_each = 1 - (1 - level) / len(L) if adjust else level
    if isinstance(tested.model, BaseLikelihoodModel):
        frame = with_z_tests(estimate, std_error, of_each, L.index)
    else:
        frame = with_tests(estimate, std_error, df, of_each, L.index)
    frame = frame.rename_axis("contrast")
    if adjust:
        frame["p_value"] = _ADJUST[adjust](frame["p_value"].to_numpy())
    return frame


def _bonferroni(p):
    return np.minimum(len(p) * p, 1.0)


def _holm(p):
    """Multiply the smallest p-value by their number, the next by one less, in rising order."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    rising = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order])
    adjusted[order] = np.minimum(rising, 1.0)
    return adjusted


_ADJUST = {"bonferroni": _bonferroni, "holm": _holm}
