"""Minima of criteria so close to one another that a step or two lead from one to the next."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.fit.criterion import Optimum
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.descent import Search
from skmixed._numerics.fit.factor import Factor, free_entries
from skmixed._numerics.linalg.arrays import Array


def descend_close_by(
    criterion: CovarianceCriterion, start: Array, *, diagonal: bool, tol: float, max_iter: int
) -> Optimum:
    """Take Newton steps from a factor of Psi so close to the minimum that one might do.

    A step that promises tol is the last: the error that it leaves is a small constant times
    tol, in standard errors. Parameters are those of `minimize_covariance`.
    """
    search = Search(
        diagonal, tol, max_iter, polish=False, largest_ratio=criterion.problem.largest_ratio
    )
    state = search.descend(criterion, start @ start.T)
    diverged = bool(state.factor.diverged(criterion.problem.largest_ratio))
    converged = state.converged and not diverged
    return Optimum(state.factor.Lambda, state.n_iter, converged, diverged)


def first_steps(
    criterion: CovarianceCriterion, Lambda: Array, S: Array, *, diagonal: bool
) -> tuple[Array, Array]:
    """Take one Newton step from a minimum for each of several criteria close to this one.

    Parameters
    ----------
    criterion : CovarianceCriterion
        Whose curvature all share, nearly.
    Lambda : ndarray of shape (q, q)
        Where its minimum is.
    S : ndarray of shape (k, q, q)
        Their gradients there.
    diagonal : bool
        Whether Psi is restricted to diagonal matrices.

    Returns
    -------
    Lambda : ndarray of shape (k, q, q)
        Where the steps lead.
    predicted_decrease : ndarray of shape (k,)
        By how much they should lower the criteria.
    """
    search = Search(diagonal, tol=0.0, max_iter=1)
    points = search.points(criterion, (Lambda @ Lambda.T)[None])
    V, scale, model = points.V[0], points.scale[0], points.model
    rows, columns = free_entries(len(Lambda), diagonal=diagonal)
    # <E, S> for the change E of Psi with each entry of the factor
    gradient = (2 * V.T @ S @ V * scale)[:, rows, columns] @ model.basis[0]
    step = -gradient / model.size  # axes k, eigenvectors of the Hessian
    ends = search.moved(points, step)
    factors = Factor.of_psi(ends, diagonal=diagonal)
    return factors.Lambda, -np.sum(gradient * step, axis=1) / 2
