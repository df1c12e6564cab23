"""Refits without each group in turn, close to the fit of all groups."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.close_by import descend_close_by, first_steps
from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import NEAR
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.fit.search_several_columns import NEGLIGIBLE
from skmixed._numerics.leave_out.criteria_without_groups import (
    LeftOut,
    RatioCriteriaWithoutGroups,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DISTINCT_UNCENTRED, SQUARES_LEFT
from skmixed._numerics.linalg.small_matrices import cholesky, gram, gram_by_matrix

# Newton steps after which a minimum is no longer taken for the old one, moved a little.
MAX_STEPS = 6


@dataclass(frozen=True)
class EstimatesWithoutGroups:
    """Estimates without each of k groups.

    Attributes
    ----------
    Lambda : ndarray of shape (k, q, q)
        Relative covariance factors, in the coordinates of the problem.
    beta : ndarray of shape (k, n_columns)
        Fixed effects, in the user's coordinates.
    found : ndarray of shape (k,), dtype bool
        Whether these are the estimates of an ordinary fit: close to the old ones, not at the
        boundary, all columns distinct. If not, they mean nothing.
    """

    Lambda: Array
    beta: Array
    found: NDArray[np.bool_]


def refit_without_each(
    criterion: RatioCriterion | CovarianceCriterion,
    Lambda: Array,
    groups: NDArray[np.intp],
    products: Array,
    sizes: Array,
    *,
    tol: float,
) -> EstimatesWithoutGroups:
    """Estimate anew without each of some groups, by Newton's method from the old estimate.

    In the coordinates of all groups the sums over groups just lack one term, so that nothing
    has to be centred or scaled again.

    Parameters
    ----------
    criterion : RatioCriterion or CovarianceCriterion
        That of all groups.
    Lambda : ndarray of shape (q, q)
        Where its only minimum is.
    groups : ndarray of shape (k,)
        Positions of the groups to leave out, one at a time.
    products : ndarray of shape (n_columns, n_columns, k)
        D_j' W D_j of these groups, D around ``criterion.problem.coordinates.shift``.
    sizes : ndarray of shape (k,)
        Their weights.
    tol : float
        As for `estimate`.

    Returns
    -------
    EstimatesWithoutGroups
    """
    problem, coordinates = criterion.problem, criterion.problem.coordinates
    left_out = LeftOut(groups, coordinates.cross_products(products), problem.n - sizes)
    found = _keeps_digits(problem, left_out)
    factors = np.zeros((len(groups), *Lambda.shape))
    beta = np.zeros((len(groups), len(coordinates.origin)))
    which = np.flatnonzero(found)
    if isinstance(criterion, RatioCriterion):
        refits = _follow_ratio(criterion, Lambda, left_out[which], tol)
    else:
        refits = _follow_covariance(criterion, Lambda, left_out[which], tol)
    factors[which], M, found[which] = refits
    scaled_beta = np.asarray(np.linalg.solve(M[:, :-1, :-1], M[:, :-1, -1:])[..., 0])
    beta[which] = coordinates.to_user_coefficients(scaled_beta)
    return EstimatesWithoutGroups(factors, beta, found)


def _follow_ratio(
    criterion: RatioCriterion, Lambda: Array, left_out: LeftOut, tol: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Newton steps for all groups at once; returns Lambda, M and whether they were near."""
    criteria = RatioCriteriaWithoutGroups.from_groups(criterion, left_out)
    psi = np.full(len(left_out.groups), Lambda[0, 0] ** 2)
    # a criterion that falls from psi = 0 has its minimum away from the boundary
    near = criteria(np.zeros_like(psi)).slope < 0
    for n_iter in range(MAX_STEPS):
        here = criteria(psi)
        near &= here.curvature > 0
        step = np.where(near, -here.slope / np.where(near, here.curvature, 1.0), 0.0)
        predicted_decrease = -here.slope * step / 2
        near &= (psi + step > 0) & (predicted_decrease <= NEAR if n_iter == 0 else True)
        psi = np.where(near, psi + step, psi)
        if np.all(predicted_decrease[near] <= tol**2):
            break
    near &= predicted_decrease <= tol**2
    return np.sqrt(psi)[:, None, None], criteria.sums(psi)[1][0], near


def _follow_covariance(
    criterion: CovarianceCriterion, Lambda: Array, left_out: LeftOut, tol: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Search among covariance matrices for one group after another, from close by."""
    diagonal = criterion.problem.diagonal
    S = _gradients_without(criterion, Lambda, left_out)
    factors, predicted_decrease = first_steps(criterion, Lambda, S, diagonal=diagonal)
    M = np.empty((len(factors), *criterion.problem.T.shape))
    near = predicted_decrease <= NEAR
    for k in range(len(factors)):
        without = replace(criterion, problem=_problem_without(criterion.problem, left_out, k))
        optimum = descend_close_by(
            without, factors[k], diagonal=diagonal, tol=tol, max_iter=MAX_STEPS
        )
        factors[k], M[k] = optimum.Lambda, without.eliminate(optimum.Lambda)[1]
        near[k] &= optimum.converged
    variances = np.sum(factors**2, axis=1)  # of each column of Lambda
    near &= variances.min(axis=1) > NEGLIGIBLE * np.maximum(variances.max(axis=1), 1)
    return factors, M, near


def _problem_without(problem: Problem, left_out: LeftOut, k: int) -> Problem:
    """Take the k-th group off the sums; among the groups it stays, as one without rows."""
    own, root, group = problem.own.copy(), problem.root.copy(), left_out.groups[k]
    around_line = left_out.T[..., k] - gram(own[..., [group]])
    own[..., group] = root[..., group] = 0.0
    within, n = problem.within - around_line, float(left_out.n[k])
    return replace(problem, within=within, own=own, root=root, n=n)


def _gradients_without(
    criterion: CovarianceCriterion, Lambda: Array, left_out: LeftOut
) -> Array:
    """S without each group at the Lambda of all groups, shape (k, q, q).

    The criterion of all groups gives S = sum_j N_j - Q_j with Q_j = U_j A U_j' (here U_j stands
    for [U, u]_j), where A is the identity for what counts. Without group k, A is another one,
    and two terms are not there:

        S_k = S - sum_j U_j (A_k - A) U_j' - (N_k - U_k A_k U_k').
    """
    at_all = criterion(Lambda)
    _, B, N, Delta = criterion.project(Lambda, left_out.groups)
    U = np.einsum("mn,ank->kam", at_all.root, Delta)
    # M of all groups is diag(1, ..., 1, dof) in the coordinates of [U, u]
    M_all = np.diag(np.append(np.ones(criterion.problem.p), criterion.dof))
    own = criterion.problem.own[..., left_out.groups]
    M_group = np.moveaxis(left_out.T - gram_by_matrix(own) + gram_by_matrix(B), -1, 0)
    M = M_all - at_all.root @ M_group @ at_all.root.T
    A = _weights_of_products(M, left_out.dof(criterion), reml=criterion.reml)
    A_all = _weights_of_products(M_all, np.array(criterion.dof), reml=criterion.reml)
    others = np.einsum("abmn,kmn->kab", at_all.UU, A - A_all)
    gradients: Array = at_all.S - others - (np.moveaxis(N, -1, 0) - U @ A @ U.swapaxes(1, 2))
    return gradients


def _weights_of_products(M: Array, dof: Array, *, reml: bool) -> Array:
    """Return A of Q_j = Delta_j A Delta_j', given M of shape (..., p + 1, p + 1).

    A is (dof / r2) w w' with w = (-beta, 1), and for REML M_XX^-1 is added to its block for X.
    Both are parts of M^-1, which is w w' / r2 with M_XX^-1 added likewise.
    """
    inverse = np.linalg.inv(M)
    of_y = inverse[..., :, -1:] * inverse[..., -1:, :] / inverse[..., -1:, -1:]  # w w' / r2
    A: Array = dof[..., None, None] * of_y
    return A + (inverse - of_y) if reml else A


def _keeps_digits(problem: Problem, left_out: LeftOut) -> NDArray[np.bool_]:
    """Whether enough of all columns is left without a group, and enough rows, shape (k,)."""
    groups, G = left_out.groups, problem.G.sum(axis=-1)
    keeps = _is_distinct(problem.T, left_out.T) & _is_distinct(G, problem.G[..., groups])
    n_columns = len(problem.coordinates.shift)
    n_rows = problem.n_rows.sum() - problem.n_rows[groups]
    keeps &= (n_rows >= n_columns) & (left_out.n >= n_columns)
    # some other group must have several rows, to know residuals from differences of groups
    several = problem.n_rows > 1
    keeps &= np.count_nonzero(several) - several[groups] > 0
    n_random = len(problem.coordinates.random_kept)
    n_effects = n_random * (problem.n_groups - 1)
    keeps &= (n_effects < n_rows) | (n_random == 1)
    return keeps


def _is_distinct(total: Array, parts: Array) -> NDArray[np.bool_]:
    """Whether the columns of total - part differ from 0 and from one another, shape (k,).

    The parts have the shape (p, p, k): cross-products that are left out, one at a time.
    """
    scale = np.sqrt(np.diag(total))
    R = (total[..., None] - parts) / np.outer(scale, scale)[..., None]
    square = np.einsum("aak->ak", R)  # left of each column, as a share of the whole
    with np.errstate(invalid="ignore", divide="ignore"):
        pivots = np.einsum("aak->ak", cholesky(R)) ** 2
        enough = (square >= SQUARES_LEFT) & (pivots >= DISTINCT_UNCENTRED)
    distinct: NDArray[np.bool_] = np.asarray(enough.all(axis=0), dtype=np.bool_)
    return distinct
