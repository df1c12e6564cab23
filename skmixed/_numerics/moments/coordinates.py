"""Coordinates in which the columns of a model are of order one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import GRAM_ERROR, RANK_TOLERANCE
from skmixed._numerics.linalg.small_matrices import multiply
from skmixed._numerics.moments.moments import GroupedMoments


@dataclass(frozen=True)
class Coordinates:
    """How the columns of a problem are made from those of moments.

    Attributes
    ----------
    shift : ndarray of shape (n_columns,)
        What is taken off each column of D.
    used : ndarray of shape (p + 1,)
        The columns of D that become [X, y].
    scale : ndarray of shape (p + 1,)
        What these are divided by.
    Z : ndarray of shape (q, n_random)
        The random columns, from those of the moments.
    """

    shift: Array
    used: NDArray[np.intp]
    scale: Array
    Z: Array

    def of_groups(self, moments: GroupedMoments) -> tuple[Array, Array]:
        """Return C and G of the groups of any moments of the same columns."""
        sums = moments.around(self.shift).C
        C = multiply(self.Z, sums[:, self.used])
        C /= self.scale[:, None]
        ZZ = multiply(self.Z, sums[:, list(moments.random)])
        return C, multiply(self.Z, np.ascontiguousarray(np.swapaxes(ZZ, 0, 1)))


def relocate(moments: GroupedMoments, *, fit_intercept: bool) -> GroupedMoments:
    """Bring the moments near the means if the intercept absorbs a shift, else to zero."""
    if not fit_intercept:
        return moments.around(np.zeros_like(moments.shift))
    offset = moments.T[0] / moments.n
    offset[0] = 0.0
    if np.all(offset**2 <= 0.1 * np.diag(moments.T) / moments.n):
        return moments  # near enough: the pass already used a pilot mean
    return moments.around(moments.shift + offset)


def scales(moments: GroupedMoments) -> tuple[Array, NDArray[np.bool_]]:
    """Root mean square of each column, and whether it is more than rounding error."""
    square = np.clip(np.diag(moments.T) / moments.n, 0.0, None)
    noise = 8 * np.finfo(np.float64).eps * np.abs(moments.shift)
    varies = square > noise**2
    return np.where(varies, np.sqrt(square), 1.0), varies


def independent(R: Array) -> NDArray[np.bool_]:
    """Which columns, by their scaled Gram matrix, do not follow from those before them.

    What is left of column i when those before it are known is v'R v, v = (-beta, 1). That has
    to be more than rounding, which R carries, makes of it: the more, the larger beta is.
    """
    L, info = lapack.dpotrf(R, lower=1, clean=1)
    if info == 0 and len(R):
        left, inverse = np.diag(L) ** 2, lapack.dtrtri(L, lower=1)[0]
        noise = GRAM_ERROR * left * np.sum(inverse**2, axis=1)
        if np.all(left > np.maximum(RANK_TOLERANCE, noise)):
            return np.ones(len(R), dtype=np.bool_)
    independent = np.zeros(len(R), dtype=np.bool_)
    for i in range(len(R)):
        before = np.flatnonzero(independent)
        beta = np.linalg.solve(R[np.ix_(before, before)], R[before, i])
        noise = GRAM_ERROR * (1 + beta @ beta)
        independent[i] = R[i, i] - R[i, before] @ beta > max(RANK_TOLERANCE, noise)
    return independent


def way_back(shift: Array, scale: Array, first: int) -> tuple[Array, Array]:
    """`origin` and `backmap`: (y - t) / s_y = sum_i beta_i (x_i - s_i) / d_i, solved for y."""
    origin = np.zeros(len(scale) - 1 - first)
    backmap = np.diag(scale[-1] / scale[first:-1])
    if first == 0:
        origin[0] = shift[-1]
        backmap[0] -= shift[:-1] * np.diag(backmap)
    return origin, backmap
