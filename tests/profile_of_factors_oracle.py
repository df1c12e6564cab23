"""Constrained maximum-likelihood fits of several factors, with V built explicitly."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

# Standard deviations over sigma and the angle between two effects where searches begin.
STARTS = ((0.5, 1.2), (1.5, 2.0))


@dataclass(frozen=True)
class DenseFactors:
    """y = X beta + sum of Z_f b_f + e, with at most two random columns a factor.

    A factor has log sd_1, or log sd_1, log sd_2 and the angle whose cosine is the correlation.
    """

    X: np.ndarray
    y: np.ndarray
    Z: list
    codes: list

    @cached_property
    def products(self):
        """Products z_a z_b' of each factor, 0 where rows are of different levels."""
        return [
            np.einsum("ia,jb->abij", Z, Z) * np.equal.outer(code, code)
            for Z, code in zip(self.Z, self.codes, strict=True)
        ]

    @property
    def sizes(self):
        return [3 if Z.shape[1] == 2 else 1 for Z in self.Z]

    @property
    def n_parameters(self):
        return sum(self.sizes) + 1

    def position(self, f, i=0):
        return sum(self.sizes[:f]) + i

    def V(self, phi):
        V, first = np.exp(2 * phi[-1]) * np.eye(len(self.y)), 0
        for products, size in zip(self.products, self.sizes, strict=True):
            part = phi[first : first + size]
            first += size
            sd = np.exp(part[: len(products)])
            cov = np.outer(sd, sd)
            if size == 3:
                cov[0, 1] = cov[1, 0] = cov[0, 1] * np.cos(part[2])
            V = V + np.einsum("ab,abij->ij", cov, products)
        return V

    def deviance(self, phi, fixed=None):
        """-2 log likelihood at the best beta, of which one coefficient may be held."""
        X, y = self.X, self.y
        if fixed is not None:
            k, value = fixed
            X, y = np.delete(X, k, axis=1), y - X[:, k] * value
        factor = cho_factor(self.V(phi), lower=True)
        residual = y
        if X.shape[1]:
            VX = cho_solve(factor, X)
            residual = y - X @ np.linalg.solve(X.T @ VX, VX.T @ y)
        log_det = 2 * np.log(np.diag(factor[0])).sum()
        quadratic = residual @ cho_solve(factor, residual)
        return len(y) * np.log(2 * np.pi) + log_det + quadratic

    def least(self, held=None, fixed=None):
        """The least deviance with the parameter at a position, or a coefficient, held."""
        free = np.ones(self.n_parameters, dtype=bool)
        if held is not None:
            free[held[0]] = False

        def whole(some):
            phi = np.empty(len(free))
            phi[free] = some
            if held is not None:
                phi[held[0]] = held[1]
            return phi

        best = np.inf
        for sd, angle in STARTS:
            start = np.full(len(free), np.log(sd))
            for f, size in enumerate(self.sizes):
                if size == 3:
                    start[self.position(f, 2)] = angle
            start[-1] = 0.0
            found = minimize(
                lambda some: self.deviance(whole(some), fixed),
                start[free],
                method="L-BFGS-B",
                bounds=[(-12, 4)] * int(free.sum()),
                options={"ftol": 1e-14, "gtol": 1e-7, "maxiter": 500},
            )
            best = min(best, found.fun)
        return best
