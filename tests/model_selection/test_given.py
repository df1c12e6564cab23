"""What cross-validation refuses before it fits: classes, and splits that are none."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    compare_pooling,
)
from skmixed.datasets import make_mixed_regression
from skmixed.metrics import group_scorer
from skmixed.model_selection import cross_val_predict, cross_validate

BOTH = pytest.mark.parametrize("validate", [cross_validate, cross_val_predict])


@pytest.fixture(scope="module")
def rows():
    return make_mixed_regression(60, 2, 6, random_state=0)


@pytest.mark.parametrize(
    "model",
    [
        RandomInterceptRegressor,
        RandomSlopeRegressor,
        FixedEffectsRegressor,
        PooledRegressor,
        LinearRegression,
    ],
)
def test_a_class_is_no_estimator(rows, model):
    X, y, groups = rows
    message = rf"must be an object, but got the class {model.__name__}\. Call it"
    for validate in (cross_validate, cross_val_predict):
        with pytest.raises(TypeError, match="`estimator` " + message):
            validate(model, X, y, groups=groups)
    with pytest.raises(TypeError, match=r"`estimators\['mine'\]` " + message):
        compare_pooling(X, y, groups, estimators={"mine": model})
    with pytest.raises(TypeError, match="`estimator` " + message):
        group_scorer("r2")(model, X, y, groups=groups)


@BOTH
def test_a_class_is_no_splitter(rows, validate):
    with pytest.raises(TypeError, match="`cv` must be an object, but got the class KFold"):
        validate(RandomInterceptRegressor(), *rows[:2], groups=rows[2], cv=KFold)


class NoSplits(KFold):
    def split(self, X, y=None, groups=None):
        return iter(())


MODELS = [RandomInterceptRegressor(), make_pipeline(StandardScaler(), LinearRegression())]


@BOTH
@pytest.mark.parametrize("model", MODELS, ids=["ours", "pipeline"])
@pytest.mark.parametrize("make", [list, tuple, dict, lambda: iter(()), lambda: (i for i in ())])
def test_no_splits(rows, validate, model, make):
    with pytest.raises(ValueError, match=r"`cv` must give at least one split.* gives none"):
        validate(model, *rows[:2], cv=make())


@BOTH
def test_a_splitter_that_gives_none(rows, validate):
    with pytest.raises(ValueError, match=r"`cv` must give at least one split.* gives none"):
        validate(RandomInterceptRegressor(), *rows[:2], groups=rows[2], cv=NoSplits())


ALL = np.arange(60)
NO_PAIRS = {
    "numbers": [1, 2],
    "positions": ALL,
    "alone": [(ALL[:30],)],
    "three": [(ALL[:30], ALL[30:40], ALL[40:])],
    "beyond": [(ALL[:30], ALL[30:] + 1)],
    "far below": [(ALL[:30], ALL[30:] - 91)],
    "nothing": [([], [])],
    "halves": [(ALL[:30] / 2, ALL[30:])],
    "short masks": [(ALL[:59] < 30, ALL[:59] >= 30)],
    "tables": [(ALL[:30, None], ALL[30:, None])],
}


@BOTH
@pytest.mark.parametrize("model", MODELS, ids=["ours", "pipeline"])
@pytest.mark.parametrize("case", NO_PAIRS)
def test_splits_that_are_no_pairs_of_rows(rows, validate, model, case):
    message = r"pairs \(train, test\) of positions of rows, from 0 to 59.* but split 0 is "
    with pytest.raises(ValueError, match=message):
        validate(model, *rows[:2], cv=NO_PAIRS[case])


def test_splits_of_any_form_are_the_same(rows):
    X, y, groups = rows
    splits = list(KFold(3).split(X))
    expected = cross_validate(RandomInterceptRegressor(), X, y, groups=groups, cv=KFold(3))
    masks = [tuple(np.isin(ALL, part) for part in split) for split in splits]
    below = [(train - 60, test - 60) for train, test in splits]
    as_lists = [[part.tolist() for part in split] for split in splits]
    for cv in (splits, iter(splits), masks, below, as_lists, KFold(3).split(X)):
        found = cross_validate(RandomInterceptRegressor(), X, y, groups=groups, cv=cv)
        np.testing.assert_allclose(found["test_score"], expected["test_score"])
    predicted = cross_val_predict(RandomInterceptRegressor(), X, y, groups=groups, cv=KFold(3))
    for cv in (splits, iter(splits), as_lists):
        found = cross_val_predict(RandomInterceptRegressor(), X, y, groups=groups, cv=cv)
        np.testing.assert_array_equal(found, predicted)


@BOTH
def test_lazy_frames_are_to_be_collected(rows, validate):
    polars = pytest.importorskip("polars")
    X, y, groups = rows
    frame = polars.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y, "site": groups})
    model = RandomInterceptRegressor()
    X = frame[["a", "b"]]
    with pytest.raises(TypeError, match=r"`X` must .* in memory.* X.collect\(\)"):
        validate(model, X.lazy(), y, groups=groups)
    with pytest.raises(TypeError, match=r"`groups` must .* in memory.* groups.collect\(\)"):
        validate(model, X, y, groups=frame.lazy().select("site"))


@BOTH
def test_rows_in_another_order_are_noticed_once(rows, validate):
    X, y, groups = rows
    X, y, groups = pd.DataFrame(X), pd.Series(y), pd.Series(groups)
    params = {"sample_weight": pd.Series(np.ones(60))}
    expected = validate(RandomInterceptRegressor(), X, y, groups=groups, params=params)
    back = y.set_axis(y.index[::-1])
    with pytest.warns(UserWarning, match="X and y hold the same labels in another") as caught:
        found = validate(RandomInterceptRegressor(), X, back, groups=groups, params=params)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    params = {"sample_weight": params["sample_weight"].set_axis(y.index[::-1])}
    with pytest.warns(UserWarning, match="X and sample_weight hold the same labels"):
        validate(RandomInterceptRegressor(), X, y, groups=groups, params=params)
    if validate is cross_validate:
        found, expected = found["test_score"], expected["test_score"]
    np.testing.assert_allclose(found, expected)
