"""A test for each term of a model, as the anova of R has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from skmixed._estimators.contrasts import around_their_means
from skmixed._estimators.fixed_effects import FixedEffectsRegressor
from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._numerics.inference.wald import products_with_dummies, sequential_contrasts
from skmixed._public import public
from skmixed._reports.tests import DfMethod
from skmixed._rows.reader import INTERCEPT
from skmixed._rows.routing import columns_of_features
from skmixed._rows.strata import refuse_strata
from skmixed._warn import warn
from skmixed.exceptions import NotAvailableError
from skmixed.inference._coefficients import NamedModel
from skmixed.inference._sources import sources_of

COLUMNS = ["sum_sq", "mean_sq", "df_num", "df_denom", "statistic", "p_value"]
AT_THE_REFERENCE = (
    "Terms with an interaction are tested at a reference, not on average: {product!r} looks "
    "like the product of {dummy!r}, which is 0 or 1, and {other!r}, so the test of {other!r} "
    "is of its effect where {dummy!r} is 0. Code the levels of a factor by columns of -1, 0 "
    "and 1 that sum to 0 over the levels, and multiply these; or ask for the combinations that "
    "you mean by wald_test."
)
NOT_SEQUENTIAL = (
    "type='I' does not exist for {model}, which keeps no cross-products of its columns by "
    "which terms come one after another. Use type='III'."
)
NO_TERMS = (
    "`terms` must be a dictionary from names of terms to names of columns, such as "
    "{{'machine': ['machine_B', 'machine_C']}}, but got {given!r}."
)
NO_SUCH_TYPE = (
    "`type` must be 'I' or 'III', but got {type!r}. Type II does not exist here; without "
    "interactions it is type 'III'."
)


@public("skmixed.inference")
def anova_frame(
    estimator: Any,
    terms: Mapping[str, Any] | None = None,
    type: Literal["I", "III"] = "III",
    *,
    df_method: DfMethod | None = None,
) -> pd.DataFrame:
    """Test each term of a model, as lmerTest's ``anova`` does.

    Parameters
    ----------
    estimator : estimator or Pipeline
        As in `wald_test`.
    terms : dict, default=None
        The columns of each term, by name: ``{"machine": ["machine_B", "machine_C"]}``. Columns
        that it does not name are terms of their own, after those. If None, the columns that
        a pipeline has made of the same feature are a term: by `OneHotEncoder`,
        `SplineTransformer`, `KBinsDiscretizer` or `PolynomialFeatures`, in a
        `ColumnTransformer` or not. Products of features are terms such as ``"a:b"``. All
        other columns are terms of their own.
    type : {"I", "III"}, default="III"
        "III": each term given all others, its coefficients are 0 at once. "I": each term given
        those before it; of linear mixed models and `PooledRegressor`.
    df_method : {"satterthwaite", "kenward-roger", "normal"}, default=None
        As in `wald_test`.

    Returns
    -------
    DataFrame
        A row for each term; columns sum_sq and mean_sq, which are the statistic's numerator
        in units of the residual variance, df_num, df_denom, statistic (F) and p_value. For
        binary and count outcomes without the first two, which are NaN with standard errors
        robust to clusters. Columns without a coefficient do not count in df_num, and a term
        without any is NaN.

    Raises
    ------
    TypeError, ValueError, NotAvailableError
        As `wald_test` does; also if `terms` names a column twice or not at all, and for
        type "I" where it does not exist.

    Warns
    -----
    UserWarning
        If type III is asked of an interaction with a column of 0 and 1: what is tested of the
        other column is its effect at the reference level. Such products are recognised by the
        sums of linear models of one or several factors.

    See Also
    --------
    wald_test : One test of any combinations.

    Notes
    -----
    Type III tests a term on average over the levels of the factors that it interacts with only
    if the columns of these sum to 0 over their levels; lmerTest recodes factors so, here the
    columns are taken as they are. Without interactions the coding plays no part.

    For type I the coefficients of each term are those of the model without the terms after
    it, fitted by least squares to their values, as lmerTest takes them: with the cross-products
    X'WX = L D L' the hypotheses are the rows of L' beta.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> from skmixed import RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import anova_frame
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> part = np.array(["early", "middle", "late"])[X["Days"] // 4]
    >>> X = X.assign(part=part, subject=subject)
    >>> columns = make_column_transformer(
    ...     (OneHotEncoder(drop="first", sparse_output=False), ["part"]),
    ...     remainder="passthrough",
    ...     verbose_feature_names_out=False,
    ... ).set_output(transform="pandas")
    >>> model = make_pipeline(columns, RandomSlopeRegressor("Days", group_by="subject"))
    >>> anova_frame(model.fit(X, y)).round(3)
            sum_sq   mean_sq  df_num  df_denom  statistic  p_value
    term
    part  1118.303   559.152       2   142.000      0.852    0.429
    Days  9712.009  9712.009       1    73.343     14.798    0.000
    """
    if type not in ("I", "III"):
        raise ValueError(NO_SUCH_TYPE.format(type=type))
    tested = NamedModel.of(estimator)
    remedy = "It scales squares by one residual variance; use wald_test(model, terms)."
    refuse_strata(tested.model._columns, "anova_frame", remedy)
    found = _given_terms(tested, terms) if terms is not None else _found_terms(tested)
    rows = _sequential(tested, found) if type == "I" else np.eye(len(tested.names))
    if type == "III":
        _check_coding(tested, found)
    tests = tested.tests(df_method)
    # a term's columns without a coefficient do not count
    kept = {name: [i for i in at if tested.estimated[i]] for name, at in found.items()}
    joint = tested.joint(tests, {name: rows[at] for name, at in kept.items() if at})
    lines = {name: _line(tested, joint.get(name)) for name in found}
    frame = pd.DataFrame.from_dict(lines, orient="index", columns=COLUMNS).rename_axis("term")
    if isinstance(tested.model, BaseLikelihoodModel):
        return frame.drop(columns=["sum_sq", "mean_sq"])
    return frame


def _line(tested, test):
    """Numbers of a term, NaN if it was not tested."""
    if test is None:
        return [np.nan] * len(COLUMNS)
    model = tested.model
    # a covariance robust to clusters is not that of squares over one variance
    robust = getattr(model, "_clusters", None) is not None
    unit = np.nan if robust else getattr(model, "residual_variance_", np.nan)
    mean_sq = test.statistic / test.scale * unit
    sum_sq = mean_sq * test.df_num
    return [sum_sq, mean_sq, test.df_num, test.df_denom, test.statistic, test.p_value]


def _given_terms(tested, terms):
    """Positions of the columns of each term that the user names, and of the others."""
    if not isinstance(terms, Mapping):
        raise TypeError(NO_TERMS.format(given=terms))
    if any(not isinstance(columns, str | Iterable) for columns in terms.values()):
        raise TypeError(NO_TERMS.format(given=terms))
    listed = {
        name: [columns] if isinstance(columns, str) else [*columns]
        for name, columns in terms.items()
    }
    empty = [name for name, columns in listed.items() if not columns]
    if empty:
        raise ValueError(f"`terms` must name a column for each term, but {empty} have none.")
    every = [column for columns in listed.values() for column in columns]
    tested.positions(every, "terms")  # each once
    if INTERCEPT in every:
        raise ValueError(
            f"`terms` must leave out {INTERCEPT!r}, which is no term. Test it by "
            f"wald_test(model, {INTERCEPT!r})."
        )
    found = {name: tested.positions(columns, "terms") for name, columns in listed.items()}
    rest = [name for name in tested.names if name not in {*every, INTERCEPT}]
    clash = [name for name in rest if name in found]
    if clash:
        raise ValueError(
            f"`terms` must not call a term as another column is called, but {clash} are "
            "columns of no term. Add them to a term, or call it otherwise."
        )
    return found | {name: [tested.names.index(name)] for name in rest}


def _found_terms(tested):
    """Columns that are made of the same features, by the names of these."""
    own = [name for name in tested.names if name != INTERCEPT]
    first = len(tested.names) - len(own)
    labels = own
    if tested.steps is not None and len(tested.steps.steps):
        sources = _sources(tested)
        labels = own if sources is None else [":".join(map(str, source)) for source in sources]
    found: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        found.setdefault(label, []).append(first + i)
    return found


def _sources(tested):
    """Features that each column is made of; None if a step does not name its columns."""
    try:
        return columns_of_features(tested.model, sources_of(tested.steps))
    except (AttributeError, ValueError):
        return None


def _sequential(tested, found):
    """Weights of the hypotheses of type I, at the row of each column."""
    model = tested.model
    if isinstance(model, FixedEffectsRegressor | BaseLikelihoodModel):
        raise NotAvailableError(NOT_SEQUENTIAL.format(model=model.__class__.__name__))
    order = [i for positions in found.values() for i in positions if tested.estimated[i]]
    _, G = around_their_means(model)
    at = np.array(order, dtype=int) - int(tested.names[0] == INTERCEPT)
    rows = np.zeros((len(tested.names),) * 2)
    rows[np.ix_(order, order)] = sequential_contrasts(G[np.ix_(at, at)])
    return rows


def _check_coding(tested, found):
    """Warn of products with a column of 0 and 1 in another term, whose test is at 0."""
    if isinstance(tested.model, FixedEffectsRegressor | BaseLikelihoodModel):
        return
    moments, first = tested.model._moments, int(tested.names[0] == INTERCEPT)
    raw = moments.around(np.zeros_like(moments.shift)).T[:-1, :-1]
    term = {i: name for name, positions in found.items() for i in positions}
    for triple in products_with_dummies(raw):
        dummy, other, product = (i - 1 + first for i in triple)
        if len({term[dummy], term[other], term[product]}) == 3:
            names = {"dummy": dummy, "other": other, "product": product}
            text = {key: tested.names[i] for key, i in names.items()}
            warn(AT_THE_REFERENCE.format(**text), UserWarning)
            return
