"""What each group's rows say by themselves, without the other groups."""

from __future__ import annotations

import numpy as np

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
    # Z_j'W (y - X beta): a row for each random column, a column for each group
    residual = problem.C[:, -1] - np.tensordot(problem.C[:, :-1], beta, axes=(1, 0))
    # LAPACK has the group first, and moments have it last
    G, effects = np.moveaxis(problem.G, -1, 0), np.full_like(residual, np.nan)
    sizes = np.linalg.eigvalsh(G)  # ascending
    determined = sizes[:, 0] > RANK_TOLERANCE * sizes[:, -1]
    of_determined = np.linalg.solve(G[determined], residual.T[determined, :, None])
    effects[:, determined] = of_determined[..., 0].T
    return problem.coordinates.to_user_random_effects(effects)
