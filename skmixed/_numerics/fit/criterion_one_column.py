"""The criterion as a function of one variance ratio: a single random column."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CONSTANT_UP_TO, PERFECT_FIT, RELATIVE_ERROR
from skmixed._numerics.linalg.small_matrices import gram

# Different sizes that a coarsened criterion keeps, for each doubling of the size.
SIZES_PER_OCTAVE = 8


@dataclass(frozen=True)
class RatioDerivatives:
    """The criterion and its derivatives in psi, at each of k values; shapes (k,)."""

    value: Array
    slope: Array
    curvature: Array


@dataclass(frozen=True)
class RatioCriterion(Criterion):
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

    u: Array
    count: Array
    between: Array
    within: Array

    @classmethod
    def from_problem(cls, problem: Problem, *, reml: bool) -> RatioCriterion:
        """Add up groups of equal size."""
        problem = one_column(problem)
        sizes = problem.root[0, 0] ** 2
        order = np.argsort(sizes, kind="stable")
        order = order[np.searchsorted(sizes, 0.0, "right", sorter=order) :]
        u = sizes[order]  # without groups of size 0, where z is 0
        root = np.take(problem.own[0], order, axis=1)
        within = _without_rounding(problem.within, problem.noise)
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

    def eliminate(self, Lambda: Array) -> tuple[float, Array]:
        """Return sum_j log|I + Lambda' G_j Lambda| and M = D' V^-1 D, up to sigma2."""
        a = 1 + Lambda[0, 0] ** 2 * self.u
        return float(np.log(a) @ self.count), self.within + self._weighted_sum(1 / a)

    def eliminate_each(self, psi: Array) -> tuple[Array, Array]:
        """Return what `eliminate` does at every psi, shapes (k,) and (k, p + 1, p + 1)."""
        if self.between.ndim == 3:
            a = 1 + psi[:, None] * self.u  # axes: psi, sizes
            return np.log(a) @ self.count, self.within + self._weighted_sum(1 / a)
        # one by one: each alone takes as much memory as there are groups
        each = [self.eliminate(np.array([[root]])) for root in np.sqrt(psi)]
        return np.array([log_det for log_det, _ in each]), np.stack([M for _, M in each])

    def conditional_modes(self, Lambda: Array, beta: Array) -> Array:
        """Return b_j = psi (c_jy - c_jX beta) / (1 + psi u_j), shape (1, n_groups)."""
        psi, problem = Lambda[0, 0] ** 2, self.problem
        residual = problem.C[:, -1] - beta @ problem.C[:, :-1]
        b: Array = psi / (1 + psi * problem.G[0]) * residual
        return b

    def conditional_variances(self, Lambda: Array, rows: Array) -> Array:
        """Return rows^2 psi / (1 + psi u_j), shape (len(rows), n_groups)."""
        psi = Lambda[0, 0] ** 2
        variances: Array = rows**2 * psi / (1 + psi * self.problem.G[0])
        return variances

    def __call__(self, psi: Array) -> RatioDerivatives:
        """Evaluate the criterion, its slope and its curvature at every psi, shape (k,)."""
        scaled = profile(*self.sums(psi), dof=self.dof, reml=self.reml)
        return replace(scaled, value=scaled.value + self.constant)

    def sums(self, psi: Array) -> tuple[Array, Array]:
        """Return log|V|, shape (3, k), and M, shape (3, k, p + 1, p + 1), at every psi.

        The first axis is that of the values and of their first and second derivatives.
        """
        a = 1 + psi[:, None] * self.u
        v = self.u / a  # da/dpsi = u, so that dv/dpsi = -v^2 and d(1 / a)/dpsi = -v / a
        log_det = np.stack([np.log(a), v, -(v**2)]) @ self.count
        M = np.stack([self._weighted_sum(part) for part in (1 / a, -v / a, 2 * v**2 / a)])
        M[0] += self.within  # a constant in psi
        return log_det, M

    def _weighted_sum(self, weight: Array) -> Array:
        """sum_j weight_j c_j c_j' / u_j; weight has shape (n_sizes,) or (k, n_sizes)."""
        if self.between.ndim == 3:
            return np.tensordot(weight, self.between, axes=1)
        root = self.between
        sums = np.stack([(root * row) @ root.T for row in np.atleast_2d(weight)])
        return sums.reshape(*weight.shape[:-1], *sums.shape[1:])


def profile(log_det: Array, M: Array, *, dof: float | Array, reml: bool) -> RatioDerivatives:
    """Profile out the coefficients and sigma2: the criterion in scaled coordinates.

    Parameters
    ----------
    log_det : ndarray of shape (3, k)
        log|V| and its two derivatives in psi.
    M : ndarray of shape (3, k, p + 1, p + 1)
        M and its two derivatives.
    dof : float or ndarray of shape (k,)
        What r2 is divided by.
    reml : bool
        Restricted maximum likelihood if true, else maximum likelihood.

    Returns
    -------
    RatioDerivatives
    """
    p = M.shape[-1] - 1
    M_XX, M1, M2 = M[0, :, :p, :p], M[1, :, :p], M[2, :, :p, :p]
    solved = np.linalg.solve(M_XX, np.concatenate([M[0, :, :p, p:], M1, M2], axis=2))
    # M_XX^-1 times M_Xy, M1_XX, M1_Xy and M2_XX
    beta, F, F_y, F2 = np.split(solved, [1, p + 1, p + 2], axis=2)
    # beta minimises r2 = w' M w, w = (-beta, 1): a constant in the first derivative, w' M1 w,
    # and what it adds to the second is -2 k' M_XX^-1 k with k = M1_Xy - M1_XX beta
    w = np.concatenate([-beta, np.ones((len(M_XX), 1, 1))], axis=1)
    r, r1, r2 = (np.swapaxes(w, 1, 2) @ M @ w)[..., 0, 0]
    r = np.maximum(r, PERFECT_FIT * M[0, :, -1, -1])
    r2 = r2 - 2 * np.sum((M1 @ w) * (F_y - F @ beta), axis=(1, 2))
    value = log_det[0] + dof * (1 + np.log(2 * np.pi * r / dof))
    slope = log_det[1] + dof * r1 / r
    curvature = log_det[2] + dof * (r2 / r - (r1 / r) ** 2)
    if reml:  # log|M_XX| has the slope tr F and the curvature tr F2 - tr F F
        value += np.linalg.slogdet(M_XX)[1]
        slope += np.trace(F, axis1=1, axis2=2)
        curvature += np.trace(F2, axis1=1, axis2=2)
        curvature -= np.sum(F * np.swapaxes(F, 1, 2), axis=(1, 2))
    return RatioDerivatives(value, slope, curvature)


def one_column(problem: Problem) -> Problem:
    """Reduce the bases of a problem with one random column to that column."""
    if problem.root.shape[1] == 1:
        return problem
    size = np.sqrt(np.sum(problem.root**2, axis=1))  # of z in each group, shape (1, k)
    unit = problem.root[0] / np.where(size > 0, size, 1.0)  # z in the basis, axes r k
    own = np.einsum("rk,rmk->mk", unit, problem.own)
    others = problem.own - unit[:, None] * own  # what is orthogonal to z counts as within
    rounding = RELATIVE_ERROR * np.abs(problem.own).sum(axis=0)  # all there is of z itself
    others[np.abs(others) <= rounding] = 0.0
    return replace(
        problem, within=problem.within + gram(others), own=own[None], root=size[None]
    )


def _without_rounding(within: Array, noise: Array) -> Array:
    """Scatter within groups, exactly zero for columns that are constant there."""
    within = within.copy()
    constant = np.diag(within) <= CONSTANT_UP_TO * noise
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
