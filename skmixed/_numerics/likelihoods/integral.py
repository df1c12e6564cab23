"""Each group's likelihood, integrated over its random effects.

Laplace's approximation is -2 log L_j = 2 f(u) + log|H| at the mode u. With one random column
and nodes z_k of weights omega_k for the standard normal distribution, u_k = u + H^-1/2 z_k,

    -2 log L_j = log H - 2 log sum_k omega_k exp(z_k^2 / 2 - f(u_k)),

which with a single node is the same. All nodes of a chunk are taken at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skmixed._numerics.likelihoods.design import Design
from skmixed._numerics.likelihoods.families import Family, exponential
from skmixed._numerics.likelihoods.modes import Modes
from skmixed._numerics.likelihoods.rows import Chunk
from skmixed._numerics.linalg.arrays import Array


class Integral(NamedTuple):
    """-2 log L_j of each group, and its derivatives with the modes and H as if they were free.

    Attributes
    ----------
    value : ndarray of shape (k,)
    residual : ndarray of shape (m,)
        Minus half the derivative by eta of each row: the residual, averaged over the nodes.
    by_u : ndarray of shape (q, k)
    by_hessian : ndarray of shape (q, q, k)
    by_factor : ndarray of shape (q, q)
        Through the random effects of each node alone, summed over groups.
    """

    value: Array
    residual: Array
    by_u: Array
    by_hessian: Array
    by_factor: Array


@lru_cache(maxsize=16)
def standard_nodes(n: int) -> tuple[Array, Array]:
    """Nodes z_k, and log omega_k + z_k^2 / 2."""
    z, weights = np.polynomial.hermite_e.hermegauss(n)
    return z, np.log(weights) - np.log(weights.sum()) + z**2 / 2


def laplace(family: Family, chunk: Chunk, modes: Modes) -> Integral:
    """Laplace's approximation, of any number of random columns."""
    log_likelihood = family.sums(modes.e, chunk.w, chunk.segments)
    if chunk.linear is not None:
        log_likelihood += chunk.segments.sum(chunk.linear * modes.eta)
    value = np.sum(modes.u**2, axis=0) - 2 * log_likelihood + modes.log_determinant
    scores = Design.of(chunk, np.eye(len(chunk.Z))).sum(modes.slopes.residual)
    return Integral(
        value,
        modes.slopes.residual,
        np.zeros_like(modes.u),
        modes.inverse,
        -2 * scores @ modes.u.T,
    )


class Nodes(NamedTuple):
    """What rows and groups say at the nodes of a single random effect.

    Attributes
    ----------
    u, share : ndarray of shape (n_nodes, k)
        Values of the random effect in units of Lambda, and their shares of the integral.
    log_integral : ndarray of shape (k,)
        log L_j.
    """

    u: Array
    share: Array
    log_integral: Array


def at_nodes(family: Family, chunk: Chunk, modes: Modes, n_nodes: int) -> Nodes:
    """Evaluate all groups at nodes around their modes."""
    e = _exponentials(chunk, modes, n_nodes)
    return _weigh(chunk, modes, n_nodes, family.sums(e, chunk.w, chunk.segments))


def _exponentials(chunk: Chunk, modes: Modes, n_nodes: int) -> Array:
    """Exponentials of all rows at all nodes, shape (n_nodes, m)."""
    z = standard_nodes(n_nodes)[0][:, None]
    e = _multipliers(chunk, modes.A, z / modes.L[0, 0])
    e *= modes.e
    return e


def _weigh(chunk: Chunk, modes: Modes, n_nodes: int, log_likelihood: Array) -> Nodes:
    """Add up log-likelihoods at nodes that lack what is linear in eta."""
    z, log_omega = (column[:, None] for column in standard_nodes(n_nodes))
    s = 1 / modes.L[0, 0]
    u = modes.u[0] + z * s
    if chunk.linear is not None:
        at_mode = chunk.segments.sum(modes.eta * chunk.linear)
        log_likelihood += at_mode + z * s * modes.A.sum(chunk.linear)
    terms = log_omega + log_likelihood - u**2 / 2
    top = terms.max(axis=0)
    with np.errstate(invalid="ignore"):  # parameters far off: no number, and so refused
        share = np.exp(terms - top)
    total = share.sum(axis=0)
    return Nodes(u, share / total, top + np.log(s * total))


def quadrature(
    family: Family, chunk: Chunk, modes: Modes, Lambda: Array, n_nodes: int
) -> Integral:
    """Adaptive Gauss-Hermite quadrature, of a single random column."""
    segments = chunk.segments
    e = _exponentials(chunk, modes, n_nodes)
    sums, residual = family.sums_and_residuals(e, chunk.y, chunk.w, segments)
    u, share, log_integral = _weigh(chunk, modes, n_nodes, sums)
    scores = segments.sum(residual if chunk.is_constant else chunk.Z[0] * residual)
    f_slope = share * (u - Lambda.item() * scores)
    s = 1 / modes.L[0, 0]
    by_s = np.sum(f_slope * (u - modes.u[0]), axis=0)  # times s
    residual *= segments.spread(share)
    return Integral(
        -2 * log_integral,
        residual.sum(axis=0),
        2 * np.sum(f_slope, axis=0)[None],
        (s**2 * (1 - by_s))[None, None],
        np.atleast_2d(-2 * np.sum(share * scores * u)),
    )


def _multipliers(chunk: Chunk, A: Design, away: Array) -> Array:
    """By how much exponentials of rows change from the mode to each node, shape (K, m)."""
    segments = chunk.segments
    if A.constant is None:
        exponent = A.columns[0] * segments.spread(away)
        return exponential(exponent if chunk.sign is None else chunk.sign * exponent)
    # two numbers a group: up for some rows, down for the others
    exponent = A.constant * away
    if chunk.sign is None:
        return segments.spread(exponential(exponent))
    k = exponent.shape[1]
    places = segments.spread(np.arange(k)) + np.where(chunk.sign > 0, 0, k)
    both = exponential(np.concatenate([exponent, -exponent], axis=1))
    return np.take(both, places, axis=1)
