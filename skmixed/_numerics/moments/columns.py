"""Moments of other columns, made of moments without a look at the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.moments.coordinates import around_means
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.within_between import scatter


def drop_columns(moments: GroupedMoments, dropped: NDArray[np.bool_]) -> GroupedMoments:
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
    position = np.cumsum(kept) - 1  # among the columns that stay
    return replace(
        moments,
        shift=moments.shift[kept],
        T=moments.T[np.ix_(kept, kept)],
        C=moments.C[:, kept],
        random=tuple(int(position[column]) for column in moments.random),
    )


def split_columns(moments: GroupedMoments) -> GroupedMoments:
    """Return the moments of [1, X_within, X_between, y].

    The two parts are orthogonal, and deviations add up to 0 in each group: the within parts
    have no share in C, nor in the cross-products with ones and with the between parts.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of [1, X, y], with a random intercept alone.

    Returns
    -------
    GroupedMoments
        Of twice as many features.
    """
    n_features = len(moments.shift) - 2
    ones, X, y = np.split(np.arange(len(moments.shift)), [1, 1 + n_features])
    parts = np.concatenate([ones, X, X, y])
    has_within = np.repeat([0.0, 1.0, 0.0, 1.0], [1, n_features, n_features, 1])
    has_between = np.repeat([1.0, 0.0, 1.0, 1.0], [1, n_features, n_features, 1])
    within, between = (part[np.ix_(parts, parts)] for part in scatter(moments))
    T = within * np.outer(has_within, has_within) + between * np.outer(has_between, has_between)
    moments = around_means(moments)
    C = moments.C[:, parts] * has_between[:, None]
    # deviations from group means have the mean 0, and need no shift
    return replace(moments, shift=moments.shift[parts] * has_between, T=T, C=C)
