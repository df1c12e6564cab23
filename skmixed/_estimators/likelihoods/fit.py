"""Checked rows -> fit -> what a model keeps of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.likelihoods.fitted import (
    FittedLikelihood,
    RandomColumns,
    SumsOfRows,
    quadratic_forms,
)
from skmixed._numerics.inference.explained_variance import ExplainedVariance
from skmixed._numerics.likelihoods.conditional import ConditionalEffects
from skmixed._numerics.likelihoods.criterion import Criterion
from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._numerics.likelihoods.fit import LikelihoodFit, fit_likelihood
from skmixed._numerics.likelihoods.rows import LikelihoodRows
from skmixed._numerics.likelihoods.separation import separated_column
from skmixed._numerics.likelihoods.start import fit_pooled, information

# Newton's method takes one more step where a search would end: it squares the error.
LAST_STEP = 1e-4


class Estimates(NamedTuple):
    """What a fit found, in the user's columns.

    Attributes
    ----------
    beta : ndarray of shape (n_terms,)
        Fixed effects, the intercept first if there is one; 0 if dropped.
    Lambda : ndarray of shape (q, q)
        Triangular factor of the covariance of the random effects.
    effects : ConditionalEffects
        Distribution of the groups' random effects given their rows.
    kept, runs_away : ndarray of shape (n_terms,), dtype bool
        Which terms have a coefficient, and which of these no finite estimate.
    log_likelihood : float
        With all constants.
    is_singular, converged : bool
    n_iter : int
    fit : LikelihoodFit or None
        The fit with its rows; None without groups.
    coef_cov : ndarray of shape (n_terms, n_terms) or None
        Covariance of the coefficients of a fit without groups.
    """

    beta: np.ndarray
    Lambda: np.ndarray
    effects: ConditionalEffects
    kept: np.ndarray
    runs_away: np.ndarray
    log_likelihood: float
    is_singular: bool
    converged: bool
    n_iter: int
    fit: LikelihoodFit | None = None
    coef_cov: np.ndarray | None = None


class Specification(NamedTuple):
    """Which model is fitted, and how.

    Attributes
    ----------
    family : str
        "binomial" or "poisson".
    random : RandomColumns
        Columns with random effects.
    random_only : tuple of int
        Positions among the features of those that are no fixed effects.
    n_nodes : int
        Nodes of the quadrature.
    fit_intercept, diagonal : bool
        Whether there is a fixed intercept; whether random effects are uncorrelated.
    tol, max_iter : float and int
        Of the search.
    """

    family: str
    random: RandomColumns
    random_only: tuple[int, ...]
    n_nodes: int
    fit_intercept: bool
    diagonal: bool
    tol: float
    max_iter: int


def estimate(rows, specification):
    """Fit checked rows that all have a weight; a pooled model if they have no groups."""
    has_groups = rows.codes is not None
    random = specification.random.of_ones_and_features if has_groups else (0,)
    sorted_rows = LikelihoodRows.from_rows(
        rows.X,
        rows.y,
        rows.codes if has_groups else np.zeros(len(rows.y), dtype=np.intp),
        rows.sample_weight,
        random=random,
        random_only=tuple(1 + position for position in specification.random_only),
        fit_intercept=specification.fit_intercept,
        diagonal=specification.diagonal,
    )
    return (_mixed if has_groups else _pooled)(sorted_rows, specification)


def _mixed(rows, specification):
    fit = fit_likelihood(
        rows,
        FAMILIES[specification.family],
        n_nodes=specification.n_nodes,
        tol=specification.tol,
        max_iter=specification.max_iter,
    )
    return Estimates(
        beta=fit.coef,
        Lambda=fit.Lambda,
        effects=fit.effects,
        kept=rows.columns.kept,
        runs_away=_as_mask(fit.separated, len(fit.coef)),
        log_likelihood=-fit.value / 2,
        is_singular=fit.singular,
        converged=fit.converged,
        n_iter=fit.n_iter,
        fit=fit,
    )


def _pooled(rows, specification):
    """Fit without random effects."""
    family, columns = FAMILIES[specification.family], rows.columns
    q = len(specification.random.of_ones_and_features)
    pooled = fit_pooled(rows, family, LAST_STEP * specification.tol)
    return Estimates(
        beta=columns.to_user_coefficients(pooled.beta),
        Lambda=np.zeros((q, q)),
        effects=ConditionalEffects(np.zeros((q, 0)), np.zeros((q, q, 0)), None, None),
        kept=columns.kept,
        runs_away=_as_mask(separated_column(rows, family, pooled.beta), len(columns.kept)),
        log_likelihood=(family.constant(rows.y, rows.w) - pooled.value / 2),
        is_singular=False,
        converged=True,
        n_iter=1,
        coef_cov=columns.to_user_covariance(_pooled_covariance(rows, family, pooled.beta)),
    )


def _as_mask(position, n_terms):
    """Mark a term, or none."""
    return np.isin(np.arange(n_terms), [] if position is None else [position])


def _pooled_covariance(rows, family, beta):
    """Inverse information of the coefficients without random effects."""
    nothing, u = np.zeros((rows.q, rows.q)), np.zeros((rows.q, rows.n_groups))
    by_both = information(Criterion(rows, family), beta, nothing, u)
    return 2 * np.linalg.pinv(by_both[: rows.p, : rows.p], hermitian=True)


def keep(estimates, rows, specification):
    """Sum up what later questions need of the rows.

    Parameters
    ----------
    estimates : Estimates
        Of the fit to these rows.
    rows : TrainingRows
        Checked rows that all have a weight.
    specification : Specification
        The model.

    Returns
    -------
    FittedLikelihood
    """
    latent, pearson = _measure(estimates, rows, specification)
    return FittedLikelihood(
        family=specification.family,
        random=specification.random,
        Psi=estimates.Lambda @ estimates.Lambda.T,
        effects=estimates.effects,
        kept=estimates.kept,
        sums=SumsOfRows.of(rows),
        latent=latent,
        pearson=pearson,
        fit=estimates.fit,
        known_coef_cov=estimates.coef_cov,
    )


def _measure(estimates, rows, specification):
    """Variances on the scale of the link, and Pearson's chi-square of counts at the modes."""
    family, X = specification.family, rows.X
    first = len(estimates.beta) - X.shape[1]  # 1 with an intercept, else 0
    eta = safe_sparse_dot(X, estimates.beta[first:])
    eta += estimates.beta[:first].sum()
    Z = specification.random.of_rows(X)
    spread = quadratic_forms(Z, estimates.Lambda @ estimates.Lambda.T)
    latent = _latent_variances(family, rows, eta, spread)
    if family == "binomial":
        return latent, np.nan
    if rows.codes is not None:
        eta += np.einsum("nq,qn->n", Z, estimates.effects.modes[:, rows.codes])
    return latent, _pearson(rows, FAMILIES[family].mean(eta))


def _pearson(rows, mean):
    """Pearson's chi-square of counts w y with means w mu, for weights w that are exposures."""
    weight = 1.0 if rows.sample_weight is None else rows.sample_weight
    mean = np.maximum(mean, np.finfo(np.float64).tiny)
    return float(np.sum(weight * (rows.y - mean) ** 2 / mean))


def _latent_variances(family, rows, eta, spread):
    """Variances of fixed effects, random effects and the distribution.

    A weighted row is several if binary; of counts it is one, with its exposure.
    """
    weight = np.ones(len(eta)) if rows.sample_weight is None else rows.sample_weight
    if family == "binomial":
        residual = np.pi**2 / 3
    else:
        means = weight * np.exp(eta + spread / 2)
        residual = float(np.log1p(1 / means.mean()))
        weight = np.ones(len(eta))
    n = weight.sum()
    around = eta - weight @ eta / n
    around *= around
    fixed = float(weight @ around) / (n - 1) if n > 1 else np.nan
    return ExplainedVariance(fixed, (float(weight @ spread) / n,), residual)
