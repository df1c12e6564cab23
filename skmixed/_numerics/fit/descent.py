"""Newton's method in a factor of Psi: descents from several starts, step by step together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

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


@dataclass(frozen=True)
class Point:
    """A point of a descent, with the criterion there and a model of it nearby.

    The coordinates of the model are the free entries of the factor.
    """

    factor: Factor
    value: float
    model: QuadraticModel


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
        self, criterion: CovarianceCriterion, starts: Sequence[Array], *, merge: bool = False
    ) -> list[State]:
        """Descend from several Psi step by step together.

        What takes most of a step is done for all in the same calls; on small data it is the
        calls that take time.

        With `merge` a descent that has come near the end of another is taken to end there.

        Returns
        -------
        list of State
            The ends, in the order in which they were reached.
        """
        ends: list[State] = []
        running = [Descent(self, Psi, ends if merge else ()) for Psi in starts]
        while running:
            served = running[: criterion.at_once]
            points = self.points(criterion, np.array([descent.wanted for descent in served]))
            for descent, point in zip(served, points, strict=True):
                descent.advance(point)
                if descent.end is not None:
                    ends.append(descent.end)  # the others see it at once, with `merge`
            running = [descent for descent in running if descent.end is None]
        return ends

    def points(self, criterion: CovarianceCriterion, Psi: Array) -> list[Point]:
        """Model the criterion near several Psi, shape (s, q, q)."""
        factors = Factor.of_psi(Psi, diagonal=self.diagonal)
        derivatives = criterion(factors.Lambda)
        entries = free_entries(Psi.shape[-1], diagonal=self.diagonal)
        directions, H = factors.carry_over(derivatives, entries)
        # <E, S> for the direction E of each entry
        gradient = np.einsum("srab,sab->sr", directions, derivatives.S)
        # entries in rows of very large deviations are measured in units of these
        units = np.maximum(1.0, factors.scale / LARGE_UNIT)[:, entries[0]]
        models = QuadraticModel.of_each(gradient, H, units)
        return [
            Point(factors[i], float(value), model)
            for i, (value, model) in enumerate(zip(derivatives.value, models, strict=True))
        ]

    def moved(self, point: Point, step: Array) -> Array:
        """Psi after a step along the axes of the model."""
        entries = free_entries(len(point.factor.V), diagonal=self.diagonal)
        return point.factor.moved(entries, point.model.basis @ step)

    def is_last(self, model: QuadraticModel, before: float) -> bool:
        """Whether this step, or without `verify` that after it, promises next to nothing.

        Close to the minimum each predicted decrease is a constant times the square of that
        before.
        """
        if model.is_saddle:
            return False
        decrease, enough = model.predicted_decrease, self.tol**2 if self.polish else self.tol
        quadratic = decrease < CLOSE and decrease < before < np.inf
        if self.verify or not quadratic:
            # a decrease that no longer falls as it should is what rounding makes of 0
            rounding = before / 4 < decrease <= self.tol
            return decrease <= enough or rounding
        # the next one: decrease * (decrease / before)^2
        return decrease**3 / before**2 <= enough


@dataclass(frozen=True)
class Step:
    """A step from a point, or what is left of it after some halvings.

    Attributes
    ----------
    start : Point
        Where it begins.
    whole : ndarray of shape (n_entries,)
        The whole step, along the axes of the model.
    enough : float
        A share of the slope along it, at most 0: by how much the criterion must change.
    is_sure : bool
        Whether it is taken without a look at the criterion.
    halvings : int
        How often it has been halved.
    """

    start: Point
    whole: Array
    enough: float
    is_sure: bool
    halvings: int = 0

    @classmethod
    def from_point(cls, start: Point, tol: float) -> Step:
        """Take the Newton step, and look at the criterion as long as it can tell the gain."""
        model, step = start.model, start.model.newton
        if not model.is_saddle and model.predicted_decrease <= tol:
            return cls(start, step, enough=0.0, is_sure=True)
        if model.predicted_decrease <= tol:  # at a saddle: leave along the negative curvature
            step = np.eye(len(step))[0]
        longest = max(1.0, float(np.linalg.norm(start.factor.scale)))
        step = step * min(1.0, longest / float(np.linalg.norm(step)))
        # the slope along the step is negative, unless it leaves a saddle
        enough = 1e-4 * min(float(model.gradient @ step), 0.0)
        return cls(start, step, enough, is_sure=False)

    @property
    def share(self) -> float:
        return 0.5**self.halvings

    def halved(self) -> Step:
        return replace(self, halvings=self.halvings + 1)

    def is_good(self, there: Point) -> bool:
        """Whether to take it, knowing the point to which it leads."""
        return self.is_sure or there.value < self.start.value + self.share * self.enough


class Descent:
    """Newton steps with backtracking from one Psi to a local minimum, or near a known one.

    A descent does not evaluate the criterion itself, so that several can share the calls: it
    says at which Psi it wants to know it, and goes on when `advance` brings the answer.

    Attributes
    ----------
    wanted : ndarray of shape (q, q)
        Psi where the criterion is to be evaluated next.
    end : State or None
        Where the descent ended, if it has.
    step : Step or None
        The step that leads to `wanted`; None at the start.
    n_iter : int
        How many steps have been begun.
    """

    def __init__(self, search: Search, start: Array, known: Sequence[State] = ()) -> None:
        self.search, self.known = search, known
        self.wanted = start
        self.end: State | None = None
        self.step: Step | None = None
        self.n_iter = 0

    def has_diverged(self, point: Point) -> bool:
        """Whether a standard deviation is beyond measure."""
        return point.factor.diverged(self.search.largest_ratio)

    def advance(self, point: Point) -> None:
        """Go on, given the point at `wanted`."""
        if self.step is None:
            self.begin_step(point, before=np.inf)
        elif not self.step.is_good(point):
            self.try_out(self.step.halved())
        elif (
            point.factor.diverged(self.search.largest_ratio)
            or self.n_iter == self.search.max_iter
        ):
            self.end = State(point.factor, point.value, self.n_iter, converged=False)
        else:
            self.begin_step(point, before=self.step.start.model.predicted_decrease)

    def begin_step(self, point: Point, *, before: float) -> None:
        """Step on from a point, unless the descent ends there."""
        self.n_iter += 1
        if self.search.is_last(point.model, before):
            self.end = self.last_step(point)
            return
        if not point.model.is_saddle:
            self.end = next((end for end in self.known if end.is_near(point.factor)), None)
        if self.end is None:
            self.try_out(Step.from_point(point, self.search.tol))

    def last_step(self, point: Point) -> State:
        """Take a Newton step without a look at the criterion, and end."""
        Psi, model = self.search.moved(point, point.model.newton), point.model
        factor = Factor.of_psi(Psi, diagonal=self.search.diagonal)
        value = point.value - model.predicted_decrease
        return State(factor, value, self.n_iter, converged=True, flat=model.is_flat)

    def try_out(self, step: Step) -> None:
        """Ask for the criterion where a step leads, unless it has become too short."""
        start = step.start
        if step.halvings < MAX_HALVINGS:
            self.step, self.wanted = step, self.search.moved(start, step.share * step.whole)
        else:  # rounding hides what is left to gain
            converged = start.model.predicted_decrease <= np.sqrt(self.search.tol)
            self.end = State(start.factor, start.value, self.n_iter, bool(converged))
