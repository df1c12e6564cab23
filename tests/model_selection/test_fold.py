import numpy as np
import pytest

from skmixed.model_selection._fold import Fold, first_partition

# training rows, test rows, rows left out, and whether these are the test rows
SPLITS = {
    "all others": ([0, 1, 4], [2, 3], [2, 3], True),
    "in any order": ([0, 1, 4], [3, 2], [3, 2], True),
    "masks": (np.arange(5) < 3, np.arange(5) >= 3, [3, 4], True),
    "more left out": ([0, 1], [2, 3], [2, 3, 4], False),
    "as many, but others": ([0, 1, 2], [0, 4], [3, 4], False),
    "a test row twice": ([0, 1, 2], [4, 4], [3, 4], False),
    "a training row twice": ([0, 0, 1], [2, 3, 4], None, False),
}


@pytest.mark.parametrize("split", SPLITS)
def test_what_a_split_leaves_out(split):
    train, test, left_out, is_test = SPLITS[split]
    fold = Fold.from_split(train, test, 5)
    assert (fold.left_out is fold.test) == is_test
    np.testing.assert_equal(fold.left_out, left_out)
    np.testing.assert_array_equal(fold.training_rows(5), np.arange(5)[train])


def test_the_order_of_training_rows_is_kept():
    assert Fold.from_split([0, 1, 4], [2, 3], 5).train is None
    np.testing.assert_array_equal(Fold.from_split([4, 0, 1], [2, 3], 5).train, [4, 0, 1])


@pytest.mark.parametrize(
    ("tests", "n_parts"),
    [([[0, 1], [2, 3]], 2), ([[0, 1], [2, 3], [0, 3]], 2), ([[0, 1], [1, 2], [3]], None)],
)
def test_the_first_folds_that_share_out_all_rows(tests, n_parts):
    folds = [Fold.from_split(None, test, 4) for test in tests]
    parts, again = first_partition(iter(folds), 4)
    assert list(again) == folds
    assert (parts and len(parts)) == n_parts
