"""Models of encoded groups: what binary outcomes and counts are mostly modelled by."""

from __future__ import annotations

import numpy as np
from scipy.sparse import hstack, issparse
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder
from sklearn.utils import check_array, get_tags

from skmixed._rows.factors import is_several, split_groups, take_factors
from skmixed._rows.features import numeric_columns
from skmixed._rows.labels import encode_groups, match_groups
from skmixed._sklearn_private import num_samples

# What a user has set for models of their own.
ALONE = {"enable_metadata_routing": False, "transform_output": "default"}
PENALTY = 1.0  # half the sum of squares: a normal prior of variance 1
# The inverse of a penalty that is none; of an infinite one scikit-learn 1.8 warns.
NO_PENALTY = 1e12


class EncodedGroups(BaseEstimator):
    """A model of the features, scaled, and of the groups as columns, or without these.

    Parameters
    ----------
    model : estimator
        Classifier or regressor; `alpha=None` is the penalty of `PENALTY` for all rows.
    encoder : transformer, default=None
        Makes columns of the groups' numbers; none if None.
    group_by : str, int, tuple or list of these, default=None
        Where the groups are, if they are in X.
    """

    __metadata_request__fit = {"groups": True}
    __metadata_request__predict = {"groups": True}
    __metadata_request__predict_proba = {"groups": True}

    def __init__(self, model, encoder=None, group_by=None):
        self.model = model
        self.encoder = encoder
        self.group_by = group_by

    def fit(self, X, y, groups=None):
        X, groups = self._split(X, groups)
        numbered = [encode_groups(column, num_samples(X)) for column in _columns_of(groups)]
        codes, self.labels_ = zip(*numbered, strict=True)
        with config_context(**ALONE):
            scaler = StandardScaler(with_mean=not issparse(X))
            self.scaler_ = scaler.fit(X) if X.shape[1] else None
            columns = self._join(X, self._encode_training(np.column_stack(codes), y))
            self.model_ = self._model_of(columns).fit(columns, y)
        return self

    def predict(self, X, groups=None):
        return self.model_.predict(self._columns(X, groups))

    def predict_proba(self, X, groups=None):
        return self.model_.predict_proba(self._columns(X, groups))

    def _split(self, X, groups):
        if self.group_by is not None:
            X, groups = split_groups(X, self.group_by)
        if np.shape(X)[1] == 0:  # check_array does not take a frame without columns
            return np.empty((num_samples(X), 0)), groups
        return check_array(numeric_columns(X), accept_sparse="csr", dtype=np.float64), groups

    def _columns(self, X, groups):
        X, groups = self._split(X, groups)
        codes = np.column_stack(
            [
                match_groups(column, labels, num_samples(X))[0]
                for column, labels in zip(_columns_of(groups), self.labels_, strict=True)
            ]
        )
        with config_context(**ALONE):
            return self._join(X, self.encoder and self.encoder_.transform(codes))

    def _encode_training(self, codes, y):
        """Encode rows by others than their own, if the encoder looks at y."""
        if self.encoder is None:
            return None
        self.encoder_ = clone(self.encoder).fit(codes, y)
        if not get_tags(self.encoder).target_tags.required:
            return self.encoder_.transform(codes)
        cv = StratifiedKFold(shuffle=True, random_state=0)
        return cross_val_predict(self.encoder, codes, y, cv=cv, method="transform")

    def _join(self, X, encoded):
        parts = [self.scaler_.transform(X)] if X.shape[1] else []
        parts += [] if encoded is None else [encoded]
        if not parts:
            return np.empty((X.shape[0], 0))
        is_sparse = any(map(issparse, parts))
        return hstack(parts, format="csr") if is_sparse else np.hstack(parts)

    def _model_of(self, columns):
        """Return the model to fit: without columns there is but the level."""
        if columns.shape[1] == 0:
            of_classes = hasattr(self.model, "predict_proba")
            return DummyClassifier(strategy="prior") if of_classes else DummyRegressor()
        model = clone(self.model)
        if "alpha" in model.get_params() and model.alpha is None:
            model.set_params(alpha=PENALTY / columns.shape[0])
        return model


def _columns_of(groups):
    """Labels of each factor."""
    groups = take_factors(groups)
    return [groups[name] for name in groups] if is_several(groups) else [groups]


def pooled(is_binary, group_by):
    """Make the model that ignores groups, without penalty."""
    return EncodedGroups(_linear(is_binary, penalty=False), group_by=group_by)


def one_hot(is_binary, group_by):
    """Make the model of a column for each group, with ridge penalty."""
    encoder = OneHotEncoder(handle_unknown="ignore")
    return EncodedGroups(_linear(is_binary, penalty=True), encoder, group_by)


def target_encoded(group_by):
    """Make the model of the groups' shares of a class, without penalty."""
    encoder = TargetEncoder(target_type="binary")
    return EncodedGroups(_linear(True, penalty=False), encoder, group_by)


def _linear(is_binary, *, penalty):
    # Newton's method takes memory by the square of the number of columns
    solver = "lbfgs" if penalty else "newton-cholesky"
    options = {"solver": solver, "tol": 1e-6, "max_iter": 1000}
    if is_binary:
        return LogisticRegression(C=1 / PENALTY if penalty else NO_PENALTY, **options)
    return PoissonRegressor(alpha=None if penalty else 0, **options)
