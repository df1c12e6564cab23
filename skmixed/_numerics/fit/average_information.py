"""Newton's method with the average information, for the covariances of several factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag

from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion, FactorsDerivatives
from skmixed._numerics.fit.factor import Factor, free_entries
from skmixed._numerics.fit.starts_of_factors import (
    anova_start,
    other_starts,
    starts_without_a_factor,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.quadratic import QuadraticModel

MAX_HALVINGS = 30
# By which share of the slope along a step the criterion must fall at least.
ENOUGH = 1e-4
# From where on steps are sure to shrink: a predicted decrease, the square of a distance in
# standard errors, and the share of it that the next step leaves.
NEAR = 2.0
SMALL_SHARE = 0.01
# With so many columns in dense blocks an evaluation takes long, and so many levels determine
# variances to a small share of them: a larger one may be left.
MANY_COLUMNS, LAXER = 1000, 10.0
# The share of the largest deviation that is one.
ROUNDED_DEVIATION = 1e-7
# Deviations end at 0 if a step leaves no more than this share of them.
TO_ZERO = 0.25
# A step that leaves more than this share of a decrease is a slow one.
SLOW = 0.05
# How often the growth of a variance that is 0 is quartered: on the way, and at the end.
FEW_QUARTERINGS, MANY_QUARTERINGS = 2, 12
# A promised decrease from which on twice as much is all that there may be.
HOPEFUL = 0.1
# How much higher than a known minimum another search may begin.
TOO_HIGH = 5.0


@dataclass(frozen=True)
class FactorsOptimum:
    """Where a search ended.

    Attributes
    ----------
    Lambdas : list of ndarray of shape (q_f, q_f)
        Any factor of each Psi_f, in the coordinates of the problem; a column is exactly 0
        for each direction in which the random effects do not vary.
    value : float
        The criterion there, as far as it was evaluated or promised.
    n_iter : int
        Steps taken.
    n_evaluations : int
        Evaluations of the criterion, most of them with the gradient.
    converged : bool
        Whether the last step was below the tolerance.
    diverged : bool
        Whether the search ran off: random effects explain y exactly.
    """

    Lambdas: list[Array]
    value: float
    n_iter: int
    n_evaluations: int
    converged: bool
    diverged: bool = False


@dataclass(frozen=True)
class Point:
    """The criterion near the Psi_f of all factors, in the entries of their factors."""

    factors: list[Factor]
    derivatives: FactorsDerivatives
    exact: bool = False

    @property
    def value(self) -> float:
        return self.derivatives.value

    @cached_property
    def diagonal(self) -> tuple[bool, ...]:
        return self.derivatives.at.criterion.problem.diagonal

    @cached_property
    def directions(self) -> list[Array]:
        """Changes of Psi_f with each entry."""
        return [
            factor.directions(free_entries(len(factor.scale), diagonal=diagonal))
            for factor, diagonal in zip(self.factors, self.diagonal, strict=True)
        ]

    @cached_property
    def gradient(self) -> Array:
        """First derivatives in the entries."""
        parts = [
            np.einsum("rab,ab->r", E, S)
            for E, S in zip(self.directions, self.derivatives.S, strict=True)
        ]
        return np.concatenate(parts)

    @cached_property
    def model(self) -> QuadraticModel:
        """The criterion near the point.

        Its Hessian if it is known; else the average information, and what the criterion curves
        with Psi itself, as far as that is upwards.
        """
        if self.exact:
            curvature = self.derivatives.hessian(self.directions)
        else:
            curvature, _ = self.derivatives.average_information(self.directions)
        bends = []
        for factor, S, diagonal in zip(
            self.factors, self.derivatives.S, self.diagonal, strict=True
        ):
            entries = free_entries(len(S), diagonal=diagonal)
            up = S if self.exact else _positive_part(S, diagonal)
            bends.append(factor.second_changes(up, entries))
        return QuadraticModel.of(self.gradient, curvature + block_diag(*bends))

    @property
    def decrease(self) -> float:
        """By how much the next step should lower the criterion."""
        return float(self.model.predicted_decrease)

    @cached_property
    def step(self) -> Array:
        """The next step, shortened where it would leave the range of the model."""
        step: Array = self.model.basis @ self.model.newton
        longest = max(
            1.0, *(4 * float(np.linalg.norm(factor.scale)) for factor in self.factors)
        )
        return step * min(1.0, longest / max(float(np.linalg.norm(step)), 1e-300))

    @property
    def relative_step(self) -> float:
        """The largest change of a factor, as a share of it."""
        first, largest = 0, 0.0
        for factor, E in zip(self.factors, self.directions, strict=True):
            change = float(np.linalg.norm(self.step[first : first + len(E)]))
            largest = max(largest, change / max(float(factor.scale.max()), 1e-300))
            first += len(E)
        return largest

    def moved(self, share: float, *, to_zero: bool) -> list[Factor]:
        """Return the factors after a share of the step.

        `to_zero` ends variances at 0 that the step makes small.
        """
        step, first, moved = share * self.step, 0, []
        for factor, S, diagonal in zip(
            self.factors, self.derivatives.S, self.diagonal, strict=True
        ):
            entries = free_entries(len(factor.scale), diagonal=diagonal)
            change = np.zeros((len(factor.scale),) * 2)
            change[entries] = step[first : first + len(entries[0])]
            first += len(entries[0])
            L = np.diag(factor.scale) + change
            if to_zero:
                upwards = np.diag(factor.V.T @ S @ factor.V) > 0
                L[:, upwards & (np.diag(L) <= TO_ZERO * factor.scale)] = 0.0
            moved.append(_without_rounding(Factor.of_lambda(factor.V @ L, diagonal=diagonal)))
        return moved

    @cached_property
    def growth(self) -> list[tuple[float, Array]]:
        """For each factor the best variance to add to one that is 0, and what it promises.

        Where the criterion falls with a variance, that is half the slope times the way.
        """
        growth = []
        for i, (factor, S, diagonal) in enumerate(
            zip(self.factors, self.derivatives.S, self.diagonal, strict=True)
        ):
            null = factor.scale == 0
            nothing = 0.0, np.zeros_like(S)
            if not null.any():
                growth.append(nothing)
                continue
            V = self.derivatives.at.criterion.seen[i] @ factor.V[:, null]
            S_null = V.T @ S @ V
            slopes, turn = np.linalg.eigh(np.diag(np.diag(S_null)) if diagonal else S_null)
            v = V @ turn[:, :1]  # 0 for effects that the criterion does not see
            E = [np.zeros((0, *part.shape)) for part in self.derivatives.S]
            E[i] = (v @ v.T)[None]
            curvature = float(self.derivatives.average_information(E)[0][0, 0])
            if slopes[0] >= 0 or curvature <= 0:
                growth.append(nothing)
            else:
                way = -slopes[0] / curvature
                growth.append((float(-slopes[0] * way / 2), way * v @ v.T))
        return growth

    @property
    def promise(self) -> float:
        """By how much the criterion should fall, by the step or by the best growth."""
        return max(self.decrease, *(promise for promise, _ in self.growth))

    def grown(self, share: float, beyond: float) -> list[Factor]:
        """Return the factors after the step, and a share of growth that promises more."""
        grown = []
        for factor, (promise, Psi), diagonal in zip(
            self.moved(1.0, to_zero=False), self.growth, self.diagonal, strict=True
        ):
            added = share * Psi if promise > beyond else 0.0
            grown.append(_factor(factor.Psi + added, diagonal))
        return grown


@dataclass
class Search:
    """Steps until the criterion falls no more.

    Attributes
    ----------
    criterion : FactorsCriterion
        What is minimised.
    tol : float
        What the last step may promise.
    max_iter : int
        Steps allowed.
    n_evaluations : int
        Counted.
    """

    criterion: FactorsCriterion
    tol: float
    max_iter: int
    n_evaluations: int = 0

    def point(self, factors: list[Factor], *, exact: bool) -> Point:
        self.n_evaluations += 1
        Lambdas = [factor.Lambda for factor in factors]
        return Point(factors, self.criterion(Lambdas, largest_first=exact), exact)

    def run(self, Psi: Sequence[Array], *, least: float = np.inf) -> FactorsOptimum:
        """Search from given Psi_f; give up where the end will not be below `least`."""
        diagonal = self.criterion.problem.diagonal
        factors = [
            _factor(seen @ P @ seen, d)
            for seen, P, d in zip(self.criterion.seen, Psi, diagonal, strict=True)
        ]
        here = self.point(factors, exact=False)
        before, n_iter, exact = np.inf, 0, False
        while n_iter < self.max_iter:
            n_iter += 1
            if any(bool(factor.diverged()) for factor in here.factors):
                return self._end(here, n_iter, converged=False, diverged=True)
            if here.decrease <= HOPEFUL and here.value - 2 * here.promise >= least - self.tol:
                return self._end(here, n_iter, converged=False)
            last = self._is_last(here, before)
            # a variance may be 0 where the criterion falls with it
            beyond = max(self.tol**1.5, ENOUGH * here.decrease)
            if any(promise > beyond for promise, _ in here.growth):
                tries = MANY_QUARTERINGS if last else FEW_QUARTERINGS
                there = self._leave(here, beyond, tries, exact=exact)
                if there is not None:
                    here, before = there, np.inf
                    continue
            if last:
                return self._end(here, n_iter, converged=True, step=True)
            exact = exact or self._is_slow(here, before)
            there = self._advance(here, exact=exact)
            if there is None:
                small = here.decrease <= np.sqrt(self.tol)
                return self._end(here, n_iter, converged=small)
            here, before = there, here.decrease
        return self._end(here, n_iter, converged=False)

    def better(self, best: FactorsOptimum, Psi: Sequence[Array]) -> FactorsOptimum:
        """Search from another start, too, if it is not far above; return the lower end."""
        self.n_evaluations += 1
        factors = [
            _factor(P, d) for P, d in zip(Psi, self.criterion.problem.diagonal, strict=True)
        ]
        value = self.criterion.value([factor.Lambda for factor in factors])
        if value > best.value + TOO_HIGH:
            return best
        return self.lower(best, self.run(Psi, least=best.value))

    def lower(self, best: FactorsOptimum, other: FactorsOptimum) -> FactorsOptimum:
        """Return the lower end of two searches."""
        lower = other.converged and other.value < best.value - self.tol
        return other if lower else best

    def _is_slow(self, here: Point, before: float) -> bool:
        """Whether the Hessian should take the place of the average information."""
        slow = before <= NEAR and here.decrease > SLOW * before
        return slow and self.criterion.is_small

    def _is_last(self, here: Point, before: float) -> bool:
        """Whether the step after the next one would promise, or change, next to nothing.

        A step of the average information leaves about the same share of each decrease.
        """
        share = min(1.0, here.decrease / before) if before < np.inf else 1.0
        if here.decrease * share <= self.tol**1.5:
            return True
        left = here.relative_step * np.sqrt(share)
        enough = self.tol**0.8 * (LAXER if self.criterion.n_dense > MANY_COLUMNS else 1.0)
        return before <= NEAR and share <= SMALL_SHARE and left <= enough

    def _advance(self, here: Point, *, exact: bool) -> Point | None:
        hidden = self.criterion.hides(here.value)
        slope = float(here.gradient @ here.step)
        to_zero = here.moved(1.0, to_zero=True)
        if not all(map(_is_same, to_zero, here.moved(1.0, to_zero=False))):
            there = self.point(to_zero, exact=exact)
            if there.value < here.value + ENOUGH * slope:
                return there
        for halvings in range(MAX_HALVINGS):
            share = 0.5**halvings
            there = self.point(here.moved(share, to_zero=False), exact=exact)
            if here.decrease <= hidden or there.value < here.value + share * ENOUGH * slope:
                return there
        return None

    def _leave(self, here: Point, beyond: float, tries: int, *, exact: bool) -> Point | None:
        for quarterings in range(tries):
            there = self.point(here.grown(0.25**quarterings, beyond), exact=exact)
            if there.value < here.value:
                return there
        return None

    def _end(
        self,
        here: Point,
        n_iter: int,
        *,
        converged: bool,
        step: bool = False,
        diverged: bool = False,
    ) -> FactorsOptimum:
        """End where the search is, or a step further, which the criterion is not asked for."""
        factors = here.moved(1.0, to_zero=True) if step else here.factors
        value = here.value - here.decrease if step else here.value
        Lambdas = [factor.Lambda for factor in factors]
        return FactorsOptimum(Lambdas, value, n_iter, self.n_evaluations, converged, diverged)


def _is_same(one: Factor, two: Factor) -> bool:
    return np.array_equal(one.scale, two.scale)


def _positive_part(S: Array, diagonal: bool) -> Array:
    if diagonal:
        return np.diag(np.maximum(np.diag(S), 0.0))
    slopes, V = np.linalg.eigh(S)
    return np.asarray((V * np.maximum(slopes, 0.0)) @ V.T)


def _factor(Psi: Array, diagonal: bool) -> Factor:
    return _without_rounding(Factor.of_psi(Psi, diagonal=diagonal))


def _without_rounding(factor: Factor) -> Factor:
    """Have deviations of exactly 0 where they are what rounding of Psi makes of it."""
    least = ROUNDED_DEVIATION * factor.scale.max(initial=0.0)
    return Factor(factor.V, np.where(factor.scale <= least, 0.0, factor.scale))


def minimize_factors(
    criterion: FactorsCriterion,
    *,
    tol: float,
    max_iter: int,
    start: Sequence[Array] | None = None,
) -> FactorsOptimum:
    """Find the relative covariance factors where the criterion is least.

    Parameters
    ----------
    criterion : FactorsCriterion
        The moments and the method.
    tol : float
        The search ends with a step that promises to lower the criterion by less.
    max_iter : int
        Steps allowed.
    start : sequence of ndarray of shape (q_f, q_f), optional
        Psi_f that are likely to be near, in the coordinates of the problem.

    Returns
    -------
    FactorsOptimum
    """
    if criterion.is_perfect:
        zeros = [np.zeros((q, q)) for q in criterion.problem.q]
        return FactorsOptimum(zeros, -np.inf, 1, 0, converged=True)
    search = Search(criterion, tol, max_iter)
    first = anova_start(criterion.problem) if start is None else start
    best = search.run(first)
    if start is None and criterion.is_small and not best.diverged:
        for Psi in other_starts(criterion.problem, first, best.Lambdas):
            best = search.better(best, Psi)
        for Psi in starts_without_a_factor(criterion.problem, first):
            best = search.lower(best, search.run(Psi, least=best.value))
    return replace(best, n_evaluations=search.n_evaluations)
