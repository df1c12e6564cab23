"""Profile-likelihood limits of all parameters, as lme4's `confint` gives them."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.fit.average_information import minimize_factors
from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion
from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.inference.profile.likelihood import OneFactor
from skmixed._numerics.inference.profile.likelihood_of_factors import SeveralFactors
from skmixed._numerics.inference.profile.of_covariance import covariance_limits
from skmixed._numerics.inference.profile.of_ratio import ratio_limits
from skmixed._numerics.inference.profile.region import ProfileLimits, Region, log_sigma2_step

# As a fit has them by default.
TOL = 1e-8
MAX_ITER = 100


def profile_limits(problem: Problem, *, level: float) -> ProfileLimits:
    """Find the profile-likelihood confidence limits of all parameters.

    The limits of a parameter are its extreme values over the likelihood region: all parameters
    whose ML deviance exceeds the least one by no more than the `level` quantile of the
    chi-squared distribution with one degree of freedom. Like lme4, REML fits too are given
    these limits.

    Parameters
    ----------
    problem : Problem
        Moments of the model.
    level : float
        Confidence level, between 0 and 1.

    Returns
    -------
    ProfileLimits
    """
    criterion, optimum = estimate(problem, reml=False, tol=TOL, max_iter=MAX_ITER)
    pooled = problem.root.size == 0
    identified = not criterion.is_perfect and (pooled or criterion.is_identified)
    if not identified or not optimum.converged:
        return ProfileLimits.from_kept(problem.coordinates, converged=optimum.converged)
    region = Region.around(criterion, criterion.eliminate(optimum.Lambda), level)
    if pooled:
        return pooled_limits(region)
    if isinstance(criterion, RatioCriterion):
        return ratio_limits(region, criterion, optimum.Lambda[0, 0] ** 2)
    likelihood = OneFactor(CovarianceCriterion(problem, reml=False))
    (limits,) = covariance_limits(likelihood, region, [optimum.Lambda])
    return limits


def profile_limits_of_factors(problem: FactorsProblem, *, level: float) -> list[ProfileLimits]:
    """Find the profile-likelihood limits of a model with several factors.

    Parameters are those of `profile_limits`. There are limits for each factor, and those of
    fixed effects and of sigma are the same in all.
    """
    criterion = FactorsCriterion(problem, reml=False)
    optimum = minimize_factors(criterion, tol=TOL, max_iter=MAX_ITER)
    identified = not criterion.is_perfect and not optimum.diverged
    if not identified or not optimum.converged:
        return [
            ProfileLimits.from_kept(coordinates, converged=optimum.converged)
            for coordinates in problem.by_factor
        ]
    likelihood = SeveralFactors(criterion)
    region = Region.around(criterion, likelihood.eliminate(optimum.Lambdas), level)
    return covariance_limits(likelihood, region, optimum.Lambdas)


def pooled_limits(region: Region) -> ProfileLimits:
    """Find the limits of a model without random effects, in closed form."""
    problem, side = region.criterion.problem, np.array([-1.0, 1.0])
    section = region.section(0.0, problem.T)
    return ProfileLimits.from_kept(
        problem.coordinates,
        fixed=section.beta[:, None] + side * section.half_width[:, None],
        sigma2=np.exp(section.log_sigma2 + log_sigma2_step(section.slack, side)),
    )
