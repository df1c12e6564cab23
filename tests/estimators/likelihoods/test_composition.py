"""Inside scikit-learn's tools, with the groups in a column of X or routed to the model."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss, mean_poisson_deviance
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomSlopeClassifier,
    model_selection,
)
from skmixed.metrics import group_scorer

CV = StratifiedKFold(3, shuffle=True, random_state=0)
SEARCH = {"new_groups": ["population"], "fit_intercept": [False, True]}


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture(scope="module")
def labels(binary):
    return np.array(["no", "yes"])[binary.y]


@pytest.fixture(scope="module")
def by_hand(binary, labels):
    """Probabilities of left-out rows, fold by fold."""
    X, _, groups = binary
    probability = np.empty((300, 2))
    for train, test in CV.split(X, labels):
        model = RandomInterceptClassifier()
        model.fit(X.iloc[train], labels[train], groups[train])
        probability[test] = model.predict_proba(X.iloc[test], groups[test])
    return probability


@pytest.fixture
def model():
    return RandomInterceptClassifier(group_by="school")


def losses(labels, probability):
    return [-log_loss(labels[test], probability[test]) for _, test in CV.split(labels, labels)]


def test_cross_val_predict(binary, labels, by_hand, model):
    options = {"cv": CV, "method": "predict_proba"}
    found = cross_val_predict(model, binary.table, labels, **options)
    np.testing.assert_allclose(found, by_hand, atol=1e-8)
    ours = model_selection.cross_val_predict(
        RandomInterceptClassifier(), binary.X, labels, groups=binary.groups, **options
    )
    np.testing.assert_allclose(ours, by_hand, atol=1e-8)


def test_named_scorers_and_searches(binary, labels, by_hand, model):
    scores = cross_val_score(model, binary.table, labels, cv=CV, scoring="neg_log_loss")
    np.testing.assert_allclose(scores, losses(labels, by_hand), atol=1e-8)
    search = GridSearchCV(model, SEARCH, cv=CV, scoring="neg_log_loss")
    search.fit(binary.table, labels)
    found = search.cv_results_["mean_test_score"][1]
    assert found == pytest.approx(np.mean(losses(labels, by_hand)))
    assert search.predict_proba(binary.table).shape == (300, 2)


@pytest.mark.usefixtures("routing")
def test_routed_groups_reach_model_and_scorer(binary, labels, by_hand):
    X, _, groups = binary
    options = {"cv": CV, "scoring": group_scorer("neg_log_loss")}
    for each in (RandomInterceptClassifier(), make_pipeline(RandomInterceptClassifier())):
        found = cross_validate(each, X, labels, params={"groups": groups}, **options)
        np.testing.assert_allclose(found["test_score"], losses(labels, by_hand), atol=1e-8)
    ours = model_selection.cross_validate(
        RandomInterceptClassifier(), X, labels, groups=groups, cv=CV, scoring="neg_log_loss"
    )
    np.testing.assert_allclose(ours["test_score"], losses(labels, by_hand), atol=1e-8)
    search = GridSearchCV(RandomInterceptClassifier(), SEARCH, **options)
    search.fit(X, labels, groups=groups)
    found = search.cv_results_["mean_test_score"][1]
    assert found == pytest.approx(np.mean(losses(labels, by_hand)))


@pytest.mark.parametrize("name", ["roc_auc", "accuracy", "neg_log_loss"])
@pytest.mark.usefixtures("routing")
def test_group_scorer_is_the_scorer(binary, labels, name, model):
    by_column = model.fit(binary.table, labels)
    beside = RandomInterceptClassifier().fit(binary.X, labels, binary.groups)
    expected = sklearn.metrics.get_scorer(name)(by_column, binary.table, labels)
    scorer = group_scorer(name)
    found = scorer(beside, binary.X, labels, groups=binary.groups)
    assert found == pytest.approx(expected, abs=1e-8)
    assert scorer(by_column, binary.table, labels) == expected


def test_group_scorer_of_counts(counts):
    X, y, groups = counts
    model = RandomInterceptPoissonRegressor().fit(X, y, groups)
    found = group_scorer("neg_mean_poisson_deviance")(model, X, y, groups=groups)
    assert found == pytest.approx(-mean_poisson_deviance(y, model.predict(X, groups)))


def test_splitting_by_groups_gives_new_groups(binary, labels, model):
    options = {"cv": GroupKFold(4), "groups": binary.groups, "method": "predict_proba"}
    found = cross_val_predict(model, binary.table, labels, **options)
    for train, test in GroupKFold(4).split(binary.X, groups=binary.groups):
        fold = clone(model).fit(binary.table.iloc[train], labels[train])
        expected = fold.predict_population(binary.X.iloc[test])
        np.testing.assert_allclose(found[test, 1], expected)


def test_pipeline(binary, labels):
    scaler = StandardScaler().set_output(transform="pandas")
    transformer = sklearn.compose.ColumnTransformer(
        [("scaled", scaler, ["x", "z"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = RandomSlopeClassifier("x", group_by="school")
    pipeline = make_pipeline(transformer, model).fit(binary.table, labels)
    plain = clone(model).fit(binary.table, labels)
    np.testing.assert_allclose(
        pipeline.predict_proba(binary.table), plain.predict_proba(binary.table), atol=1e-4
    )
    assert pipeline.score(binary.table, labels) == plain.score(binary.table, labels)


def test_calibration(binary, labels, by_hand, model):
    calibrated = CalibratedClassifierCV(model, cv=CV, method="sigmoid", ensemble=False)
    calibrated.fit(binary.table, labels)
    (fold,) = calibrated.calibrated_classifiers_
    # the sigmoid is fitted to logits of averaged probabilities of left-out rows
    logits = np.log(by_hand[:, 1]) - np.log(by_hand[:, 0])
    sigmoid = fold.calibrators[0]
    again = type(sigmoid)().fit(logits, (labels == "yes").astype(float))
    assert (sigmoid.a_, sigmoid.b_) == pytest.approx((again.a_, again.b_), rel=1e-4)
    whole = clone(model).fit(binary.table, labels)
    expected = sigmoid.predict(whole.decision_function(binary.table))
    np.testing.assert_allclose(calibrated.predict_proba(binary.table)[:, 1], expected)


def test_stacking(binary, labels, by_hand, model):
    final = LogisticRegression()
    stack = StackingClassifier([("mixed", model)], final, cv=CV).fit(binary.table, labels)
    expected = clone(final).fit(by_hand[:, 1:], labels)
    np.testing.assert_allclose(stack.final_estimator_.coef_, expected.coef_, rtol=1e-5)
    probability = clone(model).fit(binary.table, labels).predict_proba(binary.table)[:, 1:]
    np.testing.assert_allclose(
        stack.predict_proba(binary.table), expected.predict_proba(probability), rtol=1e-5
    )


def test_stacking_of_counts(counts):
    model, cv = RandomInterceptPoissonRegressor(group_by="school"), KFold(3)
    stack = StackingRegressor([("mixed", model)], LinearRegression(), cv=cv)
    stack.fit(counts.table, counts.y)
    left_out = cross_val_predict(model, counts.table, counts.y, cv=cv)
    expected = LinearRegression().fit(left_out[:, None], counts.y)
    np.testing.assert_allclose(stack.final_estimator_.coef_, expected.coef_)


def test_permutation_importance(binary, labels, model):
    model.fit(binary.table, labels)
    options = {"n_repeats": 3, "random_state": 0, "scoring": "neg_log_loss"}
    found = permutation_importance(model, binary.table, labels, **options)
    importance = dict(zip(binary.table, found.importances_mean, strict=True))
    assert importance["x"] > importance["z"] > 0
    assert importance["school"] > 0


def test_a_tuned_threshold(binary, labels, by_hand, model):
    options = {"scoring": "balanced_accuracy", "cv": CV, "thresholds": [0.3, 0.5, 0.7]}
    tuned = TunedThresholdClassifierCV(model, store_cv_results=True, **options)
    tuned.fit(binary.table, labels)
    expected = [
        np.mean(
            [
                balanced_accuracy_score(
                    labels[test], np.where(by_hand[test, 1] >= cut, "yes", "no")
                )
                for _, test in CV.split(labels, labels)
            ]
        )
        for cut in options["thresholds"]
    ]
    np.testing.assert_allclose(tuned.cv_results_["scores"], expected)
    probability = clone(model).fit(binary.table, labels).predict_proba(binary.table)[:, 1]
    cut = options["thresholds"][np.argmax(expected)]
    expected = np.where(probability >= cut, "yes", "no")
    np.testing.assert_array_equal(tuned.predict(binary.table), expected)
