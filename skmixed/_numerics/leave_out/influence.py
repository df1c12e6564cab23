"""How much the rows and the groups of a fit decide of it, the variance components held."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DETERMINED


@dataclass(frozen=True)
class RowsInFit:
    """Rows of a fit beside it; variances are over sigma2.

    With V the covariance of y, M = X' V^-1 X and P = V^-1 - V^-1 X M^-1 X' V^-1, a row (x, z)
    of weight w has

        e = y - x'beta - z'b,           (P y)_i = w e,
        v = z'Hz + a' M^-1 a,           P_ii = w (1 - w v),
        a = x - C'H z,                  (V^-1 X)_i = w a,

    so that e has the variance sigma2 (1 - w v) / w, and w v is the leverage: how far the fitted
    value moves with y. Without some rows S the coefficients are

        beta_S = beta - M^-1 sum over S of w_i a_i r_i,   r_S = (P_SS)^-1 (P y)_S,

    where r are the residuals of these rows around that fit; of one row e / (1 - w v).

    Attributes
    ----------
    weight : ndarray of shape (n_rows,)
        0 for a row that was not in the fit.
    residual : ndarray of shape (n_rows,)
        e.
    marginal : ndarray of shape (n_rows,)
        y - x'beta.
    of_effects : ndarray of shape (n_rows,)
        z'Hz.
    half : ndarray of shape (p, n_rows)
        M^-1/2 a, so that a' M^-1 a is the sum of its squares.
    spread : ndarray of shape (n_rows,)
        z'Psi z, the variance of z'b.
    of_line : ndarray of shape (n_rows,)
        x' M^-1 x, the variance of x'beta.
    """

    weight: Array
    residual: Array
    marginal: Array
    of_effects: Array
    half: Array
    spread: Array
    of_line: Array

    @classmethod
    def joined(cls, batches: list[Self]) -> Self:
        """Put batches of rows one after the other."""
        names = [field.name for field in fields(cls)]
        parts = ([getattr(batch, name) for batch in batches] for name in names)
        return cls(*(np.concatenate(part, axis=-1) for part in parts))

    def in_units(self, unit: float) -> Self:
        """Multiply residuals by the unit of y."""
        return replace(self, residual=unit * self.residual, marginal=unit * self.marginal)

    @cached_property
    def leverage(self) -> Array:
        """Derivative of each fitted value by its own y, shape (n_rows,)."""
        return np.asarray(self.weight * (self.of_effects + np.sum(self.half**2, axis=0)))

    @cached_property
    def without_each(self) -> tuple[Array, NDArray[np.bool_]]:
        """Residual of each row around a fit without it, and whether the others determine that.

        Where they do not determine the same coefficients, the residual is wrong.
        """
        left = 1 - self.leverage
        determined = left > DETERMINED
        return self.residual / np.where(determined, left, 1.0), determined

    def standardized(self, sigma2: float) -> Array:
        """Divide e by its standard deviation; NaN where that is 0, or the row has no weight."""
        left = 1 - self.leverage
        known = (left > DETERMINED) & (self.weight > 0)
        return _ratio(np.sqrt(self.weight) * self.residual, sigma2 * left, known)

    def standardized_marginal(self, sigma2: float) -> Array:
        """Divide y - x'beta by its standard deviation, of which sigma2 (V_ii - x'M^-1 x)."""
        left = 1 + self.weight * (self.spread - self.of_line)
        known = (left > DETERMINED) & (self.weight > 0)
        return _ratio(np.sqrt(self.weight) * self.marginal, sigma2 * left, known)

    def conditional_distance(self, sigma2: float) -> Array:
        """Cook's distance of fixed and random effects together, over the number of fixed ones.

        It is that of least squares on rows to which the penalty on b is added as further ones:
        w r^2 h / (p sigma2), with h the leverage.
        """
        r, determined = self.without_each
        square = self.weight * self.leverage * np.where(determined, r, np.nan) ** 2
        return _over(square, len(self.half) * sigma2)

    def changes(self, left_out: Array) -> Array:
        """M^1/2 (beta - beta_S) as a sum over the rows of S, given r_S; shape (p, n_rows)."""
        return np.asarray(self.half * (self.weight * left_out))


def sum_by_level(values: Array, codes: NDArray[np.intp], n_levels: int) -> Array:
    """Add up the last axis of values by level, shape (k, n_levels); negative codes are none."""
    known = codes >= 0
    if not known.all():
        codes, values = codes[known], values[:, known]
    return np.reshape([np.bincount(codes, v, n_levels) for v in values], (-1, n_levels))


def cooks_distance(changes: Array, sigma2: float) -> Array:
    """Return (beta - beta_S)' M (beta - beta_S) / (p sigma2) of each column of changes."""
    return _over(np.sum(changes**2, axis=0), len(changes) * sigma2)


def _ratio(value: Array, variance: Array, known: NDArray[np.bool_]) -> Array:
    std_dev = np.sqrt(np.where(known & (variance > 0), variance, np.nan))
    return np.asarray(value / std_dev)


def _over(square: Array, unit: float) -> Array:
    """Divide by a unit that may be 0, of a perfect fit or no coefficient: NaN then."""
    return square / unit if unit > 0 else np.full_like(square, np.nan)
