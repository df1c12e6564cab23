"""The whole way with several factors: moments -> problem -> optimum -> solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from skmixed._numerics.fit.average_information import FactorsOptimum, minimize_factors
from skmixed._numerics.fit.choice_of_solver import is_good_for_exact
from skmixed._numerics.fit.criterion_iterative import IterativeCriterion, Probes
from skmixed._numerics.fit.criterion_of_factors import Eliminated, FactorsCriterion
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.monte_carlo import MonteCarloError, free_values
from skmixed._numerics.fit.problem_of_factors import FactorsProblem, make_factors_problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DIGITS_REFUSED, digits_left
from skmixed._numerics.linalg.small_matrices import multiply, multiply_transposed
from skmixed._numerics.linalg.triangular import triangular
from skmixed._numerics.moments.cells import FactorMoments

Solver = Literal["auto", "exact", "iterative"]
# An iterative search need not end nearer to the optimum than probes know where it is.
TOL_OF_PROBES = 1e-5


class LostDigitsError(ValueError):
    """The moments carry too few digits of what is left when effects are taken off.

    Attributes
    ----------
    digits : float
        How many are left.
    """

    def __init__(self, digits: float) -> None:
        super().__init__(
            f"the sums of squares carry only {max(digits, 0.0):.1f} digits of what the random "
            "effects and the columns of X leave: they explain y exactly, or y or a column "
            "varies too little beside its levels. Take off what is known of y, or centre the "
            "columns."
        )
        self.digits = digits


@dataclass(frozen=True)
class FactorsSolution:
    """The fitted model, in the user's coordinates; lists have an entry for each factor.

    Attributes
    ----------
    beta : ndarray of shape (n_columns,)
        Fixed effects; 0 for columns dropped as linearly dependent, or not fixed.
    beta_cov : ndarray of shape (n_columns, n_columns)
        Their covariance; NaN for those columns.
    sigma2 : float
        Residual variance.
    Lambdas : list of ndarray of shape (q_f, q_f)
        Relative covariance factors, lower triangular with a diagonal >= 0.
    diagonal : tuple of bool
        Whether they are restricted to diagonal matrices.
    rank : tuple of int
        Number of directions in which the random effects vary.
    b : list of ndarray of shape (q_f, J_f)
        Conditional modes of the random effects.
    icc : tuple of float
        Share of each factor in the variance around the fixed effects, averaged over rows.
    criterion : float
        REML criterion or ML deviance; -inf for a perfect fit.
    """

    beta: Array
    beta_cov: Array
    sigma2: float
    Lambdas: list[Array]
    diagonal: tuple[bool, ...]
    rank: tuple[int, ...]
    b: list[Array]
    icc: tuple[float, ...]
    criterion: float
    _at: Eliminated

    @property
    def theta(self) -> Array:
        """Free entries of the Lambdas, factor by factor: diagonals, or triangles by column."""
        return np.concatenate(
            [
                free_values(Lambda, diagonal=diagonal)
                for Lambda, diagonal in zip(self.Lambdas, self.diagonal, strict=True)
            ]
        )

    @cached_property
    def posterior(self) -> list[Array]:
        """Covariances of the random effects given y and the parameters, (q_f, q_f, J_f)."""
        by_factor = self._at.criterion.problem.by_factor
        posterior = []
        for H, coordinates in zip(self._at.elimination.covariances(), by_factor, strict=True):
            back = coordinates.random_backmap
            posterior.append(self.sigma2 * multiply_transposed(multiply(back, H), back))
        return posterior

    @cached_property
    def pooling_weights(self) -> list[Array]:
        """1 - (conditional variance) / (variance), shapes (q_f, J_f); 0 where it is 0."""
        weights = []
        for Lambda, posterior in zip(self.Lambdas, self.posterior, strict=True):
            variances = self.sigma2 * np.sum(Lambda**2, axis=1, keepdims=True)
            left = np.einsum("aak->ak", posterior)
            share = np.divide(left, variances, out=np.ones_like(left), where=variances > 0)
            weights.append(1 - share)
        return weights


@dataclass(frozen=True)
class FactorFit:
    """A model with several factors fitted to moments.

    Attributes
    ----------
    problem : FactorsProblem
        The moments of the model.
    criterion : FactorsCriterion
        The function that was minimised.
    optimum : FactorsOptimum
        Where it is least.
    at : Eliminated
        The random effects eliminated there.
    solution : FactorsSolution
        What follows, in the user's coordinates.
    """

    problem: FactorsProblem
    criterion: FactorsCriterion
    optimum: FactorsOptimum
    at: Eliminated
    solution: FactorsSolution

    @property
    def probes(self) -> Probes | None:
        """The probes of an iterative fit."""
        criterion = self.criterion
        return criterion.probes if isinstance(criterion, IterativeCriterion) else None

    @cached_property
    def monte_carlo_error(self) -> MonteCarloError | None:
        """What the probes leave of error; None of an exact fit."""
        if not isinstance(self.criterion, IterativeCriterion):
            return None
        return MonteCarloError.of(self.at, self.optimum.Lambdas)

    @classmethod
    def of(
        cls,
        moments: FactorMoments,
        specifications: Sequence[Specification],
        *,
        tol: float,
        max_iter: int,
        start: Sequence[Array] | None = None,
        solver: Solver = "exact",
        probes: Probes | None = None,
    ) -> FactorFit:
        """Fit a model.

        Parameters
        ----------
        moments : FactorMoments
            Cross-products of the rows; their random columns are those of the model.
        specifications : sequence of Specification
            For each factor; what concerns the fixed effects and the method is the same in all.
        tol : float
            The search ends with a step that should lower the criterion by less.
        max_iter : int
            Newton steps allowed.
        start : sequence of ndarray of shape (q_f, q_f), optional
            Relative covariance factors, in the user's units, that are likely to be near.
        solver : {"auto", "exact", "iterative"}
            Whether what crosses is solved by dense blocks, or iteratively: "auto" takes those
            where they are good to use.
        probes : Probes, optional
            Of the iterative solver, which needs them.

        Returns
        -------
        FactorFit

        Raises
        ------
        ValueError
            If factors cannot be told apart, memory does not suffice, digits are lost, or an
            iterative solver does not converge.
        """
        problem = make_factors_problem(moments, specifications)
        criterion = make_criterion(problem, specifications[0].reml, solver, probes)
        if isinstance(criterion, IterativeCriterion):
            tol = max(tol, TOL_OF_PROBES)
        near = None if start is None else _scaled(problem, start)
        fit = cls._near(criterion, near, tol, max_iter)
        if isinstance(criterion, IterativeCriterion) and not criterion.is_perfect:
            fit = cls._with_enough_probes(fit, criterion, tol, max_iter)
        optimum = fit.optimum
        # a search that runs off leaves nothing of y but rounding
        digits = 0.0 if optimum.diverged else fit.digits_left
        if not criterion.is_perfect and digits < DIGITS_REFUSED:
            raise LostDigitsError(digits)
        return fit

    @classmethod
    def _near(
        cls, criterion: FactorsCriterion, Psi: list[Array] | None, tol: float, max_iter: int
    ) -> FactorFit:
        optimum = minimize_factors(criterion, tol=tol, max_iter=max_iter, start=Psi)
        at = criterion.eliminate(optimum.Lambdas)
        solution = solve_factors(at, optimum.Lambdas)
        return cls(criterion.problem, criterion, optimum, at, solution)

    @classmethod
    def _with_enough_probes(
        cls, fit: FactorFit, criterion: IterativeCriterion, tol: float, max_iter: int
    ) -> FactorFit:
        """Fit again with more probes, if these leave too much of an error."""
        error = fit.monte_carlo_error
        probes = criterion.probes.more(error.share if error else 0.0, criterion.crossed.size)
        if probes == criterion.probes:
            return fit
        Psi = [Lambda @ Lambda.T for Lambda in fit.optimum.Lambdas]
        return cls._near(replace(criterion, probes=probes), Psi, tol, max_iter)

    @property
    def digits_left(self) -> float:
        """How many digits the moments carry of what this fit needs, at least."""
        return digits_left(self.at.M, self.problem.noise)

    @property
    def is_singular(self) -> bool:
        """Whether a factor has a direction without variance."""
        return any(self.singular)

    @property
    def singular(self) -> tuple[bool, ...]:
        """For each factor, whether there is a direction without variance."""
        return tuple(bool(np.any(~Lambda.any(axis=0))) for Lambda in self.optimum.Lambdas)


def make_criterion(
    problem: FactorsProblem, reml: bool, solver: Solver, probes: Probes | None
) -> FactorsCriterion:
    """Make the criterion of the solver that is asked for."""
    several = len(problem.q) > 1
    exact = solver == "exact" or (solver == "auto" and is_good_for_exact(problem))
    if exact or probes is None or not several:
        return FactorsCriterion(problem, reml)
    return IterativeCriterion(problem, reml, probes)


def solve_factors(at: Eliminated, Lambdas: Sequence[Array]) -> FactorsSolution:
    """Solve the mixed-model equations for given relative covariance factors.

    Parameters
    ----------
    at : Eliminated
        The random effects eliminated at these.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Any factors of Psi_f, in the coordinates of the problem.

    Returns
    -------
    FactorsSolution
    """
    criterion, problem = at.criterion, at.criterion.problem
    coordinates = problem.coordinates
    beta, sigma2 = criterion.coefficients(at.M)
    parts = list(zip(problem.by_factor, Lambdas, problem.diagonal, strict=True))
    # the mean of z'Psi z over the rows
    variances = [
        float(np.sum(Lambda * (G.sum(axis=-1) @ Lambda))) / problem.n
        for G, Lambda in zip(problem.G, Lambdas, strict=True)
    ]
    return FactorsSolution(
        beta=coordinates.to_user_coefficients(beta),
        beta_cov=sigma2 * coordinates.to_user_covariance(at.M[:-1, :-1]),
        sigma2=sigma2 * coordinates.y_scale**2,
        Lambdas=[
            triangular(own.to_user_factor(Lambda), diagonal=diagonal)
            for own, Lambda, diagonal in parts
        ],
        diagonal=problem.diagonal,
        rank=tuple(int(np.count_nonzero(np.any(Lambda, axis=0))) for Lambda in Lambdas),
        b=random_effects_of_factors(at, beta),
        icc=tuple(variance / (1 + sum(variances)) for variance in variances),
        criterion=-np.inf if criterion.is_perfect else at.value,
        _at=at,
    )


def random_effects_of_factors(at: Eliminated, beta: Array) -> list[Array]:
    """Conditional modes of all levels, shapes (q_f, J_f), for given fixed effects."""
    return [
        own.to_user_random_effects(B[:, -1] - np.einsum("apk,p->ak", B[:, :-1], beta))
        for own, B in zip(at.criterion.problem.by_factor, at.B, strict=True)
    ]


def _scaled(problem: FactorsProblem, start: Sequence[Array]) -> list[Array] | None:
    """Psi_f in the coordinates of the problem, of factors in the user's units."""
    Psi = []
    for Lambda, coordinates in zip(start, problem.by_factor, strict=True):
        if not coordinates.random_kept.all():
            return None
        near = np.linalg.solve(coordinates.random_backmap, Lambda)
        Psi.append(near @ near.T)
    return Psi
