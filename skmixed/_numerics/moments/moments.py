"""Cross-products of the rows, in total and by group: all that a fit needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.scipy_private import csc_matvecs

# Rows are taken in chunks whose working array stays in the second-level cache.
CHUNK_VALUES = 2**17
MIN_CHUNK_ROWS = 2**11
PILOT_ROWS = 2**10
# With fewer rows of a group in a chunk, on average, it does not pay to add these up first.
ROWS_OF_GROUP = 4
# A shift is moved if more than this share of a column's squares around it is due to its
# distance from the mean.
FAR_OFF = 0.5


@dataclass(frozen=True)
class GroupedMoments:
    """Weighted cross-products of D = [1, X, y], in total and by group.

    Every column is taken around `shift`, so that a large offset costs no digits.
    Moments of two sets of rows are added with ``+``, which aligns them on the labels.

    Attributes
    ----------
    labels : ndarray of shape (n_groups,)
        The group labels, sorted and unique.
    n_rows : ndarray of shape (n_groups,)
        Number of rows with a positive weight in each group.
    shift : ndarray of shape (n_columns,)
        What was taken off each column of D; ``shift[0]`` is 0.
    T : ndarray of shape (n_columns, n_columns)
        D' W D over all rows.
    C : ndarray of shape (n_random, n_columns, n_groups)
        Z_j' W D_j for each group j: the group is the last axis, so that sums over groups
        run over contiguous memory.
    random : tuple of int
        The columns of D that form Z. The first is always 0, the column of ones.
    """

    labels: NDArray[Any]
    n_rows: NDArray[np.intp]
    shift: Array
    T: Array
    C: Array
    random: tuple[int, ...] = (0,)

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: NDArray[Any],
        codes: NDArray[np.integer[Any]] | None,
        labels: NDArray[Any],
        sample_weight: Array | None = None,
        *,
        random: tuple[int, ...] = (0,),
        shift: Array | None = None,
    ) -> GroupedMoments:
        """Pass over the rows once, chunk by chunk, in float64.

        Parameters
        ----------
        X : ndarray or scipy.sparse matrix or array of shape (n_rows, n_features)
            Numeric and finite; never copied or densified whole.
        y : ndarray of shape (n_rows,)
            Numeric and finite.
        codes : ndarray of shape (n_rows,) or None
            Position of each row's label in `labels`; None if the rows have no groups.
        labels : ndarray of shape (n_groups,)
            Sorted and unique.
        sample_weight : ndarray of shape (n_rows,), optional
            Rows of weight zero count as absent, and so do groups of nothing else.
        random : tuple of int, default=(0,)
            Columns of D = [1, X, y] that have a random effect, the column of ones first.
        shift : ndarray of shape (n_columns,), optional
            What to take off each column of D, the first by 0; a pilot mean by default.

        Returns
        -------
        GroupedMoments
        """
        if shift is None:
            shift = pilot_mean(X, y, sample_weight)
        by_factor = () if codes is None else (codes,)
        T, sums = sum_rows(
            X, y, by_factor, (len(labels),), sample_weight, random=(random,), shift=shift
        )
        C = sums[0] if sums else np.zeros((len(random), len(shift), len(labels)))
        counts = count_rows(codes, sample_weight, C)
        there = counts > 0
        if not there.all():
            labels, counts, C = labels[there], counts[there], C[..., there]
        return cls(labels, counts, shift, T, C, random)

    @property
    def n(self) -> float:
        """Sum of the weights: the number of rows, if there are no weights."""
        return float(self.T[0, 0])

    @property
    def sizes(self) -> Array:
        """Sum of the weights in each group, shape (n_groups,)."""
        sizes: Array = self.C[0, 0]
        return sizes

    def around(self, shift: Array) -> GroupedMoments:
        """Express the moments around another shift, by exact algebra."""
        if np.array_equal(shift, self.shift):
            return self
        # D_new = D + delta 1', and Z is made of rows of D.
        delta = (self.shift - shift)[:, None]
        # Row 0 of T, and C[0], are sums of D, since its first column is 1.
        T = self.T + delta * self.T[:1]
        T = T + delta.T * T[:, :1]
        C = self.C + delta * self.C[:, :1]  # D is the second axis of C
        C = C + delta[list(self.random), None] * C[:1]  # and Z the first
        return replace(self, shift=shift, T=T, C=C)

    def with_random(self, random: tuple[int, ...]) -> GroupedMoments:
        """Choose some of the random columns, the column of ones first."""
        return replace(self, random=random, C=self.C[[self.random.index(i) for i in random]])

    def without_groups(self) -> GroupedMoments:
        """Forget which rows belong together."""
        none = slice(0, 0)
        labels, n_rows = self.labels[none], self.n_rows[none]
        return replace(self, labels=labels, n_rows=n_rows, C=self.C[..., none])

    def __add__(self, other: GroupedMoments) -> GroupedMoments:
        """Moments of the rows of both, groups aligned on their labels."""
        if self.n < other.n:  # the shift of most rows is near most rows
            return other + self
        other = self._aligned(other, "added")
        T = self.T + other.T
        if np.array_equal(self.labels, other.labels):
            counts, C = self.n_rows + other.n_rows, self.C + other.C
            return replace(self, n_rows=counts, T=T, C=C)._with_shift_among_rows()
        labels, *positions = merge(self.labels, other.labels)
        counts = np.zeros(len(labels), dtype=np.intp)
        C = np.zeros((*self.C.shape[:2], len(labels)))
        for part, position in zip((self, other), positions, strict=True):
            counts[position] += part.n_rows
            C[..., position] += part.C
        total = replace(self, labels=labels, n_rows=counts, T=T, C=C)
        return total._with_shift_among_rows()

    def __sub__(self, other: GroupedMoments) -> GroupedMoments:
        """Moments of the rows that are not in other, which holds some of the rows.

        Counts are exact, and a group without rows left is not there. What is small beside
        what is taken off has few digits: see `leave_out.folds`.
        """
        other = self._aligned(other, "subtracted")
        position = np.searchsorted(self.labels, other.labels)
        # the last label, in place of a position beyond it, is not the same
        known = self.labels.take(position, mode="clip") == other.labels
        counts, C = self.n_rows.copy(), self.C.copy()
        counts[position[known]] -= other.n_rows[known]
        n_wrong = np.count_nonzero(~known) + np.count_nonzero(counts < 0)
        if n_wrong:
            raise ValueError(
                "only moments of some of the rows can be subtracted from theirs, but got more "
                f"rows than there are of {n_wrong} groups"
            )
        C[..., position] -= other.C
        there = counts > 0
        return replace(
            self,
            labels=self.labels[there],
            n_rows=counts[there],
            T=self.T - other.T,
            C=C[..., there],
        )

    def _with_shift_among_rows(self) -> GroupedMoments:
        """Move the shift to the mean in columns where it is further off than the rows are.

        The first rows of many batches may lie far from all others.
        """
        mean = self.T[0] / self.n if self.n > 0 else np.zeros_like(self.shift)
        off = mean**2 > FAR_OFF * np.diag(self.T) / max(self.n, 1.0)
        off[0] = False
        return self.around(self.shift + np.where(off, mean, 0.0)) if off.any() else self

    def _aligned(self, other: GroupedMoments, verb: str) -> GroupedMoments:
        """Express other around the shift of these moments, if the columns are the same."""
        if self.random != other.random or len(self.shift) != len(other.shift):
            raise ValueError(
                f"only moments of the same columns can be {verb}, but got "
                f"{len(self.shift) - 2} and {len(other.shift) - 2} features with random "
                f"columns {self.random} and {other.random}"
            )
        same = np.array_equal(self.shift, other.shift)
        return other if same else other.around(self.shift)


def merge(
    one: NDArray[Any], other: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp]]:
    """Union of sorted labels, and the positions in it of both.

    A search in place of a sort: labels are often long strings, and mostly known already.
    """
    dtype = _common_dtype(one, other)
    one, other = one.astype(dtype, copy=False), other.astype(dtype, copy=False)
    before = np.searchsorted(one, other)  # how many of one come before each other label
    new = before == len(one)
    new[~new] = one[before[~new]] != other[~new]
    position = before + np.cumsum(new) - new  # new labels before it come before it, too
    from_one = np.ones(len(one) + np.count_nonzero(new), dtype=bool)
    from_one[position[new]] = False
    return np.insert(one, before[new], other[new]), np.flatnonzero(from_one), position


def _common_dtype(one: NDArray[Any], other: NDArray[Any]) -> np.dtype[Any]:
    """Find the type that holds labels of both exactly, where NumPy's is float for integers."""
    kinds, dtype = {one.dtype.kind, other.dtype.kind}, np.result_type(one, other)
    if dtype.kind != "f" or not kinds & set("iu") or not (len(one) and len(other)):
        return dtype
    low, high = int(min(one[0], other[0])), int(max(one[-1], other[-1]))  # floats are whole
    for integer in (np.iinfo(np.int64), np.iinfo(np.uint64)):
        if integer.min <= low and high <= integer.max:
            return integer.dtype
    return np.dtype(object)


def sum_rows(
    X: Any,
    y: NDArray[Any],
    codes: Sequence[NDArray[np.integer[Any]]],
    n_levels: Sequence[int],
    sample_weight: Array | None,
    *,
    random: Sequence[tuple[int, ...]],
    shift: Array,
) -> tuple[Array, list[Array]]:
    """Add up D' W D over all rows, and Z_j' W D_j by level of each of several factors.

    Parameters
    ----------
    X, y, sample_weight, shift : as for `GroupedMoments.from_rows`
        The rows.
    codes, n_levels, random : sequences over factors
        Position of each row's level, the number of levels, and the columns of D in Z.

    Returns
    -------
    T : ndarray of shape (n_columns, n_columns)
    C : list of ndarray of shape (n_random, n_columns, n_levels)
    """
    if hasattr(X, "tocsr"):
        X = X.tocsr()  # rows are sliced below
    n_rows, n_columns = X.shape[0], X.shape[1] + 2
    T = np.zeros((n_columns, n_columns))
    sums = [
        np.zeros((len(columns), levels, n_columns))
        for columns, levels, _ in zip(random, n_levels, codes, strict=False)
    ]
    size = max(CHUNK_VALUES // n_columns, MIN_CHUNK_ROWS)
    buffer = np.ones((min(size, n_rows), n_columns))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, n_rows, size):
            chunk = slice(start, start + size)
            D = _fill(buffer, X[chunk], y[chunk], shift)
            WD = D if sample_weight is None else D * sample_weight[chunk, None]
            T += D.T @ WD
            for total, columns, code in zip(sums, random, codes, strict=False):
                add_by_group(total, D, WD[:, columns], code[chunk])
    # a group's sums lie together while rows are added, and groups do in what is solved
    return T, [np.ascontiguousarray(np.swapaxes(total, 1, 2)) for total in sums]


def dense(X: Any) -> NDArray[Any]:
    dense: NDArray[Any] = X.toarray() if hasattr(X, "toarray") else X
    return dense


def pilot_mean(X: Any, y: NDArray[Any], sample_weight: Array | None) -> Array:
    """Return the means of the columns of D over about a thousand rows, spread evenly."""
    step = max(1, X.shape[0] // PILOT_ROWS)
    rows: Any = slice(None, None, step)
    if sample_weight is not None:
        rows = np.flatnonzero(sample_weight)[rows]
    if len(y[rows]) == 0:
        return np.zeros(X.shape[1] + 2)
    X_mean = dense(X[rows]).mean(axis=0, dtype=np.float64)
    return np.concatenate([[0.0], X_mean, [y[rows].mean(dtype=np.float64)]])


def _fill(buffer: Array, X: Any, y: NDArray[Any], shift: Array) -> Array:
    """Write the shifted columns of D beside the column of ones."""
    D = buffer[: len(y)]
    np.subtract(dense(X), shift[1:-1], out=D[:, 1:-1])
    np.subtract(y, shift[-1], out=D[:, -1])
    return D


def add_by_group(sums: Array, D: Array, WZ: Array, codes: NDArray[np.integer[Any]]) -> None:
    """Add Z_j' W D_j of a chunk of rows to the sums, shape (n_random, n_groups, n_columns).

    Row i of D, times z_i, goes to the contiguous row codes[i] of the sums: the product of a
    sparse matrix, with an entry for each row, and D. SciPy's public product would make a new
    array of the size of the sums for each chunk.
    """
    n_rows, n_columns = D.shape
    one_each = np.arange(n_rows + 1)
    positions: NDArray[np.intp] = codes.astype(np.intp, copy=False)
    for total, z in zip(sums, WZ.T, strict=True):
        # large groups keep more digits if chunks are summed before they are added
        few = ROWS_OF_GROUP * len(total) < n_rows
        part = np.zeros_like(total) if few else total
        entries = (one_each, positions, z.copy())
        csc_matvecs(len(total), n_rows, n_columns, *entries, D.ravel(), part.ravel())
        if few:
            total += part


def count_rows(
    codes: NDArray[np.integer[Any]] | None, sample_weight: Array | None, C: Array
) -> NDArray[np.intp]:
    if codes is None or sample_weight is None:
        return np.asarray(C[0, 0], dtype=np.intp)  # sums of ones are exact
    return np.bincount(codes[sample_weight > 0], minlength=C.shape[-1])
