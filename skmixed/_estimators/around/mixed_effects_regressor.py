"""Random effects around any regressor."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.model_selection import KFold
from sklearn.utils import column_or_1d, get_tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from skmixed._estimators.around.base import (
    check_base,
    default_base,
    fit_base,
    predict_base,
    predict_out_of_fold,
)
from skmixed._estimators.around.levels import (
    ALLOWED,
    BETWEEN,
    Rows,
    beside,
    constant_column,
    fit_with_means,
    group_model,
    levels_of_start,
    means_of_rows,
    means_of_rows_alone,
    slope_values,
    with_names,
)
from skmixed._estimators.around.number_columns import (
    number_columns,
    read_numbers,
    refuse_text_slopes,
)
from skmixed._estimators.pickles import PacksTables
from skmixed._estimators.predictions import LEVEL, PredictionsMixin
from skmixed._public import public
from skmixed._rows.chosen_columns import SLOPES, find_feature_columns
from skmixed._rows.columns import as_table
from skmixed._rows.containers import take_rows
from skmixed._rows.dask_partitions import refuse_dask
from skmixed._rows.factors import SEVERAL, by_factor
from skmixed._rows.features import read_target
from skmixed._rows.folds import make_folds
from skmixed._rows.labels import check_weights
from skmixed._rows.messages import NEEDS_ROWS, Words, missing_in_predict
from skmixed._rows.reader import Columns, by_features_alone, number_groups, split_off_groups
from skmixed._rows.routing import takes_groups, without_groups
from skmixed._sklearn_private import (
    SIMPLE_METHODS,
    HasMethods,
    StrOptions,
    fit_context,
    validate_params,
)
from skmixed._state import OnePiece, in_one_piece, in_one_step
from skmixed.exceptions import MissingGroupsWarning

NEEDS_Y = "MixedEffectsRegressor requires y to be passed, but the target y is None."
FOLDS_OF_ONE_FACTOR = (
    "Folds are split by the groups of a single factor; of several, pass the folds: "
    "cv=list(GroupKFold(5).split(X, y, one_of_them))."
)
SEVERAL_TARGETS = (
    "y must be one column, but got shape {shape}. Fit a model for each: "
    "sklearn.multioutput.MultiOutputRegressor(model)."
)
SPARSE_MEANS = (
    "between=True takes the group means of each column, which are dense, but got a sparse X. "
    "Set between=False, or convert X with X.toarray()."
)
AROUND = Words(
    pooled="regression by `estimator`",
    scorer="r2",
    population="rows of groups of which nothing is known",
    why_one_factor="",
)


def _of_residual_model(name, doc):
    return property(lambda model: getattr(model.residual_model_, name), doc=doc)


@public("skmixed")
class MixedEffectsRegressor(
    PredictionsMixin,  # score; the other methods are its own
    OnePiece,
    PacksTables,
    MetaEstimatorMixin,
    RegressorMixin,
    BaseEstimator,
):
    """Random effects of groups around any regressor.

    The fixed part of a mixed model is any function that a regressor learns::

        y_i = f(x_i) + (m_j - m)' gamma + z_i' u_j + e_i,

        u_j ~ N(0, sigma2 Psi),  e_i ~ N(0, sigma2 / w_i)

    with m_j the means of the features in group j. The effects of a group are drawn towards
    what its means say, the more so the fewer rows it has. A row of a new group is predicted by
    f and the means of the rows given.

    Parameters
    ----------
    estimator : estimator, default=None
        The regressor f, which is given the columns of X without the group, as they are: text,
        categories and missing values, too, if it takes them. None is
        `sklearn.ensemble.HistGradientBoostingRegressor`.
    group_by : str, int, tuple or list of these, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups, as in `RandomInterceptRegressor`: a list names several
        grouping factors, a tuple joins labels. If None, groups are given to `fit` and
        `predict` as an array.
    slopes : "all", str, int, list, slice, mask, callable or dict, default=None
        Columns of X whose slope varies between groups around that of f, as in
        `RandomSlopeRegressor`; numeric and without missing values. None is none: groups differ
        in level.
    covariance : {"full", "diag"} or dict, default="full"
        Whether the random effects of a group are correlated. Or a dictionary by factor.
    method : {"reml", "ml"}, default="reml"
        How the variances are estimated.
    new_groups : {"population", "error"} or dict, default="population"
        What `predict` does with labels not seen in `fit`: predict by f and the group's means,
        or raise an error that lists them. Or a dictionary by factor.
    between : bool, default=True
        Whether means of the features in each group tell of its effects: only those of numeric
        columns that vary within groups and between them, and only where they lower Akaike's
        criterion. If False, gamma is 0.
    cv : int, splitter or iterable, default=5
        Folds out of which f is predicted for the model of the groups. The test folds must be a
        partition of the rows; a number stands for `sklearn.model_selection.KFold`, shuffled. A
        splitter is given the groups of a single factor.
    n_jobs : int, default=None
        Folds fitted at a time.
    random_state : int, RandomState instance or None, default=None
        Of the folds. That of `estimator` is its own.

    Attributes
    ----------
    estimator_ : estimator
        f, fitted to y less what the groups add.
    residual_model_ : RandomSlopeRegressor
        The model of the groups, fitted to the residuals of f out of fold. It has a `summary`,
        `confint` and tables of effects.
    random_effects_ : DataFrame of shape (n_groups, n_random)
        Conditional modes of u_j by group. With several factors this and others are
        dictionaries by factor.
    random_effects_cov_ : DataFrame of shape (n_random, n_random)
        Covariance of u_j, sigma2 Psi.
    residual_variance_ : float
        sigma2, in squared units of y. It holds the error of f in new rows, since the residuals
        are out of fold.
    icc_ : float
        Share of the random effects in what f leaves open.
    pooling_weights_ : DataFrame of shape (n_groups, n_random)
        How much a group's own rows tell of each random effect, between 0 and 1.
    between_coef_ : Series
        gamma, by the name of the mean; only those that are used.
    groups_ : Index of shape (n_groups,)
        Labels that are known, sorted.
    group_sizes_ : Series of shape (n_groups,)
        Number of rows (sum of weights) of each group.
    n_groups_ : int
        Number of groups.
    singular_ : bool
        Whether a variance of the random effects is 0, or a correlation exact.
    n_features_in_ : int
        Number of columns seen in `fit`, the group column included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`: if `estimator` is a classifier or asks for groups, if it takes no weights and
        some are given, if y has several columns, or if X is sparse and ``between=True``.

    Warns
    -----
    MissingGroupsWarning
        If `fit` is given no groups: the fit is then that of `estimator`.
    SingularFitWarning
        If the variance between groups is estimated as zero, or cannot be estimated.

    See Also
    --------
    RandomInterceptRegressor : Where f is linear.
    skmixed.preprocessing.RandomEffectEncoder : Effects as features of any estimator.

    Notes
    -----
    `fit` takes three steps, with cv + 1 fits of `estimator`:

    1. Without one fold of the rows after the other, a linear mixed model of the numeric columns
       and the means says what the groups add to y. (Missing values count as the mean, with an
       indicator. Where there are more columns than 1,000, or than rows, they take no part, and
       neither do the means.) `estimator` is fitted to y less that, and predicts the fold.
    2. The model of the groups is fitted to the residuals y - f of all folds: means, random
       effects and variances.
    3. `estimator` is fitted to y less the effects from step 2, on all rows.

    Residuals of rows that f was fitted to would be too small, and so would the variances.

    A row's prediction in a new group depends on the other rows of this group that are given at
    once, by their means. These are drawn to the mean of all rows by the ratio of the variances
    within groups and between them, so that a single row is no group mean. With
    ``between=False``, and in known groups, it does not depend on other rows.

    References
    ----------
    Hajjem, A., Bellavance, F. and Larocque, D. (2014). Mixed-effects random forest for
    clustered data. Journal of Statistical Computation and Simulation, 84(6), 1313-1328.
    doi:10.1080/00949655.2012.741599

    Mundlak, Y. (1978). On the pooling of time series and cross section data. Econometrica,
    46(1), 69-85. doi:10.2307/1913646

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmixed import MixedEffectsRegressor
    >>> rng = np.random.default_rng(0)
    >>> shop = rng.integers(0, 40, 800)
    >>> X = pd.DataFrame({"size": rng.uniform(-2, 2, 800), "shop": shop})
    >>> y = np.sin(2 * X["size"]) + rng.normal(size=40)[shop] + 0.5 * rng.normal(size=800)
    >>> model = MixedEffectsRegressor(group_by="shop", random_state=0).fit(X, y)
    >>> round(model.icc_, 2), round(model.residual_variance_, 2)
    (0.75, 0.29)
    >>> new = pd.DataFrame({"size": [0.8, 0.8], "shop": [3, 99]})
    >>> model.predict(new).round()
    array([1., 1.])
    >>> np.ptp(model.predict_interval(new), axis=1).round(1)  # of the known shop, and the new
    array([2.2, 4.3])
    """

    __metadata_request__fit = {"groups": True}
    __metadata_request__predict = {"groups": True}
    __metadata_request__score = {"groups": True}

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "group_by": SEVERAL,
        "slopes": [*SLOPES, dict, None],
        "covariance": [StrOptions({"full", "diag"}), dict],
        "method": [StrOptions({"reml", "ml"})],
        "new_groups": [StrOptions({"population", "error"}), dict],
        "between": ["boolean"],
        "cv": ["cv_object"],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        group_by: Any = None,
        slopes: Any = None,
        covariance: Literal["full", "diag"] | dict[Any, str] = "full",
        method: Literal["reml", "ml"] = "reml",
        new_groups: Literal["population", "error"] | dict[Any, str] = "population",
        between: bool = True,
        cv: Any = 5,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.group_by = group_by
        self.slopes = slopes
        self.covariance = covariance
        self.method = method
        self.new_groups = new_groups
        self.between = between
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def get_metadata_routing(self):
        """Get the metadata requests: `groups` for fit, predict and score, by default.

        With `group_by` no groups are requested.

        Returns
        -------
        MetadataRequest
            The requests.
        """
        requests = super().get_metadata_routing()
        if self.group_by is None:
            return requests
        return without_groups(requests, SIMPLE_METHODS)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        base = default_base(self.estimator)
        if isinstance(base, type):  # which fit refuses
            return tags
        base = get_tags(base)
        tags.input_tags = copy(base.input_tags)
        tags.input_tags.sparse = base.input_tags.sparse and not self.between
        tags.regressor_tags.poor_score = base.regressor_tags and base.regressor_tags.poor_score
        tags.non_deterministic = base.non_deterministic
        return tags

    @in_one_step
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None) -> Self:
        """Fit the regressor and the effects of the groups.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            Features, as `estimator` takes them, and, if `group_by` is set, the group column.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row: numbers, strings, booleans, dates or categories, none
            missing. Not together with `group_by`. If neither is given, the fit is that of
            `estimator`, and a `MissingGroupsWarning` says so. Of several factors a table with
            a column for each.
        sample_weight : array-like of shape (n_rows,), optional
            A weight of 2 is the row twice, a weight of 0 is no row. Only if `estimator` takes
            weights.

        Returns
        -------
        self : object
            The fitted estimator. After an error it is as it was before.
        """
        base = default_base(self.estimator)
        rows = self._read_training_rows(X, y, groups, sample_weight)
        check_base(base, rows.weight)
        f = self._predict_out_of_fold(base, rows)
        self._fit_residuals(replace(rows, y=rows.y - f))
        levels = self.residual_model_.predict(self._table(rows), rows.groups)
        self.estimator_ = fit_base(base, rows.X, rows.y - levels, rows.weight)
        return self

    @in_one_piece
    def predict(self, X: Any, groups: Any = None, *, return_std: bool = False) -> Any:
        """Predict y for rows of known and of new groups.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row. Required if `fit` was given `groups`.
        return_std : bool, default=False
            Whether to return the standard deviation of a new y around its prediction, too, as
            in `predict_interval`.

        Returns
        -------
        ndarray of shape (n_rows,), or a pair of such arrays
            Predicted values, and their standard deviations if `return_std`.

        Raises
        ------
        ValueError
            If the model was fitted with groups and none are given, or if there are new
            groups or missing labels and ``new_groups="error"``.
        """
        rows = self._read_rows(X, groups, "predict")
        levels = self.residual_model_.predict(
            self._table(rows), rows.groups, return_std=return_std
        )
        f = predict_base(self.estimator_, rows.X)
        return (f + levels[0], levels[1]) if return_std else f + levels

    @in_one_piece
    def predict_population(self, X: Any, *, return_std: bool = False) -> Any:
        """Predict y for rows of groups of which nothing else is known.

        Each row is the only one of a new group, so that predictions do not depend on other
        rows.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`; with `group_by`, the group column is ignored and may
            be missing.
        return_std : bool, default=False
            Whether to return the standard deviation of a new y of a new group, too.

        Returns
        -------
        ndarray of shape (n_rows,), or a pair of such arrays
            Predicted values, and their standard deviations if `return_std`.
        """
        rows = by_features_alone(self, X)._read_rows(X)
        levels = self.residual_model_.predict_population(
            self._table(rows, alone=True), return_std=return_std
        )
        f = predict_base(self.estimator_, rows.X)
        return (f + levels[0], levels[1]) if return_std else f + levels

    @in_one_piece
    @validate_params(
        {"level": [LEVEL], "kind": [StrOptions({"observation", "mean"})]},
        prefer_skip_nested_validation=True,
    )
    def predict_interval(
        self,
        X: Any,
        groups: Any = None,
        *,
        level: float = 0.95,
        kind: Literal["observation", "mean"] = "observation",
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Predict intervals for rows of known and of new groups.

        They are those of `residual_model_` around f: of a known group they hold what its rows
        leave open, of a new one the whole variance between groups. They assume normal random
        effects and residuals, and that f is as good in the new rows as it was out of fold: its
        error is part of the residual variance, and so of the interval of an observation, but
        not of that of a mean.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row, as for `predict`.
        level : float, default=0.95
            Probability that an interval covers what it is for, between 0 and 1.
        kind : {"observation", "mean"}, default="observation"
            Whether the interval is for a new y, or for f plus the effects of its group, f
            counting as known.
        sample_weight : array-like of shape (n_rows,), optional
            Precision of each new observation: its residual variance is sigma2 / weight.

        Returns
        -------
        ndarray of shape (n_rows, 2)
            Lower and upper limits.
        """
        rows = self._read_rows(X, groups, "predict_interval")
        limits = self.residual_model_.predict_interval(
            self._table(rows), rows.groups, level=level, kind=kind, sample_weight=sample_weight
        )
        return predict_base(self.estimator_, rows.X)[:, np.newaxis] + limits

    @in_one_step
    def update_groups(
        self, X: Any, y: Any, groups: Any = None, sample_weight: Any = None
    ) -> Self:
        """Learn new groups, or more of known ones, without fitting anew.

        f, gamma and the variances stay as they are; the groups get the effects that follow
        from the residuals of all their rows. The means of a new group are those of the rows
        that it is first known by.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row; required unless `group_by` is set.
        sample_weight : array-like of shape (n_rows,), optional
            Weight of each row, as for `fit`.

        Returns
        -------
        self : object
            The estimator. After an error it is as it was before.
        """
        X, y, groups = take_rows(X=X, y=y, groups=groups)
        rows = self._read_rows(X, groups, "update_groups")
        y = _read_target(y)
        check_consistent_length(rows.X, y)
        residuals = y - predict_base(self.estimator_, rows.X)
        known = copy(self.residual_model_)
        known.update_groups(self._table(rows), residuals, rows.groups, sample_weight)
        labels = rows.by_factor(self._columns)
        self._means = tuple(
            of.knowing(rows.numbers, own) for of, own in zip(self._means, labels, strict=False)
        )
        self.residual_model_ = known
        return self

    random_effects_ = _of_residual_model("random_effects_", "Conditional modes by group.")
    random_effects_cov_ = _of_residual_model(
        "random_effects_cov_", "Covariance of the random effects."
    )
    residual_variance_ = _of_residual_model("residual_variance_", "Residual variance.")
    icc_ = _of_residual_model("icc_", "Share of the random effects in what f leaves open.")
    pooling_weights_ = _of_residual_model(
        "pooling_weights_", "How much a group's own rows tell of its effects."
    )
    groups_ = _of_residual_model("groups_", "Labels of the known groups.")
    group_sizes_ = _of_residual_model("group_sizes_", "Rows of each group.")
    n_groups_ = _of_residual_model("n_groups_", "Number of groups.")
    singular_ = _of_residual_model("singular_", "Whether a variance is 0.")

    @property
    def between_coef_(self) -> pd.Series:
        """Name the coefficients of the group means that are used.

        Returns
        -------
        Series
            By the column whose mean it is.
        """
        n_slopes = len(self._columns.slopes)
        names = self._names_of(self._means)[n_slopes:]
        coef = self.residual_model_.coef_[n_slopes:] if names else []
        return pd.Series(coef, names, name="between_coef", dtype=np.float64)

    # ------------------------------------------------- what readers of rows ask of a model

    _uses_groups = True
    _needs_groups = False
    _takes_several = True
    _words = AROUND

    def _find_slopes(self, X, factors):
        self._by_factor("covariance", factors, "full")  # these two are checked
        self._by_factor("new_groups", factors, "population")
        slopes = self._by_factor("slopes", factors, None)
        return [
            []
            if chosen is None
            else find_feature_columns(X, chosen, self.group_by, parameter="slopes")
            for chosen in slopes
        ]

    def _find_random_only(self, X, terms, factors, slopes):
        return [[] for _ in factors]

    def _by_factor(self, parameter, factors, default):
        value, allowed = getattr(self, parameter), ALLOWED.get(parameter)
        known = {"default": default, "allowed": allowed}
        return by_factor(value, factors, self.group_by, parameter, **known)

    # ---------------------------------------------------------------------- rows as given

    def _read_training_rows(self, X, y, groups, sample_weight):
        given = {"y": y, "groups": groups, "sample_weight": sample_weight}
        X, y, groups, sample_weight = take_rows(X=X, **given)
        features, groups = self._split(X, groups, reset=True)
        self._columns = Columns.of(self, X, groups).with_target(y)
        self._numbers = None if issparse(features) else number_columns(features)
        rows = self._as_rows(features, groups)
        y = _read_target(y)
        check_consistent_length(features, y)
        weight = check_weights(sample_weight, y)
        codes, labels = number_groups(self, groups, len(y))
        self._has_groups = codes is not None
        if not isinstance(codes, tuple):
            codes, labels = ((codes,), (labels,)) if self._has_groups else ((), ())
        return replace(rows, y=y, weight=weight, codes=codes, labels=labels)

    def _read_rows(self, X, groups=None, method=None):
        """Check rows to predict; the method is named that needs groups."""
        check_is_fitted(self)
        X, groups = take_rows(X=X, groups=groups)
        X, groups = self._split(X, groups, reset=False)
        if method is not None and groups is None and self._has_groups:
            raise ValueError(missing_in_predict(self, method))
        return self._as_rows(X, groups)

    def _split(self, X, groups, *, reset):
        """Take the groups out of X, and leave the other columns as they are."""
        refuse_dask(X, NEEDS_ROWS, name=type(self).__name__)
        X = as_table(X)
        features, groups = split_off_groups(self, X, groups, reset=reset)
        if (self.group_by if reset else self._columns.group_by) is None:
            validate_data(self, X, reset=reset, skip_check_array=True)
        if issparse(features) and self.between:
            raise TypeError(SPARSE_MEANS)
        return features, groups

    def _as_rows(self, X, groups):
        if issparse(X):
            return Rows(X.tocsr(), X.tocsr(), groups)
        refuse_text_slopes(X, self._columns, self._numbers)
        return Rows(X, read_numbers(X, self._numbers, self), groups)

    # ------------------------------------------------------------------- the steps of a fit

    def _predict_out_of_fold(self, base, rows):
        """Predict by the regressor in the middle, fitted to other rows less their levels."""
        less = None
        if self._has_groups:
            slopes = [self._among_numbers(own) for own in self._slopes_by_factor]
            less = partial(levels_of_start, self, self._columns, slopes, rows)
        folds = self._folds(rows)
        return predict_out_of_fold(base, rows.X, rows.y, folds, less, rows.weight, self.n_jobs)

    def _folds(self, rows):
        cv = self.cv
        if isinstance(cv, Integral):
            cv = KFold(cv, shuffle=True, random_state=self.random_state)
        groups = rows.codes[0] if len(rows.codes) == 1 and takes_groups(cv, "split") else None
        return make_folds(cv, rows.y, groups, rows.weight, FOLDS_OF_ONE_FACTOR)

    def _fit_residuals(self, rows):
        """Fit the model of the groups to residuals, and learn which means it has."""
        self._means = ()
        if not self._has_groups:
            model = group_model(self, self._columns, [[]], fit_intercept=False)
            with warnings.catch_warnings():  # it has been said
                warnings.simplefilter("ignore", MissingGroupsWarning)
                model.fit(self._table(rows), rows.y, sample_weight=rows.weight)
            self.residual_model_ = model
            return
        names = [[self._columns.terms[i] for i in own] for own in self._slopes_by_factor]
        self.residual_model_, means = fit_with_means(
            group_model(self, self._columns, names, fixed_slopes=False),
            rows,
            self._columns,
            slope_values(rows, self._among_numbers(self._columns.slopes)),
            rows.group_means() if self.between else [],
            lambda table, means: with_names(rows, table, self._names_of(means)),
        )
        self._means = tuple(means)

    @property
    def _slopes_by_factor(self):
        columns = self._columns
        return [list(own.slopes) for own in columns.factors] or [list(columns.slopes)]

    def _among_numbers(self, positions):
        if self._numbers is None:
            return positions
        return [self._numbers.index(i) for i in positions]

    def _table(self, rows, *, alone=False):
        """Columns of the residuals' model: those that have slopes, and the means."""
        if not self._has_groups:
            return constant_column(rows)
        if alone:
            means = means_of_rows_alone(self._means, rows)
        else:
            means = means_of_rows(self._means, rows, self._columns)
        slopes = slope_values(rows, self._among_numbers(self._columns.slopes))
        return with_names(rows, beside(slopes, means), self._names_of(self._means))

    def _names_of(self, means):
        columns, several = self._columns, bool(self._columns.factors)
        return columns.slope_terms + [
            f"{columns.terms[self._numbers[i]]}{BETWEEN}" + (f"_{factor}" if several else "")
            for factor, of in zip(columns.names, means, strict=False)
            for i in of.columns
        ]


def _read_target(y):
    """Check that y is one column of numbers."""
    if y is None:
        raise ValueError(NEEDS_Y)
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(SEVERAL_TARGETS.format(shape=shape))
    y = column_or_1d(y, warn=True) if len(shape) == 2 else y
    return read_target(y).astype(np.float64, copy=False)
