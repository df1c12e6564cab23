"""The mixed model by the book, with V built explicitly: slow, small data only."""

import numpy as np


def dense_solution(X, y, Z, groups, Psi, *, reml):
    """Criterion, estimates and random effects for given fixed columns X and relative Psi.

    V = I + blockdiag(Z_j Psi Z_j'); everything is relative to sigma2.
    """
    n, p = X.shape
    same = np.equal.outer(groups, groups)
    V = np.eye(n) + same * (Z @ Psi @ Z.T)
    V_inv = np.linalg.inv(V)
    A = X.T @ V_inv @ X
    beta = np.linalg.solve(A, X.T @ V_inv @ y)
    residual = y - X @ beta
    r2 = residual @ V_inv @ residual
    dof = n - p if reml else n
    criterion = np.linalg.slogdet(V)[1] + dof * (1 + np.log(2 * np.pi * r2 / dof))
    if reml:
        criterion += np.linalg.slogdet(A)[1]
    sigma2 = r2 / dof
    labels = np.unique(groups)
    b = np.stack([Psi @ (Z * (groups == g)[:, None]).T @ V_inv @ residual for g in labels])
    return {
        "criterion": criterion,
        "beta": beta,
        "beta_cov": sigma2 * np.linalg.inv(A),
        "sigma2": sigma2,
        "b": b,
        "fitted": X @ beta + np.sum(Z * b[np.searchsorted(labels, groups)], axis=1),
    }
