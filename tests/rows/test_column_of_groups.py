"""A feature that is the grouping is named; a feature of groups is none."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    compare_pooling,
    describe_groups,
)
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection import cross_validate

HOLDS = "Column {} of X holds the labels of the groups"


@pytest.fixture(scope="module")
def rows():
    X, y, groups = make_mixed_regression(300, 2, 12, balanced=False, random_state=0)
    return X, y, groups + 100


def said(model, X, y, groups, **options):
    """What a fit says of columns that hold the labels."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, groups=groups, **options)
    return [str(w.message) for w in caught if "holds the labels" in str(w.message)]


CONTAINERS = {
    "array": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "csr": sp.csr_array,
    "csc": sp.csc_array,
}
LABELS = {
    "integers": lambda g: g,
    "floats": lambda g: g.astype(float),
    "list": list,
    "nullable": lambda g: pd.Series(g, dtype="Int64"),
    "categories": lambda g: pd.Series(g, dtype="category"),
    "objects": lambda g: g.astype(object),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_a_column_that_equals_the_groups_is_named(rows, container, labels):
    X, y, groups = rows
    table = container(np.column_stack([X, groups]))
    (message,) = said(RandomInterceptRegressor(), table, y, labels(groups))
    assert message.startswith(HOLDS.format("x2"))
    assert "Drop it from X, or pass group_by=2 in place of `groups`" in message


def test_the_remedy_by_name(rows):
    X, y, groups = rows
    table = pd.DataFrame(X, columns=["a", "b"]).assign(school=groups)
    model = RandomInterceptRegressor()
    (message,) = said(model, table, y, groups)
    assert message.startswith(HOLDS.format("school"))
    assert "pass group_by='school' in place of `groups`" in message
    other = RandomInterceptRegressor(group_by="school")
    assert said(other, table, y, None) == []
    expected = RandomInterceptRegressor().fit(table[["a", "b"]], y, groups=groups)
    np.testing.assert_allclose(other.coef_[:2], expected.coef_)
    (message,) = said(other, table.assign(again=groups), y, None)
    assert message.startswith(HOLDS.format("again"))
    assert "Drop it from X. " in message


def test_numbers_for_labels_are_known_by_the_name(rows):
    X, y, groups = rows
    names = pd.Series(groups).map("school {}".format)
    numbers = groups * 7 % 31  # another for each group
    table = pd.DataFrame(X, columns=["a", "b"]).assign(school=numbers)
    (message,) = said(FixedEffectsRegressor(), table, y, names.rename("school"))
    assert message.startswith(HOLDS.format("school") + ", as numbers")
    assert said(FixedEffectsRegressor(), table, y, names.rename("site")) == []
    assert said(FixedEffectsRegressor(), table, y, names) == []
    for other in (numbers // 2, np.arange(len(y))):  # coarser, and finer
        coarse = table.assign(school=other)
        assert said(FixedEffectsRegressor(), coarse, y, names.rename("school")) == []


def test_features_of_groups_are_no_labels(rows):
    X, y, groups = rows
    nearly = groups.copy()
    nearly[150] += 1
    for column in (groups + 1, 2 * groups, groups % 5, nearly):
        table = np.column_stack([X, column])
        assert said(RandomInterceptRegressor(), table, y, groups) == []
    ones = np.ones((len(y), 1))
    assert said(RandomInterceptRegressor(), ones, y, np.ones(len(y), dtype=int)) == []


def test_pooling_takes_any_feature(rows):
    X, y, groups = rows
    assert said(PooledRegressor(), np.column_stack([X, groups]), y, groups) == []


def test_cross_validation_says_it_once(rows):
    X, y, groups = rows
    with pytest.warns(UserWarning, match=HOLDS.format("x2")) as caught:
        cross_validate(RandomInterceptRegressor(), np.c_[X, groups], y, groups=groups)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("kind", ["str", "object", "category"])
def test_text_that_is_the_grouping_is_named(kind):
    """The remedy for it is not to encode it."""
    X, y, groups = make_mixed_regression(60, 1, 6, random_state=0)
    customer = pd.Series([f"customer {label}" for label in groups], dtype=kind)
    frame = pd.DataFrame({"a": X[:, 0], "customer": customer})
    message = "customer holds the groups: drop it from X, or use group_by='customer'.$"
    for fit in (RandomInterceptRegressor().fit, compare_pooling, describe_groups):
        with pytest.raises(ValueError, match=message):
            fit(frame, y, groups=customer.astype(str))
        with pytest.raises(
            ValueError, match=r"but got 'customer'. .* group_by='customer' inst"
        ):
            fit(frame, y, groups="customer")
    both = frame.assign(town="Ghent")
    with pytest.raises(ValueError, match=r"group_by='customer'. Encode text as numbers"):
        RandomInterceptRegressor().fit(both, y, groups=customer)
    with pytest.raises(ValueError, match=r"x1 holds the groups: .* use group_by=1.$"):
        RandomInterceptRegressor().fit(frame.to_numpy(), y, groups=customer.astype(str))
    with pytest.raises(ValueError, match=r"town .*. Encode text as numbers"):
        RandomInterceptRegressor(group_by="customer").fit(both, y)
