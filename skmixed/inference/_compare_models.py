"""Fitted models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._estimators.grouped import BaseGroupedModel
from skmixed._public import public
from skmixed._reports.fit_statistics import method_of, order_of, statistics_of
from skmixed._reports.layout import STARS, Printed, column_as_text
from skmixed.inference._coefficients import NamedModel
from skmixed.inference._likelihood_ratio_test import SAME_SUMS, sums_of_y

OTHER_ROWS = (
    "The models were not fitted to the same y: likelihoods, AIC, BIC and R2 are not to be "
    "compared."
)
OTHER_FIXED = (
    "By REML the likelihoods, AIC and BIC of models with other fixed effects are not to be "
    "compared: fit by method='ml' for that."
)
OTHER_METHODS = (
    "Likelihoods, AIC and BIC of models fitted by other methods ({methods}) are not to be "
    "compared."
)
RESIDUAL = "Residual"
BOUNDS = (0.05, 0.01, 0.001)


@public("skmixed.inference")
@dataclass(frozen=True, repr=False)
class ModelComparison(Printed):
    """Result of `compare_models`.

    Printing it shows the models side by side as text, a notebook as HTML; `to_markdown` and
    `to_latex` write it for papers.

    Attributes
    ----------
    names : tuple of str
        Of the models.
    coefficients : DataFrame
        A row for each fixed effect of any model. Columns are pairs of the model's name and
        estimate, std_error or p_value; NaN where a model has no such term.
    variance_components : DataFrame
        Standard deviations of the random effects, and of the residuals, by factor and term;
        a column for each model.
    fit_statistics : DataFrame
        A row for each statistic of `fit_statistics_frame`, a column for each model.
    remarks : tuple of str
        What is not to be compared, and why.
    stars : bool
        Whether the text marks p-values below 0.05, 0.01 and 0.001.
    """

    names: tuple[str, ...]
    coefficients: pd.DataFrame
    variance_components: pd.DataFrame
    fit_statistics: pd.DataFrame
    remarks: tuple[str, ...]
    stars: bool = False
    title: str = "Models side by side"

    def _tables(self):
        yield "Fixed effects (standard errors)", self._coefficients_as_text()
        if len(self.variance_components):
            yield "Standard deviations", self.variance_components.apply(column_as_text)
        yield "Fit", self.fit_statistics.map(_as_text)

    def _coefficients_as_text(self):
        text, errors_of_all = {}, self.coefficients.xs("std_error", axis=1, level=1).stack()
        for name in self.names:
            own = self.coefficients[name]
            estimates, errors = (
                column_as_text(own[column], like=errors_of_all)
                for column in ("estimate", "std_error")
            )
            cells = estimates + (" (" + errors + ")").where(errors != "", "")
            if self.stars:
                cells += ["*" * sum(p < bound for bound in BOUNDS) for p in own["p_value"]]
            text[name] = cells.where(own["estimate"].notna(), "")
        return pd.DataFrame(text, self.coefficients.index)

    def _notes(self):
        if self.stars:
            yield STARS


@public("skmixed.inference")
def compare_models(
    models: Sequence[Any], names: Sequence[str] | None = None, *, stars: bool = False
) -> ModelComparison:
    """Put fitted models side by side: coefficients, variances and measures of the fit.

    Parameters
    ----------
    models : list of estimators or pipelines
        Fitted models of this package, or pipelines and searches that end in one.
    names : list of str, default=None
        What the models are called; the names of their classes, numbered, if None.
    stars : bool, default=False
        Whether the text marks p-values below 0.05, 0.01 and 0.001.

    Returns
    -------
    ModelComparison
        Prints as text, shows as HTML; `to_markdown` and `to_latex`. Remarks say what is not
        to be compared.

    Raises
    ------
    TypeError
        If one is no fitted model of this package.
    ValueError
        If there is no model, or if names are not as many as models, or not distinct.

    See Also
    --------
    likelihood_ratio_test : Test one model against another.
    skmixed.compare_pooling : Compare models by their predictions.

    Examples
    --------
    >>> from skmixed import PooledRegressor, RandomInterceptRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import compare_models
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> pooled = PooledRegressor().fit(X, y)
    >>> mixed = RandomInterceptRegressor(method="ml").fit(X, y, groups=subject)
    >>> table = compare_models([pooled, mixed], ["pooled", "mixed"])
    >>> table.coefficients["mixed"].round(2)
                 estimate  std_error  p_value
    term
    (Intercept)    251.41       9.51      0.0
    Days            10.47       0.80      0.0
    >>> table.fit_statistics.loc[["aic", "sigma"]].astype(float).round(2)
            pooled    mixed
    aic    1906.29  1802.08
    sigma    47.71    30.90
    """
    if isinstance(models, BaseGroupedModel) or not isinstance(models, Sequence) or not models:
        raise ValueError(
            f"`models` must be a list of one fitted model at least, but got {models!r}. Pass "
            "them as in compare_models([one, two])."
        )
    tested = [NamedModel.of(model) for model in models]
    names = _check_names(names, [one.model for one in tested])
    parts = dict(zip(names, tested, strict=True))
    return ModelComparison(
        names=tuple(names),
        coefficients=pd.concat({n: _coefficients(one) for n, one in parts.items()}, axis=1),
        variance_components=_side_by_side(parts, _std_devs),
        fit_statistics=_side_by_side(parts, lambda one: pd.Series(statistics_of(one.model))),
        remarks=tuple(_remarks(tested)),
        stars=stars,
    )


def _check_names(names, models):
    if names is None:
        names = [f"{1 + i} {type(model).__name__}" for i, model in enumerate(models)]
    names = list(names)
    if len(names) != len(models) or len(set(names)) < len(names):
        raise ValueError(
            f"`names` must be {len(models)} distinct names, one for each model, but got "
            f"{names}."
        )
    return names


def _coefficients(tested):
    frame = tested.model.fixed_effects_frame()[["estimate", "std_error", "p_value"]]
    return frame.set_axis(pd.Index(tested.names, name="term"), axis=0)


def _side_by_side(parts, of_one):
    """Make a column for each model, rows in the order in which they come first."""
    columns = {name: of_one(one) for name, one in parts.items()}
    rows = list(dict.fromkeys(label for column in columns.values() for label in column.index))
    rows.sort(key=lambda label: label[0] == RESIDUAL)  # stands last
    if all(isinstance(label, str) for label in rows):
        rows.sort(key=order_of)
    table = {name: [column.get(label) for label in rows] for name, column in columns.items()}
    several = rows and isinstance(rows[0], tuple)
    index = pd.MultiIndex.from_tuples(rows) if several else pd.Index(rows)
    frame = pd.DataFrame(table, index)
    return frame.astype(float) if several else frame.astype(object)


def _std_devs(tested):
    """Name standard deviations by factor and term."""
    model, found = tested.model, {}
    covs = getattr(model, "random_effects_cov_", {})
    if isinstance(covs, pd.DataFrame):
        covs = {model.groups_.name: covs} if model.n_groups_ else {}
    for factor, cov in covs.items():
        for term, variance in zip(cov.index, np.diag(cov), strict=True):
            found[str(factor), str(term)] = np.sqrt(variance)
    variance = getattr(model, "residual_variance_", None)
    if isinstance(variance, pd.Series):  # of strata
        found |= {(RESIDUAL, str(name)): value**0.5 for name, value in variance.items()}
    elif variance is not None:
        found[RESIDUAL, ""] = variance**0.5
    return pd.Series(found, dtype=np.float64)


def _remarks(tested):
    models = [one.model for one in tested]
    sums = [np.asarray(sums_of_y(model), dtype=float) for model in models]
    alike = all(
        one.shape == sums[0].shape and np.allclose(one, sums[0], rtol=SAME_SUMS, atol=0)
        for one in sums
    )
    methods = list(dict.fromkeys(method_of(model) for model in models))
    by_ml = {"ML", "least squares"}
    if not alike:
        yield OTHER_ROWS
    elif len(methods) > 1 and not by_ml.issuperset(methods):
        yield OTHER_METHODS.format(methods=", ".join(methods))
    elif methods == ["REML"] and len({tuple(sorted(one.names)) for one in tested}) > 1:
        yield OTHER_FIXED


def _as_text(value):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float | np.floating) else str(value)
