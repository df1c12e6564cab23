"""What the regressors of counts share."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_tweedie_score
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._numerics.likelihoods.families import poisson
from skmixed._reports.likelihood_messages import NO_EXPOSURE, TOO_MANY_TO_DRAW
from skmixed._rows.classes import (
    check_counts,
    check_size_of_counts,
    warn_about_fractions,
)
from skmixed._rows.containers import take_rows
from skmixed._rows.features import read_target
from skmixed._rows.labels import check_weights
from skmixed._rows.messages import COUNTS
from skmixed._sklearn_private import validate_params
from skmixed._state import in_one_piece

# Counts beyond this are not told apart by float64.
LARGEST_COUNT = 2.0**53


class DispersionTest(NamedTuple):
    """Whether counts vary more around their means than a Poisson distribution does."""

    statistic: float
    df: float
    ratio: float
    p_value: float


class BaseMixedPoissonRegressor(RegressorMixin, BaseLikelihoodModel):
    """Mixed Poisson regression: means of counts.

    Subclasses give the constructor and the random columns.
    """

    _family = "poisson"
    _words = COUNTS
    _ratio = "rate_ratio"
    _sum_of_weights = "Sum of weights (exposure)"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    @in_one_piece
    def predict(self, X: Any, groups: Any = None) -> np.ndarray:
        """Predict the mean of y, a count or a rate.

        It is averaged over what is not known of a group: for a known group over the
        distribution of its effects given its rows, for a group not seen in fit, or a missing
        label, over that of all groups, ``exp(x'beta + z'Psi z / 2)``.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row. Required if `fit` was given `groups`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Means, not negative.

        Raises
        ------
        ValueError
            If the model was fitted with groups and none are given, or if there are new
            groups or missing labels and ``new_groups="error"``.
        """
        return poisson.mean(self._predict_links(X, groups, "predict"))

    @in_one_piece
    @validate_params({"average": ["boolean"]}, prefer_skip_nested_validation=True)
    def predict_population(self, X: Any, *, average: bool = True) -> np.ndarray:
        """Predict the mean of y in a new group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`; with `group_by`, the group column is ignored and may
            be missing.
        average : bool, default=True
            Whether to average over the random effects of groups, as `predict` does for a new
            one. If not, the mean is that of an average group, whose effects are 0:
            ``exp(x'beta)``, the median over groups.

        Returns
        -------
        ndarray of shape (n_rows,)
            Means.
        """
        return poisson.mean(self._predict_links_of_new(X, average=average))

    @in_one_piece
    def score(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> float:
        """Share of the Poisson deviance that is explained, D2.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        y : array-like of shape (n_rows,)
            True counts, or rates.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict`.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row, or its exposure.

        Returns
        -------
        float
            1 - deviance / (deviance of the mean of y): at most 1, and 0 for that mean. If y
            does not vary, 1 if it is predicted, else 0.
        """
        given = {"y": y, "groups": groups, "sample_weight": sample_weight}
        X, y, groups, sample_weight = take_rows(X=X, **given)
        predicted = np.maximum(self.predict(X, groups=groups), np.finfo(np.float64).tiny)
        weight = check_weights(sample_weight, predicted)
        y = read_target(y)
        check_counts(y)
        if len(y) > 1 and np.all(y == y[0]):  # as r2_score: there is nothing to explain
            return float(np.allclose(predicted, y[0]))
        return float(d2_tweedie_score(y, predicted, sample_weight=weight, power=1))

    @property
    @in_one_piece
    def dispersion_(self) -> float:
        """How much more counts vary around their means than a Poisson distribution does.

        Pearson's chi-square at the modes of the random effects, over its degrees of freedom:
        rows, less fixed effects, less what the random effects take up, the sum of their
        pooling weights. About 1 if the model is right, and less where groups have few counts
        each; if it is well above, standard errors are too small. Rows are what is counted, not
        their weights, which are exposures.

        Returns
        -------
        float
            Not negative; NaN without degrees of freedom.
        """
        check_is_fitted(self)
        return self._dispersion_test().ratio

    def _dispersion_test(self):
        statistic = self._fitted.pearson
        n_fixed = np.count_nonzero(self._fitted.kept)
        df = self._fitted.n_rows - n_fixed - self._fitted.effects_taken_up
        if df <= 0:
            return DispersionTest(statistic, df, np.nan, np.nan)
        return DispersionTest(statistic, df, statistic / df, float(chi2.sf(statistic, df)))

    def _read_target(self, y):
        return y

    def _check_target(self, rows):
        check_counts(rows.y)
        weight = rows.sample_weight
        counts = rows.y if weight is None else weight * rows.y
        check_size_of_counts(counts)
        warn_about_fractions(rows.y, counts, weight)

    def _sampler(self, X, sample_weight):
        exposure = check_weights(sample_weight, X)
        if exposure is not None and not np.all(exposure > 0):
            n_zero = np.count_nonzero(exposure == 0)
            raise ValueError(NO_EXPOSURE.format(n_zero=n_zero))
        return partial(_draw_rates, exposure=1.0 if exposure is None else exposure)

    def _said_of_y(self):
        test = self._dispersion_test()
        return {"Dispersion": test.ratio, "p, of more than Poisson's": test.p_value}


def _draw_rates(line, rng, exposure):
    """Draw counts over their exposures."""
    mean = exposure * poisson.mean(line)
    largest = mean.max(initial=0.0)
    if largest > LARGEST_COUNT:
        raise ValueError(TOO_MANY_TO_DRAW.format(largest=largest, limit=LARGEST_COUNT))
    return poisson.draw(mean, rng) / exposure
