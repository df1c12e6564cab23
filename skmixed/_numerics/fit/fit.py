"""The whole way: moments -> problem -> criterion -> optimum -> solution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.fit.criterion import Criterion, Optimum
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate, estimate_near
from skmixed._numerics.fit.identifiability import check_bounded
from skmixed._numerics.fit.problem import Problem, make_problem
from skmixed._numerics.fit.solution import Solution, solve
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines


@dataclass(frozen=True)
class Specification:
    """Which model is fitted to moments, and by which method.

    Attributes
    ----------
    reml : bool
        Restricted maximum likelihood if true, else maximum likelihood.
    fit_intercept, random_intercept : bool
        Whether the column of ones is a fixed, and a random effect.
    diagonal : bool
        Whether random effects are uncorrelated.
    fixed_slopes : bool or tuple of bool
        Whether the random columns are fixed effects, too; a tuple says it of each but the ones.
    """

    reml: bool = True
    fit_intercept: bool = True
    random_intercept: bool = True
    diagonal: bool = False
    fixed_slopes: bool | tuple[bool, ...] = True

    def problem(self, moments: GroupedMoments | OwnLines) -> Problem:
        """Choose and scale the columns of the model."""
        return make_problem(
            moments,
            fit_intercept=self.fit_intercept,
            random_intercept=self.random_intercept,
            diagonal=self.diagonal,
            fixed_slopes=self.fixed_slopes,
        )

    def criterion(self, moments: GroupedMoments | OwnLines) -> CovarianceCriterion:
        """Return the criterion as a function of Psi, for one random column, too."""
        return CovarianceCriterion(self.problem(moments), self.reml)


@dataclass(frozen=True)
class Fit:
    """A model fitted to moments.

    Attributes
    ----------
    problem : Problem
        The moments of the model.
    criterion : Criterion
        The function that was minimised.
    optimum : Optimum
        Where it is least.
    solution : Solution
        What follows, in the user's coordinates.
    """

    problem: Problem
    criterion: Criterion
    optimum: Optimum
    solution: Solution

    @classmethod
    def of(
        cls,
        moments: GroupedMoments | OwnLines,
        specification: Specification,
        *,
        tol: float,
        max_iter: int,
        start: Array | None = None,
    ) -> Fit:
        """Fit a model.

        Parameters
        ----------
        moments : GroupedMoments
            Cross-products of the rows; their random columns are those of the model.
        specification : Specification
            The model.
        tol : float
            The search ends with a step that should lower the criterion by less.
        max_iter : int
            Newton steps allowed.
        start : ndarray of shape (n_random, n_random), optional
            A relative covariance factor, in the user's units, that is likely to be near.

        Returns
        -------
        Fit

        Raises
        ------
        ValueError
            If the criterion has no least value, because of the weights.
        """
        problem, reml = specification.problem(moments), specification.reml
        check_bounded(problem)
        if start is None or not problem.coordinates.random_kept.all():
            criterion, optimum = estimate(problem, reml=reml, tol=tol, max_iter=max_iter)
        else:
            back = problem.coordinates.random_backmap
            near = np.asarray(np.linalg.solve(back, start), dtype=np.float64)
            criterion, optimum = estimate_near(
                problem, reml=reml, tol=tol, max_iter=max_iter, start=near
            )
        return cls(problem, criterion, optimum, solve(criterion, optimum.Lambda))

    @property
    def is_singular(self) -> bool:
        """Whether there is a direction in which the random effects do not vary."""
        return self.solution.rank < len(self.solution.Lambda)

    @property
    def digits_left(self) -> float:
        """How many digits the moments carry of what this fit needs, at least."""
        return self.criterion.digits_left(self.optimum.Lambda)

    @property
    def digits_beside_effects(self) -> float:
        """How many digits are right of what random effects leave of each other."""
        return self.criterion.digits_beside_effects(self.optimum.Lambda)

    @property
    def beta(self) -> Array:
        """Fixed effects of the user's columns."""
        return self.solution.beta
