"""Confidence intervals of all parameters: Wald, profile likelihood, bootstrap."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.parallel import Parallel, delayed

from skmixed._reports.messages import ONE_SIDED, REFITS_NOT_CONVERGED, UNCERTAIN_LIMITS
from skmixed._warn import warn
from skmixed.exceptions import SingularFitWarning

# Refits that a worker makes at a time.
BATCH = 20


def parameter_names(model):
    """Names of all parameters as in lme4: sd_, cor_, sigma and the fixed effects."""
    return [*random_names(model), *_residual_names(model), *model.coef_cov_.index]


def _residual_names(model):
    """Name the residual standard deviation: of strata, one for each."""
    variances = model.residual_variance_
    return [f"sigma|{s}" for s in variances.index] if np.ndim(variances) else ["sigma"]


def random_names(model):
    """Names of standard deviations and correlations as in lme4: sd_ and cor_."""
    names = []
    for group, cov, diagonal in _factors(model):
        terms = cov.index
        names += [
            f"sd_{terms[i]}|{group}" if i == j else f"cor_{terms[i]}.{terms[j]}|{group}"
            for i, j in zip(*_theta_order(len(terms), diagonal), strict=True)
        ]
    return names


def estimates(model):
    """Estimates of all parameters, in the order of their names."""
    cov = [cov.to_numpy() for _, cov, _ in _factors(model)]
    sigma = np.sqrt(np.atleast_1d(model.residual_variance_))
    return np.concatenate([random_parameters(model, cov), sigma, model._coefficients])


def wald_limits(model, level):
    """Limits by normal quantiles of the fixed effects; NaN for variance components."""
    frame = model.fixed_effects_frame(level, "normal")
    of_variances = np.full((len(parameter_names(model)) - len(frame), 2), np.nan)
    return np.concatenate([of_variances, frame[["lower", "upper"]]])


def profile_limits_of(model, level):
    """Extremes of each parameter over the likelihood region."""
    by_factor = model._fitted.profile_limits(level)
    if not by_factor[0].converged:
        warn(UNCERTAIN_LIMITS, ConvergenceWarning)
    if model.singular_:
        warn(ONE_SIDED, SingularFitWarning)
    found = []
    for limits, (_, cov, diagonal) in zip(by_factor, _factors(model), strict=True):
        rows, columns = _theta_order(len(cov), diagonal)
        random = limits.correlation[rows, columns]
        random[rows == columns] = limits.sd
        found.append(random)
    return np.concatenate([*found, [by_factor[0].sigma], by_factor[0].fixed])


def bootstrap_limits(model, level, *, n_bootstrap, random_state, n_jobs, verbose):
    """Quantiles of the estimates from y drawn anew from the fitted model."""
    entropy = check_random_state(random_state).randint(2**31, size=4)
    seeds = np.random.SeedSequence(entropy.tolist()).spawn(n_bootstrap)
    refit = delayed(model._fitted.redraw(tol=model.tol, max_iter=model.max_iter))
    jobs = (refit(seeds=seeds[batch]) for batch in gen_batches(n_bootstrap, BATCH))
    draws, failed = [], 0
    parallel = Parallel(n_jobs=n_jobs, verbose=verbose, return_as="generator")
    for drawn in parallel(jobs):
        by_factor = drawn if isinstance(drawn, list) else [drawn]
        first, cov = by_factor[0], [of.random_effects_cov for of in by_factor]
        beta = np.where(model.coef_cov_.isna().all(), np.nan, first.beta)
        draws.append(_in_order(model, cov, first.sigma2, beta))
        failed += np.count_nonzero(~first.converged)
    if failed:
        message = REFITS_NOT_CONVERGED.format(failed=failed, total=n_bootstrap)
        warn(message, ConvergenceWarning)
    draws, tails = np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2]
    with warnings.catch_warnings():  # a correlation is not there where a variance is 0
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanquantile(draws, tails, axis=0).T


def _factors(model):
    """Name of each factor, its covariances, and whether it has no correlations."""
    if not model._columns.factors:
        cov = model.random_effects_cov_
        return [(model.groups_.name, cov, len(model.theta_) == len(cov))]
    return [
        (name, cov, of.diagonal)
        for (name, cov), of in zip(
            model.random_effects_cov_.items(), model._fitted.specifications, strict=True
        )
    ]


def _theta_order(q, diagonal):
    """Rows and columns of the free entries of Lambda, column by column."""
    if diagonal:
        return np.arange(q), np.arange(q)
    columns, rows = np.triu_indices(q)
    return rows, columns


def _in_order(model, covs, sigma2, beta):
    """Join standard deviations and correlations, sigma and beta along the last axis."""
    random = random_parameters(model, covs)
    return np.concatenate([random, np.sqrt(sigma2)[..., None], beta], axis=-1)


def random_parameters(model, covs):
    """Put standard deviations and correlations, by factor, in the order of their names."""
    random = []
    for cov, (_, _, diagonal) in zip(covs, _factors(model), strict=True):
        rows, columns = _theta_order(cov.shape[-1], diagonal)
        sd = np.sqrt(np.einsum("...aa->...a", cov))
        with np.errstate(invalid="ignore", divide="ignore"):
            correlations = cov[..., rows, columns] / (sd[..., rows] * sd[..., columns])
        random.append(np.where(rows == columns, sd[..., rows], correlations))
    return np.concatenate(random, axis=-1)
