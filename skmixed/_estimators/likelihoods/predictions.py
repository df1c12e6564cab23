"""Means of rows of known and of new groups, averaged over what is not known of a group."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.predictions import predict_random
from skmixed._rows.dask_partitions import refuse_dask
from skmixed._rows.messages import NEEDS_ROWS, missing_in_predict
from skmixed._rows.reader import by_features_alone, read_rows
from skmixed._state import in_one_piece


class AveragedMeansMixin:
    """What a fitted model of binary or count outcomes predicts.

    Subclasses have `_fitted`, a `FittedLikelihood`.
    """

    @in_one_piece
    def linear_predictor(self, X: Any, groups: Any = None) -> np.ndarray:
        """Compute the linear predictor of each row at the mode of its group's effects.

        That is ``x'beta + z'b_j``, on the scale of the link: R's ``type="link"``. For a group
        not seen in fit it is ``x'beta``. Rows of different groups are not ranked by it as by
        their means, which are averaged over what is not known of a group.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row. Required if `fit` was given `groups`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Linear predictors.

        Examples
        --------
        >>> from skmixed import RandomInterceptClassifier
        >>> from skmixed.datasets import load_hsb
        >>> X, y, school = load_hsb(return_X_y=True)
        >>> model = RandomInterceptClassifier().fit(X[["ses"]], y > 15, groups=school)
        >>> model.linear_predictor(X[["ses"]].head(2), groups=[1224, 999]).round(2)
        array([-1.65, -0.87])
        """
        X, codes = self._read_rows_to_predict(X, groups, "linear_predictor")
        eta = self._predict_fixed(X)
        return eta + predict_random(X, codes, self.random_effects_, self._columns.slopes)

    def _read_rows_to_predict(self, X, groups, method):
        """Check rows; return the features, and the position of each group, -1 if it is new."""
        check_is_fitted(self)
        refuse_dask(X, NEEDS_ROWS, name=type(self).__name__)
        X, groups = read_rows(self, X, groups)
        if groups is not None:
            return X, self._find_groups(groups, X.shape[0])
        if self.n_groups_:
            raise ValueError(missing_in_predict(self, method))
        return X, np.full(X.shape[0], -1)

    def _predict_links(self, X, groups, method):
        """Links of the means of y, averaged over what is not known of a group."""
        X, codes = self._read_rows_to_predict(X, groups, method)
        return self._fitted.links_of_means(self._predict_fixed(X), X, codes)

    def _predict_links_of_new(self, X, *, average):
        """Links of the means in new groups, or in those whose effects are 0."""
        check_is_fitted(self)
        refuse_dask(X, NEEDS_ROWS, name=type(self).__name__)
        model = by_features_alone(self, X)
        X, _ = read_rows(model, X)
        eta = model._predict_fixed(X)
        if not average:
            return eta
        return self._fitted.links_of_means(eta, X, np.full(X.shape[0], -1))
