"""What rows do not determine of the effects of several factors, and how it is fixed.

Effects may change where no row sees it: by the means of what lies in the groups of a coarser
factor, by a shift between two factors within a connected part, by null vectors of the others.
Of all effects that fit alike one is chosen by a linear map; its transpose tells the intercept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.least_squares.level_equations import LevelEquations
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.cells import FactorMoments

Positions: TypeAlias = "NDArray[np.intp]"
# Null vectors are 0 at a row up to this error of their solution.
NULL_ERROR = 1e-6


@dataclass(frozen=True)
class Nested:
    """Each level of the factor `fine` lies in one level of the factor `coarse`."""

    coarse: int
    fine: int
    parent: Positions


@dataclass(frozen=True)
class Shift:
    """Means that pass from one factor to another, between parts of the levels of both.

    Attributes
    ----------
    source, target : int
        The factors: the source has mean 0 within each part afterwards.
    parts_of_source, parts_of_target : ndarray of shape (n_levels_f,)
        The part of each level, from 0 to n_parts - 1.
    """

    source: int
    target: int
    parts_of_source: Positions
    parts_of_target: Positions

    @property
    def counts(self) -> Array:
        """Levels of the source in each part; 1 where there are none."""
        n_parts = 1 + max(self.parts_of_source.max(), self.parts_of_target.max())
        return np.maximum(np.bincount(self.parts_of_source, minlength=n_parts), 1.0)

    def apply(self, x: list[Array]) -> None:
        """Move the means, in place."""
        mean = np.bincount(self.parts_of_source, x[self.source], len(self.counts)) / self.counts
        x[self.source] = x[self.source] - mean[self.parts_of_source]
        x[self.target] = x[self.target] + mean[self.parts_of_target]

    def transpose(self, weights: list[Array]) -> None:
        """Turn weights of the effects afterwards to those of the effects before, in place."""
        n = len(self.counts)
        change = np.bincount(self.parts_of_target, weights[self.target], n)
        change -= np.bincount(self.parts_of_source, weights[self.source], n)
        moved = (change / self.counts)[self.parts_of_source]
        weights[self.source] = weights[self.source] + moved


@dataclass(frozen=True)
class Redundancy:
    """How the effects of all factors are fixed, and which sums of effects are determined.

    Attributes
    ----------
    n_levels : tuple of int
        Of each factor.
    nested : tuple of Nested
        Factors that others contain: their effects are 0 at first, and then the means of the
        finer factor's, if that comes later.
    pair : tuple of int
        The two factors that are largest of those left, in the order of the user; one, if no
        more are left.
    parts : tuple of ndarray
        The connected part of each level of these.
    null : tuple of ndarray of shape (n_levels_f, k)
        Other null vectors, of all factors; 0 for those that others contain.
    small : tuple of int
        The factors among which they are orthonormal.
    """

    n_levels: tuple[int, ...]
    nested: tuple[Nested, ...]
    pair: tuple[int, ...]
    parts: tuple[Positions, ...]
    null: tuple[Array, ...]
    small: tuple[int, ...]

    @classmethod
    def of(
        cls, moments: FactorMoments, nested: Sequence[Nested], equations: LevelEquations
    ) -> Redundancy:
        """Read the connected parts and null vectors off the equations."""
        n_levels = tuple(len(factor.labels) for factor in moments.factors)
        parts = dict(zip(equations.factors[:2], _parts(equations), strict=True))
        pair = tuple(sorted(parts))
        null = {}
        if equations.rest is not None:
            null = dict(zip(equations.factors, equations.null_vectors(), strict=True))
        n_null = next(iter(null.values())).shape[1] if null else 0
        return cls(
            n_levels=n_levels,
            nested=tuple(nested),
            pair=pair,
            parts=tuple(parts[f] for f in pair),
            null=tuple(null.get(f, np.zeros((n, n_null))) for f, n in enumerate(n_levels)),
            small=equations.factors[2:],
        )

    @property
    def shifts(self) -> list[Shift]:
        """Means that pass between factors, in this order."""
        shifts = []
        if len(self.pair) == 2:
            shifts.append(Shift(*self.pair[::-1], *self.parts[::-1]))
        for lies_in in self.nested:
            if lies_in.coarse < lies_in.fine:
                levels = np.arange(self.n_levels[lies_in.coarse])
                shifts.append(Shift(lies_in.fine, lies_in.coarse, lies_in.parent, levels))
        return shifts

    def fix(self, effects: Sequence[Array]) -> tuple[list[Array], float]:
        """Return those effects that are chosen, with mean 0, and the intercept: their means.

        Parameters
        ----------
        effects : sequence of ndarray of shape (n_levels_f,)
            Any that fit, for each factor; 0 for those that others contain.
        """
        x = [np.asarray(effect) for effect in effects]
        along = np.sum([self.null[f].T @ x[f] for f in self.small], axis=0)
        if self.small:
            x = [effect - null @ along for effect, null in zip(x, self.null, strict=True)]
        for shift in self.shifts:
            shift.apply(x)
        means = [effect.mean() for effect in x]
        return [effect - mean for effect, mean in zip(x, means, strict=True)], sum(means)

    def weights_of_intercept(self) -> list[Array]:
        """Return l_f, with which the intercept is the sum of l_f'x_f over any effects."""
        weights = [np.full(n, 1 / n) for n in self.n_levels]
        for shift in reversed(self.shifts):
            shift.transpose(weights)
        if self.small:
            pairs = zip(self.null, weights, strict=True)
            along = np.sum([null.T @ weight for null, weight in pairs], axis=0)
            for f in self.small:
                weights[f] = weights[f] - self.null[f] @ along
        for lies_in in self.nested:
            weights[lies_in.coarse] = np.zeros(self.n_levels[lies_in.coarse])
        return weights

    def is_determined(self, codes: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether the rows of the fit determine the sum of the effects of other rows.

        Parameters
        ----------
        codes : ndarray of shape (n_factors, n_rows)
            Position of each row's level of each factor; -1 for a new one, of which the average
            is taken, so that it contradicts nothing.
        """
        determined = np.ones(codes.shape[1], dtype=np.bool_)
        for lies_in in self.nested:
            coarse, fine = codes[lies_in.coarse], codes[lies_in.fine]
            known = (coarse >= 0) & (fine >= 0)
            determined[known] &= lies_in.parent[fine[known]] == coarse[known]
        if len(self.pair) == 2:
            one, other = (codes[f] for f in self.pair)
            known = (one >= 0) & (other >= 0)
            same = self.parts[0][one[known]] == self.parts[1][other[known]]
            determined[known] &= same
        if self.small:
            core = [*self.pair, *self.small]
            known = np.all(codes[core] >= 0, axis=0)
            change = np.sum([self.null[f][codes[f, known]] for f in core], axis=0)
            determined[known] &= np.all(np.abs(change) <= NULL_ERROR, axis=1)
        return determined


def find_nested(moments: FactorMoments) -> list[Nested]:
    """Find the factors that lie in others; of equal ones the earlier counts as coarser.

    Those of the last factors come first, and each with the finest that contain it last.
    """
    n_factors, found = len(moments.factors), []
    n_levels = [len(factor.labels) for factor in moments.factors]
    for coarse in reversed(range(n_factors)):
        for fine in reversed(range(n_factors)):
            if coarse == fine or n_levels[coarse] > n_levels[fine]:
                continue
            if n_levels[coarse] == n_levels[fine] and coarse > fine:
                continue
            pair = (min(coarse, fine), max(coarse, fine))
            if len(moments.cells[pair].first) == n_levels[fine]:  # each level meets one
                parent = moments.between(fine, coarse).second
                found.append(Nested(coarse, fine, parent))
    return found


def _parts(equations: LevelEquations) -> list[Positions]:
    """Return the connected part of each level of e and g, or of e alone."""
    n_e, N = len(equations.sizes), equations.N
    if len(equations.factors) == 1:
        return [np.zeros(n_e, dtype=np.intp)]
    # g comes first in each row of N, and every level of e meets one of its levels
    return [equations.pair.parts[N.indices[N.indptr[:-1]]], equations.pair.parts]
