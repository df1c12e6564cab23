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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.least_squares.fixed_effects import NormalEquations
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import LEVERAGE_ERROR
from skmixed._numerics.linalg.triangular import inverse_of_lower
from skmixed._numerics.moments.moments import (
    CHUNK_VALUES,
    MIN_CHUNK_ROWS,
    add_by_group,
    dense,
    merge,
)
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.second_pass import (
    lines_by_group,
    take_own_lines_off,
    without_fixed_part,
)

# Clusters whose p x p matrices are decomposed at a time, in numbers.
CHUNK_NUMBERS = 2**20


@dataclass(frozen=True)
class Residuals:
    """How the residuals of rows come from their columns.

    Attributes
    ----------
    equations : NormalEquations
        The regression.
    lines : OwnLines
        What is taken off the rows, around the shift of the equations.
    """

    equations: NormalEquations
    lines: OwnLines

    @classmethod
    def of(cls, equations: NormalEquations, lines: OwnLines) -> Residuals:
        """Bring the lines to the coordinates of the equations."""
        coordinates = equations.coordinates
        return cls(equations, lines.with_taken(coordinates.taken).around(coordinates.shift))

    def of_clusters(self, labels: NDArray[Any]) -> OwnLines:
        """Return the lines of some of the clusters; there may be none at all."""
        if not len(self.lines.labels):
            return self.lines
        return self.lines.of_groups(np.searchsorted(self.lines.labels, labels))

    @property
    def weights(self) -> Array:
        """With which the columns of D, with own lines taken off, are added to residuals."""
        coordinates = self.equations.coordinates
        scale, used = coordinates.scale, coordinates.used
        weights = np.zeros(len(coordinates.shift))
        weights[used] = np.append(-self.equations.beta, 1.0) * scale[-1] / scale
        return weights


@dataclass(frozen=True)
class ClusterSums:
    """Sums over the rows of each cluster: a second pass, once the coefficients are known.

    Attributes
    ----------
    labels : ndarray of shape (n_clusters,)
        Of the clusters, sorted and unique.
    n : float
        Sum of the weights of all rows.
    scores : ndarray of shape (n_clusters, p)
        X_j'W_j e_j, of the columns that have a coefficient.
    squares : ndarray of shape (n_clusters, p, p) or None
        X_j'W_j X_j, where they are needed.
    """

    labels: NDArray[Any]
    n: float
    scores: Array
    squares: Array | None

    @classmethod
    def from_rows(
        cls,
        residuals: Residuals,
        X: Any,
        y: NDArray[Any],
        codes: NDArray[np.integer[Any]],
        labels: NDArray[Any],
        sample_weight: Array | None,
        *,
        with_squares: bool,
    ) -> ClusterSums:
        """Pass over the rows again.

        Parameters
        ----------
        residuals : Residuals
            Of these rows, or of these and others.
        X, y, codes, labels, sample_weight
            As for `GroupedMoments.from_rows`; the groups are the clusters.
        with_squares : bool
            Whether squares are needed: they take p times the time and the memory.

        Returns
        -------
        ClusterSums
        """
        if hasattr(X, "tocsr"):
            X = X.tocsr()
        lines, weights = residuals.of_clusters(labels), residuals.weights
        own, n_columns = lines_by_group(lines), len(lines.shift)
        # levels alone are taken off the residuals, and off the columns once they are summed up
        later = len(lines.labels) > 0 and len(own) == 1 and not with_squares
        level = own[0] @ weights
        coordinates = residuals.equations.coordinates
        used, scale = coordinates.used[:-1], coordinates.scale[:-1]
        scores = np.zeros((1, len(labels), n_columns))
        squares = np.zeros((len(used) if with_squares else 0, len(labels), n_columns))
        size = max(CHUNK_VALUES // n_columns, MIN_CHUNK_ROWS)
        buffer = np.empty((min(size, X.shape[0]), n_columns))
        for start in range(0, X.shape[0], size):
            rows = slice(start, start + size)
            weight = 1.0 if sample_weight is None else sample_weight[rows, None]
            D = without_fixed_part(lines, dense(X[rows]), y[rows], buffer)
            if not later and len(lines.labels):
                take_own_lines_off(lines, own, D, codes[rows])
            e = D @ weights
            if later:
                e -= level.take(codes[rows])
            add_by_group(scores, D, weight * e[:, None], codes[rows])
            if with_squares:
                add_by_group(squares, D, weight * D[:, used], codes[rows])
        if later:
            scores -= scores[..., :1] * own
        n = float(len(y) if sample_weight is None else sample_weight.sum())
        products = None
        if with_squares:
            products = np.moveaxis(squares[:, :, used], 0, 2) / np.outer(scale, scale)
        return cls(labels, n, scores[0][:, used] / scale, products)

    def __add__(self, other: ClusterSums) -> ClusterSums:
        """Add up the rows of both, clusters aligned on their labels."""
        labels, *positions = merge(self.labels, other.labels)
        pairs = list(zip((self, other), positions, strict=True))

        def aligned(name: str) -> Array:
            total = np.zeros((len(labels), *getattr(self, name).shape[1:]))
            for part, position in pairs:
                total[position] += getattr(part, name)
            return total

        squares = None if self.squares is None else aligned("squares")
        return ClusterSums(labels, self.n + other.n, aligned("scores"), squares)


class JointTest(NamedTuple):
    """An F test: its statistic, its denominator's degrees of freedom, and its scale.

    The scale is what the mean of squares is multiplied by in the statistic.
    """

    statistic: float
    df_denom: float
    scale: float


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

    def single(self, L: Array) -> tuple[Array, Array]:
        """Variances and degrees of freedom of combinations.

        Parameters
        ----------
        L : ndarray of shape (k, n_fixed)
            Their weights, 0 for coefficients without a variance.

        Returns
        -------
        variances, df : ndarray of shape (k,)
            Satterthwaite's degrees of freedom for CR2, else those of the clusters but one.
        """
        variances = np.einsum("ki,ij,kj->k", L, np.nan_to_num(self.cov), L)
        return variances, self.degrees_of_freedom(L)

    def degrees_of_freedom(self, L: Array) -> Array:
        """Return those of combinations, shape (k,)."""
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

    def joint(self, L: Array, values: Array) -> JointTest:
        """Test that all combinations are 0.

        CR2 takes Hotelling's T^2 with the degrees of freedom of Pustejovsky and Tipton's HTZ
        test; the others an F test with those of the clusters but one.

        Parameters
        ----------
        L : ndarray of shape (k, n_fixed)
            Their weights, linearly independent.
        values : ndarray of shape (k,)
            Their estimates.
        """
        k, cov = len(L), L @ np.nan_to_num(self.cov) @ L.T
        if k >= self.n_clusters:
            return JointTest(np.nan, np.nan, 1.0)
        square = float(values @ np.linalg.solve(cov, values)) / k
        if self.adjusted is None:
            return JointTest(square, self.n_clusters - 1.0, 1.0)
        df = self._hotelling((L @ self.basis).T) - k + 1
        if not df > 0:
            return JointTest(np.nan, df, np.nan)
        scale = df / (df + k - 1)
        return JointTest(scale * square, df, scale)

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
