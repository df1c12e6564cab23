"""Constrained maximum-likelihood fits by brute force, with V built explicitly."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from scipy.optimize import minimize

# Shares of the variance that starts give to the random effects; how strongly one depends on
# another in a thorough start, up or down; and the size of one that is next to absent.
SHARES = (0.1, 0.5, 0.9, 0.98)
STRONG = 0.9
SMALL = 0.01
FIRST_STEPS = 12


def descend(deviance, phi, **options):
    return minimize(deviance, phi, jac=True, method="BFGS", options={"gtol": 1e-6, **options})


@dataclass(frozen=True)
class DenseModel:
    """y = X beta + Z b + e, b ~ N(0, L L') in each group and e ~ N(0, exp(2 log_sigma) / w)."""

    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray
    groups: np.ndarray
    diagonal: bool = False
    weights: np.ndarray | None = None
    thorough: bool = False

    @cached_property
    def by_group(self):
        """X, y, Z and 1 / w, the rows of each group beside one another, and which are rows."""
        codes = np.unique(self.groups, return_inverse=True)[1]
        order = np.argsort(codes, kind="stable")
        sizes = np.bincount(codes)
        is_row = np.arange(sizes.max()) < sizes[:, None]
        noise = np.ones(len(self.y)) if self.weights is None else 1 / self.weights
        parts = []
        for rows in (self.X, self.y[:, None], self.Z, noise[:, None]):
            part = np.zeros((*is_row.shape, rows.shape[1]))
            part[is_row] = rows[order]
            parts.append(part)
        return *parts, is_row

    def deviance(self, L, log_sigma, column=None, value=None):
        """-2 log likelihood at the best beta, of which one coefficient may be held."""
        return self.expand(L, log_sigma, column, value)[0]

    def expand(self, L, log_sigma, column=None, value=None):
        """The deviance, and its derivatives in L and log sigma."""
        X, y, Z, noise, is_row = self.by_group
        if column is not None:
            X, y = np.delete(X, column, axis=2), y - X[:, :, [column]] * value
        # rows that are none have variance 1, and nothing else
        alone = np.where(is_row, np.exp(2 * log_sigma) * noise[..., 0], 1.0)
        V = Z @ (L @ L.T) @ Z.swapaxes(1, 2)
        np.einsum("jii->ji", V)[:] += alone
        V_inv = np.linalg.inv(V)
        VX = V_inv @ X
        beta = np.linalg.pinv(np.sum(X.swapaxes(1, 2) @ VX, axis=0)) @ np.sum(
            VX.swapaxes(1, 2) @ y, axis=0
        )
        residual = y - X @ beta
        v = V_inv @ residual
        log_det = 2 * np.sum(np.log(np.einsum("jii->ji", np.linalg.cholesky(V))))
        n = len(self.y) if self.weights is None else self.weights.sum()
        # weights of rows that are repeated: log|V| has each as often as there are of it
        extra = self.repeated @ np.array([1.0, 2 * log_sigma])
        deviance = n * np.log(2 * np.pi) + log_det + extra + np.sum(residual * v)
        in_V = V_inv - v @ v.swapaxes(1, 2)
        in_Sigma = np.sum(Z.swapaxes(1, 2) @ in_V @ Z, axis=0)
        in_log_sigma = 2 * np.sum(np.einsum("jii->ji", in_V) * alone * is_row)
        return deviance, 2 * in_Sigma @ L, in_log_sigma + 2 * self.repeated[1]

    @cached_property
    def repeated(self):
        """What a row of weight w adds to log|V| as w rows of weight 1: constant, rows."""
        if self.weights is None:
            return np.zeros(2)
        # w rows give (w - 1) log sigma2, and their mean log(sigma2 / w) + log w
        return np.array([np.sum(np.log(self.weights)), np.sum(self.weights - 1)])

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
        model = replace(self, Z=self.Z[:, order])
        free = np.eye(q, dtype=bool) if self.diagonal else np.tri(q, dtype=bool)

        def deviance(phi):
            L = np.zeros((q, q))
            L[free] = phi[:-1]
            if sd:
                L[0, 0] = sd[1]
            if correlation:
                sizes = np.exp(np.diag(L)[:2])  # of any other sign the correlation has another
                direction = np.array([correlation[2], np.sqrt(1 - correlation[2] ** 2)])
                L[0, 0], L[1, :2] = sizes[0], sizes[1] * direction
            log_sigma = phi[-1] if sigma is None else np.log(sigma)
            try:
                value, in_L, in_log_sigma = model.expand(L, log_sigma, *fixed)
            except np.linalg.LinAlgError:  # a step too far
                return 1e10, np.zeros_like(phi)
            if sd:
                in_L[0, 0] = 0.0
            if correlation:
                in_L[0, 0] *= sizes[0]
                in_L[1, :2] = 0.0, sizes[1] * (in_L[1, :2] @ direction)
            return value, np.append(in_L[free], in_log_sigma if sigma is None else 0.0)

        residual = self.y - self.X @ np.linalg.lstsq(self.X, self.y, rcond=None)[0]

        def start(share, rhos, small=()):
            """Random effects with some share of the variance around least squares."""
            sizes = np.sqrt(share * residual.var() / q / np.mean(model.Z**2, axis=0))
            sizes[list(small)] *= SMALL
            L = np.eye(q)
            L[np.tri(q, k=-1, dtype=bool) & free] = rhos
            L = sizes[:, None] * L / np.linalg.norm(L, axis=1, keepdims=True)
            if correlation:
                L[[0, 1], [0, 1]] = np.log(sizes[:2])
            return np.append(L[free], np.log((1 - share) * residual.var()) / 2)

        choices = [(0.0 if self.diagonal else 0.1, ())]
        if self.thorough:
            pairs = 0 if self.diagonal else q * (q - 1) // 2
            choices = [(rhos or 0.0, ()) for rhos in product((-STRONG, STRONG), repeat=pairs)]
            choices += [(0.0, [i]) for i in range(q)]
        starts = [start(share, *choice) for share, choice in product(SHARES, choices)]
        with np.errstate(all="ignore"):
            if self.thorough:  # a few steps show which starts lead somewhere
                first = [descend(deviance, phi, maxiter=FIRST_STEPS) for phi in starts]
                first.sort(key=lambda fit: fit.fun)
                starts = [fit.x for fit in first[: max(len(first) // 3, len(SHARES))]]
            least = min(descend(deviance, phi).fun for phi in starts)
        if correlation:
            # without one of the two the correlation may be anything: these are limiting cases
            least = min(least, *(self.held(sd=(i, 0.0)) for i in correlation[:2]))
        return least
