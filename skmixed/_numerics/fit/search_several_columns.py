"""The relative covariance matrix that minimises the criterion, singular ones included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skmixed._numerics.fit.criterion import Optimum
from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.descent import Search, State
from skmixed._numerics.fit.factor import Factor
from skmixed._numerics.fit.search_one_column import minimize_ratio
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import PERFECT_FIT, residual_square

# Variance ratios to start from, since the criterion may have several minima; and those to
# start from in samples, which do not show the minima that a few extreme rows make.
STARTS = (1.0, 0.05, 30.0, 0.003, 1000.0)
STARTS_IN_SAMPLES = STARTS[:3]
# What a search among samples of groups may leave.
ROUGH = 1e-3
# With fewer groups the search starts from the minima of submodels, too; and with any number if
# the squares of y are so many times those within groups.
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
        best, is_only = _descend_from_several(criterion, search)
    else:
        best, is_only = search.descend(criterion, start @ start.T), False
    diverged = best.factor.diverged(largest) or _explains_all(criterion, best.factor)
    Lambda = _without_negligible(criterion, best)
    converged = best.converged and not diverged
    return Optimum(Lambda, best.n_iter, converged, diverged, is_only, best.flat)


def _descend_from_several(criterion: CovarianceCriterion, search: Search) -> tuple[State, bool]:
    """Take the lowest end of several descents, among samples of groups if there are many.

    Returns it, and whether all others ended there, too.
    """
    chain = _ever_smaller_samples(criterion)
    few, q = len(chain) == 1, criterion.problem.q
    rough = replace(search, tol=search.tol if few else max(search.tol, ROUGH), polish=False)
    starts = [ratio * np.eye(q) for ratio in (STARTS if few else STARTS_IN_SAMPLES)]
    if _needs_submodels(criterion):
        starts += _minima_along_axes(chain[-1], search)
    found = rough.descend_side_by_side(chain[-1], starts, merge=not few)
    best = min(found, key=lambda state: state.value)
    is_only = all(best.is_near(state.factor) for state in found)
    for sample in reversed(chain[1:-1]):
        best = rough.descend(sample, best.factor.Psi)
    if best.converged or not few:
        # for few groups, too: which of equal minima was the lowest must not show
        best = search.descend(criterion, best.factor.Psi).after(best)
    return best, is_only


def _needs_submodels(criterion: CovarianceCriterion) -> bool:
    """Whether minima may lie where multiples of the identity do not lead.

    Few groups may be ruled by a few rows; and groups may lie very far apart.
    """
    problem = criterion.problem
    far_apart = problem.within[-1, -1] * FAR_APART < problem.T[-1, -1]
    return problem.n_groups < FEW_GROUPS or bool(far_apart)


def _minima_along_axes(criterion: CovarianceCriterion, search: Search) -> list[Array]:
    """Minima of the models with one of the random columns: no fit shall be worse than these.

    The half-line of one variance ratio is scanned as a whole.
    """
    problem, minima = criterion.problem, []
    for a in range(problem.q):
        alone = RatioCriterion.from_problem(
            replace(problem, root=problem.root[[a]]), reml=criterion.reml
        )
        try:
            optimum = minimize_ratio(alone, tol=search.tol, max_iter=search.max_iter)
        except np.linalg.LinAlgError:  # far out a column of X is lost in this one
            continue
        if optimum.Lambda.any():
            Psi = np.zeros((problem.q, problem.q))
            Psi[a, a] = optimum.Lambda[0, 0] ** 2
            minima.append(Psi)
    return minima


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
