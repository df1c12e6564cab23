"""Shrunken group means beside pandas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skmixed._estimators.around.group_means import GroupMeans

GROUPS = np.repeat([0, 1, 2, 3], [5, 3, 1, 4])
LABELS = pd.Index(list("abcd"))


def make_values(seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(13, 4)) + 2 * rng.normal(size=(4, 4))[GROUPS]
    values[:, 1] = GROUPS  # of groups
    values[:, 2] = 7.0
    return values


def of_pandas(x, groups, weight):
    """One-way ANOVA of a column whose missing values are left out."""
    there = x.notna()
    x, groups, weight = x[there], groups[there], weight[there]
    sizes = weight.groupby(groups).sum()
    means = (weight * x).groupby(groups).sum() / sizes
    n, center = sizes.sum(), np.average(x, weights=weight)
    within = np.sum(weight * (x - groups.map(means)) ** 2) / (n - len(sizes))
    between = np.sum(sizes * (means - center) ** 2) / (len(sizes) - 1) - within
    size = (n - np.sum(sizes**2) / n) / (len(sizes) - 1)
    error = within * np.sqrt(2 / (len(sizes) - 1)) / size
    return center, within, between / size, error, sizes, means


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.booleans())
def test_means_are_shrunken_by_the_ratio_of_variances(seed, weighted):
    rng = np.random.default_rng(seed)
    values = make_values(seed)
    values[rng.random(13) < 0.2, 0] = np.nan
    weight = pd.Series(rng.integers(1, 4, 13) if weighted else np.ones(13))
    center, within, between, error, sizes, means = of_pandas(
        pd.Series(values[:, 0]), pd.Series(GROUPS), weight.astype(float)
    )
    own = GroupMeans.of(values, GROUPS, LABELS, weight.to_numpy(float) if weighted else None)
    assert (0 in own.columns) == (between > 3 * error)
    if between > 3 * error:
        k = within / between
        expected = center + (sizes / (sizes + k) * (means - center)).reindex(range(4)).fillna(0)
        assert own.means[:, 0] == pytest.approx(expected.to_numpy())


def test_columns_that_do_not_vary_within_and_between_groups_are_left_out():
    assert not np.isin([1, 2], GroupMeans.of(make_values(), GROUPS, LABELS).columns).any()


def test_columns_whose_groups_hardly_differ_are_left_out():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 10)
    x = rng.normal(size=(1_000, 20)) + 0.05 * rng.normal(size=(100, 20))[groups]
    own = GroupMeans.of(x, groups, pd.RangeIndex(100))
    assert len(own.columns) <= 1  # the ratio of variances, 400, would be anything


def test_means_of_new_groups_are_those_of_the_rows_given():
    own, values = GroupMeans.of(make_values(), GROUPS, LABELS), make_values(1)
    labels = np.array(["a", "x", "x", None, None], dtype=object)
    found = own.of_rows(values[:5], labels)
    assert found[0] == pytest.approx(own.means[0])
    together = values[1:3][:, own.columns].mean(axis=0)
    share = 2 / (2 + own.k)
    assert found[1] == pytest.approx(own.center + share * (together - own.center))
    assert found[2] == pytest.approx(found[1])
    assert found[3:] == pytest.approx(own.of_rows_alone(values[3:5]))


def test_groups_learned_later_keep_the_means_of_their_first_rows():
    own, values = GroupMeans.of(make_values(), GROUPS, LABELS), make_values(1)
    labels = np.array(["x", "a", "x", "w"], dtype=object)
    more = own.knowing(values[:4], labels)
    assert set(more.labels) == {*LABELS, "x", "w"}
    other = np.full(4, 50.0) * np.ones((4, 1))
    known = more.of_rows(other, labels)
    assert known == pytest.approx(own.of_rows(values[:4], labels))
    assert more.knowing(other, labels) is more
