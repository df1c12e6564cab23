"""What a reader of glmer's output looks for: tables of a model of binary or count outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from skmixed._public import public
from skmixed._reports.correlations import PrintsCorrelations, correlation
from skmixed._reports.layout import (
    STARS,
    WITHOUT_GROUPS,
    percent,
    series_as_text,
    table_as_text,
    title_of,
    whole,
)
from skmixed._reports.likelihood_messages import (
    OVERDISPERSED,
    explain_not_identified,
    explain_separation,
    explain_singular,
)
from skmixed._reports.summary import components_of, short_heads
from skmixed._rows.reader import INTERCEPT

# Counts vary more than by chance if a test says so at this level.
OVERDISPERSED_BELOW = 0.05


@public("skmixed.inference")
@dataclass(frozen=True, repr=False)
class LikelihoodSummary(PrintsCorrelations):
    """Tables that describe a fitted mixed model of binary or count outcomes.

    Printing it shows the tables as text; a notebook shows them as HTML.

    Attributes
    ----------
    title : str
        What was fitted, and how.
    fit_statistics : Series
        Deviance, log-likelihood, information criteria, numbers of rows and groups, what stands
        for what in y, intraclass correlation and shares of explained variance on the latent
        scale; of counts the dispersion and its p value.
    variance_components : DataFrame
        One row for each random effect: variance and std_dev on the scale of the link, and with
        slopes the correlations. Empty if the model was fitted without groups.
    fixed_effects : DataFrame
        One row for each term: estimate, std_error, z, p_value, lower and upper, and the odds
        or rate ratio with its limits.
    fixed_effects_correlation : DataFrame
        Correlation of the estimated fixed effects.
    remarks : tuple of str
        What to know before reading on, such as that the fit is singular.
    level : float
        Level of the intervals.
    stars : bool
        Whether the text marks p-values below 0.05, 0.01 and 0.001.

    Examples
    --------
    >>> from skmixed import RandomInterceptClassifier
    >>> from skmixed.datasets import load_hsb
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> model = RandomInterceptClassifier().fit(X[["ses"]], y > 15, groups=school)
    >>> tests = model.summary().fixed_effects
    >>> tests[["estimate", "std_error", "z", "odds_ratio"]].round(2)
                 estimate  std_error      z  odds_ratio
    term
    (Intercept)     -0.45       0.06  -8.10        0.64
    ses              0.71       0.04  17.78        2.04
    """

    title: str
    fit_statistics: pd.Series
    variance_components: pd.DataFrame
    fixed_effects: pd.DataFrame
    fixed_effects_correlation: pd.DataFrame
    remarks: tuple[str, ...]
    level: float = 0.95
    stars: bool = False

    @classmethod
    def from_estimator(cls, model, *, level=0.95, stars=False):
        """Read the tables off a fitted estimator.

        Parameters
        ----------
        model : estimator
            A fitted mixed model of binary or count outcomes.
        level : float, default=0.95
            Level of the intervals of the fixed effects.
        stars : bool, default=False
            Whether the text marks p-values below 0.05, 0.01 and 0.001.

        Returns
        -------
        LikelihoodSummary
            Its tables.
        """
        return cls(
            title=title_of(model, _method(model)),
            fit_statistics=_fit_statistics(model),
            variance_components=_variance_components(model),
            fixed_effects=model.fixed_effects_frame(level, ratios=True),
            fixed_effects_correlation=correlation(model.coef_cov_),
            remarks=tuple(_remarks(model)),
            level=level,
            stars=stars,
        )

    def _tables(self):
        yield "Fit", series_as_text(self.fit_statistics)
        if len(self.variance_components):
            components = short_heads(table_as_text(self.variance_components))
            yield "Variance components, on the scale of the link", components
        if len(self.fixed_effects):
            *own, ratio, lower, upper = self.fixed_effects
            caption = f"Fixed effects ({percent(self.level)} intervals; Wald's z)"
            yield caption, table_as_text(self.fixed_effects[own], stars=self.stars)
            ratios = self.fixed_effects[[ratio, lower, upper]]
            ratios = ratios.drop(index=INTERCEPT, errors="ignore")
            if len(ratios):
                text = table_as_text(ratios).set_axis(["ratio", "lower", "upper"], axis=1)
                yield f"{ratio.replace('_', ' ').capitalize()}s", text
        yield from self._correlation_table()

    def _notes(self):
        yield from super()._notes()
        if self.stars:
            yield STARS


def _method(model):
    if not model.n_groups_:
        return "maximum likelihood"
    nodes = model.n_nodes_
    return "Laplace's approximation" if nodes == 1 else f"quadrature with {nodes} nodes"


def _fit_statistics(model):
    statistics = {"Rows": model._fitted.n_rows}
    if model._fitted.total_weight != model._fitted.n_rows:
        statistics[model._sum_of_weights] = whole(model._fitted.total_weight)
    if model.n_groups_:
        statistics[f"Groups ({model.groups_.name})"] = model.n_groups_
    statistics |= {
        **model._said_of_y(),
        "Deviance": model.criterion_,
        "Log-likelihood": model.log_likelihood_,
        "AIC": model.aic_,
        "BIC": model.bic_,
    }
    if model.n_groups_:
        statistics |= {
            "Intraclass correlation, latent": model.icc_,
            "R2, fixed effects, latent": model.r2_marginal_,
            "R2, fixed and random effects, latent": model.r2_conditional_,
        }
    return pd.Series(statistics, dtype=object)


def _variance_components(model):
    if not model.n_groups_:
        index = pd.MultiIndex.from_arrays([[], []], names=["level", "term"])
        return pd.DataFrame({"variance": [], "std_dev": []}, index=index)
    cov = model.random_effects_cov_
    correlated = len(model.theta_) > len(cov)
    table = components_of(model.groups_.name, cov, correlated)
    table.index.names = ["level", "term"]
    return table


def _remarks(model):
    if not model.n_groups_:
        yield WITHOUT_GROUPS.format(pooled=model._words.pooled)
    elif explain_not_identified(model):
        yield explain_not_identified(model)
    elif model.singular_:
        yield f"Singular fit: {explain_singular(model)}"
    if len(model.separating_):
        yield explain_separation(model)
    if not model.converged_:
        yield f"Not converged after {model.n_iter_} iterations."
    test = model._dispersion_test()
    if test is not None and test.ratio > 1 and test.p_value < OVERDISPERSED_BELOW:
        yield OVERDISPERSED.format(**test._asdict())
