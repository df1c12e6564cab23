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
from skmixed._numerics.likelihoods.search import LARGEST_SD, Optimum, Point, minimize
from skmixed._numerics.likelihoods.segments import Segments
from skmixed._numerics.likelihoods.separation import separated_column
from skmixed._numerics.likelihoods.start import fit_pooled, start
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.triangular import triangular

# What steps of the pooled fit still promise, in all or by row, where it is only a start.
ROUGH = 0.1
ROUGH_BY_ROW = 1e-4
# Standard deviations of random effects, in units of columns of order one, that may be 0.
SMALL = 0.1
# Where larger ones are found, or rows of yes or no are few, there may be several minima.
LARGE = 5.0
FEW_ROWS = 500
# They run away if twice as large ones raise -2 log L by less. The criterion is bumpy there.
FLAT = 1.0
MOST_DOUBLED = 4


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
    runaway : bool
        Whether random effects vary so much that the data do not bound their standard
        deviation: twice as much explains them as well, and there may be no finite estimate.
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
    runaway: bool = False

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
    few = family.name == "binomial" and rows.n_rows <= FEW_ROWS
    if few or optimum.point.largest_sd > LARGE:
        far = Point.at(criterion, pooled.beta, np.eye(rows.q) * 2 * LARGE)
        optimum = _lower(optimum, minimize(criterion, far, tol, max_iter))
        optimum = _follow(criterion, optimum, tol, max_iter)
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


def _lower(optimum: Optimum, other: Optimum) -> Optimum:
    """Take the other one if it is lower by more than rounding."""
    return optimum if _better(other, optimum) is optimum else other


def _follow(criterion: Criterion, optimum: Optimum, tol: float, max_iter: int) -> Optimum:
    """Search farther out while random effects run away."""
    for _ in range(MOST_DOUBLED):
        if optimum.point.largest_sd > LARGEST_SD or not _runs_away(criterion, optimum.point):
            break
        twice = Point.at(criterion, 2 * optimum.point.beta, 2 * optimum.point.Lambda)
        found = _lower(optimum, minimize(criterion, twice, tol, max_iter))
        if found is optimum:
            break
        optimum = found
    return optimum


def _runs_away(criterion: Criterion, point: Point) -> bool:
    """Whether twice the standard deviations, and coefficients, do hardly worse."""
    if not LARGE < point.largest_sd <= LARGEST_SD:
        return point.largest_sd > LARGEST_SD
    if (
        criterion.rows.is_constant
        and criterion.family.name == "binomial"
        and _are_alike(criterion)
    ):
        return True
    twice = criterion.evaluate(2 * point.beta, 2 * point.Lambda, point.evaluation.u)
    return twice.value < point.value + FLAT


def _are_alike(criterion: Criterion) -> bool:
    """Whether no group has a yes and a no: infinite random effects explain all of them."""
    sizes = criterion.rows.sizes
    seen = Segments.of_sizes(sizes).sum(criterion.rows.y)
    return bool(np.all((seen == 0) | (seen == sizes)))


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
        runaway=_runs_away(criterion, point),
        singular=bool(np.linalg.matrix_rank(Lambda) < len(Lambda)),
    )
