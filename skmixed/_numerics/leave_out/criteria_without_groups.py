"""Criteria of one variance ratio without each group in turn, from the sums over all groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebvander
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.criterion_one_column import (
    RatioCriterion,
    RatioDerivatives,
    one_column,
    profile,
)
from skmixed._numerics.linalg.arrays import Array

# Points between which sums over groups are interpolated.
N_NODES = 40


@dataclass(frozen=True)
class LeftOut:
    """Groups that are left out one at a time, and what goes with each.

    Attributes
    ----------
    groups : ndarray of shape (k,)
        Their positions among all groups.
    T : ndarray of shape (p + 1, p + 1, k)
        [X_j, y_j]' W [X_j, y_j], in the coordinates of the problem of all groups.
    n : ndarray of shape (k,)
        Sum of the weights of the other groups.
    """

    groups: NDArray[np.intp]
    T: Array
    n: Array

    def __getitem__(self, which: NDArray[np.intp]) -> LeftOut:
        """Take some of the groups."""
        return LeftOut(self.groups[which], self.T[..., which], self.n[which])

    def dof(self, criterion: Criterion) -> Array:
        """Return what r2 is divided by without each group, shape (k,)."""
        return self.n - (criterion.problem.p if criterion.reml else 0)


@dataclass(frozen=True)
class RatioCriteriaWithoutGroups:
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
        cls, criterion: RatioCriterion, left_out: LeftOut
    ) -> RatioCriteriaWithoutGroups:
        """Take what the groups add to the sums."""
        problem, groups = one_column(criterion.problem), left_out.groups
        # the group goes first, as the psi of each does in `RatioCriterion.sums`
        u, root = problem.root[0, 0, groups] ** 2, problem.own[0][:, groups].T
        between = root[:, :, None] * root[:, None, :]
        within = np.moveaxis(left_out.T, -1, 0) - between
        return cls(criterion, left_out.dof(criterion), u, between, within)

    def __call__(self, psi: Array) -> RatioDerivatives:
        """Evaluate up to a constant, at one psi for each group."""
        return profile(*self.sums(psi), dof=self.dof, reml=self.criterion.reml)

    def sums(self, psi: Array) -> tuple[Array, Array]:
        """Return log|V| and M like `RatioCriterion.sums`, without the group of each psi."""
        log_det, M = _interpolated(self.criterion.sums, psi)
        a = 1 + psi * self.u
        v = self.u / a
        # the group's log(1 + psi u) and 1 / (1 + psi u), with first and second derivatives
        log_det -= [np.log(a), v, -(v**2)]
        weight = np.stack([1 / a, -v / a, 2 * v**2 / a])
        M -= weight[..., None, None] * self.between
        M[0] -= self.within  # which does not depend on psi
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
    # [low, high] is mapped to [-1, 1], where the polynomials live; weights are (psi, node)
    x = 2 * (psi - low) / (high - low) - 1
    weights = chebvander(x, N_NODES - 1) @ np.linalg.inv(chebvander(nodes, N_NODES - 1))
    log_det, M = sums(low + (high - low) * (nodes + 1) / 2)
    return log_det @ weights.T, np.einsum("kn,dnab->dkab", weights, M, optimize=True)
