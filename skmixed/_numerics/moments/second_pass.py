"""A second pass over the rows, for digits that the first cannot see.

Cross-products around one shift for all rows lose what is small beside them: residuals that are
a millionth of y, or groups that lie millions of their own deviations apart. So what the first
pass knows is taken off the rows: each group's own line from all columns, x'b from y. What is
then left is summed up anew, and keeps its digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import FEW_LEFT, RELATIVE_ERROR
from skmixed._numerics.linalg.small_matrices import gram
from skmixed._numerics.moments.moments import (
    CHUNK_VALUES,
    MIN_CHUNK_ROWS,
    add_by_group,
    dense,
)
from skmixed._numerics.moments.own_lines import (
    OwnLines,
    moments_error,
    own_lines_tolerance,
    triangular_sums,
)


def sum_up_what_is_left(
    lines: OwnLines,
    X: Any,
    y: NDArray[Any],
    codes: NDArray[np.integer[Any]] | None,
    sample_weight: Array | None = None,
) -> OwnLines:
    """Pass over the rows again, with what the lines know taken off.

    Parameters
    ----------
    lines : OwnLines
        Of the same rows, from a pass before.
    X, y, sample_weight
        As for `GroupedMoments.from_rows`.
    codes : ndarray of shape (n_rows,) or None
        Position of each row's group in ``lines.labels``; -1 for rows without weight.

    Returns
    -------
    OwnLines
        The same rows, with more digits.
    """
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    r, n_columns = len(lines.random), len(lines.shift)
    own = lines.in_centred_basis() if codes is not None else np.zeros((r, n_columns, 0))
    T = np.zeros((n_columns, n_columns))
    sums = np.zeros((r, len(lines.labels), r + n_columns))
    size = max(CHUNK_VALUES // (r * n_columns), MIN_CHUNK_ROWS)
    for start in range(0, X.shape[0], size):
        rows = np.arange(start, min(start + size, X.shape[0]))
        if sample_weight is not None:
            rows = rows[sample_weight[rows] > 0]
        weight = 1.0 if sample_weight is None else sample_weight[rows, None]
        E = _without_fixed_part(lines, dense(X[rows]), y[rows])
        if codes is not None:
            Z = _take_own_lines_off(lines, own, E, codes[rows])
            add_by_group(sums, np.hstack([Z, E]), weight * Z, codes[rows])
        T += E.T @ (weight * E)
    if codes is None:
        return replace(lines, within=T, T=T, noise=_noise(lines, T))
    return _with_lines_back(lines, own, T, np.ascontiguousarray(np.swapaxes(sums, 1, 2)))


def _without_fixed_part(lines: OwnLines, X: Array, y: Array) -> Array:
    """Return rows D around the shift, whose last column is v = y - x'b."""
    D = np.ones((len(y), len(lines.shift)))
    np.subtract(X, lines.shift[1:-1], out=D[:, 1:-1])
    # differences are taken of numbers that are alike: y and x of their shifts, then v
    D[:, -1] = (y - lines.y_shift) - D[:, 1:-1] @ lines.taken
    return D


def _take_own_lines_off(
    lines: OwnLines, own: Array, D: Array, codes: NDArray[np.integer[Any]]
) -> Array:
    """Take each row's own line off D, in place; return Z, (1, z - mean of the group)."""
    random = list(lines.random)
    Z = D[:, random]
    Z[:, 1:] -= own[0][random[1:]][:, codes].T  # own[0] holds the groups' means
    for z, line in zip(Z.T, own, strict=True):
        D -= z[:, None] * line[:, codes].T
    D[:, random] = 0.0  # Z is its own line
    return Z


def _with_lines_back(lines: OwnLines, own: Array, T: Array, C: Array) -> OwnLines:
    """Own columns of what is left, and of the lines that were taken off.

    In the centred basis Z_j = Q_j L_j', so that Q_j'Z_j line = L_j' line.
    """
    r = len(C)
    B = triangular_sums(C, list(range(r)), own_lines_tolerance(lines.n_rows))
    L, left = np.tril(B[:, :r].transpose(2, 1, 0)), B[:, r:]  # axes k a r of L
    B = left + np.einsum("kar,amk->rmk", L, own)
    within = T - gram(left)
    within[list(lines.random)] = within[:, list(lines.random)] = 0.0
    noise = _noise(lines, T)
    noise[list(lines.random)] = 0.0
    return replace(lines, B=B, within=within, T=within + gram(B), noise=noise)


def _noise(lines: OwnLines, T: Array) -> Array:
    """Error of sums of squares of what is left: their own, and that of the numbers given."""
    return np.asarray(
        moments_error(lines.n_rows) * np.diag(T) + RELATIVE_ERROR**2 * lines.squares
    )


def varies_within(
    lines: OwnLines,
    X: Any,
    y: NDArray[Any],
    codes: NDArray[np.integer[Any]],
) -> bool:
    """Whether some column is not constant in all groups where the lines can hardly see that."""
    around_means = np.diag(lines.within) + np.sum(lines.B[1:] ** 2, axis=(0, 2))
    few = around_means < FEW_LEFT * np.diag(lines.T)
    few[list(lines.random)] = False
    for column in np.flatnonzero(few):
        values = y if column == len(few) - 1 else dense(X[:, [column - 1]])[:, 0]
        one = np.zeros(len(lines.labels), dtype=values.dtype)
        one[codes] = values
        if np.any(one[codes] != values):
            return True
    return False
