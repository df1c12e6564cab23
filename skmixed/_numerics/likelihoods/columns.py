"""Coordinates in which columns and effects are of order one, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import FACTOR_ERROR
from skmixed._numerics.linalg.independent import independent
from skmixed._numerics.linalg.triangular import triangular


@dataclass(frozen=True)
class Columns:
    """Linear maps between the user's columns and those of the search.

    With D = [1, X] and `shift` off the features, eta = D fixed beta + (D random b)_j. The
    user's fixed columns are [1, X], or X without an intercept.

    Attributes
    ----------
    shift : ndarray of shape (n_features,)
        What is taken off features whose mean is far from 0; 0 for others.
    fixed : ndarray of shape (n_features + 1, p)
        Coefficients of the shifted D that belong to beta.
    random : ndarray of shape (n_features + 1, q)
        Coefficients of the shifted D that belong to random effects b.
    backmap : ndarray of shape (n_fixed, p)
        The user's coefficients from beta.
    random_backmap : ndarray of shape (n_random, q)
        The user's random effects from b.
    diagonal : bool
        Whether random effects are uncorrelated.
    """

    shift: Array
    fixed: Array
    random: Array
    backmap: Array
    random_backmap: Array
    diagonal: bool

    @property
    def p(self) -> int:
        """Number of fixed effects that are estimated."""
        return len(self.fixed.T)

    @property
    def q(self) -> int:
        """Number of random effects of a group."""
        return len(self.random.T)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which of the user's fixed columns have a coefficient, shape (n_fixed,)."""
        return np.asarray(self.backmap.any(axis=1))

    @property
    def entries(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of Lambda that are free: theta, column by column."""
        if self.diagonal:
            return np.arange(self.q), np.arange(self.q)
        columns, rows = np.triu_indices(self.q)
        return rows, columns

    def to_user_coefficients(self, beta: Array) -> Array:
        """Return the user's coefficients, shape (n_fixed,); 0 if dropped."""
        return np.asarray(self.backmap @ beta)

    def to_user_covariance(self, covariance: Array) -> Array:
        """Return the covariance of the user's coefficients; NaN where they are dropped."""
        cov = self.backmap @ covariance @ self.backmap.T
        cov[~self.kept] = cov[:, ~self.kept] = np.nan
        return np.asarray(cov)

    def to_user_factor(self, Lambda: Array) -> Array:
        """Return the triangular factor of the covariance of the user's random effects."""
        factor = self.random_backmap @ Lambda
        size = np.abs(self.random_backmap) @ np.abs(Lambda)
        factor = np.where(np.abs(factor) <= FACTOR_ERROR * size, 0.0, factor)
        return triangular(factor, diagonal=self.diagonal)


def choose_columns(
    mean: Array,
    gram: Array,
    random: tuple[int, ...],
    *,
    random_only: tuple[int, ...] = (),
    fit_intercept: bool,
    diagonal: bool,
    may_shift: bool,
) -> Columns:
    """Scale columns, centre them where an intercept allows it, and drop dependent ones.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
        Weighted means of the features.
    gram : ndarray of shape (n_features, n_features)
        Weighted mean products of the features around their means.
    random : tuple of int
        The columns of [1, X] with random effects.
    random_only : tuple of int, default=()
        Those of them, but for the ones, that are no fixed columns.
    fit_intercept, diagonal : bool
        Whether there is a fixed intercept; whether random effects are uncorrelated.
    may_shift : bool
        Whether both kinds of intercept are there to take up a shift of any feature.
    """
    sd = np.sqrt(np.clip(np.diag(gram), 0.0, None))
    far = may_shift & (np.abs(mean) > FAR_OFF * sd)
    shift = np.where(far, mean, 0.0)
    products = _with_ones(mean - shift, gram)
    noise = np.append(0.0, _ROUNDING * np.abs(mean))
    columns = [i for i in range(not fit_intercept, len(products)) if i not in random_only]
    centred = _with_ones(np.zeros_like(mean), gram)
    fixed = _coordinates(products, centred, noise, columns)
    chosen = _coordinates(products, products if diagonal else centred, noise, random)
    back = np.eye(len(products))
    back[0, 1:] = -shift
    return Columns(
        shift=shift,
        fixed=fixed,
        random=chosen,
        backmap=(back @ fixed)[int(not fit_intercept) :],
        random_backmap=(back @ chosen)[list(random)],
        diagonal=diagonal,
    )


# Features are shifted explicitly where their mean is so many standard deviations from 0: fewer
# cost linear predictors three digits at most.
FAR_OFF = 1e3
_ROUNDING = 8 * np.finfo(np.float64).eps


def _with_ones(mean: Array, gram: Array) -> Array:
    """Mean products of [1, X], from those around the mean."""
    means = np.append(1.0, mean)
    products = np.outer(means, means)
    products[1:, 1:] += gram
    return products


def _coordinates(
    products: Array, centred: Array, noise: Array, columns: Sequence[int]
) -> Array:
    """Coefficients of [1, X] that make columns of order one, dependent ones dropped.

    The ones, if chosen, take from the others what they explain, unless `centred` is `products`.
    """
    chosen = np.array(list(columns), dtype=np.intp)
    map_ = np.zeros((len(products), len(chosen)))
    map_[chosen, np.arange(len(chosen))] = 1.0
    moments = centred if 0 in chosen else products
    if moments is not products:
        map_[0, chosen != 0] = -products[0, chosen[chosen != 0]]
    size = np.sqrt(np.clip(np.diag(moments)[chosen], 0.0, None))
    varies = size > noise[chosen]
    kept = np.flatnonzero(varies)
    scaled = moments[np.ix_(chosen[kept], chosen[kept])] / np.outer(size[kept], size[kept])
    kept = kept[independent(scaled)]
    return np.asarray(map_[:, kept] / size[kept])
