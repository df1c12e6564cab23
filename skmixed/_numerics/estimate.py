"""The choice between one variance ratio and a covariance matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.covariance import CovarianceCriterion
from skmixed._numerics.covariance_search import minimize_covariance
from skmixed._numerics.criterion import Criterion, Optimum
from skmixed._numerics.moments import Array
from skmixed._numerics.problem import Problem
from skmixed._numerics.ratio import RatioCriterion
from skmixed._numerics.ratio_search import minimize_ratio


@dataclass(frozen=True)
class NoRandomEffects(Criterion):
    """The criterion of a model whose random columns are all zero: V is the identity."""

    def eliminate(self, Lambda: Array) -> tuple[float, Array]:
        """Return log|V| = 0 and M = T."""
        return 0.0, self.problem.T

    def conditional_modes(self, Lambda: Array, beta: Array) -> Array:
        """Return no random effects, shape (0, n_groups)."""
        return np.zeros((0, self.problem.n_groups))

    def conditional_variances(self, Lambda: Array, rows: Array) -> Array:
        """Return zeros, shape (len(rows), n_groups)."""
        return np.zeros((len(rows), self.problem.n_groups))


def estimate(
    problem: Problem, *, reml: bool, tol: float, max_iter: int
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

    Returns
    -------
    criterion : Criterion
        The function that was minimised.
    optimum : Optimum
        Where.
    """
    if len(problem.C) == 0:
        return NoRandomEffects(problem, reml), Optimum(np.zeros((0, 0)), 1, converged=True)
    if len(problem.C) == 1:
        ratio = RatioCriterion.from_problem(problem, reml=reml)
        return ratio, minimize_ratio(ratio, tol=tol, max_iter=max_iter)
    criterion = CovarianceCriterion(problem, reml)
    optimum = minimize_covariance(
        criterion, diagonal=problem.diagonal, tol=tol, max_iter=max_iter
    )
    return criterion, optimum
