"""What a reader of a regression's output looks for."""

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

OTHER_AIC = (
    "AIC and BIC are not to be compared with those of a mixed model, by REML or ML: compare "
    "AIC with its conditional_aic()."
)
OWN_OF_CLUSTERS = (
    "The average group's intercept, and slopes that groups have of their own, have no "
    "cluster-robust standard errors: each cluster fits its own, so residuals do not tell "
    "how they vary."
)
NESTED = (
    "Each group of {fine} lies in one of {coarse}, so that {coarse} adds nothing to {fine}: it "
    "has no coefficients of its own."
)
IN_PARTS = (
    "The groups of {one} and {other} fall into {n_parts} parts that no row ties together. "
    "Effects are compared within a part only; those of the first factor hold the differences "
    "between parts."
)
WITHOUT_COEFFICIENT = (
    "No coefficient can be estimated for {names}: {others} contain {them}, so predictions "
    "count {them} as 0."
)


@public("skmixed.inference")
@dataclass(frozen=True, repr=False)
class RegressionSummary(PrintsCorrelations):
    """Tables that describe a regression by least squares.

    Printing it shows the tables as text; a notebook shows them as HTML.

    Attributes
    ----------
    title : str
        What was fitted, and how.
    fit_statistics : Series
        Numbers of rows and groups, residual variance and its degrees of freedom,
        log-likelihood and information criteria.
    fixed_effects : DataFrame
        One row for each term: estimate, std_error, df, t, p_value (of a two-sided test
        against 0), lower and upper; NaN for terms without a coefficient.
    fixed_effects_correlation : DataFrame
        Correlation of the estimated coefficients.
    effective_sizes : DataFrame or None
        Of fixed effects for groups, the groups in which each feature varies, and their rows:
        those that its coefficient rests on. Printed if they are not all.
    remarks : tuple of str
        What to know before reading on.
    level : float
        Level of the intervals.
    stars : bool
        Whether the text marks p-values below 0.05, 0.01 and 0.001.

    Examples
    --------
    >>> from skmixed import FixedEffectsRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> model = FixedEffectsRegressor().fit(*load_sleepstudy(return_X_y=True))
    >>> model.summary().fixed_effects[["estimate", "std_error", "df", "t"]].round(2)
                 estimate  std_error     df      t
    term
    (Intercept)    251.41       4.29  161.0  58.56
    Days            10.47       0.80  161.0  13.02
    """

    title: str
    fit_statistics: pd.Series
    fixed_effects: pd.DataFrame
    fixed_effects_correlation: pd.DataFrame
    effective_sizes: pd.DataFrame | None
    remarks: tuple[str, ...]
    level: float = 0.95
    stars: bool = False

    @classmethod
    def from_estimator(cls, model, *, level=0.95, stars=False):
        """Read the tables off a fitted estimator.

        Parameters
        ----------
        model : estimator
            A fitted `FixedEffectsRegressor` or `PooledRegressor`.
        level : float, default=0.95
            Level of the intervals of the coefficients.
        stars : bool, default=False
            Whether the text marks p-values below 0.05, 0.01 and 0.001.

        Returns
        -------
        RegressionSummary
            Its tables.
        """
        fixed_effects = model.fixed_effects_frame(level)
        return cls(
            title=title_of(model, "least squares"),
            fit_statistics=_fit_statistics(model),
            fixed_effects=fixed_effects,
            fixed_effects_correlation=correlation(model.coef_cov_),
            effective_sizes=getattr(model, "effective_sizes_", None),
            remarks=(*_remarks(model), *_without_coefficient(model, fixed_effects)),
            level=level,
            stars=stars,
        )

    @property
    def coefficients(self):
        """The former name of `fixed_effects`."""
        raise AttributeError("`coefficients` of a summary is called `fixed_effects` now.")

    @property
    def _n_groups(self):
        return next(
            (number for name, number in self.fit_statistics.items() if "Groups (" in name), 0
        )

    @property
    def _whose_df(self):
        errors = self.fit_statistics.get("Standard errors", "")
        if not errors:
            return "the residual df"
        return "Satterthwaite's df" if "CR2" in errors else "clusters less one as df"

    def _notes(self):
        yield from super()._notes()
        if self._n_groups:
            yield OTHER_AIC
        if self.stars:
            yield STARS

    def _tables(self):
        yield "Fit", series_as_text(self.fit_statistics)
        if len(self.fixed_effects):
            df = self._whose_df
            caption = f"Fixed effects ({percent(self.level)} intervals; t, with {df})"
            yield caption, table_as_text(self.fixed_effects, stars=self.stars)
        sizes = self.effective_sizes
        if sizes is not None and sizes["groups"].lt(self._n_groups).any():
            yield (
                "Groups, and their rows, in which a feature varies",
                sizes.map("{:.10g}".format),
            )
        yield from self._correlation_table()


def _fit_statistics(model):
    statistics = {"Rows": whole(model._moments.n)}
    if hasattr(model, "groups_"):
        numbers = model.n_groups_
        by_factor = numbers if isinstance(numbers, dict) else {model.groups_.name: numbers}
        statistics |= {f"Groups ({name})": number for name, number in by_factor.items()}
        if model._columns.factors and model.uninformative_rows_:
            statistics["Rows that tell nothing"] = whole(model.uninformative_rows_)
        statistics["R2 within groups"] = model.within_r2_
    statistics |= {
        "R2": model.r2_,
        "Adjusted R2": model.adjusted_r2_,
        "Residual degrees of freedom": whole(model.residual_dof_),
        "Residual variance": model.residual_variance_,
        **_standard_errors(model),
        "Log-likelihood": model.log_likelihood_,
        "AIC": model.aic_,
        "BIC": model.bic_,
    }
    return pd.Series(statistics, dtype=object)


def _standard_errors(model):
    """Name errors that are robust to clusters."""
    if (clusters := model._clusters) is None:
        return {}
    kind, n = clusters.kind, clusters.n_clusters
    return {"Standard errors": f"cluster-robust {kind}, {n} clusters"}


def _remarks(model):
    if not hasattr(model, "groups_"):
        return ()
    if not model.n_groups_:
        return (WITHOUT_GROUPS.format(pooled=model._words.pooled),)
    if model._columns.factors:
        return _remarks_on_factors(model)
    line = "The line is that of the average group."
    return (line,) if model._clusters is None else (line, OWN_OF_CLUSTERS)


def _without_coefficient(model, fixed_effects):
    """Say which rows of the table are empty, and why."""
    empty = fixed_effects.index[fixed_effects["estimate"].isna()]
    if len(empty):
        groups = "the effects of the groups and " if getattr(model, "n_groups_", 0) else ""
        yield WITHOUT_COEFFICIENT.format(
            names=", ".join(empty),
            others=f"{groups}the columns before",
            them="it" if len(empty) == 1 else "them",
        )


def _remarks_on_factors(model):
    """Say what a reader must know of how the effects of several factors are fixed."""
    names, dummies = model._columns.factor_names, model._fitted.dummies
    remarks = ["The line is that of the average group of each factor."]
    told = set()
    for lies_in in dummies.nested:
        if lies_in.coarse not in told:
            told.add(lies_in.coarse)
            given = {"coarse": names[lies_in.coarse], "fine": names[lies_in.fine]}
            remarks.append(NESTED.format(**given))
    pair = [names[f] for f in dummies.redundancy.pair]
    if (n_parts := dummies.equations.pair.n_parts) > 1:
        remarks.append(IN_PARTS.format(one=pair[0], other=pair[1], n_parts=n_parts))
    return tuple(remarks)
