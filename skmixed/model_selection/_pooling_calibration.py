"""Whether predicted probabilities and means are true on average."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from skmixed.model_selection._pooling_measures import NEAR
from skmixed.model_selection._pooling_outcomes import BINARY

# Log-odds beyond which no share of rows lies.
FAR = 50.0


def calibrate(target_type, folds):
    """Regress y on the link of its predictions, over the rows of all folds.

    Parameters
    ----------
    target_type : {"binary", "count"}
        What y is.
    folds : list of TestedFold
        Of one model in one regime.

    Returns
    -------
    slope : float
        b in ``link(mean of y) = a + b link(prediction)``: 1 if predictions are neither too
        far apart nor too close. NaN if those of a fold do not differ.
    intercept : float
        a in ``link(mean of y) = a + link(prediction)``: 0 if they are right on average.
    """
    if any(fold.mean is None for fold in folds):
        return np.nan, np.nan
    y = np.concatenate([fold.y for fold in folds])
    if np.ptp(y) == 0:
        return np.nan, np.nan
    links = [_link(target_type, fold.mean) for fold in folds]
    varies = any(np.ptp(of_fold) > NEAR * FAR for of_fold in links)
    link = np.concatenate(links)
    slope = _slope(target_type, y, link) if varies else np.nan
    return slope, _level(target_type, y, link)


def _link(target_type, mean):
    if target_type == BINARY:
        return logit(np.clip(mean, NEAR, 1 - NEAR))
    return np.log(mean)


def _slope(target_type, y, link):
    options = {"solver": "newton-cholesky"}
    if target_type == BINARY:
        model = LogisticRegression(C=np.inf, **options)
    else:
        model = PoissonRegressor(alpha=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that predictions tell apart
        return float(np.ravel(model.fit(link[:, None], y).coef_)[0])


def _level(target_type, y, link):
    if target_type == BINARY:
        return float(brentq(lambda a: np.sum(expit(a + link) - y), -2 * FAR, 2 * FAR))
    return float(np.log(y.sum() / np.exp(link).sum()))
