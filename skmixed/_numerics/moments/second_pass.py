"""A second pass over the rows, for digits that the first cannot see.

Cross-products around one shift for all rows lose what is small beside them: residuals that are
a millionth of y, or groups that lie millions of their own deviations apart. So what the first
pass knows is taken off the rows: each group's own line from all columns, x'b from y. What is
then left is summed up anew, and keeps its digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import FEW_LEFT, RELATIVE_ERROR
from skmixed._numerics.linalg.small_matrices import gram
from skmixed._numerics.moments.moments import (
    CHUNK_VALUES,
    MIN_CHUNK_ROWS,
    PILOT_ROWS,
    add_by_group,
    dense,
    merge,
)
from skmixed._numerics.moments.own_lines import (
    OwnLines,
    moments_error,
    own_lines_tolerance,
    triangular_sums,
)


@dataclass(frozen=True)
class LeftOver:
    """What is left of some rows when the groups' lines and x'b are taken off, summed up.

    With E_j what is left of D_j, and Z_j the columns (1, z - mean of the group), so that the
    sums of two sets of rows are added with ``+`` if the same lines were taken off.

    Attributes
    ----------
    groups : ndarray of shape (n_groups,)
        Positions of the rows' groups among the labels of the lines, sorted and unique.
    T : ndarray of shape (n_columns, n_columns)
        E' W E over all rows.
    C : ndarray of shape (n_random, n_random + n_columns, n_groups)
        Z_j' W [Z_j, E_j].
    """

    groups: NDArray[np.intp]
    T: Array
    C: Array

    @classmethod
    def from_rows(
        cls,
        lines: OwnLines,
        X: Any,
        y: NDArray[Any],
        codes: NDArray[np.integer[Any]] | None,
        sample_weight: Array | None = None,
    ) -> LeftOver:
        """Pass over rows again, with what the lines know taken off.

        Parameters
        ----------
        lines : OwnLines
            Of these rows, or of these and others, from a pass before.
        X, y, sample_weight
            As for `GroupedMoments.from_rows`.
        codes : ndarray of shape (n_rows,) or None
            Position of each row's group in ``lines.labels``.

        Returns
        -------
        LeftOver
        """
        if hasattr(X, "tocsr"):
            X = X.tocsr()
        there = np.zeros(len(lines.labels), dtype=np.bool_)
        if codes is not None:
            there[codes] = True
        groups = np.flatnonzero(there)
        if codes is not None and not there.all():
            lines, codes = lines.of_groups(groups), (np.cumsum(there) - 1)[codes]
        r, n_columns = len(lines.random), len(lines.shift)
        own = lines_by_group(lines) if codes is not None else np.zeros((r, 0, n_columns))
        T = np.zeros((n_columns, n_columns))
        sums = np.zeros((r, len(groups), r + n_columns))
        size = max(CHUNK_VALUES // (r * n_columns), MIN_CHUNK_ROWS)
        for start in range(0, X.shape[0], size):
            rows = slice(start, start + size)
            weight = 1.0 if sample_weight is None else sample_weight[rows, None]
            E = without_fixed_part(lines, dense(X[rows]), y[rows])
            if codes is not None:
                Z = take_own_lines_off(lines, own, E, codes[rows])
                add_by_group(sums, np.hstack([Z, E]), weight * Z, codes[rows])
            T += E.T @ (weight * E)
        return cls(groups, T, np.ascontiguousarray(np.swapaxes(sums, 1, 2)))

    @property
    def n(self) -> float:
        """Sum of the weights."""
        # E holds the ones if there are no lines that contain them
        return float(self.C[0, 0].sum() if len(self.groups) else self.T[0, 0])

    def __add__(self, other: LeftOver) -> LeftOver:
        """Add up the rows of both, groups aligned on their positions."""
        groups, *positions = merge(self.groups, other.groups)
        C = np.zeros((*self.C.shape[:2], len(groups)))
        for part, position in zip((self, other), positions, strict=True):
            C[..., position] += part.C
        return LeftOver(groups, self.T + other.T, C)

    def as_lines(self, lines: OwnLines) -> OwnLines:
        """Lines with more digits, if this is what those leave of all rows.

        The own columns are those of what is left, and of the lines that were taken off. In the
        centred basis Z_j = Q_j L_j', so that Q_j'Z_j line = L_j' line.
        """
        if not len(self.groups):
            noise = _noise(lines, self.T)
            return replace(lines, within=self.T, T=self.T, noise=noise)
        r, random = len(self.C), list(lines.random)
        B = triangular_sums(self.C.copy(), list(range(r)), own_lines_tolerance(lines.n_rows))
        L, left = np.tril(B[:, :r].transpose(2, 1, 0)), B[:, r:]  # axes k a r of L
        B = left + np.einsum("kar,amk->rmk", L, lines.in_centred_basis())
        within, noise = self.T - gram(left), _noise(lines, self.T)
        within[random] = within[:, random] = 0.0
        noise[random] = 0.0
        return replace(lines, B=B, within=within, T=within + gram(B), noise=noise)


@dataclass(frozen=True)
class ConstantColumns:
    """Columns that are the same in all rows of each group, to the last digit.

    Attributes
    ----------
    labels : ndarray of shape (n_groups,)
        Of the groups, sorted and unique.
    values : dict
        For each of these columns of D = [1, X, y] the values of the groups.
    """

    labels: NDArray[Any]
    values: dict[int, NDArray[Any]]

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: NDArray[Any],
        codes: NDArray[np.integer[Any]],
        labels: NDArray[Any],
        columns: Iterable[int],
    ) -> ConstantColumns:
        """Find those among some columns.

        Parameters
        ----------
        X, y, codes, labels
            As for `GroupedMoments.from_rows`, rows without weight left out.
        columns : iterable of int
            Positions in D; neither that of the ones nor of another that is not asked for.

        Returns
        -------
        ConstantColumns
        """
        if len(y) > PILOT_ROWS:  # most columns vary in these, and need no look at the others
            head = slice(0, PILOT_ROWS)
            columns = cls.from_rows(X[head], y[head], codes[head], labels, columns).values
        values = {}
        for column in columns:
            given = y if column == X.shape[1] + 1 else dense(X[:, [column - 1]])[:, 0]
            one = np.zeros(len(labels), dtype=given.dtype)
            one[codes] = given
            if np.array_equal(one[codes], given):
                values[column] = one
        return cls(labels, values)

    def __add__(self, other: ConstantColumns) -> ConstantColumns:
        """Those that are constant in the rows of both, groups aligned on their labels."""
        labels, one, two = merge(self.labels, other.labels)
        values = {}
        for column in self.values.keys() & other.values.keys():
            a, b = self.values[column], other.values[column]
            both = np.zeros(len(labels), dtype=np.result_type(a, b))
            both[one] = a
            both[two] = b
            if np.array_equal(both[one], a):
                values[column] = both
        return ConstantColumns(labels, values)


def hardly_vary(lines: OwnLines) -> list[int]:
    """Columns of which the lines can hardly see whether they vary within groups."""
    if not len(lines.labels):
        return []
    around_means = np.diag(lines.within) + np.sum(lines.B[1:] ** 2, axis=(0, 2))
    few = around_means < FEW_LEFT * np.diag(lines.T)
    few[0] = False
    return [int(column) for column in np.flatnonzero(few)]


def without_fixed_part(
    lines: OwnLines, X: Array, y: Array, buffer: Array | None = None
) -> Array:
    """Return rows D around the shift, whose last column is v = y - x'b; perhaps in a buffer."""
    D = np.empty((len(y), len(lines.shift))) if buffer is None else buffer[: len(y)]
    D[:, 0] = 1.0
    np.subtract(X, lines.shift[1:-1], out=D[:, 1:-1])
    # differences are taken of numbers that are alike: y and x of their shifts, then v
    D[:, -1] = (y - lines.y_shift) - D[:, 1:-1] @ lines.taken
    return D


def lines_by_group(lines: OwnLines) -> Array:
    """Return the lines in the centred basis, shape (n_random, n_groups, n_columns)."""
    # those of a group lie together, to be taken as a whole for each of its rows
    return np.ascontiguousarray(lines.in_centred_basis().swapaxes(1, 2))


def take_own_lines_off(
    lines: OwnLines, own: Array, D: Array, codes: NDArray[np.integer[Any]]
) -> Array:
    """Take each row's own line off D, in place; return Z, (1, z - mean of the group).

    `own` are the lines of `lines_by_group`.
    """
    random = list(lines.random)
    Z = D[:, random]
    means = own[0].take(codes, axis=0)
    Z[:, 1:] -= means[:, random[1:]]
    D -= means
    for z, line in zip(Z.T[1:], own[1:], strict=True):
        D -= z[:, None] * line.take(codes, axis=0)
    D[:, random] = 0.0  # Z is its own line
    return Z


def _noise(lines: OwnLines, T: Array) -> Array:
    """Error of sums of squares of what is left: their own, and that of the numbers given."""
    return np.asarray(
        moments_error(lines.n_rows) * np.diag(T) + RELATIVE_ERROR**2 * lines.squares
    )
