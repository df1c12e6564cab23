"""Parametric bootstrap of a model with several factors, by moments as for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skmixed._numerics.fit.average_information import minimize_factors
from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion
from skmixed._numerics.inference.bootstrap import Replicates
from skmixed._numerics.inference.sampler_of_factors import FactorsSampler
from skmixed._numerics.linalg.arrays import Array


def bootstrap_factors(
    criterion: FactorsCriterion,
    Lambdas: Sequence[Array],
    *,
    n_rows: int,
    seeds: Sequence[np.random.SeedSequence],
    tol: float,
    max_iter: int,
) -> list[Replicates]:
    """Draw y from the model at its estimates and estimate again, once for each seed.

    Parameters
    ----------
    criterion : FactorsCriterion
        The moments and the method of the fit.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Its relative covariance factors, in the coordinates of the problem. Each search starts
        there, and nowhere else.
    n_rows : int
        Rows of positive weight.
    seeds, tol, max_iter
        As for `bootstrap.bootstrap`.

    Returns
    -------
    list of Replicates
        For each factor; all but the covariances of random effects is the same.

    Raises
    ------
    ValueError
        If the weights sum to less than the number of independent columns of [Z, X].
    """
    sampler = FactorsSampler.from_fit(criterion, Lambdas, n_rows=n_rows)
    by_factor, unit = criterion.problem.by_factor, criterion.problem.coordinates.y_scale**2
    Psi = [Lambda @ Lambda.T for Lambda in Lambdas]
    beta, sigma2, converged = [], [], []
    cov: list[list[Array]] = [[] for _ in Lambdas]
    for seed in seeds:
        refit = replace(criterion, problem=sampler.draw(np.random.default_rng(seed)))
        optimum = minimize_factors(refit, tol=tol, max_iter=max_iter, start=Psi)
        scaled_beta, scaled_sigma2 = refit.coefficients(refit.eliminate(optimum.Lambdas).M)
        beta.append(by_factor[0].to_user_coefficients(scaled_beta))
        sigma2.append(scaled_sigma2 * unit)
        for own, Lambda, drawn in zip(by_factor, optimum.Lambdas, cov, strict=True):
            factor = own.to_user_factor(Lambda)
            drawn.append(sigma2[-1] * factor @ factor.T)
        converged.append(optimum.converged)
    shared = np.array(beta), np.array(sigma2)
    return [Replicates(*shared, np.array(drawn), np.array(converged)) for drawn in cov]
