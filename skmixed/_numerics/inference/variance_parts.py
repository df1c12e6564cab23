"""Where the variance of y lies: within or between groups, explained or not."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.fit.criterion_iterative import Probes
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.factors import FactorFit
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.columns import (
    drop_columns,
    drop_columns_of_factors,
    features_of,
)
from skmixed._numerics.moments.moments import GroupedMoments


def variances_by_level(moments: GroupedMoments, contrasts: Array) -> tuple[Array, Array]:
    """Split the variance of linear combinations of the columns by level.

    The variance components of a one-way analysis of variance, by its mean squares. Means of
    groups that differ by chance alone have no variance between groups, on average: the
    component may be negative.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of D = [1, X, y] around their shift.
    contrasts : ndarray of shape (k, n_columns)
        Coefficients of the columns of D, likewise around their shift.

    Returns
    -------
    within, between : ndarray of shape (k,)
        Variances.
    """
    n, sizes, n_groups = moments.n, moments.sizes, len(moments.labels)
    # squares of the combinations around the shift: in total, of their mean, of group means
    square = np.einsum("ka,ab,kb->k", contrasts, moments.T, contrasts)
    of_mean = (contrasts @ moments.T[0]) ** 2 / n
    of_groups = np.sum((contrasts @ moments.C[0]) ** 2 / sizes, axis=1)
    total = np.maximum(square - of_mean, 0.0) / (n - 1)
    if not 1 < n_groups < n:
        return total, np.zeros_like(total)
    within = np.maximum(square - of_groups, 0.0) / (n - n_groups)
    typical_size = (n - np.sum(sizes**2) / n) / (n_groups - 1)
    return within, ((of_groups - of_mean) / (n_groups - 1) - within) / typical_size


def explained_variances(moments: GroupedMoments, coef: Array) -> tuple[float, float]:
    """Return the variance of x'coef within and between groups.

    If group means differ less than by chance, as in a balanced design, all of it is within.
    """
    contrast = np.array([[0.0, *coef, 0.0]])
    within, between = variances_by_level(moments, contrast)
    return float((within + np.minimum(between, 0.0))[0]), max(float(between[0]), 0.0)


def random_variances(
    moments: GroupedMoments, cov: Array, *, random_intercept: bool
) -> tuple[float, float]:
    """Return the variance of z'b_j within and between groups, averaged over the rows.

    With the covariance F F' they are sums over the columns f of F. What of (z'f)^2 comes from
    differences of z within groups is variance within groups; the rest, the square of the
    mean included, is variance between them.

    Parameters
    ----------
    moments : GroupedMoments
        Cross-products of D = [1, X, y], with the random columns of the model.
    cov : ndarray of shape (q, q)
        Covariance of the random effects, in the user's coordinates.
    random_intercept : bool
        Whether the column of ones is a random column.

    Returns
    -------
    within, between : float
        Variances.
    """
    columns = list(moments.random) if random_intercept else list(moments.random[1:])
    size, V = np.linalg.eigh(cov)  # F = V sqrt(size), also where cov is singular
    contrasts = np.zeros((len(cov), len(moments.shift)))
    contrasts[:, columns] = (V * np.sqrt(np.maximum(size, 0.0))).T
    contrasts[:, 0] += contrasts @ moments.shift  # z is z - shift plus so many ones
    within, between = variances_by_level(moments, contrasts)
    mean = contrasts @ moments.T[0] / moments.n
    return float(within.sum()), max(float(np.sum(between + mean**2)), 0.0)


def null_variances(
    moments: GroupedMoments, *, reml: bool, tol: float, max_iter: int
) -> tuple[float, float]:
    """Return the variances of ``y ~ 1 + (1 | group)`` within and between groups."""
    problem = make_problem(drop_columns(moments.with_random((0,)), features_of(moments)))
    criterion, optimum = estimate(problem, reml=reml, tol=tol, max_iter=max_iter)
    solution = solve(criterion, optimum.Lambda)
    return solution.sigma2, solution.sigma2 * float(solution.Lambda[0, 0]) ** 2


def null_variances_of_factors(
    moments: FactorMoments, *, reml: bool, tol: float, max_iter: int
) -> tuple[float, ...]:
    """Return the variances of ``y ~ 1 + (1 | f) + (1 | g) + ...``, that of residuals last."""
    moments = moments.with_random([(0,)] * len(moments.factors))
    moments = drop_columns_of_factors(moments, features_of(moments))
    specifications = [Specification(reml=reml)] * len(moments.factors)
    fit = FactorFit.of(
        moments,
        specifications,
        tol=tol,
        max_iter=max_iter,
        solver="auto",
        probes=Probes(16, 0),
    )
    solution = fit.solution
    variances = [solution.sigma2 * float(Lambda[0, 0]) ** 2 for Lambda in solution.Lambdas]
    return *variances, solution.sigma2
