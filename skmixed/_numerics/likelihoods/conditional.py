"""Random effects of known groups given their rows, and means averaged over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit, logsumexp

from skmixed._numerics.likelihoods.averages import LEAST, ROWS, averaged_link
from skmixed._numerics.likelihoods.criterion import Criterion
from skmixed._numerics.likelihoods.families import Family
from skmixed._numerics.likelihoods.integral import at_nodes
from skmixed._numerics.likelihoods.modes import find_modes
from skmixed._numerics.linalg.arrays import Array

# Means over the conditional distribution of one random effect take at least so many nodes.
LEAST_NODES = 9


@dataclass(frozen=True)
class ConditionalEffects:
    """The distribution of each group's random effects, for given coefficients.

    Attributes
    ----------
    modes : ndarray of shape (n_random, n_groups)
    covariance : ndarray of shape (n_random, n_random, n_groups)
        Inverse curvature at the modes.
    nodes, shares : ndarray of shape (n_nodes, n_groups), or None
        Values of a single random effect and their probabilities; None with several.
    """

    modes: Array
    covariance: Array
    nodes: Array | None
    shares: Array | None

    def link(self, family: Family, eta: Array, Z: Array, group: NDArray[np.intp]) -> Array:
        """Link of the mean of y in known groups, averaged over their random effects.

        Parameters
        ----------
        family : Family
        eta : ndarray of shape (n,)
            Linear predictor of the fixed effects.
        Z : ndarray of shape (n, n_random)
            The user's random columns.
        group : ndarray of shape (n,)
            Place of each row's group.
        """
        if self.nodes is None or self.shares is None:
            mode = np.einsum("nr,rn->n", Z, self.modes[:, group])
            variance = np.einsum("nr,rsn,ns->n", Z, self.covariance[:, :, group], Z)
            return averaged_link(family, eta + mode, variance)
        link = np.empty(len(eta))
        for start in range(0, len(eta), ROWS):
            part = slice(start, start + ROWS)
            at = eta[part] + Z[part, 0] * self.nodes[:, group[part]]
            link[part] = _link_of_mixture(family, at, self.shares[:, group[part]])
        return link


def _link_of_mixture(family: Family, eta: Array, shares: Array) -> Array:
    """Link of sum_k shares_k mean(eta_k), right also where a probability is next to 1."""
    if family.name == "poisson":
        return _log_of_mixture(eta, shares)
    yes, no = (np.sum(shares * family.mean(side), axis=0) for side in (eta, -eta))
    link = np.log(np.maximum(yes, LEAST)) - np.log(np.maximum(no, LEAST))
    tail = np.minimum(yes, no) <= LEAST
    if tail.any():
        sides = (log_expit(side[:, tail]) for side in (eta, -eta))
        link[tail] = np.subtract(*(_log_of_mixture(side, shares[:, tail]) for side in sides))
    return np.asarray(link)


def _log_of_mixture(logs: Array, shares: Array) -> Array:
    """Logarithm of sum_k shares_k exp(logs_k)."""
    log_shares = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    return np.asarray(logsumexp(logs + log_shares, axis=0))


def conditional_effects(
    criterion: Criterion, beta: Array, Lambda: Array, u: Array
) -> ConditionalEffects:
    """Conditional distributions of all groups, for the user's random effects.

    Parameters
    ----------
    beta, Lambda : ndarray
        Parameters in the coordinates of the search.
    u : ndarray of shape (q, n_groups)
        Where modes may be.
    """
    rows, family = criterion.rows, criterion.family
    back = rows.columns.random_backmap @ Lambda
    n_random, n_nodes = len(back), max(criterion.n_nodes, LEAST_NODES)
    single = n_random == 1 and rows.q == 1
    modes = np.empty((n_random, rows.n_groups))
    covariance = np.empty((n_random, n_random, rows.n_groups))
    places = np.empty((2, n_nodes if single else 0, rows.n_groups))
    for chunk in rows.chunks(family):
        fixed = rows.predict(chunk.X, beta)
        found = find_modes(family, chunk, fixed, Lambda, u[:, chunk.groups])
        modes[:, chunk.groups] = back @ found.u
        covariance[:, :, chunk.groups] = np.einsum("ra,abk,sb->rsk", back, found.inverse, back)
        if single:
            at = at_nodes(family, chunk, found, n_nodes)
            places[:, :, chunk.groups] = back.item() * at.u, at.share
    nodes, shares = (places[0], places[1]) if single else (None, None)
    return ConditionalEffects(modes, covariance, nodes, shares)
