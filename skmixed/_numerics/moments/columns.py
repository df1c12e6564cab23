"""Moments of other columns, made of moments without a look at the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.small_matrices import gram
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.coordinates import around_means
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines
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


def drop_columns_of_factors(
    moments: FactorMoments, dropped: NDArray[np.bool_]
) -> FactorMoments:
    """Leave out columns that have no random effects, as `drop_columns` does."""
    factors = tuple(drop_columns(factor, dropped) for factor in moments.factors)
    return FactorMoments(factors, moments.cells)


def features_of(moments: GroupedMoments | FactorMoments) -> NDArray[np.bool_]:
    """Which columns of D = [1, X, y] are those of X."""
    features = np.ones(len(moments.shift), dtype=np.bool_)
    features[[0, -1]] = False
    return features


def drop_columns_of_lines(lines: OwnLines, dropped: NDArray[np.bool_]) -> OwnLines:
    """Leave out columns that have no random effects, as `drop_columns` does."""
    kept, features = ~dropped, dropped[1:-1]
    lines = lines.with_taken(np.where(features, 0.0, lines.taken))
    position = np.cumsum(kept) - 1
    return replace(
        lines,
        shift=lines.shift[kept],
        random=tuple(int(position[column]) for column in lines.random),
        T=lines.T[np.ix_(kept, kept)],
        B=lines.B[:, kept],
        within=lines.within[np.ix_(kept, kept)],
        taken=lines.taken[~features],
        noise=lines.noise[kept],
        squares=lines.squares[kept],
    )


def split_columns(lines: OwnLines) -> OwnLines:
    """Return the moments of [1, X_within, X_between, y].

    The two parts are orthogonal, and deviations add up to 0 in each group: the within parts
    have no share in the groups' means, nor the between parts in what is within groups.

    Parameters
    ----------
    lines : OwnLines
        Moments of [1, X, y], with a random intercept alone.

    Returns
    -------
    OwnLines
        Of twice as many features.
    """
    n_features = len(lines.shift) - 2
    ones, X, y = np.split(np.arange(len(lines.shift)), [1, 1 + n_features])
    parts = np.concatenate([ones, X, X, y])
    has_within = np.repeat([0.0, 1.0, 0.0, 1.0], [1, n_features, n_features, 1])
    has_between = np.repeat([1.0, 0.0, 1.0, 1.0], [1, n_features, n_features, 1])
    lines = around_means(lines)
    squares_within, squares_between = scatter(lines)
    has_within[squares_within[parts] == 0] = 0.0
    has_between[1:-1][squares_between[parts[1:-1]] == 0] = 0.0
    within = lines.within[np.ix_(parts, parts)] * np.outer(has_within, has_within)
    B = lines.B[:, parts] * has_between[:, None]
    return replace(
        lines,
        # deviations from group means have the mean 0, and need no shift
        shift=lines.shift[parts] * np.repeat([1.0, 0.0, 1.0], [1, n_features, n_features + 1]),
        T=within + gram(B),
        B=B,
        within=within,
        taken=np.tile(lines.taken, 2),
        noise=lines.noise[parts] * has_within,
        squares=lines.squares[parts],
    )
