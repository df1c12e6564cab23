"""The criterion as a function of a covariance matrix: several random columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skmixed._numerics.criterion import PERFECT_FIT, Criterion
from skmixed._numerics.moments import Array
from skmixed._numerics.small_matrices import (
    cholesky,
    gram,
    multiply,
    solve_lower,
    solve_lower_transposed,
    subtract_product,
)

# Groups are taken in chunks whose working arrays stay in the second-level cache.
CHUNK_GROUPS = 2**12


@dataclass(frozen=True)
class Evaluation:
    """The criterion at one Psi and its derivatives.

    Attributes
    ----------
    value : float
        The criterion.
    S : ndarray of shape (q, q)
        Gradient: the criterion changes by <S, E> for a small symmetric change E of Psi.
    hessian : ndarray of shape (q, q, q, q)
        Second derivative: <E, hessian F> for symmetric E and F.
    UU : ndarray of shape (q, p + 1, q, p + 1)
        sum_j [U, u]_j (x) [U, u]_j: how the coefficients' covariance and r2 change with Psi.
    root : ndarray of shape (p + 1, p + 1)
        W with [U, u]' = W [Delta_X, Delta_y]'; its first p rows and columns are M_XX^-1/2.
    """

    value: float
    S: Array
    hessian: Array
    UU: Array
    root: Array

    def along_factor(
        self, V: Array, scale: Array, entries: tuple[NDArray[np.intp], NDArray[np.intp]]
    ) -> tuple[Array, Array]:
        """Carry the Hessian over from Psi to entries of L, Psi = V L L' V', at L = diag(scale).

        Psi changes with an entry (r, c) by E = scale_c V (e_r e_c' + e_c e_r') V', and the
        criterion by <E, S>.

        Returns
        -------
        directions : ndarray of shape (m, q, q)
            The changes E.
        hessian : ndarray of shape (m, m)
            Second derivatives in the entries.
        """
        rows, columns = entries
        left, right = V[:, rows].T, (V * scale)[:, columns].T
        directions = left[:, :, None] * right[:, None, :]
        directions = directions + np.swapaxes(directions, 1, 2)
        flat = directions.reshape(len(rows), self.S.size)
        hessian = flat @ self.hessian.reshape(self.S.size, self.S.size) @ flat.T
        hessian += 2 * (left @ self.S @ left.T) * (columns[:, None] == columns)
        return directions, hessian


@dataclass(frozen=True)
class EvaluationGivenSigma2(Evaluation):
    """The criterion at one Psi and one residual variance, and its derivatives.

    Attributes
    ----------
    slope, curvature : float
        First and second derivative in log sigma2.
    """

    slope: float
    curvature: float

    @property
    def cross(self) -> Array:
        """How S changes with log sigma2, shape (q, q)."""
        return self.UU[:, -1, :, -1]


@dataclass(frozen=True)
class CovarianceCriterion(Criterion):
    """REML or ML criterion of a model with q random columns, profiled to Psi.

    Psi enters as any factor, Psi = Lambda Lambda'. For each group, with R the Cholesky factor
    of I + Lambda' G Lambda,

        B = R^-1 Lambda' C,  F = R^-1 Lambda' G,
        N = Z'V^-1 Z = G - F'F,  Delta = Z'V^-1 D = C - F'B,  M = T - sum_j B'B.
    """

    def eliminate(self, Lambda: Array) -> tuple[float, Array]:
        """Return sum_j log|I + Lambda' G_j Lambda| and M = D' V^-1 D, up to sigma2."""
        log_det, M = 0.0, self.problem.T.copy()
        for chunk in self._chunks():
            R = self._root(Lambda, chunk)
            log_det += _log_det(R)
            M -= gram(solve_lower(R, multiply(Lambda.T, self.problem.C[..., chunk])))
        return log_det, M

    def conditional_modes(self, Lambda: Array, beta: Array) -> Array:
        """Return b_j = Lambda (I + Lambda' G_j Lambda)^-1 Lambda' (C_jy - C_jX beta)."""
        C = self.problem.C
        b = C[:, -1] - beta @ C[:, :-1]
        for chunk in self._chunks():
            R = self._root(Lambda, chunk)
            part = solve_lower_transposed(R, solve_lower(R, Lambda.T @ b[:, chunk]))
            b[:, chunk] = Lambda @ part
        return b

    def conditional_variances(self, Lambda: Array, rows: Array) -> Array:
        """Return the diagonals of rows H_j rows', over sigma2, shape (len(rows), n_groups)."""
        variances = np.empty((len(rows), self.problem.n_groups))
        for chunk in self._chunks():
            R = self._root(Lambda, chunk)
            F = np.repeat((rows @ Lambda).T[..., None], R.shape[-1], axis=-1)
            variances[:, chunk] = np.sum(solve_lower(R, F) ** 2, axis=0)
        return variances

    def value(self, Lambda: Array) -> float:
        """Return the criterion alone."""
        return self.profile(*self.eliminate(Lambda))

    def __call__(self, Lambda: Array) -> Evaluation:
        """Evaluate the criterion with its first and second derivatives in Psi.

        Those of `given_sigma2`, less t_E t_F / dof in the second for sigma2 profiled out.
        """
        at = self.given_sigma2(Lambda)
        profiled = np.einsum("ab,cd->abcd", at.cross, at.cross) / at.curvature
        return replace(at, hessian=at.hessian - profiled)

    def given_sigma2(self, Lambda: Array, sigma2: float | None = None) -> EvaluationGivenSigma2:
        """Evaluate the criterion at a residual variance, by default at the best, r2 / dof.

        With U = Delta_X M_XX^-1/2, u = d / sqrt(sigma2), d = Delta_y - Delta_X beta, and for
        REML Q_j = U_j U_j' + u_j u_j', for ML Q_j = u_j u_j',

            S = sum_j N_j - Q_j,
            <E, hessian F> = sum_j 2 tr(E N_j F Q_j) - tr(E N_j F N_j)
                - tr(a_E a_F) - 2 b_E' b_F,

        where a_E = sum_j U_j' E U_j (REML only) and b_E = sum_j U_j' E u_j; and the change of
        <S, E> with log sigma2 is t_E = sum_j u_j' E u_j.
        """
        log_det, M, N, Delta = self._reduce(Lambda)
        root, log_det_XX, r2 = self._inverse_root(M)
        ratio = 1.0 if sigma2 is None else r2 / (self.dof * sigma2)
        root[-1] *= np.sqrt(self.dof / r2 * ratio)
        NN, NQ, UU = self._sums_of_products(N, Delta, root)
        counted = slice(None) if self.reml else slice(-1, None)
        best = self.combine(log_det, log_det_XX, r2)
        return EvaluationGivenSigma2(
            value=best + self.dof * float(ratio - 1 - np.log(ratio)),
            S=N.sum(axis=-1) - np.einsum("akbk->ab", UU[:, counted, :, counted]),
            hessian=self._hessian(NN, NQ, UU),
            UU=UU,
            root=root,
            slope=self.dof * (1 - ratio),
            curvature=self.dof * ratio,
        )

    def _reduce(self, Lambda: Array) -> tuple[float, Array, Array, Array]:
        """Return sum_j log|I + Lambda' G_j Lambda|, M, and N_j and Delta_j of all groups."""
        log_det, M = 0.0, self.problem.T.copy()
        N, Delta = np.empty_like(self.problem.G), np.empty_like(self.problem.C)
        for chunk in self._chunks():
            R, B, N[..., chunk], Delta[..., chunk] = self.project(Lambda, chunk)
            log_det += _log_det(R)
            M -= gram(B)
        return log_det, M, N, Delta

    def _inverse_root(self, M: Array) -> tuple[Array, float, float]:
        """W with W [Delta_X, Delta_y]' = [U, d]', and log|M_XX| and r2 on the way."""
        W = np.zeros_like(M)
        L, failed = lapack.dpotrf(M[:-1, :-1], lower=1, clean=1)
        if failed:
            raise np.linalg.LinAlgError("M_XX is not positive definite")
        if len(L):  # LAPACK takes no matrices of size 0
            W[:-1, :-1], _ = lapack.dtrtri(L, lower=1)
        explained = W[:-1, :-1] @ M[:-1, -1]
        left = M[-1, -1] - explained @ explained
        r2 = max(left, PERFECT_FIT * M[-1, -1], PERFECT_FIT**2)  # y may be constant
        W[-1] = np.append(-W[:-1, :-1].T @ explained, 1.0)
        return W, 2 * float(np.log(np.diag(L)).sum()), float(r2)

    def _sums_of_products(self, N: Array, Delta: Array, root: Array) -> tuple[Array, ...]:
        """Add up over groups N (x) N, N (x) Q and of [U, u] (x) [U, u]."""
        q, m, _ = Delta.shape
        counted = slice(None) if self.reml else slice(-1, None)
        NN, NQ, UU = np.zeros((q * q,) * 2), np.zeros((q * q,) * 2), np.zeros((q * m,) * 2)
        for chunk in self._chunks():
            U = np.matmul(root, Delta[..., chunk])
            Q = np.einsum("amk,bmk->abk", U[:, counted], U[:, counted])
            n, Q, U = (part.reshape(-1, part.shape[-1]) for part in (N[..., chunk], Q, U))
            NN += n @ n.T
            NQ += n @ Q.T
            UU += U @ U.T
        return NN.reshape((q,) * 4), NQ.reshape((q,) * 4), UU.reshape(q, m, q, m)

    def _hessian(self, NN: Array, NQ: Array, UU: Array) -> Array:
        a, b = UU[:, :-1, :, :-1], UU[:, :-1, :, -1]
        b = (b + np.swapaxes(b, 0, 2)) / 2
        # <E, hessian F>: NQ[a, b, c, d] stands for E_da N_ab F_bc Q_cd
        hessian: Array = (2 * NQ - NN).transpose(3, 0, 1, 2)
        b = b.transpose(0, 2, 1).reshape(len(b) ** 2, b.shape[1])
        hessian = hessian - (2 * b @ b.T).reshape(hessian.shape)
        if self.reml:
            hessian -= np.einsum("akbl,cldk->abcd", a, a)
        return hessian

    def sampled(self, step: int) -> CovarianceCriterion:
        """Keep every step-th group, with its share of the rows: close enough to start with.

        The scatter within groups, M as Psi -> infinity, is shared out by numbers of rows.
        """
        problem = self.problem
        some = slice(None, None, step)
        share = problem.n_rows[some].sum() / problem.n_rows.sum()
        sample = replace(
            problem,
            C=problem.C[..., some],
            G=problem.G[..., some],
            n_rows=problem.n_rows[some],
            n=share * problem.n,
        )
        large = 1e4 * np.eye(len(problem.G))
        _, within = self.eliminate(large)
        _, M = replace(self, problem=sample).eliminate(large)
        T = share * within + (problem.T - M)
        return replace(self, problem=replace(sample, T=T))

    def projections(self, Lambda: Array) -> Iterator[tuple[Array, Array]]:
        """Yield N and Delta of all groups, a chunk of groups at a time."""
        for chunk in self._chunks():
            _, _, N, Delta = self.project(Lambda, chunk)
            yield N, Delta

    def project(
        self, Lambda: Array, chunk: slice | NDArray[np.intp]
    ) -> tuple[Array, Array, Array, Array]:
        """Return R, B, N and Delta of some groups."""
        C, G = self.problem.C[..., chunk], self.problem.G[..., chunk]
        R = self._root(Lambda, chunk)
        B = solve_lower(R, multiply(Lambda.T, C))
        F = solve_lower(R, multiply(Lambda.T, G))
        return R, B, subtract_product(G, F, F), subtract_product(C, F, B)

    def _root(self, Lambda: Array, chunk: slice | NDArray[np.intp]) -> Array:
        """Cholesky factors of I + Lambda' G_j Lambda."""
        G = multiply(Lambda.T, self.problem.G[..., chunk])
        A = multiply(Lambda.T, np.ascontiguousarray(np.swapaxes(G, 0, 1)))
        for i in range(len(A)):
            A[i, i] += 1
        return cholesky(A)

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, self.problem.n_groups, CHUNK_GROUPS):
            yield slice(start, start + CHUNK_GROUPS)


def _log_det(R: Array) -> float:
    return 2 * float(sum(np.log(R[i, i]).sum() for i in range(len(R))))
