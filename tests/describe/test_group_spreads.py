"""Mean and spread of y in each group, against pandas."""

import numpy as np
import pandas as pd
import pytest

from skmixed import describe_groups
from skmixed.datasets import load_sleepstudy, make_mixed_regression


def test_means_and_standard_deviations_are_those_of_pandas():
    X, y, subject = load_sleepstudy(return_X_y=True)
    found = describe_groups(X, y, subject).group_spreads
    expected = y.groupby(subject).agg(["size", "mean", "std"])
    pd.testing.assert_frame_equal(
        found[["size", "mean", "std"]], expected, check_dtype=False, check_names=False
    )
    # with 9 degrees of freedom each, all variances shrink by the same share towards s0^2
    slope, rest = np.polyfit(found["std"] ** 2, found["shrunken_std"] ** 2, 1)
    assert 0.5 < slope < 0.95
    np.testing.assert_allclose(found["shrunken_std"] ** 2, rest + slope * found["std"] ** 2)


def test_a_group_of_one_row_gets_what_is_usual():
    X, y, groups = make_mixed_regression(60, 1, 6, random_state=0)
    groups = np.append(groups, 99)
    found = describe_groups(np.append(X, [[0.0]], axis=0), np.append(y, 50.0), groups)
    one = found.group_spreads.loc[99]
    assert one["mean"] == pytest.approx(50)
    assert np.isnan(one["std"])
    others = found.group_spreads["shrunken_std"].drop(99)
    assert others.min() <= one["shrunken_std"] <= others.max()


def test_weights_are_repetitions_and_an_offset_shifts_means():
    X, y, groups = make_mixed_regression(120, 2, 9, balanced=False, random_state=0)
    w = np.random.default_rng(0).integers(0, 4, len(y))
    times = np.repeat(np.arange(len(y)), w)
    weighted = describe_groups(X, y, groups, sample_weight=w).group_spreads
    repeated = describe_groups(X[times], y[times] + 1e6, groups[times]).group_spreads
    repeated["mean"] -= 1e6
    pd.testing.assert_frame_equal(weighted, repeated, check_dtype=False, rtol=1e-5)


@pytest.mark.parametrize(
    ("n_groups", "title"),
    [(12, "Mean and spread of y in each group"), (13, "quantiles over 13 groups")],
)
def test_few_groups_are_printed_one_by_one(n_groups, title):
    X, y, groups = make_mixed_regression(100, 1, n_groups, random_state=0)
    assert title in str(describe_groups(X, y, groups))
