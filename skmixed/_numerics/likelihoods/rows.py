"""The rows of a fit, sorted by group once and read in chunks of whole groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmixed._numerics.likelihoods.columns import Columns, choose_columns
from skmixed._numerics.likelihoods.families import Family
from skmixed._numerics.likelihoods.segments import Segments
from skmixed._numerics.linalg.arrays import Array

# Rows of a chunk: its working arrays stay in the second-level cache.
CHUNK_ROWS = 2**13


@dataclass(frozen=True)
class Chunk:
    """The rows of some groups.

    Attributes
    ----------
    groups : slice
        Which groups.
    X : ndarray or sparse matrix of shape (m, n_features)
        Features less their shift.
    Z : ndarray of shape (q, m)
        Random columns in the coordinates of the search.
    y, w : ndarray of shape (m,)
        Target and weights; None for weights of 1.
    sign, linear : ndarray of shape (m,) or None
        How eta enters the likelihood, see `Family`.
    segments : Segments
        Which rows belong to which group.
    is_constant : bool
        Whether Z is a single column of ones.
    """

    groups: slice
    X: Any
    Z: Array
    y: Array
    w: Array | None
    sign: Array | None
    linear: Array | None
    segments: Segments
    is_constant: bool


@dataclass(frozen=True)
class LikelihoodRows:
    """Rows sorted by group.

    Attributes
    ----------
    X : ndarray or csr matrix of shape (n_rows, n_features)
        The user's own array if its rows were in order.
    y : ndarray of shape (n_rows,)
        In single precision where that is exact, as w.
    w : ndarray of shape (n_rows,) or None
        None if all weights are 1.
    is_sorted : bool
        Whether all of the user's rows are where they were.
    groups : ndarray of shape (n_groups,)
        The codes of groups that have rows.
    sizes : ndarray of shape (n_groups,)
        Their numbers of rows.
    random : tuple of int
        The columns of [1, X] with random effects.
    columns : Columns
        Coordinates of the search.
    fit_intercept : bool
        Whether there is a fixed intercept.
    """

    X: Any
    y: Array
    w: Array | None
    is_sorted: bool
    groups: NDArray[np.intp]
    sizes: NDArray[np.intp]
    random: tuple[int, ...]
    columns: Columns
    fit_intercept: bool

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: NDArray[Any],
        codes: NDArray[np.integer[Any]],
        sample_weight: Array | None = None,
        *,
        random: tuple[int, ...] = (0,),
        random_only: tuple[int, ...] = (),
        fit_intercept: bool = True,
        diagonal: bool = False,
    ) -> Self:
        """Sort rows by group, without those of weight 0, and choose coordinates.

        Parameters
        ----------
        X : ndarray or scipy.sparse matrix or array of shape (n_rows, n_features)
            Numeric and finite. Copied only if rows have to be sorted, in its own type.
        y : ndarray of shape (n_rows,)
            0 or 1 for `binomial`, not negative for `poisson`.
        codes : ndarray of shape (n_rows,)
            Group of each row, as integers from 0.
        sample_weight : ndarray of shape (n_rows,), optional
            A weight of 2 is the row twice, 0 no row.
        random : tuple of int, default=(0,)
            Columns of [1, X] with random effects, in ascending order.
        random_only : tuple of int, default=()
            Those of them, but for the ones, that are no fixed columns.
        fit_intercept : bool, default=True
            Whether there is a fixed intercept.
        diagonal : bool, default=False
            Whether random effects are uncorrelated.
        """
        order = _order(codes, sample_weight)
        if _is_sparse(X):
            X = sparse.csr_array(X)
        groups, sizes = _groups(codes, sample_weight)
        y = _compact(_sorted(np.asarray(y), order))
        w = None if sample_weight is None else _compact(_sorted(sample_weight, order))
        if w is not None and np.all(w == 1.0):
            w = None
        X = _sorted(X, order)
        mean, gram = _moments(X, w)
        columns = choose_columns(
            mean,
            gram,
            random,
            random_only=random_only,
            fit_intercept=fit_intercept,
            diagonal=diagonal,
            may_shift=fit_intercept and (random == (0,) or (0 in random and not diagonal)),
        )
        return cls(X, y, w, order is None, groups, sizes, random, columns, fit_intercept)

    @property
    def n_rows(self) -> int:
        """Number of rows with a positive weight."""
        return len(self.y)

    @property
    def n_groups(self) -> int:
        """Number of groups with rows."""
        return len(self.groups)

    @property
    def p(self) -> int:
        """Number of fixed effects that are estimated."""
        return self.columns.p

    @property
    def q(self) -> int:
        """Number of random effects of a group."""
        return self.columns.q

    @property
    def is_constant(self) -> bool:
        """Whether there is a single random column, of ones."""
        return self.q == 1 and not self.columns.random[1:].any()

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self.n_rows if self.w is None else self.w.sum(dtype=np.float64))

    def chunks(self, family: Family, n_rows: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """Read the rows in chunks of whole groups, of about so many rows each."""
        ends = np.cumsum(self.sizes)
        first = start = 0
        while first < len(ends):
            last = max(int(np.searchsorted(ends, start + n_rows, "right")), first + 1)
            stop = int(ends[last - 1])
            yield self._chunk(slice(first, last), slice(start, stop), family)
            first, start = last, stop

    def _chunk(self, groups: slice, rows: slice, family: Family) -> Chunk:
        X, y = self.X[rows], self.y[rows].astype(np.float64, copy=False)
        w = None if self.w is None else self.w[rows].astype(np.float64, copy=False)
        shift = self.columns.shift
        if _is_sparse(X):
            X = X.toarray() - shift if shift.any() else X.astype(np.float64)
        else:
            X = X.astype(np.float64, copy=False)
            X = X - shift if shift.any() else X
        segments = Segments.of_sizes(self.sizes[groups])
        Z = self._random_columns(X)
        return Chunk(
            groups,
            X,
            Z,
            y,
            w,
            sign=family.sign(y),
            linear=family.linear(y, w),
            segments=segments,
            is_constant=self.is_constant,
        )

    def _random_columns(self, X: Any) -> Array:
        """Random columns of rows, in the coordinates of the search."""
        map_ = self.columns.random
        Z = np.broadcast_to(map_[0][:, None], (self.q, X.shape[0]))
        used = np.flatnonzero(map_[1:].any(axis=1))
        return Z + map_[1:][used].T @ X[:, used].T if used.size else Z

    # ---------------------------------------------------------- products with [1, X] fixed

    def predict(self, X: Any, beta: Array) -> Array:
        """Linear predictor of the fixed effects."""
        coef = self.columns.fixed @ beta
        eta = np.asarray(X @ coef[1:])
        eta += coef[0]
        return eta

    def transpose(self, X: Any, r: Array) -> Array:
        """Multiply the fixed columns by r, shape (p,)."""
        return np.asarray(np.append(r.sum(), X.T @ r) @ self.columns.fixed)

    def fixed_columns(self, X: Any) -> Array:
        """Make the fixed columns of rows, dense, shape (p, m)."""
        X = X.toarray() if _is_sparse(X) else X
        D = np.asarray(self.columns.fixed[1:].T @ X.T)
        D += self.columns.fixed[0][:, None]
        return D


def _order(codes: NDArray[Any], w: Array | None) -> NDArray[np.intp] | None:
    """Places of rows in order of their groups, without weights of 0; None if they are."""
    there = None if w is None or np.all(w) else np.flatnonzero(w)
    chosen = codes if there is None else codes[there]
    if np.all(chosen[1:] >= chosen[:-1]):
        return there
    if chosen.max() < 2**16:  # these are sorted by counting
        chosen = chosen.astype(np.uint16)
    order = np.argsort(chosen, kind="stable")
    return order if there is None else there[order]


def _groups(codes: NDArray[Any], w: Array | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Codes of groups that have rows with a weight, and their numbers of such rows."""
    sizes = np.bincount(codes if w is None else codes[w != 0])
    groups = np.flatnonzero(sizes)
    return groups, sizes[groups]


def _sorted(rows: Any, order: NDArray[np.intp] | None) -> Any:
    """Rows in order; the same object if they are."""
    return rows if order is None else rows[order]


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in single precision if that is exact, else in double."""
    values = np.asarray(values)
    single = values.astype(np.float32)
    return single if np.array_equal(single, values) else np.asarray(values, dtype=np.float64)


def _moments(X: Any, w: Array | None) -> tuple[Array, Array]:
    """Weighted means of columns, and mean products around them."""
    n = X.shape[0]
    total = float(n) if w is None else float(w.sum(dtype=np.float64))
    mean = np.zeros(X.shape[1])
    for x, v in _blocks(X, w):
        mean += v @ x
    mean /= total
    gram = np.zeros((len(mean),) * 2)
    for x, v in _blocks(X, w):
        x = x - mean
        gram += (x * v[:, None]).T @ x
    return mean, gram / total


def _is_sparse(X: Any) -> bool:
    return bool(sparse.issparse(X))


def _blocks(X: Any, w: Array | None) -> Iterator[tuple[Array, Array]]:
    for start in range(0, X.shape[0], CHUNK_ROWS):
        x = X[start : start + CHUNK_ROWS]
        x = x.toarray() if _is_sparse(x) else x
        v = np.ones(len(x)) if w is None else w[start : start + CHUNK_ROWS].astype(np.float64)
        yield x.astype(np.float64, copy=False), v
