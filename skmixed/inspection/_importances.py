"""How much features count, by their coefficients: for selecting them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.grouped import BaseGroupedModel
from skmixed._public import public
from skmixed._rows.routing import predicting_model

NO_MODEL = (
    "importances takes a fitted model of skmixed, or a search or pipeline that ends with one, "
    "but got {model!r}."
)


@public("skmixed.inspection")
def importances(estimator: Any) -> np.ndarray:
    """Give the size of each coefficient, and the group column more than all of them.

    For the `importance_getter` of `RFE`, `RFECV` and `SelectFromModel` where the groups are a
    column of X. Its entry in `coef_` is 0, so that they would drop it first.

    Parameters
    ----------
    estimator : estimator
        A fitted model, or a pipeline or search that ends with one.

    Returns
    -------
    ndarray of shape (n_features,)
        Absolute values of `coef_`; for the group column their sum, and 1. Features of different
        units should be scaled before.

    Raises
    ------
    TypeError
        If that is no model of this package.

    Examples
    --------
    >>> from sklearn.feature_selection import RFE
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inspection import importances
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> X = X[["ses", "minority", "female"]]
    >>> X.insert(0, "school", school)
    >>> model = RandomInterceptRegressor(group_by="school").fit(X, y)
    >>> importances(model).round(2)
    array([7.28, 2.09, 2.96, 1.23])

    The group counts among those that are kept:

    >>> selector = RFE(
    ...     RandomInterceptRegressor(group_by=0),
    ...     n_features_to_select=3,
    ...     importance_getter=importances,
    ... )
    >>> selector.fit(X, y).get_feature_names_out()
    array(['school', 'ses', 'minority'], dtype=object)
    """
    model = predicting_model(estimator)
    model = getattr(model, "steps", [(None, model)])[-1][1]
    if not isinstance(model, BaseGroupedModel):
        raise TypeError(NO_MODEL.format(model=estimator))
    check_is_fitted(model)
    sizes = np.abs(model.coef_)
    if model._columns.group:
        sizes[list(model._columns.group)] = 1.0 + sizes.sum()
    return sizes
