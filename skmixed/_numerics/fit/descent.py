"""Newton's method in a factor of Psi: descents from several starts, step by step together."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.covariance import CovarianceCriterion
from skmixed._numerics.fit.criterion import Optimum
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import LARGEST_SD_RATIO_OF_SEVERAL
from skmixed._numerics.linalg.quadratic import QuadraticModel

MAX_HALVINGS = 40
# Relative distance in Psi at which a known minimum is recognised.
NEAR = 0.1
# A promise from which on Newton steps converge quadratically.
CLOSE = 0.01


@dataclass(frozen=True)
class Factor:
    """Psi = (V scale) (V scale)' with orthogonal V and scale >= 0."""

    V: Array
    scale: Array

    @property
    def Lambda(self) -> Array:
        return self.V * self.scale

    @property
    def Psi(self) -> Array:
        return self.Lambda @ self.Lambda.T

    @property
    def is_beyond(self) -> bool:
        return bool(self.scale.max() >= LARGEST_SD_RATIO_OF_SEVERAL)


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
    """A point on a path, with the criterion there and a model of it nearby."""

    factor: Factor
    value: float
    model: QuadraticModel


# A path yields each Psi where it needs to know the criterion, and is sent the point there.
End = TypeVar("End")
Path = Generator[Array, Point, End]


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
        Whether to go on until the last step promises tol^2. A promise is the square of a
        distance in standard errors, so the end is then the same wherever the search began.
    """

    diagonal: bool
    tol: float
    max_iter: int
    verify: bool = True
    polish: bool = True

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
        paths = [self.path(Psi, ends if merge else ()) for Psi in starts]
        waiting = {path: next(path) for path in paths}
        while waiting:
            served = dict(islice(waiting.items(), criterion.at_once))
            points = self.points(criterion, np.array(list(served.values())))
            for path, at in zip(served, points, strict=True):
                try:
                    waiting[path] = path.send(at)
                except StopIteration as stop:
                    ends.append(stop.value)
                    del waiting[path]
        return ends

    def path(self, Psi: Array, known: Sequence[State]) -> Path[State]:
        """Newton steps with backtracking from Psi to a local minimum, or near a known one."""
        at, before = (yield Psi), np.inf
        for n_iter in range(1, self.max_iter + 1):
            factor, value, model = at.factor, at.value, at.model
            if self.is_last(model, before):
                factor = self.factor(self.moved(at, model.newton))
                value -= model.promise
                return State(factor, value, n_iter, converged=True, flat=model.is_flat)
            for state in known:
                if state.is_near(factor) and not model.is_saddle:
                    return state
            further = yield from self.step(at)
            if further is None:  # rounding hides what is left to gain
                converged = model.promise <= np.sqrt(self.tol)
                return State(factor, value, n_iter, converged)
            at, before = further, model.promise
            if at.factor.is_beyond:
                break
        return State(at.factor, at.value, n_iter, converged=False)

    def is_last(self, model: QuadraticModel, before: float) -> bool:
        """Whether this step, or without `verify` that after it, promises next to nothing.

        Close to the minimum each promise is a constant times the square of that before.
        """
        promise, enough = model.promise, self.tol**2 if self.polish else self.tol
        if model.is_saddle:
            return False
        quadratic = promise < CLOSE and promise < before < np.inf
        if self.verify or not quadratic:
            rounding = before / 4 < promise <= self.tol
            return promise <= enough or rounding
        return promise**3 / before**2 <= enough

    def step(self, at: Point) -> Path[Point | None]:
        """Take the Newton step, shortened as long as the criterion can tell its gain."""
        if at.model.is_saddle or at.model.promise > self.tol:
            return (yield from self.shortened_step(at))
        return (yield self.moved(at, at.model.newton))

    def shortened_step(self, at: Point) -> Path[Point | None]:
        """Take the longest of step, step / 2, step / 4, ... that lowers the criterion."""
        model, step = at.model, at.model.newton
        if model.promise <= self.tol:  # at a saddle: leave along the negative curvature
            step = np.eye(len(step))[0]
        longest = max(1.0, float(np.linalg.norm(at.factor.scale)))
        step = step * min(1.0, longest / float(np.linalg.norm(step)))
        enough = 1e-4 * min(float(model.gradient @ step), 0.0)
        for halving in range(MAX_HALVINGS):
            share = 0.5**halving
            there = yield self.moved(at, share * step)
            if there.value < at.value + share * enough:
                return there
        return None

    def moved(self, at: Point, step: Array) -> Array:
        """Psi after a step in the free entries of Lambda, along the axes of the model."""
        L = np.diag(at.factor.scale)
        L[_free(len(L), diagonal=self.diagonal)] += at.model.basis @ step
        Lambda = at.factor.V @ L
        Psi: Array = Lambda @ Lambda.T
        return Psi

    def points(self, criterion: CovarianceCriterion, Psi: Array) -> list[Point]:
        """Model the criterion near several Psi, shape (s, q, q).

        The coordinates are the free entries of L, Lambda = V L, at L = diag(scale).
        """
        V, scale = self.factors(Psi)
        at = criterion(V * scale[:, None])
        directions, H = at.along_factor(V, scale, _free(len(V[0]), diagonal=self.diagonal))
        gradient = np.einsum("srab,sab->sr", directions, at.S)
        models = QuadraticModel.of_each(gradient, H)
        return [
            Point(Factor(*factor), float(value), model)
            for *factor, value, model in zip(V, scale, at.value, models, strict=True)
        ]

    def factor(self, Psi: Array) -> Factor:
        """Factor one Psi."""
        V, scale = self.factors(Psi[None])
        return Factor(V[0], scale[0])

    def factors(self, Psi: Array) -> tuple[Array, Array]:
        """Return V and scale of several Psi, the largest variance first."""
        if self.diagonal:
            variances = np.diagonal(Psi, axis1=1, axis2=2)
            return np.broadcast_to(np.eye(len(Psi[0])), Psi.shape), np.sqrt(variances)
        variances, V = np.linalg.eigh(Psi)
        return V[..., ::-1], np.sqrt(np.maximum(variances[:, ::-1], 0.0))


@cache
def _free(q: int, *, diagonal: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the free entries of Lambda."""
    return (np.arange(q), np.arange(q)) if diagonal else np.tril_indices(q)


def descend_close_by(
    criterion: CovarianceCriterion, start: Array, *, diagonal: bool, tol: float, max_iter: int
) -> Optimum:
    """Take Newton steps from a factor of Psi so close to the minimum that one might do.

    A step that promises tol is the last: the error that it leaves is a small constant times
    tol, in standard errors. Parameters are those of `minimize_covariance`.
    """
    search = Search(diagonal, tol, max_iter, polish=False)
    state = search.descend(criterion, start @ start.T)
    beyond = state.factor.is_beyond
    return Optimum(state.factor.Lambda, state.n_iter, state.converged and not beyond, beyond)


def first_steps(
    criterion: CovarianceCriterion, Lambda: Array, S: Array, *, diagonal: bool
) -> tuple[Array, Array]:
    """Take one Newton step from a minimum for each of several criteria close to this one.

    Parameters
    ----------
    criterion : CovarianceCriterion
        Whose curvature all share, nearly.
    Lambda : ndarray of shape (q, q)
        Where its minimum is.
    S : ndarray of shape (k, q, q)
        Their gradients there.
    diagonal : bool
        Whether Psi is restricted to diagonal matrices.

    Returns
    -------
    Lambda : ndarray of shape (k, q, q)
        Where the steps lead.
    promise : ndarray of shape (k,)
        By how much they should lower the criteria.
    """
    search = Search(diagonal, tol=0.0, max_iter=1)
    (at,) = search.points(criterion, (Lambda @ Lambda.T)[None])
    V, scale = at.factor.V, at.factor.scale
    rows, columns = _free(len(Lambda), diagonal=diagonal)
    gradient = (2 * V.T @ S @ V * scale)[:, rows, columns] @ at.model.basis
    step = -gradient / at.model.size
    ends = [search.factor(search.moved(at, one)).Lambda for one in step]
    return np.array(ends).reshape(S.shape), -np.sum(gradient * step, axis=1) / 2
