"""What y is: a number, one of two classes or a count; and what models of it are compared by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from skmixed._reports.pooling_names import ENCODED, FIXED, FIXED_SLOPES, ONE_HOT, POOLED
from skmixed._rows.classes import check_counts, check_two_classes, encode_classes
from skmixed._rows.features import read_target
from skmixed.model_selection import _pooling_measures as measures

AUTO, CONTINUOUS, BINARY, COUNT = TARGET_TYPES = ("auto", "continuous", "binary", "count")
# Columns of the summary that say how far predictions are true on average.
CALIBRATION = ["calibration_slope", "calibration_intercept"]


class Outcome(NamedTuple):
    """How models of a kind of y are compared.

    Attributes
    ----------
    target_type : str
        "continuous", "binary" or "count".
    loss : str
        The score that ranks models, the lower the better.
    explained : str
        The score that is above 0 for what predicts better than the mean of y.
    of_means, of_distributions : dict of str to callable
        Scores by name, the latter of models that predict a distribution.
    rivals : tuple of list of str
        Our models that the multilevel ones are told apart from, each list's best.
    mean_of_y : str
        What predicts without a model.
    """

    target_type: str
    loss: str
    explained: str
    of_means: dict[str, Callable]
    of_distributions: dict[str, Callable]
    rivals: tuple[list[str], ...]
    mean_of_y: str

    @property
    def measures(self):
        """Names of all scores of a fold."""
        return [*self.of_means, *self.of_distributions]

    @property
    def is_continuous(self):
        return self.target_type == CONTINUOUS


def _by_name(*functions):
    return {function.__name__: function for function in functions}


OUTCOMES = {
    CONTINUOUS: Outcome(
        CONTINUOUS,
        loss="rmse",
        explained="r2",
        of_means=_by_name(measures.rmse, measures.mae, measures.r2),
        of_distributions=_by_name(measures.log_density, measures.coverage, measures.width),
        rivals=([FIXED, FIXED_SLOPES], [POOLED]),
        mean_of_y="the mean of y",
    ),
    BINARY: Outcome(
        BINARY,
        loss="log_loss",
        explained="d2_log_loss",
        of_means=_by_name(
            measures.log_loss, measures.brier, measures.auc, measures.d2_log_loss
        ),
        of_distributions={},
        rivals=([ONE_HOT], [ENCODED], [POOLED]),
        mean_of_y="the share of the class",
    ),
    COUNT: Outcome(
        COUNT,
        loss="poisson_deviance",
        explained="d2_deviance",
        of_means=_by_name(
            measures.poisson_deviance, measures.rmse, measures.mae, measures.d2_deviance
        ),
        of_distributions={},
        rivals=([ONE_HOT], [POOLED]),
        mean_of_y="the mean of y",
    ),
}


# Values of rows whose mean is the score of a fold; the latter of predictive distributions
OF_MEANS = {k: v for outcome in OUTCOMES.values() for k, v in outcome.of_means.items()}
OF_DISTRIBUTIONS = OUTCOMES[CONTINUOUS].of_distributions


class Target(NamedTuple):
    """Outcome, its values as models take them, as numbers to score by, and two classes."""

    outcome: Outcome
    given: np.ndarray
    numbers: np.ndarray
    classes: np.ndarray | None = None


def read_outcome(y: Any, target_type: str) -> Target:
    """Find out what y is, and check it.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        As given.
    target_type : {"auto", "continuous", "binary", "count"}
        As given.

    Returns
    -------
    Target
    """
    if target_type == AUTO:
        target_type = BINARY if _are_classes(y) else CONTINUOUS
    outcome = OUTCOMES[target_type]
    if target_type == BINARY:
        numbers, classes = encode_classes(y)
        numbers = np.asarray(numbers)
        check_two_classes(numbers, classes)
        labels = np.array(classes.tolist())  # not of objects
        return Target(outcome, labels[numbers.astype(np.intp)], numbers, labels)
    numbers = read_target(y).astype(np.float64, copy=False)
    if target_type == COUNT:
        check_counts(numbers)
    return Target(outcome, numbers, numbers)


def _are_classes(y):
    """Whether y holds truth values or text, or no numbers but 0 and 1, and both."""
    values = pd.Series(np.asarray(y).ravel()).infer_objects().to_numpy()
    if values.dtype.kind in "iuf":
        return set(np.unique(values).tolist()) == {0, 1}
    if values.dtype.kind == "O":
        values = values[~pd.isna(values)]
        return bool(len(values)) and all(isinstance(v, str | bool | np.bool_) for v in values)
    return values.dtype.kind == "b"
