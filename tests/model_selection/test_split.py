import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

from skmixed import RandomInterceptRegressor
from skmixed.model_selection import (
    TwoWayGroupKFold,
    WithinGroupKFold,
    WithinGroupTimeSeriesSplit,
    cross_validate,
)

GROUPS = st.lists(st.integers(0, 6), min_size=6, max_size=60).map(np.array)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(GROUPS, st.integers(2, 6), st.booleans())
def test_every_group_is_spread_over_the_folds(groups, n_splits, shuffle):
    splitter = WithinGroupKFold(n_splits, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = list(splitter.split(groups, groups=groups))
    assert len(folds) == splitter.get_n_splits() == n_splits
    tested = np.concatenate([test for _, test in folds])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(groups)))
    assert np.ptp([len(test) for _, test in folds]) <= 1
    for label in np.unique(groups):
        parts = [np.sum(groups[test] == label) for _, test in folds]
        assert np.ptp(parts) <= 1
    sizes = np.bincount(groups)
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(groups)))
        several = sizes[groups[test]] > 1
        assert np.isin(groups[test][several], groups[train]).all()


def test_shuffling_is_seeded():
    groups = np.repeat(np.arange(10), 10)

    def folds(seed):
        splitter = WithinGroupKFold(3, shuffle=True, random_state=seed)
        return [test.tolist() for _, test in splitter.split(groups, groups=groups)]

    assert folds(0) == folds(0)
    assert folds(0) != folds(1)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(GROUPS, st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
def test_the_last_rows_of_each_group_are_the_test(groups, n_splits, test_size, gap):
    splitter = WithinGroupTimeSeriesSplit(n_splits, test_size=test_size, gap=gap)
    if np.bincount(groups).max() < n_splits * test_size + gap + 1:
        with pytest.raises(ValueError, match="but the largest has"):
            list(splitter.split(groups, groups=groups))
        return
    folds = list(splitter.split(groups, groups=groups))
    assert len(folds) == n_splits
    for fold, (train, test) in enumerate(folds):
        for label in np.unique(groups):
            rows = np.flatnonzero(groups == label)
            end = len(rows) - (n_splits - 1 - fold) * test_size
            past = rows[: max(end - test_size - gap, 0)]
            expected = rows[max(end - test_size, 0) : end] if len(past) else []
            np.testing.assert_array_equal(test[groups[test] == label], expected)
            np.testing.assert_array_equal(train[groups[train] == label], past)


@pytest.mark.parametrize("splitter", [WithinGroupKFold(3), WithinGroupTimeSeriesSplit(3)])
def test_groups_reach_the_splitter_routed_and_unrouted(splitter):
    rng = np.random.default_rng(0)
    X, y, groups = rng.normal(size=(60, 2)), rng.normal(size=60), np.arange(60) % 7
    expected = []
    for train, test in splitter.split(X, y, groups):
        model = LinearRegression().fit(X[train], y[train])
        expected.append(model.score(X[test], y[test]))
    score = cross_val_score(LinearRegression(), X, y, groups=groups, cv=splitter)
    np.testing.assert_allclose(score, expected)
    search = GridSearchCV(LinearRegression(), {"fit_intercept": [True]}, cv=splitter)
    assert search.fit(X, y, groups=groups).best_score_ == pytest.approx(np.mean(expected))
    with sklearn.config_context(enable_metadata_routing=True):
        score = cross_val_score(
            LinearRegression(), X, y, params={"groups": groups}, cv=splitter
        )
    np.testing.assert_allclose(score, expected)


@pytest.mark.parametrize("splitter", [WithinGroupKFold(), WithinGroupTimeSeriesSplit()])
def test_bad_input(splitter):
    X = np.zeros((20, 1))
    name = type(splitter).__name__
    with pytest.raises(ValueError, match=f"must be given to {name}.split, but got None"):
        list(splitter.split(X))
    with pytest.raises(ValueError, match="1 of 20 are missing"):
        list(splitter.split(X, groups=pd.Series([None, *"abcdefghijabcdefghi"])))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        list(splitter.split(X, groups=np.zeros(19)))
    for n_splits in (0, 21, 2.5):
        bad = type(splitter)(n_splits)
        with pytest.raises(ValueError, match=r"n_splits must be an integer from \d to .* 20"):
            list(bad.split(X, groups=np.zeros(20)))


def test_repr():
    assert (
        repr(WithinGroupKFold(3))
        == "WithinGroupKFold(n_splits=3, random_state=None, shuffle=False)"
    )
    assert clone(WithinGroupTimeSeriesSplit(2), safe=False).n_splits == 2


# ------------------------------------------------------------------------------- two factors


def crossed(n=300):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"student": rng.integers(0, 20, n), "teacher": rng.integers(0, 9, n)})
    x = rng.standard_normal(n)
    y = x + rng.standard_normal(20)[table["student"]] + rng.standard_normal(9)[table["teacher"]]
    return pd.DataFrame({"x": x}), y + rng.standard_normal(n), table


@pytest.mark.parametrize("shuffle", [False, True])
def test_both_groups_of_a_test_row_are_new(shuffle):
    X, _, table = crossed()
    splitter = TwoWayGroupKFold(3, shuffle=shuffle, random_state=0 if shuffle else None)
    tested = np.zeros(len(X), dtype=int)
    folds = list(splitter.split(X, groups=table))
    assert len(folds) == splitter.get_n_splits() == 9
    for train, test in folds:
        tested[test] += 1
        for name in table:
            assert not set(table[name].iloc[train]) & set(table[name].iloc[test])
        # a row that has neither group of the test set trains
        other = ~np.logical_or.reduce(
            [table[name].isin(table[name].iloc[test]).to_numpy() for name in table]
        )
        assert set(np.flatnonzero(other)) >= set(train)
    assert np.all(tested == 1)
    again = list(splitter.split(X, groups=table.astype(str)))
    if not shuffle:  # labels do not matter beyond their order
        assert sum(len(test) for _, test in again) == len(X)


def test_two_way_folds_are_those_of_a_loop():
    X, y, table = crossed()
    frame, cv = X.join(table), TwoWayGroupKFold(3)
    expected = []
    for train, test in cv.split(X, groups=table):
        model = RandomInterceptRegressor().fit(
            X.iloc[train], y[train], groups=table.iloc[train]
        )
        expected.append(model.score(X.iloc[test], y[test], groups=table.iloc[test]))
    options = {"groups": table, "cv": cv}
    by_name = RandomInterceptRegressor(group_by=["student", "teacher"])
    np.testing.assert_allclose(cross_val_score(by_name, frame, y, **options), expected)
    found = cross_validate(by_name, frame, y, **options)["test_score"]
    np.testing.assert_allclose(found, expected)
    found = cross_validate(RandomInterceptRegressor(), X, y, **options)["test_score"]
    np.testing.assert_allclose(found, expected)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            RandomInterceptRegressor(), X, y, cv=cv, params={"groups": table}
        )
    np.testing.assert_allclose(scores, expected)


@pytest.mark.parametrize(
    ("n_splits", "groups", "message"),
    [
        (3, None, "`groups` must be given to TwoWayGroupKFold"),
        (3, np.zeros(300), "must have two columns, one for each factor"),
        (3, np.zeros((300, 3)), "as in groups=.*, but got 3"),
        (10, crossed()[2], "at most the number of groups of 'teacher', which is 9"),
        (2, np.repeat([[0, 0], [1, 1]], 150, axis=0), "too few pairs of groups meet"),
    ],
)
def test_two_way_refusals(n_splits, groups, message):
    with pytest.raises(ValueError, match=message):
        list(TwoWayGroupKFold(n_splits).split(np.zeros((300, 1)), groups=groups))
