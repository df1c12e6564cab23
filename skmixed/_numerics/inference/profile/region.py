"""The likelihood region: all parameters whose ML deviance is at most a bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfinv

from skmixed._numerics.fit.criterion import ProfiledCriterion
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import residual_square
from skmixed._numerics.moments.coordinates import Coordinates

# From the starts chosen, to full accuracy.
NEWTON_STEPS = 5


@dataclass(frozen=True)
class Section:
    """The part of the region with given Psi: an ellipsoid in beta, an interval in sigma2.

    Attributes
    ----------
    slack : ndarray of shape (..., 1)
        By how much the deviance may rise, over n; negative if there is no such part.
    log_sigma2 : ndarray of shape (..., 1)
        log(r2 / n), in the units of the problem.
    beta : ndarray of shape (..., n_kept)
        The best fixed effects, in the user's units.
    log_c_r2 : ndarray of shape (..., n_kept)
        log(c r2) with c the diagonal of M_XX^-1, in the user's units.
    """

    slack: Array
    log_sigma2: Array
    beta: Array
    log_c_r2: Array

    @property
    def half_width(self) -> Array:
        """How far fixed effects reach from their best values: sqrt(c (r2* - r2)).

        r2* = r2 exp(slack) is the residual sum of squares that the bound allows.
        """
        width: Array = np.exp(self.log_c_r2 / 2)
        return width * np.sqrt(np.expm1(np.maximum(self.slack, 0.0)))


@dataclass(frozen=True)
class Region:
    """All (beta, sigma2, Psi) whose ML deviance is at most ``lowest + rise``.

    Attributes
    ----------
    criterion : ProfiledCriterion
        The ML deviance, profiled to Psi.
    lowest : float
        Its least value.
    rise : float
        By how much it may be higher: a quantile of the chi-squared distribution.
    """

    criterion: ProfiledCriterion
    lowest: float
    rise: float

    @property
    def bound(self) -> float:
        return self.lowest + self.rise

    @classmethod
    def around(
        cls,
        criterion: ProfiledCriterion,
        eliminated: tuple[float | Array, Array],
        level: float,
    ) -> Region:
        """Return the region around an optimum that holds one parameter with that confidence.

        At the optimum, `eliminated` is log|V| and M.
        """
        lowest = criterion.profile(*eliminated)
        return cls(criterion, lowest, rise=2 * float(erfinv(level)) ** 2)

    def section(self, log_det: float | Array, M: Array) -> Section:
        """Cut the region at the Psi, or each of those, where `eliminate` returns these."""
        problem, coordinates = self.criterion.problem, self.criterion.problem.coordinates
        rows = coordinates.backmap[coordinates.kept]
        r2, M_XX = residual_square(M), M[..., :-1, :-1]
        # rows: psi or Psi first, if there are several; then fixed effects
        beta = np.linalg.solve(M_XX, M[..., :-1, -1:])[..., 0] @ rows.T
        c = np.sum(rows.T * np.linalg.solve(M_XX, rows.T), axis=-2)
        # what 1 + log(2 pi r2 / n) may be at most
        allowed = (self.bound - self.criterion.constant - log_det) / problem.n
        log_sigma2 = np.log(r2 / problem.n)
        return Section(
            slack=(allowed - 1 - np.log(2 * np.pi) - log_sigma2)[..., None],
            log_sigma2=log_sigma2[..., None],
            beta=coordinates.origin[coordinates.kept] + beta,
            log_c_r2=np.log(c * r2[..., None]),
        )


def log_sigma2_step(slack: Array, side: Array) -> Array:
    """How far log sigma2 reaches from its best value, down (side < 0) or up.

    The roots of n log(2 pi s) + r2 / s = bound - log|V| are s = exp(w) r2 / n with

        w + exp(-w) - 1 = slack,

    a convex function of w, for Newton's method. (Lambert's W, which solves it, too, loses all
    digits where its two branches meet, that is for large n.)
    """
    slack = np.maximum(slack, 1e-30)
    root = np.sqrt(2 * slack)
    # close for small slack, of the right order for large
    w: Array = np.where(side > 0, root + slack / 3, -np.log1p(root + 2 * slack / 3))
    for _ in range(NEWTON_STEPS):
        slope = -np.expm1(-w)  # 1 - exp(-w), negative below the best value
        w = w - (w - slope - slack) / slope
    return w


@dataclass(frozen=True)
class ProfileLimits:
    """Lower and upper limits of all parameters, in the user's coordinates.

    NaN for what is not estimated: columns dropped as linearly dependent or not fixed, random
    columns that were dropped, correlations of effects that the model takes to be uncorrelated;
    and for all parameters of a model that fits perfectly or is not identified.

    Attributes
    ----------
    fixed : ndarray of shape (n_columns, 2)
        Fixed effects.
    sigma : ndarray of shape (2,)
        Residual standard deviation.
    sd : ndarray of shape (n_random, 2)
        Standard deviations of the random effects. The lower limit is exactly 0 if the model
        without the effect is within the region.
    correlation : ndarray of shape (n_random, n_random, 2)
        Correlations of the random effects; exactly -1 or 1 if such a model is within the
        region, as where one of the two effects may be absent.
    converged : bool
        Whether the model converged, and the search for each limit; what was not found is NaN.
    """

    fixed: Array
    sigma: Array
    sd: Array
    correlation: Array
    converged: bool

    @classmethod
    def from_kept(
        cls,
        coordinates: Coordinates,
        *,
        fixed: Array | float = np.nan,
        sigma2: Array | float = np.nan,
        sd: Array | float = np.nan,
        correlation: Array | float = np.nan,
        converged: bool = True,
    ) -> ProfileLimits:
        """Put the limits of kept columns in their places.

        `sigma2` and `sd` are in the units of y that the problem has.
        """
        n_random, kept = len(coordinates.random_kept), coordinates.random_kept
        limits = cls(
            fixed=np.full((len(coordinates.kept), 2), np.nan),
            sigma=coordinates.y_scale * np.sqrt(np.broadcast_to(sigma2, 2)),
            sd=np.full((n_random, 2), np.nan),
            correlation=np.full((n_random, n_random, 2), np.nan),
            converged=converged,
        )
        limits.fixed[coordinates.kept] = fixed
        limits.sd[kept] = coordinates.y_scale * np.asarray(sd)
        limits.correlation[np.ix_(kept, kept)] = correlation
        return limits
