"""Where searches for the variances of several factors begin.

The first begins at the moments of one-way tables, others where another minimum may be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skmixed._numerics.fit.problem_of_factors import FactorsProblem
from skmixed._numerics.linalg.arrays import Array

# Two factors divide the rows nearly alike if no more than so many pairs of levels meet, for
# each level of the one with fewer; rows are few if there are no more than so many an effect.
MOST_CELLS, FEW_ROWS = 1.5, 1.25
# Relative variances to start from, at least and at most.
LEAST, MOST = 1e-2, 1e8
# From this cosine on columns are alike.
ALIKE = 0.5
# A relative variance as of effects that make up for each other.
LARGE = 16.0


def anova_start(problem: FactorsProblem) -> list[Array]:
    """Return a diagonal Psi of each factor, such that squares are what is expected.

    For the residuals r of least squares, and each random column z on its own, the squares
    sum_j (z_j'r_j)^2 / z_j'z_j and r'r have expectations that are linear in the variances
    of all columns and of residuals. Fixed effects count in r'r; in the others their mean does.
    """
    beta = np.linalg.solve(problem.T[:-1, :-1], problem.T[:-1, -1])
    residual = np.append(-beta, 1.0)
    columns = [(f, a) for f, q in enumerate(problem.q) for a in range(q)]
    size = len(columns) + 1
    expected, observed = np.zeros((size, size)), np.zeros(size)
    inverse = [_inverse_squares(G) for G in problem.G]
    has_ones = problem.coordinates.constant is not None
    for i, (f, a) in enumerate(columns):
        observed[i] = np.sum((residual @ problem.C[f][a]) ** 2 * inverse[f][a])
        expected[i, -1] = np.count_nonzero(inverse[f][a])
        for k, (g, b) in enumerate(columns):
            expected[i, k] = _trace(problem, inverse, (f, a), (g, b))
    if has_ones:
        ones = [np.sum(problem.C[f][a, 0] ** 2) / problem.n for f, a in columns]
        # the share of the ones that lies in the span of each column
        share = np.array(
            [np.sum(problem.C[f][a, 0] ** 2 * inverse[f][a]) / problem.n for f, a in columns]
        )
        expected[:-1, :-1] -= np.outer(share, ones)
        expected[:-1, -1] -= share
    observed[-1] = residual @ problem.T @ residual
    expected[-1, -1] = problem.n - problem.p
    L = np.linalg.inv(np.linalg.cholesky(problem.T[:-1, :-1]))
    for k, (g, b) in enumerate(columns):
        fixed = np.sum((L @ problem.C[g][b, :-1]) ** 2)
        expected[-1, k] = problem.G[g][b, b].sum() - fixed
    variances = np.linalg.lstsq(expected, observed, rcond=1e-10)[0]
    sigma2 = variances[-1] if variances[-1] > 0 else observed[-1] / problem.n
    ratios = np.clip(variances[:-1] / max(sigma2, np.finfo(np.float64).tiny), LEAST, MOST)
    return [
        np.diag([ratio for ratio, (g, _) in zip(ratios, columns, strict=True) if g == f])
        for f in range(len(problem.q))
    ]


def other_starts(
    problem: FactorsProblem, first: Sequence[Array], Lambdas: Sequence[Array]
) -> list[list[Array]]:
    """Where another minimum than the one found may be.

    Factors without effects, and uncorrelated effects that do not vary, may vary as much as
    residuals. And uncorrelated effects of columns that are alike, as are a level and slopes
    of a column far from 0, may make up for each other: all of them large, or with one of them
    left out, or with those that do not vary in place of the others.

    Parameters
    ----------
    problem : FactorsProblem
        The moments.
    first : sequence of ndarray of shape (q_f, q_f)
        Psi of each factor where the search began.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Where it ended.

    Returns
    -------
    list of list of ndarray
        Psi of each factor.
    """
    Psi = [L @ L.T for L in Lambdas]
    starts = []
    null = [
        np.diag(1.0 - L.any(axis=1)) if own or not L.any() else np.zeros_like(L)
        for L, own in zip(Lambdas, problem.diagonal, strict=True)
    ]
    if any(N.any() for N in null):
        starts.append([P + N for P, N in zip(Psi, null, strict=True)])
    for f, (G, N) in enumerate(zip(problem.G, null, strict=True)):
        if not problem.diagonal[f] or not _are_alike(G.sum(axis=-1)):
            continue
        starts.append([*Psi[:f], LARGE * np.eye(len(N)), *Psi[f + 1 :]])
        if N.any():
            starts.append([*Psi[:f], N * float(Psi[f].max()), *Psi[f + 1 :]])
        else:
            for column in range(len(N)):
                one_less = first[f].copy()
                one_less[column] = 0.0
                starts.append([*first[:f], one_less, *first[f + 1 :]])
    return starts


def starts_without_a_factor(
    problem: FactorsProblem, first: Sequence[Array]
) -> list[list[Array]]:
    """Give other starts, each without one of the factors: optima of submodels are near these.

    They are needed where factors divide the rows nearly alike, or rows are few beside effects.

    Parameters
    ----------
    problem : FactorsProblem
        The moments.
    first : sequence of ndarray of shape (q_f, q_f)
        Psi of each factor where the search began.

    Returns
    -------
    list of list of ndarray
        Psi of each factor.
    """
    n_effects = sum(G.shape[0] * G.shape[-1] for G in problem.G)
    alike = any(
        len(cells.first) <= MOST_CELLS * min(problem.n_levels[f], problem.n_levels[g])
        for (f, g), cells in problem.cells.items()
    )
    if not alike and problem.n > FEW_ROWS * n_effects:
        return []
    return [
        [np.zeros_like(P) if g == f else P for g, P in enumerate(first)]
        for f in range(len(first))
    ]


def _are_alike(ZZ: Array) -> bool:
    """Whether two columns have most of their squares in common, by their cross-products."""
    size = np.sqrt(np.diag(ZZ))
    return bool(np.any(np.abs(np.triu(ZZ / np.outer(size, size), 1)) > ALIKE))


def _inverse_squares(G: Array) -> Array:
    """1 / G_aa, or 0, shape (q, J)."""
    squares = np.einsum("aak->ak", G)
    positive = squares > 0
    return np.asarray(np.divide(1.0, squares, out=np.zeros_like(squares), where=positive))


def _trace(
    problem: FactorsProblem, inverse: list[Array], of: tuple[int, int], by: tuple[int, int]
) -> float:
    """Sum (z_j'z_l)^2 / z_j'z_j over the levels j and l of two columns."""
    (f, a), (g, b) = of, by
    if f == g:
        return float(np.sum(problem.G[f][a, b] ** 2 * inverse[f][a]))
    cells = problem.cells[min(f, g), max(f, g)]
    values, own = (
        (cells.values[a, b], cells.first) if f < g else (cells.values[b, a], cells.second)
    )
    return float(np.sum(values**2 * inverse[f][a, own]))
