"""Constrained maximum-likelihood fits by brute force, with V built explicitly."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize


@dataclass(frozen=True)
class DenseModel:
    """y = X beta + Z b + e, b ~ N(0, L L') in each group and e ~ N(0, exp(2 log_sigma))."""

    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray
    groups: np.ndarray
    diagonal: bool = False

    def deviance(self, L, log_sigma, column=None, value=None):
        """-2 log likelihood at the best beta, of which one coefficient may be held."""
        X, y = self.X, self.y
        if column is not None:
            X, y = np.delete(X, column, axis=1), y - X[:, column] * value
        V = np.exp(2 * log_sigma) * np.eye(len(y))
        V += np.equal.outer(self.groups, self.groups) * (self.Z @ L @ L.T @ self.Z.T)
        root = np.linalg.cholesky(V)
        white = np.linalg.solve(root, np.column_stack([X, y]))
        fitted = white[:, :-1] @ np.linalg.lstsq(white[:, :-1], white[:, -1], rcond=None)[0]
        rss = np.sum((white[:, -1] - fitted) ** 2)
        return len(y) * np.log(2 * np.pi) + 2 * np.log(np.diag(root)).sum() + rss

    @cached_property
    def lowest(self):
        """Least deviance."""
        return self.held()

    def held(self, *, fixed=(), sigma=None, sd=None, correlation=None):
        """Least deviance with at most one parameter held.

        fixed = (column, value), sigma = value, sd = (effect, value) or
        correlation = (effect, effect, value). These effects come first in L, so that L[0, 0]
        is that standard deviation, and L[1, :2] has the direction given by the correlation.
        """
        q = self.Z.shape[1]
        first = list((sd or correlation or (None, None))[: 2 if correlation else 1])
        order = [*first, *(i for i in range(q) if i not in first)] if sd or correlation else ...
        model = DenseModel(self.X, self.y, self.Z[:, order], self.groups)
        free = np.eye(q, dtype=bool) if self.diagonal else np.tri(q, dtype=bool)

        def deviance(phi):
            L = np.zeros((q, q))
            L[free] = phi[:-1]
            if sd:
                L[0, 0] = sd[1]
            if correlation:
                rho = correlation[2]
                L[0, 0] = abs(L[0, 0])  # else the correlation changes its sign
                L[1, :2] = abs(L[1, 1]) * np.array([rho, np.sqrt(1 - rho**2)])
            log_sigma = phi[-1] if sigma is None else np.log(sigma)
            return model.deviance(L, log_sigma, *fixed)

        def start(share):
            """Random effects with some share of the variance around least squares."""
            residual = self.y - self.X @ np.linalg.lstsq(self.X, self.y, rcond=None)[0]
            sizes = np.sqrt(share * residual.var() / q / np.mean(model.Z**2, axis=0))
            L = np.diag(sizes) @ (np.eye(q) + 0.1 * np.tri(q, k=-1))
            return np.append(L[free], np.log((1 - share) * residual.var()) / 2)

        fits = (
            minimize(deviance, start(share), method="BFGS", options={"gtol": 1e-6})
            for share in (0.1, 0.5, 0.9)
        )
        return min(fit.fun for fit in fits)
