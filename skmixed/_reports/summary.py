"""What a reader of lme4's output looks for: tables, as text and as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from textwrap import fill

import numpy as np
import pandas as pd

from skmixed._numerics.moments.within_between import share_between

STYLE = (
    "<style>"
    ".skmixed-summary table {border-collapse: collapse; margin: 0.2em 0 0.9em 0}"
    ".skmixed-summary caption {text-align: left; font-weight: bold; white-space: nowrap}"
    ".skmixed-summary th, .skmixed-summary td {padding: 0.15em 0.7em; text-align: right}"
    ".skmixed-summary tbody th, .skmixed-summary thead th:first-child {text-align: left}"
    ".skmixed-summary thead tr {border-bottom: 1px solid currentColor}"
    "</style>"
)


def _p_value_as_text(p):
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"


THREE_DECIMALS = "{:.3f}".format
FORMATS = {
    "df": "{:.1f}".format,
    "p_value": _p_value_as_text,
    **dict.fromkeys(["t", "share", "between", "within", "corr"], THREE_DECIMALS),
}


class Printed:
    """A title, remarks, tables and lists of sentences, as text and as HTML."""

    def _lists(self):
        """Sentences by heading, which follow the tables."""
        return {}

    def __str__(self):
        blocks = [self.title, *(fill(remark, 88) for remark in self.remarks)]
        for name, table in self._tables():
            blocks.append(f"{name}:\n{table.to_string(**_layout(table))}")
        for name, sentences in self._lists().items():
            blocks.append("\n".join([f"{name}:", *map(_as_item, sentences)]))
        return "\n\n".join(blocks)

    __repr__ = __str__

    def _repr_html_(self):
        blocks = [f"<p><b>{escape(self.title)}</b></p>"]
        blocks += [f"<p>{escape(remark)}</p>" for remark in self.remarks]
        for name, table in self._tables():
            caption = f"<caption>{escape(name)}</caption>"
            html = table.to_html(border=0, **_layout(table))
            blocks.append(html.replace(">", f">{caption}", 1))
        for name, sentences in self._lists().items():
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
            blocks.append(f"<p><b>{escape(name)}</b></p><ul>{items}</ul>")
        return f'{STYLE}<div class="skmixed-summary">{"".join(blocks)}</div>'


@dataclass(frozen=True, repr=False)
class ModelSummary(Printed):
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
        groups, and whether it varies within groups, between groups, or both.
    fixed_effects_correlation : DataFrame
        Correlation of the estimated fixed effects.
    remarks : tuple of str
        What to know before reading on, such as that the fit is singular.
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
            title=f"{type(model).__name__}, fitted by {model.method.upper()}",
            fit_statistics=_fit_statistics(model),
            variance_components=_variance_components(model),
            fixed_effects=_fixed_effects(model, level, df_method),
            variation=_variation(model),
            fixed_effects_correlation=_correlation(model.coef_cov_),
            remarks=_remarks(model),
            stars=stars,
        )

    def _tables(self):
        """Titles and tables of text, in the order of printing."""
        yield "Fit", self.fit_statistics.map(_number_as_text).to_frame("")
        yield "Variance components", _as_text(self.variance_components)
        if len(self.fixed_effects):
            yield "Fixed effects", _as_text(self.fixed_effects, stars=self.stars)
        if len(self.variation):
            yield "Where the features vary", _as_text(self.variation)
        if len(self.fixed_effects) > 1:
            yield (
                "Correlation of fixed effects",
                _lower_triangle(self.fixed_effects_correlation),
            )


def _fit_statistics(model):
    n = model._n_rows
    name = "REML criterion" if model.method == "reml" else "Deviance"
    of_groups = {}
    if model.n_groups_:
        of_groups = {
            "Design effect": model.design_effect_,
            "R2, fixed effects": model.r2_marginal_,
            "R2, fixed and random effects": model.r2_conditional_,
        }
    return pd.Series(
        {
            "Rows": int(n) if n.is_integer() else n,
            f"Groups ({model.groups_.name})": len(model._moments.labels),
            name: model.criterion_,
            "Log-likelihood": model.log_likelihood_,
            "AIC": model.aic_,
            "BIC": model.bic_,
            "Intraclass correlation": model.icc_,
            **of_groups,
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
    return shares_of_variation(share_between(model._moments)[: len(terms)], terms)


def shares_of_variation(between, index):
    """Tabulate shares of variation, and say where each column varies.

    Parameters
    ----------
    between : ndarray of shape (n_columns,)
        Share of each column's variation that lies between groups; NaN if it has none.
    index : Index of shape (n_columns,)
        Names of the columns.

    Returns
    -------
    DataFrame of shape (n_columns, 3)
        The shares ``between`` and ``within``, and ``varies`` in words.
    """
    kinds = np.select(
        [np.isnan(between), between == 0, between == 1],
        ["nowhere", "within groups", "between groups"],
        "both",
    )
    columns = {"between": between, "within": 1 - between, "varies": kinds}
    return pd.DataFrame(columns, index=index)


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
    return (*remarks, *_remark_on_level_2(model))


def _remark_on_level_2(model):
    """Say what predictors that vary between groups alone do to the variance there."""
    variation = _variation(model)
    level_2 = variation.index[variation["varies"] == "between groups"]
    level_2 = [term for term in level_2 if term not in model.random_effects_cov_]
    if not level_2 or "(Intercept)" not in model.random_effects_cov_ or model.singular_:
        return
    with_them = model.random_effects_cov_.loc["(Intercept)", "(Intercept)"]
    without_them = model._variance_of_intercepts_without(level_2)
    change = f"from {without_them:.4g} to {with_them:.4g}"
    names = ", ".join(level_2)
    if with_them <= without_them:
        yield (
            f"Level-2 predictors ({names}) lower the variance between groups {change}: they "
            f"explain {1 - with_them / without_them:.0%} of it."
        )
    else:
        yield (
            f"Level-2 predictors ({names}) raise the variance between groups {change}: they "
            "explain less of it than as many columns of noise would, and the estimate makes "
            "up for each coefficient. Nothing is wrong with the fit; the predictors do not "
            "tell the groups apart."
        )


def _as_item(sentence):
    return fill(sentence, width=88, initial_indent="- ", subsequent_indent="  ")


def _layout(table):
    """Leave out the names of the index, and a header that is empty."""
    return {"header": list(table.columns) != [""], "index_names": False}


def _number_as_text(number):
    return f"{number:.4f}" if isinstance(number, float) else str(number)


def _as_text(table, *, stars=False):
    """Numbers as text, each column with as many decimals as its smaller entries need."""
    text = table.apply(_column_as_text).rename_axis(columns=None)
    if "lower" in table:  # what is compared has the same decimals
        alike = ["estimate", "std_error", "lower", "upper"]
        text[alike] = table[alike].apply(_column_as_text, like=table["std_error"])
    if stars and "p_value" in table:
        counts = sum((table["p_value"] < bound).astype(int) for bound in (0.05, 0.01, 0.001))
        text.insert(text.columns.get_loc("p_value") + 1, "", ["*" * n for n in counts])
    return text


def _column_as_text(column, like=None):
    """At least three decimals, and four significant digits of the smallest entry."""
    if not pd.api.types.is_numeric_dtype(column):
        return column
    form = FORMATS.get(column.name.split(" ")[0])
    if form:
        return column.map(form).where(column.notna(), "")
    sizes = (column if like is None else like).abs()
    smallest = sizes[(sizes > 0) & np.isfinite(sizes)].min()
    decimals = 3 if np.isnan(smallest) else max(3 - int(np.floor(np.log10(smallest))), 3)
    if decimals > 8 or sizes.max() > 1e9:
        return column.map("{:.4g}".format)
    return column.map(f"{{:.{decimals}f}}".format).where(column.notna(), "")


def _lower_triangle(correlation):
    """Correlations below the diagonal, as text, without the empty row and column."""
    text = correlation.map("{:.3f}".format)
    below = np.tri(len(text), k=-1, dtype=bool)
    return text.where(below, "").iloc[1:, :-1].rename_axis(None)
