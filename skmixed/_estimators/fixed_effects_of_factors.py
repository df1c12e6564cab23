"""Fixed effects of several factors: what is solved, and what is kept of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.utils import gen_batches

from skmixed._estimators.digits import MAX_PASSES, lacks_digits
from skmixed._numerics.least_squares.absorbed import Absorbed
from skmixed._numerics.least_squares.dummies import Dummies
from skmixed._numerics.least_squares.fixed_effects_of_factors import solve_factor_effects
from skmixed._numerics.least_squares.level_equations import TooManyLevelsError
from skmixed._numerics.linalg.digits import FEW_LEFT
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import dense
from skmixed._rows.threads import one_blas_thread

# Numbers that are expanded at a time.
BATCH_VALUES = 2**17


@dataclass(frozen=True, eq=False)
class FittedFactorEffects:
    """The sums that were fitted by least squares, with the effects of several factors.

    Attributes
    ----------
    moments : FactorMoments
        Of the rows of the fit.
    absorbed : Absorbed or None
        What effects leave of the columns, with the digits of a second pass; None if there was
        none.
    """

    moments: FactorMoments
    absorbed: Absorbed | None = None

    @cached_property
    def dummies(self):
        """The dummies of all factors."""
        return Dummies.of(self.moments)

    @cached_property
    def solution(self):
        """Effects and coefficients, made again where they are not at hand."""
        absorbed = self.absorbed or Absorbed.of(self.moments, self.dummies)
        return solve_factor_effects(self.dummies, absorbed)

    def variance_of_means(self, X, codes):
        """Variances of predictions around the true means of rows, over sigma2.

        Parameters
        ----------
        X : {ndarray, sparse matrix} of shape (n_rows, n_features)
            Checked rows.
        codes : ndarray of shape (n_factors, n_rows)
            Position of each row's level of each factor, -1 for a new one: NaN.
        """
        variance = np.empty(codes.shape[1])
        with one_blas_thread():
            for rows in gen_batches(len(variance), max(BATCH_VALUES // (1 + X.shape[1]), 1)):
                x = np.asarray(dense(X[rows]), dtype=np.float64)
                variance[rows] = self.solution.prediction.of_rows(x, codes[:, rows])
        return variance


def fit_factor_effects(moments, names, again=None):
    """Solve, and pass over the rows again as long as digits lack.

    Parameters
    ----------
    moments : FactorMoments
        Of the rows.
    names : sequence of str
        Of the factors, for errors.
    again : RowsAgain, default=None
        The rows, if they can be read again.

    Returns
    -------
    FittedFactorEffects
    """
    dummies = _dummies(moments, names)
    absorbed, fitted = Absorbed.of(moments, dummies), FittedFactorEffects(moments)
    solution = solve_factor_effects(dummies, absorbed)
    if again is not None and (lacks_digits(solution) or _few_are_left(absorbed)):
        for _ in range(MAX_PASSES):
            X, y, codes, _, weight = again.rows
            absorbed = absorbed.with_taken(solution.beta[1:])
            absorbed = absorbed.again(dummies, X, y, codes, weight)
            solution = solve_factor_effects(dummies, absorbed)
            if not lacks_digits(solution):
                break
        fitted = FittedFactorEffects(moments, absorbed)
    vars(fitted).update(dummies=dummies, solution=solution)  # at hand, and not stored
    return fitted


def _dummies(moments, names):
    try:
        return Dummies.of(moments)
    except TooManyLevelsError as error:
        sizes = [len(factor.labels) for factor in moments.factors]
        listed = ", ".join(f"{n!r} of {size:,}" for n, size in zip(names, sizes, strict=True))
        raise ValueError(
            f"The factors have too many groups: {listed}. Those besides the two largest may "
            f"have {error.limit:,} in all, but have {error.n_levels:,}. Leave a factor out, or "
            "join its small groups."
        ) from error


def _few_are_left(absorbed):
    """Whether the sums hardly see what effects leave of a column."""
    few = np.diag(absorbed.M) < FEW_LEFT * np.diag(absorbed.T)
    return bool(few[1:].any())
