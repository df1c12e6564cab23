"""Profile-likelihood limits of all parameters, as lme4's `confint` gives them."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import Problem
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
        return ProfileLimits.from_kept(problem, converged=optimum.converged)
    region = Region.around(criterion, optimum.Lambda, level)
    if pooled:
        return pooled_limits(region)
    if isinstance(criterion, RatioCriterion):
        return ratio_limits(region, criterion, optimum.Lambda[0, 0] ** 2)
    return covariance_limits(region, optimum.Lambda)


def pooled_limits(region: Region) -> ProfileLimits:
    """Find the limits of a model without random effects, in closed form."""
    problem, side = region.criterion.problem, np.array([-1.0, 1.0])
    section = region.section(0.0, problem.T)
    return ProfileLimits.from_kept(
        problem,
        fixed=section.beta[:, None] + side * section.half_width[:, None],
        sigma2=np.exp(section.log_sigma2 + log_sigma2_step(section.slack, side)),
    )
