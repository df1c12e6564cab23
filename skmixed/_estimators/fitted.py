"""What a model keeps of its fit, to answer later questions from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import random_effects
from skmixed._numerics.inference.bootstrap import bootstrap
from skmixed._numerics.inference.conditional_aic import conditional_aic
from skmixed._numerics.inference.degrees_of_freedom import (
    VarianceUncertainty,
    satterthwaite,
)
from skmixed._numerics.inference.explained_variance import explained_variance
from skmixed._numerics.inference.pooling import own_effects
from skmixed._numerics.inference.prediction import Uncertainty
from skmixed._numerics.inference.profile.limits import profile_limits
from skmixed._numerics.least_squares.cluster_robust import ClusterRobust
from skmixed._numerics.least_squares.fixed_effects import solve_fixed_effects, solve_pooled
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.moments import GroupedMoments, dense
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._rows.columns import dense_column

# Numbers that are expanded at a time.
BATCH_VALUES = 2**17


@dataclass(frozen=True, eq=False)
class FittedModel:
    """The sums that were fitted, the model, and where its criterion is least.

    What follows from these is made when first needed, and not stored with the estimator.

    Attributes
    ----------
    moments : GroupedMoments
        Of the rows of the fit.
    specification : Specification
        The model.
    Lambda : ndarray of shape (q, q)
        Any factor of Psi at the optimum, in the coordinates of the problem.
    lines : OwnLines or None
        Of the same rows, with the digits of a second pass; None if there was none.
    known : GroupedMoments or None
        Of all rows that the groups are known by; None if these are the rows of the fit.
    """

    moments: GroupedMoments
    specification: Specification
    Lambda: np.ndarray
    lines: OwnLines | None = None
    known: GroupedMoments | None = None

    @property
    def own_lines(self):
        """The groups' own lines in the rows of the fit, with all digits there are."""
        return self.lines or OwnLines.of(near_means(self.moments))

    @cached_property
    def criterion(self):
        """The criterion, as a function of Psi."""
        return self.specification.criterion(self.lines or self.moments)

    @cached_property
    def criterion_now(self):
        """The criterion with the groups that are known now."""
        if self.known is None:
            return self.criterion
        problem = self.criterion.problem.with_groups(OwnLines.of(self.known))
        return replace(self.criterion, problem=problem)

    def profile_limits(self, level):
        """Limits of all parameters, in a list as of several factors."""
        return [profile_limits(self.criterion.problem, level=level)]

    def redraw(self, **options):
        """Return a function of seeds that draws y anew and estimates again."""
        return partial(bootstrap, self.criterion, self.Lambda, **options)

    def conditional_aic(self):
        """Akaike's criterion for the groups at hand."""
        return conditional_aic(self.criterion, self.Lambda).value

    @cached_property
    def uncertainty(self):
        """Of the fit's coefficients, and of the groups that are known now."""
        fitted = Uncertainty.from_criterion(self.criterion, self.Lambda)
        return replace(fitted, problem=self.criterion_now.problem)

    @property
    def beta(self):
        """Fixed effects, in the coordinates of the problem."""
        return self.criterion.coefficients(self.criterion.eliminate(self.Lambda)[1])[0]

    def knowing(self, known):
        """Know groups by other rows; the fit, and its criterion, stay."""
        other = replace(self, known=known)
        vars(other)["criterion"] = self.criterion
        return other

    @property
    def coordinates(self):
        """The way from the problem to the user's columns."""
        return self.criterion.problem.coordinates

    def satterthwaite(self, contrasts):
        """Degrees of freedom of contrasts in the coordinates of the problem."""
        return satterthwaite(self.criterion, self.Lambda, contrasts)

    def variance_uncertainty(self):
        """Covariance of the estimated variance components, by the expected information."""
        return VarianceUncertainty.from_criterion(self.criterion, self.Lambda)

    def explained_variance(self):
        """Split the variance of y, for the marginal and the conditional R2."""
        return explained_variance(self.criterion, self.Lambda)

    def own_effects(self):
        """Effects of the groups that are known now without pooling."""
        return own_effects(self.criterion_now.problem, self.beta)

    def random_effects(self):
        """Conditional modes and pooling weights of the groups that are known now."""
        return random_effects(self.criterion_now, self.Lambda, self.beta)

    def covariance_to_user(self, cov):
        """Turn covariances of random effects, over sigma2, to the user's units."""
        back = self.criterion.problem.coordinates.random_backmap
        return np.einsum("ac,cdj,bd->abj", back, cov, back)

    def variance_of_means(self, X, codes):
        """Variances of predictions around the true means of rows, over sigma2.

        Parameters
        ----------
        X : {ndarray, sparse matrix} of shape (n_rows, n_features)
            Checked rows.
        codes : ndarray of shape (n_rows,)
            Position of each row's group among those known now, -1 for a new group.
        """
        coordinates = self.criterion.problem.coordinates
        backmap = coordinates.backmap / coordinates.y_scale
        first = len(backmap) - X.shape[1]  # 1 if there is an intercept
        variance = np.empty(len(codes))
        for rows in gen_batches(len(codes), max(BATCH_VALUES // (1 + X.shape[1]), 1)):
            fixed = safe_sparse_dot(X[rows], backmap[first:]) + backmap[:first].sum(axis=0)
            random = self._random_columns(X[rows]) @ coordinates.random_backmap
            variance[rows] = self.uncertainty.of_predictions(fixed, random, codes[rows])
        return variance

    def _random_columns(self, X):
        """Z, the columns of the random effects."""
        ones = [np.ones(X.shape[0])] if self.specification.random_intercept else []
        slopes = (dense_column(X, column - 1) for column in self.moments.random[1:])
        return np.column_stack([*ones, *slopes])


@dataclass(frozen=True, eq=False)
class FittedRegression:
    """The sums that were fitted by least squares, and the model.

    Attributes
    ----------
    moments : GroupedMoments
        Of the rows of the fit.
    has_own_lines : bool
        Whether each group has a line of its own, those of the random columns of the moments.
    fit_intercept : bool
        Whether there is an intercept, if not.
    lines : OwnLines or None
        Of the same rows, with the digits of a second pass; None if there was none.
    clusters : ClusterRobust or None
        What makes tests robust to clusters; None for classical ones.
    """

    moments: GroupedMoments
    has_own_lines: bool
    fit_intercept: bool = True
    lines: OwnLines | None = None
    clusters: ClusterRobust | None = None

    def variance_of_means(self, X, codes):
        """Variances of predictions around the true means of rows, over sigma2.

        Parameters
        ----------
        X : {ndarray, sparse matrix} of shape (n_rows, n_features)
            Checked rows.
        codes : ndarray of shape (n_rows,)
            Position of each row's group, -1 for a new group, of which groups with lines of
            their own tell nothing: NaN.
        """
        variance = np.empty(len(codes))
        columns = (1 + X.shape[1]) * (1 + len(self.moments.random))
        for rows in gen_batches(len(codes), max(BATCH_VALUES // columns, 1)):
            variance[rows] = self._prediction.of_rows(dense(X[rows]), codes[rows])
        return variance

    def without_groups(self, moments=None):
        """Give a pooled regression as a mixed model whose groups do not vary.

        Parameters
        ----------
        moments : GroupedMoments, optional
            Of the same rows, with groups.
        """
        specification = Specification(reml=True, fit_intercept=self.fit_intercept)
        sums = (self.moments, self.lines) if moments is None else (moments, None)
        return FittedModel(sums[0], specification, np.zeros((1, 1)), sums[1])

    @cached_property
    def _prediction(self):
        sums = self.lines or self.moments
        if self.has_own_lines:
            return solve_fixed_effects(sums).regression.prediction
        return solve_pooled(make_problem(sums, fit_intercept=self.fit_intercept)).prediction
