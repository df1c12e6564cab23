"""Coefficients without a finite estimate: columns that separate what was seen.

Along a direction v of the coefficients the likelihood never falls, and rises without end, if

    (2 y - 1) x'v >= 0 for all rows, > 0 for some                               (binomial),
    x'v = 0 where y > 0, x'v <= 0 where y = 0, < 0 for some                     (Poisson),

whatever the random effects are. A linear program finds one.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from skmixed._numerics.likelihoods.families import Family
from skmixed._numerics.likelihoods.rows import Chunk, LikelihoodRows
from skmixed._numerics.linalg.arrays import Array

# Linear predictors that are no larger, in size, are those of probabilities beyond 1e-5; that
# of a count takes in its exposure.
LARGE = 12.0
# Sums that are a smaller share of the largest one that can be are 0.
NOTHING = 1e-9


def separated_column(rows: LikelihoodRows, family: Family, beta: Array) -> int | None:
    """Return the user's fixed column whose coefficient runs away fastest, or None.

    Parameters
    ----------
    beta : ndarray of shape (p,)
        Estimates in the coordinates of the search.
    """
    if not rows.p or not _is_suspicious(rows, family, beta):
        return None
    if rows.fit_intercept and np.ptp(rows.y) == 0:
        return 0
    D = [rows.fixed_columns(chunk.X) for chunk in rows.chunks(family)]
    v = _direction(np.concatenate(D, axis=1).T, rows.y, family)
    if v is None:
        return None
    own = rows.columns.fixed.copy()  # the intercept takes up what centres other columns
    own[0] *= np.all(own[1:] == 0, axis=0)
    column = int(np.argmax(np.abs(own[:, np.argmax(_by_column(v, rows))])))
    return column if rows.fit_intercept else column - 1


def _is_suspicious(rows: LikelihoodRows, family: Family, beta: Array) -> bool:
    return any(_largest(rows, chunk, family, beta) > LARGE for chunk in rows.chunks(family))


def _largest(rows: LikelihoodRows, chunk: Chunk, family: Family, beta: Array) -> float:
    """How far the linear predictors go of rows that can be separated: counts of 0, or all."""
    eta = rows.predict(chunk.X, beta)
    if family.name == "poisson":
        eta = np.where(chunk.y > 0, 0.0, eta if chunk.w is None else eta + np.log(chunk.w))
        return float(-eta.min(initial=0.0))
    return float(np.abs(eta).max(initial=0.0))


def _by_column(v: Array, rows: LikelihoodRows) -> Array:
    """How fast each column runs away, the intercept only if nothing else does."""
    speed = np.abs(v)
    if rows.fit_intercept and speed[1:].any():
        speed[0] = 0.0
    return speed


def _direction(D: Array, y: Array, family: Family) -> Array | None:
    """Find v within [-1, 1] along which the likelihood rises most, if it does."""
    equal = y > 0 if family.name == "poisson" else np.zeros(len(y), dtype=np.bool_)
    sign = np.ones(len(y)) if family.name == "poisson" else 1.0 - 2.0 * y
    toward = D * sign[:, None]
    gain = toward[~equal].sum(axis=0)
    found = linprog(
        gain,
        A_ub=toward[~equal],
        b_ub=np.zeros(np.count_nonzero(~equal)),
        A_eq=D[equal] if equal.any() else None,
        b_eq=np.zeros(np.count_nonzero(equal)) if equal.any() else None,
        bounds=(-1.0, 1.0),
        method="highs",
    )
    most = np.abs(toward).sum()
    if found.x is None or found.fun >= -NOTHING * most:
        return None
    v = np.asarray(found.x)
    return np.where(np.abs(v) <= NOTHING, 0.0, v)
