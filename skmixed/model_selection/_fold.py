"""One fold of a cross-validation: fitted from moments if possible, and scored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from sklearn.base import clone

from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import (
    check_method_params,
    fit_and_score,
    num_samples,
    safe_indexing,
    score,
)
from skmixed.model_selection._refit import Refits
from skmixed.model_selection._scoring import Metrics

# Moments of so many folds are held at the same time.
MANY_FOLDS = 20


@dataclass(frozen=True)
class Fold:
    """Rows of a fold.

    Attributes
    ----------
    test : ndarray
        Positions of the rows to predict.
    left_out : ndarray or None
        Positions of all rows that do not train, the same array as `test` if they are the same
        rows; None if a row trains twice.
    train : ndarray or None
        Positions of the training rows; None if these are all rows but `test`, in order.
    """

    test: np.ndarray
    left_out: np.ndarray | None
    train: np.ndarray | None

    @classmethod
    def of(cls, train, test, n_rows):
        """Find out what is left out; no `train` stands for all rows but `test`."""
        test = _positions(test)
        if train is None:
            return cls(test, test, None)
        train = _positions(train)
        is_left_out = np.ones(n_rows, dtype=bool)
        is_left_out[train] = False
        n_left_out = np.count_nonzero(is_left_out)
        if n_left_out + len(train) > n_rows:
            return cls(test, None, train)
        if n_left_out == len(test) and is_left_out[test].all():
            is_left_out[test] = False
            if not is_left_out.any():
                in_order = np.all(train[1:] > train[:-1])
                return cls(test, test, None if in_order else train)
            is_left_out[test] = True
        return cls(test, np.flatnonzero(is_left_out), train)

    def training_rows(self, n_rows):
        """Positions of the training rows, written out."""
        if self.train is not None:
            return self.train
        return np.delete(np.arange(n_rows), self.test)


@dataclass
class Evaluation:
    """What all folds have in common; the parameters are those of scikit-learn's loop."""

    estimator: Any
    X: Any
    y: Any
    scorer: Any
    fit_params: dict
    score_params: dict
    metrics: Metrics | None
    return_train_score: bool
    return_estimator: bool
    error_score: Any

    def of_all(self, folds):
        """Evaluate all folds; a list of dictionaries as scikit-learn's loop has them."""
        parts, folds = _first_partition(folds, num_samples(self.X))
        with one_blas_thread():
            try:
                refits = Refits(self.estimator, self.X, self.y, **self.fit_params, parts=parts)
            except (ValueError, TypeError, Warning):
                # folds may be without what is wrong, and the loop reports the others
                return [self.in_the_loop(fold) for fold in folds]
            results = [self.of(fold, refits, number) for number, fold in enumerate(folds)]
        for result in results:
            result["fit_time"] += refits.seconds / len(results)
        return results

    def of(self, fold, refits, number):
        """Evaluate a fold from moments, or else in the loop."""
        left_out = fold.left_out
        if left_out is not None and 2 * len(left_out) <= num_samples(self.X):
            part = refits.parts[number] if number < len(refits.parts) else None
            try:
                result = self.from_moments(fold, refits, part)
            except Exception:  # the loop meets it again, and reports it
                result = None
            if result is not None:
                return result
        return self.in_the_loop(fold)

    def in_the_loop(self, fold):
        """Evaluate a fold from its rows, as scikit-learn does."""
        return fit_and_score(
            clone(self.estimator),
            self.X,
            self.y,
            scorer=self.scorer,
            train=fold.training_rows(num_samples(self.X)),
            test=fold.test,
            verbose=0,
            parameters=None,
            fit_params=self.fit_params,
            score_params=self.score_params,
            return_train_score=self.return_train_score,
            return_times=True,
            return_estimator=self.return_estimator,
            error_score=self.error_score,
        )

    def from_moments(self, fold, refits, part):
        """Evaluate a fold from moments, `part` if known; None if its fit needs the rows."""
        start, shared = time.perf_counter(), refits.seconds
        rows = refits.take(fold.left_out) if part is None else None
        fit = None if rows is None else self.line(fold, refits, rows)
        if fit is None:
            part = refits.sum_up(rows) if part is None else part
            fit = refits.without(part, len(fold.left_out))
        if fit is None:
            return None
        fitted = time.perf_counter()
        is_test = fold.test is fold.left_out
        scores = self.scores_of_sums(fit, refits, part) if rows is None and is_test else None
        if scores is None:
            scores = self.scores(fit, refits, fold.test, rows if is_test else None)
        result = {"fit_error": None, "test_scores": scores}
        result["score_time"] = time.perf_counter() - fitted
        result["fit_time"] = fitted - start - (refits.seconds - shared)
        if self.return_train_score:
            train = fold.training_rows(num_samples(self.X))
            result["train_scores"] = self.scores(fit, refits, train)
        if self.return_estimator:
            result["estimator"] = fit.model
        return result

    def line(self, fold, refits, rows):
        """Find the line without one whole group, if no more is asked for; else None."""
        wants_model = self.return_train_score or self.return_estimator
        if self.metrics is None or wants_model or fold.test is not fold.left_out:
            return None
        return refits.line_without(rows)

    def scores_of_sums(self, fit, refits, part):
        """Score the rows of a part from their moments; None if that needs the rows."""
        is_weighted = refits.rows["sample_weight"] is not None
        if is_weighted or self.metrics is None or not self.metrics.are_of_sums:
            return None
        sums = fit.sums_of_squares(part)
        return None if sums is None else self.metrics.of_sums(*sums, part.n)

    def scores(self, fit, refits, index, rows=None):
        """Score the rows at `index`, by predictions alone if the scorers look at no more."""
        if self.metrics is not None:
            rows = refits.take(index) if rows is None else rows
            predicted = fit.predict(rows)
            if predicted is not None:
                return self.metrics(rows["y"], predicted, index)
        return score(
            fit.model,
            safe_indexing(self.X, index),
            safe_indexing(self.y, index),
            self.scorer,
            check_method_params(self.X, self.score_params, indices=index),
            self.error_score,
        )


def _positions(rows):
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


def _first_partition(folds, n_rows):
    """Left-out rows of the first folds if they share out all rows, else None; and all folds."""
    head, covered = [], 0
    for fold in folds:
        head.append(fold)
        if fold.test is not fold.left_out or len(head) > MANY_FOLDS:
            break
        covered += len(fold.test)
        if covered >= n_rows:
            break
    parts = None
    if covered == n_rows and len(head) <= MANY_FOLDS:
        parts = [fold.test for fold in head]
        is_seen = np.zeros(n_rows, dtype=bool)
        is_seen[np.concatenate(parts)] = True
        parts = parts if is_seen.all() else None
    return parts, chain(head, folds)
