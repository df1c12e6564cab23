"""Where the search starts: the pooled fit, variances from its scores, and the information.

Without random effects, groups have scores s_j = Z_j'residual with expected squares
V_j = Z_j'WZ_j, and -2 log L changes with Psi by sum_j V_j - s_j s_j'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.likelihoods.criterion import Criterion
from skmixed._numerics.likelihoods.families import Family, exponential
from skmixed._numerics.likelihoods.modes import find_modes
from skmixed._numerics.likelihoods.rows import Chunk, LikelihoodRows
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import (
    gram,
    quadratic_form,
    solve_lower,
    sum_of_outer,
)

# Standard deviations to start from are no smaller: the criterion is flat in them at 0. Where
# 0 is a minimum a second one is looked for farther away.
LEAST_START = 0.2
FAR_START = 2.0
LARGEST_START = 2.0
# Averages over groups leave at least this share of squared coefficients.
LEAST_LEFT = 0.25
MOST_STEPS = 100


@dataclass(frozen=True)
class Pooled:
    """The fit without random effects.

    Attributes
    ----------
    beta : ndarray of shape (p,)
    value : float
        -2 log L without the constant of the data.
    by_psi : ndarray of shape (q, q)
        Its derivative by the covariance of random effects, at 0.
    moment : ndarray of shape (q,)
        Variances that would explain the squares of the groups' scores.
    """

    beta: Array
    value: float
    by_psi: Array
    moment: Array

    @property
    def is_minimum_at_zero(self) -> bool:
        """Whether any small variance raises -2 log L."""
        return bool(np.linalg.eigvalsh(self.by_psi).min(initial=np.inf) > 0)


def fit_pooled(rows: LikelihoodRows, family: Family, tol: float) -> Pooled:
    """Newton's method for the coefficients, damped, until it promises less than tol."""
    beta = _level(rows, family)
    value, g, H, sums = _pooled_sums(rows, family, beta)
    for _ in range(MOST_STEPS):
        step = np.linalg.lstsq(H, g, rcond=1e-13)[0]
        if g @ step <= tol:
            break
        for _ in range(MOST_STEPS):
            new = _pooled_sums(rows, family, beta + step)
            if new[0] <= value + 1e-13 * abs(value):
                break
            step = step / 2
        beta, (value, g, H, sums) = beta + step, new
    V, squares, fourth = sums
    moment = (np.diag(squares) - np.diag(V)) / np.maximum(fourth, np.finfo(np.float64).tiny)
    return Pooled(beta, value, V - squares, moment)


def _level(rows: LikelihoodRows, family: Family) -> Array:
    """Coefficients of nothing but the mean of y."""
    beta = np.zeros(rows.p)
    if rows.fit_intercept:
        w = 1.0 if rows.w is None else rows.w
        total = np.sum(w * rows.y, dtype=np.float64)
        # half a row of each kind more: the mean of nothing but zeros has a link
        mean = (total + 0.5) / (rows.total_weight + 1.0)
        at_ones = rows.columns.fixed[0, 0]
        beta[0] = family.link(float(mean)) / at_ones
    return beta


def _pooled_sums(
    rows: LikelihoodRows, family: Family, beta: Array
) -> tuple[float, Array, Array, tuple[Array, Array, Array]]:
    """-2 log L, minus half its gradient, half its Hessian, and sums of groups' scores."""
    p, q = rows.p, rows.q
    value, g, H = 0.0, np.zeros(p), np.zeros((p, p))
    V, squares, fourth = np.zeros((q, q)), np.zeros((q, q)), np.zeros(q)
    for chunk in rows.chunks(family):
        eta = rows.predict(chunk.X, beta)
        e = exponential(eta.copy() if chunk.sign is None else chunk.sign * eta)
        slopes = family.slopes(e, chunk.y, chunk.w)
        value -= 2 * float(family.sums(e, chunk.w, chunk.segments).sum())
        if chunk.linear is not None:
            value -= 2 * float(chunk.linear @ eta)
        D = rows.fixed_columns(chunk.X)
        g += D @ slopes.residual
        H += (D * slopes.weight) @ D.T
        s = chunk.segments.sum(chunk.Z * slopes.residual)
        v = chunk.segments.sum(chunk.Z**2 * slopes.weight)
        squares += s @ s.T
        V += (chunk.Z * slopes.weight) @ chunk.Z.T
        fourth += np.sum(v**2, axis=1)
    return value, g, H, (V, squares, fourth)


def start(pooled: Pooled, family: Family) -> tuple[Array, Array]:
    """Coefficients and Lambda to start from: pooled ones are those of averages over groups."""
    if pooled.is_minimum_at_zero:
        return pooled.beta, np.diag(np.full(len(pooled.moment), FAR_START))
    variance = np.clip(pooled.moment, LEAST_START**2, LARGEST_START**2)
    left = max(1.0 - family.attenuation * variance.sum(), LEAST_LEFT)
    return pooled.beta / np.sqrt(left), np.diag(np.sqrt(variance / left))


def information(criterion: Criterion, beta: Array, Lambda: Array, u: Array) -> Array:
    """Expect a Hessian of -2 log L by (beta, theta), for rows linear in eta around the modes.

    With G = Z'WZ and Q = G - G Lambda H^-1 Lambda'G it is 2 (X'WX - X'WZ Lambda H^-1 Lambda'
    Z'WX) for beta, and for changes E_a, E_b of Psi the sum of tr(Q E_a Q E_b).
    """
    rows, family = criterion.rows, criterion.family
    p, q = rows.p, rows.q
    M, P = np.zeros((p, p)), np.zeros((q,) * 4)
    for chunk in rows.chunks(family):
        fixed = rows.predict(chunk.X, beta)
        modes = find_modes(family, chunk, fixed, Lambda, u[:, chunk.groups])
        D, weight = rows.fixed_columns(chunk.X), modes.slopes.weight
        M += (D * weight) @ D.T
        C, G = _group_sums(chunk, D, weight)
        M -= gram(solve_lower(modes.L, np.einsum("ab,amk->bmk", Lambda, C)))
        R = solve_lower(modes.L, np.einsum("ab,ack->bck", Lambda, G))
        Q = G - np.einsum("abk,ack->bck", R, R)
        P += sum_of_outer(Q, Q)
    changes = _changes(Lambda, *rows.columns.entries)
    total = np.zeros((p + len(changes),) * 2)
    total[:p, :p] = 2 * M
    total[p:, p:] = quadratic_form(changes, P)
    return total


def _group_sums(chunk: Chunk, D: Array, weight: Array) -> tuple[Array, Array]:
    """Z'WX and Z'WZ of each group, shapes (q, p, k) and (q, q, k)."""
    columns = np.concatenate([D, chunk.Z])
    q = len(chunk.Z)
    sums = np.stack([chunk.segments.sum(columns * (z * weight)) for z in chunk.Z])
    return sums[:, :-q], sums[:, -q:]


def _changes(Lambda: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    """Differentiate Psi by the free entries of Lambda, shape (n_entries, q, q)."""
    changes = np.zeros((len(rows), *Lambda.shape))
    for change, row, column in zip(changes, rows, columns, strict=True):
        change[row] = Lambda[:, column]
        change += change.T.copy()
    return changes
