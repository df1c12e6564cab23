"""What a reader of lme4's output looks for: tables of a mixed model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skmixed._numerics.fit.fit import Fit
from skmixed._numerics.inference.variance_parts import random_variances
from skmixed._numerics.moments.columns import drop_columns_of_lines
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.within_between import shares
from skmixed._public import public
from skmixed._reports.correlations import PrintsCorrelations, correlation
from skmixed._reports.layout import (
    STARS,
    WITHOUT_GROUPS,
    is_wide,
    percent,
    series_as_text,
    table_as_text,
    title_of,
    whole,
)
from skmixed._reports.level_2 import on_level_2, remarks_on_features_of_groups
from skmixed._reports.not_identified import (
    explain_not_identified,
    explain_perfect_correlation,
    slopes_as_given,
)
from skmixed._rows.reader import INTERCEPT

BY = {
    "satterthwaite": "t, with df by Satterthwaite",
    "kenward-roger": "t, with df by Kenward and Roger",
    "normal": "normal quantiles",
}


@public("skmixed.inference")
@dataclass(frozen=True, repr=False)
class ModelSummary(PrintsCorrelations):
    """Tables that describe a fitted mixed model.

    Printing it shows the tables as text; a notebook shows them as HTML.

    Attributes
    ----------
    title : str
        What was fitted, and how.
    fit_statistics : Series
        Criterion, log-likelihood, information criteria, numbers of rows and groups.
    variance_components : DataFrame
        One row for each random effect and one for the residual: variance and std_dev. With
        a random intercept alone the share of the sum, which is the intraclass correlation;
        with slopes the correlations.
    fixed_effects : DataFrame
        One row for each term: estimate, std_error, df, t, p_value, lower and upper; estimate,
        std_error and t alone if the model was fitted without groups.
    variation : DataFrame
        One row for each feature: the shares of its variation that lie between and within
        groups, and whether it varies within groups, between groups, or both. With several
        factors one for each factor and feature.
    fixed_effects_correlation : DataFrame
        Correlation of the estimated fixed effects.
    remarks : tuple of str
        What to know before reading on, such as that the fit is singular.
    level : float
        Level of the intervals.
    df_method : str
        Method of the degrees of freedom.
    stars : bool
        Whether the text marks p-values below 0.05, 0.01 and 0.001.

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> model = RandomInterceptRegressor().fit(*load_sleepstudy(return_X_y=True))
    >>> model.summary().fixed_effects[["estimate", "std_error", "df", "t"]].round(2)
                 estimate  std_error      df      t
    term
    (Intercept)    251.41       9.75   22.81  25.79
    Days            10.47       0.80  161.00  13.02
    """

    title: str
    fit_statistics: pd.Series
    variance_components: pd.DataFrame
    fixed_effects: pd.DataFrame
    variation: pd.DataFrame
    fixed_effects_correlation: pd.DataFrame
    remarks: tuple[str, ...]
    level: float = 0.95
    df_method: str = "satterthwaite"
    stars: bool = False

    @classmethod
    def from_estimator(cls, model, *, level=0.95, df_method="satterthwaite", stars=False):
        """Read the tables off a fitted estimator.

        Parameters
        ----------
        model : estimator
            A fitted mixed model of this package.
        level : float, default=0.95
            Level of the intervals of the fixed effects.
        df_method : {"satterthwaite", "kenward-roger", "normal"}, default="satterthwaite"
            As in `fixed_effects_frame`.
        stars : bool, default=False
            Whether the text marks p-values below 0.05, 0.01 and 0.001.

        Returns
        -------
        ModelSummary
            Its tables.
        """
        return cls(
            title=title_of(model, "REML" if _by_reml(model) else "ML"),
            fit_statistics=_fit_statistics(model),
            variance_components=_variance_components(model),
            fixed_effects=_fixed_effects(model, level, df_method),
            variation=_variation(model),
            fixed_effects_correlation=correlation(model.coef_cov_),
            remarks=_remarks(model),
            level=level,
            df_method=df_method,
            stars=stars,
        )

    def _tables(self):
        yield "Fit", series_as_text(self.fit_statistics)
        yield "Variance components", short_heads(table_as_text(self.variance_components))
        if len(self.fixed_effects):
            yield self._caption, table_as_text(self.fixed_effects, stars=self.stars)
        if self.variation.index.nlevels > 1:
            shares = self.variation["between"].unstack(level="factor", sort=False)
            caption = "Where the features vary (share between the groups of each factor)"
            yield caption, shares.map("{:.3f}".format).where(shares.notna(), "")
        elif len(self.variation):
            yield "Where the features vary", table_as_text(self.variation)
        yield from self._correlation_table()

    @property
    def _caption(self):
        if "lower" not in self.fixed_effects:  # fitted without groups
            return "Fixed effects"
        return f"Fixed effects ({percent(self.level)} intervals; {BY[self.df_method]})"

    def _notes(self):
        yield from super()._notes()
        if self.stars and "p_value" in self.fixed_effects:
            yield STARS


def _by_reml(model):
    return model._fitted.specification.reml


def _fit_statistics(model):
    name = "REML criterion" if _by_reml(model) else "Deviance"
    of_groups, factors = {}, model._columns.factors
    if model.n_groups_:
        has_strata = model._columns.variance_by is not None
        of_groups = {
            **({} if has_strata else {"Design effect": model.design_effect_}),
            "R2, fixed effects": model.r2_marginal_,
            "R2, fixed and random effects": model.r2_conditional_,
        }
    return pd.Series(
        {
            "Rows": whole(model._moments.n),
            **_numbers_of_groups(model),
            name: model.criterion_,
            **_error_of_criterion(model),
            "Log-likelihood": model.log_likelihood_,
            "AIC": model.aic_,
            "BIC": model.bic_,
            **({} if factors else _icc(model)),
            **of_groups,
        },
        dtype=object,
    )


def _icc(model):
    """Name the intraclass correlation: of strata, one for each."""
    if not np.ndim(model.icc_):
        return {"Intraclass correlation": model.icc_}
    return {f"Intraclass correlation ({s})": value for s, value in model.icc_.items()}


def _error_of_criterion(model):
    """Name what the probes of the iterative solver leave."""
    error = model.monte_carlo_error_
    return {} if error is None else {"Its error, by probes": error["criterion"]}


def _numbers_of_groups(model):
    if model._columns.factors:
        return {f"Groups ({name})": number for name, number in model.n_groups_.items()}
    return {f"Groups ({model.groups_.name})": len(model._moments.labels)}


def _variance_components(model):
    parts, shares = [], []
    for name, cov, correlated in _covariances(model):
        parts.append(components_of(name, cov, correlated))
        shares.append(list(cov.index) == [INTERCEPT])
    # of strata one for each, in place of a single one without a name
    residual = np.atleast_1d(model.residual_variance_)
    names = getattr(model.residual_variance_, "index", pd.Index([""])).map(str)
    parts.append(components_of("Residual", pd.DataFrame(np.diag(residual), names, names)))
    table = pd.concat(parts)
    table.index.names = ["level", "term"]
    if all(shares) and len(residual) == 1:  # random intercepts alone
        total = max(table["variance"].sum(), np.finfo(float).tiny)
        table["share"] = table["variance"] / total
    return table


def _covariances(model):
    """Name, covariance, and whether it has correlations, of each factor."""
    covs, specifications = model.random_effects_cov_, [model._fitted.specification]
    if model._columns.factors:
        specifications = model._fitted.specifications
    else:
        covs = {model.groups_.name: covs}
    for (name, cov), of in zip(covs.items(), specifications, strict=True):
        yield name, cov, not of.diagonal


def components_of(name, cov, correlated=False):
    index = pd.MultiIndex.from_tuples([(name, term) for term in cov.index])
    variances = np.diag(cov)
    table = pd.DataFrame({"variance": variances, "std_dev": np.sqrt(variances)}, index=index)
    if correlated and len(cov) > 1:
        below = correlation(cov).where(np.tri(len(cov), k=-1, dtype=bool)).iloc[:, :-1]
        table[[f"corr {term}" for term in below]] = below.to_numpy()
    return table


def short_heads(components):
    """Let numbers stand for long names in the heads of the correlations.

    Parameters
    ----------
    components : DataFrame
        Variances, standard deviations and correlations by level and term.

    Returns
    -------
    DataFrame
        With short heads, if the table is wide.
    """
    heads = [name for name in components if name.startswith("corr ")]
    if not heads or not is_wide(components.to_string()):
        return components
    numbers = {name.removeprefix("corr "): 1 + i for i, name in enumerate(heads)}
    terms = dict.fromkeys(term for _, term in components.index if term)
    for term in terms:
        numbers.setdefault(term, 1 + len(numbers))
    index = [
        (level, f"{numbers[term]} {term}" if term else "") for level, term in components.index
    ]
    short = {name: f"corr {1 + i}" for i, name in enumerate(heads)}
    return components.rename(columns=short).set_axis(pd.MultiIndex.from_tuples(index))


def _fixed_effects(model, level, df_method):
    if model.n_groups_:
        return model.fixed_effects_frame(level, df_method)
    estimate = model._coefficients
    std_error = np.sqrt(np.diag(model.coef_cov_))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate / std_error
    index = model.coef_cov_.index.rename("term")
    return pd.DataFrame({"estimate": estimate, "std_error": std_error, "t": t}, index=index)


def _variation(model):
    terms = pd.Index(model._terms if model.n_groups_ else [], name="term", dtype=object)
    if not model._columns.factors:
        return _variation_among(model._fitted.own_lines, terms)
    tables = {
        name: _variation_among(OwnLines.of(near_means(factor)), terms)
        for name, factor in zip(model._columns.names, model._moments.factors, strict=True)
    }
    return pd.concat(tables, names=["factor", "term"]) if len(terms) else tables.popitem()[1]


def _variation_among(lines, terms):
    within, between = (part[: len(terms)] for part in shares(lines))
    return shares_of_variation(within, between, terms)


def shares_of_variation(within, between, index):
    """Tabulate shares of variation, and say where each column varies.

    Parameters
    ----------
    within, between : ndarray of shape (n_columns,)
        Shares of each column's variation that lie within groups, and between them; NaN if it
        has none.
    index : Index of shape (n_columns,)
        Names of the columns.

    Returns
    -------
    DataFrame of shape (n_columns, 3)
        The shares ``between`` and ``within``, and ``varies`` in words.
    """
    kinds = np.select(
        [np.isnan(between), between == 0, within == 0],
        ["nowhere", "within groups", "between groups"],
        "both",
    )
    columns = {"between": between, "within": within, "varies": kinds}
    return pd.DataFrame(columns, index=index)


def _remarks(model):
    remarks = []
    if not model.n_groups_:
        remarks.append(WITHOUT_GROUPS.format(pooled=model._words.pooled))
    elif model._columns.factors:
        remarks.extend(_singular_factors(model))
    elif model.singular_:
        what_is_left = explain_perfect_correlation(model.random_effects_cov_) or (
            "the random effects do not vary"
            + (" in every direction" if model.theta_.any() else ", their variance is 0")
        )
        remarks.append(f"Singular fit: {what_is_left}.")
    if not model._columns.factors:
        not_identified = explain_not_identified(
            model._fitted.criterion, model._fitted.Lambda, slopes_as_given(model)
        )
        remarks.extend([not_identified] if not_identified else [])
    if not model.converged_:
        remarks.append(f"Not converged after {model.n_iter_} iterations.")
    if model._columns.factors:
        return (*remarks, *remarks_on_features_of_groups(model, _variation(model)))
    return (*remarks, *_remark_on_level_2(model))


def _singular_factors(model):
    """Name the factors whose effects do not vary in every direction."""
    for (name, cov), Lambda in zip(
        model.random_effects_cov_.items(), model._fitted.Lambdas, strict=True
    ):
        if not np.any(Lambda):
            yield f"Singular fit: the random effects of {name!r} have the variance 0."
        elif not np.all(Lambda.any(axis=0)) or len(Lambda) < len(cov):
            what_is_left = explain_perfect_correlation(cov) or "do not vary in all directions"
            yield f"Singular fit: of the random effects of {name!r}, {what_is_left}."


def _remark_on_level_2(model):
    """Say what predictors that vary between groups alone do to the variance there."""
    if model._columns.variance_by is not None:
        return  # the variance without them would be that of another model
    variation = _variation(model)
    level_2 = variation.index[variation["varies"] == "between groups"]
    level_2 = [term for term in level_2 if term not in model.random_effects_cov_]
    if not level_2 or "(Intercept)" not in model.random_effects_cov_ or model.singular_:
        return
    with_them = _variance_between(model, model.random_effects_cov_.to_numpy())
    without_them = _variance_between(model, _covariance_without(model, level_2))
    yield on_level_2(level_2, without_them, with_them)


def _variance_between(model, cov):
    """Variance of random effects between groups, averaged over the rows.

    With slopes that of the intercepts depends on where the slope columns are 0.
    """
    random_intercept = model._fitted.specification.random_intercept
    return random_variances(model._moments, cov, random_intercept=random_intercept)[1]


def _covariance_without(model, terms):
    """Estimate the random effects' covariance again without some of the features."""
    dropped = np.array([False, *(term in terms for term in model._terms), False])
    lines = drop_columns_of_lines(model._fitted.own_lines, dropped)
    fit = Fit.of(lines, model._fitted.specification, tol=model.tol, max_iter=model.max_iter)
    return fit.solution.sigma2 * fit.solution.Lambda @ fit.solution.Lambda.T
