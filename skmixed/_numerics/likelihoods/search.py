"""The quasi-Newton search for the least -2 log L in (beta, theta)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.likelihoods.criterion import Criterion, Evaluation
from skmixed._numerics.likelihoods.start import information
from skmixed._numerics.linalg.arrays import Array

# Values that differ by a smaller share are equal.
VALUE_ERROR = 1e-13
# A step changes no scaled coefficient by more than this, or the largest of them.
LONGEST_STEP = 6.0
# Where a standard deviation of random effects, for columns of order one, is larger the search
# ends: approximations of the integral say nothing there.
LARGEST_SD = 100.0
SUFFICIENT = 1e-4
MOST_HALVINGS = 40
# The information is made anew after so many steps.
FRESH = 12
# Expected curvatures are raised to this share of the largest.
LEAST_CURVATURE = 1e-8


@dataclass(frozen=True)
class Point:
    """Parameters, the criterion there and its gradient in the free ones.

    Attributes
    ----------
    beta : ndarray of shape (p,)
    Lambda : ndarray of shape (q, q)
    evaluation : Evaluation
    basis : ndarray of shape (p + n_theta, n_free)
        How (beta, theta) may move.
    entries : tuple of ndarray
        Rows and columns of theta in Lambda.
    """

    beta: Array
    Lambda: Array
    evaluation: Evaluation
    basis: Array
    entries: tuple[NDArray[np.intp], NDArray[np.intp]]

    @classmethod
    def at(
        cls,
        criterion: Criterion,
        beta: Array,
        Lambda: Array,
        u: Array | None = None,
        basis: Array | None = None,
    ) -> Self:
        """Evaluate; by default all moves but columns of Lambda that are 0."""
        entries = criterion.rows.columns.entries
        if basis is None:
            there = (Lambda != 0).any(axis=0)[entries[1]]
            free = np.append(np.ones(len(beta), dtype=np.bool_), there)
            basis = np.eye(len(free))[:, free]
        return cls(beta, Lambda, criterion.evaluate(beta, Lambda, u), basis, entries)

    @property
    def value(self) -> float:
        """-2 log L, without the constant of the data."""
        return self.evaluation.value

    @property
    def largest_sd(self) -> float:
        """The largest entry of Lambda."""
        return float(np.abs(self.Lambda).max(initial=0.0))

    @property
    def size(self) -> float:
        """The largest parameter."""
        return max(float(np.abs(self.beta).max(initial=0.0)), self.largest_sd)

    @property
    def gradient(self) -> Array:
        """Along the columns of the basis."""
        by_theta = self.evaluation.by_factor[self.entries]
        return self.basis.T @ np.append(self.evaluation.by_beta, by_theta)

    def moved(self, criterion: Criterion, step: Array) -> Point:
        """Evaluate a step along the columns of the basis away."""
        p = len(self.beta)
        whole = self.basis @ step
        Lambda = self.Lambda.copy()
        Lambda[self.entries] += whole[p:]
        beta = self.beta + whole[:p]
        with np.errstate(over="ignore", invalid="ignore"):  # too far: not finite, and refused
            evaluation = criterion.evaluate(beta, Lambda, self.evaluation.u)
        return replace(self, beta=beta, Lambda=Lambda, evaluation=evaluation)


@dataclass(frozen=True)
class Optimum:
    """Where a search ended.

    Attributes
    ----------
    point : Point
    predicted_decrease : float
        By how much a further step should lower the criterion.
    n_iter : int
    """

    point: Point
    predicted_decrease: float
    n_iter: int


def minimize(criterion: Criterion, point: Point, tol: float, max_iter: int) -> Optimum:
    """Take quasi-Newton steps, from the information on, until they promise less than tol."""
    inverse = _inverse_information(criterion, point)
    for n_iter in range(max_iter + 1):
        step = -inverse @ point.gradient
        predicted = -float(point.gradient @ step) / 2
        if predicted <= tol or n_iter == max_iter or point.largest_sd > LARGEST_SD:
            break
        new = _search_along(criterion, point, step)
        if new is None:
            break
        inverse = _updated(inverse, new[1], new[0].gradient - point.gradient)
        point = new[0]
        if n_iter % FRESH == FRESH - 1:
            inverse = _inverse_information(criterion, point)
    return Optimum(point, predicted, n_iter)


def _search_along(
    criterion: Criterion, point: Point, step: Array
) -> tuple[Point, Array] | None:
    """Shorten the step until the criterion falls enough; None if it never does."""
    longest = max(LONGEST_STEP, point.size)
    step = step * min(1.0, longest / np.abs(step).max(initial=longest))
    slope = float(point.gradient @ step)
    for _ in range(MOST_HALVINGS):
        new = point.moved(criterion, step)
        error = VALUE_ERROR * abs(point.value)
        if new.value <= point.value + SUFFICIENT * slope + error:
            return new, step
        rise = new.value - point.value - slope
        t = -slope / (2 * rise) if np.isfinite(rise) else 0.1
        t = float(np.clip(t, 0.1, 0.5))
        step, slope = t * step, t * slope
    return None


def _updated(inverse: Array, step: Array, change: Array) -> Array:
    """BFGS: the inverse Hessian that takes the change of the gradient to the step."""
    curvature = float(step @ change)
    if curvature <= 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
        return inverse
    V = np.eye(len(step)) - np.outer(step, change) / curvature
    return np.asarray(V @ inverse @ V.T + np.outer(step, step) / curvature)


def _inverse_information(criterion: Criterion, point: Point) -> Array:
    """Inverse of the expected Hessian, where it has one."""
    H = information(criterion, point.beta, point.Lambda, point.evaluation.u)
    H = point.basis.T @ H @ point.basis
    size = np.sqrt(np.maximum(np.diag(H), 1e-300))
    curvature, basis = np.linalg.eigh(H / np.outer(size, size))
    curvature = np.maximum(curvature, LEAST_CURVATURE * curvature.max(initial=1e-300))
    basis = basis / size[:, None]
    return np.asarray((basis / curvature) @ basis.T)
