"""Moments without a fold, where they keep their digits, and scores of the fold's rows."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    DISTINCT,
    NOT_DISTINCT,
    RANK_TOLERANCE,
    SQUARES_LEFT,
    SUM_LEFT,
)
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments

Sums: TypeAlias = GroupedMoments | FactorMoments

# Columns further from 0 than this many of their standard deviations show in predictions that
# coefficients have 16 digits: the loop's predictions are then no more exact than the refit's.
FAR_OFF = 1e6


S = TypeVar("S", GroupedMoments, FactorMoments)


def subtract_fold(total: S, fold: S) -> S | None:
    """Return the moments of all rows but those of a fold, if no digits that count are lost.

    Parameters
    ----------
    total : GroupedMoments or FactorMoments
        Cross-products of all rows.
    fold : same type as total
        Those of some of the rows.

    Returns
    -------
    same type as total, or None
        The difference. None if the rest has to be summed up from its rows: where too few rows
        or too little of a column's variation is left, so that rounding errors of the whole are
        large beside it.
    """
    rest = total - fold
    by_factor = zip(_by_factor(total), _by_factor(rest), strict=True)
    if not all(_leaves_rows(*pair) for pair in by_factor) or not _leaves_columns(total, rest):
        return None
    return rest


def _by_factor(moments: Sums) -> tuple[GroupedMoments, ...]:
    return moments.factors if isinstance(moments, FactorMoments) else (moments,)


def _leaves_rows(total: GroupedMoments, rest: GroupedMoments) -> bool:
    """Whether there are rows for all columns, and a share of each group that is still there."""
    n_rows = rest.n_rows.sum() if len(total.labels) else rest.n
    if min(n_rows, rest.n) < len(rest.shift):
        return False
    before = total.sizes[np.searchsorted(total.labels, rest.labels)]
    return bool(np.all(rest.sizes >= SQUARES_LEFT * before))


def _leaves_columns(total: Sums, rest: Sums) -> bool:
    """Whether a share of the variation of each column is left, and which ones are distinct."""
    varies = _varies(total)
    R = _centred(rest)[np.ix_(varies, varies)]
    enough = FAR_OFF**2 * np.diag(R) > rest.n * total.shift[varies] ** 2
    return not len(hardly_left(total, rest)) and bool(np.all(enough)) and _is_clear(R)


def hardly_left(total: Sums, rest: Sums) -> NDArray[np.intp]:
    """Which columns of D vary, but not by a share of that in what is left."""
    # the error of the rest is a share of all squares around the shift, not of those left
    enough = np.diag(_centred(rest)) >= SQUARES_LEFT * np.diag(total.T)
    return np.flatnonzero(_varies(total) & ~enough)


def _varies(total: Sums) -> NDArray[np.bool_]:
    """Which columns vary."""
    noise = 8 * np.finfo(np.float64).eps * np.abs(total.shift)
    return np.asarray(np.diag(_centred(total)) > total.n * noise**2)


def sums_of_squares(
    moments: GroupedMoments, line: Array, effects: Array
) -> tuple[float, float] | None:
    """Return the sums of squares of rows around their predictions, and around their mean.

    With w = (-line, 1) the error of a row is w'D_i - z_i'b_j, and the sum of its square

        w'T w - 2 sum_j b_j' C_j w + sum_j b_j' G_j b_j.

    Parameters
    ----------
    moments : GroupedMoments
        Of the rows, without weights.
    line : ndarray of shape (n_columns - 1,)
        Intercept and coefficients.
    effects : ndarray of shape (n_random, n_groups)
        b_j, what each group's line adds; 0 for new groups.

    Returns
    -------
    errors, total : float
        The two sums; None if digits are scarce in a difference of sums.
    """
    w, b, random = np.append(-line, 1.0), effects.copy(), list(moments.random)
    # the intercepts take up the shift: D_i and z_i are D - shift and z - shift here
    w[0] += moments.shift @ w
    b[0] += moments.shift[random] @ effects
    bC = np.einsum("rj,rcj->cj", b, moments.C)  # b_j' C_j: a row for each column of D
    squares = np.sum(bC[random] * b)  # G_j is a slice of C_j
    errors = float(w @ moments.T @ w - 2 * np.sum(w @ bC) + squares)
    total = float(moments.T[-1, -1] - moments.T[0, -1] ** 2 / max(moments.n, 1.0))
    least = SUM_LEFT * (np.abs(w) @ np.abs(moments.T) @ np.abs(w) + squares)
    if moments.n < 2 or errors < least or total <= SUM_LEFT * moments.T[-1, -1]:
        return None
    return errors, total


def _centred(moments: Sums) -> Array:
    """Cross-products around the means; 0 for the column of ones."""
    n = moments.n or 1.0  # there may be no rows
    centred: Array = moments.T - np.outer(moments.T[0], moments.T[0]) / n
    centred[0] = centred[:, 0] = 0.0
    return centred


def _is_clear(R: Array) -> bool:
    """Whether each column is clearly distinct from those before, or clearly not; y must be.

    R holds centred cross-products.
    """
    scale = np.sqrt(np.diag(R))
    R = R / np.outer(scale, scale)
    L, failed = lapack.dpotrf(R, lower=1)
    if not failed and np.all(np.diag(L) ** 2 >= DISTINCT):
        return True
    # columns one by one: what the columns before leave of each stands on the diagonal
    for i in range(len(R)):
        share = R[i, i]
        if NOT_DISTINCT < share < DISTINCT or (share < DISTINCT and i == len(R) - 1):
            return False
        if share > RANK_TOLERANCE:
            R[i:, i:] -= np.outer(R[i:, i], R[i, i:] / share)
    return True
