"""The models behind a description of several factors: random intercepts, by REML."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from skmixed._describe.how_factors_lie import CROSSED, PARTLY, SAME
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._estimators.several_factors import fit_factors
from skmixed._numerics.inference.ratio_of_factor import RatioProfile
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.columns import drop_columns_of_factors, features_of
from skmixed._rows.threads import one_blas_thread

LEVEL = 0.95
# With more columns in dense blocks limits, which take dozens of evaluations, are left out.
MANY_COLUMNS = 1500
# Pairs of groups that meet must have so many rows on average to show what they share.
ROWS_PER_PAIR = 1.5
NAMES = ["variance", "share", "lower", "upper", "statistic", "p_value", "share_of_y"]
ONE_GROUP = "all rows are of the same group, {label!r}"
ONE_ROW = "each of its {n:,} groups has one row, so its effects are those of the residuals"
TOLD = (
    "the features tell its groups apart as dummies would, so there is nothing left for its "
    "effects to explain"
)
# Shares of the squares of dummies that the features leave, if only rounding is left.
NOTHING = 1e-9
SAME_AS = "it divides the rows into the same {n:,} groups as {other!r} does"


def usable(moments, names, pairs, *, varies):
    """Say which factors cannot be in a model of all, and why.

    Parameters
    ----------
    moments : FactorMoments
        Of the rows.
    names : list of str
        Of the factors.
    pairs : DataFrame
        How they lie.
    varies : str
        Where y varies.

    Returns
    -------
    dict of str to str
        Reasons by name.
    """
    aside = {}
    for name, factor in zip(names, moments.factors, strict=True):
        if len(factor.labels) == 1:
            aside[name] = ONE_GROUP.format(label=factor.labels.tolist()[0])
        elif np.all(factor.n_rows == 1):
            aside[name] = ONE_ROW.format(n=len(factor.labels))
        elif _is_told(factor):
            aside[name] = TOLD
    for f, name in enumerate(names):
        for other in names[:f]:
            pair = (name, other) if (name, other) in pairs.index else (other, name)
            same = pairs.loc[pair, "relation"] == SAME
            if same and not {name, other} & aside.keys():
                aside[name] = SAME_AS.format(n=len(moments.factors[f].labels), other=other)
    return aside


def _is_told(factor):
    """Whether the dummies of the groups are sums of features, and of the column of ones."""
    features, sums = factor.T[:-1, :-1], factor.C[0, :-1]
    if len(factor.labels) > len(features):
        return False
    size = np.sqrt(np.maximum(np.diag(features), np.finfo(float).tiny))
    features, sums = features / np.outer(size, size), sums / size[:, None]
    fitted = np.sum(sums * (np.linalg.pinv(features, hermitian=True) @ sums), axis=0)
    return bool(np.all(1 - fitted / factor.sizes < NOTHING))


def describe_variances(moments, columns, set_aside):
    """Tabulate the variance of each factor, its share, and what is known of that.

    Parameters
    ----------
    moments : FactorMoments
        Of the rows.
    columns : Columns
        What is known of them.
    set_aside : dict of str to str
        Factors that cannot be in the model.

    Returns
    -------
    DataFrame of shape (1 + n_factors, 7)
        As `FactorsDescription` has it.
    """
    names = columns.factor_names
    index = pd.Index([*names, "Residual"], name="level")
    table = pd.DataFrame(np.nan, index, NAMES)
    used = [f for f, name in enumerate(names) if name not in set_aside]
    some, part = _only(moments, columns, used)
    if not used or some.T[-1, -1] - some.T[0, -1] ** 2 / some.n <= 0:
        return table
    fit = _fit(some, part)
    if fit is None:
        return table
    here = [names[f] for f in used]
    variances = fit.solution.sigma2 * np.array(
        [float(L[0, 0]) ** 2 for L in fit.solution.Lambdas]
    )
    table.loc[here, "variance"], table.loc[here, "share"] = variances, fit.solution.icc
    for f, name in enumerate(here):
        table.loc[name, ["lower", "upper", "statistic", "p_value"]] = _judge(fit, f)
    _add_residual(table, "share", fit)
    table.loc["Residual", "variance"] = fit.solution.sigma2
    without = drop_columns_of_factors(some, features_of(some))
    alone = _fit(without, replace(part, terms=()))
    if alone is not None:
        table.loc[here, "share_of_y"] = alone.solution.icc
        _add_residual(table, "share_of_y", alone)
    return table


def describe_joined(rows, columns, moments, pairs, set_aside, components):
    """Test the joined labels of each crossed pair as one factor more.

    Parameters
    ----------
    rows : TrainingRows
        Checked rows.
    columns, moments, pairs, set_aside : as for `describe_variances`
        What is known of them.
    components : DataFrame
        What that found.

    Returns
    -------
    DataFrame of shape (n_pairs, 4)
        As `FactorsDescription` has it.
    """
    names, found = columns.factor_names, {}
    used = [h for h, name in enumerate(names) if name not in set_aside]
    unusable = {name for name, reason in set_aside.items() if reason != TOLD}
    for pair, how in pairs.iterrows():
        crossed = how["relation"] in (CROSSED, PARTLY) and not set(pair) & unusable
        f, g = (names.index(name) for name in pair)
        if not crossed or how["rows_per_pair"] < ROWS_PER_PAIR or _is_there(moments, f, g):
            continue
        if np.isnan(components.loc["Residual", "variance"]):
            continue
        sums, part = _with_joined(rows, columns, used, f, g)
        fit = _fit(sums, part)
        if fit is None:
            continue
        own = _profile(fit, len(used))
        of_second = _profile(fit, used.index(g)).p_value if g in used else np.nan
        found[pair] = {
            "share": fit.solution.icc[-1],
            "statistic": own.statistic,
            "p_value": own.p_value,
            "p_value_of_second": of_second,
        }
    table = pd.DataFrame.from_dict(
        found, orient="index", columns=["share", "statistic", "p_value", "p_value_of_second"]
    )
    index = pd.MultiIndex.from_tuples(found, names=pairs.index.names) if found else []
    return table.set_axis(index) if found else table


def _only(moments, columns, used):
    part = replace(columns, factors=tuple(columns.factors[f] for f in used))
    return moments.of_factors(used) if used else moments, part


def _fit(moments, columns):
    """Fit random intercepts; None where the features leave nothing of y."""
    if moments.n - len(columns.terms) - 1 <= len(moments.factors):
        return None
    fit = fit_factors(RandomInterceptRegressor(), moments, columns)
    return None if fit.criterion.is_perfect else fit


def _profile(fit, f):
    psi = np.array([float(Lambda[0, 0]) ** 2 for Lambda in fit.optimum.Lambdas])
    return RatioProfile(fit.criterion, psi, f)


def _judge(fit, f):
    """Limits of the share of a factor, and the test that it is 0."""
    profile = _profile(fit, f)
    with one_blas_thread():
        limits = [np.nan, np.nan]
        if fit.criterion.n_dense <= MANY_COLUMNS:
            limits = [_share(psi, f) for psi in profile.limits(LEVEL)]
        return [*limits, profile.statistic, profile.p_value]


def _share(psi, f):
    return 1.0 if np.isinf(psi[f]) else psi[f] / (1 + psi.sum())


def _add_residual(table, name, fit):
    table.loc["Residual", name] = 1 - sum(fit.solution.icc)


def _is_there(moments, f, g):
    """Whether the groups of a pair are those of a third factor."""
    n_cells = len(moments.between(f, g).first)
    return any(
        h not in (f, g)
        and len(moments.factors[h].labels) == n_cells
        and all(len(moments.between(h, other).first) == n_cells for other in (f, g))
        for h in range(len(moments.factors))
    )


def _with_joined(rows, columns, used, f, g):
    """Sum up the rows once more, with the joined labels of two factors as the last one."""
    key = rows.codes[f].astype(np.int64) * len(rows.labels[g]) + rows.codes[g]
    _, joined = np.unique(key, return_inverse=True)
    codes = [*(rows.codes[h] for h in used), joined]
    labels = [*(rows.labels[h] for h in used), np.arange(joined.max() + 1)]
    with one_blas_thread():
        moments = FactorMoments.from_rows(
            rows.X, rows.y, codes, labels, rows.sample_weight, random=[(0,)] * len(codes)
        )
    names = [columns.factors[h] for h in (f, g)]
    name = ":".join(factor.group_name for factor in names)
    factors = [columns.factors[h] for h in used] + [replace(names[0], group_name=name)]
    return moments, replace(columns, factors=tuple(factors))
