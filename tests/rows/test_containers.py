"""Polars and pyarrow-backed pandas, as X, y, groups and with `group_by`."""

import numpy as np
import pandas as pd
import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb

# scikit-learn 1.8 reads polars through it
pytestmark = pytest.mark.filterwarnings("ignore:Support for the dataframe interchange")


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
