"""Means of the columns in each level as further columns: from sums, without the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments

Sums = GroupedMoments | FactorMoments
Kept = NDArray[np.bool_] | None


def level_means(moments: GroupedMoments) -> Array:
    """Return the mean of X in each level, around the shift; shape (n_features, n_levels)."""
    sums = moments.C[0]
    return np.asarray(sums[1:-1] / sums[0])


@overload
def with_level_means(moments: GroupedMoments, kept: Kept = None) -> GroupedMoments: ...
@overload
def with_level_means(moments: FactorMoments, kept: Kept = None) -> FactorMoments: ...
def with_level_means(moments: Sums, kept: Kept = None) -> Sums:
    """Add the mean of each column of X in the row's level, of each factor, to D = [1, X, y].

    With the sums S_j of the n_j rows of level j the means are m_j = S_j / n_j, and the products
    that are new are sums over levels: of means and columns sum_j m_j S_j', of means and means
    sum_j n_j m_j m_j'. Of the means by two factors they are sums over the cells.

    Parameters
    ----------
    moments : GroupedMoments or FactorMoments
        Of D; only intercepts are random.
    kept : ndarray of shape (n_factors, n_features), dtype bool, optional
        Which means are taken; all of them if None.

    Returns
    -------
    same type as moments
        Of [1, X, the means by the first factor, ..., y].
    """
    if kept is not None and not kept.any():
        return moments
    if isinstance(moments, GroupedMoments):
        return with_level_means(FactorMoments((moments,), {}), kept).factors[0]
    means = [level_means(factor) for factor in moments.factors]
    T = _products(moments, means)
    shift = np.insert(moments.shift, -1, np.tile(moments.shift[1:-1], len(means)))
    columns = np.ones(len(T), dtype=bool)
    if kept is not None:
        columns[len(moments.shift) - 1 : -1] = kept.ravel()
    T, shift = T[np.ix_(columns, columns)], shift[columns]
    factors = tuple(
        replace(factor, T=T, shift=shift, C=_sums_by_level(moments, g, means)[:, columns])
        for g, factor in enumerate(moments.factors)
    )
    return replace(moments, factors=factors)


def _products(moments: FactorMoments, means: list[Array]) -> Array:
    """T of all columns."""
    each = range(len(means))
    with_D = np.concatenate(
        [m @ factor.C[0].T for m, factor in zip(means, moments.factors, strict=True)]
    )
    with_means = np.block([[_means_by_means(moments, f, g, means) for g in each] for f in each])
    old, T = np.arange(len(moments.shift)), moments.T
    T = np.block([[T, with_D.T], [with_D, with_means]])
    order = np.r_[old[:-1], len(old) : len(T), old[-1]]  # y stands last
    return np.asarray(T[np.ix_(order, order)])


def _means_by_means(moments: FactorMoments, f: int, g: int, means: list[Array]) -> Array:
    """Return the products of the means by two factors, over all rows."""
    if f == g:
        return np.asarray(means[f] * moments.factors[f].C[0, 0] @ means[f].T)
    cells = moments.between(f, g)
    n = cells.values[0, 0]
    return np.asarray((means[f][:, cells.first] * n) @ means[g][:, cells.second].T)


def _sums_by_level(moments: FactorMoments, g: int, means: list[Array]) -> Array:
    """C of a factor: the sums of all columns in its levels, shape (1, n_columns, n_levels)."""
    C = moments.factors[g].C
    sums = [_sums_of_means(moments, f, g, m) for f, m in enumerate(means)]
    return np.concatenate([C[:, :-1], *(own[None] for own in sums), C[:, -1:]], axis=1)


def _sums_of_means(moments: FactorMoments, f: int, g: int, means: Array) -> Array:
    """Sum up the means by factor f in the levels of factor g."""
    n = moments.factors[g].C[0, 0]
    if f == g:
        return np.asarray(n * means)
    cells = moments.between(f, g)
    weighted = cells.values[0, 0] * means[:, cells.first]
    sums = [np.bincount(cells.second, row, len(n)) for row in weighted]
    return np.reshape(sums, (len(means), len(n)))
