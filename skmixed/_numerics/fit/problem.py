"""The moments of one model: columns chosen, scaled and of full rank."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    FARTHEST_FROM_ZERO,
    GRAM_ERROR,
    MOST_BEYOND,
    RANK_TOLERANCE,
    ROUNDED,
    ROUNDING_UP_TO,
)
from skmixed._numerics.linalg.independent import independent
from skmixed._numerics.linalg.small_matrices import gram, gram_by_matrix
from skmixed._numerics.moments.coordinates import (
    Coordinates,
    near_means,
    scaled_random_columns,
    scales,
)
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines

# A column is near 0 if the square of its mean is no more than so many times its squares around
# the shift.
NEAR_ZERO = 10


@dataclass(frozen=True)
class Problem:
    """Moments of [X, y] for one model, in coordinates where all numbers are of order one.

    X holds the fixed-effect columns that are linearly independent, shifted and divided by
    their standard deviation, and y is treated likewise. `coordinates` know the way back.

    Attributes
    ----------
    within : ndarray of shape (p + 1, p + 1)
        What is left of [X, y]' W [X, y] when the groups' own lines are taken off.
    own : ndarray of shape (r, p + 1, n_groups)
        Q_j' W [X_j, y_j], with an orthonormal basis Q_j of the group's lines.
    root : ndarray of shape (q, r, n_groups)
        How Z_j is made of that basis, Z_j = Q_j root_j'.
    noise : ndarray of shape (p + 1,)
        Error of the diagonal of `within`.
    n : float
        Sum of the weights.
    mean : ndarray of shape (p,)
        Mean of each column of X.
    n_rows : ndarray of shape (n_groups,)
        Rows of positive weight in each group.
    diagonal : bool
        Whether random effects are uncorrelated.
    coordinates : Coordinates
        How the columns were made of the user's, and what estimates are in the user's units.
    """

    within: Array
    own: Array
    root: Array
    noise: Array
    n: float
    mean: Array
    n_rows: NDArray[np.intp]
    diagonal: bool
    coordinates: Coordinates

    @property
    def p(self) -> int:
        """Number of fixed effects estimated."""
        return len(self.within) - 1

    @property
    def q(self) -> int:
        """Number of random columns."""
        return len(self.root)

    @property
    def is_exact_within(self) -> bool:
        """Whether the groups' own lines leave nothing of y but rounding."""
        return bool(self.within[-1, -1] <= ROUNDING_UP_TO * self.noise[-1])

    @property
    def largest_ratio(self) -> float:
        """Ratio of variances that is beyond measure, in units of that of a first pass."""
        if self.is_exact_within:
            return 1.0
        # where a second pass has seen more, groups may lie further apart
        share = GRAM_ERROR * self.T[-1, -1] / self.noise[-1]
        return float(np.clip(share, 1.0, MOST_BEYOND))

    @cached_property
    def T(self) -> Array:
        """[X, y]' W [X, y], shape (p + 1, p + 1)."""
        return np.asarray(self.within + gram(self.own))

    @cached_property
    def C(self) -> Array:
        """Z_j' W [X_j, y_j], shape (q, p + 1, n_groups)."""
        return np.asarray(np.einsum("ark,rmk->amk", self.root, self.own))

    @cached_property
    def G(self) -> Array:
        """Z_j' W Z_j, shape (q, q, n_groups)."""
        return gram_by_matrix(self.root.swapaxes(0, 1))

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.n_rows)

    def with_groups(self, lines: OwnLines) -> Problem:
        """Exchange the groups for others; all else stays as it is."""
        own, root = self.coordinates.of_lines(lines)
        return replace(self, own=own, root=root, n_rows=lines.n_rows)


def make_problem(
    moments: GroupedMoments | OwnLines,
    *,
    fit_intercept: bool = True,
    random_intercept: bool = True,
    diagonal: bool = False,
    fixed_slopes: bool | tuple[bool, ...] = True,
) -> Problem:
    """Choose, scale and thin out the columns of a model.

    Parameters
    ----------
    moments : GroupedMoments or OwnLines
        Cross-products of the rows; their random columns are those of the model.
    fit_intercept : bool, default=True
        Whether the column of ones is a fixed effect.
    random_intercept : bool, default=True
        Whether the column of ones is a random effect.
    diagonal : bool, default=False
        Whether random effects are uncorrelated.
    fixed_slopes : bool or tuple of bool, default=True
        Whether the random columns are fixed effects, too; a tuple says it of each but the ones.

    Returns
    -------
    Problem
    """
    not_fixed = random_only(moments, fixed_slopes)
    constant = 0 if fit_intercept else constant_column(moments, not_fixed)
    coordinates, moments = _choose_columns(
        moments,
        constant=constant,
        random_intercept=random_intercept,
        diagonal=diagonal,
        random_only=not_fixed,
    )
    columns = coordinates.used[:-1]
    lines = moments if isinstance(moments, OwnLines) else OwnLines.of(moments)
    if random_intercept and diagonal:
        check_near_zero(lines)
    own, root = coordinates.of_lines(lines)
    return Problem(
        within=coordinates.cross_products(lines.within),
        own=own,
        root=root,
        noise=lines.noise[coordinates.used] / coordinates.scale**2,
        n=moments.n,
        mean=moments.T[0, columns] / coordinates.scale[:-1] / moments.n,
        n_rows=moments.n_rows,
        diagonal=diagonal,
        coordinates=coordinates,
    )


def check_near_zero(lines: OwnLines) -> None:
    """Refuse uncorrelated slopes of columns that lie so far from 0 that no level is seen there.

    Raises
    ------
    ValueError
        If the mean of a column is too many of its deviations within groups.
    """
    random = list(lines.random[1:])
    mean = lines.shift[random] + lines.T[0, random] / lines.n
    squares = np.sum(lines.B[1:, random] ** 2, axis=(0, 2))
    deviation = np.sqrt(squares / lines.n)
    varies = squares > ROUNDED * lines.squares[random]
    far = varies & (np.abs(mean) > FARTHEST_FROM_ZERO * deviation)
    if far.any():
        k = int(np.flatnonzero(far)[0])
        raise ValueError(
            "covariance='diag' takes a group's level to be its value where the slope columns "
            f"are 0, but slope column {k + 1} has the mean {mean[k]:.6g}, and deviates by only "
            f"{deviation[k]:.3g} within groups: more than {FARTHEST_FROM_ZERO:g} deviations "
            "are too far. Centre it (`X - X.mean()`), or use "
            "covariance='full', which does not depend on where a column is 0."
        )


def _choose_columns(
    moments: GroupedMoments | OwnLines,
    *,
    constant: int | None,
    random_intercept: bool,
    diagonal: bool,
    random_only: NDArray[np.intp],
) -> tuple[Coordinates, GroupedMoments | OwnLines]:
    """Choose coordinates, and return the moments around their shift, too.

    With a constant column, y and X may be taken around their means, and keep their digits. If
    that is a feature, the column of ones takes its place, and is the first of D as ever.
    """
    moments = well_shifted(moments, has_ones=constant is not None)
    if not random_intercept:
        moments = without_needless_shift(moments)
    coordinates = coordinates_at(
        moments,
        constant=constant,
        random_intercept=random_intercept,
        diagonal=diagonal,
        random_only=random_only,
    )
    return coordinates, moments


def well_shifted(
    moments: GroupedMoments | OwnLines, *, has_ones: bool
) -> GroupedMoments | OwnLines:
    """Take the columns around their means if a constant column is fixed, else around 0."""
    return near_means(moments) if has_ones else moments.around(np.zeros(len(moments.shift)))


def coordinates_at(
    moments: GroupedMoments | OwnLines,
    *,
    constant: int | None,
    random_intercept: bool,
    diagonal: bool,
    random_only: NDArray[np.intp],
) -> Coordinates:
    """Choose the columns of a model around the shift of the moments, and scale them."""
    scale, varies = scales(moments)
    kept, dependent = _fixed_columns(
        moments, scale, varies, has_ones=constant is not None, random_only=random_only
    )
    if constant:  # not the ones, which are at 0
        dependent[constant] = False
    used = np.append(np.flatnonzero(kept), len(scale) - 1)
    Z_map, random_backmap = _random_columns(
        moments, scale, random_intercept=random_intercept, diagonal=diagonal
    )
    return Coordinates(
        shift=moments.shift,
        used=used,
        scale=scale[used],
        constant=constant,
        # rows for [1, X] lose the ones, unless these are an intercept
        dependent=dependent[0 if constant == 0 else 1 :],
        random=moments.random,
        Z_map=Z_map,
        random_backmap=random_backmap,
        taken=moments.taken if isinstance(moments, OwnLines) else np.zeros(len(scale) - 2),
    )


def without_needless_shift(moments: GroupedMoments | OwnLines) -> GroupedMoments | OwnLines:
    """Undo the shift of slope columns and y where they are near 0.

    Slopes without levels are those of z itself. Where they vary much, so that little is known
    of its coefficient, a shifted z would share that with the ones, and a shifted y would be
    as large beside the ones as the slopes make it.
    """
    shift, columns = moments.shift.copy(), [*moments.random[1:], -1]
    mean = shift[columns] + moments.T[0, columns] / moments.n
    square = np.diag(moments.T)[columns] / moments.n
    shift[columns] = np.where(mean**2 <= NEAR_ZERO * square, 0.0, shift[columns])
    return moments.around(shift)


def random_only(
    moments: GroupedMoments | OwnLines, fixed_slopes: bool | tuple[bool, ...]
) -> NDArray[np.intp]:
    """Columns of D that have random effects and no fixed one; the ones do not count."""
    slopes = np.array(moments.random[1:], dtype=np.intp)
    is_fixed = np.broadcast_to(np.array(fixed_slopes, dtype=np.bool_), slopes.shape)
    return slopes[~is_fixed]


def constant_column(
    moments: GroupedMoments | OwnLines, random_only: NDArray[np.intp]
) -> int | None:
    """Position of a fixed effect that is a constant, not 0: an intercept given as data."""
    centred = near_means(moments)
    _, varies = scales(centred)
    constant = ~varies & (centred.shift != 0)
    constant[-1] = False  # y
    constant[random_only] = False
    return int(np.flatnonzero(constant)[0]) if constant.any() else None


def _fixed_columns(
    moments: GroupedMoments | OwnLines,
    scale: Array,
    varies: NDArray[np.bool_],
    *,
    has_ones: bool,
    random_only: NDArray[np.intp],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of [1, X] have a fixed effect, and which only depend on those before them."""
    chosen = np.ones(len(scale) - 1, dtype=np.bool_)
    chosen[0] = has_ones
    chosen[random_only] = False
    kept = chosen & varies[:-1]
    used = np.flatnonzero(kept)
    # the diagonal of R / n is 1, as `independent` expects it
    R = moments.T[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    kept[used] = independent(R / moments.n)
    return kept, chosen & ~kept


def _random_columns(
    moments: GroupedMoments | OwnLines, scale: Array, *, random_intercept: bool, diagonal: bool
) -> tuple[Array, Array]:
    """`Z_map` and `random_backmap` of `Coordinates`.

    Columns whose effects are not distinct from those of the columns before are left out.
    """
    random = list(moments.random)
    ZZ = moments.T[np.ix_(random, random)]
    if random_intercept and not diagonal:
        # any basis of (1, z) gives the same model, so the shift stays
        Z_map, backmap = scaled_random_columns(moments.shift[random], scale[random])
    else:
        first = 0 if random_intercept else 1
        Z_map, backmap = _unshifted_random_columns(ZZ / moments.n, moments.shift[random], first)
    # Gram matrix of Z, on the scale of one row
    kept = _distinct(Z_map @ ZZ @ Z_map.T / moments.n, diagonal=diagonal)
    return Z_map[kept], backmap[:, kept]


def _unshifted_random_columns(ZZ: Array, shift: Array, first: int) -> tuple[Array, Array]:
    """Divide the random columns by their root mean squares, the shift undone.

    Without an intercept, or correlations, the model depends on where z is 0. ZZ holds the mean
    products of (1, z - shift).
    """
    unshift = np.eye(len(shift))
    unshift[:, 0] += shift  # (1, z) = unshift (1, z - shift); the shift of the ones is 0
    square = np.clip(np.diag(unshift @ ZZ @ unshift.T), 0.0, None)
    rescale = np.diag(1 / np.sqrt(np.where(square > 0, square, 1.0)))
    return (rescale @ unshift)[first:], rescale[first:, first:]


def _distinct(R: Array, *, diagonal: bool) -> NDArray[np.bool_]:
    """Which random columns have effects distinct from those of the columns before.

    With a full covariance they must be linearly independent; uncorrelated effects only must
    not be proportional to one another.
    """
    if not diagonal:
        return independent(R)
    size = np.diag(R)
    # by Cauchy and Schwarz R_ab^2 <= R_aa R_bb, and is equal for a multiple of a column
    proportional = (1 - RANK_TOLERANCE) * np.outer(size, size) <= R**2
    before = np.tri(len(R), k=-1, dtype=np.bool_)
    distinct: NDArray[np.bool_] = (size > 0) & ~np.any(proportional & before, axis=1)
    return distinct
