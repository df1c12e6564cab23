"""Coordinates in which the columns of a model are of order one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import FACTOR_ERROR
from skmixed._numerics.linalg.small_matrices import multiply
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines

M = TypeVar("M", bound=GroupedMoments | OwnLines | FactorMoments)

# A shift is near a column's mean if no more than this share of its squares is due to that.
NEAR = 0.1


@dataclass(frozen=True)
class Coordinates:
    """The linear map from the user's columns to those of a problem, and the way back.

    The rows of D = [1, X, y] - shift become, in the problem,

        [X, y] = D[used] / scale,    Z = Z_map D[random],

    and the estimates there belong to the user's columns, with s the scale of y, as

        beta = origin + backmap beta_scaled,    b = s random_backmap b_scaled.

    The user's fixed columns are [1, X], or X without an intercept; n_fixed is their number.

    Attributes
    ----------
    shift : ndarray of shape (n_columns,)
        What is taken off each column of D; ``shift[0]`` is 0.
    used : ndarray of shape (p + 1,)
        The columns of D that become [X, y].
    scale : ndarray of shape (p + 1,)
        What these are divided by: their root mean squares.
    constant : int or None
        The column of D that has the coefficient of the column of ones: 0 with an intercept; a
        constant feature where there is none, an intercept given as data; None without either.
    dependent : ndarray of shape (n_fixed,), dtype bool
        Fixed effects that are dropped: they depend linearly on the columns before them.
    random : tuple of int
        The random columns of the moments, those of D that Z is made of, the ones first.
    Z_map : ndarray of shape (q, len(random))
        How Z is made of them.
    taken : ndarray of shape (n_features,)
        Coefficients that are taken off the user's y, to be added to the estimates.
    random_backmap : ndarray of shape (n_random, q)
        The user's random effects, over the scale of y, from the scaled ones: the map Z_map,
        transposed, for columns that are not shifted.
    """

    shift: Array
    used: NDArray[np.intp]
    scale: Array
    constant: int | None
    dependent: NDArray[np.bool_]
    random: tuple[int, ...]
    Z_map: Array
    random_backmap: Array
    taken: Array

    # ------------------------------------------------------- the user's columns -> the problem

    def fixed_columns(self, D: Array) -> Array:
        """Return [X, y]' of rows D' around the shift: from (n_columns, n) to (p + 1, n)."""
        columns = D[self.used]
        columns /= self.scale[:, None]
        return columns

    def random_columns(self, D: Array) -> Array:
        """Return Z' of rows D' around the shift: from (n_columns, n) to (q, n)."""
        return np.asarray(self.Z_map @ D[list(self.random)])

    def cross_products(self, T: Array) -> Array:
        """Return [X, y]'W[X, y] for D'WD around the shift.

        Shape (p + 1, p + 1) or (p + 1, p + 1, k), as that of T.
        """
        scale = np.outer(self.scale, self.scale)
        products = T[np.ix_(self.used, self.used)]
        products /= scale.reshape(*scale.shape, *(1,) * (T.ndim - 2))
        return products

    def of_lines(self, lines: OwnLines) -> tuple[Array, Array]:
        """Return `own` and `root` of the groups of any moments of the same columns."""
        taken = lines.with_taken(self.taken)
        lines = taken.around(self.shift)
        own = lines.B[:, self.used]  # the basis is the first axis
        own /= self.scale[:, None]
        return own, multiply(self.Z_map, lines.R)

    # ------------------------------------------------------- estimates -> the user's columns

    def to_user_coefficients(self, beta: Array) -> Array:
        """Return fixed effects of the user's columns, shape (..., n_fixed); 0 if dropped."""
        return np.asarray(self.origin + beta @ self.backmap.T)

    def to_user_covariance(self, M_XX: Array) -> Array:
        """Return M_XX^-1, the covariance of beta over sigma2, for the user's columns.

        Shape (n_fixed, n_fixed). It is NaN for columns that are dropped.
        """
        cov = self.backmap @ np.linalg.solve(M_XX, self.backmap.T)
        cov = (cov + cov.T) / 2
        cov[~self.kept] = cov[:, ~self.kept] = np.nan
        return cov

    def to_user_factor(self, Lambda: Array) -> Array:
        """Return the factor of the relative covariance of the user's random effects."""
        factor, size = (
            self.random_backmap @ Lambda,
            np.abs(self.random_backmap) @ np.abs(Lambda),
        )
        return np.where(np.abs(factor) <= FACTOR_ERROR * size, 0.0, factor)  # or it is rounding

    def to_user_random_effects(self, b: Array) -> Array:
        """Return random effects of the user's columns, shape (n_random, n_groups)."""
        return np.asarray(self.y_scale * (self.random_backmap @ b))

    @property
    def y_scale(self) -> float:
        """What y is divided by."""
        return float(self.scale[-1])

    @property
    def log_scale(self) -> float:
        """log|M_XX| for the user's columns less log|M_XX| in the problem."""
        log_scale = float(2 * np.log(self.scale[:-1]).sum())
        if self.constant:  # a feature c 1 in the place of the ones multiplies M_XX by c twice
            log_scale += 2 * float(np.log(abs(self.shift[self.constant])))
        return log_scale

    @property
    def scaled_taken(self) -> Array:
        """`taken` in the coordinates of beta_scaled, shape (p,)."""
        columns, scale = self.used[:-1], self.scale[:-1] / self.scale[-1]
        return np.asarray(np.append(0.0, self.taken)[columns] * scale)

    @cached_property
    def origin(self) -> Array:
        """The user's coefficients where beta_scaled is 0, shape (n_fixed,)."""
        origin = np.zeros(len(self.shift) - 1)
        origin[0] = self.shift[-1]
        origin = self._for_user(origin)
        origin[len(origin) - len(self.taken) :] += self.taken
        return origin

    @cached_property
    def backmap(self) -> Array:
        """How the user's coefficients change with the scaled ones, shape (n_fixed, p).

        (y - t) / s = sum_i beta_i (x_i - t_i) / s_i is solved for y: the slopes are
        s beta_i / s_i, and the intercept loses t_i times each.
        """
        # rows are the coefficients of [1, X], dropped columns included
        columns, slopes = self.used[:-1], self.scale[-1] / self.scale[:-1]
        backmap = np.zeros((len(self.shift) - 1, len(columns)))
        backmap[columns, np.arange(len(columns))] = slopes
        backmap[0] -= self.shift[columns] * slopes
        return self._for_user(backmap)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which of the user's fixed columns have a coefficient, shape (n_fixed,)."""
        kept = np.zeros(len(self.shift) - 1)
        kept[self.used[:-1]] = 1.0
        return np.asarray(self._for_user(kept) != 0)

    @cached_property
    def random_kept(self) -> NDArray[np.bool_]:
        """Which random columns have effects of their own, shape (n_random,)."""
        return np.asarray(self.random_backmap.any(axis=1))

    def _for_user(self, rows: Array) -> Array:
        """Turn rows for [1, X] to those for the user's columns; overwrites them."""
        if self.constant == 0:
            return rows
        if (
            self.constant is not None
        ):  # the feature is c 1: its coefficient is that of 1, over c
            rows[self.constant] = rows[0] / self.shift[self.constant]
        return rows[1:]


def around_means(moments: M) -> M:
    """Take every column of D but the first around its mean."""
    return cast(M, moments.around(mean_of(moments)))


def mean_of(moments: M) -> Array:
    """Return the means of the columns of D; 0 for the first."""
    offset = moments.T[0] / moments.n
    offset[0] = 0.0
    return np.asarray(moments.shift + offset)


def near_means(moments: M) -> M:
    """Bring the moments near the means of all columns, if they are not near already."""
    offset = moments.T[0, 1:] / moments.n
    near = offset**2 <= NEAR * np.diag(moments.T)[1:] / moments.n
    return moments if near.all() else around_means(moments)  # a pilot mean is near


def scales(moments: GroupedMoments | OwnLines) -> tuple[Array, NDArray[np.bool_]]:
    """Root mean square of each column, and whether it is more than rounding error."""
    return scales_of(moments.T, moments.n, moments.shift)


def scales_of(T: Array, n: float, shift: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return the same of cross-products around a shift."""
    square = np.clip(np.diag(T) / n, 0.0, None)
    noise = 8 * np.finfo(np.float64).eps * np.abs(shift)
    varies = square > noise**2
    return np.where(varies, np.sqrt(square), 1.0), varies


def scaled_random_columns(shift: Array, scale: Array) -> tuple[Array, Array]:
    """Divide the random columns (1, z - t) by their scales: `Z_map` and `random_backmap`.

    The coefficients of (1, z) are those of (1, z - t), but for an intercept that loses t times
    each slope.
    """
    Z_map = np.diag(1 / scale)
    backmap = Z_map.copy()
    backmap[0] -= shift / scale  # the shift of the ones is 0
    return Z_map, backmap
