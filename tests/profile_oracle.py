"""Constrained maximum-likelihood fits by brute force, with V built explicitly."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize


@dataclass(frozen=True)
class DenseModel:
    """y = X beta + Z b + e with b ~ N(0, Sigma) in each group and e ~ N(0, sigma2)."""

    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray
    groups: np.ndarray
    diagonal: bool = False

    def deviance(self, L, log_sigma2, held=None):
        """-2 log likelihood at Sigma = L L', with beta at its best; held = (column, value)."""
        X, y = self.X, self.y
        if held is not None:
            column, value = held
            X, y = np.delete(X, column, axis=1), y - X[:, column] * value
        same = np.equal.outer(self.groups, self.groups)
        V = np.exp(log_sigma2) * np.eye(len(y)) + same * (self.Z @ L @ L.T @ self.Z.T)
        C = np.linalg.cholesky(V)
        whitened = np.linalg.solve(C, np.column_stack([X, y]))
        beta = np.linalg.lstsq(whitened[:, :-1], whitened[:, -1], rcond=None)[0]
        residual = whitened[:, -1] - whitened[:, :-1] @ beta
        n = len(y)
        return n * np.log(2 * np.pi) + 2 * np.log(np.diag(C)).sum() + residual @ residual

    def least_deviance(self, *, fixed=None, sigma=None, sd=None, correlation=None):
        """Least deviance with at most one parameter held.

        fixed = (column, value), sigma = value, sd = (effect, value), or
        correlation = (effect, effect, value).
        """
        q = self.Z.shape[1]
        effects = [] if sd is None else [sd[0]]
        if correlation is not None:
            effects = list(correlation[:2])
        order = effects + [i for i in range(q) if i not in effects]
        model = DenseModel(self.X, self.y, self.Z[:, order], self.groups, self.diagonal)
        free = np.eye(q, dtype=bool) if self.diagonal else np.tri(q, dtype=bool)

        def deviance(phi):
            L = np.zeros((q, q))
            L[free] = phi[:-1]
            if sd is not None:
                L[0, 0] = sd[1]
            if correlation is not None:
                L[1, :2] = L[1, 1] * np.array(
                    [correlation[2], np.sqrt(1 - correlation[2] ** 2)]
                )
            log_sigma2 = phi[-1] if sigma is None else 2 * np.log(sigma)
            return model.deviance(L, log_sigma2, fixed)

        scale = np.log(np.var(self.y - self.X @ np.linalg.lstsq(self.X, self.y)[0]))
        best = np.inf
        for share in (0.1, 0.5, 0.9):
            sizes = np.sqrt(share * np.exp(scale) / q / np.mean(model.Z**2, axis=0))
            start = np.append(
                (np.diag(sizes) + 0.1 * np.tri(q, k=-1) * sizes[:, None])[free],
                scale + np.log(1 - share),
            )
            fit = minimize(deviance, start, method="BFGS", options={"gtol": 1e-6})
            best = min(best, fit.fun)
        return best
