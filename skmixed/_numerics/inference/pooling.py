"""What each group's rows say by themselves, without the other groups."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.fit.criterion_of_factors import Eliminated
from skmixed._numerics.fit.elimination import sum_by, times
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import RANK_TOLERANCE


def own_effects(problem: Problem, beta: Array) -> Array:
    """Return group effects without pooling: least squares on the group's own residuals.

    The conditional mode b_j = H_j (C_jy - C_jX beta) is that estimate, G_j^-1 (C_jy - C_jX
    beta), drawn to zero by H_j G_j, which for a random intercept is the pooling weight.

    Parameters
    ----------
    problem : Problem
        The moments of the groups.
    beta : ndarray of shape (p,)
        Fixed effects, in the coordinates of the problem.

    Returns
    -------
    ndarray of shape (n_random, n_groups)
        In the user's coordinates; NaN for groups whose rows do not determine the q effects.
    """
    residual = _off_fixed(problem.C, beta)
    return problem.coordinates.to_user_random_effects(_own(problem.G, residual))


def own_effects_of_factor(at: Eliminated, beta: Array, f: int) -> Array:
    """Return effects of the groups of a factor without pooling, those of the others held.

    Least squares on the group's residuals from the fixed effects and from the predicted
    effects of the other factors, of which the conditional mode is H_j G_j times as large.

    Parameters
    ----------
    at : Eliminated
        The random effects eliminated, in the rows that the groups are known by.
    beta : ndarray of shape (p,)
        Fixed effects, in the coordinates of the problem.
    f : int
        Position of the factor.

    Returns
    -------
    ndarray of shape (n_random, n_groups)
        As of `own_effects`.
    """
    problem = at.criterion.problem
    residual = _off_fixed(problem.C[f], beta)
    for g, B in enumerate(at.B):
        if g != f:
            cells = problem.between(f, g)
            off = times(cells.values, _off_fixed(B, beta)[:, None, cells.second])
            residual -= sum_by(cells.first, off, residual.shape[-1])[:, 0]
    return problem.by_factor[f].to_user_random_effects(_own(problem.G[f], residual))


def _off_fixed(C: Array, beta: Array) -> Array:
    """Return C_y - C_X beta: a row for each random column, a column for each group."""
    return np.asarray(C[:, -1] - np.tensordot(C[:, :-1], beta, axes=(1, 0)))


def _own(G: Array, residual: Array) -> Array:
    """Solve for the effects of groups whose rows determine them; NaN of the others."""
    # LAPACK has the group first, and moments have it last
    G, effects = np.moveaxis(G, -1, 0), np.full_like(residual, np.nan)
    sizes = np.linalg.eigvalsh(G)  # ascending
    determined = sizes[:, 0] > RANK_TOLERANCE * sizes[:, -1]
    of_determined = np.linalg.solve(G[determined], residual.T[determined, :, None])
    effects[:, determined] = of_determined[..., 0].T
    return effects
