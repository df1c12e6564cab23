"""Confidence intervals of all parameters: Wald, profile likelihood, bootstrap."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.parallel import Parallel, delayed

from skmixed._numerics.inference.bootstrap import bootstrap
from skmixed._numerics.inference.profile.limits import profile_limits
from skmixed._reports.messages import ONE_SIDED, REFITS_NOT_CONVERGED, UNCERTAIN_LIMITS
from skmixed._warn import warn
from skmixed.exceptions import SingularFitWarning

# Refits that a worker makes at a time.
BATCH = 20


def parameter_names(model):
    """Names of all parameters as in lme4: sd_, cor_, sigma and the fixed effects."""
    return [*random_names(model), "sigma", *model.coef_cov_.index]


def random_names(model):
    """Names of standard deviations and correlations as in lme4: sd_ and cor_."""
    terms, group = model.random_effects_cov_.index, model.groups_.name
    return [
        f"sd_{terms[i]}|{group}" if i == j else f"cor_{terms[i]}.{terms[j]}|{group}"
        for i, j in zip(*_theta_order(model), strict=True)
    ]


def estimates(model):
    """Estimates of all parameters, in the order of their names."""
    cov = model.random_effects_cov_.to_numpy()
    return _in_order(model, cov, np.asarray(model.residual_variance_), model._coefficients)


def wald_limits(model, level):
    """Limits by normal quantiles of the fixed effects; NaN for variance components."""
    frame = model.fixed_effects_frame(level, "normal")
    of_variances = np.full((len(parameter_names(model)) - len(frame), 2), np.nan)
    return np.concatenate([of_variances, frame[["lower", "upper"]]])


def profile_limits_of(model, level):
    """Extremes of each parameter over the likelihood region."""
    limits = profile_limits(model._fitted.criterion.problem, level=level)
    if not limits.converged:
        warn(UNCERTAIN_LIMITS, ConvergenceWarning)
    if model.singular_:
        warn(ONE_SIDED, SingularFitWarning)
    rows, columns = _theta_order(model)
    random = limits.correlation[rows, columns]
    random[rows == columns] = limits.sd
    return np.concatenate([random, [limits.sigma], limits.fixed])


def bootstrap_limits(model, level, *, n_bootstrap, random_state, n_jobs, verbose):
    """Quantiles of the estimates from y drawn anew from the fitted model."""
    entropy = check_random_state(random_state).randint(2**31, size=4)
    seeds = np.random.SeedSequence(entropy.tolist()).spawn(n_bootstrap)
    refit = delayed(bootstrap)
    options = {"tol": model.tol, "max_iter": model.max_iter}
    jobs = (
        refit(model._fitted.criterion, model._fitted.Lambda, seeds=seeds[batch], **options)
        for batch in gen_batches(n_bootstrap, BATCH)
    )
    draws, failed = [], 0
    parallel = Parallel(n_jobs=n_jobs, verbose=verbose, return_as="generator")
    for drawn in parallel(jobs):
        beta = np.where(model.coef_cov_.isna().all(), np.nan, drawn.beta)
        draws.append(_in_order(model, drawn.random_effects_cov, drawn.sigma2, beta))
        failed += np.count_nonzero(~drawn.converged)
    if failed:
        message = REFITS_NOT_CONVERGED.format(failed=failed, total=n_bootstrap)
        warn(message, ConvergenceWarning)
    draws, tails = np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2]
    with warnings.catch_warnings():  # a correlation is not there where a variance is 0
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanquantile(draws, tails, axis=0).T


def _theta_order(model):
    """Rows and columns of the free entries of Lambda, column by column."""
    q = len(model.random_effects_cov_)
    if len(model.theta_) == q:
        return np.arange(q), np.arange(q)
    columns, rows = np.triu_indices(q)
    return rows, columns


def _in_order(model, cov, sigma2, beta):
    """Join standard deviations and correlations, sigma and beta along the last axis."""
    random = random_parameters(model, cov)
    return np.concatenate([random, np.sqrt(sigma2)[..., None], beta], axis=-1)


def random_parameters(model, cov):
    """Put standard deviations and correlations in the order of their names."""
    rows, columns = _theta_order(model)
    sd = np.sqrt(np.einsum("...aa->...a", cov))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = cov[..., rows, columns] / (sd[..., rows] * sd[..., columns])
    return np.where(rows == columns, sd[..., rows], correlations)
