"""Within- and between-group parts of features."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skmixed._estimators.pickles import PacksTables
from skmixed._numerics.moments.within_between import group_means, which_vary
from skmixed._public import public
from skmixed._rows.chosen_columns import find_feature_columns
from skmixed._rows.columns import as_table, find_group_column
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import MEANS_INSTEAD, SEVERAL, one_column
from skmixed._rows.features import cells_explained, numeric_columns
from skmixed._rows.labels import (
    check_new_groups,
    check_none_missing,
    check_weights,
    encode_groups,
    match_groups,
    number_new_groups,
)
from skmixed._rows.messages import (
    GIVEN_TWICE,
    MISSING_IN_TRANSFORM,
    NO_GROUPS_TO_SPLIT_BY,
    ONLY_IN_TRANSFORM,
    SPARSE_TO_SPLIT,
)
from skmixed._rows.routing import without_groups
from skmixed._sklearn_private import StrOptions, check_feature_names_in, fit_context
from skmixed._state import OnePiece, in_one_piece, in_one_step
from skmixed._warn import warn
from skmixed.exceptions import MissingGroupsWarning
from skmixed.preprocessing._columns import as_container, check_distinct, get_column

WITHIN, BETWEEN = "_within", "_between"
FLOATS = [np.float64, np.float32]


@public("skmixed.preprocessing")
class WithinBetween(OnePiece, PacksTables, TransformerMixin, BaseEstimator):
    """Split features into their group mean and the deviation from it.

    Column x becomes two::

        x_between = mean of x in the row's group,    x_within = x - x_between

    A random-effects model of x has one slope for both, which is biased for the slope within
    groups wherever group effects are correlated with x. With the two parts in its place the
    model has two: that of x_within is the fixed-effects slope, free of anything about the
    groups that is not in the model, and that of x_between says how groups with another mean
    differ (Mundlak's device, or the "within-between" or "hybrid" model). Level-2 features and
    predictions for new groups remain possible.

    Parameters
    ----------
    columns : "all", str, int, list, slice, mask or callable, default="all"
        Columns of X to split: names (of a DataFrame's columns), positions, a boolean mask, or
        a callable such as `sklearn.compose.make_column_selector`. With `group_by`, positions
        and masks count the group column, and a callable is given X without it. All others
        pass through as they are. A single column called "all" is given as ``["all"]``.
    group_by : str or int, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups. The column is passed on, so that an estimator with the same
        `group_by` may come next. If None, groups are given to `fit` and `transform` as an
        array.
    new_groups : {"mean", "error"}, default="mean"
        What `transform` does with labels not seen in `fit`: take the group's mean over the
        rows given, or raise an error that lists them. A row whose label is missing counts as
        a new group of its own.

    Attributes
    ----------
    group_means_ : DataFrame of shape (n_groups, n_chosen_columns)
        Mean of each chosen column in each group of the rows of `fit`; one row if it was given
        no groups.
    n_features_in_ : int
        Number of columns seen in `fit`, the group column included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has names that are all strings.

    Warns
    -----
    MissingGroupsWarning
        If `fit` is given no groups: all rows are then one group.

    See Also
    --------
    RandomInterceptRegressor : The model to put behind it.

    Notes
    -----
    The parts stand in the place of their column, x_within before x_between. A part that does
    not vary over the rows of `fit` is left out, since no slope of it could be estimated: the
    within part of a column that is constant in each group, and the between part of one whose
    mean is the same in all groups. So the columns that come out depend on the rows of `fit`,
    and never on those of `transform`.

    Rows of known groups are always taken around the mean of their group's rows in `fit`, so
    that nothing of a test set enters its own transformation. The mean of a new group is that
    of the rows given at once, without their weights.

    A DataFrame, of pandas or polars, comes out as one, so that the new columns have names; an
    array comes out as an array. `set_output` asks for another container.

    The slopes of the within parts equal those of a regression with a dummy variable for each
    group, whatever the variance components, if every feature of the model is either split or
    constant within groups, if only the intercept varies between groups, and if the model has
    the same rows and weights. A feature left unsplit that varies within groups changes them.

    References
    ----------
    Mundlak, Y. (1978). On the pooling of time series and cross section data. Econometrica,
    46(1), 69-85. doi:10.2307/1913646

    Bell, A., Fairbrother, M. and Jones, K. (2019). Fixed and random effects models: making an
    informed choice. Quality & Quantity, 53, 1051-1074. doi:10.1007/s11135-018-0802-x

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.preprocessing import WithinBetween
    >>> frame = load_hsb().frame
    >>> X, y = frame[["ses", "catholic", "school"]], frame["math"]
    >>> pipeline = make_pipeline(
    ...     WithinBetween(group_by="school"), RandomInterceptRegressor(group_by="school")
    ... ).fit(X, y)
    >>> pipeline[-1].summary().fixed_effects[["estimate", "std_error"]].round(2)
                      estimate  std_error
    term
    (Intercept)          12.13       0.20
    ses_within            2.19       0.11
    ses_between           5.34       0.37
    catholic_between      1.22       0.31
    """

    __metadata_request__fit = {"groups": True}
    __metadata_request__transform = {"groups": True}

    _parameter_constraints = {
        "columns": [str, Integral, slice, "array-like", callable],
        "group_by": SEVERAL,
        "new_groups": [StrOptions({"mean", "error"})],
    }

    def __init__(self, columns="all", *, group_by=None, new_groups="mean"):
        self.columns = columns
        self.group_by = group_by
        self.new_groups = new_groups

    def get_metadata_routing(self):
        """Get the metadata requests: `groups` for fit and transform, unless `group_by` is set.

        Returns
        -------
        MetadataRequest
            The requests.
        """
        requests = super().get_metadata_routing()
        if self.group_by is None:
            return requests
        return without_groups(requests, ["fit", "transform"])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @in_one_step
    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, groups: Any = None, sample_weight: Any = None) -> Self:
        """Compute the means of the groups.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_rows, n_columns)
            Features and, if `group_by` is set, the group column. The chosen columns must be
            numeric and finite.
        y : object, optional
            Ignored.
        groups : array-like of shape (n_rows,), optional
            Group label of each row: numbers, strings, booleans, dates or categories, none
            missing. Not together with `group_by`.
        sample_weight : array-like of shape (n_rows,), optional
            A weight of 2 is the row twice, a weight of 0 is no row.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        X, groups, sample_weight = take_rows(X=X, groups=groups, sample_weight=sample_weight)
        self._group_by = one_column(self.group_by, "WithinBetween", MEANS_INSTEAD)
        X, groups = self._check_rows(X, groups, reset=True)
        self._chosen = self._choose_columns(X)
        values = self._check_values(X, groups)
        weight = check_weights(sample_weight, values)
        codes, labels = self._encode(groups, len(values))
        if weight is not None:
            counts = weight > 0
            kept, codes = np.unique(codes[counts], return_inverse=True)
            values, weight, labels = values[counts], weight[counts], labels[kept]
        sizes, means = group_means(values, codes, len(labels), weight)
        self._layout = self._lay_out(*which_vary(values, codes, sizes, means, weight))
        names = check_feature_names_in(self)[self._chosen]
        self.group_means_ = pd.DataFrame(means, index=labels, columns=names)
        check_distinct(self.get_feature_names_out())
        return self

    def fit_transform(
        self, X: Any, y: Any = None, groups: Any = None, sample_weight: Any = None
    ) -> Any:
        """Compute the means of the groups and split the same rows.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_rows, n_columns)
            As for `fit`.
        y : object, optional
            Ignored.
        groups : array-like of shape (n_rows,), optional
            As for `fit`.
        sample_weight : array-like of shape (n_rows,), optional
            As for `fit`.

        Returns
        -------
        {ndarray, DataFrame} of shape (n_rows, n_columns_out)
            As from `transform`.
        """
        return self.fit(X, y, groups, sample_weight).transform(X, groups)

    def transform(self, X: Any, groups: Any = None) -> Any:
        """Split the chosen columns into their parts.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,), optional
            Group label of each row. Required if `fit` was given `groups`.

        Returns
        -------
        {ndarray, DataFrame} of shape (n_rows, n_columns_out)
            The columns that `get_feature_names_out` names; a DataFrame if X is one.

        Raises
        ------
        ValueError
            If the transformer was fitted with groups and none are given, or if there are new
            groups and ``new_groups="error"``.
        """
        check_is_fitted(self)
        X, groups = take_rows(X=X, groups=groups)
        X, groups = self._check_rows(X, groups, reset=False)
        values = self._check_values(X, groups)
        means = self._means_of(values, groups)
        parts = {WITHIN: values - means, BETWEEN: means}
        columns = [
            parts[part][:, self._chosen.index(i)].astype(values.dtype, copy=False)
            if part
            else get_column(X, i)
            for i, part in self._layout
        ]
        return as_container(X, columns, self.get_feature_names_out())

    @in_one_piece
    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns that come out, such as ``ses_within`` and ``ses_between``.

        Parameters
        ----------
        input_features : array-like of shape (`n_features_in_`,), optional
            Names of the columns of X, if `fit` was given none.

        Returns
        -------
        ndarray of str
            The names.
        """
        check_is_fitted(self)
        names = check_feature_names_in(self, input_features)
        return np.array([f"{names[i]}{part}" for i, part in self._layout], dtype=object)

    # ------------------------------------------------------------------ the rows as given

    def _check_rows(self, X, groups, *, reset):
        """Check the shape of X and find the groups; X stays what it is."""
        if issparse(X):
            raise TypeError(SPARSE_TO_SPLIT.format(name=type(self).__name__))
        if self._group_by is not None and groups is not None:
            raise ValueError(GIVEN_TWICE.format(group_by=self._group_by))
        X = as_table(X)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if self._group_by is not None:
            position = find_group_column(X, self._group_by)
            if position is None:
                return X, X.index.get_level_values(self._group_by)
            return X, get_column(X, position)
        if not hasattr(X, "columns"):
            X = numeric_columns(X, groups=groups)
            with cells_explained(X, groups=groups):
                X = check_array(X, dtype=FLOATS, ensure_all_finite=False, estimator=self)
        return X, groups

    def _choose_columns(self, X):
        """Positions of the columns to split, ascending."""
        features = list(range(X.shape[1]))
        if self._group_by is not None:
            group = find_group_column(X, self._group_by)
            features = [i for i in features if i != group]
        chosen = find_feature_columns(X, self.columns, self.group_by, parameter="columns")
        return sorted(features[i] for i in chosen)

    def _check_values(self, X, groups):
        """Return the columns to split, numeric and finite."""
        if not self._chosen:
            return np.empty((X.shape[0], 0))
        values = X.iloc[:, self._chosen] if hasattr(X, "iloc") else X[:, self._chosen]
        known = {"groups": groups, "positions": self._chosen}
        values = numeric_columns(values, **known)
        with cells_explained(values, **known):
            return check_array(values, dtype=FLOATS, estimator=self, input_name="X")

    def _encode(self, groups, n_rows):
        self._has_groups = groups is not None
        if not self._has_groups:
            message = NO_GROUPS_TO_SPLIT_BY.format(name=type(self).__name__)
            warn(message, MissingGroupsWarning)
            return np.zeros(n_rows, dtype=np.intp), pd.Index(["all rows"])
        codes, labels = encode_groups(groups, n_rows)
        return codes, pd.Index(labels.to_numpy(), name=getattr(groups, "name", None))

    # ----------------------------------------------------------------- the parts of columns

    def _lay_out(self, within, between):
        """List the columns that come out: position in X, and which part of that column."""
        parts = {i: [] for i in self._chosen}
        for i, in_groups, of_groups in zip(self._chosen, within, between, strict=True):
            parts[i] += [WITHIN] if in_groups else []
            parts[i] += [BETWEEN] if of_groups or not in_groups else []
        return [(i, part) for i in range(self.n_features_in_) for part in parts.get(i, [""])]

    def _means_of(self, values, groups):
        """Return the mean of each row's group; if known, that of its rows in `fit`."""
        if self._has_groups != (groups is not None):
            message = MISSING_IN_TRANSFORM if self._has_groups else ONLY_IN_TRANSFORM
            raise ValueError(message.format(name=type(self).__name__))
        means = self.group_means_.to_numpy()
        if not self._has_groups:
            return np.broadcast_to(means, values.shape)
        labels = self.group_means_.index
        codes, new = match_groups(groups, labels, len(values))
        means, unseen = means[codes], codes < 0
        if self.new_groups == "error":
            check_new_groups(new, labels, "Use new_groups='mean' to take the mean of its rows.")
            check_none_missing(codes, "in transform, since new_groups='error'")
        if unseen.any():
            codes = number_new_groups(groups, unseen)
            means[unseen] = group_means(values[unseen], codes, codes.max() + 1)[1][codes]
        return means


# Around what scikit-learn has put around them, which names the columns by what was fitted.
WithinBetween.fit_transform = in_one_step(WithinBetween.fit_transform)
WithinBetween.transform = in_one_piece(WithinBetween.transform)
