"""What limits ask of a model: its ML deviance, and refits with a parameter held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skmixed._numerics.fit.criterion import ProfiledCriterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.search_several_columns import MANY_GROUPS, minimize_covariance
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import multiply
from skmixed._numerics.moments.coordinates import Coordinates

# A refit ends with a step that promises to lower the deviance by less, and takes that step. Of
# minima that differ by more it finds the lower.
REFIT_TOL = 1e-5
MAX_STEPS = 50
# How well the model without a random effect is fitted, in units of the deviance.
TOL = 1e-6
MAX_ITER = 100

# An array for each factor.
ByFactor = Sequence[Array]


@dataclass(frozen=True)
class GivenSigma2:
    """The deviance at given Psi_f and sigma2, and its derivatives along changes of Psi.

    Attributes
    ----------
    value : float
        The deviance.
    S : sequence of ndarray of shape (q_f, q_f)
        Gradient in each Psi_f.
    gradient : ndarray of shape (m,)
        First derivatives along the changes of all factors, one after the other.
    hessian : ndarray of shape (m, m)
        Second derivatives.
    cross : ndarray of shape (m,)
        How the gradient changes with log sigma2.
    slope, curvature : float
        First and second derivative in log sigma2.
    """

    value: float
    S: Sequence[Array]
    gradient: Array
    hessian: Array
    cross: Array
    slope: float
    curvature: float


@dataclass(frozen=True)
class Likelihood(ABC):
    """The ML deviance of a model; lists have an entry for each of its factors.

    Attributes
    ----------
    criterion : ProfiledCriterion
        The deviance, profiled to the Psi_f.
    """

    criterion: ProfiledCriterion

    @property
    @abstractmethod
    def by_factor(self) -> Sequence[Coordinates]:
        """How the columns were made of the user's."""

    @property
    @abstractmethod
    def diagonal(self) -> Sequence[bool]:
        """Whether random effects are uncorrelated."""

    @property
    @abstractmethod
    def largest_ratio(self) -> float:
        """Ratio of variances that is beyond measure."""

    @property
    @abstractmethod
    def looks_everywhere(self) -> bool:
        """Whether there may be other minima, and an evaluation is quick enough to look."""

    @abstractmethod
    def eliminate(self, Lambdas: ByFactor) -> tuple[float | Array, Array]:
        """Return log|V| and M = D' V^-1 D, up to sigma2."""

    @abstractmethod
    def given_sigma2(
        self, Lambdas: ByFactor, sigma2: float, changes: Sequence[Array]
    ) -> GivenSigma2:
        """Expand the deviance along changes of Psi_f, shapes (m_f, q_f, q_f)."""

    @abstractmethod
    def refit(self, columns: Array, start: ByFactor | None) -> ByFactor:
        """Find the best Lambdas where other columns [X, y] A stand for [X, y].

        From a start, or everywhere.
        """

    @abstractmethod
    def least_without(self, f: int, others: Array) -> float:
        """Return the least deviance where combinations of a factor's effects stand for them."""


@dataclass(frozen=True)
class OneFactor(Likelihood):
    """A model with one factor, and several random columns."""

    criterion: CovarianceCriterion

    @property
    def by_factor(self) -> Sequence[Coordinates]:
        return (self.criterion.problem.coordinates,)

    @property
    def diagonal(self) -> Sequence[bool]:
        return (self.criterion.problem.diagonal,)

    @property
    def largest_ratio(self) -> float:
        return self.criterion.problem.largest_ratio

    @property
    def looks_everywhere(self) -> bool:
        return self.criterion.problem.n_groups < MANY_GROUPS

    def eliminate(self, Lambdas: ByFactor) -> tuple[float | Array, Array]:
        (Lambda,) = Lambdas
        return self.criterion.eliminate(Lambda)

    def given_sigma2(
        self, Lambdas: ByFactor, sigma2: float, changes: Sequence[Array]
    ) -> GivenSigma2:
        (Lambda,), (E,) = Lambdas, changes
        at = self.criterion.given_sigma2(Lambda, sigma2)
        E = E.reshape(len(E), -1)
        return GivenSigma2(
            value=float(at.value),
            S=[at.S],
            gradient=E @ at.S.ravel(),
            hessian=E @ at.hessian.reshape(Lambda.size, -1) @ E.T,
            cross=E @ at.cross.ravel(),
            slope=float(at.slope),
            curvature=float(at.curvature),
        )

    def refit(self, columns: Array, start: ByFactor | None) -> ByFactor:
        problem = self.criterion.problem
        held = replace(
            problem,
            within=columns.T @ problem.within @ columns,
            own=np.matmul(columns.T, problem.own),
            noise=(columns**2).T @ problem.noise,
            mean=columns[:-1, :-1].T @ problem.mean,
        )
        optimum = minimize_covariance(
            CovarianceCriterion(held, reml=False),
            diagonal=problem.diagonal,
            tol=REFIT_TOL,
            max_iter=MAX_STEPS,
            start=None if start is None else start[0],
        )
        return [optimum.Lambda]

    def least_without(self, f: int, others: Array) -> float:
        problem = self.criterion.problem
        reduced = replace(problem, root=multiply(others.T, problem.root))
        criterion, optimum = estimate(reduced, reml=False, tol=TOL, max_iter=MAX_ITER)
        return criterion.profile(*criterion.eliminate(optimum.Lambda))
