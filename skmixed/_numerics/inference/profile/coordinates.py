"""Coordinates of (Psi, sigma2) in which a parameter of interest is one of them."""

from __future__ import annotations

from dataclasses import dataclass

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

    L[0, 0] is the standard deviation of the first of the random effects W b. All entries may
    take any sign, so that the borders of the parameters are ordinary points.

    With `angle`, the first three entries, L[0, 0] = exp(phi[0]), L[1, 0] = r cos(phi[1]) and
    L[1, 1] = r sin(phi[1]) with r = exp(phi[2]), are replaced by phi: cos(phi[1]) is the
    correlation of the first two random effects, which must have some variance.

    Attributes
    ----------
    criterion : CovarianceCriterion
        The function of Psi and sigma2.
    W : ndarray of shape (q, q)
        The linear combinations of the random effects that L describes.
    angle : bool
        Whether there is an angle among the coordinates.
    """

    criterion: CovarianceCriterion
    W: Array
    angle: bool = False

    @classmethod
    def starting_with(
        cls, rows: Array, criterion: CovarianceCriterion, *, angle: bool = False
    ) -> CovarianceCoordinates:
        """Complete given rows of W by the unit vectors that are furthest from their span."""
        *_, order = qr(rows, mode="r", pivoting=True)
        unit_vectors = np.eye(rows.shape[1])[np.sort(order[len(rows) :])]
        return cls(criterion, np.vstack([rows, unit_vectors]), angle)

    @property
    def free(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the free entries of L."""
        q = len(self.W)
        return (np.arange(q),) * 2 if self.criterion.problem.diagonal else np.tril_indices(q)

    def phi(self, Lambda: Array, sigma2: float) -> Array:
        """Return the coordinates, given any factor of Psi."""
        L = triangular(self.W @ Lambda, diagonal=self.criterion.problem.diagonal)
        phi = np.append(np.sqrt(sigma2) * L[self.free], np.log(sigma2))
        if self.angle:
            r = np.hypot(phi[1], phi[2])
            phi[:3] = np.log(phi[0]), np.arctan2(phi[2], phi[1]), np.log(r)
        return phi

    def factor(self, phi: Array) -> tuple[Array, float]:
        """Return L and sigma2."""
        L, entries = np.zeros_like(self.W), phi[:-1].copy()
        if self.angle:
            sd, r = np.exp(phi[[0, 2]])
            entries[:3] = sd, r * np.cos(phi[1]), r * np.sin(phi[1])
        L[self.free] = entries
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
        K = np.linalg.inv(self.W) / np.sqrt(sigma2)
        Lambda = K @ L
        in_Psi = self.criterion.given_sigma2(Lambda, sigma2)
        # changes of Psi with each coordinate in turn, axes a b and the coordinate: with an
        # entry (r, c) of L by K (e_r e_c' L' + L e_c e_r') K'
        half = K[:, None, rows] * Lambda[None, :, columns]
        # with log sigma2 Psi changes by -Psi, and its other changes by as much as they are
        change = np.dstack([half + np.swapaxes(half, 0, 1), -Lambda @ Lambda.T])
        change = change.reshape(Lambda.size, -1)
        gradient = change.T @ in_Psi.S.ravel()
        hessian = change.T @ in_Psi.hessian.reshape(Lambda.size, -1) @ change
        # entries of the same column of L have a second change of Psi in common
        same = np.equal.outer(columns, columns)
        hessian[:-1, :-1] += 2 * same * (K.T @ in_Psi.S @ K)[np.ix_(rows, rows)]
        # - gradient: each change of Psi shrinks as log sigma2 grows, since K does
        cross = change.T @ in_Psi.cross.ravel() - gradient
        hessian[-1] += cross
        hessian[:, -1] += cross
        hessian[-1, -1] += gradient[-1] + in_Psi.curvature
        gradient[-1] += in_Psi.slope
        expansion = Expansion(float(in_Psi.value), gradient, hessian)
        return _turned(expansion, L[0, 0], L[1, :2]) if self.angle else expansion


def _turned(entries: Expansion, sd: float, row: Array) -> Expansion:
    """Carry the derivatives over from the first three entries of L to what replaces them."""
    # L[1, :2] is on a circle: along it with phi[1], outwards with phi[2]
    J = np.eye(len(entries.gradient))
    tangent = np.array([-row[1], row[0]])
    J[0, 0], J[1:3, 1:3] = sd, np.column_stack([tangent, row])
    gradient, hessian = entries.gradient, J.T @ entries.hessian @ J
    # what the curvature of the map adds: sd'' = sd, and the row turns and grows
    outwards, along = gradient[1:3] @ row, gradient[1:3] @ tangent
    hessian[0, 0] += gradient[0] * sd
    hessian[1:3, 1:3] += [[-outwards, along], [along, outwards]]
    return Expansion(entries.value, J.T @ gradient, hessian)
