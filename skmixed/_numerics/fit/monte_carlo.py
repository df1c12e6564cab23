"""What probes leave unsaid: standard errors of an iterative fit, over draws of the probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skmixed._numerics.fit.average_information import Point
from skmixed._numerics.fit.criterion_iterative import IterativeDerivatives
from skmixed._numerics.fit.criterion_of_factors import Eliminated
from skmixed._numerics.fit.elimination_iterative import IterativeElimination
from skmixed._numerics.fit.factor import Factor, free_entries
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.triangular import triangular


@dataclass(frozen=True)
class MonteCarloError:
    """Standard errors over draws of the probes, of a fit to the same data.

    Attributes
    ----------
    theta : ndarray of shape (n_theta,)
        Of the relative covariance factors in the user's units, as `theta` lists them.
    criterion : float
        Of the criterion at the optimum.
    share : float
        The error of the estimates as a share of their own standard error, in the direction in
        which it is largest.
    """

    theta: Array
    criterion: float
    share: float

    @classmethod
    def of(cls, at: Eliminated, Lambdas: Sequence[Array]) -> MonteCarloError:
        """Ask each probe where it would have the optimum, by a Newton step from there."""
        problem, elimination = at.criterion.problem, at.elimination
        assert isinstance(elimination, IterativeElimination)
        factors = [
            Factor.of_lambda(Lambda, diagonal=diagonal)
            for Lambda, diagonal in zip(Lambdas, problem.diagonal, strict=True)
        ]
        point = Point(factors, IterativeDerivatives(at))
        by_probe = [
            np.einsum("rab,mab->mr", E, traces)
            for E, traces in zip(point.directions, elimination.traces_by_probe, strict=True)
        ]
        gradients = np.concatenate(by_probe, axis=1)
        gradients -= gradients.mean(axis=0)
        n, model = len(gradients), point.model
        # without one of the probes the mean gradient is another
        turned = gradients @ model.basis / (n - 1)
        thetas = np.array(
            [_theta(problem, factors, step) for step in turned / model.size @ model.basis.T]
        )
        # the criterion has twice the curvature of the log-likelihood
        in_errors = turned / np.sqrt(2 * model.size)
        return cls(
            theta=_jackknife(thetas),
            criterion=float(elimination.log_dets.std(ddof=1) / np.sqrt(n)),
            share=float(np.linalg.norm(in_errors, 2) * np.sqrt((n - 1) / n)),
        )


def _jackknife(values: Array) -> Array:
    """Return standard errors, given what each probe left out makes of a mean."""
    n = len(values)
    return np.asarray(np.sqrt((n - 1) * np.mean((values - values.mean(axis=0)) ** 2, axis=0)))


def _theta(problem: FactorsProblem, factors: Sequence[Factor], step: Array) -> Array:
    """Return theta in the user's units after a step in the entries of the factors."""
    first, parts = 0, []
    for factor, own, diagonal in zip(factors, problem.by_factor, problem.diagonal, strict=True):
        entries = free_entries(len(factor.scale), diagonal=diagonal)
        L = np.diag(factor.scale)
        L[entries] += step[first : first + len(entries[0])]
        first += len(entries[0])
        Lambda = triangular(own.to_user_factor(factor.V @ L), diagonal=diagonal)
        parts.append(free_values(Lambda, diagonal=diagonal))
    return np.concatenate(parts)


def free_values(Lambda: Array, *, diagonal: bool) -> Array:
    """Return the free entries of a triangular factor: its diagonal, or all by column."""
    return np.diag(Lambda) if diagonal else Lambda.T[np.triu_indices(len(Lambda))]
