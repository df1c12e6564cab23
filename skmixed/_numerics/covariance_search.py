"""The relative covariance matrix that minimises the criterion, singular ones included."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.covariance import CovarianceCriterion
from skmixed._numerics.criterion import PERFECT_FIT, Optimum, residual_square
from skmixed._numerics.moments import Array
from skmixed._numerics.quadratic import QuadraticModel

# Variance ratios to start from, since the criterion may have several minima; and those to
# start from in samples, which do not show the minima that a few extreme rows make.
STARTS = (1.0, 0.05, 30.0, 0.003, 1000.0)
STARTS_IN_SAMPLES = STARTS[:3]
# What a search among samples of groups may leave.
ROUGH = 1e-3
# With many groups the search begins with about 250 of them, and goes on with about 5,000.
MANY_GROUPS = 1000
SAMPLE_GROUPS = (5000, 250)
MAX_HALVINGS = 40
# Relative distance in Psi at which a search among samples of groups knows a minimum again.
NEAR = 0.1
# A promise from which on Newton steps converge quadratically.
CLOSE = 0.01
# Ratio of standard deviations, random effect over residual, that is beyond measure; the sums
# over groups keep fewer digits than those for a single ratio.
LARGEST_SD_RATIO = 1e5
# One from which on it is worth a look whether any residual is left.
LARGE_SD_RATIO = 1e3
# A variance ratio this small is set to zero if the criterion does not feel it.
NEGLIGIBLE = 1e-6
NOT_FELT = 1e-9


def minimize_covariance(
    criterion: CovarianceCriterion,
    *,
    diagonal: bool,
    tol: float,
    max_iter: int,
    start: Array | None = None,
) -> Optimum:
    """Minimise the criterion over positive semidefinite Psi.

    Newton steps in a factor of Psi: at each step the coordinates are turned to the
    eigenvectors of Psi, where Lambda is diagonal, and the lower triangle of Lambda is free to
    move. In these coordinates a singular optimum is an ordinary one, with a zero on the
    diagonal and a positive curvature there, and a point where Psi is singular but should not
    be is a saddle, left along its negative curvature.

    Parameters
    ----------
    criterion : CovarianceCriterion
        The function to minimise.
    diagonal : bool
        Whether Psi is restricted to diagonal matrices.
    tol : float
        The search ends with a step after which none would lower the criterion by more.
    max_iter : int
        Newton steps allowed for each start.
    start : ndarray of shape (q, q), optional
        A factor of the only Psi to start from, in place of several.

    Returns
    -------
    Optimum
    """
    if not criterion.is_identified:
        return Optimum(np.zeros((len(criterion.problem.G),) * 2), 1, converged=True)
    search = _Search(diagonal, tol, max_iter, criterion.problem.n_groups < MANY_GROUPS)
    if start is None:
        best, alone = _descend_from_several(criterion, search)
    else:
        best, alone = search.descend(criterion, start @ start.T), False
    beyond = best.factor.is_beyond or _explains_all(criterion, best.factor)
    Lambda = _without_negligible(criterion, best)
    converged = best.converged and not beyond
    return Optimum(Lambda, best.n_iter, converged, beyond, alone, best.flat)


def _descend_from_several(
    criterion: CovarianceCriterion, search: _Search
) -> tuple[_State, bool]:
    """Take the lowest end of several descents, among samples of groups if there are many.

    Returns it, and whether all others ended there, too.
    """
    chain = _ever_smaller_samples(criterion)
    few, q = len(chain) == 1, len(criterion.problem.G)
    rough = replace(search, tol=search.tol if few else max(search.tol, ROUGH), polish=False)
    starts = [ratio * np.eye(q) for ratio in (STARTS if few else STARTS_IN_SAMPLES)]
    found = rough.descend_side_by_side(chain[-1], starts, merge=not few)
    best = min(found, key=lambda state: state.value)
    alone = all(best.is_near(state.factor) for state in found)
    for sample in reversed(chain[1:-1]):
        best = rough.descend(sample, best.factor.Psi)
    if best.converged or not few:
        # for few groups, too: which of equal minima was the lowest must not show
        best = search.descend(criterion, best.factor.Psi).after(best)
    return best, alone


def descend_close_by(
    criterion: CovarianceCriterion, start: Array, *, diagonal: bool, tol: float, max_iter: int
) -> Optimum:
    """Take Newton steps from a factor of Psi so close to the minimum that one might do.

    A step that promises tol is the last: the error that it leaves is a small constant times
    tol, in standard errors. Parameters are those of `minimize_covariance`.
    """
    search = _Search(diagonal, tol, max_iter, polish=False)
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
    search = _Search(diagonal, tol=0.0, max_iter=1)
    (at,) = search.points(criterion, (Lambda @ Lambda.T)[None])
    V, scale = at.factor.V, at.factor.scale
    rows, columns = _free(len(Lambda), diagonal=diagonal)
    gradient = (2 * V.T @ S @ V * scale)[:, rows, columns] @ at.model.basis
    step = -gradient / at.model.size
    ends = [search.factor(search.moved(at, one)).Lambda for one in step]
    return np.array(ends).reshape(S.shape), -np.sum(gradient * step, axis=1) / 2


@dataclass(frozen=True)
class _Factor:
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
        return bool(self.scale.max() >= LARGEST_SD_RATIO)


@dataclass(frozen=True)
class _State:
    """Where a descent ended, and the criterion there."""

    factor: _Factor
    value: float
    n_iter: int
    converged: bool
    flat: bool = False

    def is_near(self, factor: _Factor) -> bool:
        """Whether another Psi differs from this one by a small share of it."""
        distance = float(np.linalg.norm(factor.Psi - self.factor.Psi))
        return distance <= NEAR * float(np.linalg.norm(self.factor.Psi))

    def after(self, earlier: _State) -> _State:
        """Count the steps of an earlier descent that led here."""
        return replace(self, n_iter=self.n_iter + earlier.n_iter)


@dataclass(frozen=True)
class _Point:
    """A point on a path, with the criterion there and a model of it nearby."""

    factor: _Factor
    value: float
    model: QuadraticModel


# A path yields each Psi where it needs to know the criterion, and is sent the point there.
_End = TypeVar("_End")
_Path = Generator[Array, _Point, _End]


@dataclass(frozen=True)
class _Search:
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

    def descend(self, criterion: CovarianceCriterion, Psi: Array) -> _State:
        """Newton steps with backtracking from Psi to a local minimum."""
        (end,) = self.descend_side_by_side(criterion, [Psi])
        return end

    def descend_side_by_side(
        self, criterion: CovarianceCriterion, starts: Sequence[Array], *, merge: bool = False
    ) -> list[_State]:
        """Descend from several Psi step by step together.

        What takes most of a step is done for all in the same calls; on small data it is the
        calls that take time.

        With `merge` a descent that has come near the end of another is taken to end there.

        Returns
        -------
        list of _State
            The ends, in the order in which they were reached.
        """
        ends: list[_State] = []
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

    def path(self, Psi: Array, known: Sequence[_State]) -> _Path[_State]:
        """Newton steps with backtracking from Psi to a local minimum, or near a known one."""
        at, before = (yield Psi), np.inf
        for n_iter in range(1, self.max_iter + 1):
            factor, value, model = at.factor, at.value, at.model
            if self.is_last(model, before):
                factor = self.factor(self.moved(at, model.newton))
                value -= model.promise
                return _State(factor, value, n_iter, converged=True, flat=model.is_flat)
            for state in known:
                if state.is_near(factor) and not model.is_saddle:
                    return state
            further = yield from self.step(at)
            if further is None:  # rounding hides what is left to gain
                converged = model.promise <= np.sqrt(self.tol)
                return _State(factor, value, n_iter, converged)
            at, before = further, model.promise
            if at.factor.is_beyond:
                break
        return _State(at.factor, at.value, n_iter, converged=False)

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

    def step(self, at: _Point) -> _Path[_Point | None]:
        """Take the Newton step, shortened as long as the criterion can tell its gain."""
        if at.model.is_saddle or at.model.promise > self.tol:
            return (yield from self.shortened_step(at))
        return (yield self.moved(at, at.model.newton))

    def shortened_step(self, at: _Point) -> _Path[_Point | None]:
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

    def moved(self, at: _Point, step: Array) -> Array:
        """Psi after a step in the free entries of Lambda, along the axes of the model."""
        L = np.diag(at.factor.scale)
        L[_free(len(L), diagonal=self.diagonal)] += at.model.basis @ step
        Lambda = at.factor.V @ L
        Psi: Array = Lambda @ Lambda.T
        return Psi

    def points(self, criterion: CovarianceCriterion, Psi: Array) -> list[_Point]:
        """Model the criterion near several Psi, shape (s, q, q).

        The coordinates are the free entries of L, Lambda = V L, at L = diag(scale).
        """
        V, scale = self.factors(Psi)
        at = criterion(V * scale[:, None])
        directions, H = at.along_factor(V, scale, _free(len(V[0]), diagonal=self.diagonal))
        gradient = np.einsum("srab,sab->sr", directions, at.S)
        models = QuadraticModel.of_each(gradient, H)
        return [
            _Point(_Factor(*factor), float(value), model)
            for *factor, value, model in zip(V, scale, at.value, models, strict=True)
        ]

    def factor(self, Psi: Array) -> _Factor:
        """Factor one Psi."""
        V, scale = self.factors(Psi[None])
        return _Factor(V[0], scale[0])

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


def _ever_smaller_samples(criterion: CovarianceCriterion) -> list[CovarianceCriterion]:
    """List the criterion of all groups and those of samples, as far as these are smaller."""
    chain = [criterion]
    if criterion.problem.n_groups < MANY_GROUPS:
        return chain
    for size in SAMPLE_GROUPS:
        step = chain[-1].problem.n_groups // size
        if step > 1:
            chain.append(chain[-1].sampled(step))
    return chain


def _explains_all(criterion: CovarianceCriterion, factor: _Factor) -> bool:
    """Whether no more residual is left than rounding."""
    if factor.scale.max() < LARGE_SD_RATIO:
        return False
    _, M = criterion.eliminate(factor.Lambda)
    return float(residual_square(M)) <= 2 * PERFECT_FIT * float(M[-1, -1])


def _without_negligible(criterion: CovarianceCriterion, state: _State) -> Array:
    """Lambda with exact zeros for variances that the criterion cannot feel."""
    factor = state.factor
    variances = factor.scale**2
    small = (variances > 0) & (variances < NEGLIGIBLE * max(1.0, float(variances.max())))
    if small.any():
        without = _Factor(factor.V, np.where(small, 0.0, factor.scale))
        here, there = criterion.value(factor.Lambda), criterion.value(without.Lambda)
        if there <= here + NOT_FELT * max(1.0, abs(here) * NOT_FELT**0.5):
            factor = without
    return factor.Lambda
