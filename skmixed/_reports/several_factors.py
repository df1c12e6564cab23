"""What a user must know of a fit with several grouping factors."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skmixed._numerics.linalg.digits import CONSTANT_WITHIN, DIGITS_TRUSTED
from skmixed._reports.messages import (
    BEYOND_MEASURE,
    FEW_DIGITS,
    NO_RESIDUAL,
    NOT_CONVERGED,
    RANK_DEFICIENT,
    SINGULAR,
)
from skmixed._reports.not_identified import explain_perfect_correlation, name_constant_slopes
from skmixed._rows.reader import INTERCEPT
from skmixed._warn import warn
from skmixed.exceptions import NotIdentifiedWarning, SingularFitWarning

TINY = np.finfo(np.float64).tiny
# A counter of groups restarts in at least so many others before it is asked about.
FEWEST_OUTER = 3

NO_VARIANCE_OF_FACTOR = (
    "the variance between the groups of {factor!r} is estimated as exactly 0, so all its "
    "effects are 0: given the other factors its groups differ no more than rows would by "
    "chance."
)
NO_VARIANCE_IN_FACTOR = (
    "in {factor!r} the variance of the random effects of {columns} is estimated as exactly 0. "
    "Leave them out of its slopes."
)
LOW_RANK_IN_FACTOR = (
    "in {factor!r} {what_is_left}. The data do not support so many random effects: leave out a "
    "slope, or use covariance={{{factor!r}: 'diag'}}."
)
USED_AGAIN = (
    "Labels of {inner!r} are used again: {label!r} occurs in {n} groups of {outer!r}, and is "
    "taken for the same group in all of them. If they are different ones, did you mean "
    "{remedy}?"
)


def warn_about_factors(model, fit):
    """Warn of what a user must know of a fit with several factors.

    Parameters
    ----------
    model : estimator
        The fitted model.
    fit : FactorFit
        What its attributes were made of.
    """
    if fit.digits_left < DIGITS_TRUSTED:
        warn(FEW_DIGITS.format(digits=fit.digits_left), LinAlgWarning)
    dropped = model.coef_cov_.index[fit.problem.coordinates.dependent]
    if len(dropped):
        warn(RANK_DEFICIENT.format(columns=", ".join(dropped)), LinAlgWarning)
    for message in _labels_used_again(model):
        warn(message, UserWarning)
    for message in _constant_slopes(model):
        warn(message, NotIdentifiedWarning)
    if not fit.optimum.converged:
        message = NOT_CONVERGED.format(max_iter=model.max_iter)
        warn(BEYOND_MEASURE if fit.optimum.diverged else message, ConvergenceWarning)
    elif fit.criterion.is_perfect:
        warn(SINGULAR + NO_RESIDUAL, SingularFitWarning)
    elif model.singular_:
        reasons = " And ".join(_why_factor_singular(model, fit))
        warn(SINGULAR + reasons, SingularFitWarning)


def _why_factor_singular(model, fit):
    """Explain in which factors random effects do not vary."""
    for (name, effects), rank, Lambda in zip(
        model.random_effects_.items(), fit.solution.rank, fit.solution.Lambdas, strict=True
    ):
        terms = effects.columns
        constant = terms[~Lambda.any(axis=1)]
        if rank == 0:
            yield NO_VARIANCE_OF_FACTOR.format(factor=name)
        elif len(constant):
            yield NO_VARIANCE_IN_FACTOR.format(factor=name, columns=", ".join(constant))
        elif rank < len(terms):
            cov = model.random_effects_cov_[name]
            what_is_left = explain_perfect_correlation(cov) or (
                f"the {len(terms)} random effects vary in {rank} direction(s) only"
            )
            yield LOW_RANK_IN_FACTOR.format(factor=name, what_is_left=what_is_left)


def _labels_used_again(model):
    """Ask about counters that start anew in each group of another factor: 1, 2, ... in each."""
    moments, columns = model._fitted.moments, model._columns
    for f, g in labels_used_again(moments):
        names = [columns.factors[i].group_name for i in (f, g)]
        yield USED_AGAIN.format(
            outer=names[0],
            inner=names[1],
            label=moments.factors[g].labels[0].item(),
            n=np.count_nonzero(moments.between(f, g).second == 0),
            remedy=_remedy(columns.group_by, names),
        )


def labels_used_again(moments):
    """Find factors whose labels count anew in each group of another one.

    Parameters
    ----------
    moments : FactorMoments
        Of the rows.

    Yields
    ------
    (int, int)
        Positions of the outer factor, and of the one with such labels.
    """
    for f, g in permutations(range(len(moments.factors)), 2):
        outer, inner = (moments.factors[i].labels for i in (f, g))
        if not _is_counter(inner):
            continue
        cells = moments.between(f, g)
        if _starts_anew(cells.first, cells.second, cells.n_rows, len(outer)):
            yield f, g


def _is_counter(labels):
    """Whether labels are 0, 1, 2, ... or 1, 2, 3, ..."""
    whole = labels.dtype.kind in "iu" and len(labels) > 1
    return whole and labels[0] in (0, 1) and labels[-1] - labels[0] == len(labels) - 1


def _starts_anew(outer, inner, n_rows, n_outer):
    """Whether each group has the first few labels, of more rows than one."""
    count, last = np.bincount(outer, minlength=n_outer), np.zeros(n_outer, dtype=np.intp)
    np.maximum.at(last, outer, inner)
    few = n_outer >= max(FEWEST_OUTER, 2 * (1 + inner.max()))
    return few and np.array_equal(count, 1 + last) and np.median(n_rows) > 1


def _remedy(group_by, names):
    if group_by is None:
        return "groups with joined labels"
    return f"({names[0]!r}, {names[1]!r}) in group_by in place of {names[1]!r}"


def _constant_slopes(model):
    """Name the slopes of columns that do not vary within the groups of their factor."""
    parts = zip(model._columns.factors, model._fitted.moments.factors, strict=True)
    for factor, moments in parts:
        terms = model.random_effects_[factor.group_name].columns
        random, n = list(moments.random[1:]), moments.C[0, 0]
        squares = moments.C[range(1, 1 + len(random)), random]
        within = np.sum(squares - moments.C[0, random] ** 2 / n, axis=-1)
        constant = within <= CONSTANT_WITHIN * np.maximum(squares.sum(axis=-1), TINY)
        if INTERCEPT in terms and constant.any():
            slopes = np.array(factor.slope_terms, dtype=object)
            message = name_constant_slopes(list(slopes[constant]), [INTERCEPT, *slopes])
            yield f"In factor {factor.group_name!r}: {message}"
