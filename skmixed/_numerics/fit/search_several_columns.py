"""The relative covariance matrix that minimises the criterion, singular ones included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from skmixed._numerics.fit.criterion import Optimum
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.descent import Search, State, distinct
from skmixed._numerics.fit.factor import Factor
from skmixed._numerics.fit.starts import (
    ALL_OF,
    PAIRS_OF,
    leads_down,
    lowest_on_rays,
    scoring_steps,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import PERFECT_FIT, residual_square

# Variance ratios to start from, besides, where there may be several minima.
STARTS = np.array([1.0, 0.05, 30.0, 0.003, 1000.0])
# Relative distance of starts that are taken for one.
CLOSE = 0.02
# What a search among samples of groups may leave.
ROUGH = 1e-3
# With fewer groups a few rows may rule: the search looks along many rays, and starts from the
# minima of submodels, too. So it does with any number if the squares of y are so many times
# those within groups.
FEW_GROUPS = 100
FAR_APART = 1e6
# With many groups the search begins with about 250 of them, and goes on with about 5,000.
MANY_GROUPS = 1000
SAMPLE_GROUPS = (5000, 250)
# Ratio of standard deviations from which on it is worth a look whether any residual is left.
LARGE_SD_RATIO = 1e3
# A variance ratio this small is set to zero if the criterion does not feel it.
NEGLIGIBLE = 1e-6
NOT_FELT = 1e-9


def minimize_covariance(
    criterion: CovarianceCriterion,
    *,
    diagonal: bool,
    tol: float,
    max_iter: int,
    start: Array | None = None,
) -> Optimum:
    """Minimise the criterion over positive semidefinite Psi.

    Newton steps in a factor of Psi: at each step the coordinates are turned to the
    eigenvectors of Psi, where Lambda is diagonal, and the lower triangle of Lambda is free to
    move. In these coordinates a singular optimum is an ordinary one, with a zero on the
    diagonal and a positive curvature there, and a point where Psi is singular but should not
    be is a saddle, left along its negative curvature.

    Parameters
    ----------
    criterion : CovarianceCriterion
        The function to minimise.
    diagonal : bool
        Whether Psi is restricted to diagonal matrices.
    tol : float
        The search ends with a step after which none would lower the criterion by more.
    max_iter : int
        Newton steps allowed for each start.
    start : ndarray of shape (q, q), optional
        A factor of the only Psi to start from, in place of several.

    Returns
    -------
    Optimum
    """
    if not criterion.is_identified:
        return Optimum(np.zeros((criterion.problem.q,) * 2), 1, converged=True)
    verify, largest = criterion.problem.n_groups < MANY_GROUPS, criterion.problem.largest_ratio
    search = Search(diagonal, tol, max_iter, verify, largest_ratio=largest)
    if start is None:
        best, is_only = _search_everywhere(criterion, search)
    else:
        best, is_only = search.descend(criterion, start @ start.T), False
    if not np.isfinite(best.value):
        raise np.linalg.LinAlgError("M_XX is not positive definite")
    diverged = bool(best.factor.diverged(largest)) or _explains_all(criterion, best.factor)
    Lambda = _without_negligible(criterion, best)
    converged = best.converged and not diverged
    return Optimum(Lambda, best.n_iter, converged, diverged, is_only, best.flat)


def _search_everywhere(criterion: CovarianceCriterion, search: Search) -> tuple[State, bool]:
    """Find the lowest minimum, among samples of groups first if there are many.

    Returns it, and whether no other was seen.
    """
    chain = _ever_smaller_samples(criterion)
    if len(chain) == 1:
        found = _minima(criterion, search)
        return found[0], len(found) == 1
    rough = replace(search, tol=max(search.tol, ROUGH), polish=False)
    found = _minima(chain[-1], rough)
    best = found[0]
    for sample in reversed(chain[1:-1]):
        best = rough.descend(sample, best.factor.Psi)
    if best.converged:
        best = search.descend(criterion, best.factor.Psi).after(best)
    return best, len(found) == 1


def _minima(criterion: CovarianceCriterion, search: Search) -> list[State]:
    """Find minima, the lowest first.

    Where a few groups may rule, those of models with some of the columns are starts, too: no
    fit shall be worse than these.
    """
    q = criterion.problem.q
    if not _may_hide_minima(criterion):
        return _minima_on_the_way(criterion, search, all_rays=False)
    rough = replace(search, tol=max(search.tol, ROUGH), polish=False)
    minima: list[Array] = []
    for columns in _submodels(q):
        own = np.ix_(columns, columns)
        root = criterion.problem.root[columns]
        part = replace(criterion, problem=replace(criterion.problem, root=root))
        if len(columns) <= 2:
            found = _minima_on_the_way(part, rough, all_rays=True)
        else:
            smaller = [Psi[own] for Psi in minima if not np.delete(Psi, columns, 0).any()]
            found = _minima_from_all(part, rough, smaller)
        for end in found:
            Psi = np.zeros((q, q))
            Psi[own] = end.factor.Psi
            minima.append(Psi)
    if 2 < q <= PAIRS_OF:
        return _minima_from_all(criterion, search, minima)
    return _minima_on_the_way(criterion, search, minima, all_rays=True)


def _minima_on_the_way(
    criterion: CovarianceCriterion,
    search: Search,
    more: Sequence[Array] = (),
    *,
    all_rays: bool,
) -> list[State]:
    """Descend from a step from moments, and from low places that are not on the way to its end.

    Low places are those along rays, and more; they are on the way if the criterion falls from
    there all the straight way. If one is not, or if the end is singular, where minima may lie
    close to one another, all of them are starts.
    """
    unit, lowest = lowest_on_rays(criterion, diagonal=search.diagonal, all_rays=all_rays)
    (start,) = scoring_steps(criterion, unit[None], diagonal=search.diagonal)
    first = search.descend(criterion, start)
    places = np.concatenate([lowest, np.reshape(more, (-1, *unit.shape))])
    on_the_way = leads_down(criterion, places, first.factor.Psi)
    if on_the_way.all() and not first.factor.is_singular:
        return [first]
    if len(unit) <= PAIRS_OF:
        starts = [*places, *STARTS[:, None, None] * np.eye(len(unit))]
    else:
        starts = [*places[~on_the_way]]
    return distinct([first, *search.descend_side_by_side(criterion, starts)])


def _minima_from_all(
    criterion: CovarianceCriterion, search: Search, more: Sequence[Array]
) -> list[State]:
    """Descend from low places along rays, and from more, after a step from moments each.

    If that shows more than one minimum, the descents begin at the places themselves, too.
    """
    _, lowest = lowest_on_rays(criterion, diagonal=search.diagonal, all_rays=True)
    starts = np.array([*lowest, *more, *STARTS[:, None, None] * np.eye(criterion.problem.q)])
    steps = scoring_steps(criterion, starts, diagonal=search.diagonal)
    ends = search.descend_side_by_side(criterion, _apart(steps, criterion.values_at(steps)))
    found = distinct(ends)
    if len(found) > 1:
        found = distinct([*found, *search.descend_side_by_side(criterion, starts)])
    return found


def _apart(Psi: Array, value: Array) -> list[Array]:
    """Of several Psi those that are not close to a lower one."""
    kept: list[Array] = []
    for i in np.argsort(value).tolist():
        near = (np.linalg.norm(Psi[i] - one) <= CLOSE * np.linalg.norm(one) for one in kept)
        if np.isfinite(value[i]) and not any(near):
            kept.append(Psi[i])
    return kept


def _submodels(q: int) -> list[list[int]]:
    """Choose columns, few before many: all choices of a few, pairs of some, one of many."""
    sizes = range(2, q) if q <= ALL_OF else [2] if q <= PAIRS_OF else [1]
    return [list(some) for size in sizes for some in combinations(range(q), size)]


def _may_hide_minima(criterion: CovarianceCriterion) -> bool:
    """Whether a few rows may rule, so that minima lie where one would not look."""
    problem = criterion.problem
    far_apart = problem.within[-1, -1] * FAR_APART < problem.T[-1, -1]
    return problem.n_groups < FEW_GROUPS or bool(far_apart)


def _ever_smaller_samples(criterion: CovarianceCriterion) -> list[CovarianceCriterion]:
    """List the criterion of all groups and those of samples, as far as these are smaller."""
    chain = [criterion]
    if criterion.problem.n_groups < MANY_GROUPS:
        return chain
    for size in SAMPLE_GROUPS:
        step = chain[-1].problem.n_groups // size
        if step > 1:
            chain.append(chain[-1].sampled(step))
    return chain


def _explains_all(criterion: CovarianceCriterion, factor: Factor) -> bool:
    """Whether no more residual is left than rounding."""
    if factor.scale.max() < LARGE_SD_RATIO:
        return False
    _, M = criterion.eliminate(factor.Lambda)
    return float(residual_square(M)) <= 2 * PERFECT_FIT * float(M[-1, -1])


def _without_negligible(criterion: CovarianceCriterion, state: State) -> Array:
    """Lambda with exact zeros for variances that the criterion cannot feel."""
    factor = state.factor
    variances = factor.scale**2
    small = (variances > 0) & (variances < NEGLIGIBLE * max(1.0, float(variances.max())))
    if small.any():
        reduced = Factor(factor.V, np.where(small, 0.0, factor.scale))
        here, there = criterion.value(factor.Lambda), criterion.value(reduced.Lambda)
        if there <= here + NOT_FELT * max(1.0, abs(here) * NOT_FELT**0.5):
            factor = reduced
    return factor.Lambda
