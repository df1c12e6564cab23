"""The moments of one model: columns chosen, scaled and of full rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skmixed._numerics.moments import Array, GroupedMoments

# A column is dropped if less than this share of its variance is left when the columns before
# it are known. Cross-products in float64 carry a share of about 1e-15.
RANK_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Problem:
    """Moments of [X, y] for one model, in coordinates where all numbers are of order one.

    X holds the fixed-effect columns that are linearly independent, shifted and divided by
    their standard deviation, and y is treated likewise. Estimates return to the user's
    coordinates by ``beta = origin + backmap @ beta_scaled``.

    Attributes
    ----------
    T : ndarray of shape (p + 1, p + 1)
        [X, y]' W [X, y].
    C : ndarray of shape (q, p + 1, n_groups)
        Z_j' W [X_j, y_j].
    G : ndarray of shape (q, q, n_groups)
        Z_j' W Z_j.
    n : float
        Sum of the weights.
    n_rows : ndarray of shape (n_groups,)
        Rows of positive weight in each group.
    y_scale : float
        Standard deviation of y.
    log_scale : float
        Twice the sum of the logarithms of the columns' scales: log|M_XX| in the user's
        coordinates less log|M_XX| here.
    origin : ndarray of shape (n_columns,)
        Coefficients of the user's columns, dropped ones included, where beta_scaled is 0.
    backmap : ndarray of shape (n_columns, p)
        How the user's coefficients change with the scaled ones; 0 for dropped columns.
    kept : ndarray of shape (n_columns,), dtype bool
        Which fixed-effect columns are linearly independent of those before them.
    """

    T: Array
    C: Array
    G: Array
    n: float
    n_rows: NDArray[np.intp]
    y_scale: float
    log_scale: float
    origin: Array
    backmap: Array
    kept: NDArray[np.bool_]

    @property
    def p(self) -> int:
        """Number of fixed effects estimated."""
        return len(self.T) - 1

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.n_rows)


def make_problem(moments: GroupedMoments, *, fit_intercept: bool) -> Problem:
    """Choose, scale and thin out the columns of a model with fixed effects for all of X.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of the rows.
    fit_intercept : bool
        Whether the column of ones is a fixed effect.

    Returns
    -------
    Problem
    """
    moments = _relocate(moments, fit_intercept=fit_intercept)
    first = 0 if fit_intercept else 1
    scale, varies = _scales(moments, fit_intercept=fit_intercept)
    fixed = np.arange(first, len(scale) - 1)
    scaled = moments.T[np.ix_(fixed, fixed)] / np.outer(scale[fixed], scale[fixed])
    kept = varies[fixed] & _independent(scaled / moments.n)
    used = np.append(fixed[kept], len(scale) - 1)
    return Problem(
        T=moments.T[np.ix_(used, used)] / np.outer(scale[used], scale[used]),
        C=moments.C[:, used] / scale[used, None],
        G=moments.C[:, list(moments.random)],
        n=moments.n,
        n_rows=moments.n_rows,
        y_scale=float(scale[-1]),
        log_scale=float(2 * np.log(scale[used[:-1]]).sum()),
        kept=kept,
        **_way_back(moments.shift, scale, kept, fit_intercept=fit_intercept),
    )


def _relocate(moments: GroupedMoments, *, fit_intercept: bool) -> GroupedMoments:
    """Bring the moments near the means if the intercept absorbs a shift, else to zero."""
    if not fit_intercept:
        return moments.around(np.zeros_like(moments.shift))
    offset = moments.T[0] / moments.n
    offset[0] = 0.0
    if np.all(offset**2 <= 0.1 * np.diag(moments.T) / moments.n):
        return moments  # near enough: the pass already used a pilot mean
    return moments.around(moments.shift + offset)


def _scales(moments: GroupedMoments, *, fit_intercept: bool) -> tuple[Array, NDArray[np.bool_]]:
    """Root mean square of each column, and whether it is more than rounding error."""
    square = np.clip(np.diag(moments.T) / moments.n, 0.0, None)
    noise = 8 * np.finfo(np.float64).eps * np.abs(moments.shift)
    varies = square > noise**2
    return np.where(varies, np.sqrt(square), 1.0), varies


def _independent(R: Array) -> NDArray[np.bool_]:
    """Which columns, by their scaled Gram matrix, do not follow from those before them."""
    L, info = lapack.dpotrf(R, lower=1)
    if info == 0 and np.all(np.diag(L) ** 2 > RANK_TOLERANCE):
        return np.ones(len(R), dtype=np.bool_)
    R = R.copy()
    independent = np.zeros(len(R), dtype=np.bool_)
    for i in range(len(R)):
        independent[i] = R[i, i] > RANK_TOLERANCE
        if independent[i]:
            R[i:, i:] -= np.outer(R[i:, i], R[i, i:] / R[i, i])
    return independent


def _way_back(
    shift: Array, scale: Array, kept: NDArray[np.bool_], *, fit_intercept: bool
) -> dict[str, Any]:
    """`origin` and `backmap`: (y - t) / s_y = sum_i beta_i (x_i - s_i) / d_i, solved for y."""
    first = 0 if fit_intercept else 1
    origin = np.zeros(len(kept))
    backmap = np.diag(scale[-1] / scale[first:-1])
    if fit_intercept:
        origin[0] = shift[-1]
        backmap[0] -= shift[:-1] * np.diag(backmap)
    return {"origin": origin, "backmap": backmap[:, kept]}
