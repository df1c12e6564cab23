"""The profiled REML or ML criterion as a function of one variance ratio."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skmixed._numerics.moments import Array
from skmixed._numerics.problem import Problem

# Residual sums of squares are never taken below this share of the total sum of squares:
# cross-products in float64 carry no more.
PERFECT_FIT = 1e-14
# A column whose scatter within groups is a smaller share of the total is constant there.
CONSTANT_WITHIN = 1e-12
# Sizes that a coarsened criterion tells apart, for each doubling of the size.
SIZES_PER_OCTAVE = 8


@dataclass(frozen=True)
class Evaluation:
    """The criterion and its derivatives in psi, at each of k values; shapes (k,)."""

    value: Array
    slope: Array
    curvature: Array


@dataclass(frozen=True)
class RatioCriterion:
    """REML or ML criterion of a model with one random column, profiled to its ratio psi.

    With group sizes ``u_j = Z_j' W Z_j`` and ``c_j = Z_j' W D_j``,

        M(psi) = D' V^-1 D = within + sum_j (c_j c_j' / u_j) / (1 + psi u_j),
        within = T - sum_j c_j c_j' / u_j.

    No term is subtracted from another as psi changes, so no digits are lost however large it
    is; psi = 0 is complete pooling and psi -> infinity fixed effects. Groups of equal size
    share a divisor: their c_j c_j' / u_j are added up once, and an evaluation costs
    (distinct sizes) x p^2, whatever the number of groups.

    Attributes
    ----------
    problem : Problem
        Moments with a single random column.
    reml : bool
        Restricted maximum likelihood if true, else maximum likelihood.
    u : ndarray of shape (n_sizes,)
        Group sizes, ascending.
    count : ndarray of shape (n_sizes,)
        Number of groups of each size.
    between : ndarray of shape (n_sizes, p + 1, p + 1) or (p + 1, n_groups)
        For each size, the sum of c_j c_j' / u_j; or, where most sizes differ and that would
        be larger, the columns c_j / sqrt(u_j), each group with a size of its own.
    within : ndarray of shape (p + 1, p + 1)
        Scatter within groups.
    """

    problem: Problem
    reml: bool
    u: Array
    count: Array
    between: Array
    within: Array

    @classmethod
    def from_problem(cls, problem: Problem, *, reml: bool) -> RatioCriterion:
        """Add up groups of equal size."""
        order = np.argsort(problem.G[0, 0], kind="stable")
        u = problem.G[0, 0, order]
        root = np.take(problem.C[0], order, axis=1)
        root /= np.sqrt(u)
        within = _scatter_within(problem.T, root @ root.T)
        if (1 + np.count_nonzero(np.diff(u))) * len(root) < len(u):
            return cls(problem, reml, *_add_up(root, u, u), within)
        return cls(problem, reml, u, np.ones_like(u), root, within)

    def coarsened(self) -> RatioCriterion:
        """Treat groups of nearly equal size as equal: cheap, and close enough to scan with."""
        if self.between.ndim == 3:
            return self
        nearly = np.round(SIZES_PER_OCTAVE * np.log2(self.u))
        u, count, between = _add_up(self.between, self.u, nearly)
        return replace(self, u=u, count=count, between=between)

    @property
    def dof(self) -> float:
        """What r2 is divided by: n - p for REML, n for ML."""
        return self.problem.n - (self.problem.p if self.reml else 0)

    @property
    def constant(self) -> float:
        """What the criterion in the user's coordinates adds to that in scaled ones."""
        of_y = self.dof * 2 * np.log(self.problem.y_scale)
        return float(of_y + (self.problem.log_scale if self.reml else 0.0))

    def cross_products(self, psi: float) -> Array:
        """M = D' V^-1 D, up to sigma2; shape (p + 1, p + 1)."""
        return self.within + self._weighted_sum(1 / (1 + psi * self.u))

    def residual_square(self, M: Array) -> Array:
        """r2 = M_yy - M_yX M_XX^-1 M_Xy, floored where nothing but rounding is left."""
        M_XX, M_Xy = M[..., :-1, :-1], M[..., :-1, -1]
        explained = np.sum(M_Xy * np.linalg.solve(M_XX, M_Xy[..., None])[..., 0], axis=-1)
        r2: Array = np.maximum(M[..., -1, -1] - explained, PERFECT_FIT * M[..., -1, -1])
        return r2

    def __call__(self, psi: Array) -> Evaluation:
        """Evaluate the criterion, its slope and its curvature at every psi, shape (k,)."""
        a = 1 + psi[:, None] * self.u
        v = self.u / a
        M = self.within + self._weighted_sum(1 / a)
        M1 = -self._weighted_sum(v / a)
        M2 = 2 * self._weighted_sum(v**2 / a)
        value = np.log(a) @ self.count + self.constant
        slope = v @ self.count
        curvature = -(v**2) @ self.count
        r, r1, r2 = self._residual_square(M, M1, M2)
        value += self.dof * (1 + np.log(2 * np.pi * r / self.dof))
        slope += self.dof * r1 / r
        curvature += self.dof * (r2 / r - (r1 / r) ** 2)
        if self.reml:
            M_XX, M1_XX, M2_XX = M[:, :-1, :-1], M1[:, :-1, :-1], M2[:, :-1, :-1]
            F = np.linalg.solve(M_XX, M1_XX)
            value += np.linalg.slogdet(M_XX)[1]
            slope += np.trace(F, axis1=1, axis2=2)
            curvature += np.trace(np.linalg.solve(M_XX, M2_XX), axis1=1, axis2=2)
            curvature -= np.sum(F * np.swapaxes(F, 1, 2), axis=(1, 2))
        return Evaluation(value, slope, curvature)

    def _residual_square(self, M: Array, M1: Array, M2: Array) -> tuple[Array, Array, Array]:
        """r2 = w' M w at w = (-beta, 1), and its derivatives.

        beta minimises r2, so it counts as constant in the first derivative, w' M1 w.
        """
        M_XX, M_Xy = M[:, :-1, :-1], M[:, :-1, -1:]
        w = np.concatenate([-np.linalg.solve(M_XX, M_Xy), np.ones((len(M), 1, 1))], axis=1)
        k = (M1 @ w)[:, :-1]
        first = (np.swapaxes(w, 1, 2) @ M1 @ w)[:, 0, 0]
        second = (np.swapaxes(w, 1, 2) @ M2 @ w)[:, 0, 0]
        second -= 2 * np.sum(k * np.linalg.solve(M_XX, k), axis=(1, 2))
        return self.residual_square(M), first, second

    def _weighted_sum(self, weight: Array) -> Array:
        """sum_j weight_j c_j c_j' / u_j; weight has shape (n_sizes,) or (k, n_sizes)."""
        if self.between.ndim == 3:
            return np.tensordot(weight, self.between, axes=1)
        root = self.between
        sums = np.stack([(root * row) @ root.T for row in np.atleast_2d(weight)])
        return sums.reshape(*weight.shape[:-1], *sums.shape[1:])


def _scatter_within(total: Array, between: Array) -> Array:
    """Total less between; exactly zero for columns that are constant within groups."""
    within = total - between
    constant = np.diag(within) <= CONSTANT_WITHIN * np.diag(total)
    within[constant] = 0.0
    within[:, constant] = 0.0
    return within


def _add_up(root: Array, u: Array, key: Array) -> tuple[Array, Array, Array]:
    """For runs of equal key: mean size, number of groups, and the sum of root root'."""
    starts = np.flatnonzero(np.diff(key, prepend=np.nan))
    count = np.diff(starts, append=len(key))
    parts = (root[:, a : a + m] for a, m in zip(starts, count, strict=True))
    between = np.stack([part @ part.T for part in parts])
    return np.add.reduceat(u, starts) / count, count.astype(np.float64), between
