"""Coordinates of (Psi, sigma2) in which a parameter of interest is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.triangular import triangular


@dataclass(frozen=True)
class Expansion:
    """A criterion, its gradient and its Hessian at a point."""

    value: float
    gradient: Array
    hessian: Array


@dataclass(frozen=True)
class CovarianceCoordinates:
    """phi = (free entries of L, log sigma2) with sigma2 W Psi W' = L L', L lower triangular.

    The entries may take any sign, so that the borders of the parameters are ordinary points.

    Attributes
    ----------
    criterion : CovarianceCriterion
        The function of Psi and sigma2.
    W : ndarray of shape (q, q)
        The linear combinations of the random effects that L describes.
    """

    criterion: CovarianceCriterion
    W: Array

    @cached_property
    def free(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the free entries of L."""
        q = len(self.W)
        return (np.arange(q),) * 2 if self.criterion.problem.diagonal else np.tril_indices(q)

    @cached_property
    def W_inv(self) -> Array:
        return np.asarray(np.linalg.inv(self.W), dtype=np.float64)

    def phi(self, Lambda: Array, sigma2: float) -> Array:
        """Return the coordinates, given any factor of Psi."""
        L = triangular(self.W @ Lambda, diagonal=self.criterion.problem.diagonal)
        entries = np.sqrt(sigma2) * L[self.free]
        return np.append(self._of_entries(entries), np.log(sigma2))

    def factor(self, phi: Array) -> tuple[Array, float]:
        """Return L and sigma2."""
        L = np.zeros_like(self.W)
        L[self.free] = self._entries(phi[:-1])
        return L, float(np.exp(phi[-1]))

    def sd_ratio(self, phi: Array) -> float:
        """Return the largest standard deviation of W b along the columns of L, over sigma."""
        L, sigma2 = self.factor(phi)
        return float(np.abs(L).max() / np.sqrt(sigma2))

    def __call__(self, phi: Array) -> Expansion:
        """Expand the criterion around phi.

        Carries the derivatives over from Psi = K L L' K', K = W^-1 / sigma, and sigma2.
        """
        (rows, columns), (L, sigma2) = self.free, self.factor(phi)
        K = self.W_inv / np.sqrt(sigma2)
        Lambda = K @ L
        in_Psi = self.criterion.given_sigma2(Lambda, sigma2)
        # changes of Psi with each coordinate in turn, axes a b and the coordinate: with an
        # entry (r, c) of L by K (e_r e_c' L' + L e_c e_r') K'
        half = K[:, None, rows] * Lambda[None, :, columns]
        # with log sigma2 Psi changes by -Psi, and its other changes by as much as they are
        change = np.empty((*Lambda.shape, 1 + len(rows)))
        change[..., :-1] = half + np.swapaxes(half, 0, 1)
        change[..., -1] = -Lambda @ Lambda.T
        change = change.reshape(Lambda.size, -1)
        gradient = change.T @ in_Psi.S.ravel()
        hessian = change.T @ in_Psi.hessian.reshape(Lambda.size, -1) @ change
        # entries of the same column of L have a second change of Psi in common
        second = (K.T @ in_Psi.S @ K)[rows[:, None], rows]
        hessian[:-1, :-1] += np.where(columns[:, None] == columns, 2 * second, 0.0)
        # - gradient: each change of Psi shrinks as log sigma2 grows, since K does
        cross = change.T @ in_Psi.cross.ravel() - gradient
        hessian[-1] += cross
        hessian[:, -1] += cross
        hessian[-1, -1] += gradient[-1] + in_Psi.curvature
        gradient[-1] += in_Psi.slope
        return self._turned(Expansion(float(in_Psi.value), gradient, hessian), phi)

    def _entries(self, phi: Array) -> Array:
        """Free entries of L, given the coordinates without log sigma2."""
        return phi

    def _of_entries(self, entries: Array) -> Array:
        """Coordinates without log sigma2, given the free entries of L."""
        return entries

    def _turned(self, expansion: Expansion, phi: Array) -> Expansion:
        """Carry the derivatives over from the entries of L to what replaces them."""
        return expansion


class LengthCoordinates(CovarianceCoordinates):
    """phi = (s, free entries of L above the last row, u, log sigma2).

    The last row of L is s v with |v| = 1: s is the standard deviation of the last of the random
    effects W b, and v the direction in which it varies with the others. How these vary among
    themselves does not depend on s and v. (If the effect were the first of W b, the least
    deviance would be at the bottom of a bent valley next to s = 0.)

    Of v there is the stereographic projection u from (0, ..., 0, -1), v = 2 h / |h|^2 - e with
    h = (u, 1) and e = (0, ..., 0, 1): |u| = 1 where the effect is a combination of the others.
    """

    @classmethod
    def ending_with(cls, row: Array, criterion: CovarianceCriterion) -> LengthCoordinates:
        """Complete a given last row of W."""
        return cls(criterion, np.vstack([unit_vectors_beside(row[None]), row]))

    def _direction(self, u: Array) -> tuple[Array, Array]:
        """v, and how it changes with u."""
        h = np.append(u, 1.0)
        half = h @ h / 2
        e = np.eye(len(h))
        return h / half - e[-1], e[:, :-1] / half - np.outer(h, u) / half**2

    def _entries(self, phi: Array) -> Array:
        above, u = np.split(phi[1:], [1 - len(self.W)])
        return np.append(above, phi[0] * self._direction(u)[0])

    def _of_entries(self, entries: Array) -> Array:
        above, row = np.split(entries, [-len(self.W)])
        s = np.linalg.norm(row)
        v = row / s if s > 0 else np.zeros(len(row))
        return np.hstack([s, above, v[:-1] / (1 + v[-1])])

    def _turned(self, expansion: Expansion, phi: Array) -> Expansion:
        q = len(self.W)
        s, u = phi[0], phi[-q:-1]
        v, change = self._direction(u)
        J, row = np.eye(len(phi), k=1), slice(-1 - q, -1)
        J[-1], J[row] = 0.0, 0.0
        J[row, 0], J[row, -q:-1], J[-1, -1] = v, s * change, 1.0
        hessian, in_row = J.T @ expansion.hessian @ J, expansion.gradient[row]
        # what the curvature of the map adds: the row turns faster the longer it is
        hessian[0, -q:-1] += in_row @ change
        hessian[-q:-1, 0] += in_row @ change
        half = (u @ u + 1) / 2
        along, mixed = in_row[:-1] @ u + in_row[-1], np.outer(in_row[:-1], u)
        bend = 2 * along * np.outer(u, u) / half - mixed - mixed.T - along * np.eye(q - 1)
        hessian[-q:-1, -q:-1] += s * bend / half**2
        return Expansion(expansion.value, J.T @ expansion.gradient, hessian)


class AngleCoordinates(CovarianceCoordinates):
    """phi = (log L[0, 0], angle, log r, other free entries of L, log sigma2).

    L[1, :2] is r (cos(angle), sin(angle)), so that cos(angle) is the correlation of the first
    two of the random effects W b, which must have some variance.
    """

    @classmethod
    def starting_with(cls, rows: Array, criterion: CovarianceCriterion) -> AngleCoordinates:
        """Complete two given first rows of W."""
        return cls(criterion, np.vstack([rows, unit_vectors_beside(rows)]))

    def _entries(self, phi: Array) -> Array:
        (sd, r), angle = np.exp(phi[[0, 2]]), phi[1]
        return np.append([sd, r * np.cos(angle), r * np.sin(angle)], phi[3:])

    def _of_entries(self, entries: Array) -> Array:
        sd, *row = entries[:3]
        first = np.log(sd), np.arctan2(row[1], row[0]), np.log(np.hypot(*row))
        return np.append(first, entries[3:])

    def _turned(self, expansion: Expansion, phi: Array) -> Expansion:
        sd, *row = self._entries(phi[:-1])[:3]
        # the row is on a circle: along it with the angle, outwards with log r
        J = np.eye(len(phi))
        tangent = np.array([-row[1], row[0]])
        J[0, 0], J[1:3, 1:3] = sd, np.column_stack([tangent, row])
        gradient, hessian = expansion.gradient, J.T @ expansion.hessian @ J
        # what the curvature of the map adds: sd'' = sd, and the row turns and grows
        outwards, along = gradient[1:3] @ row, gradient[1:3] @ tangent
        hessian[0, 0] += gradient[0] * sd
        hessian[1:3, 1:3] += [[-outwards, along], [along, outwards]]
        return Expansion(expansion.value, J.T @ gradient, hessian)


def unit_vectors_beside(rows: Array) -> Array:
    """Return the unit vectors that are furthest from the span of given rows, as rows."""
    *_, order = qr(rows, mode="r", pivoting=True)
    return np.eye(rows.shape[1])[np.sort(order[len(rows) :])]
