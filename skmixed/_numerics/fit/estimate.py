"""The choice between one variance ratio and a covariance matrix."""

from __future__ import annotations

from dataclasses import replace

from skmixed._numerics.fit.criterion import Criterion, Optimum
from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.identifiability import levels_off, without_what_cannot_be_told
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.fit.search_one_column import minimize_ratio
from skmixed._numerics.fit.search_several_columns import minimize_covariance
from skmixed._numerics.linalg.arrays import Array

# A minimum that lies lower than the start by more than this, which is the square of a
# distance in standard errors, may be another one than a search from scratch would find.
NEAR = 2.0


def estimate(
    problem: Problem, *, reml: bool, tol: float, max_iter: int, start: Array | None = None
) -> tuple[Criterion, Optimum]:
    """Find the relative covariance factor of the random effects.

    Parameters
    ----------
    problem : Problem
        Moments of the model.
    reml : bool
        Restricted maximum likelihood if true, else maximum likelihood.
    tol : float
        The search ends with a step that promises to lower the criterion by less.
    max_iter : int
        Newton steps allowed.
    start : ndarray of shape (q, q), optional
        A relative covariance factor that must be near; without it the minimum is looked for
        everywhere. One variance ratio needs none: its whole line is searched.

    Returns
    -------
    criterion : Criterion
        The function that was minimised.
    optimum : Optimum
        Where.
    """
    if problem.q == 1:
        ratio = RatioCriterion.from_problem(problem, reml=reml)
        return ratio, minimize_ratio(ratio, tol=tol, max_iter=max_iter)
    criterion = CovarianceCriterion(problem, reml)
    optimum = minimize_covariance(
        criterion, diagonal=problem.diagonal, tol=tol, max_iter=max_iter, start=start
    )
    if optimum.diverged:
        return criterion, replace(optimum, converged=levels_off(problem, reml=reml))
    if criterion.is_identified:
        Lambda = without_what_cannot_be_told(problem, optimum.Lambda, reml=reml)
        optimum = replace(optimum, Lambda=Lambda)
    return criterion, optimum


def estimate_near(
    problem: Problem, *, reml: bool, tol: float, max_iter: int, start: Array
) -> tuple[Criterion, Optimum]:
    """Find the relative covariance factor from a start that is likely to be close.

    Parameters and returns are those of `estimate`. If the minimum is not close, it is looked
    for everywhere.
    """
    criterion, optimum = estimate(problem, reml=reml, tol=tol, max_iter=max_iter, start=start)
    if isinstance(criterion, CovarianceCriterion):
        fall = criterion.value(start) - criterion.value(optimum.Lambda)
        if not optimum.converged or fall > NEAR:
            return estimate(problem, reml=reml, tol=tol, max_iter=max_iter)
    return criterion, optimum
