"""Cross-products of the rows with the effects of several factors taken off all columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.least_squares.dummies import Dummies
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import RELATIVE_ERROR
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.coordinates import around_means
from skmixed._numerics.moments.moments import (
    CHUNK_VALUES,
    MIN_CHUNK_ROWS,
    add_by_group,
    dense,
)
from skmixed._numerics.moments.own_lines import moments_error


@dataclass(frozen=True)
class Absorbed:
    """D = [1, X, v], v = y - x'taken, split into effects of levels and what they leave.

    Attributes
    ----------
    n : float
        Sum of the weights.
    shift : ndarray of shape (n_columns,)
        What was taken off each column of [1, X, y] at first: means.
    B : tuple of ndarray of shape (n_levels_f, n_columns)
        Effects of the levels of each factor on the columns of D around the shift.
    M : ndarray of shape (n_columns, n_columns)
        Cross-products of what is left; 0 for the column of ones.
    noise : ndarray of shape (n_columns,)
        Error of the diagonal of M.
    T : ndarray of shape (n_columns, n_columns)
        Cross-products of [1, X, y] around the shift.
    taken : ndarray of shape (n_features,)
        Coefficients that are taken off y.
    """

    n: float
    shift: Array
    B: tuple[Array, ...]
    M: Array
    noise: Array
    T: Array
    taken: Array

    @classmethod
    def of(cls, moments: FactorMoments, dummies: Dummies) -> Absorbed:
        """Take the effects off the moments, by algebra."""
        moments = around_means(moments)
        B, M = _take_off(dummies, moments.T, [f.C[0].T for f in moments.factors])
        error = max(moments_error(factor.n_rows) for factor in moments.factors)
        return cls(
            n=moments.n,
            shift=moments.shift,
            B=B,
            M=M,
            noise=np.append(0.0, error * np.diag(moments.T)[1:]),
            T=moments.T,
            taken=np.zeros(len(moments.shift) - 2),
        )

    @property
    def squares(self) -> Array:
        """Sums of squares of the columns as they were given, of which numbers are rounded."""
        return np.asarray(np.diag(self.T) + self.n * self.shift**2)

    def with_taken(self, taken: Array) -> Absorbed:
        """Take other coefficients off y."""
        turn = np.eye(len(self.shift))  # D turn: the last column loses x'change
        turn[1:-1, -1] = self.taken - taken
        B = tuple(effects @ turn for effects in self.B)
        return replace(self, B=B, M=turn.T @ self.M @ turn, taken=taken)

    def again(
        self,
        dummies: Dummies,
        X: Any,
        y: NDArray[Any],
        codes: Sequence[NDArray[np.intp]],
        sample_weight: Array | None,
    ) -> Absorbed:
        """Pass over the rows again, with all that is known taken off, for more digits."""
        T, C = self._sum_up_what_is_left(X, y, codes, sample_weight)
        change, M = _take_off(dummies, T, C)
        B = tuple(one.copy() for one in self.B)
        for effects, more in zip(B, change, strict=True):
            effects[:, 1:] += more[:, 1:]
        own = np.maximum(np.diag(M), 0.0)
        noise = moments_error(dummies.largest) * own + RELATIVE_ERROR**2 * self.squares
        noise[0] = 0.0
        return replace(self, B=B, M=M, noise=noise)

    def _sum_up_what_is_left(
        self,
        X: Any,
        y: NDArray[Any],
        codes: Sequence[NDArray[np.intp]],
        sample_weight: Array | None,
    ) -> tuple[Array, list[Array]]:
        """Cross-products of D with all effects taken off, and its sums by level."""
        X = X.tocsr() if hasattr(X, "tocsr") else X
        n_columns = len(self.shift)
        T = np.zeros((n_columns, n_columns))
        sums = [np.zeros((1, len(effects), n_columns)) for effects in self.B]
        size = max(CHUNK_VALUES // n_columns, MIN_CHUNK_ROWS)
        for start in range(0, X.shape[0], size):
            rows = slice(start, start + size)
            D = self._columns(dense(X[rows]), y[rows])
            weight = D[:, :1].copy() if sample_weight is None else sample_weight[rows, None]
            for effects, code in zip(self.B, codes, strict=True):
                D[:, 1:] -= effects[code[rows], 1:]
            T += D.T @ (weight * D)
            for total, code in zip(sums, codes, strict=True):
                add_by_group(total, D, weight, code[rows])
        return T, [total[0] for total in sums]

    def _columns(self, X: Array, y: Array) -> Array:
        """Return rows D around the shift."""
        D = np.ones((len(y), len(self.shift)))
        np.subtract(X, self.shift[1:-1], out=D[:, 1:-1])
        # differences are taken of numbers that are alike: y and x of their means, then v
        D[:, -1] = (y - self.shift[-1]) - D[:, 1:-1] @ self.taken
        return D


def _take_off(dummies: Dummies, T: Array, C: list[Array]) -> tuple[tuple[Array, ...], Array]:
    """Return the effects on all columns, and what they leave of T."""
    B, M = tuple(np.zeros_like(sums) for sums in C), np.zeros_like(T)
    effects, explained = dummies.solve([sums[:, 1:] for sums in C])
    for whole, part in zip(B, effects, strict=True):
        whole[:, 1:] = part
    B[dummies.equations.factors[0]][:, 0] = 1.0  # its dummies add up to the ones
    M[1:, 1:] = T[1:, 1:] - (explained + explained.T) / 2
    return B, M
