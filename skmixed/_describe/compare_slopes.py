"""Whether slopes within groups differ from those between them: Hausman's question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._public import public
from skmixed._reports.layout import Printed, column_as_text
from skmixed._rows.routing import predicting_model
from skmixed.preprocessing import BETWEEN, WITHIN, WithinBetween

# With fewer groups the normal approximation is poor for slopes between groups.
FEW_GROUPS = 30
NO_MODEL = (
    "compare_slopes needs a fitted mixed model of this package, or a pipeline that ends in "
    "one, but got {model}."
)
NO_PAIRS = (
    "The model must have two columns, such as 'ses_within' and 'ses_between', for at least one "
    "feature, but its columns are {terms}. Put WithinBetween before the model in a pipeline, "
    "and give the pipeline to compare_slopes. A feature that varies in one way only has one "
    "slope."
)
SOMETHING_BETWEEN = (
    "WithinBetween must come right before the model in the pipeline, since a transformer after "
    "it changes the units of the two parts, but the step before the model is {step}. Put "
    "scalers before WithinBetween."
)


@public("skmixed.inference")
@dataclass(frozen=True, repr=False)
class SlopeComparison(Printed):
    """Slopes within and between groups, and whether they differ.

    Printing it shows a table as text; a notebook shows it as HTML.

    Attributes
    ----------
    slopes : DataFrame
        One row for each split column: slopes within and between groups, their difference
        (between less within, the contextual effect), its std_error, z and p_value.
    statistic : float
        Wald statistic of all differences being 0.
    df : int
        Its degrees of freedom: the number of differences that can be tested.
    p_value : float
        How often it would be larger by chance if slopes were the same, by the chi-squared
        distribution with `df` degrees of freedom.
    n_groups : int
        Number of groups.
    """

    slopes: pd.DataFrame
    statistic: float
    df: int
    p_value: float
    n_groups: int

    @classmethod
    def from_estimates(cls, names, within, between, cov, n_groups):
        """Test the differences between two sets of slopes.

        Parameters
        ----------
        names : list of str
            Names of the columns.
        within, between : ndarray of shape (n_columns,)
            Their slopes.
        cov : ndarray of shape (2 * n_columns, 2 * n_columns)
            Covariance of (within, between); NaN for slopes without an estimate.
        n_groups : int
            Number of groups.

        Returns
        -------
        SlopeComparison
            The test.
        """
        difference, cov = between - within, _cov_of_difference(cov)
        std_error = np.sqrt(np.diag(cov))
        tested = std_error > 0  # False for NaN
        z = np.full(len(names), np.nan)
        z[tested] = difference[tested] / std_error[tested]
        scale = np.outer(std_error[tested], std_error[tested])
        correlation = cov[np.ix_(tested, tested)] / scale
        statistic, df = z[tested] @ np.linalg.solve(correlation, z[tested]), int(tested.sum())
        slopes = {"within": within, "between": between, "difference": difference}
        slopes |= {"std_error": std_error, "z": z, "p_value": 2 * norm.sf(np.abs(z))}
        return cls(
            slopes=pd.DataFrame(slopes, index=pd.Index(names, name="column")),
            statistic=float(statistic) if df else np.nan,
            df=df,
            p_value=float(chi2.sf(statistic, df)) if df else np.nan,
            n_groups=n_groups,
        )

    @property
    def title(self):
        """What is compared.

        Returns
        -------
        str
            One line.
        """
        return f"Slopes within and between {self.n_groups} groups"

    @property
    def remarks(self):
        """The joint test, and how far to trust it.

        Returns
        -------
        tuple of str
            Sentences.
        """
        remarks = [f"Test that all differences are 0: {self.as_text()}"]
        if self.n_groups < FEW_GROUPS:
            remarks.append(
                f"There are {self.n_groups} groups; with fewer than {FEW_GROUPS} p-values tend "
                "to be too small."
            )
        return tuple(remarks)

    def as_text(self):
        """Give the joint test as text.

        Returns
        -------
        str
            Statistic, degrees of freedom and p-value.
        """
        if not self.df:
            return "not possible"
        return f"chi2({self.df}) = {self.statistic:.2f}, p = {self.p_value:.3g}"

    def _tables(self):
        slopes = self.slopes
        text = slopes.drop(columns=["z", "p_value"]).apply(
            lambda column: column_as_text(column.rename("slope"), like=slopes["std_error"])
        )
        text["z"] = slopes["z"].map("{:.3f}".format).where(slopes["z"].notna(), "")
        text["p_value"] = column_as_text(slopes["p_value"])
        yield "Slopes", text


@public("skmixed.inference")
def compare_slopes(estimator: Any) -> SlopeComparison:
    """Test whether slopes within groups differ from those between groups.

    A mixed model gives each feature one slope, an average of two. If these differ, group
    effects are correlated with the features, the average means neither, and it is not that
    of fixed effects. This is Hausman's test in Mundlak's form: a Wald test that all
    differences are 0, in a model of the within and between parts. For columns that vary in
    one way only there is nothing to compare.

    Parameters
    ----------
    estimator : Pipeline or estimator
        A fitted pipeline of `skmixed.preprocessing.WithinBetween` and a mixed model, a search
        that chose one, or a mixed model of a DataFrame whose columns are named as those of
        WithinBetween, such as ``ses_within`` and ``ses_between``.

    Returns
    -------
    SlopeComparison
        Prints as text, shows as HTML in a notebook; holds the table of slopes and the test.

    Raises
    ------
    TypeError
        If the estimator is no mixed model.
    ValueError
        If the model has no feature in two parts, or if another transformer comes after
        WithinBetween.

    Notes
    -----
    For a random intercept and features that are either split or constant within groups the
    statistic is exactly (b_W - b_R)' (V_W - V_R)^-1 (b_W - b_R), where b_W are the slopes of
    fixed effects and b_R those of the mixed model of unsplit features, V their covariances,
    and variance components are those of the split model. The test treats these as known, so
    it is good with many groups; a difference that matters may go unnoticed with few.

    References
    ----------
    Hausman, J. A. (1978). Specification tests in econometrics. Econometrica, 46(6), 1251-1271.
    doi:10.2307/1913827

    Mundlak, Y. (1978). On the pooling of time series and cross section data. Econometrica,
    46(1), 69-85. doi:10.2307/1913646

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inference import compare_slopes
    >>> from skmixed.preprocessing import WithinBetween
    >>> frame = load_hsb().frame
    >>> pipeline = make_pipeline(
    ...     WithinBetween(group_by="school"), RandomInterceptRegressor(group_by="school")
    ... ).fit(frame[["ses", "minority", "catholic", "school"]], frame["math"])
    >>> compare_slopes(pipeline)
    Slopes within and between 160 groups
    <BLANKLINE>
    Test that all differences are 0: chi2(2) = 36.09, p = 1.46e-08
    <BLANKLINE>
    Slopes:
               within  between difference std_error      z  p_value
    ses        1.9525   4.3452     2.3927    0.4256  5.621  <0.0001
    minority  -2.8956  -2.3572     0.5384    0.5721  0.941   0.3466
    """
    estimator = predicting_model(estimator)
    model, terms = _model_and_terms(estimator)
    slopes = {term: i for i, term in enumerate(terms)}
    names = [
        term.removesuffix(WITHIN)
        for term in terms
        if term.endswith(WITHIN) and term.removesuffix(WITHIN) + BETWEEN in slopes
    ]
    if not names:
        raise ValueError(NO_PAIRS.format(terms=terms))
    within = [slopes[name + WITHIN] for name in names]
    between = [slopes[name + BETWEEN] for name in names]
    cov = model.coef_cov_.to_numpy()[-len(terms) :, -len(terms) :]
    return SlopeComparison.from_estimates(
        names,
        model._slopes[within],
        model._slopes[between],
        cov[np.ix_(within + between, within + between)],
        model.n_groups_,
    )


def _cov_of_difference(cov):
    """Var(b - w), element by element: NaN of one column does not spread to others."""
    k = len(cov) // 2
    cross = cov[:k, k:]
    return cov[:k, :k] + cov[k:, k:] - cross - cross.T


def _model_and_terms(estimator):
    """Find the mixed model and the names of its features."""
    model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(model, BaseMixedRegressor):
        raise TypeError(NO_MODEL.format(model=model))
    check_is_fitted(model)
    if model is estimator:
        return model, model._terms
    split = estimator[-2] if len(estimator) > 1 else None
    if not isinstance(split, WithinBetween):
        raise ValueError(SOMETHING_BETWEEN.format(step=split))
    terms = list(split.get_feature_names_out())
    if isinstance(model.group_by, str):
        terms = [term for term in terms if term != model.group_by]
    elif model.group_by is not None:
        terms.pop(model.group_by)
    return model, terms
