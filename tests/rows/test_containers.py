"""Containers of rows: those that are taken, those to be collected, and their order."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    compare_pooling,
    describe_groups,
)
from skmixed.datasets import load_hsb, make_mixed_regression
from skmixed.inspection import ResidualsDisplay
from skmixed.metrics import group_scorer
from skmixed.model_selection import (
    WithinGroupKFold,
    WithinGroupTimeSeriesSplit,
    cross_val_predict,
    cross_validate,
)
from skmixed.preprocessing import WithinBetween

# scikit-learn 1.8 reads polars through it


def as_polars(frame):
    return pytest.importorskip("polars").from_pandas(frame)


def as_arrow(frame):
    return frame.convert_dtypes(dtype_backend="pyarrow")


@pytest.fixture(scope="module")
def frame():
    frame = load_hsb().frame.head(900)
    return frame.assign(school=frame["school"].map("school {}".format))


@pytest.fixture(scope="module")
def expected(frame):
    X = frame[["ses", "female"]]
    model = RandomSlopeRegressor("ses").fit(X, frame["math"], groups=frame["school"])
    return model, model.predict(X, groups=frame["school"])


@pytest.mark.parametrize("convert", [as_polars, as_arrow])
def test_groups_beside_x(frame, expected, convert):
    table = convert(frame)
    X = table[["ses", "female"]]
    model = RandomSlopeRegressor("ses").fit(X, table["math"], groups=table["school"])
    np.testing.assert_allclose(model.coef_, expected[0].coef_)
    assert model.groups_.name == "school"
    assert list(model.feature_names_in_) == ["ses", "female"]
    np.testing.assert_allclose(model.predict(X, groups=table["school"]), expected[1])


@pytest.mark.parametrize("convert", [as_polars, as_arrow])
@pytest.mark.parametrize("group_by", ["school", 1])
def test_groups_as_a_column(frame, expected, convert, group_by):
    table = convert(frame)
    X = table[["ses", "school", "female"]]
    model = RandomSlopeRegressor(["ses"], group_by=group_by).fit(X, table["math"])
    np.testing.assert_allclose(model.predict(X), expected[1])
    assert list(model.group_coef_.columns) == ["(Intercept)", "ses", "female"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(table[["ses", "school", "math"]])


def test_groups_as_an_index_level(frame, expected):
    X = frame.set_index(["school", frame.index])[["ses", "female"]]
    model = RandomSlopeRegressor("ses", group_by="school").fit(X, frame["math"])
    np.testing.assert_allclose(model.predict(X), expected[1])
    assert model.n_features_in_ == 2
    assert model.groups_.name == "school"
    with pytest.raises(ValueError, match=r"columns that arrived are \['ses', 'female'\]"):
        model.predict(X.reset_index(drop=True))


def test_missing_values_are_refused(frame):
    table = as_arrow(frame)[["ses", "math", "school"]]
    table.loc[3, "ses"] = pd.NA
    with pytest.raises(ValueError, match="contains NaN"):
        RandomInterceptRegressor(group_by="school").fit(table[["ses", "school"]], table["math"])


@pytest.mark.parametrize("group_by", ["school", -1])
def test_an_arrow_table(frame, expected, group_by):
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pandas(frame[["ses", "female", "school"]], preserve_index=False)
    model = RandomSlopeRegressor(["ses"], group_by=group_by).fit(table, frame["math"])
    np.testing.assert_allclose(model.predict(table), expected[1])


# ------------------------------------------------------------------------ what is not in memory


def lazy_frame(frame):
    return pytest.importorskip("polars").from_pandas(frame).lazy()


def relation(frame):
    return pytest.importorskip("duckdb").from_df(frame)


def ibis_table(frame):
    pytest.importorskip("pyarrow_hotfix")
    with warnings.catch_warnings(action="ignore"):  # it sets options of pandas
        return pytest.importorskip("ibis").memtable(frame)


NOT_IN_MEMORY = {
    lazy_frame: r"polars.LazyFrame: collect it, as in {}\.collect\(\)",
    relation: r"duckdb.DuckDBPyRelation: collect it, as in {}\.df\(\)",
    ibis_table: r"ibis.Table: collect it, as in {}\.to_pandas\(\)",
}


@pytest.mark.parametrize("convert", NOT_IN_MEMORY)
def test_what_is_not_in_memory_is_to_be_collected(frame, convert):
    X, y, groups = frame[["ses", "female"]], frame["math"], frame["school"]
    by_group = frame[["ses", "female", "school"]]
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    weights = frame["ses"].abs()
    for name, read in {
        "X": [
            lambda: RandomInterceptRegressor().fit(convert(X), y, groups=groups),
            lambda: RandomInterceptRegressor(group_by="school").fit(convert(by_group), y),
            lambda: PooledRegressor().fit(convert(X), y),
            lambda: model.predict(convert(X), groups=groups),
            lambda: model.score(convert(X), y, groups=groups),
            lambda: GroupedMoments.from_rows(convert(by_group), y, group_by="school"),
            lambda: describe_groups(convert(by_group), y, group_by="school"),
            lambda: compare_pooling(convert(by_group), y, group_by="school"),
            lambda: WithinBetween(group_by="school").fit(convert(by_group)),
            lambda: ResidualsDisplay.from_estimator(model, convert(X), y, groups=groups),
        ],
        "y": [
            lambda: RandomInterceptRegressor().fit(X, convert(frame[["math"]]), groups=groups),
            lambda: model.score(X, convert(frame[["math"]]), groups=groups),
        ],
        "groups": [
            lambda: RandomInterceptRegressor().fit(X, y, groups=convert(frame[["school"]])),
            lambda: model.predict(X, groups=convert(frame[["school"]])),
            lambda: WithinBetween().fit(X, groups=convert(frame[["school"]])),
        ],
        "sample_weight": [
            lambda: RandomInterceptRegressor().fit(
                X, y, groups=groups, sample_weight=convert(weights.to_frame())
            )
        ],
    }.items():
        message = f"`{name}` must be .* in memory, but got {NOT_IN_MEMORY[convert]}"
        for call in read:
            with pytest.raises(TypeError, match=message.format(name)):
                call()


# ------------------------------------------------------------------- arrays of other libraries


class OtherArray:
    """An array of another library, which NumPy can read unless it is elsewhere."""

    def __init__(self, array, error=None):
        self.array, self.error, self.shape = array, error, array.shape

    def __dlpack__(self, **kwargs):
        raise NotImplementedError

    def __array__(self, dtype=None, copy=None):
        if self.error:
            raise self.error
        return np.array(self.array, dtype=dtype)

    def __getitem__(self, key):
        raise IndexError("only arrays of this library can be indices")


def torch_tensor(array):
    return pytest.importorskip("torch").asarray(array)


def strict_array(array):
    return pytest.importorskip("array_api_strict").asarray(array)


@pytest.mark.parametrize("convert", [OtherArray, torch_tensor, strict_array])
def test_arrays_of_other_libraries(convert):
    X, y, groups = make_mixed_regression(60, 2, 6, random_state=0)
    weights = np.linspace(1, 2, 60)
    given = [convert(values) for values in (X, y, groups, weights)]
    expected = RandomInterceptRegressor().fit(X, y, groups, weights)
    found = RandomInterceptRegressor().fit(*given)
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    predicted = found.predict(given[0], groups=given[2])
    np.testing.assert_array_equal(predicted, expected.predict(X, groups=groups))
    assert found.score(*given) == expected.score(X, y, groups, weights)
    for validate in (cross_validate, cross_val_predict):
        found = validate(RandomInterceptRegressor(), *given[:2], groups=given[2])
        right = validate(RandomInterceptRegressor(), X, y, groups=groups)
        if validate is cross_validate:
            found, right = found["test_score"], right["test_score"]
        np.testing.assert_allclose(found, right)
    np.testing.assert_array_equal(
        WithinBetween().fit_transform(given[0], groups=given[2]),
        WithinBetween().fit_transform(X, groups=groups),
    )


def test_arrays_that_numpy_cannot_read():
    X, y, groups = make_mixed_regression(60, 2, 6, random_state=0)
    elsewhere = OtherArray(X, RuntimeError("this array is on a GPU."))
    message = r"`X` must be an array that NumPy can read, .*OtherArray, .* on a GPU\. Move it"
    for read in (
        lambda: RandomInterceptRegressor().fit(elsewhere, y, groups=groups),
        lambda: WithinBetween().fit(elsewhere, groups=groups),
        lambda: compare_pooling(elsewhere, y, groups),
    ):
        with pytest.raises(TypeError, match=message):
            read()


def test_frames_of_narwhals(frame, expected):
    narwhals = pytest.importorskip("narwhals")
    X = narwhals.from_native(frame[["ses", "female"]])
    groups = narwhals.from_native(frame["school"], series_only=True)
    model = RandomSlopeRegressor("ses").fit(X, frame["math"], groups=groups)
    np.testing.assert_array_equal(model.predict(X, groups=groups), expected[1])
    assert type(WithinBetween().fit_transform(X, groups=groups)) is pd.DataFrame


# --------------------------------------------------------------------------- rows by position


def permuted(index, seed=0):
    return index[np.random.default_rng(seed).permutation(len(index))]


INDEXES = {
    "range": pd.RangeIndex(60),
    "integers": pd.Index(np.arange(60) * 3 + 2**60),
    "floats": pd.Index(np.arange(60) / 2),
    "text": pd.Index([f"row {i}" for i in range(60)]),
    "objects": pd.Index([f"row {i}" for i in range(60)], dtype=object),
    "dates": pd.date_range("2026-03-01", periods=60),
    "labels twice": pd.Index(np.arange(60) // 2),
    "several levels": pd.MultiIndex.from_product([list("abc"), range(20)]),
    "categories": pd.CategoricalIndex([f"row {i}" for i in range(60)]),
    "mixed": pd.Index([*range(30), *"abcdefghijklmnopqrstuvwxyzäöüß"], dtype=object),
    "missing label": pd.Index([np.nan, *range(59)]),
}


@pytest.fixture
def indexed():
    X, y, groups = make_mixed_regression(60, 2, 6, random_state=0)
    return pd.DataFrame(X, columns=["a", "b"]), pd.Series(y), pd.Series(groups)


@pytest.mark.parametrize("kind", INDEXES)
def test_indexes_in_another_order_are_noticed(indexed, kind):
    index = permuted(INDEXES[kind], 1)
    X, y, groups = (values.set_axis(index) for values in indexed)
    model = RandomInterceptRegressor().fit(X, y, groups=groups)  # no warning
    shuffled = permuted(index)
    for given, names in (
        ((X, y.set_axis(shuffled), groups), "X and y hold"),
        ((X, y, groups.set_axis(shuffled)), "X and groups hold"),
        ((X.set_axis(shuffled), y, groups), "X and y and groups hold"),
        ((X.to_numpy(), y, groups.set_axis(shuffled)), "y and groups hold"),
    ):
        with pytest.warns(UserWarning, match=f"by position, .* {names} the same") as caught:
            found = RandomInterceptRegressor().fit(*given)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        np.testing.assert_array_equal(found.coef_, model.coef_)


@pytest.mark.parametrize("kind", INDEXES)
def test_other_indexes_are_no_matter(indexed, kind):
    index, other = permuted(INDEXES[kind], 1), pd.RangeIndex(1000, 1060)
    X, y, groups = indexed
    for one, two, three in (
        (index, index.copy(deep=True), index),
        (index, other, permuted(other)[:0].append(other)),
        (other, index, index),
        (INDEXES[kind], INDEXES[kind].copy(), other[::-1] + 60),
    ):
        given = X.set_axis(one), y.set_axis(two), groups.set_axis(three)
        RandomInterceptRegressor().fit(*given)  # warnings are errors here
    RandomInterceptRegressor().fit(X.set_axis(index), y.to_numpy(), groups.tolist())


def test_numbers_of_two_types_are_the_same_labels(indexed):
    X, y, groups = indexed
    with pytest.warns(UserWarning, match="X and y hold the same"):
        RandomInterceptRegressor().fit(X, y.set_axis(X.index[::-1].astype(float)), groups)
    some = np.random.default_rng(0).permutation(60)[:40]  # as in a split, then reset
    given = X.iloc[some], y.iloc[some].reset_index(drop=True), groups.iloc[some]
    RandomInterceptRegressor().fit(*given)


def test_all_that_reads_rows_together_notices(indexed):
    X, y, groups = indexed
    back, weights = X.index[::-1], pd.Series(np.ones(60))
    model = RandomInterceptRegressor().fit(X, y, groups)
    split = WithinBetween().fit(X, groups=groups)
    reads = {
        "y": [
            lambda y: model.score(X, y, groups),
            lambda y: clone(model).partial_fit(X, y, groups),
            lambda y: clone(model).partial_fit(X, indexed[1], groups).partial_fit(X, y, groups),
            lambda y: clone(model).fit(X, indexed[1], groups).update_groups(X, y, groups),
            lambda y: model.loo_predict(X, y, groups),
            lambda y: PooledRegressor().fit(X, y),
            lambda y: FixedEffectsRegressor().fit(X, y, groups),
            lambda y: GroupedMoments.from_rows(X, y, groups),
            lambda y: describe_groups(X, y, groups),
            lambda y: compare_pooling(X, y, groups, n_repeats=1),
            lambda y: group_scorer("r2")(model, X, y, groups=groups),
            lambda y: ResidualsDisplay.from_estimator(model, X, y, groups=groups),
        ],
        "groups": [
            lambda g: model.predict(X, groups=g),
            lambda g: model.predict(X, groups=g, return_std=True),
            lambda g: model.predict_interval(X, groups=g),
            lambda g: split.transform(X, groups=g),
            lambda g: WithinBetween().fit(X, groups=g),
            lambda g: list(WithinGroupKFold(2).split(X, y, g)),
            lambda g: list(WithinGroupTimeSeriesSplit(2).split(X, y, g)),
        ],
        "sample_weight": [
            lambda w: clone(model).fit(X, y, groups, sample_weight=w),
            lambda w: model.score(X, y, groups, sample_weight=w),
            lambda w: WithinBetween().fit(X, groups=groups, sample_weight=w),
        ],
    }
    given = {"y": y, "groups": groups, "sample_weight": weights}
    for name, calls in reads.items():
        for call in calls:
            call(given[name])
            with pytest.warns(UserWarning, match=f"X and {name} hold the same") as caught:
                call(given[name].set_axis(back))
            assert len(caught) == 1


@pytest.mark.parametrize("as_table", [pd.DataFrame, as_polars])
def test_names_of_columns_are_no_labels(as_table):
    X = as_table(pd.DataFrame({"x": [1.0, 2, 3, 4], "a": list("ppqq"), "b": list("rsrs")}))
    message = r"got \['a', 'b'\], which are columns of X. Pass group_by=\['a', 'b'\]"
    for call in (RandomInterceptRegressor().fit, describe_groups, compare_pooling):
        for names in (["a", "b"], ("a", "b")):
            with pytest.raises(ValueError, match=message):
                call(X, [1.0, 2, 3, 4], groups=names)
