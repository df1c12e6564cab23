"""The mixed model by the book, with V built explicitly: slow, small data only."""

import numpy as np
from scipy.linalg import block_diag


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


def dense_factors(X, y, Zs, codes, Psis, *, reml, weights=None):
    """The same for several factors, with random columns Zs, codes and Psi of each.

    Psi are relative to sigma2; V is W^-1 + sum of Z Psi Z' over the levels of all factors.
    """
    n, p = X.shape
    w = np.ones(n) if weights is None else weights
    wide = [_by_level(Z, code) for Z, code in zip(Zs, codes, strict=True)]
    blocks = [
        np.kron(Psi, np.eye(code.max() + 1)) for Psi, code in zip(Psis, codes, strict=True)
    ]
    V = np.diag(1 / w) + sum(Z @ B @ Z.T for Z, B in zip(wide, blocks, strict=True))
    V_inv = np.linalg.inv(V)
    A_inv = np.linalg.inv(X.T @ V_inv @ X)
    P = V_inv - V_inv @ X @ A_inv @ X.T @ V_inv
    r2, total = y @ P @ y, w.sum()
    dof = total - p if reml else total
    criterion = np.linalg.slogdet(V)[1] + np.log(w).sum()
    criterion += dof * (1 + np.log(2 * np.pi * r2 / dof))
    criterion -= np.linalg.slogdet(A_inv)[1] if reml else 0.0
    Z, B = np.hstack(wide), block_diag(*blocks)
    H = B - B @ Z.T @ V_inv @ Z @ B  # Var(b | y)
    beta = A_inv @ X.T @ V_inv @ y
    return {
        "criterion": criterion,
        "beta": beta,
        "beta_cov": r2 / dof * A_inv,
        "sigma2": r2 / dof,
        "b": B @ Z.T @ P @ y,
        "H": H,
        "C_X": Z.T @ (w[:, None] * X),
        "A_inv": A_inv,
        "P": P,
        "V": V,
        "V_inv": V_inv,
        "Z": wide,
        "dof": dof,
    }


def dense_changes(dense, directions):
    """Changes of V with each change E of the Psi of each factor."""
    changes = []
    for Z, some in zip(dense["Z"], directions, strict=True):
        levels = Z.shape[1] // some.shape[1]
        changes += [Z @ np.kron(E, np.eye(levels)) @ Z.T for E in some]
    return changes


def dense_kenward_roger(dense, X, directions, contrasts):
    """Degrees of freedom and variances of contrasts, all matrices of size n."""
    changes = [*dense_changes(dense, directions), dense["V"]]
    P, V_inv, A_inv = dense["P"], dense["V_inv"], dense["A_inv"]
    information = np.array([[np.trace(P @ F @ P @ G) for G in changes] for F in changes])
    A = 2 * np.linalg.inv(information)
    D = [X.T @ V_inv @ F @ V_inv @ X for F in changes]
    adjusted = A_inv.copy()
    for r, F in enumerate(changes):
        for s, G in enumerate(changes):
            Q = X.T @ V_inv @ F @ V_inv @ G @ V_inv @ X
            adjusted += 2 * A[r, s] * A_inv @ (Q - D[r] @ A_inv @ D[s]) @ A_inv
    df, variances = [], []
    for k in contrasts:
        d = np.array([k @ A_inv @ D_r @ A_inv @ k for D_r in D]) / (k @ A_inv @ k)
        df.append(2 / (d @ A @ d))
        variances.append(k @ adjusted @ k)
    return np.array(df), np.array(variances)


def dense_satterthwaite(dense, X, y, directions, contrasts, *, reml):
    """Degrees of freedom from the exact Hessian in the Psi of all factors and log sigma2."""
    changes, dof = dense_changes(dense, directions), dense["dof"]
    P, V_inv, A_inv = dense["P"], dense["V_inv"], dense["A_inv"]
    Py, sigma2 = P @ y, dense["sigma2"]
    R = P if reml else V_inv
    m = len(changes)
    H = np.empty((m + 1, m + 1))
    for r, F in enumerate(changes):
        for s, G in enumerate(changes):
            observed = 2 * Py @ F @ P @ G @ Py / sigma2
            H[r, s] = observed - np.trace(R @ F @ R @ G)
        H[r, -1] = H[-1, r] = Py @ F @ Py / sigma2
    H[-1, -1] = dof
    df = []
    for k in contrasts:
        ak = A_inv @ k
        rate = [ak @ X.T @ V_inv @ F @ V_inv @ X @ ak / (k @ ak) for F in changes]
        rate = np.append(rate, 1.0)
        df.append(1 / (rate @ np.linalg.solve(H, rate)))
    return np.array(df)


def _by_level(Z, code):
    """Z with columns (a, level) that are 0 in the rows of other levels."""
    return np.hstack(
        [z[:, None] * np.equal.outer(code, np.arange(code.max() + 1)) for z in Z.T]
    )


def dense_kenward_roger_f(dense, X, directions, L, values):
    """F, its degrees of freedom and its multiple, by Theta and matrices of size n.

    The values are those of L beta over sigma.
    """
    changes = [*dense_changes(dense, directions), dense["V"]]
    P, V_inv, C = dense["P"], dense["V_inv"], dense["A_inv"]
    information = np.array([[np.trace(P @ F @ P @ G) for G in changes] for F in changes])
    A = 2 * np.linalg.inv(information)
    Theta = L.T @ np.linalg.solve(L @ C @ L.T, L)
    T = [Theta @ C @ X.T @ V_inv @ F @ V_inv @ X @ C for F in changes]
    A1 = sum(A[r, s] * np.trace(T[r]) * np.trace(T[s]) for r, s in np.ndindex(A.shape))
    A2 = sum(A[r, s] * np.trace(T[r] @ T[s]) for r, s in np.ndindex(A.shape))
    q = len(L)
    B = (A1 + 6 * A2) / (2 * q)
    g = ((q + 1) * A1 - (q + 4) * A2) / ((q + 2) * A2)
    c1, c2, c3 = (c / (3 * q + 2 * (1 - g)) for c in (g, q - g, q + 2 - g))
    E = 1 / (1 - A2 / q)
    V = 2 / q * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
    rho = V / (2 * E**2)
    df = 4 + (q + 2) / (q * rho - 1)
    scale = df / (E * (df - 2))
    _, single = dense_kenward_roger(dense, X, directions, np.eye(len(C)))
    cov = np.diag(single)
    for i, j in zip(*np.triu_indices(len(C), 1), strict=True):
        k = np.eye(len(C))[i] + np.eye(len(C))[j]
        both = dense_kenward_roger(dense, X, directions, [k])[1][0]
        cov[i, j] = cov[j, i] = (both - single[i] - single[j]) / 2
    return scale * values @ np.linalg.solve(L @ cov @ L.T, values) / q, df, scale
