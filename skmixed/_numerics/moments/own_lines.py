"""Moments in an orthonormal basis of each group's random columns: what a fit works on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CONSTANT_UP_TO, RANK_TOLERANCE
from skmixed._numerics.linalg.small_matrices import gram
from skmixed._numerics.moments.moments import GroupedMoments

# Sums over the rows of a group, taken one by one, may lose this share with each row.
LOSS_PER_ROW = np.finfo(np.float64).eps / 16


@dataclass(frozen=True)
class OwnLines:
    """The groups' own lines, and what is left of the moments when they are taken off.

    With an orthonormal basis Q_j of Z_j, Z_j = Q_j R_j' with R_j lower triangular, the rows of
    group j are D_j = Q_j B_j + E_j, where E_j is orthogonal to Q_j, and

        G_j = R_j R_j',  C_j = R_j B_j,  T = within + sum_j B_j'B_j,  within = sum_j E_j'W E_j.

    A row of B_j is zero if that column of Z depends on those before it in the group's rows.

    Attributes
    ----------
    labels, n_rows, shift, random
        As in `GroupedMoments`.
    n : float
        Sum of the weights.
    T : ndarray of shape (n_columns, n_columns)
        D' W D over all rows.
    B : ndarray of shape (n_random, n_columns, n_groups)
        Holds R_j, too: Z_j is a part of D_j.
    within : ndarray of shape (n_columns, n_columns)
        Scatter of D around the groups' lines.
    taken : ndarray of shape (n_features,)
        Coefficients b: the last column of D is v = y - x'b, and so is its shift.
    noise : ndarray of shape (n_columns,)
        Error of the diagonal of `within`.
    squares : ndarray of shape (n_columns,)
        Sums of squares of the columns as they were given, of which the numbers are rounded.
    """

    labels: NDArray[Any]
    n_rows: NDArray[np.intp]
    shift: Array
    random: tuple[int, ...]
    n: float
    T: Array
    B: Array
    within: Array
    taken: Array
    noise: Array
    squares: Array

    @classmethod
    def of(cls, moments: GroupedMoments) -> OwnLines:
        """Take the lines off the moments, by algebra."""
        random = list(moments.random)
        B = triangular_sums(moments.C.copy(), random, own_lines_tolerance(moments.n_rows))
        within, noise = moments.T - gram(B), moments_error(moments.n_rows) * np.diag(moments.T)
        if len(moments.labels):
            within[random] = within[:, random] = 0.0  # Z lies in its own span
            noise[random] = 0.0
        return cls(
            labels=moments.labels,
            n_rows=moments.n_rows,
            shift=moments.shift,
            random=moments.random,
            n=moments.n,
            T=moments.T,
            B=B,
            within=within,
            taken=np.zeros(len(moments.shift) - 2),
            noise=noise,
            squares=np.diag(moments.T) + moments.n * moments.shift**2,
        )

    @property
    def R(self) -> Array:
        """Factors of Z_j'W Z_j, lower triangular, shape (n_random, n_random, n_groups)."""
        R = self.B[:, list(self.random)].swapaxes(0, 1).copy()
        R[np.triu_indices(len(R), 1)] = 0.0  # rounding
        return R

    def around(self, shift: Array) -> OwnLines:
        """Express the moments around another shift: what is within lines does not change."""
        if np.array_equal(shift, self.shift):
            return self
        # D_new = D + delta 1', and Q'1 is the first column of B
        delta = self.shift - shift
        if not len(self.labels):  # no line holds the ones
            T = self.T + delta[:, None] * self.T[:1]
            T = T + delta * T[:, :1]
            return replace(self, shift=shift, T=T, within=T)
        B = self.B + delta[:, None] * self.B[:, :1]
        return replace(self, shift=shift, B=B, T=self.within + gram(B))

    def of_groups(self, groups: NDArray[np.intp]) -> OwnLines:
        """Lines of some of the groups; sums over all rows stay as they are."""
        labels, n_rows = self.labels[groups], self.n_rows[groups]
        return replace(self, labels=labels, n_rows=n_rows, B=self.B[..., groups])

    def around_average_group(self) -> OwnLines:
        """Take each column around the plain mean of the groups' means."""
        if not len(self.labels):
            return self
        means = (self.B[0] / self.B[0, 0]).mean(axis=-1)
        return self.around(self.shift + np.append(0.0, means[1:]))

    @property
    def y_shift(self) -> float:
        """What is taken off y before x'b is, and x around its shift."""
        return float(self.shift[-1] + self.shift[1:-1] @ self.taken)

    def with_taken(self, taken: Array) -> OwnLines:
        """Take other coefficients off y."""
        change = taken - self.taken
        if not change.any():
            return self
        turn = np.eye(len(self.shift))  # D turn: the last column loses x'change
        turn[1:-1, -1] = -change
        B, within = np.einsum("rmk,mn->rnk", self.B, turn), turn.T @ self.within @ turn
        # differences are taken before squares
        T = within + gram(B)
        return replace(self, shift=self.shift @ turn, T=T, B=B, within=within, taken=taken)

    def in_centred_basis(self) -> Array:
        """Coefficients of (1, z - mean of the group) in the groups' lines, the axes of B."""
        R, lines = self.R, self.B.copy()
        lines[0] /= R[0, 0]  # the groups' means
        for i in reversed(range(1, len(R))):
            for k in range(i + 1, len(R)):
                lines[i] -= R[k, i] * lines[k]
            lines[i] = np.divide(
                lines[i], R[i, i], out=np.zeros_like(lines[i]), where=R[i, i] > 0
            )
            # a column is its own line, in groups where these moments do not see it vary, too
            lines[i, list(self.random)] = 0.0
            lines[i, self.random[i]] = 1.0
        return lines


def own_lines_tolerance(n_rows: NDArray[np.intp]) -> float:
    """Share of a column's squares in a group that is rounding."""
    return max(RANK_TOLERANCE, LOSS_PER_ROW * int(n_rows.max(initial=1)))


def moments_error(n_rows: NDArray[np.intp]) -> float:
    """Error of a column's squares in a group, as a share of them."""
    return own_lines_tolerance(n_rows) / CONSTANT_UP_TO


def triangular_sums(C: Array, random: list[int], tolerance: float) -> Array:
    """Return B_j = R_j^-1 C_j with G_j = R_j R_j', a slice of C_j; C is overwritten."""
    noise = tolerance * C[range(len(C)), random]
    for i, column in enumerate(random):
        determined = C[i, column] > noise[i]
        pivot = np.where(determined, C[i, column], 1.0)
        C[i] *= np.where(determined, 1 / np.sqrt(pivot), 0.0)
        for k in range(i + 1, len(C)):
            R = C[i, random[k]]
            noise[k] += R**2 * noise[i] / pivot  # a small pivot magnifies rounding errors
            C[k] -= R * C[i]
    return C
