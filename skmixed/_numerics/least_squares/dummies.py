"""The dummies of several factors: their rank, their effects, and the variances of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.least_squares.level_equations import LevelEquations
from skmixed._numerics.least_squares.redundancy import Nested, Redundancy, find_nested
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.cells import FactorMoments


@dataclass(frozen=True)
class Dummies:
    """The dummies of several factors.

    Attributes
    ----------
    n_levels : tuple of int
        Of all factors.
    nested : tuple of Nested
        Factors that others contain: their dummies add nothing.
    equations : LevelEquations
        Of the factors that are left.
    redundancy : Redundancy
        What of the effects rows do not determine.
    largest : ndarray of shape (n_levels,)
        Rows of the levels of the factor that has the largest one.
    """

    n_levels: tuple[int, ...]
    nested: tuple[Nested, ...]
    equations: LevelEquations
    redundancy: Redundancy
    largest: NDArray[np.intp]

    @classmethod
    def of(cls, moments: FactorMoments) -> Dummies:
        """Read the dummies off the counts of rows."""
        nested = find_nested(moments)
        coarse = {lies_in.coarse for lies_in in nested}
        core = [f for f in range(len(moments.factors)) if f not in coarse]
        equations = LevelEquations.of(moments, core)
        return cls(
            n_levels=tuple(len(factor.labels) for factor in moments.factors),
            nested=tuple(nested),
            equations=equations,
            redundancy=Redundancy.of(moments, nested, equations),
            largest=max((factor.n_rows for factor in moments.factors), key=np.max),
        )

    @property
    def rank(self) -> int:
        """How many coefficients the dummies of all factors have."""
        return self.equations.rank

    def solve(self, C: list[Array]) -> tuple[list[Array], Array]:
        """Return effects and what they explain.

        Parameters
        ----------
        C : list of ndarray of shape (n_levels_f, k)
            Sums by level, of all factors.

        Returns
        -------
        b : list of ndarray of shape (n_levels_f, k)
            0 for factors that others contain.
        explained : ndarray of shape (k, k)
        """
        b, explained = self.equations.solve([C[f] for f in self.equations.factors])
        found = dict(zip(self.equations.factors, b, strict=True))
        k = len(explained)
        return [found.get(f, np.zeros((n, k))) for f, n in enumerate(self.n_levels)], explained

    def average(self) -> tuple[list[Array], float]:
        """Return the weights of the intercept among effects, and its variance over sigma2."""
        weights = self.redundancy.weights_of_intercept()
        _, explained = self.solve([weight[:, None] for weight in weights])
        return weights, float(explained[0, 0])

    def variances(self, codes: NDArray[np.intp]) -> Array:
        """Variances of sums of effects over sigma2, those of the coefficients of X apart.

        Parameters
        ----------
        codes : ndarray of shape (n_factors, n_rows)
            Levels whose sum the rows determine, a row of the fit or not.
        """
        core = codes[list(self.equations.factors)]
        cells, back = np.unique(core, axis=1, return_inverse=True)
        return self.equations.variances(cells)[back.ravel()]
