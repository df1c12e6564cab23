"""Wording of what the rows do not determine of the random effects' covariance."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from skmixed._numerics.fit.flat_directions import constant_within, flat_directions
from skmixed._rows.reader import INTERCEPT

# More numbers than this are named by their terms alone.
MANY = 4
# More columns than this are not listed as what `slopes` would be.
MANY_SLOPES = 12

NOT_IDENTIFIED = (
    "The rows do not determine {numbers}: the likelihood {depends}. The estimates, and "
    "correlations made of them, are not to be read one by one. {remedy}"
)
LEAVE_OUT_CONSTANT = (
    "{columns} {vary} not vary within groups, so no group shows a slope of its own: leave "
    "{them} out of `slopes`{others}."
)
LEAVE_OUT = (
    "The groups have too few different rows for so many random effects: leave out a slope{or_}."
)
CONSTANT_SLOPES = (
    "{columns} {vary} not vary within groups, so no group shows a slope of its own: a random "
    "slope of {them} only lets the variance of the groups' levels depend on {them}. Leave "
    "{them} out of `slopes`{others}, unless that is meant."
)
# Where the rows were not kept, squares of deviations below a share of 1e-12 cannot be seen.
AS_FAR_AS_SUMS_SHOW = (
    " (So the sums say, which do not show deviations below a millionth of a column's spread; "
    "`fit` with all rows at once shows them.)"
)


def slopes_as_given(model):
    """Name the random effects, each with what the parameter `slopes` calls its column."""
    columns, terms = model._columns, list(model.random_effects_.columns)
    given = columns.slope_terms
    if not hasattr(model, "feature_names_in_"):
        positions = columns.without_group(np.arange(model.n_features_in_))
        given = positions[list(columns.slopes)].tolist()
    has_level = INTERCEPT in terms
    return dict(zip(terms, [INTERCEPT, *given][not has_level :], strict=True))


def explain_not_identified(criterion, Lambda, slopes):
    """Say which variances and covariances the rows do not determine, and what to do.

    Parameters
    ----------
    criterion : Criterion
        Of a model with random effects.
    Lambda : ndarray of shape (q, q)
        Factor of Psi at its optimum.
    slopes : dict
        As `slopes_as_given` gives them.

    Returns
    -------
    str or None
        None if all are determined.
    """
    terms = list(slopes)
    if len(terms) < 2 or not criterion.is_identified or not Lambda.any():
        return None
    flat = flat_directions(criterion)
    if not len(flat):
        return None
    changes, remedies = _changes(flat, terms), []
    constant = _constant_slopes(criterion, terms)
    if constant:
        remedies.append(LEAVE_OUT_CONSTANT.format(**_do_not_vary(constant, slopes)))
    if not any(term in constant for _, of in changes for term in of):
        helps = not criterion.problem.diagonal and flat.end_without_covariances
        remedies.append(LEAVE_OUT.format(or_=", or use covariance='diag'" if helps else ""))
    return NOT_IDENTIFIED.format(
        numbers=_name(changes, terms), depends=_depends(changes), remedy=" ".join(remedies)
    )


def explain_constant_slopes(criterion, slopes):
    """Name random slopes of columns that do not vary within groups; None without any."""
    terms = list(slopes)
    if INTERCEPT not in terms or not criterion.is_identified:
        return None
    constant = _constant_slopes(criterion, terms)
    return name_constant_slopes(constant, slopes) if constant else None


def name_constant_slopes(constant, slopes):
    """Name random slopes of columns that do not vary within groups.

    Parameters
    ----------
    constant : list of str
        Their names.
    slopes : dict or list
        All random effects, as `slopes_as_given` gives them, or by name alone.

    Returns
    -------
    str
    """
    slopes = slopes if isinstance(slopes, dict) else {name: name for name in slopes}
    return CONSTANT_SLOPES.format(**_do_not_vary(constant, slopes))


def explain_perfect_correlation(random_effects_cov):
    """Say in a singular fit that its two random effects go together.

    Parameters
    ----------
    random_effects_cov : DataFrame of shape (q, q)
        Covariance of the random effects.

    Returns
    -------
    str or None
        None if there are not two that both vary.
    """
    if len(random_effects_cov) != 2 or not np.diag(random_effects_cov).all():
        return None
    names = ("intercept" if t == INTERCEPT else f"slope of {t}" for t in random_effects_cov)
    return f"{' and '.join(names)} are perfectly correlated"


def _constant_slopes(criterion, terms):
    constant = zip(terms, constant_within(criterion.problem), strict=True)
    return [term for term, is_constant in constant if is_constant and term != INTERCEPT]


def _do_not_vary(columns, slopes):
    several = len(columns) > 1
    others = [slope for term, slope in slopes.items() if term not in (INTERCEPT, *columns)]
    return {
        "columns": ", ".join(columns),
        "vary": "do" if several else "does",
        "them": "them" if several else "it",
        "others": f", as in slopes={others}" if 0 < len(others) <= MANY_SLOPES else "",
    }


def _changes(flat, terms):
    """Numbers that are not determined, by name, with their change in each direction."""
    D, changes = flat.of_covariance, {}
    for i, term in enumerate(terms):
        changes[f"the variance of {term}", (term,)] = D[:, i, i]
    for i, j in combinations(range(len(terms)), 2):
        pair = terms[i], terms[j]
        changes["the covariance of {} and {}".format(*pair), pair] = D[:, i, j]
    if flat.change_sigma2:
        changes["the residual variance", ()] = flat.of_sigma2
    return {name: change for name, change in changes.items() if change.any()}


def _name(changes, terms):
    if len(changes) <= MANY:
        return _and([name for name, _ in changes])
    some = [term for term in terms if any(term in of for _, of in changes)]
    residual = [name for name, of in changes if not of]
    return _and([f"variances and covariances of {', '.join(some)}", *residual])


def _depends(changes):
    """Say through which combinations the likelihood depends on some numbers."""
    names, directions = [name for name, _ in changes], list(changes.values())
    n_determined = len(changes) - len(directions[0])
    if n_determined == 0:
        return "does not depend on them"
    if len(changes) > 2:
        some = "one combination" if n_determined == 1 else f"{n_determined} combinations"
        return f"depends on these {len(changes)} numbers only through {some} of them"
    # what a change along the direction leaves as it is
    factor = -directions[0][0] / directions[1][0]
    times = "" if abs(abs(factor) - 1) < 1e-6 else f"{abs(factor):.4g} times "
    return f"depends on them only through {names[0]} {'-+'[int(factor > 0)]} {times}{names[1]}"


def _and(names):
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
