"""The table of docs/composition.md: each scikit-learn tool, run both ways and checked.

``python tests/composition_table.py`` writes the table into docs/composition.md.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import model_selection
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.inspection import (
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.model_selection._search_successive_halving import _SubsampleMetaSplitter
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import estimator_html_repr
from sklearn.utils.fixes import parse_version

from skmixed import (
    MixedEffectsRegressor,
    RandomInterceptRegressor,
    RandomSlopeClassifier,
    RandomSlopeRegressor,
)
from skmixed.datasets import make_mixed_regression
from skmixed.exceptions import SingularFitWarning
from skmixed.inspection import importances
from skmixed.metrics import group_scorer
from skmixed.model_selection import TwoWayGroupKFold, WithinGroupKFold, cross_val_predict

DOCUMENT = Path(__file__).parents[1] / "docs" / "composition.md"
COMMAND = "python tests/composition_table.py"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"

METADATA, COLUMN, POSITION = "by metadata", "by column", "by position"
WORKS, ERROR = "works", "error"
MODELS = (RandomInterceptRegressor, RandomSlopeRegressor, MixedEffectsRegressor)
# For tools of what MixedEffectsRegressor has not: coefficients, a grid of parameters of lines,
# and fits that are the same for rows repeated and for weights, which its folds are not.
LINEAR = MODELS[:2]

# The last two features matter little, so that selections have something to drop.
X, Y, GROUPS = make_mixed_regression(
    160,
    4,
    8,
    coef=[2.0, -1.0, 0.3, 0.1],
    intercept_variance=9.0,
    slope_variances=0.5,
    random_state=0,
)
NAMES = ["a", "b", "c", "d"]
TRAIN, TEST = np.arange(0, 120), np.arange(120, 160)
CV = KFold(4, shuffle=True, random_state=0)
RANDOM_SLOPES = 2

# ------------------------------------------------------------------------------- the oracle


def fitted(model, train, columns=None, *, y=Y, X=X):
    """A model of the training rows, told their groups."""
    columns = slice(None) if columns is None else columns
    return model().fit(X[train][:, columns], y[train], groups=GROUPS[train])


def by_hand(model, train, test, columns=None, *, y=Y, X=X):
    """Predictions for test rows with their groups: what every tool must arrive at."""
    columns = slice(None) if columns is None else columns
    model = fitted(model, train, columns, y=y, X=X)
    return model.predict(X[test][:, columns], groups=GROUPS[test])


def folds():
    return list(CV.split(X))


def cv_by_hand(model, metric=r2_score, splits=None, **kwargs):
    y = kwargs.get("y", Y)
    return [
        metric(y[test], by_hand(model, train, test, **kwargs))
        for train, test in splits or folds()
    ]


def predicted_by_hand(model, splits):
    predicted = np.empty_like(Y)
    for train, test in splits:
        predicted[test] = by_hand(model, train, test)
    return predicted


# --------------------------------------------------------------------- ways to give groups


@dataclass(frozen=True)
class Way:
    """A model class, and a way to tell it the groups."""

    how: str
    base: type
    numeric: bool = False

    def plain(self, **params):
        """The model as the oracle takes it, with groups beside X."""
        if issubclass(self.base, (RandomSlopeRegressor, RandomSlopeClassifier)):
            # fewer variances, so that small parts of the rows can tell them
            params = {"covariance": "diag", **params}
        if self.base is MixedEffectsRegressor:
            params = {"estimator": LinearRegression(), "cv": 2, "random_state": 0, **params}
        return self.base(**params)

    def model(self, **params):
        """The model as the tool takes it."""
        group_by = {METADATA: None, COLUMN: "site", POSITION: 0}[self.how]
        return self.plain(group_by=group_by, **params)

    @property
    def X(self):
        return self.with_groups(X)

    def with_groups(self, X, groups=GROUPS):
        """Features as the tool takes them."""
        if self.how == METADATA:
            return X
        if self.how == POSITION:
            return np.column_stack([groups, X])
        # labels in words, so that they cannot pass for a feature
        labels = groups if self.numeric else [f"site {label}" for label in groups]
        return pd.DataFrame(X, columns=NAMES[: X.shape[1]]).assign(site=labels)

    @property
    def groups(self):
        """All groups as metadata, if that is the way."""
        return self.some_groups(slice(None))

    def some_groups(self, rows):
        return {"groups": GROUPS[rows]} if self.how == METADATA else {}

    def rows(self, rows):
        return self.X.iloc[rows] if self.how == COLUMN else self.X[rows]

    def column(self, name):
        """A feature as this X names it."""
        if self.how == COLUMN:
            return name
        return NAMES.index(name) + (self.how == POSITION)


# ------------------------------------------------------------------------------- the cells


@dataclass(frozen=True)
class Outcome:
    """What a cell should come to; text matches the error, note says what to do or mind."""

    kind: str
    note: str = ""
    text: str = ""
    since: str = ""  # the first scikit-learn that works; text matches the error before

    @property
    def expected(self):
        """WORKS or ERROR, with the scikit-learn at hand."""
        return (
            ERROR
            if parse_version(sklearn.__version__) < parse_version(self.since or "0")
            else self.kind
        )


@dataclass(frozen=True)
class Cell:
    """A tool, a way to give groups, and what comes of it.

    `check` takes a Way and returns what the tool computed and what the oracle did, or raises.
    """

    tool: str
    how: str
    outcome: Outcome
    check: Callable = field(repr=False)
    numeric: bool = False
    models: tuple[type, ...] = MODELS

    def __str__(self):
        return re.sub(r"\W+", "-", f"{self.tool} {self.how}").strip("-")

    def run(self, base):
        with (
            sklearn.config_context(enable_metadata_routing=self.how == METADATA),
            warnings.catch_warnings(),
        ):
            # small parts of the rows may show no variance; that is not the point here
            warnings.simplefilter("ignore", SingularFitWarning)
            return self.check(Way(self.how, base, self.numeric))


def works(note="", **kwargs):
    return Outcome(WORKS, note, **kwargs)


def lost(instead):
    """The groups did not reach `predict`, and our model says so."""
    return Outcome(ERROR, instead, "`groups` must be given to `predict`")


def nameless(instead="`group_by=0`"):
    """The tool turns X into an array."""
    return Outcome(ERROR, instead, "names a column, so X must be a DataFrame, but got ndarray")


CELLS: list[Cell] = []


def tool(
    name,
    metadata=None,
    column=None,
    position=None,
    *,
    numeric=False,
    models=MODELS,
    cells=CELLS,
):
    """Register a check as the cells of one row; a cell works unless said otherwise."""

    def register(check):
        outcomes = {METADATA: metadata or works(), COLUMN: column or works()}
        if position:
            outcomes[POSITION] = position
        cells.extend(
            Cell(name, how, outcome, check, numeric, models)
            for how, outcome in outcomes.items()
        )
        return check

    return register


def array_tool(name, metadata=None, column=None, position=None, **kwargs):
    """Register a tool that turns X into an array."""
    position = position or works()
    return tool(name, metadata, column or nameless(), position, numeric=True, **kwargs)


QUICK = (RandomInterceptRegressor,)  # for tools that fit dozens of models
NAMED_SCORER = lost('`scoring=group_scorer("r2")`')
RMSE = "neg_root_mean_squared_error"


# ------------------------------------------------------------------------- cross-validation


@tool("`cross_validate`, default scoring")
def _(way):
    got = cross_validate(way.model(), way.X, Y, params=way.groups, cv=CV, error_score="raise")
    return got["test_score"], cv_by_hand(way.plain)


@tool('`cross_validate`, `scoring="r2"`', NAMED_SCORER)
def _(way):
    got = cross_validate(
        way.model(), way.X, Y, params=way.groups, cv=CV, scoring="r2", error_score="raise"
    )
    return got["test_score"], cv_by_hand(way.plain)


@tool("`cross_validate`, `scoring=group_scorer(...)`")
def _(way):
    got = cross_validate(
        way.model(), way.X, Y, params=way.groups, cv=CV, scoring=group_scorer(RMSE)
    )
    return -got["test_score"], cv_by_hand(way.plain, root_mean_squared_error)


@tool("`cross_val_score`, default scoring")
def _(way):
    got = cross_val_score(way.model(), way.X, Y, params=way.groups, cv=CV, error_score="raise")
    return got, cv_by_hand(way.plain)


@tool('`cross_val_score`, `scoring="r2"`', NAMED_SCORER)
def _(way):
    got = cross_val_score(
        way.model(), way.X, Y, params=way.groups, cv=CV, scoring="r2", error_score="raise"
    )
    return got, cv_by_hand(way.plain)


@tool("`cross_val_score`, `scoring=group_scorer(...)`")
def _(way):
    got = cross_val_score(
        way.model(), way.X, Y, params=way.groups, cv=CV, scoring=group_scorer(RMSE)
    )
    return -got, cv_by_hand(way.plain, root_mean_squared_error)


@tool(
    "`sklearn.model_selection.cross_val_predict`",
    lost("`skmixed.model_selection.cross_val_predict`"),
)
def _(way):
    got = model_selection.cross_val_predict(way.model(), way.X, Y, params=way.groups, cv=CV)
    return got, predicted_by_hand(way.plain, folds())


@tool(
    "`skmixed.model_selection.cross_val_predict`",
    works("routing on or off"),
)
def _(way):
    got = cross_val_predict(way.model(), way.X, Y, **way.groups, cv=CV)
    return got, predicted_by_hand(way.plain, folds())


@tool(
    "`skmixed.model_selection.cross_val_predict`, `cv=WithinGroupKFold()`",
    column=works("`groups` for the splitter only"),
)
def _(way):
    splitter = WithinGroupKFold(4)
    got = cross_val_predict(way.model(), way.X, Y, groups=GROUPS, cv=splitter)
    return got, predicted_by_hand(way.plain, list(splitter.split(X, Y, GROUPS)))


def for_splitter(way):
    """Groups for a splitter, which scikit-learn takes by another name without routing."""
    return {"params": way.groups} if way.how == METADATA else {"groups": GROUPS}


@tool(
    "`cross_validate`, `cv=WithinGroupKFold()`",
    column=works("`groups` for the splitter only"),
)
def _(way):
    splitter = WithinGroupKFold(4)
    got = cross_validate(
        way.model(), way.X, Y, cv=splitter, error_score="raise", **for_splitter(way)
    )
    splits = list(splitter.split(X, Y, GROUPS))
    return got["test_score"], cv_by_hand(way.plain, splits=splits)


@tool("`cross_validate`, `cv=GroupKFold()`", column=works("`groups` for the splitter only"))
def _(way):
    splitter = GroupKFold(4)
    got = cross_validate(
        way.model(), way.X, Y, cv=splitter, error_score="raise", **for_splitter(way)
    )
    splits = list(splitter.split(X, Y, GROUPS))
    return got["test_score"], cv_by_hand(way.plain, splits=splits)


@tool(
    "`cross_validate` of two factors, `cv=TwoWayGroupKFold()`",
    works("a table of groups"),
    works("`groups` for the splitter only"),
    models=QUICK,
)
def _(way):
    splitter = TwoWayGroupKFold(2)
    table = pd.DataFrame({"site": GROUPS, "rater": np.arange(len(Y)) // 3 % 7})
    if way.how == METADATA:
        got = cross_validate(way.model(), X, Y, cv=splitter, params={"groups": table})
    else:
        frame = pd.DataFrame(X, columns=NAMES).join(table)
        model = way.base(group_by=[*table])
        got = cross_validate(
            model, frame, Y, cv=splitter, groups=table, error_score="raise", scoring="r2"
        )
    expected = []
    for train, test in splitter.split(X, groups=table):
        model = way.base().fit(X[train], Y[train], groups=table.iloc[train])
        expected.append(r2_score(Y[test], model.predict(X[test], groups=table.iloc[test])))
    return got["test_score"], expected


@tool("`learning_curve`", models=QUICK)
def _(way):
    sizes, _, got = learning_curve(
        way.model(), way.X, Y, params=way.groups, cv=CV, train_sizes=[60, 120]
    )
    expected = [
        cv_by_hand(way.plain, splits=[(train[:n], test) for train, test in folds()])
        for n in sizes
    ]
    return got, expected


@tool("`validation_curve`", models=QUICK)
def _(way):
    _, got = validation_curve(
        way.model(),
        way.X,
        Y,
        params=way.groups,
        cv=CV,
        param_name="fit_intercept",
        param_range=[True, False],
    )
    expected = [
        cv_by_hand(lambda choice=choice: way.plain(fit_intercept=choice))
        for choice in (True, False)
    ]
    return got, expected


@tool("`permutation_test_score`", models=QUICK)
def _(way):
    score, permuted, _ = permutation_test_score(
        way.model(), way.X, Y, params=way.groups, cv=CV, n_permutations=2, random_state=0
    )
    rng = np.random.RandomState(0)
    targets = [Y, *(Y[rng.permutation(len(Y))] for _ in range(2))]
    expected = [np.mean(cv_by_hand(way.plain, y=y)) for y in targets]
    return [score, *permuted], expected


# ----------------------------------------------------------------------------------- search

GRID = {"fit_intercept": [True, False], "method": ["reml", "ml"]}
CHOICES = list(model_selection.ParameterGrid(GRID))


def search_by_hand(way, rows=TRAIN, splits=None):
    """Mean scores of the grid, and the best choice."""
    parts = splits or [(rows[train], rows[test]) for train, test in CV.split(rows)]
    scores = [
        np.mean(cv_by_hand(lambda choice=choice: way.plain(**choice), splits=parts))
        for choice in CHOICES
    ]
    return scores, CHOICES[int(np.argmax(scores))]


def check_search(way, search):
    """Scores, the best model's predictions, and the score of the search on new rows."""
    search.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    scores, best = search_by_hand(way)
    order = [CHOICES.index(choice) for choice in search.cv_results_["params"]]
    expected = by_hand(lambda: way.plain(**best), TRAIN, TEST)
    test = way.rows(TEST), way.some_groups(TEST)
    got = [
        *search.cv_results_["mean_test_score"],
        *search.best_estimator_.predict(test[0], **test[1]),
        search.score(test[0], Y[TEST], **test[1]),
    ]
    return got, [*np.take(scores, order), *expected, r2_score(Y[TEST], expected)]


@tool("`GridSearchCV`, `fit` and `score`", models=LINEAR)
def _(way):
    return check_search(way, GridSearchCV(way.model(), GRID, cv=CV))


@tool("`GridSearchCV`, `scoring=group_scorer(...)`", models=QUICK)
def _(way):
    return check_search(way, GridSearchCV(way.model(), GRID, cv=CV, scoring=group_scorer("r2")))


@tool(
    "`GridSearchCV`, `predict`",
    lost("`search.best_estimator_.predict(X, groups=groups)`"),
    models=QUICK,
)
def _(way):
    search = GridSearchCV(way.model(), GRID, cv=CV)
    search.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    best = search_by_hand(way)[1]
    expected = by_hand(lambda: way.plain(**best), TRAIN, TEST)
    return search.predict(way.rows(TEST)), expected


@tool("`RandomizedSearchCV`, `fit` and `score`", models=QUICK)
def _(way):
    search = RandomizedSearchCV(way.model(), GRID, n_iter=3, cv=CV, random_state=0)
    return check_search(way, search)


@tool("`HalvingGridSearchCV`, `fit` and `score`", models=QUICK)
def _(way):
    search = HalvingGridSearchCV(
        way.model(), GRID, cv=CV, min_resources=40, factor=3, random_state=0
    )
    search.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    expected, choices = [], CHOICES
    for n_rows, n_left in (40, 2), (120, 1):
        splitter = _SubsampleMetaSplitter(
            base_cv=CV, fraction=n_rows / len(TRAIN), subsample_test=True, random_state=0
        )
        splits = [(TRAIN[i], TRAIN[j]) for i, j in splitter.split(TRAIN, None)]
        scores = [
            np.mean(cv_by_hand(lambda choice=choice: way.plain(**choice), splits=splits))
            for choice in choices
        ]
        expected += scores
        choices = [choices[i] for i in np.sort(np.argsort(scores)[-n_left:])]
    expected += by_hand(lambda: way.plain(**choices[0]), TRAIN, TEST).tolist()
    got = search.best_estimator_.predict(way.rows(TEST), **way.some_groups(TEST))
    # the order of survivors is of no interest
    scores = search.cv_results_["mean_test_score"]
    got = [*scores[:4], *np.sort(scores[4:]), *got]
    return got, [*expected[:4], *np.sort(expected[4:6]), *expected[6:]]


@tool("`GridSearchCV` inside `cross_validate`", models=QUICK)
def _(way):
    search = GridSearchCV(way.model(), GRID, cv=KFold(3))
    got = cross_validate(search, way.X, Y, params=way.groups, cv=CV, error_score="raise")
    expected = []
    for train, test in folds():
        inner = [(train[i], train[j]) for i, j in KFold(3).split(train)]
        best = search_by_hand(way, splits=inner)[1]
        expected.append(r2_score(Y[test], by_hand(lambda b=best: way.plain(**b), train, test)))
    return got["test_score"], expected


# -------------------------------------------------------------------- pipelines and targets


def scaled(train=TRAIN):
    return (X - X[train].mean(axis=0)) / X[train].std(axis=0)


def check_model(way, model, expected):
    model.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    got = model.predict(way.rows(TEST), **way.some_groups(TEST))
    return got, expected


def scale_features(way, **kwargs):
    """Scale the features and let the group column pass, if there is one."""
    columns = NAMES if way.how == COLUMN else np.arange(4) + (way.how == POSITION)
    return ColumnTransformer(
        [("scaled", StandardScaler(), columns)],
        remainder="passthrough",
        verbose_feature_names_out=False,
        **kwargs,
    )


@tool("`Pipeline`", column=works("if its steps leave the column alone"))
def _(way):
    def keep(table):
        return table

    model = make_pipeline(FunctionTransformer(keep), way.model())
    return check_model(way, model, by_hand(way.plain, TRAIN, TEST))


@tool('`ColumnTransformer`, `set_output(transform="pandas")`')
def _(way):
    table = scale_features(way).set_output(transform="pandas")
    model = make_pipeline(table, way.model())
    return check_model(way, model, by_hand(way.plain, TRAIN, TEST, X=scaled()))


@tool(
    "`ColumnTransformer`, output left as it is",
    column=nameless('`set_output(transform="pandas")`'),
    position=works("`group_by=-1`, since what passes through comes last"),
)
def _(way):
    model = way.model()
    if way.how == POSITION:
        model.set_params(group_by=-1)
    model = make_pipeline(scale_features(way), model)
    return check_model(way, model, by_hand(way.plain, TRAIN, TEST, X=scaled()))


@tool("`FeatureUnion`", column=works('with `set_output(transform="pandas")`'))
def _(way):
    def squares(table):
        return table**2

    def rename(_, names):
        return [f"{name}²" for name in names]

    columns = NAMES if way.how == COLUMN else np.arange(4)
    squared = ColumnTransformer(
        [("squares", FunctionTransformer(squares, feature_names_out=rename), columns)],
        verbose_feature_names_out=False,
    )
    union = FeatureUnion(
        [("scaled", scale_features(way)), ("squared", squared)],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = make_pipeline(union, way.model())
    expected = by_hand(way.plain, TRAIN, TEST, X=np.hstack([scaled(), X**2]))
    return check_model(way, model, expected)


@tool('`set_output(transform="pandas")` on a pipeline')
def _(way):
    model = make_pipeline(scale_features(way), way.model()).set_output(transform="pandas")
    return check_model(way, model, by_hand(way.plain, TRAIN, TEST, X=scaled()))


@tool('`set_output(transform="polars")` on a pipeline')
def _(way):
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    # of how older scikit-learn uses newer polars
    warnings.simplefilter("ignore", DeprecationWarning)
    model = make_pipeline(scale_features(way), way.model()).set_output(transform="polars")
    return check_model(way, model, by_hand(way.plain, TRAIN, TEST, X=scaled()))


@tool("`TransformedTargetRegressor`")
def _(way):
    model = TransformedTargetRegressor(way.model(), func=np.arcsinh, inverse_func=np.sinh)
    expected = np.sinh(by_hand(way.plain, TRAIN, TEST, y=np.arcsinh(Y)))
    return check_model(way, model, expected)


# --------------------------------------------------------------------------------- ensembles


def check_without_metadata(way, model, expected):
    """As `check_model`, for tools whose `predict` takes X alone."""
    model.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    return model.predict(way.rows(TEST)), expected


@tool("`StackingRegressor`", lost("`group_by`"))
def _(way):
    model = StackingRegressor([("mixed", way.model())], LinearRegression(), cv=CV)
    splits = [(TRAIN[train], TRAIN[test]) for train, test in CV.split(TRAIN)]
    meta = predicted_by_hand(way.plain, splits)[TRAIN]
    final = LinearRegression().fit(meta[:, None], Y[TRAIN])
    expected = final.predict(by_hand(way.plain, TRAIN, TEST)[:, None])
    return check_without_metadata(way, model, expected)


@tool("`VotingRegressor`", lost("`group_by`"))
def _(way):
    model = VotingRegressor([("mixed", way.model()), ("mean", DummyRegressor())])
    expected = (by_hand(way.plain, TRAIN, TEST) + Y[TRAIN].mean()) / 2
    return check_without_metadata(way, model, expected)


@array_tool(
    "`BaggingRegressor`", position=works("with `max_features` left at 1.0"), models=LINEAR
)
def _(way):
    model = BaggingRegressor(way.model(), n_estimators=3, random_state=0)
    model.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    got = model.predict(way.rows(TEST), **way.some_groups(TEST))
    drawn = [TRAIN[rows] for rows in model.estimators_samples_]
    return got, np.mean([by_hand(way.plain, rows, TEST) for rows in drawn], axis=0)


UNSUPPORTED = "got an unexpected keyword argument 'groups'"


@array_tool("`AdaBoostRegressor`", Outcome(ERROR, "`group_by=0`", UNSUPPORTED), models=LINEAR)
def _(way):
    model = AdaBoostRegressor(way.model(), n_estimators=3, random_state=0)
    model.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    return model.predict(way.rows(TEST)), boosted_by_hand(way, 3)


def boosted_by_hand(way, n_rounds):
    """AdaBoost.R2 with linear loss."""
    rng, n = np.random.RandomState(0), len(TRAIN)
    weights, votes, predicted = np.full(n, 1 / n), [], []
    for _ in range(n_rounds):
        weights = weights / weights.sum()
        rng.randint(np.iinfo(np.int32).max)  # a seed for the model, which draws nothing
        rows = TRAIN[rng.choice(n, size=n, p=weights)]
        loss = np.abs(by_hand(way.plain, rows, TRAIN) - Y[TRAIN])
        loss /= loss.max()
        beta = weights @ loss / (1 - weights @ loss)
        weights = weights * beta ** (1 - loss)
        votes.append(-np.log(beta))
        predicted.append(by_hand(way.plain, rows, TEST))
    order = np.argsort(predicted, axis=0)
    half = np.cumsum(np.take(votes, order), axis=0) >= sum(votes) / 2
    median = np.take_along_axis(order, half.argmax(axis=0)[None], axis=0)
    return np.take_along_axis(np.array(predicted), median, axis=0)[0]


TARGETS = np.column_stack([Y, Y**2 / 10])


@tool("`MultiOutputRegressor`", lost("`group_by`, or `model.estimators_[k].predict`"))
def _(way):
    model = MultiOutputRegressor(way.model())
    model.fit(way.rows(TRAIN), TARGETS[TRAIN], **way.some_groups(TRAIN))
    expected = [by_hand(way.plain, TRAIN, TEST, y=y) for y in TARGETS.T]
    return model.predict(way.rows(TEST)), np.transpose(expected)


@array_tool(
    "`RegressorChain`",
    lost("`group_by=0`"),
    position=works("counted from the start, since targets are put at the end"),
)
def _(way):
    model = RegressorChain(way.model())
    model.fit(way.rows(TRAIN), TARGETS[TRAIN], **way.some_groups(TRAIN))
    first = by_hand(way.plain, TRAIN, TEST)
    longer = np.column_stack([X, Y])  # the truth trains the next link, predictions test it
    longer[TEST, -1] = first
    second = by_hand(way.plain, TRAIN, TEST, X=longer, y=TARGETS[:, 1])
    return model.predict(way.rows(TEST)), np.column_stack([first, second])


# ------------------------------------------------------------------------- feature selection


def importance(way):
    return "auto" if way.how == METADATA else importances


def support_of(selector, way):
    """The features kept, without the group column, which must be kept, too."""
    support = selector.get_support()
    if way.how == METADATA:
        return support
    assert support[0]
    return support[1:]


def eliminate(way, rows):
    """Features kept by recursive elimination, from all of them down to one."""
    kept = np.arange(X.shape[1])
    path = [kept]
    while len(kept) > 1:
        model = fitted(way.plain, rows, kept)
        kept = np.delete(kept, np.argmin(np.abs(model.coef_)))
        path.append(kept)
    return path


IMPORTANCE = works("with `importance_getter=importances`")
POOR_NAME = nameless("`group_by=0` and `importance_getter=importances`")


@array_tool("`RFE`", column=POOR_NAME, position=IMPORTANCE, models=LINEAR)
def _(way):
    extra = int(way.how != METADATA)
    selector = RFE(
        way.model(), n_features_to_select=2 + extra, importance_getter=importance(way)
    )
    selector.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    kept = eliminate(way, TRAIN)[-2]
    assert np.flatnonzero(support_of(selector, way)).tolist() == kept.tolist()
    got = selector.predict(way.rows(TEST), **way.some_groups(TEST))
    return got, by_hand(way.plain, TRAIN, TEST, kept)


def check_rfecv(way, scoring):
    extra = int(way.how != METADATA)
    selector = RFECV(
        way.model(),
        min_features_to_select=1 + extra,
        cv=CV,
        scoring=scoring,
        importance_getter=importance(way),
    ).fit(way.X, Y, **way.groups)
    scores = [
        [
            r2_score(Y[test], by_hand(way.plain, train, test, kept))
            for kept in reversed(eliminate(way, train))
        ]
        for train, test in folds()
    ]
    scores = np.mean(scores, axis=0)
    kept = eliminate(way, np.arange(len(Y)))[::-1][np.argmax(scores)]
    assert np.flatnonzero(support_of(selector, way)).tolist() == kept.tolist()
    return selector.cv_results_["mean_test_score"], scores


@array_tool("`RFECV`, default scoring", NAMED_SCORER, POOR_NAME, IMPORTANCE, models=QUICK)
def _(way):
    return check_rfecv(way, None)


@array_tool("`RFECV`, `scoring=group_scorer(...)`", None, POOR_NAME, IMPORTANCE, models=QUICK)
def _(way):
    return check_rfecv(way, group_scorer("r2"))


@array_tool(
    "`RFECV`, `predict`",
    works(
        "from scikit-learn 1.9; in 1.8 an **error**; use `rfecv.estimator_.predict`",
        since="1.9",
        text="unexpected argument.*groups",
    ),
    POOR_NAME,
    IMPORTANCE,
    models=QUICK,
)
def _(way):
    selector = RFECV(
        way.model(),
        min_features_to_select=4,
        cv=CV,
        scoring=group_scorer("r2"),
        importance_getter=importance(way),
    ).fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    got = selector.predict(way.rows(TEST), **way.some_groups(TEST))
    return got, by_hand(way.plain, TRAIN, TEST, support_of(selector, way))


@tool(
    "`SequentialFeatureSelector`",
    column=nameless("metadata (a position would be wrong: the column may be left out)"),
    numeric=True,
    models=QUICK,
)
def _(way):
    selector = SequentialFeatureSelector(way.model(), n_features_to_select=2, cv=CV)
    selector.fit(way.X, Y, **way.groups)
    kept = []
    for _ in range(2):
        others = [j for j in range(X.shape[1]) if j not in kept]
        scores = [np.mean(cv_by_hand(way.plain, columns=sorted([*kept, j]))) for j in others]
        kept.append(others[int(np.argmax(scores))])
    return np.flatnonzero(selector.get_support()), sorted(kept)


@tool(
    "`SelectFromModel`",
    column=IMPORTANCE,
    position=IMPORTANCE,
    numeric=True,
    models=LINEAR,
)
def _(way):
    selector = SelectFromModel(way.model(), threshold=0.5, importance_getter=importance(way))
    selector.fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    kept = np.abs(fitted(way.plain, TRAIN).coef_) >= 0.5
    assert 0 < kept.sum() < len(kept)
    expected = way.with_groups(X[:, kept])
    return selector.transform(way.rows(TEST)), np.asarray(expected)[TEST]


# -------------------------------------------------------------------------------- inspection


def scored_alone(way, scoring):
    """Permutation importance of the features, by the tool and by hand."""
    model = way.model().fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    table = way.rows(TEST)
    got = permutation_importance(
        model, table, Y[TEST], scoring=scoring, n_repeats=2, random_state=0
    )
    oracle = fitted(way.plain, TRAIN)
    base = r2_score(Y[TEST], oracle.predict(X[TEST], groups=GROUPS[TEST]))
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1)
    expected = []
    for j in range(table.shape[1]):
        rng, order = np.random.RandomState(seed), np.arange(len(TEST))
        rows, groups, drops = X[TEST], GROUPS[TEST], []
        for _ in range(2):
            rng.shuffle(order)
            if j < X.shape[1]:
                rows[:, j] = rows[order, j]
            else:
                groups = groups[order]
            drops.append(base - r2_score(Y[TEST], oracle.predict(rows, groups=groups)))
        expected.append(drops)
    return got.importances, expected


@tool(
    "`permutation_importance`",
    lost("`group_by`, or a `scoring` that knows the groups"),
    works("the group column has an importance, too"),
)
def _(way):
    return scored_alone(way, None)


@tool("`permutation_importance`, a `scoring` that knows the groups")
def _(way):
    def scoring(model, X, y):
        return group_scorer("r2")(model, X, y, **way.some_groups(TEST))

    return scored_alone(way, scoring)


def dependence_by_hand(way, grid):
    oracle = fitted(way.plain, TRAIN)
    lines = []
    for value in grid:
        rows = X[TRAIN].copy()
        rows[:, 0] = value
        lines.append(oracle.predict(rows, groups=GROUPS[TRAIN]).mean())
    return lines


@tool("`partial_dependence`", lost("`group_by`"))
def _(way):
    model = way.model().fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    got = partial_dependence(model, way.rows(TRAIN), [way.column("a")], grid_resolution=4)
    return got["average"][0], dependence_by_hand(way, got["grid_values"][0])


@tool("`PartialDependenceDisplay`", lost("`group_by`"))
def _(way):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot as plt

    model = way.model().fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    try:
        display = PartialDependenceDisplay.from_estimator(
            model, way.rows(TRAIN), [way.column("a")], grid_resolution=4
        )
        grid, got = display.lines_[0, 0].get_data()
    finally:
        plt.close("all")
    return got, dependence_by_hand(way, grid)


# ----------------------------------------------------------------------- copies and displays


def check_copy(way, copy):
    model = way.model().fit(way.rows(TRAIN), Y[TRAIN], **way.some_groups(TRAIN))
    got = copy(model).predict(way.rows(TEST), **way.some_groups(TEST))
    return got, by_hand(way.plain, TRAIN, TEST)


@tool("`clone`")
def _(way):
    model = clone(clone(way.model()))
    return check_model(way, model, by_hand(way.plain, TRAIN, TEST))


@tool("`pickle`")
def _(way):
    return check_copy(way, lambda model: pickle.loads(pickle.dumps(model)))


@tool("`joblib.dump`")
def _(way):
    def copy(model):
        file = io.BytesIO()
        joblib.dump(model, file)
        file.seek(0)
        return joblib.load(file)

    return check_copy(way, copy)


@tool("`skops.io`")
def _(way):
    skops = pytest.importorskip("skops.io")

    def copy(model):
        dump = skops.dumps(model)
        return skops.loads(dump, trusted=skops.get_untrusted_types(data=dump))

    return check_copy(way, copy)


@tool('`set_config(display="diagram")`')
def _(way):
    def copy(model):
        with sklearn.config_context(display="diagram"):
            shown = make_pipeline(StandardScaler(), model)._repr_html_()
        assert type(model).__name__ in shown
        assert "fitted" in estimator_html_repr(model)
        return model

    return check_copy(way, copy)


# --------------------------------------------------------------------------------- rendering


def render(all_cells=CELLS):
    """The table in Markdown: a row for each tool."""
    rows = ["| tool | groups by metadata | groups by column |", "|---|---|---|"]
    for name in dict.fromkeys(cell.tool for cell in all_cells):
        cells = {cell.how: cell.outcome for cell in all_cells if cell.tool == name}
        rows.append(
            f"| {name} | {_describe(cells[METADATA])} | "
            f"{_describe_column(cells[COLUMN], cells.get(POSITION))} |"
        )
    return "\n".join(rows)


def _describe(outcome):
    if outcome.kind == WORKS:
        return f"works ({outcome.note})" if outcome.note else "works"
    return f"**error**; use {outcome.note}"


def _describe_column(name, position):
    if position is None:
        return _describe(name)
    if name.kind == ERROR and name.note.startswith("`group_by=0`"):
        name = "**error**"  # what to use is what follows
    else:
        name = _describe(name)
    return f"by name: {name}; by position: {_describe(position)}"


def write(table, begin=BEGIN, end=END):
    """Put a table between the marks of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    DOCUMENT.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    write(render())
