"""What limits ask of a model with several factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skmixed._numerics.fit.average_information import FactorsOptimum, minimize_factors
from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion
from skmixed._numerics.fit.factors_given_sigma2 import FactorsGivenSigma2
from skmixed._numerics.fit.search_several_columns import MANY_GROUPS
from skmixed._numerics.fit.starts_of_factors import anova_start
from skmixed._numerics.inference.profile.likelihood import (
    MAX_ITER,
    MAX_STEPS,
    REFIT_TOL,
    TOL,
    ByFactor,
    GivenSigma2,
    Likelihood,
)
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.coordinates import Coordinates

# A factor's variances in a start where others may take its part: a share of what they seem.
SMALL_SHARE = 0.01


@dataclass(frozen=True)
class SeveralFactors(Likelihood):
    """A model with several factors."""

    criterion: FactorsCriterion

    @property
    def by_factor(self) -> Sequence[Coordinates]:
        return self.criterion.problem.by_factor

    @property
    def diagonal(self) -> Sequence[bool]:
        return self.criterion.problem.diagonal

    @property
    def largest_ratio(self) -> float:
        return 1.0

    @property
    def looks_everywhere(self) -> bool:
        few = min(self.criterion.problem.n_levels) < MANY_GROUPS
        return few and self.criterion.is_small

    def eliminate(self, Lambdas: ByFactor) -> tuple[float | Array, Array]:
        at = self.criterion.eliminate(Lambdas)
        return at.elimination.log_det, at.M

    def given_sigma2(
        self, Lambdas: ByFactor, sigma2: float, changes: Sequence[Array]
    ) -> GivenSigma2:
        at = FactorsGivenSigma2(self.criterion(Lambdas, largest_first=True), sigma2)
        hessian, cross = at.along(changes)
        gradient = [np.einsum("rab,ab->r", E, S) for E, S in zip(changes, at.S, strict=True)]
        return GivenSigma2(
            value=at.value,
            S=at.S,
            gradient=np.concatenate(gradient),
            hessian=hessian,
            cross=cross,
            slope=at.slope,
            curvature=at.curvature,
        )

    def refit(self, columns: Array, start: ByFactor | None) -> ByFactor:
        problem = self.criterion.problem
        held = replace(
            problem,
            T=columns.T @ problem.T @ columns,
            C=tuple(np.einsum("amj,mk->akj", C, columns) for C in problem.C),
            noise=(columns**2).T @ problem.noise,
        )
        criterion = FactorsCriterion(held, reml=False)
        starts = self._starts() if start is None else [[L @ L.T for L in start]]
        found = [_search(criterion, Psi) for Psi in starts]
        return min(found, key=lambda optimum: optimum.value).Lambdas

    def _starts(self) -> list[list[Array]]:
        """Psi_f as squares say with all columns of X, and with each factor next to absent."""
        first = anova_start(self.criterion.problem)
        less = [
            [SMALL_SHARE * Psi if g == f else Psi for g, Psi in enumerate(first)]
            for f in range(len(first))
        ]
        return [first, *less]

    def least_without(self, f: int, others: Array) -> float:
        problem = self.criterion.problem
        reduced = problem.with_random(f, others) if others.size else problem.without(f)
        criterion = FactorsCriterion(reduced, reml=False)
        return minimize_factors(criterion, tol=TOL, max_iter=MAX_ITER).value


def _search(criterion: FactorsCriterion, Psi: Sequence[Array]) -> FactorsOptimum:
    return minimize_factors(criterion, tol=REFIT_TOL, max_iter=MAX_STEPS, start=Psi)
