"""Features that do not vary within groups, and what they do to the variance between these."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from skmixed._numerics.fit.factors import FactorFit, LostDigitsError
from skmixed._numerics.inference.variance_parts import random_variances
from skmixed._numerics.moments.columns import drop_columns_of_factors
from skmixed._rows.reader import INTERCEPT
from skmixed._rows.threads import one_blas_thread

# With more columns in dense blocks a fit without some features takes long.
MANY_COLUMNS = 1500


def on_level_2(names, without_them, with_them, of=""):
    """Say what predictors that vary between groups alone do to the variance there.

    Parameters
    ----------
    names : list of str
        The predictors.
    without_them, with_them : float
        The variance in the model without them, and in the model.
    of : str, default=""
        Which groups, of several factors.

    Returns
    -------
    str
    """
    predictors = f"Level-2 predictors ({', '.join(names)})"
    change = f"the variance between groups{of} from {without_them:.4g} to {with_them:.4g}"
    if with_them <= without_them:
        explained = 1 - with_them / without_them
        return f"{predictors} lower {change}: they explain {explained:.0%} of it."
    return (
        f"{predictors} raise {change}: they explain less of it than as many columns of "
        "noise do on average, and the estimate makes up for each coefficient. Nothing is wrong "
        "with the fit. Effects are not excluded by it: see their intervals."
    )


def remarks_on_features_of_groups(model, variation):
    """Say the same of each of several factors.

    Parameters
    ----------
    model : estimator
        The fitted model.
    variation : DataFrame
        Where features vary, by factor.

    Yields
    ------
    str
    """
    names, fitted = model._columns.names, model._fitted
    if variation.index.nlevels < 2 or fitted.probes is not None:
        return
    if fitted.criterion.n_dense > MANY_COLUMNS:
        return
    varies = {name: variation.loc[name, "varies"] for name in names}
    slopes = {term for effects in model.random_effects_.values() for term in effects}
    of_groups = features_of_groups(varies, nested_pairs(fitted.moments, names))
    for f, name in enumerate(names):
        level_2 = [term for term in of_groups[name] if term not in slopes]
        if not level_2 or INTERCEPT not in model.random_effects_[name]:
            continue
        if not np.any(fitted.Lambdas[f]):
            continue
        without_them = _covariance_without(model, level_2, f)
        if without_them is not None:
            with_them = _between(fitted, f, model.random_effects_cov_[name].to_numpy())
            before = _between(fitted, f, without_them)
            yield on_level_2(level_2, before, with_them, f" of {name!r}")


def _between(fitted, f, cov):
    """Variance of random effects between groups, averaged over the rows."""
    factor, ones = fitted.moments.factors[f], fitted.specifications[f].random_intercept
    return random_variances(factor, cov, random_intercept=ones)[1]


def _covariance_without(model, terms, f):
    """Estimate the covariance of a factor again without some of the features."""
    dropped = np.array([False, *(term in terms for term in model._terms), False])
    moments = drop_columns_of_factors(model._fitted.moments, dropped)
    options = {"tol": model.tol, "max_iter": model.max_iter}
    try:
        with one_blas_thread():
            solution = FactorFit.of(moments, model._fitted.specifications, **options).solution
    except LostDigitsError:  # what they explain is all but everything
        return None
    return solution.sigma2 * solution.Lambdas[f] @ solution.Lambdas[f].T


def nested_pairs(moments, names):
    """Pairs of factors of which the first is nested in the second.

    Parameters
    ----------
    moments : FactorMoments
        Of the rows.
    names : sequence of str
        Of the factors.

    Returns
    -------
    list of (str, str)
    """
    pairs = permutations(range(len(names)), 2)
    return [
        (names[f], names[g])
        for f, g in pairs
        if len(moments.cells[min(f, g), max(f, g)].first) == len(moments.factors[f].labels)
    ]


def features_of_groups(varies, nested):
    """Name the features that do not vary within the groups of each factor.

    A feature of schools does not vary within the classes of these either; it is named once,
    with the outermost factor.

    Parameters
    ----------
    varies : dict of str to Series
        Where each feature varies, by factor.
    nested : list of (str, str)
        Pairs of factors, the first nested in the second.

    Returns
    -------
    dict of str to list of str
    """
    constant = {
        name: set(where.index[where == "between groups"]) for name, where in varies.items()
    }
    found = {}
    for name, where in varies.items():
        outer = set().union(*(constant[g] for f, g in nested if f == name))
        found[name] = [x for x in where.index if x in constant[name] - outer]
    return found
