"""A cross-validation whose folds are fitted from moments if possible, and scored."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from sklearn.base import clone

from skmixed._rows.threads import one_blas_thread
from skmixed._sklearn_private import (
    check_method_params,
    fit_and_score,
    num_samples,
    safe_indexing,
    score,
)
from skmixed.model_selection._fold import Subset, first_partition
from skmixed.model_selection._refit import RefitsFromMoments
from skmixed.model_selection._scoring import Metrics


class RowsNeededError(Exception):
    """Moments do not determine a fold's fit to all digits."""


@dataclass
class CrossValidation:
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

    def evaluate(self, folds):
        """Evaluate all folds; a list of dictionaries as scikit-learn's loop has them."""
        parts, folds = first_partition(folds, num_samples(self.X))
        with one_blas_thread():
            try:
                refits = RefitsFromMoments(
                    self.estimator, self.X, self.y, **self.fit_params, parts=parts
                )
            except (ValueError, TypeError, Warning):
                # folds may be without what is wrong, and the loop reports the others
                return [self.in_the_loop(fold) for fold in folds]
            moments = chain(refits.parts, repeat(None))  # those of later folds are not known
            results = [
                self.evaluate_fold(fold, refits, summed_up)
                for fold, summed_up in zip(folds, moments, strict=False)
            ]
        for result in results:
            result["fit_time"] += refits.seconds / len(results)
        return results

    def evaluate_fold(self, fold, refits, summed_up):
        """Evaluate a fold from moments, or else in the loop."""
        if fold.left_out is not None and 2 * len(fold.left_out) <= num_samples(self.X):
            left_out = Subset(refits, fold.left_out, summed_up)
            with suppress(Exception):  # rows are needed, or the loop meets it again and reports
                return self.from_moments(fold, left_out)
        return self.in_the_loop(fold, refits)

    def in_the_loop(self, fold, refits=None):
        """Evaluate a fold from its rows, as scikit-learn does."""
        train, fit_params = fold.training_rows(num_samples(self.X)), self.fit_params
        if refits is not None:
            fit_params = refits.fit_params(fit_params, train)
        return fit_and_score(
            clone(self.estimator),
            self.X,
            self.y,
            scorer=self.scorer,
            train=train,
            test=fold.test,
            verbose=0,
            parameters=None,
            fit_params=fit_params,
            score_params=self.score_params,
            return_train_score=self.return_train_score,
            return_times=True,
            return_estimator=self.return_estimator,
            error_score=self.error_score,
        )

    def from_moments(self, fold, left_out):
        """Evaluate a fold from moments; an error if its fit needs the rows."""
        refits = left_out.refits
        start, shared = time.perf_counter(), refits.seconds
        test = left_out if fold.test is fold.left_out else Subset(refits, fold.test)
        fit = self.fit(left_out, test)
        fitted = time.perf_counter()
        result = {
            "fit_error": None,
            "test_scores": self.scores(fit, test),
            "fit_time": fitted - start - (refits.seconds - shared),
        }
        result["score_time"] = time.perf_counter() - fitted
        if self.return_train_score:
            train = Subset(refits, fold.training_rows(num_samples(self.X)))
            result["train_scores"] = self.scores(fit, train)
        if self.return_estimator:
            result["estimator"] = fit.model
        return result

    def fit(self, left_out, test):
        """Fit to all rows but those left out; the line alone, if no more is asked for."""
        wants_model = self.metrics is None or self.return_train_score or self.return_estimator
        if left_out.summed_up is None and test is left_out and not wants_model:
            line = left_out.refits.line_without(left_out.rows)
            if line is not None:
                return line
        fit = left_out.refits.without(left_out.moments, len(left_out.positions))
        if fit is None:
            raise RowsNeededError
        return fit

    def scores(self, fit, subset):
        """Score rows by sums of squares if those are known, else by predictions, if enough."""
        if self.metrics is None:
            return self.scores_of_model(fit.model, subset.positions)
        weight = subset.refits.rows["sample_weight"]
        if subset.summed_up is not None and weight is None and self.metrics.are_of_sums:
            sums = fit.sums_of_squares(subset.summed_up)
            if sums is not None:
                return self.metrics.of_sums(*sums, subset.summed_up.n)
        predicted = fit.predict(subset.rows)
        if predicted is None:
            return self.scores_of_model(fit.model, subset.positions)
        return self.metrics(subset.rows["y"], predicted, subset.positions)

    def scores_of_model(self, model, positions):
        """Score rows as scikit-learn does."""
        return score(
            model,
            safe_indexing(self.X, positions),
            safe_indexing(self.y, positions),
            self.scorer,
            check_method_params(self.X, self.score_params, indices=positions),
            self.error_score,
        )
