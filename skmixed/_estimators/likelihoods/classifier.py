"""What the classifiers of binary outcomes share."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_expit
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from skmixed._estimators.likelihoods.base import BaseLikelihoodModel
from skmixed._numerics.likelihoods.families import binomial
from skmixed._reports.likelihood_messages import NO_WEIGHTS_TO_DRAW
from skmixed._rows.classes import (
    check_two_classes,
    encode_classes,
    encode_known_classes,
    read_classes,
)
from skmixed._rows.containers import take_rows
from skmixed._rows.labels import check_weights, warn_about_small_weights
from skmixed._rows.messages import BINARY
from skmixed._sklearn_private import validate_params
from skmixed._state import in_one_piece


class BaseMixedClassifier(ClassifierMixin, BaseLikelihoodModel):
    """Mixed logistic regression: labels of two classes, and their probabilities.

    Subclasses give the constructor and the random columns.
    """

    __metadata_request__predict_proba = {"groups": True}
    __metadata_request__predict_log_proba = {"groups": True}
    __metadata_request__decision_function = {"groups": True}

    classes_: np.ndarray

    _family = "binomial"
    _words = BINARY
    _ratio = "odds_ratio"
    _sum_of_weights = "Sum of weights"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    @in_one_piece
    def predict(self, X: Any, groups: Any = None) -> np.ndarray:
        """Predict the class that is more probable, averaged as in `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row. Required if `fit` was given `groups`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Labels, of `classes_`.

        Raises
        ------
        ValueError
            If the model was fitted with groups and none are given, or if there are new
            groups or missing labels and ``new_groups="error"``.
        """
        positive = self._predict_links(X, groups, "predict") > 0
        return self.classes_[positive.astype(np.intp)]

    @in_one_piece
    def predict_proba(self, X: Any, groups: Any = None) -> np.ndarray:
        """Predict the probabilities of both classes.

        They are averaged over what is not known of a group: for a known group over the
        distribution of its effects given its rows, for a group not seen in fit, or a missing
        label, over that of all groups, N(0, Psi). An average group's own probability, which
        `predict_population` returns by ``average=False``, is farther from 1/2.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row. Required if `fit` was given `groups`.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            A column for each of `classes_`.
        """
        link = self._predict_links(X, groups, "predict_proba")
        return expit(np.column_stack([-link, link]))

    @in_one_piece
    def predict_log_proba(self, X: Any, groups: Any = None) -> np.ndarray:
        """Predict the logarithms of the probabilities of both classes.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict_proba`.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            A column for each of `classes_`.
        """
        link = self._predict_links(X, groups, "predict_log_proba")
        return log_expit(np.column_stack([-link, link]))

    @in_one_piece
    def decision_function(self, X: Any, groups: Any = None) -> np.ndarray:
        """Compute the logit of the averaged probability of the second class.

        It ranks rows as `predict_proba` does; `linear_predictor` does not, across groups.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict_proba`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Positive where the second of `classes_` is predicted.
        """
        return self._predict_links(X, groups, "decision_function")

    @in_one_piece
    @validate_params({"average": ["boolean"]}, prefer_skip_nested_validation=True)
    def predict_population(self, X: Any, *, average: bool = True) -> np.ndarray:
        """Predict the probability of the second class in a new group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`; with `group_by`, the group column is ignored and may
            be missing.
        average : bool, default=True
            Whether to average over the random effects of groups, as `predict_proba` does for
            a new one: the share of the class among all groups. If not, the probability is
            that of an average group, whose effects are 0.

        Returns
        -------
        ndarray of shape (n_rows,)
            Probabilities of ``classes_[1]``.
        """
        return expit(self._predict_links_of_new(X, average=average))

    @in_one_piece
    def score(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> float:
        """Share of the labels that are predicted, the accuracy.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        y : array-like of shape (n_rows,)
            True labels.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict`.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row.

        Returns
        -------
        float
            Between 0 and 1.
        """
        given = {"y": y, "groups": groups, "sample_weight": sample_weight}
        X, y, groups, sample_weight = take_rows(X=X, **given)
        predicted = self.predict(X, groups=groups)
        weight = check_weights(sample_weight, predicted)
        return float(accuracy_score(read_classes(y), predicted, sample_weight=weight))

    def _read_target(self, y):
        y, self.classes_ = encode_classes(y)
        return y

    def _check_target(self, rows):
        check_two_classes(rows.y, self.classes_)
        warn_about_small_weights(rows.sample_weight)

    def _sampler(self, X, sample_weight):
        if sample_weight is not None:
            raise ValueError(NO_WEIGHTS_TO_DRAW)
        return lambda line, rng: binomial.draw(binomial.mean(line), rng)

    def _as_target(self, draws):
        return self.classes_[draws.astype(np.intp)]

    def _means_of_rows(self, X, y, groups):
        fitted = self.predict_proba(X, groups)[:, 1]
        return fitted, self.predict_population(X), encode_known_classes(y, self.classes_)

    def _said_of_y(self):
        other, label = self.classes_.tolist()
        return {"Probability modelled": f"{label} (not {other})"}
