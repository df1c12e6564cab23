"""Columns that hold no numbers or miss some: named, with types, counts and advice that fits."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    compare_pooling,
    describe_groups,
)
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection import cross_val_predict, cross_validate
from skmixed.preprocessing import WithinBetween

ENCODE = r"Encode text as numbers, for example with .*OneHotEncoder\.$"
DATES = r"Turn dates and times into numbers, such as days since the first, year or month\.$"
DURATIONS = r"Turn durations into numbers, such as seconds\.$"
COMPLEX = r"Complex data not supported: take real and imaginary parts as columns\.$"
LEAVE_OUT = r"Leave out what can be no number, or take numbers from it\.$"


@pytest.fixture
def rows():
    return make_mixed_regression(60, 2, 6, random_state=0)


@pytest.fixture
def frame(rows):
    X, _, groups = rows
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "site": groups})


def by_polars(frame):
    return pytest.importorskip("polars").from_pandas(frame)


def by_pyarrow(frame):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)


CONTAINERS = {"pandas": lambda frame: frame, "polars": by_polars, "pyarrow": by_pyarrow}
# What a column is made of, what its type is called in pandas and in polars, and the advice.
NO_NUMBERS = {
    "text": (["red"] * 60, "str|object of str", "String", ENCODE),
    "some text": (["red", None] * 30, "str|object of str", "String", ENCODE),
    "categories": (pd.Categorical(["u", "v"] * 30), "category", "Categorical|Enum", ENCODE),
    "categories, some missing": (
        pd.Categorical(["u", None] * 30),
        "category",
        "Categorical|Enum",
        ENCODE,
    ),
    "bytes": ([b"red"] * 60, "object of bytes", "Binary", ENCODE),
    "dates": ([datetime.date(2026, 3, 1)] * 60, "object of date", "Date", DATES),
    "times": ([datetime.time(3)] * 60, "object of time", "Time", DATES),
    "time stamps": (
        pd.date_range("2026-03-01", periods=60),
        r"datetime64\[..\]",
        r"Datetime\(.*",
        DATES,
    ),
    "time stamps with a zone": (
        pd.date_range("2026-03-01", periods=60, tz="UTC"),
        r"datetime64\[.., UTC\]",
        r"Datetime\(.*",
        DATES,
    ),
    "durations": (
        pd.to_timedelta(range(60), "h"),
        r"timedelta64\[..\]",
        r"Duration\(.*",
        DURATIONS,
    ),
    "lists": ([[1, 2]] * 60, "object of (list|ndarray)", r"List\(.*", LEAVE_OUT),
}
ONLY_PANDAS = {
    "periods": (pd.period_range("2026-03", periods=60, freq="M"), r"period\[M\]", DATES),
    "intervals": (pd.interval_range(0, 60), r"interval\[int64, right\]", LEAVE_OUT),
    "complex numbers": (np.full(60, 1j), "complex128", COMPLEX),
    "numbers and text": (["red", 1] * 30, "object of str", ENCODE),
    "time stamps, all missing": (
        pd.Series(pd.NaT, range(60), dtype="datetime64[ns]"),
        r"datetime64\[ns\]",
        DATES,
    ),
    "tuples": (pd.Series([(1, 2)] * 60), "object of tuple", LEAVE_OUT),
}


def assert_refused(table, y, message):
    for read in (
        lambda: RandomInterceptRegressor(group_by="site").fit(table, y),
        lambda: RandomSlopeRegressor(["b"], group_by="site").fit(table, y),
        lambda: FixedEffectsRegressor(group_by="site").fit(table, y),
        lambda: PooledRegressor(group_by="site").fit(table, y),
        lambda: WithinBetween(group_by="site").fit(table),
        lambda: GroupedMoments.from_rows(table, y, group_by="site"),
        lambda: describe_groups(table, y, group_by="site"),
        lambda: compare_pooling(table, y, group_by="site"),
    ):
        with pytest.raises(ValueError, match=message):
            read()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", NO_NUMBERS)
def test_columns_without_numbers_are_named(frame, rows, case, container):
    values, in_pandas, in_polars, advice = NO_NUMBERS[case]
    table = CONTAINERS[container](frame.assign(a=values, b=frame["b"]))
    named = in_polars if container == "polars" else in_pandas
    message = rf"X must be numeric, but these columns are not: a \(({named})\)\. {advice}"
    assert_refused(table, rows[1], message)
    model = RandomInterceptRegressor(group_by="site").fit(CONTAINERS[container](frame), rows[1])
    with pytest.raises(ValueError, match=message):
        model.predict(table)


@pytest.mark.parametrize("case", ONLY_PANDAS)
def test_columns_that_only_pandas_has(frame, rows, case):
    values, named, advice = ONLY_PANDAS[case]
    message = rf"columns are not: b \({named}\)\. {advice}"
    assert_refused(frame.assign(b=values), rows[1], message)


def test_advice_for_several_columns(frame, rows):
    frame = frame.assign(day=pd.Timestamp("2026-03-01"), town="x", late=pd.Timedelta("1h"))
    named = r"day \(datetime64.*\), late \(timedelta64.*\)\. Turn dates .* Turn durations"
    with pytest.raises(ValueError, match=named):
        RandomInterceptRegressor(group_by="site").fit(frame, rows[1])
    with pytest.raises(ValueError, match=r"town .*If one of them .* group_by='town'\. Encode"):
        RandomInterceptRegressor().fit(frame[["a", "town"]], rows[1])


def test_dates_in_arrays(rows):
    X, y, groups = rows
    for read in (
        lambda: RandomInterceptRegressor().fit(X.astype("M8[s]"), y, groups=groups),
        lambda: WithinBetween().fit(X.astype("M8[s]"), groups=groups),
    ):
        with pytest.raises(ValueError, match=r"x0 \(datetime64\[s\]\), x1 .*days since"):
            read()


def test_sparse_matrices_of_keys_are_tables(rows):
    X, y, groups = rows
    expected = RandomInterceptRegressor().fit(X, y, groups=groups)
    found = RandomInterceptRegressor().fit(sparse.dok_array(X), y, groups=groups)
    np.testing.assert_allclose(found.coef_, expected.coef_)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix, sparse.csc_array])
def test_complex_arrays(rows, make):
    X, y, groups = rows
    with pytest.raises(ValueError, match=r"are not: x0 \(complex128\), x1 \(complex128\)"):
        RandomInterceptRegressor().fit(make(X + 1j), y, groups=groups)


# ------------------------------------------------------------------------------ decimals


def test_decimals_are_numbers(frame, rows):
    pa = pytest.importorskip("pyarrow")
    y, thousandths = rows[1], frame["a"].round(3)
    expected = RandomInterceptRegressor(group_by="site").fit(frame.assign(a=thousandths), y)
    objects = [Decimal(f"{number:.3f}") for number in thousandths]
    of_arrow = pd.Series(pa.array(objects), dtype=pd.ArrowDtype(pa.decimal128(10, 3)))
    for table in (
        frame.assign(a=objects),
        frame.assign(a=of_arrow),
        by_pyarrow(frame.assign(a=of_arrow)),
        by_polars(frame.assign(a=objects)),
    ):
        model = RandomInterceptRegressor(group_by="site").fit(table, y)
        np.testing.assert_allclose(model.coef_, expected.coef_)
        np.testing.assert_allclose(model.predict(table), expected.predict(table))
        split = WithinBetween(group_by="site").fit(table).group_means_
        np.testing.assert_allclose(split["a"], thousandths.groupby(frame["site"]).mean())
    missing = frame.assign(a=of_arrow.where(frame.index > 4))
    assert_refused(missing, y, r"Input X contains NaN.*: a \(5 of 60\)\.")


# -------------------------------------------------------------------------- missing values

ADVICE = r"Impute them, for example with sklearn.impute.SimpleImputer .* or drop those rows\.$"


@pytest.mark.parametrize("container", CONTAINERS)
def test_missing_values_are_counted_by_column(frame, rows, container):
    frame = frame.assign(c=np.arange(60) % 7)
    complete = CONTAINERS[container](frame)
    frame = frame.copy()
    frame.loc[[3, 5, 7], "a"] = np.nan
    frame.loc[1, "b"] = np.nan
    table = CONTAINERS[container](frame)
    message = rf"Input X contains NaN, .* values: a \(3 of 60\), b \(1 of 60\)\. {ADVICE}"
    assert_refused(table, rows[1], message)
    model = RandomInterceptRegressor(group_by="site").fit(complete, rows[1])
    with pytest.raises(ValueError, match=message):
        model.predict(table)


MISSING = {
    "NA": lambda frame: frame.astype({"b": "Float64"}).assign(
        b=lambda f: f["b"].where(f.a > 0)
    ),
    "None": lambda frame: frame.assign(b=frame["b"].astype(object).where(frame.a > 0, None)),
    "NA in objects": lambda frame: frame.assign(
        b=frame["b"].astype(object).where(frame.a > 0, pd.NA)
    ),
    "categories of numbers": lambda frame: frame.assign(
        b=pd.Categorical(np.where(frame.a > 0, 1.0, np.nan))
    ),
    "all": lambda frame: frame.assign(b=None),
}


@pytest.mark.parametrize("case", MISSING)
def test_missing_values_of_any_kind(frame, rows, case):
    n = 60 if case == "all" else np.count_nonzero(frame["a"] <= 0)
    table = MISSING[case](frame)
    assert_refused(table, rows[1], rf"Input X contains NaN, .*: b \({n} of 60\)\. {ADVICE}")


@pytest.mark.parametrize("make", [np.asarray, np.ndarray.tolist, sparse.csr_matrix])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_columns_of_arrays_are_counted_from_0(rows, make, value, word):
    X, y, groups = rows
    X = X.copy()
    X[[3, 5], 1] = value
    message = rf"Input X contains {word}, .*: x1 \(2 of 60\)"
    with pytest.raises(ValueError, match=message):
        RandomInterceptRegressor().fit(make(X), y, groups=groups)
    for position, column in ((0, 2), (1, 2), (2, 1), (-1, 1)):
        table = np.insert(X, position % 3, groups, axis=1)
        with pytest.raises(ValueError, match=rf"contains {word}, .*: x{column} \(2 of 60\)"):
            RandomInterceptRegressor(group_by=position).fit(make(table), y)


def test_what_is_masked_is_missing(rows):
    X, y, groups = rows
    masked = np.ma.masked_array(X, mask=np.arange(120).reshape(60, 2) < 4)
    with pytest.raises(ValueError, match=r"NaN.*: x0 \(2 of 60\), x1 \(2 of 60\)"):
        RandomInterceptRegressor().fit(masked, y, groups=groups)
    masked = np.ma.masked_array(y, mask=np.arange(60) < 3)
    with pytest.raises(ValueError, match="Input y contains NaN: 3 of 60 values"):
        RandomInterceptRegressor().fit(X, masked, groups=groups)
    expected = RandomInterceptRegressor().fit(X, y, groups=groups)
    found = RandomInterceptRegressor().fit(np.ma.array(X), np.ma.array(y), groups=groups)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


def test_many_columns_are_not_all_named(rows):
    _, y, groups = rows
    X = np.full((60, 30), np.nan)
    with pytest.raises(ValueError, match=r"x9 \(60 of 60\), \.\.\.\. Impute"):
        RandomInterceptRegressor().fit(X, y, groups=groups)


# -------------------------------------------------------------------------------- the target

TARGETS = {
    "NaN": (lambda y: np.where(y > 2, np.nan, y), r"Input y contains NaN: 17 of 60 values"),
    "NA": (lambda y: pd.Series(y, dtype="Float64").where(y <= 2), "NaN: 17 of 60 values"),
    "NA in objects": (
        lambda y: pd.Series(y, dtype=object).where(y <= 2, pd.NA),
        "NaN: 17 of 60",
    ),
    "text": (lambda y: ["low", "high"] * 30, "y must be numeric, but got .*, such as 'low'"),
    "categories": (lambda y: pd.Categorical(["a"] * 60), "y must be numeric, but got .* 'a'"),
    "dates": (lambda y: pd.date_range("2026-03-01", periods=60), r"got datetime64\[..\], such"),
    "durations": (lambda y: pd.to_timedelta(range(60), "h"), r"got timedelta64\[..\], such"),
    "complex numbers": (lambda y: y + 1j, "got complex128, such as"),
    "lists": (lambda y: pd.Series([[1]] * 60), r"got object of list, such as \[1\]"),
    "infinity": (lambda y: np.where(y > 2, np.inf, y), "Input y contains infinity"),
}


@pytest.mark.parametrize("case", TARGETS)
def test_what_is_no_target(rows, case):
    X, y, groups = rows
    make, message = TARGETS[case]
    given, model = make(y), RandomInterceptRegressor().fit(X, y, groups=groups)
    for read in (
        lambda: RandomInterceptRegressor().fit(X, given, groups=groups),
        lambda: PooledRegressor().fit(X, given),
        lambda: model.score(X, given, groups=groups),
        lambda: GroupedMoments.from_rows(X, given, groups),
        lambda: compare_pooling(X, given, groups, target_type="continuous"),
    ):
        with pytest.raises(ValueError, match=message):
            read()


def test_targets_of_any_container(rows):
    X, y, groups = rows
    expected = RandomInterceptRegressor().fit(X, y, groups=groups)
    score = expected.score(X, y, groups=groups)
    for given in (
        y.tolist(),
        [Decimal(number) for number in y.tolist()],
        pd.Series(y, dtype="Float64"),
        y.astype(object),
        pd.Series(y, dtype="double[pyarrow]"),
    ):
        found = RandomInterceptRegressor().fit(X, given, groups=groups)
        np.testing.assert_allclose(found.coef_, expected.coef_)
        assert expected.score(X, given, groups=groups) == pytest.approx(score)
    with pytest.raises(ValueError, match="requires y to be passed"):
        GroupedMoments.from_rows(X, None, groups)


def test_cross_validation_says_it_as_well(frame, rows):
    frame.loc[[3, 5, 7], "a"] = np.nan
    model = RandomInterceptRegressor(group_by="site")
    for validate, more in ((cross_validate, {"error_score": "raise"}), (cross_val_predict, {})):
        with pytest.raises(ValueError, match=rf"NaN, .*: a \(\d of \d\d\)\. {ADVICE}"):
            validate(model, frame, rows[1], **more)
