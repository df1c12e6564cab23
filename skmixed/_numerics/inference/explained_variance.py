"""The variance of y, split into what the model explains and what it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array


@dataclass(frozen=True)
class ExplainedVariance:
    """The parts of the variance of y, in its squared units.

    Attributes
    ----------
    fixed : float
        Variance of the population line X beta over the rows, with divisor n - 1; NaN if the
        weights sum to one row or less.
    by_factor : tuple of float
        Variance of the random effects of each factor, z' Var(b) z, averaged over the rows.
    residual : float
        Residual variance.
    """

    fixed: float
    by_factor: tuple[float, ...]
    residual: float

    @property
    def random(self) -> float:
        """That of the random effects of all factors."""
        return sum(self.by_factor)

    @property
    def marginal(self) -> float:
        """Share of the fixed part: the marginal R2; NaN if y does not vary."""
        return self._share(self.fixed)

    @property
    def conditional(self) -> float:
        """Share of both parts: the conditional R2; NaN if y does not vary."""
        return self._share(self.fixed + self.random)

    def _share(self, part: float) -> float:
        total = self.fixed + self.random + self.residual
        return part / total if total > 0 else np.nan


def explained_variance(criterion: Criterion, Lambda: Array) -> ExplainedVariance:
    """Split the variance of y, for the marginal and the conditional R2.

    Parameters
    ----------
    criterion : Criterion
        The moments and the method.
    Lambda : ndarray of shape (q, q)
        The relative covariance factor, in the coordinates of the problem.

    Returns
    -------
    ExplainedVariance

    References
    ----------
    Nakagawa, S. and Schielzeth, H. (2013). A general and simple method for obtaining R2 from
    generalized linear mixed-effects models. Methods in Ecology and Evolution 4, 133-142.
    doi:10.1111/j.2041-210x.2012.00261.x

    Johnson, P. C. D. (2014). Extension of Nakagawa & Schielzeth's R2GLMM to random slopes
    models. Methods in Ecology and Evolution 5, 944-946.
    doi:10.1111/2041-210X.12225
    """
    problem = criterion.problem
    _, M = criterion.eliminate(Lambda)
    beta, sigma2 = criterion.coefficients(M)
    # what was taken off y is explained by the fixed effects, too
    beta = beta + problem.coordinates.scaled_taken
    return split_variance(problem, problem.mean, beta, sigma2, [(problem.G, Lambda)])


def split_variance(
    problem: Problem | FactorsProblem,
    mean: Array,
    beta: Array,
    sigma2: float,
    effects: Sequence[tuple[Array, Array]],
) -> ExplainedVariance:
    """Split the variance of y into that of the fixed effects, of random ones, and the rest.

    Parameters
    ----------
    problem : Problem or FactorsProblem
        Moments of the model.
    mean : ndarray of shape (p,)
        Mean of each column of X.
    beta : ndarray of shape (p,)
        Fixed effects.
    sigma2 : float
        Residual variance.
    effects : sequence of (ndarray of shape (q, q, n_groups), ndarray of shape (q, q))
        Z'WZ of the groups of each factor, and its relative covariance factor.

    Returns
    -------
    ExplainedVariance
    """
    about_zero = float(beta @ problem.T[:-1, :-1] @ beta)
    square = max(about_zero - problem.n * float(mean @ beta) ** 2, 0.0)
    fixed = square / (problem.n - 1) if problem.n > 1 else np.nan
    unit = problem.coordinates.y_scale**2
    return ExplainedVariance(
        fixed=unit * fixed,
        by_factor=tuple(
            unit * sigma2 * mean_variance(G, Lambda, problem.n) for G, Lambda in effects
        ),
        residual=unit * sigma2,
    )


def mean_variance(G: Array, Lambda: Array, n: float) -> float:
    """Return the mean of z_i' Psi z_i over the rows, tr(Psi Z'WZ) / n."""
    return float(np.sum(Lambda * (G.sum(axis=-1) @ Lambda))) / n
