"""Least squares: complete pooling and fixed effects, the limits of the mixed model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.least_squares.group_lines import GroupLines
from skmixed._numerics.least_squares.prediction import PredictionVariance
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    CONSTANT_UP_TO,
    ROUNDING_UP_TO,
    digits_left,
    residual_square,
)
from skmixed._numerics.moments.coordinates import (
    Coordinates,
    near_means,
    scaled_random_columns,
    scales,
)
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines

# Groups lie far apart if a smaller share of a column's squares is within them.
FAR_APART = 1e-6


@dataclass(frozen=True)
class Regression:
    """A linear regression by least squares, in the user's coordinates.

    Attributes
    ----------
    beta : ndarray of shape (n_columns,)
        Coefficients; 0 for columns that have none.
    beta_cov : ndarray of shape (n_columns, n_columns)
        Their covariance; NaN for those columns.
    sigma2 : float
        Residual variance, r2 / dof; 0 for a perfect fit, NaN without degrees of freedom.
    dof : float
        Sum of the weights less the number of coefficients, those of the groups included.
    log_likelihood : float
        That of normal errors of variance r2 / n; inf for a perfect fit.
    digits_left : float
        How many digits the moments carry of what this fit needs, at least.
    dependent : ndarray of shape (n_columns,), dtype bool
        Columns without a coefficient because they depend linearly on those before them.
    prediction : PredictionVariance
        How uncertain predictions are.
    """

    beta: Array
    beta_cov: Array
    sigma2: float
    dof: float
    log_likelihood: float
    digits_left: float
    dependent: NDArray[np.bool_]
    prediction: PredictionVariance


@dataclass(frozen=True)
class FixedEffects:
    """A regression in which each group has its own line.

    Attributes
    ----------
    regression : Regression
        The line of the average group, and the coefficients that all groups share.
    b : ndarray of shape (n_random, n_groups)
        How far each group's line is from that of the average group.
    within_r2 : float
        Share of the scatter of y within groups that is explained; NaN if there is none.
    absorbed : ndarray of shape (n_columns,), dtype bool
        Columns without a coefficient because the groups' lines contain them.
    dependent : ndarray of shape (n_columns,), dtype bool
        Columns without one because they depend linearly on those before them.
    equations : NormalEquations
        Of the regression.
    lines : OwnLines
        What was solved, around the average group.
    """

    regression: Regression
    b: Array
    within_r2: float
    absorbed: NDArray[np.bool_]
    dependent: NDArray[np.bool_]
    equations: NormalEquations
    lines: OwnLines

    @property
    def beta(self) -> Array:
        """Coefficients of the line of the average group."""
        return self.regression.beta

    @property
    def digits_left(self) -> float:
        """How many digits the moments carry of what this fit needs, at least."""
        return self.regression.digits_left


@dataclass(frozen=True)
class NormalEquations:
    """A_XX beta = A_Xy in scaled coordinates, and the way back to the user's.

    Attributes
    ----------
    A : ndarray of shape (p + 1, p + 1)
        For those columns of [X, y] that are kept; r2 = A_yy - A_yX beta.
    n, dof : float
        Sum of the weights, and what r2 is divided by.
    noise : ndarray of shape (p + 1,)
        Error of the diagonal of A.
    coordinates : Coordinates
        How the columns of A were made of the user's.
    """

    A: Array
    n: float
    dof: float
    noise: Array
    coordinates: Coordinates

    @property
    def beta(self) -> Array:
        """Scaled coefficients."""
        return np.asarray(np.linalg.solve(self.A[:-1, :-1], self.A[:-1, -1]))

    @property
    def r2(self) -> float:
        """Residual sum of squares; exactly 0 if nothing but rounding is left."""
        r2 = float(residual_square(self.A))
        return r2 if r2 > ROUNDING_UP_TO * self.noise[-1] else 0.0

    def solve(self) -> Regression:
        """Return the regression in the user's coordinates."""
        unit = self.coordinates.y_scale**2
        r2 = self.r2 * unit
        sigma2 = r2 / self.dof if self.dof > 0 else np.nan
        # M_XX^-1 in the user's units holds a factor y_scale^2, and so does sigma2
        log_variance = np.log(r2 / self.n) if r2 > 0 else -np.inf
        return Regression(
            beta=self.coordinates.to_user_coefficients(self.beta),
            beta_cov=sigma2 / unit * self.coordinates.to_user_covariance(self.A[:-1, :-1]),
            sigma2=sigma2,
            dof=self.dof,
            log_likelihood=-self.n / 2 * (1 + np.log(2 * np.pi) + log_variance),
            digits_left=digits_left(self.A, self.noise),
            dependent=self.coordinates.dependent,
            prediction=PredictionVariance.at_common_line(self.coordinates, self.A[:-1, :-1]),
        )


def solve_pooled(problem: Problem) -> Regression:
    """Regress y on X as if there were no groups.

    Parameters
    ----------
    problem : Problem
        Moments of the model.

    Returns
    -------
    Regression
    """
    return pooled_equations(problem).solve()


def pooled_equations(problem: Problem) -> NormalEquations:
    """Return the normal equations of this regression."""
    return NormalEquations(
        A=problem.T,
        n=problem.n,
        dof=problem.n - problem.p,
        noise=problem.noise,
        coordinates=problem.coordinates,
    )


def solve_fixed_effects(moments: GroupedMoments | OwnLines) -> FixedEffects:
    """Regress y on X and on the groups' own lines, without expanding them.

    Parameters
    ----------
    moments : GroupedMoments or OwnLines
        Cross-products of the rows; the random columns are those of the groups' lines.
        Without groups the fit is a pooled one.

    Returns
    -------
    FixedEffects
    """
    own = moments if isinstance(moments, OwnLines) else OwnLines.of(near_means(moments))
    moments = own.around_average_group()
    scale, varies = scales(own)
    scale = _scales_within(moments, scale)
    lines = GroupLines.from_lines(moments, scale)
    absorbed, kept = lines.identify(varies[:-1])
    coordinates = _coordinates(moments, scale, kept, dependent=~kept & ~absorbed)
    # slopes of the lines are among `lines.rank` already
    n_shared = np.count_nonzero(np.delete(kept, list(moments.random)))
    equations = NormalEquations(
        A=lines.with_average_line(kept),
        n=moments.n,
        dof=moments.n - lines.rank - n_shared,
        noise=lines.noise[np.append(kept, True)],
        coordinates=coordinates,
    )
    beta = np.zeros(len(kept))  # of all columns of [1, X], scaled
    beta[kept] = equations.beta
    b = coordinates.to_user_random_effects(lines.deviations(beta))
    given = GroupLines.from_lines(moments.with_taken(np.zeros_like(moments.taken)), scale)
    W_yy = float(given.W[-1, -1])
    regression = equations.solve()
    if len(moments.labels):
        prediction = replace(regression.prediction, scale=scale, lines=lines)
        regression = replace(regression, prediction=prediction)
    return FixedEffects(
        regression=regression,
        b=b[:, : len(moments.labels)],
        within_r2=(
            1 - equations.r2 / W_yy if W_yy > CONSTANT_UP_TO * lines.noise[-1] else np.nan
        ),
        absorbed=absorbed,
        dependent=coordinates.dependent,
        equations=equations,
        lines=moments,
    )


def _scales_within(lines: OwnLines, scale: Array) -> Array:
    """Scale a column by what is within groups where that is far less than between them."""
    within = np.diag(lines.within)
    far = (within > CONSTANT_UP_TO * lines.noise) & (within < FAR_APART * np.diag(lines.T))
    return np.where(far, np.sqrt(np.maximum(within, 0.0) / lines.n), scale)


def _coordinates(
    moments: OwnLines, scale: Array, kept: NDArray[np.bool_], dependent: NDArray[np.bool_]
) -> Coordinates:
    """[X, y] of the columns that have a coefficient, and all random columns."""
    # y is the last column of D, after those of [1, X] that kept stands for
    used, random = np.append(np.flatnonzero(kept), len(kept)), list(moments.random)
    Z_map, random_backmap = scaled_random_columns(moments.shift[random], scale[random])
    return Coordinates(
        shift=moments.shift,
        used=used,
        scale=scale[used],
        constant=0,
        dependent=dependent,
        random=moments.random,
        Z_map=Z_map,
        random_backmap=random_backmap,
        taken=moments.taken,
    )
