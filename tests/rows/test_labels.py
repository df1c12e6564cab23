"""Bad input: one clear error each, with what came, what was expected and what to do."""

import numpy as np
import pandas as pd
import pytest
from bad_input import BAD_ROWS, BAD_WEIGHTS

from skmixed import RandomInterceptRegressor
from skmixed._rows.labels import encode_groups
from skmixed.datasets import make_mixed_regression


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
