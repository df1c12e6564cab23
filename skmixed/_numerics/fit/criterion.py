"""What the criteria have in common: coefficients and residual variance profiled out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._numerics.fit.identifiability import absorbed_directions, residual_direction
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    ROUNDING_UP_TO,
    digits_left,
    residual_square,
)
from skmixed._numerics.moments.coordinates import Coordinates


@dataclass(frozen=True)
class Optimum:
    """Where a search for the relative covariance factor ended.

    Attributes
    ----------
    Lambda : ndarray of shape (q, q)
        Any factor of Psi = Lambda Lambda', in the coordinates of the problem; a column is
        exactly 0 for each direction in which the random effects do not vary.
    n_iter : int
        Newton steps taken, at least 1.
    converged : bool
        Whether the last step was below the tolerance; or the criterion levels off towards
        infinity, so that where the search ended is as good as that.
    diverged : bool
        Whether the search ran off to infinity: the random effects explain y exactly.
    is_only_minimum : bool
        Whether the search looked everywhere and saw no other minimum.
    flat : bool
        Whether there is a direction in which the criterion hardly changes, so that rounding
        decides where the search ended.
    """

    Lambda: Array
    n_iter: int
    converged: bool
    diverged: bool = False
    is_only_minimum: bool = False
    flat: bool = False


class ScaledMoments(Protocol):
    """What a criterion asks of a problem, whatever its random effects are."""

    @property
    def n(self) -> float:
        """Sum of the weights."""

    @property
    def p(self) -> int:
        """Number of fixed effects estimated."""

    @property
    def T(self) -> Array:
        """[X, y]' W [X, y]."""

    @property
    def noise(self) -> Array:
        """Error of the diagonal of what the largest random effects would leave of it."""

    @property
    def coordinates(self) -> Coordinates:
        """How the columns were made of the user's."""


@dataclass(frozen=True)
class ProfiledCriterion:
    """REML or ML criterion with the coefficients and the residual variance profiled out.

    Attributes
    ----------
    problem : ScaledMoments
        Moments of the model.
    reml : bool
        Restricted maximum likelihood if true, else maximum likelihood.
    """

    problem: ScaledMoments
    reml: bool

    @property
    def dof(self) -> float:
        """What r2 is divided by: n - p for REML, n for ML."""
        return self.problem.n - (self.problem.p if self.reml else 0)

    @property
    def constant(self) -> float:
        """What the criterion in the user's coordinates adds to that in scaled ones."""
        # y and each column of X are divided by their scale: r2 by its square, |M_XX| by all
        coordinates = self.problem.coordinates
        of_y = self.dof * 2 * np.log(coordinates.y_scale)
        return float(of_y + (coordinates.log_scale if self.reml else 0.0))

    @property
    def is_perfect(self) -> bool:
        """Whether the fixed effects alone leave no residual."""
        T = self.problem.T
        if self.dof <= 0:
            return True
        return float(residual_square(T)) <= ROUNDING_UP_TO * float(self.problem.noise[-1])

    def coefficients(self, M: Array) -> tuple[Array, float]:
        """Return beta = M_XX^-1 M_Xy and sigma2 = r2 / dof, which is 0 for a perfect fit."""
        beta: Array = np.asarray(np.linalg.solve(M[:-1, :-1], M[:-1, -1]))
        return beta, 0.0 if self.is_perfect else float(residual_square(M)) / self.dof

    def profile(self, log_det: float | Array, M: Array) -> float:
        """Return the criterion, given what `eliminate` returns."""
        log_det_XX = float(np.linalg.slogdet(M[:-1, :-1])[1])
        return float(self.combine(log_det, log_det_XX, residual_square(M)))

    def combine(self, log_det: float | Array, log_det_XX: float | Array, r2: Array) -> Array:
        """Return the criterion, given log|V|, log|M_XX| and the residual sum of squares."""
        # sigma2 = r2 / dof put in; log|M_XX| is what REML adds
        sigma2 = np.maximum(r2, np.finfo(np.float64).tiny) / self.dof
        value = log_det + self.dof * (1 + np.log(2 * np.pi * sigma2)) + self.constant
        return np.asarray(value + log_det_XX if self.reml else value)


@dataclass(frozen=True)
class Criterion(ProfiledCriterion, ABC):
    """REML or ML criterion, profiled to the relative covariance factor Lambda.

    Attributes
    ----------
    problem : Problem
        Moments of the model.
    reml : bool
        Restricted maximum likelihood if true, else maximum likelihood.
    """

    problem: Problem

    @abstractmethod
    def eliminate(self, Lambda: Array) -> tuple[float | Array, Array]:
        """Return sum_j log|I + Lambda' G_j Lambda| and M = D' V^-1 D, up to sigma2."""

    @abstractmethod
    def conditional_modes(self, Lambda: Array, beta: Array) -> Array:
        """Return b_j = H_j (C_jy - C_jX beta) of all groups, shape (q, n_groups)."""

    @abstractmethod
    def conditional_variances(self, Lambda: Array, rows: Array) -> Array:
        """Return the diagonals of rows H_j rows', over sigma2, shape (len(rows), n_groups)."""

    @cached_property
    def is_identified(self) -> bool:
        """Whether the rows say anything of the variances between groups."""
        problem = self.problem
        if problem.n_groups < 2 or not problem.q or self.is_perfect:
            return False
        if absorbed_directions(problem).shape[1] == problem.q:
            return False
        # with several columns a part remains that is no multiple of the residuals' covariance
        return problem.q > 1 or residual_direction(problem) is None

    def digits_left(self, Lambda: Array) -> float:
        """Return how many digits are right of what the columns before leave of a column."""
        return digits_left(self.eliminate(Lambda)[1], self.problem.noise)

    def digits_beside_effects(self, Lambda: Array) -> float:
        """Return how many digits are right of what random effects leave of each other.

        A single one leaves nothing to others, and loses nothing however large it is.
        """
        return np.inf
