"""The criterion as a function of a covariance matrix: several random columns.

Axes stand in the order s, a b c d, m n, k, of which each array has some:

    s        one of several Psi at which the criterion is evaluated at once; absent for one
    a b c d  random columns, q of them
    m n      columns of [X, y], p + 1 of them, y last
    k        groups

so that N_j has shape (s, a, b, k), Delta_j (s, a, m, k), and G_j, the same at all Psi,
(a, b, k).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import GRAM_ERROR, PERFECT_FIT, RANK_TOLERANCE
from skmixed._numerics.linalg.small_matrices import (
    cholesky,
    gram,
    gram_by_matrix,
    multiply,
    multiply_transposed,
    solve_lower,
    solve_lower_transposed,
    sum_of_outer,
)
from skmixed._numerics.linalg.triangular import inverse_of_lower

# Groups are taken in chunks whose working arrays stay in the second-level cache.
CHUNK_GROUPS = 2**12
# The calls no longer matter where sums over groups have more numbers than that.
LARGE_SUMS = 2**16
# What squares are divided by, at least.
TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class CovarianceDerivatives:
    """The criterion at one Psi, or at each of several, and its derivatives.

    Shapes are those at one; at several there is an index of Psi in front.

    Attributes
    ----------
    value : ndarray of shape ()
        The criterion.
    S : ndarray of shape (q, q)
        Gradient: the criterion changes by <S, E> for a small symmetric change E of Psi.
    hessian : ndarray of shape (q, q, q, q)
        Second derivative: <E, hessian F> for symmetric E and F.
    UU : ndarray of shape (q, q, p + 1, p + 1)
        sum_j [U, u]_j (x) [U, u]_j, with axes a b m n: how the coefficients' covariance and r2
        change with Psi.
    root : ndarray of shape (p + 1, p + 1)
        W with [U, u]' = W [Delta_X, Delta_y]'; its first p rows and columns are M_XX^-1/2.
    """

    value: Array
    S: Array
    hessian: Array
    UU: Array
    root: Array

    def __getitem__(self, i: int) -> Self:
        """One of several."""
        return type(self)(*(part[i] for part in vars(self).values()))


@dataclass(frozen=True)
class DerivativesGivenSigma2(CovarianceDerivatives):
    """The criterion at one Psi and one residual variance, and its derivatives.

    Attributes
    ----------
    slope, curvature : ndarray of shape ()
        First and second derivative in log sigma2.
    """

    slope: Array
    curvature: Array

    @property
    def cross(self) -> Array:
        """How S changes with log sigma2, shape (q, q)."""
        return self.UU[..., -1, -1]


@dataclass(frozen=True)
class CovarianceCriterion(Criterion):
    """REML or ML criterion of a model with q random columns, profiled to Psi.

    Psi enters as any factor, Psi = Lambda Lambda'. For each group, with Z = Q L' and own
    columns Q'D in an orthonormal basis, and with R the Cholesky factor of I + L' Psi L,

        F = R^-1 L',  B = R^-1 Q'D,
        N = Z'V^-1 Z = F'F,  Delta = Z'V^-1 D = F'B,  M = within + sum_j B'B.

    Nothing is subtracted, so that no digits are lost however large Psi, and however far the
    groups lie apart.
    """

    def eliminate(self, Lambda: Array) -> tuple[Array, Array]:
        """Return sum_j log|I + Lambda' G_j Lambda| and M = D' V^-1 D, up to sigma2.

        Lambda has shape (q, q), or (s, q, q) for each of several.
        """
        several = Lambda.shape[:-2]
        log_det, M = np.zeros(several), _for_each(self.problem.within, several)
        for chunk in self._chunks(prod(several)):
            R = _roots(multiply(Lambda.swapaxes(-1, -2), self.problem.root[..., chunk]))
            log_det += _log_det(R)
            M += gram(solve_lower(R, _for_each(self.problem.own[..., chunk], several)))
        return log_det, M

    def conditional_modes(self, Lambda: Array, beta: Array) -> Array:
        """Return b_j = Lambda (I + Lambda' G_j Lambda)^-1 Lambda' (C_jy - C_jX beta)."""
        own, b = self.problem.own, np.empty(self.problem.root.shape[::2])
        for chunk in self._chunks():
            left = own[:, -1, chunk] - beta @ own[:, :-1, chunk]  # axes r k
            A = multiply(Lambda.T, self.problem.root[..., chunk])
            part = solve_lower(R := _roots(A), left[:, None])  # a column for each group
            b[:, chunk] = Lambda @ np.einsum(
                "ark,rk->ak", A, solve_lower_transposed(R, part)[:, 0]
            )
        return b

    def conditional_variances(self, Lambda: Array, rows: Array) -> Array:
        """Return the diagonals of rows H_j rows', over sigma2, shape (len(rows), n_groups)."""
        variances = np.empty((len(rows), self.problem.n_groups))
        for chunk in self._chunks():
            A = multiply(Lambda.T, self.problem.root[..., chunk])
            R = _roots(A.swapaxes(0, 1))  # of I + Lambda' G_j Lambda
            # the same columns Lambda' rows' for all groups
            F = np.repeat((rows @ Lambda).T[..., None], R.shape[-1], axis=-1)
            variances[:, chunk] = np.sum(solve_lower(R, F) ** 2, axis=0)
        return variances

    def digits_beside_effects(self, Lambda: Array) -> float:
        """Return how many digits are right of what random effects leave of each other."""
        digits = np.inf
        for chunk in self._chunks():
            A = multiply(Lambda.T, self.problem.root[..., chunk])
            left = np.einsum("aak->ak", _roots(A)) ** 2
            share = GRAM_ERROR * (1 + np.sum(A**2, axis=0)) / left
            digits = min(digits, -np.log10(share.max(initial=GRAM_ERROR)))
        return float(digits)

    def value(self, Lambda: Array) -> float:
        """Return the criterion alone."""
        return self.profile(*self.eliminate(Lambda))

    def values_at(self, Psi: Array) -> Array:
        """Return the criterion at each of several Psi, shape (s, q, q).

        It is infinite where a column of X is lost in rounding.
        """
        variances, V = np.linalg.eigh(Psi)
        log_det, M = self.eliminate(V * np.sqrt(np.maximum(variances, 0.0))[:, None, :])
        size = np.sqrt(np.maximum(np.diagonal(M, axis1=1, axis2=2), TINY))
        squares = _pivots(M / (size[:, :, None] * size[:, None, :]))
        lost = np.any(squares[:, :-1] <= RANK_TOLERANCE, axis=1)
        logs = np.log(np.where(lost[:, None], 1.0, squares)) + 2 * np.log(size)
        floor = np.log(PERFECT_FIT) + 2 * np.log(size[:, -1])
        r2 = np.exp(np.maximum(logs[:, -1], floor))
        value = self.combine(log_det, logs[:, :-1].sum(axis=1), r2)
        return np.where(lost, np.inf, value)

    def __call__(self, Lambda: Array) -> CovarianceDerivatives:
        """Evaluate the criterion with its first and second derivatives in Psi.

        Those of `given_sigma2`, less t_E t_F / dof in the second for sigma2 profiled out.
        Lambda has shape (q, q), or (s, q, q) for an evaluation at each of several.
        """
        given = self.given_sigma2(Lambda)
        share, t = 1 / given.curvature, given.cross
        profiled = np.einsum("...,...ab,...cd->...abcd", share, t, t)
        hessian = given.hessian - profiled
        return CovarianceDerivatives(given.value, given.S, hessian, given.UU, given.root)

    def given_sigma2(
        self, Lambda: Array, sigma2: float | None = None
    ) -> DerivativesGivenSigma2:
        """Evaluate the criterion at a residual variance, by default at the best, r2 / dof.

        With U = Delta_X M_XX^-1/2, u = d / sqrt(sigma2), d = Delta_y - Delta_X beta, and for
        REML Q_j = U_j U_j' + u_j u_j', for ML Q_j = u_j u_j',

            S = sum_j N_j - Q_j,
            <E, hessian F> = sum_j 2 tr(E N_j F Q_j) - tr(E N_j F N_j)
                - tr(a_E a_F) - 2 b_E' b_F,

        where a_E = sum_j U_j' E U_j (REML only) and b_E = sum_j U_j' E u_j; and the change of
        <S, E> with log sigma2 is t_E = sum_j u_j' E u_j.
        """
        if Lambda.ndim == 2:
            return self.given_sigma2(Lambda[None], sigma2)[0]
        log_det, M, parts = self._reduce(Lambda)
        root, log_det_XX, r2 = map(np.array, zip(*map(inverse_root, M), strict=True))
        ratio = np.ones(len(r2)) if sigma2 is None else r2 / (self.dof * sigma2)
        root[:, -1] *= np.sqrt(self.dof / r2 * ratio)[:, None]  # d = sqrt(sigma2) u
        S, P, UU = self._sums_of_products(parts, root)
        best = self.combine(log_det, log_det_XX, r2)
        return DerivativesGivenSigma2(
            value=best + self.dof * (ratio - 1 - np.log(ratio)),
            S=S,
            hessian=self._hessian(P, UU),
            UU=UU,
            root=root,
            slope=self.dof * (1 - ratio),
            curvature=self.dof * ratio,
        )

    @property
    def at_once(self) -> int:
        """Number of Lambda that are worth evaluating in one call."""
        q, m = self.problem.q, 1 + self.problem.p
        return max(LARGE_SUMS // int(1 + q * m) ** 2, 1)

    def _reduce(self, Lambda: Array) -> tuple[Array, Array, list[tuple[Array, Array]]]:
        """Return sum_j log|I + Lambda' G_j Lambda|, M, and chunks of N_j and Delta_j."""
        log_det, parts = np.zeros(len(Lambda)), []
        M = np.repeat(self.problem.within[None], len(Lambda), axis=0)
        for chunk in self._chunks(len(Lambda)):
            R, B, N, Delta = self.project(Lambda, chunk)
            parts.append((N, Delta))
            log_det += _log_det(R)
            M += gram(B)
        return log_det, M, parts

    def _sums_of_products(
        self, parts: list[tuple[Array, Array]], root: Array
    ) -> tuple[Array, Array, Array]:
        """Add up over groups N - Q, N (x) (2 Q - N) and [U, u] (x) [U, u].

        Shapes are (s, a, b), (s, a, b, c, d) and (s, a, b, m, n).
        """
        s, q, m = len(root), self.problem.q, 1 + self.problem.p
        S, P, UU = np.zeros((s, q, q)), np.zeros((s, q, q, q, q)), np.zeros((s, q, m, q, m))
        counted = slice(None) if self.reml else slice(-1, None)
        for N, Delta in parts:
            U = multiply_transposed(Delta, root)
            Q = gram_by_matrix(U[:, :, counted].swapaxes(1, 2))  # U_j U_j'
            S += np.sum(N - Q, axis=-1)
            P += sum_of_outer(N, 2 * Q - N)
            UU += sum_of_outer(U, U)  # axes a m b n
        return S, P, UU.swapaxes(2, 3)

    def _hessian(self, P: Array, UU: Array) -> Array:
        """Return the second derivatives of `given_sigma2`, axes s a b c d for E_ab and F_cd."""
        s, q, _, m, _ = UU.shape
        # sum_j [U, u]_j' E [U, u]_j is a_E bordered by b_E, and t_E, which does not count
        counted = np.full((m, m), float(self.reml))
        counted[-1] = counted[:, -1] = 1.0
        counted[-1, -1] = 0.0
        borders = (UU * counted).reshape(s, q, q, m * m)
        # P_abcd is sum_j N_ab (2 Q - N)_cd, and tr(E N F (2 Q - N)) has E_da N_ab F_bc (..)_cd:
        # d, the last, goes before a
        hessian: Array = P.transpose(0, 4, 1, 2, 3) - sum_of_outer(borders, borders)
        return hessian

    def sampled(self, step: int) -> CovarianceCriterion:
        """Keep every step-th group, with its share of the rows: close enough to start with.

        The scatter within groups is shared out by numbers of rows.
        """
        problem = self.problem
        some = slice(None, None, step)
        share = problem.n_rows[some].sum() / problem.n_rows.sum()
        sample = replace(
            problem,
            within=share * problem.within,
            own=problem.own[..., some],
            root=problem.root[..., some],
            n_rows=problem.n_rows[some],
            n=share * problem.n,
        )
        return replace(self, problem=sample)

    def projections(self, Lambda: Array) -> Iterator[tuple[Array, Array]]:
        """Yield N and Delta of all groups, a chunk of groups at a time."""
        for chunk in self._chunks():
            _, _, N, Delta = self.project(Lambda, chunk)
            yield N, Delta

    def project(
        self, Lambda: Array, chunk: slice | NDArray[np.intp]
    ) -> tuple[Array, Array, Array, Array]:
        """Return R, B, N and Delta of some groups, at one Lambda or several."""
        q, root = self.problem.q, self.problem.root[..., chunk]
        R = _roots(multiply(Lambda.swapaxes(-1, -2), root))
        # L' and Q'D side by side: axes r (b, m) k, and the same for all Psi
        FB = np.concatenate([root.swapaxes(0, 1), self.problem.own[..., chunk]], axis=1)
        FB = solve_lower(R, _for_each(FB, Lambda.shape[:-2]))
        ND = np.einsum("...rak,...rmk->...amk", FB[..., :q, :], FB)  # F'F and F'B
        return R, FB[..., q:, :], ND[..., :q, :], ND[..., q:, :]

    def _chunks(self, n_lambda: int = 1) -> Iterator[slice]:
        size = max(CHUNK_GROUPS // n_lambda, 1)
        for start in range(0, self.problem.n_groups, size):
            yield slice(start, start + size)


def _for_each(B: Array, several: tuple[int, ...]) -> Array:
    """Copy B for each of several Lambda."""
    return np.broadcast_to(B, (*several, *B.shape)).copy()


def _roots(A: Array) -> Array:
    """Cholesky factors of I + A_k'A_k."""
    products = gram_by_matrix(A)
    products += np.eye(products.shape[-2])[..., None]
    return cholesky(products, least=1.0)


def inverse_root(M: Array) -> tuple[Array, float, float]:
    """W with W [Delta_X, Delta_y]' = [U, d]', and log|M_XX| and r2 on the way."""
    W = np.zeros_like(M)
    L, failed = lapack.dpotrf(M[:-1, :-1], lower=1, clean=1)
    if failed:  # a column of X is lost in rounding: nothing that a search should go on with
        return W, np.inf, 1.0
    W[:-1, :-1] = inverse_of_lower(L)
    explained = W[:-1, :-1] @ M[:-1, -1]
    left = M[-1, -1] - explained @ explained
    r2 = max(left, PERFECT_FIT * M[-1, -1], PERFECT_FIT**2)  # y may be constant
    W[-1, :-1], W[-1, -1] = -explained @ W[:-1, :-1], 1.0
    return W, 2 * float(np.log(L.diagonal()).sum()), float(r2)


def _pivots(M: Array) -> Array:
    """Squares on the diagonals of Cholesky factors; 0 where there is none."""
    try:
        return np.asarray(np.diagonal(np.linalg.cholesky(M), axis1=1, axis2=2) ** 2)
    except np.linalg.LinAlgError:
        if len(M) == 1:
            return np.zeros(M.shape[:2])
        return np.concatenate([_pivots(one) for one in np.split(M, len(M))])


def _log_det(R: Array) -> Array:
    pivots = np.diagonal(R, axis1=-3, axis2=-2)  # of a and b, which leaves (s, k, a)
    return np.asarray(2 * np.log(pivots).sum(axis=(-2, -1)))
