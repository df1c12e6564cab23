"""Parametric bootstrap: the moments of y drawn anew from the fitted model, and refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DOF_ERROR, NULL_SQUARE
from skmixed._numerics.linalg.small_matrices import (
    cholesky,
    cholesky_semidefinite,
)


@dataclass(frozen=True)
class Replicates:
    """Estimates from B draws of y, in the user's coordinates.

    Attributes
    ----------
    beta : ndarray of shape (B, n_columns)
        Fixed effects; 0 for columns dropped as linearly dependent, or not fixed.
    sigma2 : ndarray of shape (B,)
        Residual variances.
    random_effects_cov : ndarray of shape (B, n_random, n_random)
        Covariance matrices of the random effects, sigma2 Psi.
    converged : ndarray of shape (B,), dtype bool
        Whether the search for Psi ended within its tolerance.
    """

    beta: Array
    sigma2: Array
    random_effects_cov: Array
    converged: NDArray[np.bool_]


def bootstrap(
    criterion: Criterion,
    Lambda: Array,
    *,
    seeds: Sequence[np.random.SeedSequence],
    tol: float,
    max_iter: int,
) -> Replicates:
    """Draw y from the model at its estimates and estimate again, once for each seed.

    No rows are simulated: of y the estimates depend on its moments alone, and these are drawn
    from their exact distribution given X, see `MomentSampler`. A replicate depends on its
    seed alone, so seeds may be shared out among workers in any way.

    Parameters
    ----------
    criterion : Criterion
        The moments and the method of the fit.
    Lambda : ndarray of shape (q, q)
        Its relative covariance factor, in the coordinates of the problem. A search among
        covariance matrices starts there, and nowhere else: with a few dozen groups one in
        some hundreds ends in a second minimum, a few tenths above the lowest.
    seeds : sequence of numpy.random.SeedSequence
        One for each replicate: the children of one, ``SeedSequence(seed).spawn(B)``.
    tol, max_iter : float and int
        As for `estimate`.

    Returns
    -------
    Replicates

    Raises
    ------
    ValueError
        If the weights sum to less than the number of independent columns of [Z, X].
    """
    sampler = MomentSampler.from_fit(criterion, Lambda)
    coordinates = criterion.problem.coordinates
    beta, sigma2, cov, converged = [], [], [], []
    for seed in seeds:
        drawn = sampler.draw(np.random.default_rng(seed))
        refit, optimum = estimate(
            drawn, reml=criterion.reml, tol=tol, max_iter=max_iter, start=Lambda
        )
        _, M = refit.eliminate(optimum.Lambda)
        scaled_beta, scaled_sigma2 = refit.coefficients(M)
        beta.append(coordinates.to_user_coefficients(scaled_beta))
        sigma2.append(scaled_sigma2 * coordinates.y_scale**2)
        factor = coordinates.to_user_factor(optimum.Lambda)
        cov.append(sigma2[-1] * factor @ factor.T)
        converged.append(optimum.converged)
    return Replicates(np.array(beta), np.array(sigma2), np.array(cov), np.array(converged))


@dataclass(frozen=True)
class MomentSampler:
    """The distribution of the moments of y given X, at beta, sigma2 and Psi.

    Let r = y - X beta, and Z_j = Q_j S_j' with a basis Q_j of the group's lines, which lacks a
    vector for each random column that depends on those before it in group j. With W_in what is
    left of X'W X when the lines are taken off,

        Q_j'W r = f_j,                          f_j ~ N(0, sigma2 (I + S_j' Psi S_j)),
        X'W r   = W_in^1/2 t within groups,       t ~ N(0, sigma2 I),
        r'W r   = t't + s likewise,               s ~ sigma2 chi2(n - rank Z - rank W_in),

    where f, t and s are independent: f is what Z sees of r, t what X sees beyond, and s what
    neither does. The weights count rows, so that the degrees of freedom may be fractional.
    Triangular factors do not depend on shift and scale of the columns, so that the same seed
    draws the same from the same rows in another order, or counted by weights.

    Attributes
    ----------
    problem : Problem
        Moments of X, and the coordinates.
    beta : ndarray of shape (p,)
        Fixed effects.
    sigma : float
        Residual standard deviation.
    R : ndarray of shape (r, r, n_groups)
        Lower Cholesky factors of I + S_j' Psi S_j, 0 where the columns of S_j are.
    root_within : ndarray of shape (p, rank W_in)
        Lower Cholesky factor of W_in, without its columns of zeros.
    dof : float
        n - rank Z - rank W_in.
    """

    problem: Problem
    beta: Array
    sigma: float
    R: Array
    root_within: Array
    dof: float

    @classmethod
    def from_fit(cls, criterion: Criterion, Lambda: Array) -> MomentSampler:
        """Take beta and sigma2 as estimated at Lambda."""
        problem = criterion.problem
        _, M = criterion.eliminate(Lambda)
        beta, sigma2 = criterion.coefficients(M)
        S = problem.root
        there = S.any(axis=0)
        LS = np.einsum("ba,bck->ack", Lambda, S)
        identity = np.eye(S.shape[1])[..., None]
        R = cholesky(np.einsum("abk,ack->bck", LS, LS) + identity) * there
        root_within = root_of_scatter(problem.within[:-1, :-1], np.diag(problem.T)[:-1])
        ranks = np.count_nonzero(there) + root_within.shape[1]
        rows = float(problem.n_rows.sum()) or np.inf  # not counted if there are no groups
        dof = degrees_of_freedom(problem.n, rows, ranks)
        return cls(problem, beta, np.sqrt(sigma2), R, root_within, dof)

    def draw(self, rng: np.random.Generator) -> Problem:
        """Draw the moments of y; those of X stay."""
        v = rng.standard_normal(self.R.shape[::2])  # (q, n_groups)
        f = self.sigma * np.einsum("abk,bk->ak", self.R, v)
        t = self.sigma * rng.standard_normal(self.root_within.shape[1])
        s = self.sigma**2 * 2 * rng.standard_gamma(self.dof / 2)  # chi2; dof may be 0
        Xr = self.root_within @ t
        within, own = self.problem.within.copy(), self.problem.own.copy()
        fitted: Array = within[:-1, :-1] @ self.beta
        within[-1, :-1] = within[:-1, -1] = fitted + Xr
        within[-1, -1] = self.beta @ fitted + 2 * self.beta @ Xr + np.sum(t**2) + s
        own[:, -1] = np.tensordot(self.beta, own[:, :-1], axes=(0, 1)) + f
        return replace(self.problem, within=within, own=own)


def root_of_scatter(within: Array, total: Array) -> Array:
    """Return the columns, not zero, of the Cholesky factor of the scatter within groups."""
    root = cholesky_semidefinite(within[..., None], NULL_SQUARE * total[:, None])[..., 0]
    independent: Array = root[:, np.diag(root) > 0]
    return independent


def degrees_of_freedom(n: float, rows: float, ranks: int) -> float:
    """Return n - ranks, or 0 where rounding has raised the ranks above the rows."""
    if n < rows and n - ranks < -DOF_ERROR * n:
        raise ValueError(
            f"The weights must sum to at least {ranks}, the number of independent columns "
            f"of random and fixed effects, to draw the residuals of the model, but they sum "
            f"to {n:g}. Weights scaled to mean 1 always do."
        )
    return max(n - ranks, 0.0)
