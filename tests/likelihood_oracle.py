"""Generalised linear mixed models written densely: a loop over groups, in the user's columns.

The criterion is -2 log L with all constants, integrated at the same nodes as in `skmixed`:
around the mode of each group, scaled by the curvature there.
"""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import bernoulli, poisson


def log_likelihood(family, eta, y):
    """Log-likelihood of rows."""
    if family == "binomial":
        return bernoulli.logpmf(y, 1 / (1 + np.exp(-eta)))
    return poisson.logpmf(y, np.exp(eta))


def mean_and_variance(family, eta):
    if family == "poisson":
        return np.exp(eta), np.exp(eta)
    mu = 1 / (1 + np.exp(-eta))
    return mu, mu * (1 - mu)


def mode(family, eta, y, w, A):
    """Mode of u, and the Hessian there, by Newton steps that are halved until f falls."""

    def f(u):
        return u @ u / 2 - w @ log_likelihood(family, eta + A @ u, y)

    u = np.zeros(A.shape[1])
    for _ in range(100):
        mu, v = mean_and_variance(family, eta + A @ u)
        g, H = u - A.T @ (w * (y - mu)), np.eye(len(u)) + (A.T * (w * v)) @ A
        step, t = np.linalg.solve(H, g), 1.0
        if g @ step < 1e-24:
            break
        while f(u - t * step) > f(u) + 1e-12 and t > 1e-8:
            t /= 2
        u = u - t * step
    return u, H


def criterion(family, X, y, w, groups, beta, Lambda, Z, n_nodes=1):
    """-2 log L of all groups. X and Z have a column for each coefficient."""
    z, weights = np.polynomial.hermite.hermgauss(n_nodes)
    total = 0.0
    for group in np.unique(groups):
        i = groups == group
        eta, A = X[i] @ beta, Z[i] @ Lambda
        u, H = mode(family, eta, y[i], w[i], A)
        root = np.linalg.inv(np.linalg.cholesky(H)).T
        terms = []
        for grid in np.ndindex(*(n_nodes,) * len(u)):
            x = z[list(grid)]
            at = u + np.sqrt(2) * root @ x
            log_f = w[i] @ log_likelihood(family, eta + A @ at, y[i]) - at @ at / 2
            terms.append(log_f + np.log(weights[list(grid)]).sum() + x @ x)
        total -= 2 * (logsumexp(terms) + np.log(np.linalg.det(root)))
        total += len(u) * np.log(np.pi)
    return total
