"""What a reader of lme4's output looks for: tables, as text and as HTML."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skmixed._report import Report


@dataclass(frozen=True, repr=False)
class ModelSummary(Report):
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
        One row for each term: estimate, std_error, t.
    fixed_effects_correlation : DataFrame
        Correlation of the estimated fixed effects.
    remarks : tuple of str
        What to know before reading on, such as that the fit is singular.

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> model = RandomInterceptRegressor().fit(*load_sleepstudy(return_X_y=True))
    >>> model.summary().fixed_effects.round(2)
                 estimate  std_error      t
    term
    (Intercept)    251.41       9.75  25.79
    Days            10.47       0.80  13.02
    """

    title: str
    fit_statistics: pd.Series
    variance_components: pd.DataFrame
    fixed_effects: pd.DataFrame
    fixed_effects_correlation: pd.DataFrame
    remarks: tuple[str, ...]

    @classmethod
    def from_estimator(cls, model):
        """Read the tables off a fitted estimator.

        Parameters
        ----------
        model : estimator
            A fitted mixed model of this package.

        Returns
        -------
        ModelSummary
            Its tables.
        """
        return cls(
            title=f"{type(model).__name__}, fitted by {model.method.upper()}",
            fit_statistics=_fit_statistics(model),
            variance_components=_variance_components(model),
            fixed_effects=_fixed_effects(model),
            fixed_effects_correlation=_correlation(model.coef_cov_),
            remarks=_remarks(model),
        )

    def _tables(self):
        """Titles and tables of text, in the order of printing."""
        yield "Fit", self.fit_statistics.map(_number_as_text).to_frame("")
        yield "Variance components", _as_text(self.variance_components)
        yield "Fixed effects", _as_text(self.fixed_effects)
        if len(self.fixed_effects) > 1:
            yield (
                "Correlation of fixed effects",
                _lower_triangle(self.fixed_effects_correlation),
            )


def _fit_statistics(model):
    n = model._n_rows
    name = "REML criterion" if model.method == "reml" else "Deviance"
    return pd.Series(
        {
            "Rows": int(n) if n.is_integer() else n,
            f"Groups ({model.groups_.name})": model.n_groups_,
            name: model.criterion_,
            "Log-likelihood": model.log_likelihood_,
            "AIC": model.aic_,
            "BIC": model.bic_,
            "Intraclass correlation": model.icc_,
        },
        dtype=object,
    )


def _variance_components(model):
    cov = model.random_effects_cov_
    variances = np.append(np.diag(cov), model.residual_variance_)
    std_dev = np.sqrt(variances)
    group = model.groups_.name
    index = pd.MultiIndex.from_tuples(
        [*((group, term) for term in cov.index), ("Residual", "")],
        names=["level", "term"],
    )
    table = pd.DataFrame({"variance": variances, "std_dev": std_dev}, index=index)
    if list(cov.index) == ["(Intercept)"]:
        table["share"] = variances / max(variances.sum(), np.finfo(float).tiny)
    elif len(model.theta_) > len(cov):
        below = _correlation(cov).where(np.tri(len(cov), k=-1, dtype=bool)).iloc[:, :-1]
        table[[f"corr {term}" for term in below]] = np.pad(
            below, ((0, 1), (0, 0)), constant_values=np.nan
        )
    return table


def _fixed_effects(model):
    estimate = np.append(model.intercept_, model.coef_)[-len(model.coef_cov_) :]
    std_error = np.sqrt(np.diag(model.coef_cov_))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate / std_error
    index = model.coef_cov_.index.rename("term")
    return pd.DataFrame({"estimate": estimate, "std_error": std_error, "t": t}, index=index)


def _correlation(cov):
    std = np.sqrt(np.diag(cov))
    with np.errstate(invalid="ignore"):
        return cov / np.outer(std, std)


def _remarks(model):
    remarks = []
    if not model.n_groups_:
        remarks.append("Fitted without groups: a pooled linear regression.")
    elif model.singular_:
        remarks.append(
            "Singular fit: the random effects do not vary"
            + (" in every direction." if model.theta_.any() else ", their variance is 0.")
        )
    if not model.converged_:
        remarks.append(f"Not converged after {model.n_iter_} iterations.")
    return tuple(remarks)


def _number_as_text(number):
    return f"{number:.4f}" if isinstance(number, float) else str(number)


def _as_text(table):
    """Numbers as text, each column with as many decimals as its smaller entries need."""
    return table.apply(_column_as_text).rename_axis(columns=None)


def _column_as_text(column):
    """At least three decimals, and four significant digits of the smallest entry."""
    sizes = column.abs()
    smallest = sizes[(sizes > 0) & np.isfinite(sizes)].min()
    if column.name in ("t", "share") or column.name.startswith("corr") or np.isnan(smallest):
        return column.map("{:.3f}".format).where(column.notna(), "")
    decimals = max(3 - int(np.floor(np.log10(smallest))), 3)
    if decimals > 8 or sizes.max() > 1e9:
        return column.map("{:.4g}".format)
    return column.map(f"{{:.{decimals}f}}".format)


def _lower_triangle(correlation):
    """Correlations below the diagonal, as text, without the empty row and column."""
    text = correlation.map("{:.3f}".format)
    below = np.tri(len(text), k=-1, dtype=bool)
    return text.where(below, "").iloc[1:, :-1].rename_axis(None)
