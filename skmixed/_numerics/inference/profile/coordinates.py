"""Coordinates of (all Psi_f, sigma2) in which a parameter of interest is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from skmixed._numerics.fit.factor import Entries, free_entries
from skmixed._numerics.inference.profile.likelihood import ByFactor, Likelihood
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
    """phi = (free entries of all L_f, log sigma2) with sigma2 W_f Psi_f W_f' = L_f L_f'.

    L_f is lower triangular. Its entries may take any sign, so that the borders of the
    parameters are ordinary points.

    Attributes
    ----------
    likelihood : Likelihood
        The function of all Psi_f and of sigma2.
    W : tuple of ndarray of shape (q_f, q_f)
        The linear combinations of the random effects of each factor that L_f describes.
    order : tuple of int
        The factors, in the order in which their entries stand in phi.
    """

    likelihood: Likelihood
    W: tuple[Array, ...]
    order: tuple[int, ...]

    @classmethod
    def plain(cls, likelihood: Likelihood) -> CovarianceCoordinates:
        """Describe the random effects themselves."""
        W = _identities(likelihood)
        return cls(likelihood, W, tuple(range(len(W))))

    @cached_property
    def free(self) -> list[Entries]:
        """Rows and columns of the free entries of each L_f."""
        return [
            free_entries(len(W), diagonal=diagonal)
            for W, diagonal in zip(self.W, self.likelihood.diagonal, strict=True)
        ]

    @cached_property
    def slices(self) -> dict[int, slice]:
        """Where the entries of each L_f stand among those of all."""
        ends = np.cumsum([0, *(len(self.free[f][0]) for f in self.order)])
        return {f: slice(ends[i], ends[i + 1]) for i, f in enumerate(self.order)}

    @cached_property
    def W_inv(self) -> list[Array]:
        return [np.asarray(np.linalg.inv(W), dtype=np.float64) for W in self.W]

    def position(self, f: int, i: int) -> int:
        """Where the i-th entry of the diagonal of L_f stands."""
        rows, columns = self.free[f]
        place = np.flatnonzero((rows == i) & (columns == i))[0]
        return int(self.slices[f].start + place)

    def phi(self, Lambdas: ByFactor, sigma2: float) -> Array:
        """Return the coordinates, given any factor of each Psi."""
        entries = [
            triangular(self.W[f] @ Lambdas[f], diagonal=self.likelihood.diagonal[f])[
                self.free[f]
            ]
            for f in self.order
        ]
        together = np.sqrt(sigma2) * np.concatenate(entries)
        return np.append(self._of_entries(together), np.log(sigma2))

    def factors(self, phi: Array) -> tuple[list[Array], float]:
        """Return all L_f, and sigma2."""
        L, entries = [np.zeros_like(W) for W in self.W], self._entries(phi[:-1])
        for f, part in self.slices.items():
            L[f][self.free[f]] = entries[part]
        return L, float(np.exp(phi[-1]))

    def sd_ratio(self, phi: Array) -> float:
        """Return the largest standard deviation of W b along the columns of L, over sigma."""
        L, sigma2 = self.factors(phi)
        return float(max(np.abs(L_f).max() for L_f in L) / np.sqrt(sigma2))

    def __call__(self, phi: Array) -> Expansion:
        """Expand the deviance around phi.

        Carries the derivatives over from Psi_f = K L_f L_f' K', K = W_f^-1 / sigma, and sigma2.
        """
        L, sigma2 = self.factors(phi)
        K = [W_inv / np.sqrt(sigma2) for W_inv in self.W_inv]
        Lambdas = [K_f @ L_f for K_f, L_f in zip(K, L, strict=True)]
        changes = [
            _changes(K_f, Lambda, *free)
            for K_f, Lambda, free in zip(K, Lambdas, self.free, strict=True)
        ]
        at = self.likelihood.given_sigma2(Lambdas, sigma2, changes)
        J = self._change_with_phi()
        gradient, hessian = J.T @ at.gradient, J.T @ at.hessian @ J
        for f, part in self.slices.items():
            rows, columns = self.free[f]
            # entries of the same column of L have a second change of Psi in common
            second = (K[f].T @ at.S[f] @ K[f])[rows[:, None], rows]
            hessian[part, part] += np.where(columns[:, None] == columns, 2 * second, 0.0)
        # - gradient: each change of Psi shrinks as log sigma2 grows, since K does
        cross = J.T @ at.cross - gradient
        hessian[-1] += cross
        hessian[:, -1] += cross
        hessian[-1, -1] += gradient[-1] + at.curvature
        gradient[-1] += at.slope
        return self._turned(Expansion(at.value, gradient, hessian), phi)

    def _change_with_phi(self) -> Array:
        """Which changes of Psi, factor by factor, come with each coordinate: 0 or 1."""
        sizes = [len(rows) + 1 for rows, _ in self.free]
        J, start = np.zeros((sum(sizes), sum(sizes) - len(sizes) + 1)), 0
        for f, size in enumerate(sizes):
            entries = np.arange(size - 1)
            J[start + entries, self.slices[f].start + entries] = 1.0
            J[start + size - 1, -1] = 1.0
            start += size
        return J

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
    """phi = (s, entries of other factors, free entries of L above the last row, u, log sigma2).

    The last row of L is s v with |v| = 1: s is the standard deviation of the last of the random
    effects W b, and v the direction in which it varies with the others. How these vary among
    themselves does not depend on s and v. (If the effect were the first of W b, the least
    deviance would be at the bottom of a bent valley next to s = 0.)

    Of v there is the stereographic projection u from (0, ..., 0, -1), v = 2 h / |h|^2 - e with
    h = (u, 1) and e = (0, ..., 0, 1): |u| = 1 where the effect is a combination of the others.
    """

    @classmethod
    def ending_with(cls, row: Array, f: int, likelihood: Likelihood) -> LengthCoordinates:
        """Complete a given last row of W of a factor, which comes last."""
        W = list(_identities(likelihood))
        W[f] = np.vstack([unit_vectors_beside(row[None]), row])
        return cls(likelihood, tuple(W), (*_others(f, len(W)), f))

    @property
    def _q(self) -> int:
        return len(self.W[self.order[-1]])

    def _direction(self, u: Array) -> tuple[Array, Array]:
        """v, and how it changes with u."""
        h = np.append(u, 1.0)
        half = h @ h / 2
        e = np.eye(len(h))
        return h / half - e[-1], e[:, :-1] / half - np.outer(h, u) / half**2

    def _entries(self, phi: Array) -> Array:
        above, u = np.split(phi[1:], [1 - self._q])
        return np.append(above, phi[0] * self._direction(u)[0])

    def _of_entries(self, entries: Array) -> Array:
        above, row = np.split(entries, [-self._q])
        s = np.linalg.norm(row)
        v = row / s if s > 0 else np.zeros(len(row))
        return np.hstack([s, above, v[:-1] / (1 + v[-1])])

    def _turned(self, expansion: Expansion, phi: Array) -> Expansion:
        q = self._q
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
    """phi = (log L[0, 0], angle, log r, other free entries of all L, log sigma2).

    L[1, :2] is r (cos(angle), sin(angle)), so that cos(angle) is the correlation of the first
    two of the random effects W b, which must have some variance.
    """

    @classmethod
    def starting_with(cls, rows: Array, f: int, likelihood: Likelihood) -> AngleCoordinates:
        """Complete two given first rows of W of a factor, which comes first."""
        W = list(_identities(likelihood))
        W[f] = np.vstack([rows, unit_vectors_beside(rows)])
        return cls(likelihood, tuple(W), (f, *_others(f, len(W))))

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


def _identities(likelihood: Likelihood) -> tuple[Array, ...]:
    return tuple(np.eye(int(np.count_nonzero(own.random_kept))) for own in likelihood.by_factor)


def _others(f: int, n: int) -> tuple[int, ...]:
    return tuple(g for g in range(n) if g != f)


def _changes(
    K: Array, Lambda: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Array:
    """Return how Psi changes with each entry of L, and with log sigma2 at last.

    With an entry (r, c) by K (e_r e_c' L' + L e_c e_r') K'; with log sigma2 Psi changes by
    -Psi, and its other changes by as much as they are.
    """
    half = K[:, rows].T[:, :, None] * Lambda[:, columns].T[:, None, :]
    return np.concatenate([half + half.swapaxes(1, 2), -(Lambda @ Lambda.T)[None]])
