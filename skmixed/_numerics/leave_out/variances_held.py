"""Residuals of rows and groups left out, the variance components held fixed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.inference.prediction import Uncertainty
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DETERMINED
from skmixed._numerics.linalg.small_matrices import (
    cholesky,
    solve_lower,
    solve_lower_transposed,
)
from skmixed._numerics.moments.coordinates import independent
from skmixed._numerics.moments.moments import GroupedMoments


@dataclass(frozen=True)
class LeaveOut:
    """A fit by generalised least squares, and what changes without some of its rows.

    Attributes
    ----------
    problem : Problem
        Moments of the model.
    M : ndarray of shape (p + 1, p + 1)
        D' V^-1 D.
    root : ndarray of shape (p, p)
        M_XX^-1/2.
    beta : ndarray of shape (p,)
        Fixed effects.
    b : ndarray of shape (q, n_groups + 1)
        Conditional modes of the random effects; the last ones, of a new group, are 0.
    Lambda : ndarray of shape (q, q)
        Relative covariance factor of the random effects.
    H : ndarray of shape (q, q, n_groups + 1)
        Conditional covariances of the random effects; the last is that of a new group.
    HC : ndarray of shape (q, p, n_groups + 1)
        H_j C_jX.
    """

    problem: Problem
    M: Array
    root: Array
    beta: Array
    b: Array
    Lambda: Array
    H: Array
    HC: Array

    @classmethod
    def from_criterion(cls, criterion: Criterion, Lambda: Array) -> LeaveOut:
        """Solve for given variance components."""
        problem = criterion.problem
        _, M = criterion.eliminate(Lambda)
        beta, _ = criterion.coefficients(M)
        b = criterion.conditional_modes(Lambda, beta)
        b = np.append(b, np.zeros((len(b), 1)), axis=1)
        groups = np.append(np.arange(problem.n_groups), -1)
        uncertainty = Uncertainty.from_criterion(criterion, Lambda)
        H, HC = uncertainty.shrinkage(groups)
        return cls(problem, M, uncertainty.root, beta, b, Lambda, H, HC)

    def refitted(self, criterion: Criterion, moments: GroupedMoments) -> LeaveOut:
        """Solve for other rows, in the same coordinates and with the same Psi.

        A column that these rows cannot tell from those before it has the coefficient 0.

        Parameters
        ----------
        criterion : Criterion
            That of this fit.
        moments : GroupedMoments
            Of the other rows, around the same shift.

        Returns
        -------
        LeaveOut
        """
        columns, random = self.problem.columns, list(moments.random)
        Z = self.problem.random_columns[:, random]
        T = columns @ moments.T @ columns.T
        size = np.sqrt(np.maximum(np.diag(T)[:-1], np.finfo(np.float64).tiny))
        kept = np.append(independent(T[:-1, :-1] / np.outer(size, size)), True)
        C = np.einsum("ac,cdk,md->amk", Z, moments.C, columns[kept])
        problem = replace(
            self.problem,
            T=T[np.ix_(kept, kept)],
            C=C,
            G=np.einsum("ac,cdk,bd->abk", Z, moments.C[:, random], Z),
            n=moments.n,
            n_rows=moments.n_rows,
            columns=columns[kept],
        )
        rest = replace(criterion, problem=problem)
        return LeaveOut.from_criterion(rest, self.Lambda)

    def residuals(self, D: Array, codes: NDArray[np.intp]) -> Array:
        """Return y - x'beta - z'b_j of rows, in units of y in the problem.

        Parameters
        ----------
        D : ndarray of shape (len(shift), n_rows)
            The rows around the shift of the moments.
        codes : ndarray of shape (n_rows,)
            Position of each row's group; -1 if it is not in the fit.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        X, y = self._fixed_columns(D)
        random = np.sum(self.problem.random_columns @ D * self.b[:, codes], axis=0)
        residuals: Array = y - self.beta @ X - random
        return residuals

    def without_each_row(
        self, D: Array, codes: NDArray[np.intp], weight: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return the residual of each row around a fit without it.

        It is (P y)_i / P_ii, where P = V^-1 - V^-1 X M_XX^-1 X' V^-1. With e the residual
        around the fit of all rows and v the variance of the row's prediction, over sigma2,

            (P y)_i = w e,  P_ii = w (1 - w v),
            v = z' H_j z + a' M_XX^-1 a,  a = x - C_jX' H_j z.

        Parameters
        ----------
        D, codes : ndarrays
            Rows of the fit, as for `residuals`.
        weight : ndarray of shape (n_rows,)
            A row of weight 0 was not in the fit, and is not left out.

        Returns
        -------
        residual : ndarray of shape (n_rows,)
            In units of y in the problem.
        told : ndarray of shape (n_rows,), dtype bool
            Whether the other rows tell the same coefficients. If not, the residual is wrong.
        """
        X, _ = self._fixed_columns(D)
        Z = self.problem.random_columns @ D
        a = X - np.einsum("ak,apk->pk", Z, self.HC[..., codes])
        variance = np.einsum("ak,abk,bk->k", Z, self.H[..., codes], Z)
        variance += np.sum((self.root @ a) ** 2, axis=0)
        left = 1 - weight * variance
        told = left > DETERMINED
        return self.residuals(D, codes) / np.where(told, left, 1.0), told

    def without_each_group(
        self,
        D: Array,
        codes: NDArray[np.intp],
        products: Array,
        groups: NDArray[np.intp],
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return the residual of each row around the population line without its group.

        Without group j, M lacks D_j' V_j^-1 D_j = T_j - C_j' H_j C_j.

        Parameters
        ----------
        D : ndarray of shape (len(shift), n_rows)
            Rows of some groups around the shift of the moments.
        codes : ndarray of shape (n_rows,)
            Position of each row's group in `groups`.
        products : ndarray of shape (len(shift), len(shift), n_some_groups)
            D_j' W D_j of these groups.
        groups : ndarray of shape (n_some_groups,)
            Their positions among all groups.

        Returns
        -------
        residual : ndarray of shape (n_rows,)
            In units of y in the problem.
        told : ndarray of shape (n_some_groups,), dtype bool
            Whether the other groups tell the same coefficients. If not, it is wrong.
        """
        columns, C = self.problem.columns, self.problem.C[..., groups]
        T = np.einsum("ac,cdk,bd->abk", columns, products, columns, optimize=True)
        HC = np.einsum("abk,bmk->amk", self.H[..., groups], C)
        M = self.M[..., None] - T + np.einsum("amk,ank->mnk", C, HC)
        with np.errstate(invalid="ignore", divide="ignore"):
            R = cholesky(M[:-1, :-1])
            pivots = np.einsum("aak->ak", R) ** 2
            told = np.all(pivots > DETERMINED * np.diag(self.M)[:-1, None], axis=0)
            beta = solve_lower_transposed(R, solve_lower(R, M[:-1, -1:].copy()))[:, 0]
        X, y = self._fixed_columns(D)
        return y - np.sum(X * beta[:, codes], axis=0), np.asarray(told)

    def _fixed_columns(self, D: Array) -> tuple[Array, Array]:
        """X and y of rows, in the coordinates of the problem; X has a row for each column."""
        columns = self.problem.columns @ D
        return columns[:-1], columns[-1]
