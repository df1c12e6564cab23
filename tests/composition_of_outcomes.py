"""The second table of docs/composition.md: tools for binary outcomes and counts.

``python tests/composition_of_outcomes.py`` writes it. The first is in composition_table.py.
"""

from __future__ import annotations

from functools import partial

import composition_table
import numpy as np
from composition_table import CV, ERROR, GROUPS, TEST, TRAIN, Outcome, X, Y, works
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss, mean_poisson_deviance
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomSlopeClassifier,
    model_selection,
)
from skmixed.metrics import group_scorer

COMMAND = "python tests/composition_of_outcomes.py"
BEGIN, END = "<!-- outcomes: begin -->", "<!-- outcomes: end -->"

LINK = 0.3 * (Y - Y.mean())
LABELS = np.array(["no", "yes"])[
    (np.random.default_rng(0).random(len(Y)) < expit(LINK)).astype(int)
]
COUNTS = np.random.default_rng(1).poisson(np.exp(0.5 + LINK / 2))
LOSS, DEVIANCE = "neg_log_loss", "neg_mean_poisson_deviance"
GRID = {"fit_intercept": [True, False]}
INNER = [(TRAIN[train], TRAIN[test]) for train, test in CV.split(TRAIN)]
SPLITS = list(CV.split(X))

CELLS: list[composition_table.Cell] = []
BINARY = (RandomInterceptClassifier, RandomSlopeClassifier)
tool = partial(composition_table.tool, cells=CELLS, models=(RandomInterceptClassifier,))
tool_for_counts = partial(tool, models=(RandomInterceptPoissonRegressor,))


def lost(instead):
    """The groups did not reach the method that predicts, and our model says so."""
    return Outcome(ERROR, instead, r"`groups` must be given to `(predict|decision)\w*`")


# ------------------------------------------------------------------------------- the oracle


def fitted(way, train, y=LABELS, **params):
    return way.plain(**params).fit(X[train], y[train], groups=GROUPS[train])


def by_hand(way, train, test, **params):
    """Probabilities of test rows with their groups."""
    return fitted(way, train, **params).predict_proba(X[test], groups=GROUPS[test])


def left_out(way, splits):
    """Probabilities of the rows of each fold, fitted to the other folds."""
    probability = np.full((len(Y), 2), np.nan)
    for train, test in splits:
        probability[test] = by_hand(way, train, test)
    return probability


def losses(way, splits, **params):
    return [
        -log_loss(LABELS[test], by_hand(way, train, test, **params)) for train, test in splits
    ]


def counts_by_hand(way, train, test):
    model = fitted(way, train, COUNTS)
    return model.predict(X[test], groups=GROUPS[test])


def deviances(way):
    return [
        -mean_poisson_deviance(COUNTS[test], counts_by_hand(way, train, test))
        for train, test in SPLITS
    ]


def learned(way, model, y=LABELS):
    """The tool, fitted to the training rows."""
    return model.fit(way.rows(TRAIN), y[TRAIN], **way.some_groups(TRAIN))


# ------------------------------------------------------------------------- binary outcomes


@tool("`Pipeline`, `predict_proba`", models=BINARY)
def _(way):
    model = learned(way, make_pipeline(FunctionTransformer(), way.model()))
    got = model.predict_proba(way.rows(TEST), **way.some_groups(TEST))
    return got, by_hand(way, TRAIN, TEST)


NAMED_SCORER = lost('`scoring=group_scorer("neg_log_loss")`')


@tool('`cross_validate`, `scoring="neg_log_loss"`', NAMED_SCORER)
def _(way):
    options = {"params": way.groups, "cv": CV, "error_score": "raise", "scoring": LOSS}
    got = cross_validate(way.model(), way.X, LABELS, **options)
    return got["test_score"], losses(way, SPLITS)


@tool('`cross_validate`, `scoring=group_scorer("neg_log_loss")`', models=BINARY)
def _(way):
    options = {"params": way.groups, "cv": CV, "scoring": group_scorer(LOSS)}
    got = cross_validate(way.model(), way.X, LABELS, **options)
    return got["test_score"], losses(way, SPLITS)


@tool('`skmixed.model_selection.cross_validate`, `scoring="neg_log_loss"`')
def _(way):
    options = {**way.groups, "cv": CV, "scoring": LOSS}
    got = model_selection.cross_validate(way.model(), way.X, LABELS, **options)
    return got["test_score"], losses(way, SPLITS)


@tool(
    '`sklearn.model_selection.cross_val_predict`, `method="predict_proba"`',
    lost("`skmixed.model_selection.cross_val_predict`"),
)
def _(way):
    options = {"params": way.groups, "cv": CV, "method": "predict_proba"}
    return cross_val_predict(way.model(), way.X, LABELS, **options), left_out(way, SPLITS)


@tool(
    '`skmixed.model_selection.cross_val_predict`, `method="predict_proba"`',
    works("routing on or off"),
)
def _(way):
    options = {**way.groups, "cv": CV, "method": "predict_proba"}
    got = model_selection.cross_val_predict(way.model(), way.X, LABELS, **options)
    return got, left_out(way, SPLITS)


def check_search(way, scoring):
    search = GridSearchCV(way.model(), GRID, cv=CV, scoring=scoring, error_score="raise")
    learned(way, search)
    scores = [np.mean(losses(way, INNER, fit_intercept=given)) for given in (True, False)]
    best = (True, False)[np.argmax(scores)]
    got = search.best_estimator_.predict_proba(way.rows(TEST), **way.some_groups(TEST))
    expected = by_hand(way, TRAIN, TEST, fit_intercept=best)
    return [*search.cv_results_["mean_test_score"], *got.ravel()], [*scores, *expected.ravel()]


@tool('`GridSearchCV`, `scoring="neg_log_loss"`', NAMED_SCORER)
def _(way):
    return check_search(way, LOSS)


@tool('`GridSearchCV`, `scoring=group_scorer("neg_log_loss")`')
def _(way):
    return check_search(way, group_scorer(LOSS))


@tool("`CalibratedClassifierCV`", lost("`group_by`"))
def _(way):
    calibrated = CalibratedClassifierCV(way.model(), cv=CV, ensemble=False)
    got = learned(way, calibrated).predict_proba(way.rows(TEST))
    (fold,) = calibrated.calibrated_classifiers_
    probability = left_out(way, INNER)[TRAIN]
    logits = np.log(probability[:, 1]) - np.log(probability[:, 0])
    sigmoid = type(fold.calibrators[0])().fit(logits, (LABELS[TRAIN] == "yes").astype(float))
    logit = fitted(way, TRAIN).decision_function(X[TEST], groups=GROUPS[TEST])
    # the sigmoid itself is found by a search
    return got[:, 1].round(5), sigmoid.predict(logit).round(5)


@tool("`TunedThresholdClassifierCV`", lost("`group_by`"))
def _(way):
    cuts = [0.3, 0.5, 0.7]
    tuned = TunedThresholdClassifierCV(
        way.model(), cv=CV, thresholds=cuts, store_cv_results=True
    )
    got = learned(way, tuned).predict(way.rows(TEST)) == "yes"
    probability = left_out(way, INNER)[:, 1]
    scores = [
        np.mean(
            [
                balanced_accuracy_score(LABELS[test] == "yes", probability[test] >= cut)
                for _, test in INNER
            ]
        )
        for cut in cuts
    ]
    expected = by_hand(way, TRAIN, TEST)[:, 1] >= cuts[int(np.argmax(scores))]
    return [*tuned.cv_results_["scores"], *got], [*scores, *expected]


@tool("`StackingClassifier`", lost("`group_by`"))
def _(way):
    model = StackingClassifier([("mixed", way.model())], LogisticRegression(), cv=CV)
    got = learned(way, model).predict_proba(way.rows(TEST))
    final = LogisticRegression().fit(left_out(way, INNER)[TRAIN, 1:], LABELS[TRAIN])
    return got, final.predict_proba(by_hand(way, TRAIN, TEST)[:, 1:])


@tool('`VotingClassifier`, `voting="soft"`', lost("`group_by`"))
def _(way):
    model = VotingClassifier(
        [("mixed", way.model()), ("share", DummyClassifier())], voting="soft"
    )
    got = learned(way, model).predict_proba(way.rows(TEST))
    shares = np.mean(LABELS[TRAIN, None] == ["no", "yes"], axis=0)
    return got, (by_hand(way, TRAIN, TEST) + shares) / 2


@tool(
    "`permutation_importance`",
    lost("`group_by`"),
    works("the group column has an importance, too"),
)
def _(way):
    model, rows = learned(way, way.model()), way.rows(TEST)
    options = {"n_repeats": 1, "random_state": 0, "scoring": LOSS}
    got = permutation_importance(model, rows, LABELS[TEST], **options).importances[:, 0]
    order = np.arange(len(TEST))
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1)
    np.random.RandomState(seed).shuffle(order)
    oracle, expected = fitted(way, TRAIN), []
    for j in range(rows.shape[1]):
        shuffled, groups = X[TEST], GROUPS[TEST]
        if j < X.shape[1]:
            shuffled[:, j] = shuffled[order, j]
        else:
            groups = groups[order]
        probability = oracle.predict_proba(shuffled, groups=groups)
        expected.append(log_loss(LABELS[TEST], probability))
    return got, np.array(expected) - log_loss(LABELS[TEST], by_hand(way, TRAIN, TEST))


# ---------------------------------------------------------------------------------- counts


@tool_for_counts(
    '`cross_validate` of counts, `scoring="neg_mean_poisson_deviance"`',
    lost('`scoring=group_scorer("neg_mean_poisson_deviance")`'),
)
def _(way):
    options = {"params": way.groups, "cv": CV, "error_score": "raise", "scoring": DEVIANCE}
    got = cross_validate(way.model(), way.X, COUNTS, **options)
    return got["test_score"], deviances(way)


@tool_for_counts(
    '`cross_validate` of counts, `scoring=group_scorer("neg_mean_poisson_deviance")`'
)
def _(way):
    options = {"params": way.groups, "cv": CV, "scoring": group_scorer(DEVIANCE)}
    got = cross_validate(way.model(), way.X, COUNTS, **options)
    return got["test_score"], deviances(way)


@tool_for_counts("`StackingRegressor` of counts", lost("`group_by`"))
def _(way):
    model = StackingRegressor([("mixed", way.model())], LinearRegression(), cv=CV)
    got = learned(way, model, COUNTS).predict(way.rows(TEST))
    meta = np.full(len(Y), np.nan)
    for train, test in INNER:
        meta[test] = counts_by_hand(way, train, test)
    final = LinearRegression().fit(meta[TRAIN, None], COUNTS[TRAIN])
    return got, final.predict(counts_by_hand(way, TRAIN, TEST)[:, None])


if __name__ == "__main__":
    composition_table.write(composition_table.render(CELLS), BEGIN, END)
