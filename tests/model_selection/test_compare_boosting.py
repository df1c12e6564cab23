"""Boosting in a comparison: scores beside loops by hand, and what each outcome has."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import GroupKFold

from skmixed import MixedEffectsRegressor, compare_pooling
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection import WithinGroupKFold
from skmixed.model_selection import _pooling_boosting as boosting
from skmixed.preprocessing import RandomEffectEncoder

KNOWN, NEW = "known groups", "new groups"
NAMES = ["boosting", "boosting with effects", "mixed boosting"]
OPTIONS = {"boosting": True, "n_splits": 2, "n_repeats": 1, "random_state": 0}
FEW = {"max_iter": 4, "learning_rate": 0.5, "random_state": 0}  # trees, so that tests are quick
TREES, CLASSIFIER = (
    HistGradientBoostingRegressor(**FEW),
    HistGradientBoostingClassifier(**FEW),
)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    few = {name: clone(model).set_params(**FEW) for name, model in boosting._TREES.items()}
    monkeypatch.setattr(boosting, "_TREES", few)


@pytest.fixture(scope="module")
def rows():
    X, y, groups = make_mixed_regression(
        120, 2, 12, intercept_variance=4.0, coef=[1.0, 0.5], random_state=0
    )
    return X, y, groups


def folds(X, y, groups):
    seed = int(np.random.RandomState(0).randint(2**31, size=1)[0])
    for regime, splitter in ((KNOWN, WithinGroupKFold), (NEW, GroupKFold)):
        cv = splitter(2, shuffle=True, random_state=seed)
        for train, test in cv.split(X, y, groups):
            yield regime, train, test


def behind_encoder(trees, X, y, train, groups):
    """Boosting of features and effects, and the table to predict from."""
    X = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
    table = np.column_stack([X, groups])
    encoder = RandomEffectEncoder([-1], random_state=0)
    model = trees.fit(encoder.fit_transform(table[train], y[train]), y[train])
    return model, encoder.transform(table)


def test_scores_are_those_of_a_loop_by_hand(rows):
    X, y, groups = rows
    scores = compare_pooling(X, y, groups, **OPTIONS).scores.set_index(["regime", "model"])
    expected = {}
    for regime, train, test in folds(X, y, groups):
        alone = TREES.fit(X[train], y[train]).predict(X[test])
        model, encoded = behind_encoder(TREES, X, y, train, groups)
        with_effects = model.predict(encoded[test])
        around = MixedEffectsRegressor(TREES, random_state=0)
        around.fit(X[train], y[train], groups=groups[train])
        mixed = around.predict(X[test], groups=groups[test])
        for name, predicted in zip(NAMES, [alone, with_effects, mixed], strict=True):
            error = root_mean_squared_error(y[test], predicted)
            expected.setdefault((regime, name), []).append(error)
    for key, errors in expected.items():
        np.testing.assert_allclose(scores.loc[key, "rmse"], errors, rtol=1e-9)
    known = scores.loc[KNOWN].groupby("model")["rmse"].mean()
    assert known["boosting"] > 1.1 * known[NAMES[1:]].max()


@pytest.mark.slow
def test_of_a_binary_outcome_the_encoder_is_logistic(rows):
    X, y, groups = rows
    labels = np.where(y > np.median(y), "yes", "no")
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(site=groups)
    found = compare_pooling(frame, labels, group_by="site", **OPTIONS)
    assert "mixed boosting" not in found.scores["model"].unique()
    scores = found.scores.set_index(["regime", "model"])["log_loss"]
    _, train, test = next(folds(X, y, groups))
    model, encoded = behind_encoder(CLASSIFIER, X, labels, train, groups)
    expected = log_loss(labels[test], model.predict_proba(encoded[test])[:, 1])
    assert scores[KNOWN, "boosting with effects"].iloc[0] == pytest.approx(expected, rel=1e-9)


def test_counts_are_predicted_above_0(rows):
    X, y, groups = rows
    counts = np.random.default_rng(0).poisson(np.exp(y / 5))
    found = compare_pooling(X, counts, groups, target_type="count", **OPTIONS)
    assert found.summary.loc[KNOWN].index[-2:].tolist() == NAMES[:2]
    assert np.isfinite(found.summary["poisson_deviance"]).all()


@pytest.mark.slow
def test_several_factors(rows):
    X, y, groups = rows
    table = pd.DataFrame({"site": groups, "rater": np.arange(len(y)) % 7})
    found = compare_pooling(X, y, table, **OPTIONS)
    by_column = compare_pooling(
        pd.DataFrame(X).set_axis(["a", "b"], axis=1).join(table),
        y,
        group_by=["site", "rater"],
        **OPTIONS,
    )
    pd.testing.assert_frame_equal(
        *(each.summary.drop(columns="fit_seconds") for each in (found, by_column))
    )
    rmse = found.summary["rmse"].loc[KNOWN]
    assert rmse["boosting"] > 1.1 * rmse[NAMES[1:]].max()


def test_groups_alone_and_names_that_are_taken(rows):
    _, y, groups = rows
    found = compare_pooling(np.empty((len(y), 0)), y, groups, **OPTIONS)
    assert set(found.cannot["model"]) == {"mixed boosting"}  # around no features at all
    assert not found.warned["message"].str.contains("handed no other").any()
    with pytest.raises(ValueError, match=r"other than .*'mixed boosting', but got 'boosting'"):
        compare_pooling(*rows, estimators={"boosting": TREES}, **OPTIONS)
