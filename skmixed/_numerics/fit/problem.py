"""The moments of one model: columns chosen, scaled and of full rank."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import RANK_TOLERANCE
from skmixed._numerics.moments.coordinates import (
    Coordinates,
    independent,
    relocate,
    scales,
    way_back,
)
from skmixed._numerics.moments.moments import GroupedMoments


@dataclass(frozen=True)
class Problem:
    """Moments of [X, y] for one model, in coordinates where all numbers are of order one.

    X holds the fixed-effect columns that are linearly independent, shifted and divided by
    their standard deviation, and y is treated likewise. Estimates return to the user's
    coordinates by ``beta = origin + backmap @ beta_scaled``.

    Attributes
    ----------
    T : ndarray of shape (p + 1, p + 1)
        [X, y]' W [X, y].
    C : ndarray of shape (q, p + 1, n_groups)
        Z_j' W [X_j, y_j].
    G : ndarray of shape (q, q, n_groups)
        Z_j' W Z_j.
    n : float
        Sum of the weights.
    mean : ndarray of shape (p,)
        Mean of each column of X.
    n_rows : ndarray of shape (n_groups,)
        Rows of positive weight in each group.
    coordinates : Coordinates
        How the columns were made.
    diagonal : bool
        Whether random effects are uncorrelated.
    y_scale : float
        Standard deviation of y.
    log_scale : float
        Twice the sum of the logarithms of the columns' scales: log|M_XX| in the user's
        coordinates less log|M_XX| here.
    origin : ndarray of shape (n_columns,)
        Coefficients of the user's columns, dropped ones included, where beta_scaled is 0.
    backmap : ndarray of shape (n_columns, p)
        How the user's coefficients change with the scaled ones; 0 for dropped columns.
    kept : ndarray of shape (n_columns,), dtype bool
        Which columns have a fixed effect that is estimated.
    dependent : ndarray of shape (n_columns,), dtype bool
        Which have none because they depend linearly on the fixed columns before them.
    random_backmap : ndarray of shape (n_random, q)
        The user's random effects, over y_scale, from those of the scaled random columns.
    random_kept : ndarray of shape (n_random,), dtype bool
        Which random columns can be told from those before them.
    columns : ndarray of shape (p + 1, len(shift))
        How [X, y] here is made of the moments' D: row i is ``columns @ D_i``.
    random_columns : ndarray of shape (q, len(shift))
        How Z here is made of it.
    """

    T: Array
    C: Array
    G: Array
    n: float
    mean: Array
    n_rows: NDArray[np.intp]
    coordinates: Coordinates
    diagonal: bool
    y_scale: float
    log_scale: float
    origin: Array
    backmap: Array
    kept: NDArray[np.bool_]
    dependent: NDArray[np.bool_]
    random_backmap: Array
    random_kept: NDArray[np.bool_]
    columns: Array
    random_columns: Array

    @property
    def p(self) -> int:
        """Number of fixed effects estimated."""
        return len(self.T) - 1

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.n_rows)

    def with_groups(self, moments: GroupedMoments) -> Problem:
        """Exchange the groups for those of other moments; all else stays as it is."""
        C, G = self.coordinates.of_groups(moments)
        return replace(self, C=C, G=G, n_rows=moments.n_rows)


def make_problem(
    moments: GroupedMoments,
    *,
    fit_intercept: bool = True,
    random_intercept: bool = True,
    diagonal: bool = False,
    fixed_slopes: bool = True,
) -> Problem:
    """Choose, scale and thin out the columns of a model.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of the rows; their random columns are those of the model.
    fit_intercept : bool, default=True
        Whether the column of ones is a fixed effect.
    random_intercept : bool, default=True
        Whether the column of ones is a random effect.
    diagonal : bool, default=False
        Whether random effects are uncorrelated.
    fixed_slopes : bool, default=True
        Whether the random columns are fixed effects, too.

    Returns
    -------
    Problem
    """
    if not fit_intercept:
        constant = _constant_column(moments, fixed_slopes=fixed_slopes)
        if constant is not None:
            problem = make_problem(
                moments,
                random_intercept=random_intercept,
                diagonal=diagonal,
                fixed_slopes=fixed_slopes,
            )
            return _with_constant_column(problem, constant, moments.shift[constant])
    given, moments = moments, relocate(moments, fit_intercept=fit_intercept)
    scale, varies = scales(moments)
    kept, dependent = _fixed_columns(
        moments, scale, varies, fit_intercept=fit_intercept, fixed_slopes=fixed_slopes
    )
    used = np.append(np.flatnonzero(kept), len(scale) - 1)
    Z, random_backmap, random_kept = _random_columns(
        moments, scale, random_intercept=random_intercept, diagonal=diagonal
    )
    coordinates = Coordinates(moments.shift, used, scale[used], Z)
    C, G = coordinates.of_groups(moments)
    first = 0 if fit_intercept else 1
    origin, backmap = way_back(moments.shift, scale, first)
    relocated = np.eye(len(scale))
    relocated[:, 0] += given.shift - moments.shift
    return Problem(
        T=moments.T[np.ix_(used, used)] / np.outer(scale[used], scale[used]),
        C=C,
        G=G,
        n=moments.n,
        mean=moments.T[0, used[:-1]] / scale[used[:-1]] / moments.n,
        n_rows=moments.n_rows,
        coordinates=coordinates,
        diagonal=diagonal,
        y_scale=float(scale[-1]),
        log_scale=float(2 * np.log(scale[used[:-1]]).sum()),
        origin=origin,
        backmap=backmap[:, kept[first:]],
        kept=kept[first:],
        dependent=dependent[first:],
        random_backmap=random_backmap,
        random_kept=random_kept,
        columns=relocated[used] / scale[used, None],
        random_columns=Z @ relocated[list(moments.random)],
    )


def _constant_column(moments: GroupedMoments, *, fixed_slopes: bool) -> int | None:
    """Position of a fixed effect that is a constant, not 0: an intercept given as data."""
    centred = relocate(moments, fit_intercept=True)
    _, varies = scales(centred)
    constant = ~varies & (centred.shift != 0)
    constant[-1] = False  # y
    if not fixed_slopes:
        constant[list(moments.random)] = False
    return int(np.flatnonzero(constant)[0]) if constant.any() else None


def _with_constant_column(problem: Problem, column: int, value: float) -> Problem:
    """Give the intercept of a problem to the constant column that stands for it.

    So y may be taken around its mean, as with an intercept, and keeps its digits.
    """
    place = column - 1
    origin, backmap = problem.origin[1:].copy(), problem.backmap[1:].copy()
    kept, dependent = problem.kept[1:].copy(), problem.dependent[1:].copy()
    origin[place], backmap[place] = problem.origin[0] / value, problem.backmap[0] / value
    kept[place], dependent[place] = True, False
    log_scale = problem.log_scale + 2 * float(np.log(abs(value)))
    return replace(
        problem,
        origin=origin,
        backmap=backmap,
        kept=kept,
        dependent=dependent,
        log_scale=log_scale,
    )


def _fixed_columns(
    moments: GroupedMoments,
    scale: Array,
    varies: NDArray[np.bool_],
    *,
    fit_intercept: bool,
    fixed_slopes: bool,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of [1, X] have a fixed effect, and which only depend on those before them."""
    chosen = np.ones(len(scale) - 1, dtype=np.bool_)
    chosen[0] = fit_intercept
    if not fixed_slopes:
        chosen[list(moments.random[1:])] = False
    kept = chosen & varies[:-1]
    used = np.flatnonzero(kept)
    R = moments.T[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    kept[used] = independent(R / moments.n)
    return kept, chosen & ~kept


def _random_columns(
    moments: GroupedMoments, scale: Array, *, random_intercept: bool, diagonal: bool
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """How to make scaled random columns from those of the moments, the way back, and which.

    Columns that cannot be told from those before them are left out.
    """
    Z, backmap = _all_random_columns(
        moments, scale, random_intercept=random_intercept, diagonal=diagonal
    )
    random = list(moments.random)
    R = Z @ moments.T[np.ix_(random, random)] @ Z.T
    kept = _distinct(R / moments.n, diagonal=diagonal)
    return Z[kept], backmap[:, kept], kept


def _all_random_columns(
    moments: GroupedMoments, scale: Array, *, random_intercept: bool, diagonal: bool
) -> tuple[Array, Array]:
    """How to make scaled random columns, the dependent ones included, and the way back.

    The moments hold (1, z - s). With a full covariance that includes the intercept any basis
    gives the same model, so these columns are divided by their scale and used as they are.
    Otherwise the model depends on where z is zero, and the shift has to be undone.
    """
    random = list(moments.random)
    unshift = np.eye(len(random))
    unshift[1:, 0] = moments.shift[random[1:]]  # (1, z) = unshift (1, z - s)
    if random_intercept and not diagonal:
        Z = np.diag(1 / scale[random])
        return Z, np.linalg.inv(unshift).T @ Z
    T = unshift @ moments.T[np.ix_(random, random)] @ unshift.T
    square = np.clip(np.diag(T) / moments.n, 0.0, None)
    rescale = np.diag(1 / np.sqrt(np.where(square > 0, square, 1.0)))
    use = slice(0 if random_intercept else 1, None)
    return (rescale @ unshift)[use], rescale[use, use]


def _distinct(R: Array, *, diagonal: bool) -> NDArray[np.bool_]:
    """Which random columns have effects that can be told from those of the columns before.

    With a full covariance they must be linearly independent; uncorrelated effects only must
    not be proportional to one another.
    """
    if not diagonal:
        return independent(R)
    size = np.diag(R)
    proportional = (1 - RANK_TOLERANCE) * np.outer(size, size) <= R**2
    before = np.tri(len(R), k=-1, dtype=np.bool_)
    distinct: NDArray[np.bool_] = (size > 0) & ~np.any(proportional & before, axis=1)
    return distinct
