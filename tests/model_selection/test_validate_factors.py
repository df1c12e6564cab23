"""Cross-validation of several factors from moments against scikit-learn's loop."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, RepeatedKFold
from sklearn.model_selection import cross_validate as loop

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.exceptions import SingularFitWarning
from skmixed.model_selection import TwoWayGroupKFold, WithinGroupKFold, cross_validate
from skmixed.model_selection import _cross_validation as module

BOTH = ["school", "rater"]
MODELS = {
    "crossed": RandomInterceptRegressor(group_by=BOTH),
    "ml": RandomInterceptRegressor(group_by=BOTH, method="ml"),
    "nested": RandomInterceptRegressor(group_by=["school", ("school", "class")]),
    "three": RandomInterceptRegressor(group_by=["school", ("school", "class"), "rater"]),
    "slopes": RandomSlopeRegressor({"school": "x"}, group_by=BOTH),
    "diagonal": RandomSlopeRegressor("x", group_by=BOTH, covariance="diag"),
    "no intercept": RandomInterceptRegressor(group_by=BOTH, fit_intercept=False),
    "new groups": RandomInterceptRegressor(group_by=BOTH, new_groups={"rater": "error"}),
}
SPLITTERS = {
    "rows": KFold(4, shuffle=True, random_state=0),
    "schools": GroupKFold(4),
    "one school": LeaveOneGroupOut(),
    "within schools": WithinGroupKFold(4, shuffle=True, random_state=0),
    "repeated": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
}


@pytest.fixture(scope="module")
def rows():
    """Pupils of classes 1, 2 and 3 in schools, each marked by a rater."""
    rng = np.random.default_rng(0)
    place, rater = rng.integers(0, 24, 420), rng.integers(0, 7, 420)
    school, x = place // 3, 2 + rng.normal(size=(420, 2))
    y = 3 + x @ [0.5, -1.0] + rng.normal(size=420) + 0.9 * rng.normal(size=24)[place]
    for codes, size in ((school, 8), (rater, 7)):
        level, slope = rng.normal(size=(2, size))
        y += 1.5 * level[codes] + 0.8 * slope[codes] * (x[:, 0] - 2)
    columns = {"x": x[:, 0], "z": x[:, 1], "school": school, "class": 1 + place % 3}
    return pd.DataFrame({**columns, "rater": [f"r{i}" for i in rater]}), pd.Series(y)


@pytest.fixture
def folds_in_the_loop(monkeypatch):
    """Count the folds that are fitted from their rows."""
    count, original = [], module.fit_and_score
    monkeypatch.setattr(
        module, "fit_and_score", lambda *args, **kw: count.append(1) or original(*args, **kw)
    )
    return count


def of_model(model, X):
    factors = (f if isinstance(f, tuple) else (f,) for f in model.group_by)
    return X[["x", "z", *dict.fromkeys(column for f in factors for column in f)]]


def run(function, *args, **options):
    """Return the result and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*args, **options)
    return result, [(w.category, str(w.message).split("\nTraceback")[0]) for w in caught]


def assert_same(model, X, y, atol=1e-8, **options):
    ours, warned = run(cross_validate, model, X, y, **options)
    theirs, expected = run(loop, model, X, y, **options)
    for name, value in theirs.items():
        if name.startswith(("test_", "train_")):
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=atol, err_msg=name)
    assert set(ours) == set(theirs)
    assert warned == expected
    return ours


@pytest.mark.parametrize(
    ("name", "splitter"),
    [
        *((name, splitter) for name in MODELS for splitter in ("rows", "schools")),
        *(("slopes", splitter) for splitter in ("one school", "within schools")),
        ("crossed", "repeated"),
    ],
)
def test_every_fold_is_that_of_the_loop(rows, name, splitter, folds_in_the_loop):
    model = MODELS[name]
    options = {"groups": rows[0]["school"]} if "school" in splitter else {}
    scoring = ["r2", "neg_mean_absolute_error"] if splitter == "rows" else None
    with_train = splitter == "schools"
    X = of_model(model, rows[0])
    options.update(cv=SPLITTERS[splitter], scoring=scoring, return_train_score=with_train)
    assert_same(model, X, rows[1], **options)
    assert not folds_in_the_loop


def test_estimators_of_folds_are_those_of_their_rows(rows):
    X, y = of_model(MODELS["slopes"], rows[0]), rows[1]
    results = cross_validate(
        MODELS["slopes"], X, y, cv=KFold(3), return_estimator=True, return_indices=True
    )
    folds = zip(results["estimator"], results["indices"]["train"], strict=True)
    for model, train in folds:
        expected = clone(model).fit(X.iloc[train], y.iloc[train])
        np.testing.assert_allclose(model.theta_, expected.theta_, rtol=1e-9)
        np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-9)
        assert str(model.summary()).split("\n")[2:] == str(expected.summary()).split("\n")[2:]
        np.testing.assert_allclose(
            model.predict(X, return_std=True)[1], expected.predict(X, return_std=True)[1]
        )


def test_factors_beside_the_features(rows, folds_in_the_loop):
    X, y = rows
    model, table = RandomInterceptRegressor(), X[BOTH]
    cv = TwoWayGroupKFold(4, shuffle=True, random_state=0)
    found = cross_validate(model, X[["x", "z"]], y, groups=table, cv=cv)
    assert len(folds_in_the_loop) <= 2  # of 16: where more than half of the rows are left out
    with sklearn.config_context(enable_metadata_routing=True):
        expected = loop(model, X[["x", "z"]], y, params={"groups": table}, cv=cv)
    np.testing.assert_allclose(found["test_score"], expected["test_score"], atol=1e-8)


@pytest.mark.parametrize("name", ["crossed", "slopes"])
def test_weights(rows, name, folds_in_the_loop):
    X, y = of_model(MODELS[name], rows[0]), rows[1]
    weight = np.random.default_rng(1).integers(0, 4, len(y)) * 0.5
    assert_same(MODELS[name], X, y, cv=KFold(4), params={"sample_weight": weight})
    assert not folds_in_the_loop


def test_folds_that_need_their_rows(rows, folds_in_the_loop):
    X, y = rows
    X = X.assign(x=(np.arange(420) < 4) * 1.0)  # varies in the first fold alone
    assert_same(MODELS["crossed"], X[["x", "z", *BOTH]], y, cv=KFold(4))
    assert len(folds_in_the_loop) == 1
    folds_in_the_loop.clear()
    one = X.assign(rater=np.where(X["school"] > 3, "r1", "r2"))
    results, _ = run(
        cross_validate,
        MODELS["crossed"],
        one[["z", *BOTH]],
        y,
        cv=[(np.flatnonzero(X["school"] > 3), np.arange(50)), (np.arange(370), np.arange(50))],
    )
    # one rater is left, which is an error in the loop
    assert np.isnan(results["test_score"]).tolist() == [True, False]
    assert len(folds_in_the_loop) == 1


def test_singular_folds_warn_as_in_the_loop(rows):
    X, _ = rows
    y = X["x"] + np.random.default_rng(5).normal(size=420)
    _, warned = run(cross_validate, MODELS["crossed"], X[["x", "z", *BOTH]], y, cv=KFold(3))
    assert SingularFitWarning in {category for category, _ in warned}
    assert_same(MODELS["crossed"], X[["x", "z", *BOTH]], y, cv=KFold(3))
