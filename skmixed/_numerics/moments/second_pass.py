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
    n_rows, n_columns = X.shape[0], len(lines.shift)
    slopes = [column - 1 for column in lines.random[1:]]
    own = lines.in_centred_basis() if codes is not None else None
    n_groups, r = len(lines.labels), len(lines.random)
    T = np.zeros((n_columns, n_columns))
    sums = np.zeros((r, n_groups, r + n_columns))
    size = max(CHUNK_VALUES // (r * n_columns), MIN_CHUNK_ROWS)
    for start in range(0, n_rows, size):
        rows = np.arange(start, min(start + size, n_rows))
        if sample_weight is not None:
            rows = rows[sample_weight[rows] > 0]
        D = np.ones((len(rows), n_columns))
        D[:, 1:-1] = dense(X[rows]) - lines.shift[1:-1]
        # v = y - x'b, around its own shift: every difference is taken of numbers alike
        D[:, -1] = (y[rows] - lines.y_shift) - D[:, 1:-1] @ lines.taken
        E = D.copy()
        if own is not None and codes is not None:
            at = codes[rows]
            Z = np.ones((len(rows), r))  # (1, z - mean of the group)
            Z[:, 1:] = D[:, 1:-1][:, slopes] - own[0][list(lines.random[1:])][:, at].T
            for z, line in zip(Z.T, own, strict=True):
                E -= z[:, None] * line[:, at].T
            E[:, list(lines.random)] = 0.0  # Z is its own line
        WE = E if sample_weight is None else E * sample_weight[rows, None]
        T += E.T @ WE
        if own is not None and codes is not None:
            WZ = Z if sample_weight is None else Z * sample_weight[rows, None]
            add_by_group(sums, np.hstack([Z, E]), WZ, codes[rows])
    if own is None:
        return replace(lines, within=T, T=T, noise=_noise(lines, T))
    return _with_lines_back(lines, own, T, np.ascontiguousarray(np.swapaxes(sums, 1, 2)))


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
