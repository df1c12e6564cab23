"""Where columns vary: within groups, between groups, or both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import SHARE_ERROR
from skmixed._numerics.moments.moments import GroupedMoments


def between_shares(moments: GroupedMoments) -> Array:
    """Return the share of each column's variation that lies between groups.

    The sum of squares around the mean is that of the group means, weighted by the sizes of
    the groups, plus that within groups.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of D = [1, X, y].

    Returns
    -------
    ndarray of shape (n_columns,)
        Of X and y; exactly 0 or 1 where the rest is rounding, NaN for constant columns.
    """
    sums, square = moments.T[0, 1:], np.diag(moments.T)[1:]
    total = square - sums**2 / moments.n
    between = np.sum(moments.C[0, 1:] ** 2 / moments.sizes, axis=1) - sums**2 / moments.n
    noise = (8 * np.finfo(np.float64).eps * moments.shift[1:]) ** 2 * moments.n
    constant = total <= noise + SHARE_ERROR**2 * square
    share = np.where(constant, np.nan, between / np.where(constant, 1.0, total))
    share = np.where(share < SHARE_ERROR, 0.0, share)
    return np.where(share > 1 - SHARE_ERROR, 1.0, share)


def without(moments: GroupedMoments, dropped: NDArray[np.bool_]) -> GroupedMoments:
    """Leave out columns that have no random effects.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of D = [1, X, y].
    dropped : ndarray of shape (n_columns,)
        Which columns of D.

    Returns
    -------
    GroupedMoments
    """
    kept = ~dropped
    position = np.cumsum(kept) - 1
    return replace(
        moments,
        shift=moments.shift[kept],
        T=moments.T[np.ix_(kept, kept)],
        C=moments.C[:, kept],
        random=tuple(int(position[column]) for column in moments.random),
    )
