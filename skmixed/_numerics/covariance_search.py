"""The relative covariance matrix that minimises the criterion, singular ones included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.covariance import CovarianceCriterion, Evaluation
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
    starts = STARTS if few else STARTS_IN_SAMPLES
    found: list[_State] = []
    for ratio in starts:
        found.append(rough.descend(chain[-1], ratio * np.eye(q), [] if few else found))
    best = min(found, key=lambda state: chain[-1].value(state.factor.Lambda))
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
    factor = search.factor(Lambda @ Lambda.T)
    model = search.model(factor, criterion(factor.Lambda))
    gradient = 2 * factor.V.T @ S @ factor.V * factor.scale
    rows, columns = _free(len(Lambda), diagonal=diagonal)
    gradient = gradient[:, rows, columns] @ model.basis
    step = -gradient / model.size
    ends = [search.moved(factor, model.basis @ one).Lambda for one in step]
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
    """Where a descent ended."""

    factor: _Factor
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

    def descend(
        self, criterion: CovarianceCriterion, Psi: Array, known: Sequence[_State] = ()
    ) -> _State:
        """Newton steps with backtracking from Psi to a local minimum.

        A descent that has come near a known minimum is taken to end there.
        """
        factor = self.factor(Psi)
        at = criterion(factor.Lambda)
        before = np.inf
        for n_iter in range(1, self.max_iter + 1):
            model = self.model(factor, at)
            if self.is_last(model, before):
                factor = self.moved(factor, model.basis @ model.newton)
                return _State(factor, n_iter, converged=True, flat=model.is_flat)
            for state in known:
                if state.is_near(factor) and not model.is_saddle:
                    return state
            further = self.step(criterion, factor, at, model)
            if further is None:  # rounding hides what is left to gain
                converged = model.promise <= np.sqrt(self.tol)
                return _State(factor, n_iter, converged)
            (factor, at), before = further, model.promise
            if factor.is_beyond:
                return _State(factor, n_iter, converged=False)
        return _State(factor, self.max_iter, converged=False)

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

    def step(
        self,
        criterion: CovarianceCriterion,
        factor: _Factor,
        at: Evaluation,
        model: QuadraticModel,
    ) -> tuple[_Factor, Evaluation] | None:
        """Take the Newton step, shortened as long as the criterion can tell its gain."""
        if model.is_saddle or model.promise > self.tol:
            return self.shortened_step(criterion, factor, at, model)
        new = self.moved(factor, model.basis @ model.newton)
        return new, criterion(new.Lambda)

    def factor(self, Psi: Array) -> _Factor:
        """Factor Psi along its eigenvectors, the largest variance first."""
        if self.diagonal:
            return _Factor(np.eye(len(Psi)), np.sqrt(np.diag(Psi)))
        variances, V = np.linalg.eigh(Psi)
        return _Factor(V[:, ::-1], np.sqrt(np.clip(variances[::-1], 0.0, None)))

    def model(self, factor: _Factor, at: Evaluation) -> QuadraticModel:
        """Model the criterion in the free entries of L, Lambda = V L, at L = diag(scale)."""
        entries = _free(len(factor.scale), diagonal=self.diagonal)
        directions, H = at.along_factor(factor.V, factor.scale, entries)
        return QuadraticModel.of(np.einsum("rab,ab->r", directions, at.S), H)

    def shortened_step(
        self,
        criterion: CovarianceCriterion,
        factor: _Factor,
        at: Evaluation,
        model: QuadraticModel,
    ) -> tuple[_Factor, Evaluation] | None:
        """Take the longest of step, step / 2, step / 4, ... that lowers the criterion."""
        step = model.newton
        if model.promise <= self.tol:  # at a saddle: leave along the negative curvature
            step = np.zeros_like(step)
            step[0] = 1.0
        longest = max(1.0, float(np.linalg.norm(factor.scale)))
        step *= min(1.0, longest / float(np.linalg.norm(step)))
        enough = 1e-4 * min(float(model.gradient @ step), 0.0)
        for halving in range(MAX_HALVINGS):
            share = 0.5**halving
            new = self.moved(factor, model.basis @ (share * step))
            there = criterion(new.Lambda)
            if there.value < at.value + share * enough:
                return new, there
        return None

    def moved(self, factor: _Factor, step: Array) -> _Factor:
        """Factor Psi anew after a step in the free entries of Lambda."""
        L = np.diag(factor.scale)
        L[_free(len(L), diagonal=self.diagonal)] += step
        Lambda = factor.V @ L
        return self.factor(Lambda @ Lambda.T)


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
