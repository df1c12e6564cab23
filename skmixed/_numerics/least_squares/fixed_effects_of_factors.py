"""Least squares with the effects of several factors, absorbed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.least_squares.absorbed import Absorbed
from skmixed._numerics.least_squares.dummies import Dummies
from skmixed._numerics.least_squares.fixed_effects import (
    FAR_APART,
    NormalEquations,
    Regression,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import CONSTANT_UP_TO
from skmixed._numerics.linalg.independent import independent
from skmixed._numerics.moments.coordinates import Coordinates, scales_of


@dataclass(frozen=True)
class FactorEffects:
    """A regression with the effects of several factors.

    Attributes
    ----------
    regression : Regression
        The line of the average levels, and the coefficients.
    effects : list of ndarray of shape (n_levels_f,)
        How far each level of a factor is from the average one.
    within_r2 : float
        Share of the squares of y, with the factors' effects taken off, that X explains; NaN if
        there are none.
    absorbed : ndarray of shape (n_columns,), dtype bool
        Columns without a coefficient because the dummies contain them.
    dependent : ndarray of shape (n_columns,), dtype bool
        Columns without one because they depend linearly on those before them.
    prediction : FactorPrediction
        How uncertain predictions are.
    """

    regression: Regression
    effects: list[Array]
    within_r2: float
    absorbed: NDArray[np.bool_]
    dependent: NDArray[np.bool_]
    prediction: FactorPrediction

    @property
    def beta(self) -> Array:
        """Coefficients of [1, X]."""
        return self.regression.beta

    @property
    def digits_left(self) -> float:
        """How many digits the moments carry of what this fit needs, at least."""
        return self.regression.digits_left


@dataclass(frozen=True)
class FactorPrediction:
    """Variances of predictions around the true means of rows, over sigma2.

    With z the dummies of a row and c = x - (effects of its levels on the columns of X),

        Var(y^) = z'(Z'WZ)^- z + c'M_XX^-1 c.

    Attributes
    ----------
    dummies : Dummies
        Of the factors.
    absorbed : Absorbed
        What their effects leave of the columns.
    kept : ndarray of int
        Columns of D that have a coefficient, the ones apart.
    """

    dummies: Dummies
    absorbed: Absorbed
    kept: NDArray[np.intp]

    def of_rows(self, X: Array, codes: NDArray[np.intp]) -> Array:
        """Return the variances of rows X in the user's units; NaN where levels are new.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows in the user's units.
        codes : ndarray of shape (n_factors, n_rows)
            Position of each row's level, -1 if it is new.
        """
        known = np.all(codes >= 0, axis=0) & self.dummies.redundancy.is_determined(codes)
        variance = np.full(len(X), np.nan)
        X, codes = X[known], codes[:, known]
        c = X[:, self.kept - 1] - self.absorbed.shift[self.kept]
        for effects, code in zip(self.absorbed.B, codes, strict=True):
            c -= effects[code][:, self.kept]
        M = self.absorbed.M[np.ix_(self.kept, self.kept)]
        size = np.sqrt(np.diag(M))
        c /= size
        spread = np.linalg.solve(M / np.outer(size, size), c.T).T
        variance[known] = self.dummies.variances(codes) + np.sum(c * spread, axis=1)
        return variance


def solve_factor_effects(dummies: Dummies, absorbed: Absorbed) -> FactorEffects:
    """Regress y on X and on the dummies of several factors, without expanding them.

    Parameters
    ----------
    dummies : Dummies
        Of the factors.
    absorbed : Absorbed
        What their effects leave of the columns.

    Returns
    -------
    FactorEffects
    """
    weights, variance = dummies.average()
    scale, varies = scales_of(absorbed.T, absorbed.n, absorbed.shift)
    scale = _scales_left(absorbed, scale)
    M, noise = absorbed.M / np.outer(scale, scale), absorbed.noise / scale**2
    contained, kept = _identify(M, noise, varies)
    used = np.append(kept, len(M) - 1)
    A = M[np.ix_(used, used)]
    # the line of the average levels passes through their means, so the rest of its row is 0
    A[0, 0] = 1 / variance
    dependent = ~contained
    dependent[kept] = False
    coordinates = Coordinates(
        shift=_at_average_levels(absorbed, weights),
        used=used,
        scale=scale[used],
        constant=0,
        dependent=dependent,
        random=(0,),
        Z_map=np.eye(1),
        random_backmap=np.eye(1),
        taken=absorbed.taken,
    )
    equations = NormalEquations(
        A=A,
        n=absorbed.n,
        dof=absorbed.n - dummies.rank - (len(kept) - 1),
        noise=noise[used],
        coordinates=coordinates,
    )
    regression = equations.solve()
    change = regression.beta[1:] - absorbed.taken
    on_y = [effects[:, -1] - effects[:, 1:-1] @ change for effects in absorbed.B]
    W_yy = float(absorbed.with_taken(np.zeros_like(change)).M[-1, -1]) / scale[-1] ** 2
    return FactorEffects(
        regression=regression,
        effects=dummies.redundancy.fix(on_y)[0],
        within_r2=1 - equations.r2 / W_yy if W_yy > CONSTANT_UP_TO * noise[-1] else np.nan,
        absorbed=contained,
        dependent=dependent,
        prediction=FactorPrediction(dummies, absorbed, kept[1:]),
    )


def _scales_left(absorbed: Absorbed, scale: Array) -> Array:
    """Scale a column by what effects leave of it where that is far less than they take."""
    left, square = np.diag(absorbed.M), np.diag(absorbed.T)
    far = (left > CONSTANT_UP_TO * absorbed.noise) & (left < FAR_APART * square)
    return np.where(far, np.sqrt(np.maximum(left, 0.0) / absorbed.n), scale)


def _identify(
    M: Array, noise: Array, varies: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return which of [1, X] the dummies contain, and those that have a coefficient."""
    contained = ~varies[:-1] | (np.diag(M)[:-1] <= CONSTANT_UP_TO * noise[:-1])
    contained[0] = False
    left = np.flatnonzero(~contained)[1:]
    size = np.sqrt(np.diag(M)[left])
    kept = left[independent(M[np.ix_(left, left)] / np.outer(size, size))]
    return contained, np.append(0, kept)


def _at_average_levels(absorbed: Absorbed, weights: list[Array]) -> Array:
    """Return the means of [1, X, v] over the average levels: where the line passes through."""
    mean = np.zeros(len(absorbed.shift))
    for weight, effects in zip(weights, absorbed.B, strict=True):
        mean += weight @ effects
    shift = absorbed.shift.copy()
    shift[-1] -= shift[1:-1] @ absorbed.taken
    shift[1:] += mean[1:]
    return shift
