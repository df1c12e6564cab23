"""Bad input: one clear error each, with what came, what was expected and what to do."""

import numpy as np
import pandas as pd
import pytest
from bad_input import BAD_ROWS, BAD_WEIGHTS
from scipy import sparse
from sklearn.base import clone

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    describe_groups,
)
from skmixed._rows.labels import encode_groups
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection import WithinGroupKFold
from skmixed.preprocessing import WithinBetween


@pytest.fixture
def rows():
    return make_mixed_regression(60, 2, 6, random_state=0)


@pytest.fixture
def frame(rows):
    X, _, groups = rows
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "site": groups})


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_in_fit(rows, case):
    spoil, message = BAD_ROWS[case]
    X, y, groups = spoil(*rows)
    with pytest.raises(ValueError, match=message):
        RandomInterceptRegressor().fit(X, y, groups=groups)


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights(rows, case):
    make, message = BAD_WEIGHTS[case]
    X, y, groups = rows
    with pytest.raises(ValueError, match=message):
        RandomInterceptRegressor().fit(X, y, groups=groups, sample_weight=make(len(y)))


def test_groups_given_twice(frame, rows):
    model = RandomInterceptRegressor(group_by="site")
    with pytest.raises(
        ValueError, match="given once, but got both `groups` and group_by='site'"
    ):
        model.fit(frame, rows[1], groups=rows[2])
    model.fit(frame, rows[1])
    with pytest.raises(ValueError, match="given once"):
        model.predict(frame, groups=rows[2])


@pytest.mark.parametrize(
    ("group_by", "convert", "message"),
    [
        ("school", lambda f: f, r"the columns that arrived are \['a', 'b', 'site'\]"),
        ("site", lambda f: f.to_numpy(), "X must be a DataFrame, but got ndarray"),
        ("town", lambda f: f.set_index("site"), r"or a level of its index, \['site'\], but"),
        (3, lambda f: f, "position of a column of X, but X has 3 columns"),
        (-4, lambda f: f.to_numpy(), "position of a column of X, but X has 3 columns"),
    ],
)
def test_group_by_names_no_column(frame, rows, group_by, convert, message):
    with pytest.raises(ValueError, match=message):
        RandomInterceptRegressor(group_by=group_by).fit(convert(frame), rows[1])


def test_text_left_in_x_is_named(frame, rows):
    frame["town"], frame["road"] = "x", "y"
    with pytest.raises(
        ValueError, match=r"are not: town \(.*\), road \(.*\)\. If .* group_by='town'"
    ):
        RandomInterceptRegressor().fit(frame, rows[1])
    with pytest.raises(
        ValueError, match=r"columns are not: town \(.*\), road \(.*\)\. Encode text"
    ):
        RandomInterceptRegressor().fit(frame, rows[1], groups=rows[2])
    with pytest.raises(ValueError, match=r"columns are not: town .*, road"):
        RandomInterceptRegressor(group_by="site").fit(frame, rows[1])
    model = RandomInterceptRegressor(group_by="site").fit(frame[["a", "b", "site"]], rows[1])
    frame["b"] = "z"
    with pytest.raises(ValueError, match="columns are not: b"):
        model.predict(frame[["a", "b", "site"]])


def test_missing_label_in_a_group_column(frame, rows):
    frame["site"] = frame["site"].astype("Int64")
    frame.loc[:4, "site"] = pd.NA
    with pytest.raises(ValueError, match="5 of 60 are missing"):
        RandomInterceptRegressor(group_by="site").fit(frame, rows[1])


def test_labels_of_another_type_in_predict(rows):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match=r"number \(such as 0\), but got string \(such as"):
        model.predict(X, groups=groups.astype(str))


def test_other_columns_in_predict(rows, frame):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match=r"X has 1 features, but .* is expecting 2"):
        model.predict(X[:, :1], groups=groups)
    model = RandomInterceptRegressor(group_by="site").fit(frame, y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"a": "c"}))


@pytest.mark.parametrize(
    "options",
    [{"method": "mle"}, {"group_by": 1.5}, {"new_groups": "mean"}, {"max_iter": 0}, {"tol": 0}],
)
def test_bad_parameters(rows, options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        RandomInterceptRegressor(**options).fit(*rows)


def test_errors_of_other_kinds_are_not_blamed_on_object_columns(frame, rows):
    _, y, groups = rows
    frame["b"] = frame["b"].astype(object)  # numbers all the same
    model = RandomInterceptRegressor().fit(frame[["a", "b"]], y, groups=groups)
    for X, target, message in (
        (frame[["a", "b"]], np.where(y > 0, y, np.nan), "Input y contains NaN"),
        (frame[["a", "b"]], y[:5], "inconsistent numbers of samples"),
        (frame[["a", "b"]].where(frame["a"] > 0, None), y, "contains NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            RandomInterceptRegressor().fit(X, target, groups=groups)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b"]], groups=groups)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["a", "b"]].assign(town="x"), groups=groups)


def test_dates_among_the_features_are_named(frame, rows):
    frame["day"] = pd.Timestamp("2026-01-01")
    with pytest.raises(ValueError, match="columns are not: day"):
        RandomInterceptRegressor(group_by="site").fit(frame, rows[1])


@pytest.mark.parametrize("group_by", [None, 0])
def test_one_dimensional_x_is_refused(frame, rows, group_by):
    _, y, groups = rows
    beside = {"groups": groups} if group_by is None else {}
    model = RandomInterceptRegressor(group_by=group_by)
    for vector in (frame["a"], frame["a"].to_numpy(), frame["a"].tolist()):
        with pytest.raises(ValueError, match=r"Expected 2D array|Expected a 2-dimensional"):
            model.fit(vector, y, **beside)


def test_a_feature_cannot_have_the_name_of_the_intercept(frame, rows):
    frame = frame.rename(columns={"a": "(Intercept)"})
    with pytest.raises(ValueError, match="must not have a column named"):
        RandomInterceptRegressor(group_by="site").fit(frame, rows[1])


def test_masked_labels_are_missing(rows):
    X, y, groups = rows
    masked = np.ma.masked_array(groups, mask=groups == 2)
    with pytest.raises(ValueError, match="10 of 60 are missing"):
        RandomInterceptRegressor().fit(X, y, groups=masked)


def test_dates_with_and_without_time_zone_do_not_match(rows):
    X, y, groups = rows
    days = pd.date_range("2026-01-01", periods=6)[groups]
    model = RandomInterceptRegressor().fit(X, y, groups=days)
    with pytest.raises(ValueError, match=r"same type as in fit, datetime .* with a time zone"):
        model.predict(X, groups=days.tz_localize("UTC"))


@pytest.mark.parametrize("as_series", [False, True])
@pytest.mark.parametrize(
    "labels",
    [
        np.array([-128, 127, 0, -1], dtype=np.int8),
        np.array([200, 3, 255], dtype=np.uint8),
        np.array([2**63 + 5, 2**63, 2**63 + 1], dtype=np.uint64),
        np.array([-(2**63), 7, 2**63 - 1]),
        np.array([1224, 9586, 1288], dtype=np.int32),
    ],
    ids=["int8", "uint8", "uint64", "far apart", "int32"],
)
def test_integer_labels_are_numbered_in_order(labels, as_series):
    groups = np.random.default_rng(0).permutation(np.tile(labels, 80))
    found, unique = np.unique(groups, return_inverse=True)
    codes, known = encode_groups(pd.Series(groups) if as_series else groups, len(groups))
    np.testing.assert_array_equal(codes, unique)
    np.testing.assert_array_equal(known, found)
    assert known.dtype == labels.dtype


@pytest.fixture
def model(rows):
    X, y, groups = rows
    return RandomInterceptRegressor(new_groups="error").fit(X, y, groups=groups)


ONE_COLUMN = {
    "array": lambda g: g[:, None],
    "list": lambda g: g[:, None].tolist(),
    "frame": lambda g: pd.DataFrame({"site": g}),
    "polars frame": lambda g: pytest.importorskip("polars").DataFrame({"site": g}),
    "pyarrow table": lambda g: pytest.importorskip("pyarrow").table({"site": g}),
    "sparse matrix": lambda g: sparse.csr_matrix(g[:, None]),
}
OTHER_NUMBERS = [">i4", ">i8", ">f8", ">f4", "f2", ">f2", "f8", "u1", np.longdouble]


@pytest.mark.parametrize("container", ONE_COLUMN)
def test_one_column_holds_the_groups(rows, model, container):
    X, y, groups = rows
    given = ONE_COLUMN[container](groups)
    found = RandomInterceptRegressor().fit(X, y, groups=given)
    np.testing.assert_array_equal(found.random_effects_, model.random_effects_)
    assert found.groups_.name == ("site" if hasattr(given, "columns") else "group")
    expected = model.predict(X, groups=groups)
    np.testing.assert_array_equal(model.predict(X, groups=given), expected)


@pytest.mark.parametrize("dtype", OTHER_NUMBERS, ids=str)
@pytest.mark.parametrize("make", [np.asarray, pd.Series], ids=["array", "Series"])
def test_numbers_of_any_format_are_labels(rows, model, dtype, make):
    X, y, groups = rows
    given = make(groups.astype(dtype))
    found = RandomInterceptRegressor(new_groups="error").fit(X, y, groups=given)
    np.testing.assert_array_equal(found.groups_, model.groups_)
    for fitted, labels in ((model, given), (found, groups), (found, given)):
        predicted = fitted.predict(X, groups=labels)
        np.testing.assert_array_equal(predicted, model.predict(X, groups=groups))


def test_big_endian_dates_keep_their_value(rows):
    X, y, groups = rows
    days = np.datetime64("2026-03-01", "s") + groups.astype("m8[D]")
    model = RandomInterceptRegressor().fit(X, y, groups=days.astype(">M8[s]"))
    np.testing.assert_array_equal(model.groups_, np.unique(days))


def test_dictionaries_of_arrow_are_labels(rows, model):
    pa = pytest.importorskip("pyarrow")
    X, y, groups = rows
    names = np.array(["a", "b", "c", "d", "e", "f"])[groups]
    dictionary = pa.array(names).dictionary_encode()
    series = pd.Series(dictionary, dtype=pd.ArrowDtype(dictionary.type))
    expected = RandomInterceptRegressor().fit(X, y, groups=names)
    for given in (dictionary, series, series.to_frame()):
        found = RandomInterceptRegressor(new_groups="error").fit(X, y, groups=given)
        assert found.groups_.tolist() == list("abcdef")
        np.testing.assert_array_equal(found.random_effects_, expected.random_effects_)
        np.testing.assert_array_equal(
            found.predict(X, groups=given), expected.predict(X, groups=names)
        )


INEXACT = {
    "float64": lambda g: (g + 2**53).astype(np.float64),
    "negative": lambda g: -(g + 2**53).astype(np.float64),
    "one of them": lambda g: np.where(g == 2, 2.0**60, g),
    "float32": lambda g: (g + 2**24).astype(np.float32),
    "float16": lambda g: (g + 2**11).astype(np.float16),
    "Float64": lambda g: pd.Series(g + 2**53, dtype="Float64"),
    "objects": lambda g: (g + 2**53).astype(np.float64).astype(object),
    "categories": lambda g: pd.Categorical((g + 2**53).astype(np.float64)),
    "floats and integers": lambda g: pd.Series([2.0**54, *g[1:].tolist()], dtype=object),
}


@pytest.mark.parametrize("case", INEXACT)
def test_labels_that_floats_cannot_tell_apart_are_refused(rows, case):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=groups + 2**53)
    given = INEXACT[case](groups)
    for read in (
        lambda: RandomInterceptRegressor().fit(X, y, groups=given),
        lambda: model.predict(X, groups=given),
        lambda: model.score(X, y, groups=given),
        lambda: model.partial_fit(X, y, groups=given),
        lambda: model.update_groups(X, y, groups=given),
        lambda: GroupedMoments.from_rows(X, y, groups=given),
        lambda: WithinBetween().fit(X, groups=given),
        lambda: next(WithinGroupKFold(2).split(X, y, given)),
        lambda: describe_groups(X, y, given),
    ):
        with pytest.raises(ValueError, match="labels that are exact, but got float"):
            read()


def test_labels_that_are_exact_are_taken(rows):
    X, y, groups = rows
    for labels in (
        groups + 2**53,
        (groups + 2**53 - 10).astype(np.float64),
        (groups + 2**24).astype(np.float64),
        pd.Series(groups + 2**60, dtype="Int64"),
        (groups + 2**60).astype(str),
    ):
        model = RandomInterceptRegressor(new_groups="error").fit(X, y, groups=labels)
        assert model.n_groups_ == 6
        model.predict(X, groups=labels)
    holes = pd.Series(groups).where(groups > 1)  # floats, with NaN
    model.set_params(new_groups="population").fit(X, y, groups=groups).predict(X, groups=holes)


def test_times_of_several_zones_are_instants(rows):
    X, y, groups = rows
    utc = pd.Series(pd.date_range("2026-03-29", periods=6, freq="h", tz="UTC")[groups])
    thrice = np.tile(X, (3, 1)), np.tile(y, 3)
    expected = RandomInterceptRegressor().fit(*thrice, groups=np.tile(groups, 3))
    zones = [utc.dt.tz_convert(zone) for zone in ("+01:00", "Europe/Berlin", "+01:00")]
    batches = RandomInterceptRegressor()
    for given in zones:
        batches.partial_fit(X, y, groups=given)
    sums = sum(GroupedMoments.from_rows(X, y, groups=given) for given in zones)
    mixed = pd.Series([*zones[0], *zones[1], *zones[2]], dtype=object)
    at_once = RandomInterceptRegressor().fit(*thrice, groups=mixed)
    for model in (batches, RandomInterceptRegressor().fit_moments(sums), at_once):
        assert isinstance(model.groups_.dtype, pd.DatetimeTZDtype)
        assert (model.groups_ == utc.sort_values().unique()).all()
        np.testing.assert_allclose(model.random_effects_, expected.random_effects_)
        for given in (utc, *zones):
            predicted = model.set_params(new_groups="error").predict(X, groups=given)
            np.testing.assert_allclose(predicted, expected.predict(X, groups=groups))
    with pytest.raises(ValueError, match=r"datetime with a time zone .* but got datetime"):
        batches.partial_fit(X, y, groups=utc.dt.tz_localize(None))


@pytest.mark.parametrize(
    "make", [list, np.array, pd.Series, pd.Index], ids=lambda m: m.__name__
)
def test_lone_surrogates(rows, make):
    X, y, groups = rows
    text = [f"site {i}\udc80" for i in groups]
    if pd.Series(["a"]).dtype == object:
        pytest.skip("this pandas keeps text as objects")
    given = make(text) if make in (list, np.array) else make(text, dtype=object)
    model = RandomInterceptRegressor().fit(X, y, groups=groups.astype(str))
    for method in (RandomInterceptRegressor().fit, model.update_groups):
        with pytest.raises(ValueError, match=r"valid text, but 'site \d\\udc80' has a lone"):
            method(X, y, groups=given)
    with pytest.raises(ValueError, match="lone surrogate"):
        model.predict(X, groups=given)


@pytest.mark.parametrize("given", [{"a": 1}, {1, 2}, frozenset([1])])
def test_labels_without_an_order_are_refused(rows, given):
    X, y, _ = rows
    with pytest.raises(TypeError, match=r"`groups` must be an array .* in an order, but got a"):
        RandomInterceptRegressor().fit(X, y, groups=given)


def test_dates_with_and_without_a_zone_are_of_two_types(rows):
    X, y, groups = rows
    day = pd.Timestamp("2026-03-01")
    mixed = pd.Series([day.tz_localize("UTC") if i else day for i in groups], dtype=object)
    with pytest.raises(ValueError, match="but got datetime with and without a time zone"):
        RandomInterceptRegressor().fit(X, y, groups=mixed)


@pytest.mark.parametrize("size", [1e300, 1e101, 1e-101, 5e-324])
def test_weights_out_of_range(rows, size):
    X, y, groups = rows
    weights = np.r_[size, np.full(59, size / 2)]
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    for read in (
        lambda: clone(model).fit(X, y, groups=groups, sample_weight=weights),
        lambda: PooledRegressor().fit(X, y, sample_weight=weights),
        lambda: FixedEffectsRegressor().fit(X, y, groups=groups, sample_weight=weights),
        lambda: RandomSlopeRegressor([0]).fit(X, y, groups=groups, sample_weight=weights),
        lambda: model.score(X, y, groups=groups, sample_weight=weights),
        lambda: describe_groups(X, y, groups, sample_weight=weights),
        lambda: WithinBetween().fit(X, groups=groups, sample_weight=weights),
    ):
        with pytest.raises(ValueError, match=r"1e-100 to 1e\+100, but the largest is"):
            read()


def test_weights_of_any_usual_size_are_taken(rows):
    X, y, groups = rows
    expected = PooledRegressor().fit(X, y).coef_
    for size in (1.0, 1e50, 1e100):
        weights = np.full(60, size)
        found = PooledRegressor().fit(X, y, sample_weight=weights).coef_
        np.testing.assert_allclose(found, expected)
    weights = np.r_[5e-324, np.ones(59)]  # next to none is next to no row
    expected = RandomInterceptRegressor().fit(X[1:], y[1:], groups=groups[1:]).coef_
    found = RandomInterceptRegressor().fit(X, y, groups=groups, sample_weight=weights).coef_
    np.testing.assert_allclose(found, expected, rtol=1e-2)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("x", "must be numbers that are not negative.* got str"),
        (["a"] * 60, "must be numbers .* got list"),
        (np.ones(60).astype("m8[s]"), "dates and durations are none"),
        (np.nan, "Input sample_weight contains NaN"),
        (np.inf, "Input sample_weight contains infinity"),
        (np.ma.masked_array(np.ones(60), np.arange(60) == 3), "sample_weight contains NaN"),
    ],
)
def test_what_is_no_weight(rows, weights, message):
    X, y, groups = rows
    with pytest.raises(ValueError, match=message):
        RandomInterceptRegressor().fit(X, y, groups=groups, sample_weight=weights)
    with pytest.raises(TypeError, match=r"sample_weight.* must be dense"):
        RandomInterceptRegressor().fit(
            X, y, groups=groups, sample_weight=sparse.csr_matrix(np.ones((60, 1)))
        )
