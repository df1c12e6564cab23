"""Profile-likelihood limits of all parameters, as lme4's `confint` gives them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skmixed._numerics.criterion import Criterion, Optimum
from skmixed._numerics.estimate import estimate
from skmixed._numerics.problem import Problem
from skmixed._numerics.profile_covariance import covariance_limits
from skmixed._numerics.profile_ratio import ratio_limits
from skmixed._numerics.region import ProfileLimits, Region, log_sigma2_step

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
    if not _has_limits(criterion, optimum):
        return ProfileLimits.from_kept(problem)
    region = Region.around(criterion, optimum.Lambda, level)
    if len(problem.C) == 0:
        limits = pooled_limits(region)
    elif len(problem.C) == 1:
        limits = ratio_limits(region, optimum.Lambda[0, 0] ** 2)
    else:
        limits = covariance_limits(region, optimum.Lambda)
    return replace(limits, converged=limits.converged and optimum.converged)


def _has_limits(criterion: Criterion, optimum: Optimum) -> bool:
    pooled = len(criterion.problem.C) == 0
    return (
        not criterion.is_perfect and not optimum.beyond and (pooled or criterion.is_identified)
    )


def pooled_limits(region: Region) -> ProfileLimits:
    """Find the limits of a model without random effects, in closed form."""
    section = region.section(*region.criterion.eliminate(np.zeros((0, 0))))
    side = np.array([-1.0, 1.0])
    return ProfileLimits.from_kept(
        region.criterion.problem,
        fixed=section.beta[:, None] + side * section.half_width[:, None],
        sigma2=np.exp(section.log_sigma2 + log_sigma2_step(section.slack, side)),
    )
