"""Mixed models whose residual variance differs between strata: what is stored and kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skmixed._estimators.fitted import FittedModel
from skmixed._estimators.iterative import check_may_be_exact
from skmixed._estimators.streaming import RowsSeen
from skmixed._numerics.fit.strata import NoDigitsError, VanishingVarianceError, fit_strata
from skmixed._numerics.inference.degrees_of_freedom_of_strata import satterthwaite_of_strata
from skmixed._numerics.inference.explained_variance_of_strata import (
    explained_variance_of_strata,
    random_by_stratum,
)
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.strata import StratifiedMoments
from skmixed._reports.messages import NO_DIGITS, warn_about_fit
from skmixed._rows.factors import refuse_factors
from skmixed._rows.labels import as_index
from skmixed._rows.messages import STRATA_READ_ONCE, STRATUM_WITHOUT_VARIANCE
from skmixed._rows.reader import rows_that_count, sum_up
from skmixed._rows.strata import match_strata, present_strata, read_strata
from skmixed._rows.threads import one_blas_thread


@dataclass(frozen=True, eq=False)
class Strata:
    """The strata of a fit.

    Attributes
    ----------
    labels : Index of shape (n_strata,)
        Their labels, sorted.
    w : ndarray of shape (n_strata,)
        Weights of their rows: the residual variances are sigma2 / w.
    sigma2 : float
        The harmonic mean of the rows' residual variances.
    moments : StratifiedMoments
        Of the rows as they are, without these weights.
    """

    labels: pd.Index
    w: np.ndarray
    sigma2: float
    moments: StratifiedMoments

    @property
    def variances(self):
        """Residual variance of each stratum."""
        return pd.Series(self.sigma2 / self.w, index=self.labels, name="residual_variance")


@dataclass(frozen=True, eq=False)
class FittedStrata(FittedModel):
    """What a model with strata keeps of its fit: with the weights held it is an ordinary one.

    Attributes
    ----------
    strata : Strata
        Weights and moments of the strata. `moments` has the rows multiplied by the weights.
    """

    strata: Strata | None = None

    @property
    def own_lines(self):
        """The groups' own lines in the rows as they are."""
        return OwnLines.of(near_means(self.strata.moments.total))

    def satterthwaite(self, contrasts):
        """Degrees of freedom of contrasts in the coordinates of the problem."""
        moments, w = self.strata.moments, self.strata.w
        return satterthwaite_of_strata(self.criterion, self.Lambda, moments, w, contrasts)

    def random_by_stratum(self):
        """Variance of the random effects, averaged over the rows of each stratum."""
        factor = self.coordinates.to_user_factor(self.Lambda)
        cov = self.strata.sigma2 * factor @ factor.T
        has_level = self.specification.random_intercept
        return random_by_stratum(self.strata.moments, cov, random_intercept=has_level)

    def explained_variance(self):
        """Split the variance of y, for the marginal and the conditional R2."""
        moments, variances = self.strata.moments, self.strata.variances.to_numpy()
        slopes = self.coordinates.to_user_coefficients(self.beta)
        slopes = slopes[len(slopes) - (len(moments.total.shift) - 2) :]
        random = self.random_by_stratum()
        return explained_variance_of_strata(moments, slopes, random, variances)


def fit_rows_of_strata(model, rows, columns, X):
    """Rows -> moments of the strata -> solution -> attributes.

    Parameters
    ----------
    model : estimator
        A mixed model with `variance_by`.
    rows : TrainingRows
        Checked.
    columns : Columns
        What is known of the columns.
    X : table
        As it was handed in.

    Returns
    -------
    estimator
    """
    refuse_factors(columns, "variance_by", " Leave variance_by=None, or name one factor.")
    check_may_be_exact(model)
    model._columns = columns
    model._new_groups_of(columns.names)  # is checked
    codes, labels = read_strata(X, columns.variance_by)
    codes, labels = present_strata(codes, labels, rows.sample_weight)
    rows = rows_that_count(rows)
    total = sum_up(rows, columns)
    with one_blas_thread():
        moments = StratifiedMoments.from_rows(*rows, codes, total=total)
        found = _fit(model, moments, columns, labels)
    _store(model, found, moments, columns, labels)
    warn_about_fit(model, found.fit)
    return model


def _fit(model, moments, columns, labels):
    """Fit; an error names the stratum whose variance goes to 0."""
    options = {"tol": model.tol, "max_iter": model.max_iter}
    try:
        return fit_strata(moments, model._specification(columns), **options)
    except VanishingVarianceError as error:
        s, size = error.stratum, {"n_rows": moments.n_rows.sum()}
        size["n"] = moments.n_rows[s]
        given = {"label": labels.tolist()[s], "by": columns.variance_by, **size}
        raise ValueError(STRATUM_WITHOUT_VARIANCE.format(**given)) from error
    except NoDigitsError as error:
        message = NO_DIGITS.format(digits=error.digits) + STRATA_READ_ONCE
        raise ValueError(message) from error


def _store(model, found, moments, columns, labels):
    """Store what an ordinary fit of the weighted rows has, then what differs by stratum."""
    weighted = moments.weighted(found.w)
    model._store(found.fit, weighted, columns)
    index = as_index(labels, name=_name(model, columns.variance_by))
    strata = Strata(index, found.w, found.fit.solution.sigma2, moments)
    ordinary = model._fitted
    model._fitted = FittedStrata(
        weighted, ordinary.specification, ordinary.Lambda, strata=strata
    )
    model._seen = RowsSeen(moments.total, model.get_params(deep=False))
    model._store_groups(moments.total)
    model.residual_variance_ = strata.variances
    random = model._fitted.random_by_stratum()
    icc = random / (random + strata.variances.to_numpy())
    model.icc_ = pd.Series(icc, index=index, name="icc")
    _store_criterion(model, found, n_more=len(index) - 1)


def _store_criterion(model, found, *, n_more):
    """Store the likelihood of the rows as they are, with more parameters by so many."""
    n_parameters = round(model.aic_ / 2 + model.log_likelihood_) + n_more
    model.criterion_ = found.criterion
    model.log_likelihood_ = -found.criterion / 2
    model.aic_ = found.criterion + 2 * n_parameters
    model.bic_ = found.criterion + np.log(found.fit.problem.n) * n_parameters
    model.converged_ = found.converged


def _name(model, variance_by):
    """Name the strata by their column."""
    names = getattr(model, "feature_names_in_", None)
    if isinstance(variance_by, str) or names is None:
        return str(variance_by) if isinstance(variance_by, str) else "stratum"
    return names[variance_by]


def noise_of_rows(model, X):
    """Residual variances of rows as they are handed in, over sigma2."""
    strata = model._fitted.strata
    return 1 / strata.w[match_strata(X, model._columns.variance_by, strata.labels)]
