"""How uncertain predictions by least squares are, by groups' own lines or a common one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.least_squares.group_lines import GroupLines
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.coordinates import Coordinates


@dataclass(frozen=True)
class PredictionVariance:
    """Variances of predictions around the true means of rows, over sigma2.

    With Z_j = Q_j R_j and D_j = Q_j B_j + E_j as in `GroupLines`, group j's line predicts a row
    d' = (z', x') of [1, X] by what its own rows say, u_j = Q_j'y, and by beta for the rest:

        y^ = h'u_j + (d - B_j'h)' beta,   R_j'h = z,

    where h is 0 for a column of Z whose coefficient the group's rows do not determine. So

        Var(y^) = h'h + c'A_XX^-1 c + 2 c'Cov(beta, u_j) h,   c = d - B_j'h.

    Attributes
    ----------
    coordinates : Coordinates
        Of the columns that are kept.
    A_XX : ndarray of shape (p, p)
        Its inverse is the covariance of beta.
    kept : ndarray of shape (n_columns - 1,), dtype bool
        Which of [1, X] have a coefficient.
    scale : ndarray of shape (n_columns,)
        What all columns of D are divided by.
    lines : GroupLines or None
        None if there is one line for all.
    """

    coordinates: Coordinates
    A_XX: Array
    kept: NDArray[np.bool_]
    scale: Array
    lines: GroupLines | None = None

    @classmethod
    def at_common_line(cls, coordinates: Coordinates, A_XX: Array) -> PredictionVariance:
        """Predictions of a line that all groups share."""
        kept, scale = (
            np.zeros(len(coordinates.shift) - 1, bool),
            np.ones(len(coordinates.shift)),
        )
        kept[coordinates.used[:-1]] = True
        scale[coordinates.used] = coordinates.scale
        return cls(coordinates, A_XX, kept, scale)

    def of_rows(self, X: Array, codes: NDArray[np.intp]) -> Array:
        """Return the variances, over sigma2.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows in the user's units.
        codes : ndarray of shape (n_rows,)
            Position of each row's group, -1 if it is not known: the variance is that of a
            common line, or NaN if groups have lines of their own.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        shift, constant = self.coordinates.shift[1:-1], self.coordinates.constant
        # a constant feature may stand for the ones
        ones = X[:, constant - 1] / shift[constant - 1] if constant else np.ones(len(X))
        D = np.vstack([ones, X.T - np.outer(shift, ones)])
        D /= self.scale[:-1, None]
        if self.lines is None:
            return self._quadratic(D[self.kept])
        variance = np.full(len(X), np.nan)
        known = codes >= 0
        variance[known] = self._at_lines(self.lines, D[:, known], codes[known])
        return variance

    def _quadratic(self, c: Array) -> Array:
        return np.asarray(np.sum(c * np.linalg.solve(self.A_XX, c), axis=0))

    def _at_lines(self, lines: GroupLines, D: Array, codes: NDArray[np.intp]) -> Array:
        B = lines.B[:, :-1, codes]  # axes: column of Q, column of [1, X], row
        h = _solve_transposed(B[:, lines.random], D[lines.random])
        c = (D - np.einsum("kn,kpn->pn", h, B))[self.kept]
        spread = np.linalg.solve(self.A_XX, c)
        z = lines.kept_slopes(self.kept)
        columns = np.append(self.kept, False)
        # beta's right side has W_Xz W_zz^-1 W_zy, and m_X m_y / u; W_zy holds B_jz' u_j
        W_z = lines.W[z]
        of_slopes = np.linalg.solve(W_z[:, z], W_z[:, columns])
        crossed = np.einsum("kn,kzn,zn->n", h[1:], B[1:, z], of_slopes @ spread)
        of_means = lines.average[columns] @ spread / lines.variance_of_average
        crossed += h[0] * of_means / (lines.B[0, 0, codes] * lines.B.shape[-1])
        variance: Array = np.sum(h**2, axis=0) + np.sum(c * spread, axis=0) + 2 * crossed
        return variance


def _solve_transposed(R: Array, z: Array) -> Array:
    """Solve R_n'h_n = z_n for upper triangular R; h is 0 where there is no pivot."""
    h = np.zeros_like(z)
    for i in range(len(z)):
        left = z[i] - np.einsum("kn,kn->n", R[:i, i], h[:i])
        h[i] = np.divide(left, R[i, i], out=np.zeros_like(left), where=R[i, i] > 0)
    return h
