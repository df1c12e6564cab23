"""How uncertain predictions and random effects are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import (
    cholesky,
    gram_by_matrix,
    multiply,
    solve_lower,
)
from skmixed._numerics.linalg.triangular import inverse_of_lower


@dataclass(frozen=True)
class Uncertainty:
    """Variances of predictions and of random effects, over sigma2.

    A row (x, z) of group j has the prediction variance

        a' M_XX^-1 a + z' H_j z,  a = x - C_jX' H_j z.

    A new group has no rows, so C = 0, G = 0 and H = Psi, and the same formula holds.

    Attributes
    ----------
    problem : Problem
        Moments of the model.
    Lambda : ndarray of shape (q, q)
        Any factor of Psi.
    root : ndarray of shape (p, p)
        M_XX^-1/2, lower triangular.
    """

    problem: Problem
    Lambda: Array
    root: Array

    @classmethod
    def from_criterion(cls, criterion: Criterion, Lambda: Array) -> Uncertainty:
        """Eliminate the random effects once, for all later questions."""
        _, M = criterion.eliminate(Lambda)
        L, _ = lapack.dpotrf(M[:-1, :-1], lower=1, clean=1)
        return cls(criterion.problem, Lambda, inverse_of_lower(L))

    def of_predictions(self, X: Array, Z: Array, codes: NDArray[np.intp]) -> Array:
        """Return the variance of each row's prediction around its true mean.

        Parameters
        ----------
        X : ndarray of shape (n_rows, p)
            Fixed-effect columns, in the coordinates of the problem.
        Z : ndarray of shape (n_rows, q)
            Random columns, likewise.
        codes : ndarray of shape (n_rows,)
            Position of each row's group; -1 for a new group.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        groups, position = np.unique(codes, return_inverse=True)
        H, HC = self.shrinkage(groups)
        # random columns a and b, fixed ones p, and the rows k last
        a = X.T - np.einsum("ak,apk->pk", Z.T, HC[..., position])
        of_b = np.einsum("ak,abk,bk->k", Z.T, H[..., position], Z.T)
        return np.asarray(of_b + np.sum((self.root @ a) ** 2, axis=0))

    def of_random_effects(self) -> Array:
        """Return Var(b_j^ - b_j) = H_j + H_j C_jX M_XX^-1 C_jX' H_j, shape (q, q, n_groups).

        Unlike the conditional covariance it holds the uncertainty of the fixed effects.
        """
        H, HC = self.shrinkage(np.arange(self.problem.n_groups))
        # root C_jX' H_j for each group: axes p a k, so that the Gram matrices are (a, b, k)
        return H + gram_by_matrix(np.swapaxes(np.matmul(self.root, HC), 0, 1))

    def given_parameters(self) -> Array:
        """Return H_j, the covariance of b_j given y and the parameters, (q, q, n_groups)."""
        return self.shrinkage(np.arange(self.problem.n_groups))[0]

    def shrinkage(self, groups: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return H_j and H_j C_jX of some groups; -1 stands for a group without rows."""
        known = groups >= 0
        problem, k, some = self.problem, len(groups), groups[known]
        G, C = np.zeros((problem.q, problem.q, k)), np.zeros((problem.q, problem.p, k))
        G[..., known], C[..., known] = problem.G[..., some], problem.C[:, :-1, some]
        LG = multiply(self.Lambda.T, G)
        # I + Lambda' G_j Lambda = R R', and H_j = F'F with F = R^-1 Lambda'
        A = multiply(self.Lambda.T, np.swapaxes(LG, 0, 1))
        A[np.diag_indices(len(A))] += 1
        F = np.repeat(self.Lambda.T[..., None], len(groups), axis=-1)
        H = gram_by_matrix(solve_lower(cholesky(A), F))
        return H, np.einsum("abk,bpk->apk", H, C)
