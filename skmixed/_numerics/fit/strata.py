"""Residual variances that differ between strata of rows.

A row of stratum s has the residual variance sigma2 / w_s, so that given the weights w the
moments of the strata, each times its weight, are those of an ordinary model. The weights are
scaled to sum_s n_s w_s = n, and minimise

    criterion(w) - sum_s n_s log w_s,

where the criterion is profiled to the coefficients, sigma2 and Psi. Of row i of group j let
D~_i = D_i - C_j'H_j z_i, so that D~'W D = M, and N_s the sum of D~_i D~_i' over stratum s:

    d / d log w_s = lev_s - n_s + (dof / r2) w_s v'N_s v,          v = (-beta, 1)
    lev_s = w_s [sum_j tr(H_j G_sj) + tr(M_XX^-1 N_s,XX)]          (ML: the first term alone)

by the envelope theorem: v'N_s v is the sum of squared residuals, and lev_s the effective number
of parameters that the stratum's rows determine. Where it is 0, the variance of the stratum is
the sum of squares over n_s - lev_s (Pinheiro and Bates 2000, section 5.2, for the model).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

from skmixed._numerics.fit.fit import Fit, Specification
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DIGITS_TRUSTED, RANK_TOLERANCE, ROUNDING_UP_TO
from skmixed._numerics.linalg.small_matrices import multiply, multiply_transposed
from skmixed._numerics.moments.coordinates import Coordinates, near_means
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.strata import StratifiedMoments

# Ratios of variances beyond this are those of a variance that goes to 0.
LARGEST_RATIO = 1e8
# Fixed-point steps before the search, which bring ratios of any size near.
FIRST_STEPS = 3
# With few groups there may be another minimum where a stratum varies little: each is tried once
# with this log weight, which makes its deviations a seventh of the others'.
FEW_GROUPS, SMALLER = 100, 4.0
# The search within is ended later by this factor than that for the weights.
TIGHTER = 1e-4
# Largest gradient at the end, in units of standard errors of the log variances.
SMALL_GRADIENT = 1e-5
CONVERGED_GRADIENT = 1e-3


class VanishingVarianceError(ValueError):
    """The likelihood has no bound: the variance of a stratum goes to 0.

    Attributes
    ----------
    stratum : int
        Its number.
    """

    def __init__(self, stratum: int) -> None:
        super().__init__(f"the variance of stratum {stratum} goes to 0")
        self.stratum = stratum


class NoDigitsError(ValueError):
    """The sums do not have the digits of residuals that are small beside y.

    Attributes
    ----------
    digits : float
        How many they have.
    """

    def __init__(self, digits: float) -> None:
        super().__init__(f"the sums have {digits:.1f} digits")
        self.digits = digits


def check_digits(fit: Fit) -> None:
    """Refuse sums that do not have the digits of the residuals."""
    if fit.digits_left < DIGITS_TRUSTED:
        raise NoDigitsError(fit.digits_left)


@dataclass(frozen=True)
class StrataSums:
    """Moments of the strata in the coordinates of a problem.

    Attributes
    ----------
    T : ndarray of shape (n_strata, p + 1, p + 1)
        [X, y]' W [X, y] of each.
    C : ndarray of shape (n_strata, q, p + 1, n_groups)
        Z_j' W [X_j, y_j].
    G : ndarray of shape (n_strata, q, q, n_groups)
        Z_j' W Z_j.
    n : ndarray of shape (n_strata,)
        Sum of the weights of the rows.
    """

    T: Array
    C: Array
    G: Array
    n: Array

    @classmethod
    def of(cls, moments: StratifiedMoments, coordinates: Coordinates) -> StrataSums:
        """Choose and scale the columns as a problem does."""
        T, C = moments.around(coordinates.shift)
        used, scale, Z_map = coordinates.used, coordinates.scale, coordinates.Z_map
        T = T[:, used][:, :, used] / np.outer(scale, scale)
        C = np.stack([multiply(Z_map, of_stratum) for of_stratum in C])
        G = multiply_transposed(C[:, :, list(coordinates.random)], Z_map)
        return cls(T, C[:, :, used] / scale[:, None], G, moments.n)

    def at(self, Psi: Array, w: Array) -> StrataParts:
        """Take the random effects off the rows of each stratum."""
        C, G = (np.tensordot(w, part, axes=1) for part in (self.C, self.G))
        H = _shrinkage(Psi, G)
        B = _product(H, C)
        # D~'D~ = T - C'B + B'(G B - C), with sums over groups in each
        parts = zip(self.T, self.C, self.G, strict=True)
        N = [T - _cross(C_s, B) + _cross(B, _product(G_s, B) - C_s) for T, C_s, G_s in parts]
        M = np.tensordot(w, self.T, axes=1) - _cross(C, B)
        of_random = self.G.reshape(len(w), H.size) @ H.ravel()
        return StrataParts(M, np.stack(N), of_random)


def _product(A: Array, B: Array) -> Array:
    """Return A_j B_j of all groups, for shapes (q, q, n_groups) and (q, m, n_groups)."""
    product = A[:, :1] * B[:1]
    for b in range(1, len(B)):
        product += A[:, b, None] * B[b]
    return np.asarray(product)


def _cross(A: Array, B: Array) -> Array:
    """Return sum_j A_j'B_j, shape (m, n)."""
    return np.asarray(sum(a @ b.T for a, b in zip(A, B, strict=True)))


def _shrinkage(Psi: Array, G: Array) -> Array:
    """Return H_j = (I + Psi G_j)^-1 Psi, shape (q, q, n_groups)."""
    if len(Psi) == 1:
        return np.asarray(Psi[..., None] / (1 + Psi[..., None] * G))
    if len(Psi) == 2:  # the inverse written out: (Psi + |Psi| adj G) / |I + Psi G|
        det = Psi[0, 0] * Psi[1, 1] - Psi[0, 1] * Psi[1, 0]
        det_G = G[0, 0] * G[1, 1] - G[0, 1] * G[1, 0]
        adjugate = np.stack([[G[1, 1], -G[0, 1]], [-G[1, 0], G[0, 0]]])
        trace = np.tensordot(Psi.T, G, axes=2)
        return np.asarray((Psi[..., None] + det * adjugate) / (1 + trace + det * det_G))
    A = np.eye(len(Psi)) + np.moveaxis(np.tensordot(Psi, G, axes=1), -1, 0)
    H: Array = np.linalg.solve(A, np.broadcast_to(Psi, A.shape)).astype(np.float64, copy=False)
    return np.moveaxis(H, 0, -1)


@dataclass(frozen=True)
class StrataParts:
    """What the strata add to M, to the effective parameters and to the squared residuals.

    Attributes
    ----------
    M : ndarray of shape (p + 1, p + 1)
        [X, y]' V^-1 [X, y], up to sigma2.
    N : ndarray of shape (n_strata, p + 1, p + 1)
        D~'D~ over the rows of each stratum.
    of_random : ndarray of shape (n_strata,)
        sum_j tr(H_j G_sj).
    """

    M: Array
    N: Array
    of_random: Array

    @property
    def v(self) -> Array:
        """(-beta, 1)."""
        return np.append(-np.linalg.solve(self.M[:-1, :-1], self.M[:-1, -1]), 1.0)

    @property
    def r2(self) -> float:
        """Sum of squares that sigma2 is estimated by."""
        return float(self.v @ self.M @ self.v)

    @property
    def squares(self) -> Array:
        """Squared residuals of each stratum, in units of y."""
        return np.asarray(np.einsum("m,smn,n->s", self.v, self.N, self.v))

    def leverage(self, w: Array, *, reml: bool) -> Array:
        """Effective parameters that the rows of each stratum determine."""
        of_fixed = np.zeros(len(w))
        if reml:
            fixed = np.linalg.solve(self.M[:-1, :-1], self.N[:, :-1, :-1])
            of_fixed = np.trace(fixed, axis1=1, axis2=2)
        return np.asarray(w * (self.of_random + of_fixed))

    def gradient(self, w: Array, n: Array, *, reml: bool) -> Array:
        """Return the derivative of the criterion less sum_s n_s log w_s for log w."""
        dof = n.sum() - (len(self.M) - 1 if reml else 0)
        fitted = dof / self.r2 * w * self.squares
        return np.asarray(self.leverage(w, reml=reml) - n + fitted)


@dataclass(frozen=True)
class StrataFit:
    """A model with a residual variance for each stratum.

    Attributes
    ----------
    fit : Fit
        Of the weighted moments.
    w : ndarray of shape (n_strata,)
        Weights: the residual variances are sigma2 / w.
    criterion : float
        REML criterion or ML deviance, that of the weights included.
    converged : bool
        Whether both searches ended where they should.
    """

    fit: Fit
    w: Array
    criterion: float
    converged: bool


def fits_exactly(rows: GroupedMoments, specification: Specification) -> bool:
    """Whether the likelihood has no bound as the variance of some rows falls to 0.

    It rises with n log w for n rows that coefficients and random effects fit exactly, and falls
    with log w for each random effect that this takes, and each coefficient in REML.
    """
    lines = OwnLines.of(near_means(rows))
    fixed = [i for i in range(len(rows.shift) - 1) if i or specification.fit_intercept]
    noise = np.append(ROUNDING_UP_TO * lines.noise[fixed], 0.0)
    W = lines.within[np.ix_([*fixed, -1], [*fixed, -1])]
    varies = np.diag(W)[:-1] > noise[:-1]
    XX, Xy = W[:-1, :-1][np.ix_(varies, varies)], W[:-1, -1][varies]
    size = np.sqrt(np.diag(XX))
    scaled = XX / np.outer(size, size)
    beta, _, rank, _ = np.linalg.lstsq(scaled, Xy / size, rcond=RANK_TOLERANCE)
    left = W[-1, -1] - beta @ (Xy / size)
    if left > ROUNDING_UP_TO * lines.noise[-1]:
        return False
    first = 0 if specification.random_intercept else 1
    of_random = np.count_nonzero(np.diagonal(lines.R)[:, first:] > 0)
    return bool(rows.n > of_random + (rank if specification.reml else 0) + 0.5)


class _Search:
    """The criterion as a function of scaled log ratios of the weights to the first."""

    def __init__(
        self,
        moments: StratifiedMoments,
        specification: Specification,
        tol: float,
        max_iter: int,
    ) -> None:
        self.moments, self.specification = moments, specification
        self.options = {"tol": tol * TIGHTER, "max_iter": max_iter}
        # of log w_s the information is about n_s / 2
        self.scale = np.sqrt(moments.n / 2)
        self.start: Array | None = None

    def weights(self, log_w: Array) -> Array:
        """Scale weights so that they sum to the number of rows."""
        w = np.exp(log_w - log_w.max())
        return np.asarray(w * self.moments.n.sum() / (self.moments.n @ w))

    def fit(self, w: Array) -> tuple[StrataFit, StrataParts]:
        """Fit given the weights."""
        total = self.moments.weighted(w)
        fit = Fit.of(total, self.specification, start=self.start, **self.options)  # type: ignore[arg-type]
        if fit.criterion.is_perfect or fit.problem.is_exact_within or fit.optimum.diverged:
            self._refuse(fit, w)
        self.start = fit.solution.Lambda if fit.problem.q > 1 else None
        criterion = fit.solution.criterion - float(self.moments.n @ np.log(w))
        Lambda = fit.optimum.Lambda
        parts = StrataSums.of(self.moments, fit.problem.coordinates).at(Lambda @ Lambda.T, w)
        return StrataFit(fit, w, criterion, fit.optimum.converged), parts

    def _refuse(self, fit: Fit, w: Array) -> NoReturn:
        """Say what leaves no residuals: y as it is, or rows that weigh too much."""
        if np.ptp(w) > 0:
            raise VanishingVarianceError(int(np.argmax(w)))
        raise NoDigitsError(fit.digits_left)

    def gradient(self, parts: StrataParts, w: Array) -> Array:
        """Return that for scaled log weights, in units of standard errors."""
        reml = self.specification.reml
        return parts.gradient(w, self.moments.n, reml=reml) / self.scale

    def begin(self) -> Array:
        """Log weights near the minimum, no worse than equal ones."""
        at, parts = self.fit(np.ones(len(self.moments.n)))
        check_digits(at.fit)
        if len(at.w) > 1 and len(self.moments.total.labels) < FEW_GROUPS:
            for smaller in SMALLER * np.eye(len(at.w)):
                self.start = None
                other = self.fit(self.weights(smaller))
                at, parts = min((at, parts), other, key=lambda found: found[0].criterion)
            self.start = None
        best, w = at, at.w
        for _ in range(FIRST_STEPS):
            left = self.moments.n - parts.leverage(w, reml=self.specification.reml)
            variances = parts.squares / np.maximum(left, 1e-3 * self.moments.n)
            self.check(variances <= variances.max() / LARGEST_RATIO)
            w = self.weights(-np.log(variances))
            at, parts = self.fit(w)
            best = min(at, best, key=lambda fit: fit.criterion)
        return np.log(best.w)

    def check(self, vanishing: NDArray[np.bool_]) -> None:
        """Refuse variances that go to 0."""
        if vanishing.any():
            raise VanishingVarianceError(int(np.argmax(vanishing)))

    def minimize(self, log_w: Array, max_iter: int) -> Array:
        """Return the weights where the criterion is least, by a quasi-Newton method."""
        if len(log_w) < 2:
            return self.weights(log_w)
        scale = self.scale[1:]
        bound = np.log(LARGEST_RATIO) * scale
        found = minimize(
            self.value,
            (log_w[1:] - log_w[0]) * scale,
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(-bound, bound),
            options={"maxiter": max_iter, "ftol": 0.0, "gtol": SMALL_GRADIENT},
        )
        return self.weights(np.append(0.0, found.x / scale))

    def value(self, u: Array) -> tuple[float, Array]:
        """Return criterion and gradient at scaled log ratios."""
        w = self.weights(np.append(0.0, u / self.scale[1:]))
        at, parts = self.fit(w)
        return at.criterion, self.gradient(parts, w)[1:]


def fit_strata(
    moments: StratifiedMoments, specification: Specification, *, tol: float, max_iter: int
) -> StrataFit:
    """Fit a model whose residual variance differs between strata of rows.

    Parameters
    ----------
    moments : StratifiedMoments
        Cross-products of the rows.
    specification : Specification
        The model.
    tol : float
        As for `Fit.of`.
    max_iter : int
        Newton steps allowed of each search within, and steps of that for the weights.

    Returns
    -------
    StrataFit

    Raises
    ------
    VanishingVarianceError
        If the variance of a stratum goes to 0.
    NoDigitsError
        If residuals are too small beside y, or groups too far apart, to be seen in the sums.
    """
    search = _Search(moments, specification, tol, max_iter)
    search.check(moments.n_rows < 2)
    start = search.begin()
    search.check(np.array([fits_exactly(part, specification) for part in moments.parts()]))
    w = search.minimize(start, max_iter)
    search.check(w >= w.min() * LARGEST_RATIO * (1 - 1e-6))
    at, parts = search.fit(w)
    check_digits(at.fit)
    converged = at.converged and np.abs(search.gradient(parts, w)).max() < CONVERGED_GRADIENT
    return StrataFit(at.fit, w, at.criterion, bool(converged))
