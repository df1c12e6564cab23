"""What the likelihood can tell of the variances, by the moments alone.

With P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1, the criterion sees random effects by P Z_j and
residuals by P W^-1. So there are three things that it cannot do:

- see a random effect whose columns, group by group, lie in the span of X: P Z_j v = 0;
- tell random effects from residuals where both have the same covariance in all groups,
  Z_j D Z_j' = W_j^-1 for some D;
- have a least value if nothing is left of y within groups, but the weights claim more rows than
  effects: each fall of the residual variance then lowers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    CONSTANT_UP_TO,
    CURVATURE_ERROR,
    FACTOR_ERROR,
    GRAM_ERROR,
    LEAST_FREE,
    RANK_TOLERANCE,
    SAME_VARIANCE,
    WEIGHT_ERROR,
)
from skmixed._numerics.linalg.independent import independent
from skmixed._numerics.linalg.small_matrices import gram, sum_of_outer

UNBOUNDED = (
    "the {n_rows} rows in {n_groups} groups are fitted exactly by random effects and "
    "coefficients, but their weights sum to {n:.6g}, {mean:.6g} a row. A weight of 2 is the "
    "row twice, and rows that are repeated do not differ within groups at all: the likelihood "
    "rises without bound as the residual variance falls to 0. Where weights are precisions, "
    "scale them to mean 1: `sample_weight=w / w.mean()`, over rows of positive weight. "
    "Otherwise use fewer random effects."
)


@dataclass(frozen=True)
class Span:
    """What the groups' random columns span: the rows, as far as random effects fit them.

    Attributes
    ----------
    rank : ndarray of shape (n_groups,)
        How many random columns of a group are linearly independent.
    within : ndarray of shape (p + 1, p + 1)
        Cross-products of what they leave of [X, y].
    noise : ndarray of shape (p + 1,)
        Error of its diagonal.
    """

    rank: NDArray[np.intp]
    within: Array
    noise: Array

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Project all columns on the random columns of each group."""
        U, size, _ = np.linalg.svd(problem.root.transpose(2, 1, 0), full_matrices=False)
        there = size > np.sqrt(RANK_TOLERANCE) * size.max(axis=1, initial=0.0, keepdims=True)
        U, own = U * there[:, None], problem.own.transpose(2, 0, 1)  # axes k r q, k r m
        left = own - U @ (U.swapaxes(1, 2) @ own)
        within = problem.within + gram(left.transpose(1, 2, 0))
        noise = np.maximum(problem.noise, GRAM_ERROR * np.diag(problem.T))
        return cls(np.count_nonzero(there, axis=1), within, noise)

    @property
    def n_effects(self) -> int:
        """Number of random effects that the rows can differ by."""
        return int(self.rank.sum())

    @property
    def n_within(self) -> int:
        """Number of fixed effects that vary within groups, beyond random effects."""
        varies = ~_is_rounding(self.within, self.noise)[:-1]
        W = self.within[:-1, :-1][np.ix_(varies, varies)]
        size = np.sqrt(np.diag(W))
        return int(np.count_nonzero(independent(W / np.outer(size, size))))

    @property
    def holds_all(self) -> bool:
        """Whether random effects leave nothing of any column."""
        return bool(_is_rounding(self.within, self.noise).all())


def check_bounded(problem: Problem) -> None:
    """Refuse weights with which the criterion has no least value.

    Raises
    ------
    ValueError
        If random effects and coefficients fit all rows exactly, and the rows count more than
        once. Where rows are really repeated, y is what is exact, not the model.
    """
    n_rows = int(problem.n_rows.sum())
    if problem.n > n_rows * (1 + WEIGHT_ERROR) and fits_all_rows(problem):
        raise ValueError(
            UNBOUNDED.format(
                n_rows=n_rows,
                n_groups=problem.n_groups,
                n=problem.n,
                mean=problem.n / n_rows,
            )
        )


def fits_all_rows(problem: Problem) -> bool:
    """Whether there are as many random effects, and coefficients within groups, as rows."""
    n_rows, most = problem.n_rows.sum(), problem.q * problem.n_groups + problem.p
    if problem.n_groups < 2 or not problem.q or n_rows > most:  # most often, and soon seen
        return False
    span = Span.of(problem)
    return bool(n_rows <= span.n_effects + span.n_within)


def levels_off(problem: Problem, *, reml: bool) -> bool:
    """Whether the criterion of large variances has a limit, though they explain y exactly."""
    return fits_all_rows(problem) and (reml or not Span.of(problem).n_within)


def absorbed_directions(problem: Problem) -> Array:
    """Return the directions v of random effects with Z_j v in the span of X for all groups.

    They are the null space of sum_j Z_j'P Z_j, P that of no random effects.

    Returns
    -------
    ndarray of shape (q, m)
        Linearly independent columns; none most often.
    """
    q, p = problem.q, problem.p
    if not q or p < max(_fewest_groups(problem), 1):  # each group takes a column of X
        return np.zeros((q, 0))
    return absorbed(problem.T, problem.C, problem.G, problem.n)


def absorbed(T: Array, C: Array, G: Array, n: float) -> Array:
    """Return the directions of `absorbed_directions` of any moments."""
    p, q = len(T) - 1, len(G)
    L = np.linalg.cholesky(T[:-1, :-1])
    C = C[:, :-1].transpose(1, 0, 2)  # axes m a k
    flat = C.reshape(p, q * C.shape[-1])  # p may be 0
    explained = np.linalg.solve(L, flat).reshape(C.shape)
    G = G.sum(axis=-1)
    size = np.sqrt(np.diag(G))
    free = G - np.einsum("mak,mbk->ab", explained, explained)
    share, directions = np.linalg.eigh(free / np.outer(size, size))
    # more is lost to rounding where columns of X nearly depend on one another
    lost = GRAM_ERROR * n * float(np.sum(np.linalg.inv(L) ** 2))
    least = np.clip(lost, LEAST_FREE, np.sqrt(LEAST_FREE))
    return np.asarray(directions[:, share <= least] / size[:, None])


def in_user_columns(problem: Problem, directions: Array) -> Array:
    """Express directions of random effects in the user's columns, shape (n_random, m).

    What is rounding beside the largest column, by what it adds to y, is exactly 0.
    """
    kept, back = problem.coordinates.random_kept, problem.coordinates.random_backmap
    Z_map = np.linalg.inv(back[kept])  # the user's Z is Z_j Z_map
    size = np.zeros(len(back))
    size[kept] = np.sqrt(np.einsum("ac,ab,bc->c", Z_map, problem.G.sum(axis=-1), Z_map))
    directions = back @ directions
    part = np.abs(directions) * size[:, None]
    directions[part <= np.sqrt(LEAST_FREE) * part.max(axis=0)] = 0.0
    return np.asarray(directions)


def residual_direction(problem: Problem) -> Array | None:
    """Return D with Z_j D Z_j' = W_j^-1 in all groups: what looks like residuals.

    If random effects fit all rows, then with Z_j = Q_j L_j' this is L_j'D L_j = I, linear in
    D. Along Psi -> c Psi + (c - 1) D both kinds of variance are but scaled, and the criterion
    changes by (R - n) log c, R the number of random effects that rows can differ by.

    Returns
    -------
    ndarray of shape (q, q) or None
        Symmetric. None if there is none, or if n > R, so that y is explained exactly.
    """
    q, n_columns = problem.q, problem.p + 1
    if not q or n_columns > np.count_nonzero(_is_rounding(problem.within, problem.noise)):
        return None  # most often, and soon seen
    span = Span.of(problem)
    R = span.n_effects
    if problem.n > R * (1 + WEIGHT_ERROR) or not span.holds_all:
        return None
    # least squares: sum_j G_j D G_j = sum_j G_j, and R - tr(D sum_j G_j) is the sum of squares
    total = problem.G.sum(axis=-1)
    entries = np.flatnonzero(np.eye(q)) if problem.diagonal else np.arange(q * q)
    products = sum_of_outer(problem.G, problem.G).transpose(0, 3, 1, 2).reshape(q * q, q * q)
    A, b, D = products[np.ix_(entries, entries)], total.ravel()[entries], np.zeros(q * q)
    D[entries] = np.linalg.lstsq(A, b, rcond=RANK_TOLERANCE)[0]
    D = (D.reshape(q, q) + D.reshape(q, q).T) / 2
    missed = R - float(np.sum(D * total))
    return D if missed <= SAME_VARIANCE * R else None


def without_what_cannot_be_told(problem: Problem, Lambda: Array, *, reml: bool) -> Array:
    """Return a factor of the least variance of random effects with the same criterion.

    Parameters
    ----------
    problem : Problem
        Moments of the model.
    Lambda : ndarray of shape (q, q)
        Any factor of Psi.
    reml : bool
        Whether the criterion is that of restricted maximum likelihood. Maximum likelihood
        itself chooses what REML does not see.

    Returns
    -------
    ndarray of shape (q, q)
        A column is exactly 0 for each direction in which random effects do not vary.
    """
    absorbed = absorbed_directions(problem)
    if reml and absorbed.size:
        Lambda = _without_directions(problem, Lambda, absorbed)
    D = residual_direction(problem)
    return Lambda if D is None else _without_residual_part(Lambda, D)


def _without_directions(problem: Problem, Lambda: Array, absorbed: Array) -> Array:
    """Set random effects to 0 along directions, and leave those of other columns."""
    kept, m = problem.coordinates.random_kept, absorbed.shape[1]
    back = problem.coordinates.random_backmap
    V, _ = np.linalg.qr(in_user_columns(problem, absorbed))
    factor = problem.coordinates.to_user_factor(Lambda)
    left = factor - V @ (V.T @ factor)
    left[np.abs(left) <= FACTOR_ERROR * np.linalg.norm(factor, axis=1, keepdims=True)] = 0.0
    there = left.any(axis=1)
    U, scale, _ = np.linalg.svd(left[there])
    left = np.zeros_like(left)
    rank = min(len(scale), len(Lambda) - m)
    left[there, :rank] = U[:, :rank] * scale[:rank]
    return np.asarray(np.linalg.solve(back[kept], left[kept]))


def _without_residual_part(Lambda: Array, D: Array) -> Array:
    """Return a factor of (Psi - t D) / (1 + t), with the largest t for which there is one."""
    varies = Lambda.any(axis=0)
    inverse = np.linalg.pinv(Lambda[:, varies])
    K = inverse @ D @ inverse.T
    back = Lambda[:, varies] @ K @ Lambda[:, varies].T
    share, V = np.linalg.eigh((K + K.T) / 2)  # in ascending order
    is_part = np.allclose(back, D, atol=CURVATURE_ERROR * np.abs(D).max())
    if not varies.any() or not is_part:  # a singular Psi that holds nothing of D
        return Lambda
    left = 1 - share / share[-1]
    left[left <= CURVATURE_ERROR] = 0.0
    part = np.zeros_like(Lambda)
    part[:, varies] = Lambda[:, varies] @ V * np.sqrt(left / (1 + 1 / share[-1]))
    return part


def _fewest_groups(problem: Problem) -> int:
    """Least number of groups in which a random column is not 0."""
    return int(np.count_nonzero(problem.root.any(axis=1), axis=1).min())


def _is_rounding(within: Array, noise: Array) -> NDArray[np.bool_]:
    """Which columns nothing but rounding is left of."""
    return np.asarray(np.diag(within) <= CONSTANT_UP_TO * noise)
