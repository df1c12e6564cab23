"""Newton's method in a factor of Psi: descents from several starts, step by step together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.factor import Factor, free_entries
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.quadratic import QuadraticModel

MAX_HALVINGS = 40
# Deviations from which on entries of a factor are measured in units of their own.
LARGE_UNIT = 1e3
# Relative distance in Psi at which a known minimum is recognised.
NEAR = 0.1
# A predicted decrease from which on Newton steps converge quadratically.
CLOSE = 0.01
# By which share of the slope along a step the criterion must fall at least.
ENOUGH = 1e-4

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class State:
    """Where a descent ended, and the criterion there."""

    factor: Factor
    value: float
    n_iter: int
    converged: bool
    flat: bool = False

    def is_near(self, factor: Factor) -> bool:
        """Whether another Psi differs from this one by a small share of it."""
        distance = float(np.linalg.norm(factor.Psi - self.factor.Psi))
        return distance <= NEAR * float(np.linalg.norm(self.factor.Psi))

    def after(self, earlier: State) -> State:
        """Count the steps of an earlier descent that led here."""
        return replace(self, n_iter=self.n_iter + earlier.n_iter)


def distinct(ends: Sequence[State]) -> list[State]:
    """Drop ends that are near a lower one, and sort the others, the lowest first."""
    found: list[State] = []
    for end in sorted(ends, key=lambda end: end.value):
        if not any(other.is_near(end.factor) for other in found):
            found.append(end)
    return found


@dataclass(frozen=True)
class Points:
    """A point for each of several descents, and a quadratic model of the criterion there.

    Attributes
    ----------
    V, scale : ndarrays of shape (s, q, q) and (s, q)
        Psi as a `Factor`.
    value : ndarray of shape (s,)
        The criterion.
    gradient, curvature, basis : ndarrays of shape (s, e), (s, e) and (s, e, e)
        The `QuadraticModel`, in the free entries of the factor.
    """

    V: Array
    scale: Array
    value: Array
    gradient: Array
    curvature: Array
    basis: Array

    @cached_property
    def factor(self) -> Factor:
        return Factor(self.V, self.scale)

    @cached_property
    def model(self) -> QuadraticModel:
        return QuadraticModel(self.gradient, self.curvature, self.basis)

    def only(self, some: Bools) -> Points:
        """Those of some of the descents."""
        return Points(*(mine[some] for mine in self._arrays))

    def moved(self, others: Points, where: Bools) -> Points:
        """Exchange some for others."""
        arrays = [mine.copy() for mine in self._arrays]
        for mine, other in zip(arrays, others._arrays, strict=True):
            mine[where] = other[where]
        return Points(*arrays)

    @property
    def _arrays(self) -> tuple[Array, ...]:
        return self.V, self.scale, self.value, self.gradient, self.curvature, self.basis


@dataclass(frozen=True)
class Search:
    """Newton's method.

    Attributes
    ----------
    diagonal : bool
        Whether Psi is restricted to diagonal matrices.
    tol : float
        What the last step may promise. Steps that promise less are taken without a look at
        the criterion, whose rounding hides the gain.
    max_iter : int
        Steps allowed.
    verify : bool
        If false, it is the step after the last that may promise no more, and it is not taken.
    polish : bool
        Whether to go on until the last step promises tol^2. A predicted decrease is the square
        of a distance in standard errors, so the end is then the same wherever the search
        began.
    largest_ratio : float
        Of the problem: from where on a ratio of variances is beyond measure.
    """

    diagonal: bool
    tol: float
    max_iter: int
    verify: bool = True
    polish: bool = True
    largest_ratio: float = 1.0

    def descend(self, criterion: CovarianceCriterion, Psi: Array) -> State:
        """Newton steps with backtracking from Psi to a local minimum."""
        (end,) = self.descend_side_by_side(criterion, [Psi])
        return end

    def descend_side_by_side(
        self, criterion: CovarianceCriterion, starts: Sequence[Array] | Array
    ) -> list[State]:
        """Descend from several Psi step by step together, and return the ends.

        On small data it is the calls that take time: each serves all descents.
        """
        ends: list[State] = []
        for first in range(0, len(starts), criterion.at_once):
            some = np.array(starts[first : first + criterion.at_once])
            ends += Descents(self, criterion, some).run()
        return ends

    def points(self, criterion: CovarianceCriterion, Psi: Array) -> Points:
        """Model the criterion near several Psi, shape (s, q, q)."""
        factor = Factor.of_psi(Psi, diagonal=self.diagonal)
        derivatives = criterion(factor.Lambda)
        entries = free_entries(Psi.shape[-1], diagonal=self.diagonal)
        directions, H = factor.carry_over(derivatives, entries)
        # <E, S> for the direction E of each entry
        gradient = np.einsum("srab,sab->sr", directions, derivatives.S)
        # entries in rows of very large deviations are measured in units of these
        units = np.maximum(1.0, factor.scale / LARGE_UNIT)[:, entries[0]]
        model = QuadraticModel.of(gradient, H, units)
        return Points(
            factor.V,
            factor.scale,
            derivatives.value,
            model.gradient,
            model.curvature,
            model.basis,
        )

    def moved(self, points: Points, step: Array) -> Array:
        """Psi after a step from each point, along the axes of its model."""
        entries = free_entries(points.scale.shape[-1], diagonal=self.diagonal)
        along = np.matmul(points.basis, step[..., None])[..., 0]
        return points.factor.moved(entries, along)

    def is_last(self, model: QuadraticModel, before: Array) -> Bools:
        """Whether these steps, or without `verify` those after them, promise next to nothing.

        Close to the minimum each predicted decrease is a constant times the square of that
        before.
        """
        decrease, enough = model.predicted_decrease, self.tol**2 if self.polish else self.tol
        # a decrease that no longer falls as it should is what rounding makes of 0
        rounding = (before / 4 < decrease) & (decrease <= self.tol)
        last = (decrease <= enough) | rounding
        if not self.verify:
            quadratic = (decrease < CLOSE) & (decrease < before) & (before < np.inf)
            # the next one: decrease * (decrease / before)^2
            last = np.where(quadratic, decrease**3 <= enough * before**2, last)
        return last & ~model.is_saddle


class Descents:
    """Newton steps with backtracking from several Psi, each to a local minimum.

    Attributes
    ----------
    ends : list of State or None
        Where the descents ended, as far as they have.
    running : ndarray of shape (s,)
        The numbers of those that have not. The arrays below have an entry for each of them.
    here : Points
        Where they have come.
    before : ndarray of shape (s,)
        What the steps that led here had promised.
    n_iter, halvings : ndarrays of shape (s,)
        How many steps have been begun, and how often the last one has been halved.
    """

    def __init__(self, search: Search, criterion: CovarianceCriterion, starts: Array) -> None:
        self.search, self.criterion = search, criterion
        self.here = search.points(criterion, starts)
        self.ends: list[State | None] = [None] * len(starts)
        self.running = np.arange(len(starts))
        self.before = np.full(len(starts), np.inf)
        self.n_iter = np.ones(len(starts), dtype=np.intp)
        self.halvings = np.zeros(len(starts), dtype=np.intp)

    def run(self) -> list[State]:
        """Take steps until all have ended."""
        self.end_with_last_step(last := self.search.is_last(self.here.model, self.before))
        self.go_on_with(~last)
        while len(self.running):
            self.advance()
        return [end for end in self.ends if end is not None]

    def advance(self) -> None:
        """Try a step of each, or half of the step that was tried before."""
        search, here = self.search, self.here
        step, enough = self.steps()
        share = 0.5**self.halvings
        there = search.points(self.criterion, search.moved(here, share[:, None] * step))
        good = there.value < here.value + share * enough
        self.before = np.where(good, here.model.predicted_decrease, self.before)
        self.here = here.moved(there, good)
        self.halvings = np.where(good, 0, self.halvings + 1)
        beyond = self.here.factor.diverged(search.largest_ratio)
        over = good & (beyond | (self.n_iter == search.max_iter))
        # rounding hides what is left to gain
        stuck = self.halvings == MAX_HALVINGS
        converged = stuck & (self.here.model.predicted_decrease <= np.sqrt(search.tol))
        self.n_iter += good & ~over
        last = good & ~over & search.is_last(self.here.model, self.before)
        self.end(over | stuck, self.here.factor, self.here.value, converged)
        self.end_with_last_step(last)
        self.go_on_with(~(over | stuck | last))

    def steps(self) -> tuple[Array, Array]:
        """Newton steps along the axes of the models, and by how much they must change it.

        Those that promise less than the criterion can tell are sure to be taken.
        """
        model, scale = self.here.model, self.here.scale
        close = model.predicted_decrease <= self.search.tol
        sure, leave = close & ~model.is_saddle, close & model.is_saddle
        # at a saddle: along the direction of the most negative curvature, the first
        first = np.eye(1, model.gradient.shape[-1])
        step = np.where(leave[:, None], first, model.newton)
        longest = np.maximum(1.0, np.linalg.norm(scale, axis=-1))
        size = np.linalg.norm(step, axis=-1)
        shorten = np.divide(longest, size, out=np.ones_like(size), where=size > longest)
        step = np.where(sure, 1.0, shorten)[:, None] * step
        # the slope along the step is negative, unless it leaves a saddle
        slope = np.minimum(np.sum(model.gradient * step, axis=-1), 0.0)
        return step, np.where(sure, np.inf, ENOUGH * slope)

    def end_with_last_step(self, which: Bools) -> None:
        """Take Newton steps without a look at the criterion, and end there."""
        if which.any():
            model = self.here.model
            Psi = self.search.moved(self.here, model.newton)
            factor = Factor.of_psi(Psi, diagonal=self.search.diagonal)
            value = self.here.value - model.predicted_decrease
            self.end(which, factor, value, converged=np.ones_like(which))

    def end(self, which: Bools, factor: Factor, value: Array, converged: Bools) -> None:
        """Note the ends of some of the descents."""
        for i in np.flatnonzero(which).tolist():
            self.ends[self.running[i]] = State(
                factor[i],
                float(value[i]),
                int(self.n_iter[i]),
                bool(converged[i]),
                flat=bool(converged[i] and self.here.model.is_flat[i]),
            )

    def go_on_with(self, some: Bools) -> None:
        """Leave out descents that have ended."""
        if not some.all():
            self.here, self.running = self.here.only(some), self.running[some]
            self.before, self.n_iter = self.before[some], self.n_iter[some]
            self.halvings = self.halvings[some]
