"""The whole way with several factors: moments -> problem -> optimum -> solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._numerics.fit.average_information import FactorsOptimum, minimize_factors
from skmixed._numerics.fit.criterion_of_factors import Eliminated, FactorsCriterion
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem_of_factors import FactorsProblem, make_factors_problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DIGITS_REFUSED, digits_left
from skmixed._numerics.linalg.small_matrices import multiply, multiply_transposed
from skmixed._numerics.linalg.triangular import triangular
from skmixed._numerics.moments.cells import FactorMoments


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
        parts = [
            np.diag(Lambda) if diagonal else Lambda.T[np.triu_indices(len(Lambda))]
            for Lambda, diagonal in zip(self.Lambdas, self.diagonal, strict=True)
        ]
        return np.concatenate(parts)

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

    @classmethod
    def of(
        cls,
        moments: FactorMoments,
        specifications: Sequence[Specification],
        *,
        tol: float,
        max_iter: int,
        start: Sequence[Array] | None = None,
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

        Returns
        -------
        FactorFit

        Raises
        ------
        ValueError
            If factors cannot be told apart, memory does not suffice, or digits are lost.
        """
        problem = make_factors_problem(moments, specifications)
        criterion = FactorsCriterion(problem, specifications[0].reml)
        near = None if start is None else _scaled(problem, start)
        optimum = minimize_factors(criterion, tol=tol, max_iter=max_iter, start=near)
        at = criterion.eliminate(optimum.Lambdas)
        fit = cls(problem, criterion, optimum, at, solve_factors(at, optimum.Lambdas))
        # a search that runs off leaves nothing of y but rounding
        digits = 0.0 if optimum.diverged else fit.digits_left
        if not criterion.is_perfect and digits < DIGITS_REFUSED:
            raise LostDigitsError(digits)
        return fit

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
