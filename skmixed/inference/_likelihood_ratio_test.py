"""Whether a larger model explains y better than one nested in it, by their likelihoods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.iterative import error_of_difference
from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._estimators.likelihoods.fitted import SumsOfRows
from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._estimators.pooled import PooledRegressor
from skmixed._numerics.linalg.digits import LOG_LIKELIHOOD_ERROR, SAME_SUMS
from skmixed._public import public
from skmixed._rows.reader import INTERCEPT
from skmixed._warn import warn

RANDOM_STATISTIC = (
    "The probes of solver='iterative' leave a standard error of {error:.2g} in the statistic"
    "{effect}."
)
RANDOM_P_VALUE = "; with two of these more or less the p-value is {} or {}"
# A difference of p-values that is worth a warning.
UNCERTAIN = 0.01


@public("skmixed.inference")
@dataclass(frozen=True)
class LikelihoodRatioTest:
    """Result of `likelihood_ratio_test`.

    Attributes
    ----------
    statistic : float
        Twice the difference of the log-likelihoods.
    df : int
        Number of parameters that the larger model has more.
    p_value : float
        Probability of a statistic as large if the smaller model is true.
    weights : dict
        Weight of each chi-square distribution in the reference distribution, by its degrees
        of freedom. More than one if a variance lies on its boundary, 0, in the smaller model.
    table : DataFrame
        A row for each model: parameters, AIC, BIC, log-likelihood; and the test.
    note : str
        Which distribution the p-value is from, and why.
    """

    statistic: float
    df: int
    p_value: float
    weights: dict[int, float]
    table: pd.DataFrame
    note: str

    def __str__(self):
        digits = {"p_value": "{:.4g}".format, "df": "{:.0f}".format}
        table = self.table.to_string(float_format="{:.4f}".format, formatters=digits, na_rep="")
        return f"Likelihood-ratio test\n\n{table}\n\n{self.note}"

    __repr__ = __str__


@public("skmixed.inference")
def likelihood_ratio_test(small: Any, large: Any) -> LikelihoodRatioTest:
    """Test whether a larger model explains y better than a model nested in it.

    Parameters
    ----------
    small, large : fitted estimators
        Mixed models fitted to the same rows by the same method, or a `PooledRegressor`, which
        is a fit by ML with a variance between groups of 0. Models that differ in fixed effects
        must be fitted by ``method="ml"``. Models of binary or count outcomes must have the
        same number of nodes; one that was fitted without groups is the pooled one.

    Returns
    -------
    LikelihoodRatioTest
        Statistic, degrees of freedom, p-value, and a table of both models.

    Raises
    ------
    ValueError
        If the models cannot be compared: not nested, of different distributions, fitted to
        different rows, by different methods, with different numbers of nodes, or by REML with
        different fixed effects.

    Warns
    -----
    UserWarning
        If the error that the iterative solver leaves in the statistic matters to the p-value.

    Notes
    -----
    Twice the difference of the log-likelihoods is about chi-square with as many degrees of
    freedom as the larger model has more parameters, unless the smaller model puts a variance
    on its boundary, 0. A random effect added to q others brings a variance and, if they are
    correlated, q covariances; the reference distribution is then half chi-square with the
    covariances' degrees of freedom and half with one more (Stram and Lee 1994). For several
    variances at once the weights depend on the data; the p-value then is that of the largest
    chi-square, which is too large rather than too small, and `note` says so.

    Log-likelihoods of ``solver="iterative"`` have an error of their own, of which models with
    the same random effects, `n_probes` and `random_state` have most in common; `note` says
    how much is left.

    References
    ----------
    Stram, D. O. and Lee, J. W. (1994). Variance components testing in the longitudinal mixed
    effects model. Biometrics, 50, 1171-1177. doi:10.2307/2533455

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import likelihood_ratio_test
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> level = RandomInterceptRegressor().fit(X, y, groups=subject)
    >>> slope = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
    >>> test = likelihood_ratio_test(level, slope)
    >>> round(test.statistic, 2), test.weights
    (42.84, {1: 0.5, 2: 0.5})
    """
    for model in (small, large):
        check_is_fitted(model)
        if not isinstance(model, BaseMixedRegressor | BaseLikelihoodModel | PooledRegressor):
            raise ValueError(
                "`small` and `large` must be mixed models or a PooledRegressor, but got "
                f"{type(model).__name__}. Fixed effects for groups are not nested in random "
                "ones. Whether slopes of the two differ is tested within one model:\n"
                "  compare_slopes(make_pipeline(WithinBetween(group_by='column'), "
                "RandomInterceptRegressor(group_by='column')).fit(X, y))"
            )
    small, large = small._as_it_is(), large._as_it_is()
    _check_same_distribution(small, large)
    _check_same_rows(small, large)
    _check_nested(small, large)
    statistic = 2 * (large.log_likelihood_ - small.log_likelihood_)
    error = error_of_difference(small, large)
    rounding = LOG_LIKELIHOOD_ERROR * (1 + abs(small.log_likelihood_)) + 3 * error
    if not np.isfinite(statistic) or statistic < -rounding:
        raise ValueError(
            "The log-likelihood of `large` must be at least that of `small`, but got "
            f"{large.log_likelihood_:.6g} and {small.log_likelihood_:.6g}. Check that both "
            "fits converged and that `small` is nested in `large`."
        )
    statistic = max(float(statistic), 0.0)
    df = _n_parameters(large) - _n_parameters(small)
    weights, note = _reference_distribution(small, large, df)
    p_value, low, high = (
        float(sum(weight * _tail(max(at, 0.0), k) for k, weight in weights.items()))
        for at in (statistic, statistic + 2 * error, statistic - 2 * error)
    )
    if error:
        ends = [f"{p:.2g}" for p in (low, high)]
        effect = RANDOM_P_VALUE.format(*ends) if ends[0] != ends[1] else ""
        of_probes = RANDOM_STATISTIC.format(error=error, effect=effect)
        note = f"{note} {of_probes}"
        if high - low > UNCERTAIN:
            warn(f"{of_probes} Use more probes in both models, by n_probes.", UserWarning)
    table = _tabulate((small, large), statistic, df, p_value)
    return LikelihoodRatioTest(statistic, df, p_value, weights, table, note)


def _tail(statistic, df):
    return chi2.sf(statistic, df) if df else float(statistic <= 0)


def _n_parameters(model):
    return round(model.aic_ / 2 + model.log_likelihood_)


class _Factor(NamedTuple):
    """What a model makes of a grouping factor."""

    moments: Any
    terms: frozenset
    is_correlated: bool


def _factors_of(model):
    """Find the grouping factors of a model, by name; none without groups."""
    columns = model._columns
    if columns.factors:
        parts = zip(model._fitted.moments.factors, model._fitted.specifications, strict=True)
        covs = model.random_effects_cov_.items()
        return {
            name: _Factor(moments, frozenset(cov.index), len(cov) > 1 and not of.diagonal)
            for (name, cov), (moments, of) in zip(covs, parts, strict=True)
        }
    if not len(model._moments.labels):
        return {}
    cov = model.random_effects_cov_
    correlated = len(model.theta_) > len(cov)
    return {columns.group_name: _Factor(model._moments, frozenset(cov.index), correlated)}


def _paired_factors(small, large):
    """Factors of both; single ones go together whatever they are called."""
    one, other = _factors_of(small), _factors_of(large)
    if len(one) == len(other) == 1:
        one = dict(zip(other, one.values(), strict=True))
    return one, other


def _check_same_distribution(small, large):
    """Compare the distributions of y, and how integrals over random effects are made."""
    one, other = (getattr(model, "_family", "normal") for model in (small, large))
    if one != other:
        pooled = f" The pooled model is {type(large).__name__}().fit(X, y), without groups."
        raise ValueError(
            "Both models must be of the same distribution of y, but got "
            f"{type(small).__name__} ({one}) and {type(large).__name__} ({other})."
            + (pooled if isinstance(small, PooledRegressor) else "")
        )
    if one == "normal" or not (small.n_groups_ and large.n_groups_):
        return
    if small.n_nodes_ != large.n_nodes_:
        raise ValueError(
            "Both likelihoods must be integrals with the same number of nodes, but got "
            f"{small.n_nodes_} and {large.n_nodes_}: their errors would count as a difference. "
            "Fit both with quadrature=1, the only choice with several random effects."
        )


def _check_same_rows(small, large):
    """Compare what is known of y, and the groups: the rows themselves are not kept."""
    same_y = np.allclose(sums_of_y(small), sums_of_y(large), rtol=SAME_SUMS, atol=0)
    one, other = _paired_factors(small, large)
    shared = one.keys() & other.keys()
    same = all(_same_groups(one[name].moments, other[name].moments) for name in shared)
    if not same_y or not same:
        raise ValueError(
            "Both models must be fitted to the same rows, weights and groups, but got "
            f"{small._moments.n:g} rows in {_n_groups(one)} groups and {large._moments.n:g} "
            f"rows in {_n_groups(other)} groups, or another y. Fit both to the same data; rows "
            "with missing values must be dropped from both."
        )


def _n_groups(factors):
    return " x ".join(str(len(factor.moments.labels)) for factor in factors.values()) or "0"


def sums_of_y(model):
    """Sum up what is known of y without its rows.

    Parameters
    ----------
    model : estimator
        A fitted model.

    Returns
    -------
    list of float
        Sum of the weights, mean, and sum of squares around it.
    """
    moments = model._moments
    if isinstance(moments, SumsOfRows):
        return moments.of_y
    mean = moments.T[0, -1] / moments.n
    around = moments.T[-1, -1] - moments.n * mean**2
    return [moments.n, mean + moments.shift[-1], around]


def _same_groups(one, other):
    same_labels = np.array_equal(one.labels, other.labels)
    return same_labels and np.allclose(one.sizes, other.sizes, rtol=SAME_SUMS, atol=0)


def _check_nested(small, large):
    method = [getattr(model, "method", "ml") for model in (small, large)]
    if method[0] != method[1]:
        raise ValueError(
            "Both models must be fitted by the same method, but got "
            f"method={method[0]!r} and {method[1]!r}. Fit both with method='ml', which is that "
            "of PooledRegressor, too."
        )
    fixed = [_fixed_terms(model) for model in (small, large)]
    if method[0] == "reml" and fixed[0] != fixed[1]:
        only = ", ".join(sorted(fixed[0] ^ fixed[1]))
        raise ValueError(
            "Likelihoods of REML fits can be compared only if the fixed effects are the same, "
            f"but {only} is in one model alone. Fit both models with method='ml'."
        )
    one, other = _paired_factors(small, large)
    _check_nested_strata(small, large)
    lost = fixed[0] - fixed[1]
    for name, factor in one.items():
        terms = other[name].terms if name in other else frozenset()
        where = "" if len(other) < 2 and len(one) < 2 else f" of {name}"
        lost |= {f"{term}{where}" for term in factor.terms - terms}
    shared = [(factor, other[name]) for name, factor in one.items() if name in other]
    freer = [before for before, after in shared if before.is_correlated > after.is_correlated]
    if lost or freer:
        what = ", ".join(sorted(lost)) or "the correlation of random effects"
        raise ValueError(
            f"`small` must be nested in `large`, but {what} is in `small` alone. If the models "
            "were given in the wrong order, swap them."
        )


def _check_nested_strata(small, large):
    """Refuse strata of the smaller model that are not those of the larger one."""
    one, other = _strata_of(small), _strata_of(large)
    if one is None:
        return
    same = other is not None and one.labels.equals(other.labels)
    if not same or not np.allclose(one.moments.n, other.moments.n, rtol=SAME_SUMS):
        raise ValueError(
            "`small` must be nested in `large`, but its residual variances differ between the "
            f"strata of variance_by={small._columns.variance_by!r}, and those of `large` do "
            f"not, by variance_by={getattr(large._columns, 'variance_by', None)!r}. Give both "
            "the same strata, or `small` none."
        )


def _strata_of(model):
    return getattr(model._fitted, "strata", None)


def _fixed_terms(model):
    estimate = model._coefficients
    terms = [INTERCEPT, *model._terms][1 + len(model._terms) - len(estimate) :]
    return {term for term, value in zip(terms, estimate, strict=True) if np.isfinite(value)}


def _reference_distribution(small, large, df):
    """Chi-square distributions and their weights, and the reason."""
    if df == 0:
        return {0: 1.0}, "The models have the same parameters, so there is nothing to test."
    one, other = _paired_factors(small, large)
    nothing = _Factor(None, frozenset(), False)
    grown = {name: (one.get(name, nothing), factor) for name, factor in other.items()}
    added = sum(len(after.terms - before.terms) for before, after in grown.values())
    if added == 0:
        return {df: 1.0}, f"The p-value is from chi-square with df = {df}."
    # other changes than that of one variance and its covariances have no known mixture
    alike = all(
        before.is_correlated == after.is_correlated or len(before.terms) < 2
        for before, after in grown.values()
    )
    if added == 1 and alike:
        return {df - 1: 0.5, df: 0.5}, (
            "The smaller model has a variance on its boundary, 0, so the p-value is from an "
            f"equal mixture of chi-square with df = {df - 1} and df = {df}."
        )
    return {df: 1.0}, (
        f"The smaller model has {added} random effects less, and their variances on the "
        f"boundary, 0. The p-value is from chi-square with df = {df}, which is conservative: "
        "the true one is smaller. Add random effects one at a time for an exact mixture."
    )


def _tabulate(models, statistic, df, p_value):
    table = pd.DataFrame(
        {
            "n_parameters": [_n_parameters(model) for model in models],
            "aic": [model.aic_ for model in models],
            "bic": [model.bic_ for model in models],
            "log_likelihood": [model.log_likelihood_ for model in models],
        },
        index=pd.Index(["small", "large"], name="model"),
    )
    table["statistic"] = [np.nan, statistic]
    table["df"] = [np.nan, df]
    table["p_value"] = [np.nan, p_value]
    return table
