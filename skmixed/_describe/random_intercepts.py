"""The models of a description: a random intercept, without features, with them, and split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.fit import Fit, Specification
from skmixed._numerics.inference.degrees_of_freedom import VarianceUncertainty
from skmixed._numerics.least_squares.fixed_effects import (
    FixedEffects,
    solve_fixed_effects,
    solve_pooled,
)
from skmixed._numerics.least_squares.two_strata import TwoStrata
from skmixed._numerics.moments.columns import drop_columns_of_lines, split_columns


@dataclass(frozen=True)
class RandomIntercept:
    """A random-intercept model by REML, with the fits on either side of it."""

    fit: Fit
    fixed: FixedEffects

    @classmethod
    def of(cls, lines):
        """Fit it to groups' lines, which are their means."""
        fit = Fit.of(lines, Specification(), tol=1e-8, max_iter=100)
        return cls(fit, solve_fixed_effects(lines))

    @property
    def is_identified(self):
        """Whether the rows say anything of the variance between groups."""
        return self.fit.criterion.is_identified

    @property
    def solution(self):
        """The mixed model, in the user's units."""
        return self.fit.solution

    @property
    def ratio(self):
        """Variance between groups over the residual variance."""
        return float(self.fit.optimum.Lambda[0, 0] ** 2)

    @property
    def between(self):
        """Variance between groups."""
        return self.solution.sigma2 * self.ratio

    @cached_property
    def strata(self):
        """What is within groups and between them."""
        return TwoStrata(self.fit.criterion, self.fixed.regression, self.ratio)

    @cached_property
    def pooled(self):
        """The same columns without groups."""
        return solve_pooled(self.fit.problem)

    @cached_property
    def error_of_variance(self):
        """Standard error of the variance between groups over it, by expected information."""
        if not self.ratio:
            return np.nan
        criterion = CovarianceCriterion(self.fit.problem, reml=True)
        A = VarianceUncertainty.from_criterion(criterion, self.fit.optimum.Lambda).A
        # sigma2 psi: the relative changes of both add up
        change = np.array([1 / self.ratio, 1.0])
        return float(np.sqrt(max(change @ A @ change, 0.0)))


@dataclass(frozen=True)
class RandomIntercepts:
    """Models of y alone, of y given the features, and of y given features that are split."""

    y_alone: RandomIntercept
    given_features: RandomIntercept
    given_split: RandomIntercept

    @classmethod
    def of(cls, lines):
        """Fit them to the groups' means, and to what is within groups."""
        features = np.ones(len(lines.shift), dtype=bool)
        features[[0, -1]] = False
        split = split_columns(lines)
        first = RandomIntercept.of(split)
        # what the group means of features explain is taken off those of y before squares are
        between = first.solution.beta[1 + len(lines.taken) :]
        split = split.with_taken(np.concatenate([lines.taken, between]))
        return cls(
            RandomIntercept.of(drop_columns_of_lines(lines, features)),
            RandomIntercept.of(lines),
            RandomIntercept.of(split),
        )

    @property
    def beta(self):
        """Slopes that explain most of y: those within groups, or if there are none, between."""
        within, between = self.given_split.solution.beta[1:].reshape(2, -1)
        kept = self.given_split.fit.problem.coordinates.kept[1 : 1 + len(within)]
        return np.where(kept, within, between)

    @property
    def digits_left(self):
        """How many digits there are of what the fits need, at least."""
        fits = (self.y_alone, self.given_features, self.given_split)
        return min(model.fit.digits_left for model in fits)
