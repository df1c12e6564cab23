"""The fit: start, search, and what lies on the boundary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.likelihoods.conditional import (
    ConditionalEffects,
    conditional_effects,
)
from skmixed._numerics.likelihoods.criterion import Criterion
from skmixed._numerics.likelihoods.families import Family
from skmixed._numerics.likelihoods.rows import LikelihoodRows
from skmixed._numerics.likelihoods.search import Optimum, Point, minimize
from skmixed._numerics.likelihoods.separation import separated_column
from skmixed._numerics.likelihoods.start import fit_pooled, start
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.triangular import triangular

# What steps of the pooled fit still promise where it is only a start: so much, or so much a row.
ROUGH = 0.1
ROUGH_BY_ROW = 1e-4
# Standard deviations of random effects, in units of columns of order one, that may be 0.
SMALL = 0.1
# Larger ones are hardly estimated: groups tell yes from no all by themselves.
RUNAWAY = 5.0


@dataclass(frozen=True)
class LikelihoodFit:
    """A fitted model, in the user's columns.

    Attributes
    ----------
    criterion : Criterion
        The function that was minimised.
    optimum : Optimum
        Where, in the coordinates of the search.
    value : float
        -2 log L, all constants included, on the same scale for every number of nodes.
    coef : ndarray of shape (n_fixed,)
        Fixed effects of [1, X], or of X without an intercept; 0 if dropped.
    Lambda : ndarray of shape (n_random, n_random)
        Triangular factor of Psi.
    Psi : ndarray of shape (n_random, n_random)
        Covariance of the random effects, on the scale of the link.
    effects : ConditionalEffects
        Conditional modes of the groups in `rows.groups`, and their distribution.
    converged : bool
    singular : bool
        Whether Psi is singular.
    separated : int or None
        The fixed column whose coefficient has no finite estimate, if there is one.
    """

    criterion: Criterion
    optimum: Optimum
    value: float
    coef: Array
    Lambda: Array
    Psi: Array
    effects: ConditionalEffects
    converged: bool
    singular: bool
    separated: int | None

    @property
    def n_iter(self) -> int:
        """Steps of the search."""
        return self.optimum.n_iter

    @property
    def gradient_norm(self) -> float:
        """Largest derivative by a free parameter, scaled to columns of order one."""
        return float(np.abs(self.optimum.point.gradient).max(initial=0.0))

    @property
    def n_parameters(self) -> int:
        """Number of coefficients and of entries of Psi."""
        columns = self.criterion.rows.columns
        return columns.p + len(columns.entries[0])


def fit_likelihood(
    rows: LikelihoodRows,
    family: Family,
    *,
    n_nodes: int = 1,
    tol: float = 1e-8,
    max_iter: int = 100,
) -> LikelihoodFit:
    """Fit a generalised linear mixed model with one grouping factor.

    Parameters
    ----------
    rows : LikelihoodRows
        What `LikelihoodRows.from_rows` made of the user's rows.
    family : Family
        `binomial` or `poisson`.
    n_nodes : int, default=1
        Nodes of the quadrature, which takes a single random column; 1 is Laplace's
        approximation.
    tol : float, default=1e-8
        The search ends where a step promises to lower -2 log L by less.
    max_iter : int, default=100
        Most steps of the search.
    """
    criterion = Criterion(rows, family, n_nodes)
    optimum = _search(criterion, tol, max_iter)
    return _fit(criterion, optimum, tol)


def _search(criterion: Criterion, tol: float, max_iter: int) -> Optimum:
    """Search from variances above 0, and from 0 where that is a minimum."""
    rows, family = criterion.rows, criterion.family
    pooled = fit_pooled(rows, family, max(ROUGH, ROUGH_BY_ROW * rows.n_rows))
    beta, Lambda = start(pooled, family)
    point = Point.at(criterion, beta, Lambda)
    optimum = minimize(criterion, point, tol, max_iter)
    if np.abs(optimum.point.Lambda).max(initial=0.0) > RUNAWAY:  # there may be several minima
        far = Point.at(criterion, pooled.beta, np.eye(rows.q) * 2 * RUNAWAY)
        optimum = _better(optimum, minimize(criterion, far, tol, max_iter))
    for zero in _without_small(optimum.point.Lambda, rows.columns.diagonal):
        optimum = _better(optimum, _restart(criterion, optimum, zero, tol, max_iter))
    if pooled.is_minimum_at_zero and optimum.point.Lambda.any():
        exact = fit_pooled(rows, family, tol)
        at_zero = Point.at(criterion, exact.beta, np.zeros_like(Lambda))
        optimum = _better(optimum, minimize(criterion, at_zero, tol, max_iter))
    return optimum


def _restart(
    criterion: Criterion, optimum: Optimum, Lambda: Array, tol: float, max_iter: int
) -> Optimum:
    point = Point.at(criterion, optimum.point.beta, Lambda)
    found = minimize(criterion, point, tol, max_iter)
    return Optimum(found.point, found.predicted_decrease, optimum.n_iter + found.n_iter)


def _without_small(Lambda: Array, diagonal: bool) -> list[Array]:
    """Factors of fewer random effects, where one hardly varies."""
    U, sd, _ = np.linalg.svd(Lambda)
    if diagonal:
        U, sd = np.eye(len(Lambda)), np.abs(np.diag(Lambda))
    left = np.where(sd < SMALL, 0.0, sd)
    if np.array_equal(left, sd):
        return []
    return [triangular(U * left, diagonal=diagonal)]


def _better(optimum: Optimum, other: Optimum) -> Optimum:
    """Take the other one if it is no higher, up to rounding: it is the simpler one."""
    error = 1e-9 + 1e-12 * abs(optimum.point.value)
    return other if other.point.value <= optimum.point.value + error else optimum


def _fit(criterion: Criterion, optimum: Optimum, tol: float) -> LikelihoodFit:
    """Bring the estimates to the user's columns."""
    rows, point = criterion.rows, optimum.point
    columns = rows.columns
    Lambda = columns.to_user_factor(point.Lambda)
    return LikelihoodFit(
        criterion=criterion,
        optimum=optimum,
        value=point.value + criterion.constant,
        coef=columns.to_user_coefficients(point.beta),
        Lambda=Lambda,
        Psi=Lambda @ Lambda.T,
        effects=conditional_effects(criterion, point.beta, point.Lambda, point.evaluation.u),
        converged=optimum.predicted_decrease <= tol,
        separated=separated_column(rows, criterion.family, point.beta),
        singular=bool(np.linalg.matrix_rank(Lambda) < len(Lambda)),
    )
