"""Covariances of coefficients that are robust to whatever ties the rows of a cluster.

With s_j = X_j'A_j e_j the score of cluster j, and M = X'X,

    V = c sum_j M^-1 s_j s_j' M^-1.

CR0 has A_j = I and c = 1; CR1 and CR1S differ by c. CR2 (Bell and McCaffrey 2002) has
A_j = (I - H_jj)^-1/2, which makes V unbiased where errors are independent with one variance.
These matrices have as many rows as the cluster; but with M = L L', Q_j = X_j L'^-1 and
T_j = Q_j'Q_j = U diag(t) U', all that is needed of them is of the size of M,

    Q_j'A_j e_j = U diag(1 - t)^-1/2 U' Q_j'e_j,
    Q_j'A_j Q_j = U diag(t (1 - t)^-1/2) U',    Q_j'A_j^2 Q_j = U diag(t / (1 - t)) U'.

Where the groups of fixed effects are the clusters, X holds what their lines leave of the
columns. The hat matrix with dummies has the lines' projection besides H_jj, orthogonal to
Q_j and e_j, so that nothing above changes. A direction in which a cluster alone determines the
fit, t = 1, has residuals 0, and A_j is a generalised inverse there (Pustejovsky and Tipton
2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.least_squares.cluster_sums import ClusterSums, Residuals
from skmixed._numerics.least_squares.fixed_effects import NormalEquations
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import LEVERAGE_ERROR
from skmixed._numerics.linalg.triangular import inverse_of_lower

# Clusters whose p x p matrices are decomposed at a time, in numbers.
CHUNK_NUMBERS = 2**20


@dataclass(frozen=True)
class Adjusted:
    """What CR2 keeps of each cluster, for degrees of freedom.

    Attributes
    ----------
    U : ndarray of shape (n_clusters, p, p)
        Eigenvectors of T_j.
    t : ndarray of shape (n_clusters, p)
        Eigenvalues, its leverages; 1 is counted as 0.
    """

    U: Array
    t: Array

    def covariances(self, Z: Array) -> Array:
        """Return Cov(z_a'V z_b, z_c'V z_d) for errors of variance 1, shape (q, q, q, q).

        z'V z is a sum of squares of p_j'e, whose covariances are P_ij = p_i'p_j, which for
        i != j are -w_i'w_j. Sums over pairs of clusters factor into those of one.

        Parameters
        ----------
        Z : ndarray of shape (p, q)
            Contrasts in the basis where M is the identity.
        """
        UZ = np.einsum("jpi,pq->jiq", self.U, Z)
        w = UZ * (self.t / np.sqrt(1 - self.t))[..., None]  # in each cluster's basis
        own = np.einsum("jiq,ji,jir->jqr", UZ, self.t / (1 - self.t), UZ)
        inner = np.einsum("jiq,jir->jqr", w, w)
        W = np.einsum("jpi,jiq->jpq", self.U, w)
        outer = np.einsum("jpq,jor->qrpo", W, W, optimize=True)  # sum_j w_q w_r'
        # sum_ij P_ij^ac P_ij^bd, where P_ij^ac = p_i^a'p_j^c
        pairs = np.einsum("jac,jbd->abcd", own, own - inner, optimize=True)
        pairs -= np.einsum("jac,jbd->abcd", inner, own, optimize=True)
        pairs += np.einsum("abpo,cdpo->abcd", outer, outer, optimize=True)
        return np.asarray(pairs + np.einsum("abdc->abcd", pairs))

    def expected(self, Z: Array) -> Array:
        """Return E(Z'V Z) for errors of variance 1, shape (q, q)."""
        T = np.einsum("jpi,ji,joi->po", self.U, self.t, self.U, optimize=True)
        return np.asarray(Z.T @ T @ Z)


@dataclass(frozen=True)
class ClusterRobust:
    """A covariance robust to clusters, and tests by it.

    Attributes
    ----------
    kind : {"CR0", "CR1", "CR1S", "CR2"}
        Which.
    n_clusters : int
        Number of clusters.
    cov : ndarray of shape (n_fixed, n_fixed)
        Of the user's coefficients; NaN for those that have none, and for the terms of which
        each cluster has its own.
    basis : ndarray of shape (n_fixed, p)
        From the basis where M is the identity to the user's coefficients.
    adjusted : Adjusted or None
        Of CR2.
    """

    kind: str
    n_clusters: int
    cov: Array
    basis: Array
    adjusted: Adjusted | None = None

    @classmethod
    def of(cls, kind: str, residuals: Residuals, sums: ClusterSums) -> ClusterRobust:
        """Make it of the sums by cluster.

        Parameters
        ----------
        kind : {"CR0", "CR1", "CR1S", "CR2"}
            Which.
        residuals : Residuals
            Of the regression.
        sums : ClusterSums
            Over its rows, with squares for CR2.
        """
        equations, n_clusters = residuals.equations, len(sums.labels)
        coordinates = equations.coordinates
        inverse = inverse_of_lower(
            np.asarray(np.linalg.cholesky(equations.A[:-1, :-1]), np.float64)
        )
        scores, adjusted = sums.scores @ inverse.T, None
        if sums.squares is not None:
            adjusted = _decompose(sums.squares, inverse)
            scores = _adjust(adjusted, scores)
        basis = coordinates.backmap @ inverse.T
        # scores hold residuals in the user's units, and the backmap the scale of y
        basis /= coordinates.y_scale
        half = basis @ scores.T
        cov = _factor(kind, n_clusters, equations) * (half @ half.T)
        own = np.zeros(len(cov), dtype=np.bool_)
        if len(residuals.lines.labels):
            own[list(residuals.lines.random)] = True
        unknown = own | ~coordinates.kept
        cov[unknown] = cov[:, unknown] = np.nan
        return cls(kind, n_clusters, cov, basis, adjusted)

    def degrees_of_freedom(self, L: Array) -> Array:
        """Return those of t tests of combinations, shape (k,).

        Parameters
        ----------
        L : ndarray of shape (k, n_fixed)
            Their weights, 0 for coefficients without a variance.

        Returns
        -------
        ndarray of shape (k,)
            Satterthwaite's for CR2, else those of the clusters but one.
        """
        if self.adjusted is None:
            return np.full(len(L), self.n_clusters - 1.0)
        Z = (L @ self.basis).T
        df = [self._satterthwaite(z[:, None]) for z in Z.T]
        return np.array(df, dtype=np.float64)

    def _satterthwaite(self, z: Array) -> float:
        assert self.adjusted is not None
        expected, variance = self.adjusted.expected(z), self.adjusted.covariances(z)
        if not expected[0, 0] > 0:
            return np.nan
        return float(2 * expected[0, 0] ** 2 / variance[0, 0, 0, 0])

    def joint_df(self, L: Array) -> float:
        """Return the denominator degrees of freedom of an F test that all combinations are 0.

        Parameters
        ----------
        L : ndarray of shape (k, n_fixed)
            Their weights, linearly independent.

        Returns
        -------
        float
            For CR2 those of Pustejovsky and Tipton's HTZ test, which takes V for a Wishart
            matrix; with eta the degrees of freedom of that, Hotelling's T^2 is F with k and
            ``df = eta - k + 1`` once it is multiplied by ``df / eta``. For the others those of
            the clusters but one.
        """
        if self.adjusted is None:
            return self.n_clusters - 1.0
        return self._hotelling((L @ self.basis).T) - len(L) + 1

    def _hotelling(self, Z: Array) -> float:
        """Degrees of freedom of the Wishart distribution that V has about."""
        assert self.adjusted is not None
        k = Z.shape[1]
        root = np.linalg.cholesky(self.adjusted.expected(Z))
        Z = np.linalg.solve(root, Z.T).T  # now its expectation is the identity
        variances = np.einsum("abab->", self.adjusted.covariances(Z))
        return float(k * (k + 1) / variances)


def _factor(kind: str, n_clusters: int, equations: NormalEquations) -> float:
    """Return c, which makes up for few clusters and, in CR1S, for the coefficients."""
    if kind in ("CR0", "CR2"):
        return 1.0
    few = n_clusters / (n_clusters - 1)
    return few if kind == "CR1" else few * (equations.n - 1) / equations.dof


def _decompose(squares: Array, inverse: Array) -> Adjusted:
    """Leverages of the clusters, and their directions."""
    U, t = np.empty(squares.shape), np.empty(squares.shape[:2])
    for groups in _chunks(squares):
        t[groups], U[groups] = np.linalg.eigh(inverse @ squares[groups] @ inverse.T)
    t = np.where(t > 1 - LEVERAGE_ERROR, 0.0, np.maximum(t, 0.0))
    return Adjusted(U, t)


def _adjust(adjusted: Adjusted, scores: Array) -> Array:
    U, root = adjusted.U, np.sqrt(1 - adjusted.t)
    turned = np.einsum("jpi,jp->ji", U, scores) / root
    return np.asarray(np.einsum("jpi,ji->jp", U, turned))


def _chunks(squares: Array) -> list[slice]:
    size = max(CHUNK_NUMBERS // max(squares[0].size, 1), 1)
    return [slice(start, start + size) for start in range(0, len(squares), size)]
