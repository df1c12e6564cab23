"""Random intercepts without a fold, the ratios of variances held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion_iterative import Probes
from skmixed._numerics.fit.factors import make_criterion, solve_factors
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem_of_factors import make_factors_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments

INTERCEPTS = Specification()


class LevelEffects(NamedTuple):
    """Random intercepts of the levels of a factor.

    Attributes
    ----------
    labels : ndarray of shape (n_levels,)
        The levels that there are rows of.
    b : ndarray of shape (n_levels,)
        Conditional modes.
    share : ndarray of shape (n_levels,)
        What the rows leave of the variance, as a share of it.
    """

    labels: NDArray[np.intp]
    b: Array
    share: Array


def effects_at(
    moments: GroupedMoments | FactorMoments, theta: Array, probes: Probes | None = None
) -> list[LevelEffects]:
    """Solve the mixed-model equations for given ratios of variances.

    Parameters
    ----------
    moments : GroupedMoments or FactorMoments
        Of the rows; only intercepts are random.
    theta : ndarray of shape (n_factors,)
        Standard deviation of each factor's effects over that of the residuals.
    probes : Probes, optional
        If given, what crosses is solved iteratively.

    Returns
    -------
    list of LevelEffects
        Of each factor.
    """
    if isinstance(moments, GroupedMoments):
        criterion = INTERCEPTS.criterion(moments)
        back = criterion.problem.coordinates.random_backmap
        solution = solve(criterion, np.linalg.solve(back, theta[:1, None]))
        return [LevelEffects(moments.labels, solution.b[0], 1 - solution.pooling_weights[0])]
    return _of_factors(moments, theta, probes)


def _of_factors(
    moments: FactorMoments, theta: Array, probes: Probes | None
) -> list[LevelEffects]:
    specifications = [INTERCEPTS] * len(moments.factors)
    problem = make_factors_problem(moments, specifications)
    solver = "exact" if probes is None else "iterative"
    criterion = make_criterion(problem, INTERCEPTS.reml, solver, probes)
    Lambdas: Sequence[Array] = [
        np.linalg.solve(own.random_backmap, np.reshape(ratio, (1, 1)))
        for own, ratio in zip(problem.by_factor, theta, strict=True)
    ]
    solution = solve_factors(criterion.eliminate(Lambdas), Lambdas)
    shares = (
        [np.full(len(factor.labels), np.nan) for factor in moments.factors]
        if probes
        else [1 - weights[0] for weights in solution.pooling_weights]
    )
    return [
        LevelEffects(factor.labels, b[0], share)
        for factor, b, share in zip(moments.factors, solution.b, shares, strict=True)
    ]
