"""Effects of levels without a fold, the ratios of variances held.

The model has the level means m_j of the features among its columns (Mundlak's device)::

    y_i = x_i' beta + (m_j - m)' gamma + b_j + e_i

so that beta is the slope within levels. The effect of a level is (m_j - m)' gamma + b_j: what
its rows say of it, shrunken towards what its means of x say. Only those means are taken whose
coefficient stands out by Akaike's criterion: others would add their noise to each effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion_iterative import Probes
from skmixed._numerics.fit.factors import (
    FactorFit,
    FactorsSolution,
    Solver,
    make_criterion,
    solve_factors,
)
from skmixed._numerics.fit.fit import Fit, Specification
from skmixed._numerics.fit.problem_of_factors import make_factors_problem
from skmixed._numerics.fit.solution import Solution, solve
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.level_means import level_means, with_level_means
from skmixed._numerics.moments.moments import GroupedMoments

Sums: TypeAlias = GroupedMoments | FactorMoments
INTERCEPTS = Specification()
TOL, MAX_ITER = 1e-8, 100
# A column more must lower the deviance by this, which is about the square of its t.
AKAIKE = 2.0


class Ratios(NamedTuple):
    """What is estimated once, from all rows.

    Attributes
    ----------
    kept : ndarray of shape (n_factors, n_features), dtype bool
        The means that are columns.
    theta : ndarray of shape (n_factors,)
        Standard deviation of each factor's b over that of the residuals.
    sigma : float
        Standard deviation of the residuals.
    probes : Probes or None
        If what crosses is solved iteratively.
    """

    kept: NDArray[np.bool_]
    theta: Array
    sigma: float
    probes: Probes | None = None

    @classmethod
    def of(cls, moments: Sums, probes: Probes) -> Ratios:
        """Choose the means, and estimate the variances by REML."""
        n_factors = len(moments.factors) if isinstance(moments, FactorMoments) else 1
        kept = np.ones((n_factors, len(moments.shift) - 2), dtype=bool)
        fit = _fit(with_level_means(moments, kept), probes)
        if not np.all(stand_out := _stand_out(fit.solution, kept)):
            kept = stand_out
            fit = _fit(with_level_means(moments, kept), probes)
        solution = fit.solution
        used = fit.probes if isinstance(fit, FactorFit) else None
        return cls(kept, solution.theta, float(np.sqrt(solution.sigma2)), used)


def _fit(sums: Sums, probes: Probes) -> Fit | FactorFit:
    if isinstance(sums, GroupedMoments):
        return Fit.of(sums, INTERCEPTS, tol=TOL, max_iter=MAX_ITER)
    specifications = [INTERCEPTS] * len(sums.factors)
    return FactorFit.of(
        sums, specifications, tol=TOL, max_iter=MAX_ITER, solver="auto", probes=probes
    )


def _stand_out(
    solution: Solution | FactorsSolution, means: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which of the means, the last columns, have a coefficient that pays."""
    first = len(solution.beta) - means.size
    gamma = solution.beta[first:]
    variance = np.diag(solution.beta_cov)[first:]  # NaN of a column that is dropped
    with np.errstate(invalid="ignore"):
        return np.reshape(gamma**2 > AKAIKE * variance, means.shape)


class LevelEffects(NamedTuple):
    """Effects of the levels of a factor.

    Attributes
    ----------
    labels : ndarray of shape (n_levels,)
        The levels that there are rows of.
    effects : ndarray of shape (n_levels,)
        0 for a level whose means are those of all rows, and of whose b nothing is known.
    share : ndarray of shape (n_levels,)
        What the rows leave of the variance of b, as a share of it.
    """

    labels: NDArray[np.intp]
    effects: Array
    share: Array


def effects_at(moments: Sums, ratios: Ratios) -> list[LevelEffects]:
    """Solve the mixed-model equations for given ratios of variances.

    Parameters
    ----------
    moments : GroupedMoments or FactorMoments
        Of the rows; only intercepts are random.
    ratios : Ratios
        The variances.

    Returns
    -------
    list of LevelEffects
        Of each factor.
    """
    sums = with_level_means(moments, ratios.kept)
    if isinstance(sums, GroupedMoments):
        beta, b, shares = _of_one(sums, ratios)
    else:
        beta, b, shares = _of_several(sums, ratios)
    factors = moments.factors if isinstance(moments, FactorMoments) else (moments,)
    p = len(moments.shift) - 2
    gammas = np.zeros(ratios.kept.shape)
    gammas[ratios.kept] = beta[1 + p :]
    mean = moments.T[0, 1:-1] / moments.T[0, 0]  # around the shift, as those of levels
    return [
        LevelEffects(factor.labels, gamma @ (level_means(factor) - mean[:, None]) + own, share)
        for factor, gamma, own, share in zip(factors, gammas, b, shares, strict=True)
    ]


def _of_one(sums: GroupedMoments, ratios: Ratios) -> tuple[Array, list[Array], list[Array]]:
    criterion = INTERCEPTS.criterion(sums)
    back = criterion.problem.coordinates.random_backmap
    Lambda: Array = np.linalg.solve(back, ratios.theta[:, None]).astype(np.float64)
    solution = solve(criterion, Lambda)
    return solution.beta, [solution.b[0]], [1 - solution.pooling_weights[0]]


def _of_several(sums: FactorMoments, ratios: Ratios) -> tuple[Array, list[Array], list[Array]]:
    problem = make_factors_problem(sums, [INTERCEPTS] * len(sums.factors))
    probes = ratios.probes
    solver: Solver = "exact" if probes is None else "iterative"
    criterion = make_criterion(problem, INTERCEPTS.reml, solver, probes)
    Lambdas: Sequence[Array] = [
        np.linalg.solve(own.random_backmap, np.reshape(ratio, (1, 1))).astype(np.float64)
        for own, ratio in zip(problem.by_factor, ratios.theta, strict=True)
    ]
    solution = solve_factors(criterion.eliminate(Lambdas), Lambdas)
    b = [own[0] for own in solution.b]
    if probes:  # which have no errors of levels
        return solution.beta, b, [np.full_like(own, np.nan) for own in b]
    return solution.beta, b, [1 - weights[0] for weights in solution.pooling_weights]
