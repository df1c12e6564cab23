"""Refits without each group in turn, close to the fit of all groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.typing import NDArray

from skmixed._numerics.fit.close_by import descend_close_by, first_steps
from skmixed._numerics.fit.covariance import CovarianceCriterion
from skmixed._numerics.fit.covariance_search import NEGLIGIBLE
from skmixed._numerics.fit.estimate import NEAR
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.fit.ratio import RatioCriterion, RatioDerivatives, profile
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DISTINCT_UNCENTRED, SQUARES_LEFT
from skmixed._numerics.linalg.small_matrices import cholesky

# Newton steps after which a minimum is no longer taken for the old one, moved a little.
MAX_STEPS = 6
# Points between which sums over groups are interpolated.
N_NODES = 40


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
        boundary, all columns told apart. If not, they are 0.
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
    products : ndarray of shape (len(shift), len(shift), k)
        D_j' W D_j of these groups, around the shift of the moments.
    sizes : ndarray of shape (k,)
        Their weights.
    tol : float
        As for `estimate`.

    Returns
    -------
    EstimatesWithoutGroups
    """
    problem = criterion.problem
    own = problem.coordinates.cross_products(products)
    n = problem.n - sizes
    found = _keeps_digits(problem, groups, own, n)
    result = EstimatesWithoutGroups(
        np.zeros((len(groups), *Lambda.shape)),
        np.zeros((len(groups), len(problem.coordinates.origin))),
        found,
    )
    which = np.flatnonzero(found)
    rest = groups[which], own[..., which], n[which], tol
    if isinstance(criterion, RatioCriterion):
        result.Lambda[which], M, found[which] = _follow_ratio(criterion, Lambda, *rest)
    else:
        result.Lambda[which], M, found[which] = _follow_covariance(criterion, Lambda, *rest)
    beta: Array = np.linalg.solve(M[:, :-1, :-1], M[:, :-1, -1:])[..., 0].astype(np.float64)
    result.beta[which] = problem.coordinates.to_user_coefficients(beta)
    return result


@dataclass(frozen=True)
class OneGroupLess:
    """The criteria without each of k groups, each at a psi of its own.

    Attributes
    ----------
    criterion : RatioCriterion
        That of all groups.
    dof : ndarray of shape (k,)
        What r2 is divided by.
    u : ndarray of shape (k,)
        Sizes Z_j' W Z_j of the groups left out.
    between : ndarray of shape (k, p + 1, p + 1)
        Their c_j c_j' / u_j.
    within : ndarray of shape (k, p + 1, p + 1)
        Their scatter, T_j - c_j c_j' / u_j.
    """

    criterion: RatioCriterion
    dof: Array
    u: Array
    between: Array
    within: Array

    @classmethod
    def from_groups(
        cls, criterion: RatioCriterion, groups: NDArray[np.intp], own: Array, n: Array
    ) -> OneGroupLess:
        """Take what the groups add to the sums."""
        problem = criterion.problem
        u, c = problem.G[0, 0, groups], problem.C[0][:, groups].T
        root = c / np.sqrt(np.where(u > 0, u, 1.0))[:, None]
        between = root[:, :, None] * root[:, None, :]
        within = np.moveaxis(own, -1, 0) - between
        dof = n - (problem.p if criterion.reml else 0)
        return cls(criterion, dof, u, between, within)

    def __call__(self, psi: Array) -> RatioDerivatives:
        """Evaluate up to a constant, at one psi for each group."""
        return profile(*self.sums(psi), dof=self.dof, reml=self.criterion.reml)

    def sums(self, psi: Array) -> tuple[Array, Array]:
        """Return log|V| and M like `RatioCriterion.sums`, without the group of each psi."""
        log_det, M = _interpolated(self.criterion.sums, psi)
        a = 1 + psi * self.u
        v = self.u / a
        log_det -= [np.log(a), v, -(v**2)]
        weight = np.stack([1 / a, -v / a, 2 * v**2 / a])
        M -= weight[..., None, None] * self.between
        M[0] -= self.within
        return log_det, M


def _interpolated(
    sums: Callable[[Array], tuple[Array, Array]], psi: Array
) -> tuple[Array, Array]:
    """Evaluate sums at many psi that lie close together.

    They are analytic for psi > -1 / u_max. On an interval no wider than from 1 to 4 their
    Chebyshev series falls by a factor of three a term at least: 40 terms carry all digits.
    """
    low, high = float(psi.min()), float(psi.max())
    if low == high:
        log_det, M = sums(psi[:1])
        return np.repeat(log_det, len(psi), axis=1), np.repeat(M, len(psi), axis=1)
    if len(psi) <= N_NODES or high > 4 * low:
        return sums(psi)
    nodes = chebpts1(N_NODES)
    x = 2 * (psi - low) / (high - low) - 1
    weights = chebvander(x, N_NODES - 1) @ np.linalg.inv(chebvander(nodes, N_NODES - 1))
    log_det, M = sums(low + (high - low) * (nodes + 1) / 2)
    return log_det @ weights.T, np.einsum("kn,dnab->dkab", weights, M, optimize=True)


def _follow_ratio(
    criterion: RatioCriterion,
    Lambda: Array,
    groups: NDArray[np.intp],
    own: Array,
    n: Array,
    tol: float,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Newton steps for all groups at once; returns Lambda, M and whether they were near."""
    less = OneGroupLess.from_groups(criterion, groups, own, n)
    psi = np.full(len(groups), Lambda[0, 0] ** 2)
    near = less(np.zeros(len(groups))).slope < 0
    for n_iter in range(MAX_STEPS):
        at = less(psi)
        near &= at.curvature > 0
        step = np.where(near, -at.slope / np.where(near, at.curvature, 1.0), 0.0)
        predicted_decrease = -at.slope * step / 2
        near &= (psi + step > 0) & (predicted_decrease <= NEAR if n_iter == 0 else True)
        psi = np.where(near, psi + step, psi)
        if np.all(predicted_decrease[near] <= tol**2):
            break
    near &= predicted_decrease <= tol**2
    return np.sqrt(psi)[:, None, None], less.sums(psi)[1][0], near


def _follow_covariance(
    criterion: CovarianceCriterion,
    Lambda: Array,
    groups: NDArray[np.intp],
    own: Array,
    n: Array,
    tol: float,
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Search among covariance matrices for one group after another, from close by."""
    problem = criterion.problem
    S = _gradients_without(criterion, Lambda, groups, own, n)
    factors, predicted_decrease = first_steps(criterion, Lambda, S, diagonal=problem.diagonal)
    M = np.empty((len(groups), *problem.T.shape))
    near = predicted_decrease <= NEAR
    for k, group in enumerate(groups):
        C, G = problem.C.copy(), problem.G.copy()
        C[..., group] = G[..., group] = 0.0
        part = replace(problem, T=problem.T - own[..., k], C=C, G=G, n=float(n[k]))
        less = CovarianceCriterion(part, criterion.reml)
        optimum = descend_close_by(
            less, factors[k], diagonal=problem.diagonal, tol=tol, max_iter=MAX_STEPS
        )
        factors[k], M[k] = optimum.Lambda, less.eliminate(optimum.Lambda)[1]
        near[k] &= optimum.converged
    variances = np.sum(factors**2, axis=1)
    near &= variances.min(axis=1) > NEGLIGIBLE * np.maximum(variances.max(axis=1), 1)
    return factors, M, near


def _gradients_without(
    criterion: CovarianceCriterion,
    Lambda: Array,
    groups: NDArray[np.intp],
    own: Array,
    n: Array,
) -> Array:
    """S without each group at the Lambda of all groups, shape (k, q, q).

    S = sum_j N_j - Delta_j A Delta_j', where A = (dof / r2) w w' with w = (-beta, 1), and for
    REML M_XX^-1 is added to its block for X.
    """
    _, _, N, Delta = criterion.project(Lambda, slice(None))
    _, B, own_N, own_Delta = criterion.project(Lambda, groups)
    M = criterion.eliminate(Lambda)[1][..., None] - own + np.einsum("amk,ank->mnk", B, B)
    M = np.moveaxis(M, -1, 0)
    inverse = np.linalg.inv(M[:, :-1, :-1])
    beta = inverse @ M[:, :-1, -1:]
    w = np.concatenate([-beta[..., 0], np.ones((len(M), 1))], axis=1)
    r2 = np.einsum("km,kmn,kn->k", w, M, w)
    dof = n - (criterion.problem.p if criterion.reml else 0)
    A = (dof / r2)[:, None, None] * w[:, :, None] * w[:, None, :]
    if criterion.reml:
        A[:, :-1, :-1] += inverse
    products = np.einsum("amj,bnj->abmn", Delta, Delta, optimize=True)
    S = N.sum(axis=-1) - np.einsum("kmn,abmn->kab", A, products)
    own_S = np.moveaxis(own_N, -1, 0) - np.einsum(
        "amk,kmn,bnk->kab", own_Delta, A, own_Delta, optimize=True
    )
    gradients: Array = S - own_S
    return gradients


def _keeps_digits(
    problem: Problem, groups: NDArray[np.intp], own: Array, n: Array
) -> NDArray[np.bool_]:
    """Whether enough of all columns is left without a group, and enough rows."""
    G = problem.G.sum(axis=-1)
    keeps = _is_distinct(problem.T, own) & _is_distinct(G, problem.G[..., groups])
    n_columns = len(problem.coordinates.shift)
    n_rows = problem.n_rows.sum() - problem.n_rows[groups]
    several = problem.n_rows > 1
    keeps &= (n_rows >= n_columns) & (n >= n_columns)
    keeps &= np.count_nonzero(several) - several[groups] > 0
    n_effects = len(problem.coordinates.random_kept) * (problem.n_groups - 1)
    keeps &= (n_effects < n_rows) | (len(problem.coordinates.random_kept) == 1)
    return keeps


def _is_distinct(total: Array, own: Array) -> NDArray[np.bool_]:
    """Whether the columns of total - own differ from 0 and from one another, shape (k,)."""
    scale = np.sqrt(np.diag(total))
    R = (total[..., None] - own) / np.outer(scale, scale)[..., None]
    square = np.einsum("aak->ak", R)
    with np.errstate(invalid="ignore", divide="ignore"):
        pivots = np.einsum("aak->ak", cholesky(R)) ** 2
        enough = (square >= SQUARES_LEFT) & (pivots >= DISTINCT_UNCENTRED)
    distinct: NDArray[np.bool_] = np.asarray(enough.all(axis=0), dtype=np.bool_)
    return distinct
