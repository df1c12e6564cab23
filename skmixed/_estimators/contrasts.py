"""Tests of combinations of coefficients: what all models answer in the same way.

A model has `_coefficient_tests(df_method)`, which returns one of these. Coefficients are in the
order of `coef_cov_`, and a combination must leave out those without an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import chi2, f

from skmixed._numerics.inference.degrees_of_freedom import (
    VarianceUncertainty,
    kenward_roger,
    kenward_roger_f,
)
from skmixed._numerics.inference.wald import combined_df, uncorrelated
from skmixed._numerics.least_squares.cluster_robust import ClusterRobust
from skmixed._reports.cluster_robust import NO_KENWARD_ROGER
from skmixed._reports.messages import KENWARD_ROGER_ML
from skmixed._rows.strata import refuse_strata


@dataclass(frozen=True)
class JointTest:
    """An F test that several combinations are 0.

    Attributes
    ----------
    statistic : float
        F; NaN if it cannot be tested.
    df_num : int
        Its numerator degrees of freedom, the number of combinations.
    df_denom : float
        Its denominator degrees of freedom; inf if k F is chi-square with k.
    scale : float
        What the mean of squares is multiplied by in the statistic.
    """

    statistic: float
    df_num: int
    df_denom: float
    scale: float = 1.0

    @property
    def p_value(self):
        """How often a larger statistic comes by chance."""
        if np.isinf(self.df_denom):
            return float(chi2.sf(self.df_num * self.statistic, self.df_num))
        return float(f.sf(self.statistic, self.df_num, self.df_denom))


@dataclass(frozen=True)
class ByCovariance:
    """Tests by the covariance of the coefficients.

    Attributes
    ----------
    cov : ndarray of shape (n_coef, n_coef)
        NaN for coefficients without an estimate.
    df_of : callable
        From combinations, the rows of an array of shape (k, n_coef), to the degrees of freedom
        of each.
    """

    cov: np.ndarray
    df_of: Callable[[np.ndarray], np.ndarray]

    def single(self, L):
        """Variances and degrees of freedom of combinations.

        Parameters
        ----------
        L : ndarray of shape (k, n_coef)
            Their weights.
        """
        return np.einsum("ki,ij,kj->k", L, np.nan_to_num(self.cov), L), self.df_of(L)

    def joint(self, Ls, beta):
        """Test that all combinations of a set are 0, for each of several sets.

        Parameters
        ----------
        Ls : list of ndarray of shape (k, n_coef)
            Their weights, linearly independent within each set.
        beta : ndarray of shape (n_coef,)
            The coefficients, 0 for those without an estimate.

        Returns
        -------
        list of JointTest
        """
        cov = np.nan_to_num(self.cov)
        found = [uncorrelated(L @ beta, L @ cov @ L.T) for L in Ls]
        # all at once: degrees of freedom may need a pass over the groups
        nu = self.df_of(np.vstack([P @ L for (_, P), L in zip(found, Ls, strict=True)]))
        ends = np.cumsum([len(L) for L in Ls])[:-1]
        return [
            JointTest(statistic, len(own), combined_df(own))
            for (statistic, _), own in zip(found, np.split(nu, ends), strict=True)
        ]


@dataclass(frozen=True)
class ByKenwardRoger:
    """Tests by Kenward and Roger's method, which widens the covariance.

    Attributes
    ----------
    uncertainty : VarianceUncertainty
        Of the fit's variance components.
    backmap : ndarray of shape (n_coef, p)
        From the coordinates of the problem to the coefficients.
    sigma : float
        Standard deviation of the residuals, in the coordinates of the problem.
    """

    uncertainty: VarianceUncertainty
    backmap: np.ndarray
    sigma: float

    def single(self, L):
        """Variances and degrees of freedom of combinations, as `ByCovariance` has them."""
        df, variances = kenward_roger(self.uncertainty, L @ self.backmap)
        return self.sigma**2 * variances, df

    def joint(self, Ls, beta):
        """Test that all combinations of a set are 0, as `ByCovariance` does."""
        return [self._joint(L, L @ beta) for L in Ls]

    def _joint(self, L, values):
        if not self.sigma > 0:
            return JointTest(np.nan, len(L), np.nan)
        scaled = L @ self.backmap
        statistic, df, scale = kenward_roger_f(self.uncertainty, values / self.sigma, scaled)
        return JointTest(statistic, len(L), df, scale)


@dataclass(frozen=True)
class ByClusters(ByCovariance):
    """Tests by a covariance that is robust to clusters.

    Attributes
    ----------
    clusters : ClusterRobust
        Where degrees of freedom come from.
    """

    clusters: ClusterRobust

    @classmethod
    def of(cls, clusters):
        """Test by the degrees of freedom of these clusters."""
        return cls(clusters.cov, clusters.degrees_of_freedom, clusters)

    def joint(self, Ls, beta):
        """Test that all combinations of a set are 0, as `ByCovariance` does."""
        return [self._joint(L, L @ beta) for L in Ls]

    def _joint(self, L, values):
        statistic, _ = uncorrelated(values, L @ np.nan_to_num(self.cov) @ L.T)
        if np.isnan(statistic) or len(L) >= self.clusters.n_clusters:
            return JointTest(np.nan, len(L), np.nan)
        df = self.clusters.joint_df(L)
        if not df > 0:
            return JointTest(np.nan, len(L), df)
        scale = 1.0 if self.clusters.adjusted is None else df / (df + len(L) - 1)
        return JointTest(scale * statistic, len(L), df, scale)


def tests_of_regression(model, df_method):
    """Make the tests of a fitted regression by least squares.

    There is one variance, so that the methods of mixed models all come to `residual_dof_`; with
    standard errors robust to clusters, to the degrees of freedom of these.

    Parameters
    ----------
    model : estimator
        Of any kind of standard errors.
    df_method : {"satterthwaite", "kenward-roger", "normal", None}
        How to find degrees of freedom.

    Returns
    -------
    ByCovariance or ByClusters
    """
    cov, clusters = model.coef_cov_.to_numpy(), model._clusters
    if clusters is not None and df_method == "kenward-roger":
        name = type(model).__name__
        raise ValueError(NO_KENWARD_ROGER.format(name=name, kind=clusters.kind))
    if df_method == "normal":
        return ByCovariance(cov, _infinite)
    if clusters is not None:
        return ByClusters.of(clusters)
    return ByCovariance(cov, lambda L: np.full(len(L), model.residual_dof_))


def tests_of_mixed(model, df_method):
    """Make the tests of a fitted linear mixed model.

    Parameters
    ----------
    model : estimator
        With groups.
    df_method : {"satterthwaite", "kenward-roger", "normal"}
        How to find degrees of freedom.

    Returns
    -------
    ByCovariance or ByKenwardRoger
    """
    fitted = model._fitted
    if df_method == "kenward-roger":
        remedy = "Use df_method='satterthwaite'."
        refuse_strata(model._columns, "df_method='kenward-roger'", remedy)
        if not fitted.specification.reml:
            raise ValueError(KENWARD_ROGER_ML)
        sigma = np.sqrt(model.residual_variance_) / fitted.coordinates.y_scale
        return ByKenwardRoger(
            fitted.variance_uncertainty(), fitted.coordinates.backmap, float(sigma)
        )
    known = df_method == "normal"
    df_of = _infinite if known else partial(_satterthwaite, fitted)
    return ByCovariance(model.coef_cov_.to_numpy(), df_of)


def _infinite(L):
    return np.full(len(L), np.inf)


def _satterthwaite(fitted, L):
    return fitted.satterthwaite(L @ fitted.coordinates.backmap)


def around_their_means(model):
    """Cross-products of the features of a linear model.

    Returns
    -------
    means : ndarray of shape (n_features,)
        What they are taken around; 0 without an intercept.
    G : ndarray of shape (n_features, n_features)
    """
    moments = model._moments
    means = moments.shift + moments.T[0] / moments.n
    has_intercept = len(model.coef_cov_) > len(model._terms)
    around = np.where(np.arange(len(means)), means * has_intercept, 0.0)
    return around[1:-1], moments.around(around).T[1:-1, 1:-1]
