"""The limit of the mixed model as Psi grows beyond bounds: each group has its own line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CONSTANT_UP_TO, RANK_TOLERANCE, RELATIVE_ERROR
from skmixed._numerics.linalg.independent import independent
from skmixed._numerics.linalg.small_matrices import gram
from skmixed._numerics.moments.own_lines import OwnLines, triangular_sums


@dataclass(frozen=True)
class GroupLines:
    """The groups' own lines, and what is left of the moments when they are taken off.

    With G_j = R_j' R_j, R_j upper triangular, and B_j = R_j'^-1 C_j,

        M = T - sum_j C_j' G_j^- C_j = T - sum_j B_j' B_j.

    A row of B_j is zero if the group's rows do not determine the coefficient of that column of
    Z beside those of the columns before it.

    Attributes
    ----------
    B : ndarray of shape (q, n_columns, n_groups)
        Holds R_j, too: Z_j is a part of D_j.
    random : list of int
        The columns of D that form Z, the column of ones first.
    n : float
        Sum of the weights.
    W, M : ndarray of shape (n_columns, n_columns)
        Scatter of D around the groups' means, and around their lines.
    noise : ndarray of shape (n_columns,)
        Error of the diagonal of M, 0 for the columns that form Z.
    rounding : ndarray of shape (n_columns,)
        What rounding of the numbers alone makes of squares around the groups' means.
    """

    B: Array
    random: list[int]
    n: float
    W: Array
    M: Array
    noise: Array
    rounding: Array

    @classmethod
    def from_lines(cls, lines: OwnLines, scale: Array) -> GroupLines:
        """Absorb the line of each group; of all rows, if there are no groups.

        Parameters
        ----------
        lines : OwnLines
            The groups' own lines.
        scale : ndarray of shape (n_columns,)
            What the columns of D are divided by.

        Returns
        -------
        GroupLines
        """
        random, B, M = list(lines.random), lines.B, lines.within
        if not len(lines.labels):
            B = triangular_sums(lines.T[random][..., None].copy(), random, RANK_TOLERANCE)
            M = lines.T - gram(B)
        B, M = B / scale[:, None], M / np.outer(scale, scale)
        rounding = RELATIVE_ERROR**2 * lines.squares
        W, noise = M + gram(B[1:]), lines.noise / scale**2
        return cls(B, random, lines.n, W, M, noise, rounding / scale**2)

    @property
    def rank(self) -> int:
        """Number of coefficients in the lines of all groups that their rows determine."""
        # B[i, random[i]] is the diagonal of R_j: 0 if nothing determines the coefficient
        return int(np.count_nonzero(self.B[range(len(self.B)), self.random]))

    def identify(
        self, varies: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Separate columns of [1, X] that the lines contain from those with a coefficient.

        A slope column must vary around the groups' means, the others around their lines.

        Parameters
        ----------
        varies : ndarray of shape (n_columns - 1,), dtype bool
            Which columns are more than rounding errors at all.

        Returns
        -------
        absorbed, kept : ndarray of shape (n_columns - 1,), dtype bool
            A column that is neither depends linearly on others.
        """
        is_slope = np.isin(np.arange(len(varies)), self.random[1:])
        left = np.where(is_slope, np.diag(self.W)[:-1], np.diag(self.M)[:-1])
        error = np.where(is_slope, self.rounding[:-1], self.noise[:-1])
        absorbed = ~varies | (left <= CONSTANT_UP_TO * error)
        absorbed[0] = False
        kept = ~absorbed
        for S, chosen in ((self.W, kept & is_slope), (self.M, kept & ~is_slope)):
            columns = np.flatnonzero(chosen[1:]) + 1
            size = np.sqrt(np.diag(S)[columns])
            kept[columns] = independent(S[np.ix_(columns, columns)] / np.outer(size, size))
        return absorbed, kept

    def with_average_line(self, kept: NDArray[np.bool_]) -> Array:
        """Return A, which is M with two terms that determine the line of the average group.

        Both are squares that this line makes zero, so that r2 stays what it is:

        - W_z' W_zz^-1 W_z for the slope columns z: their coefficients are the means of the
          groups' slopes, weighted by the scatter of z in each group;
        - m' m / u, with m the plain mean of the groups' means of D, and u = mean(1 / n_j) / J
          the variance of such a mean: the intercept is the mean of the groups' levels.

        So A_XX^-1 is the covariance of the coefficients, over sigma2.
        """
        z, m = self.kept_slopes(kept), self.average
        W_z = self.W[z]
        A = self.M + W_z.T @ np.linalg.solve(W_z[:, z], W_z)
        A += np.outer(m, m) / self.variance_of_average
        used = np.append(kept, True)
        return np.asarray(A[np.ix_(used, used)])

    @property
    def average(self) -> Array:
        """m, the plain mean of the groups' means of D, shape (n_columns,)."""
        # B[0, 0] is sqrt(n_j), and B[0] / sqrt(n_j) are the group's means
        return np.asarray((self.B[0] / self.B[0, 0]).mean(axis=-1))

    @property
    def variance_of_average(self) -> float:
        """u, the variance of such a mean, over that of a row."""
        return float(np.mean(self.B[0, 0] ** -2) / self.B.shape[-1])

    def kept_slopes(self, kept: NDArray[np.bool_]) -> list[int]:
        """Slope columns that have a coefficient."""
        return [column for column in self.random[1:] if kept[column]]

    def deviations(self, beta: Array) -> Array:
        """Return b_j = G_j^- (C_jy - C_jX beta) = R_j^- (B_jy - B_jX beta).

        Parameters
        ----------
        beta : ndarray of shape (n_columns - 1,)
            Coefficients of [1, X]; a group takes over those slopes that its rows do not
            determine.

        Returns
        -------
        ndarray of shape (q, n_groups)
            How far the groups' lines are from beta.
        """
        b = self.B[:, -1] - beta @ self.B[:, :-1]
        # back substitution with the upper triangular R_j, a row for each random column
        for i in reversed(range(len(b))):
            R = self.B[i, self.random]  # row i of all R_j, (q, n_groups)
            for k in range(i + 1, len(b)):
                b[i] -= R[k] * b[k]
            b[i] = np.divide(b[i], R[i], out=np.zeros_like(b[i]), where=R[i] > 0)
        return b
