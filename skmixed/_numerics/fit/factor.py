"""Psi in its eigenvectors, and the entries of a factor there in which it moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion_several_columns import CovarianceDerivatives
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import LARGEST_SD_RATIO_OF_SEVERAL

# Share of the largest standard deviation that is next to nothing.
SINGULAR = 1e-4
# Rows and columns of entries of a matrix.
Entries = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Factor:
    """Psi = V L L' V' at L = diag(scale), with orthogonal V and scale >= 0.

    Psi moves with the entries of the lower triangle of L. Shapes are those of one Psi; of
    several there is an index in front.

    Attributes
    ----------
    V : ndarray of shape (q, q)
        Eigenvectors of Psi in columns; the unit vectors if Psi is diagonal.
    scale : ndarray of shape (q,)
        Standard deviations along them.
    """

    V: Array
    scale: Array

    @classmethod
    def of_psi(cls, Psi: Array, *, diagonal: bool) -> Factor:
        """Factor Psi of shape (q, q) or (s, q, q), the largest variance first."""
        if diagonal:
            variances = np.diagonal(Psi, axis1=-2, axis2=-1)
            return cls(np.broadcast_to(np.eye(Psi.shape[-1]), Psi.shape), np.sqrt(variances))
        variances, V = np.linalg.eigh(Psi)  # in ascending order
        return cls(V[..., ::-1], np.sqrt(np.maximum(variances[..., ::-1], 0.0)))

    @classmethod
    def of_lambda(cls, Lambda: Array, *, diagonal: bool) -> Factor:
        """Factor Lambda Lambda', with a scale of exactly 0 for each column of zeros."""
        if diagonal:
            return cls(np.eye(len(Lambda)), np.sqrt(np.sum(Lambda**2, axis=1)))
        V, scale, _ = np.linalg.svd(Lambda)
        rank = np.count_nonzero(np.any(Lambda, axis=0))
        return cls(V, np.where(np.arange(len(scale)) < rank, scale, 0.0))

    def __getitem__(self, i: int) -> Factor:
        """One of several."""
        return Factor(self.V[i], self.scale[i])

    @property
    def Lambda(self) -> Array:
        return self.V * self.scale[..., None, :]

    @property
    def Psi(self) -> Array:
        return self.Lambda @ np.swapaxes(self.Lambda, -1, -2)

    def diverged(self, beyond: float = 1.0) -> NDArray[np.bool_]:
        """Whether a standard deviation is beyond measure."""
        largest = LARGEST_SD_RATIO_OF_SEVERAL * np.sqrt(beyond)
        return np.asarray(self.scale.max(axis=-1) >= largest)

    @property
    def is_singular(self) -> bool:
        """Whether one Psi has a direction without variance."""
        return bool(self.scale.min() <= SINGULAR * self.scale.max())

    def moved(self, entries: Entries, step: Array) -> Array:
        """Psi after a step in entries of L."""
        q = self.scale.shape[-1]
        change = np.zeros((*step.shape[:-1], q, q))
        change[..., entries[0], entries[1]] = step
        Lambda = self.V @ (self.scale[..., None] * np.eye(q) + change)
        Psi: Array = Lambda @ Lambda.swapaxes(-1, -2)
        return Psi

    def carry_over(
        self, derivatives: CovarianceDerivatives, entries: Entries
    ) -> tuple[Array, Array]:
        """Carry the Hessian over from Psi to entries of L.

        Psi changes with an entry (r, c) by E = scale_c V (e_r e_c' + e_c e_r') V', and the
        criterion by <E, S>. The second change, with entries (r, c) and (r', c) of the same
        column, is V (e_r e_r'' + e_r' e_r') V'.

        Parameters
        ----------
        derivatives : CovarianceDerivatives
            Of the criterion at this Psi.
        entries : tuple of ndarrays of shape (n_entries,)
            Rows and columns of the entries.

        Returns
        -------
        directions : ndarray of shape (n_entries, q, q)
            The changes E.
        hessian : ndarray of shape (n_entries, n_entries)
            Second derivatives in the entries.
        """
        directions = self.directions(entries)
        # E and the Hessian as a vector and a matrix: (a, b) and (c, d) in one axis each
        square = self.V.shape[-1] ** 2
        flat = directions.reshape(*directions.shape[:-2], square)
        hessian = derivatives.hessian.reshape(*self.V.shape[:-2], square, square)
        along = flat @ hessian @ flat.swapaxes(-1, -2)
        return directions, along + self.second_changes(derivatives.S, entries)

    def directions(self, entries: Entries) -> Array:
        """Return the changes E of Psi with each entry, shape (..., n_entries, q, q)."""
        rows, columns = entries
        # for each entry V e_r and scale_c V e_c: axes s, entry, a
        left = self.V[..., rows].swapaxes(-1, -2)
        right = self.Lambda[..., columns].swapaxes(-1, -2)
        directions = left[..., :, None] * right[..., None, :]
        return np.asarray(directions + directions.swapaxes(-1, -2))

    def second_changes(self, S: Array, entries: Entries) -> Array:
        """Return <second change of Psi, S> with each pair of entries."""
        rows, columns = entries
        left = self.V[..., rows].swapaxes(-1, -2)
        same_column = columns[:, None] == columns
        return np.asarray(2 * (left @ S @ left.swapaxes(-1, -2)) * same_column)


@cache
def free_entries(q: int, *, diagonal: bool) -> Entries:
    """Rows and columns of the entries of L that may differ from 0."""
    return (np.arange(q), np.arange(q)) if diagonal else np.tril_indices(q)


def changes_of_psi(q: int, *, diagonal: bool) -> Array:
    """Symmetric changes of Psi by one free entry each, shape (n_entries, q, q)."""
    rows, columns = free_entries(q, diagonal=diagonal)
    E = np.zeros((len(rows), q, q))
    entry = np.arange(len(rows))
    E[entry, rows, columns] = E[entry, columns, rows] = 1.0
    return E
