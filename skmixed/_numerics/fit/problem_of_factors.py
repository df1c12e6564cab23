"""The moments of a model with several factors: columns chosen, scaled and of full rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem import (
    check_near_zero,
    constant_column,
    coordinates_at,
    random_only,
    without_needless_shift,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import multiply, multiply_transposed
from skmixed._numerics.moments.cells import Cells, FactorMoments
from skmixed._numerics.moments.coordinates import Coordinates, mean_of
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines, moments_error


class SameLevelsError(ValueError):
    """Two factors divide the rows alike, so that their variances cannot be told apart.

    Attributes
    ----------
    factors : tuple of int
        Their positions.
    """

    def __init__(self, f: int, g: int, n_levels: int) -> None:
        super().__init__(
            f"factors {f} and {g} divide the rows into the same {n_levels} groups, so that "
            "their effects cannot be told apart. Leave one of them out."
        )
        self.factors = (f, g)


class OneRowPerLevelError(ValueError):
    """Each level of a factor has a single row: its effects are what residuals are.

    Attributes
    ----------
    factor : int
        Its position.
    """

    def __init__(self, f: int, n_levels: int) -> None:
        super().__init__(
            f"each of the {n_levels} levels of factor {f} has one row, so that its effects "
            "cannot be told from residuals. Leave it out."
        )
        self.factor = f


@dataclass(frozen=True)
class FactorsProblem:
    """Moments of [X, y] for one model, in coordinates where all numbers are of order one.

    Attributes
    ----------
    T : ndarray of shape (p + 1, p + 1)
        [X, y]' W [X, y].
    C : tuple of ndarray of shape (q_f, p + 1, J_f)
        Z_f' W [X, y] by level, for each factor f.
    G : tuple of ndarray of shape (q_f, q_f, J_f)
        Z_f' W Z_f by level.
    cells : dict of tuple of int to Cells
        Z_f' W Z_g where levels meet, f < g.
    n : float
        Sum of the weights.
    noise : ndarray of shape (p + 1,)
        Error of the diagonal of T.
    diagonal : tuple of bool
        For each factor, whether its random effects are uncorrelated.
    by_factor : tuple of Coordinates
        How the columns were made of the user's: alike but for the random columns.
    """

    T: Array
    C: tuple[Array, ...]
    G: tuple[Array, ...]
    cells: dict[tuple[int, int], Cells]
    n: float
    noise: Array
    diagonal: tuple[bool, ...]
    by_factor: tuple[Coordinates, ...]

    @property
    def coordinates(self) -> Coordinates:
        """How the fixed columns were made of the user's."""
        return self.by_factor[0]

    @property
    def p(self) -> int:
        """Number of fixed effects estimated."""
        return len(self.T) - 1

    @property
    def q(self) -> tuple[int, ...]:
        """Number of random columns of each factor."""
        return tuple(len(G) for G in self.G)

    @property
    def n_levels(self) -> tuple[int, ...]:
        """Number of levels of each factor."""
        return tuple(G.shape[-1] for G in self.G)

    def between(self, f: int, g: int) -> Cells:
        """Return the cells of two factors in any order."""
        return self.cells[f, g] if f < g else self.cells[g, f].transposed

    def with_rows(self, moments: FactorMoments) -> FactorsProblem:
        """Take other rows, and their levels, in the coordinates of these."""
        moments = moments.around(self.coordinates.shift)
        return _in_coordinates(moments, self.by_factor, self.diagonal)

    def without(self, f: int) -> FactorsProblem:
        """Return the problem without a factor's random effects."""
        left = [g for g in range(len(self.G)) if g != f]
        cells = {
            (i, j): self.cells[left[i], left[j]] for i, j in combinations(range(len(left)), 2)
        }
        return replace(
            self,
            C=tuple(self.C[g] for g in left),
            G=tuple(self.G[g] for g in left),
            cells=cells,
            diagonal=tuple(self.diagonal[g] for g in left),
            by_factor=tuple(self.by_factor[g] for g in left),
        )

    def with_random(self, f: int, columns: Array) -> FactorsProblem:
        """Return the problem with columns Z_f A for the random ones of a factor.

        Its effects are in no units of the user: `by_factor` stays as it is.
        """
        C, G, cells = list(self.C), list(self.G), dict(self.cells)
        C[f] = multiply(columns.T, C[f])
        G[f] = multiply_transposed(multiply(columns.T, G[f]), columns.T)
        for pair, some in self.cells.items():
            if pair[0] == f:
                cells[pair] = replace(some, values=multiply(columns.T, some.values))
            elif pair[1] == f:
                cells[pair] = replace(some, values=multiply_transposed(some.values, columns.T))
        return replace(self, C=tuple(C), G=tuple(G), cells=cells)


def make_factors_problem(
    moments: FactorMoments, specifications: Sequence[Specification], *, search: bool = True
) -> FactorsProblem:
    """Choose, scale and thin out the columns of a model with several factors.

    A slope column is a fixed effect unless the specification of a factor says otherwise. Where
    variances are given, not searched for, factors need not be told apart.
    """
    if search:
        _check_identified(moments, specifications)
    first = moments.factors[0]
    not_fixed = np.unique(
        np.concatenate(
            [
                random_only(factor, of.fixed_slopes)
                for factor, of in zip(moments.factors, specifications, strict=True)
            ]
        )
    )
    constant = 0 if specifications[0].fit_intercept else constant_column(first, not_fixed)
    # the means themselves, so that the search does not depend on which rows came first
    shift = mean_of(first) if constant is not None else np.zeros(len(first.shift))
    for factor, of in zip(moments.factors, specifications, strict=True):
        if not of.random_intercept:
            shift = without_needless_shift(factor.around(shift)).shift
    moments = moments.around(shift)
    by_factor = tuple(
        _coordinates(factor, of, constant, not_fixed)
        for factor, of in zip(moments.factors, specifications, strict=True)
    )
    return _in_coordinates(moments, by_factor, tuple(of.diagonal for of in specifications))


def _in_coordinates(
    moments: FactorMoments, by_factor: tuple[Coordinates, ...], diagonal: tuple[bool, ...]
) -> FactorsProblem:
    """Scale moments around the shift of the coordinates."""
    fixed = by_factor[0]
    C, G = zip(*map(_by_level, moments.factors, by_factor), strict=True)
    cells = {
        (f, g): _scaled(some, by_factor[f], by_factor[g])
        for (f, g), some in moments.cells.items()
    }
    return FactorsProblem(
        T=fixed.cross_products(moments.T),
        C=C,
        G=G,
        cells=cells,
        n=moments.n,
        noise=(moments_error(moments.factors[0].n_rows) * np.diag(moments.T))[fixed.used]
        / fixed.scale**2,
        diagonal=diagonal,
        by_factor=by_factor,
    )


def _coordinates(
    factor: GroupedMoments,
    of: Specification,
    constant: int | None,
    not_fixed: np.ndarray[tuple[int], np.dtype[np.intp]],
) -> Coordinates:
    if of.random_intercept and of.diagonal and len(factor.random) > 1:
        check_near_zero(OwnLines.of(factor))
    return coordinates_at(
        factor,
        constant=constant,
        random_intercept=of.random_intercept,
        diagonal=of.diagonal,
        random_only=not_fixed,
    )


def _by_level(factor: GroupedMoments, coordinates: Coordinates) -> tuple[Array, Array]:
    """Return C and G of a factor, scaled."""
    Z_map = coordinates.Z_map
    C = factor.C[:, coordinates.used] / coordinates.scale[:, None]
    ZZ = np.ascontiguousarray(factor.C[:, list(factor.random)])
    return multiply(Z_map, C), multiply_transposed(multiply(Z_map, ZZ), Z_map)


def _scaled(cells: Cells, of_f: Coordinates, of_g: Coordinates) -> Cells:
    values = multiply_transposed(multiply(of_f.Z_map, cells.values), of_g.Z_map)
    return replace(cells, values=values)


def _check_identified(moments: FactorMoments, specifications: Sequence[Specification]) -> None:
    """Refuse factors that cannot be told from each other, or from residuals."""
    columns = [
        set(factor.random if of.random_intercept else factor.random[1:])
        for factor, of in zip(moments.factors, specifications, strict=True)
    ]
    for (f, g), cells in moments.cells.items():
        n_f, n_g = (len(moments.factors[i].labels) for i in (f, g))
        if n_f == n_g == len(cells.first) and columns[f] & columns[g]:
            raise SameLevelsError(f, g, n_f)
    for f, factor in enumerate(moments.factors):
        one_row = np.all(factor.n_rows == 1) and np.ptp(factor.sizes) == 0
        if one_row and 0 in columns[f]:
            raise OneRowPerLevelError(f, len(factor.labels))
