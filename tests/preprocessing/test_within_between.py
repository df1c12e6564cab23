"""Within and between parts: what they are, where they come from, what a model makes of them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold, cross_validate
from sklearn.model_selection import cross_val_predict as sklearn_cross_val_predict
from sklearn.pipeline import make_pipeline

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning
from skmixed.model_selection import cross_val_predict
from skmixed.preprocessing import WithinBetween

# scikit-learn 1.8 reads polars through it


def correlated_rows(*, balanced=True, seed=0):
    """Rows whose features have group means that are correlated with the group effects."""
    rng = np.random.default_rng(seed)
    X, y, groups, truth = make_mixed_regression(
        180, 2, 12, balanced=balanced, return_truth=True, random_state=seed
    )
    level = truth.random_effects[:, :1] + rng.standard_normal((12, 2))
    return X + level[groups], y + level[groups].sum(axis=1), groups


@pytest.fixture
def rows():
    return correlated_rows(balanced=False)


@pytest.fixture
def frame(rows):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(size=groups % 3, site=groups, y=y)
    return frame.assign(site=frame["site"].map("site {}".format))


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


# ---------------------------------------------------------------------------- the slopes


def dummy_slopes(X, y, groups, weight):
    """Fixed effects: least squares with a dummy variable for each group."""
    root = np.sqrt(weight)[:, None]
    D = np.hstack([X, np.equal.outer(groups, np.unique(groups))])
    return np.linalg.lstsq(root * D, root[:, 0] * y, rcond=None)[0][: X.shape[1]]


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("weighted", [True, False])
def test_slopes_are_those_within_and_between_groups(balanced, method, weighted):
    X, y, groups = correlated_rows(balanced=balanced)
    weight = np.random.default_rng(1).integers(1, 4, len(y)) if weighted else np.ones(len(y))
    parts = WithinBetween().fit_transform(X, groups=groups, sample_weight=weight)
    model = RandomInterceptRegressor(method=method)
    model.fit(parts, y, groups=groups, sample_weight=weight)
    within, between = model.coef_[[0, 2]], model.coef_[[1, 3]]
    np.testing.assert_allclose(within, dummy_slopes(X, y, groups, weight), atol=1e-8)

    # a group mean has the variance psi + 1 / n_j
    indicator = np.equal.outer(np.unique(groups), groups) * weight
    size = indicator.sum(axis=1)
    root = np.sqrt(size / (1 + model.theta_[0] ** 2 * size))[:, None]
    means = indicator @ np.column_stack([np.ones(len(y)), X, y]) / size[:, None]
    gls = np.linalg.lstsq(root * means[:, :-1], root[:, 0] * means[:, -1], rcond=None)[0]
    np.testing.assert_allclose([model.intercept_, *between], gls, atol=1e-8)
    assert np.abs(between - within).min() > 0.2


def test_level_2_features_leave_the_within_slopes_alone_and_unsplit_ones_do_not(frame):
    X, y = frame.drop(columns="y"), frame["y"]
    expected = dummy_slopes(X[["a", "b"]], y, X["site"].to_numpy(), np.ones(len(y)))
    model = RandomInterceptRegressor(group_by="site")
    all_split = make_pipeline(WithinBetween(group_by="site"), model).fit(X, y)[-1]
    assert list(all_split.coef_cov_)[1:] == [
        "a_within",
        "a_between",
        "b_within",
        "b_between",
        "size_between",
    ]
    np.testing.assert_allclose(all_split.coef_[[0, 2]], expected, atol=1e-8)
    one_split = make_pipeline(WithinBetween("a", group_by="site"), clone(model)).fit(X, y)[-1]
    assert list(one_split.coef_cov_)[1:] == ["a_within", "a_between", "b", "size"]
    assert abs(one_split.coef_[0] - expected[0]) > 1e-4


# ----------------------------------------------------------------------------- the parts


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_parts_add_up_and_deviations_cancel(n_rows, n_groups, seed):
    rng = np.random.default_rng(seed)
    X, groups = rng.standard_normal((n_rows, 2)), rng.integers(0, n_groups, n_rows)
    split = WithinBetween()
    parts = pd.DataFrame(
        split.fit_transform(X, groups=groups), columns=split.get_feature_names_out()
    )
    for name, x in zip(["x0", "x1"], X.T, strict=True):
        zero = pd.Series(np.zeros(n_rows))
        within = parts.get(f"{name}_within", zero)
        between = parts.get(f"{name}_between", split.group_means_[name].iloc[0] + zero)
        np.testing.assert_allclose(within + between, x, atol=1e-14)
        np.testing.assert_allclose(within.groupby(groups).sum(), 0, atol=1e-13)
        assert between.groupby(groups).nunique().max() == 1
        expected = pd.Series(x).groupby(groups).mean()
        np.testing.assert_allclose(split.group_means_[name], expected, atol=1e-14)


def test_parts_stand_in_place_of_their_column(frame):
    X = frame[["size", "a", "site", "b"]]
    split = WithinBetween(["b", "a"], group_by="site").fit(X)
    names = ["size", "a_within", "a_between", "site", "b_within", "b_between"]
    assert list(split.get_feature_names_out()) == names
    found = split.transform(X)
    assert list(found) == names
    pd.testing.assert_frame_equal(found[["size", "site"]], X[["size", "site"]])
    assert list(split.group_means_) == ["a", "b"]
    assert split.group_means_.index.name == "site"
    means = frame.groupby("site")["a"].transform("mean")
    np.testing.assert_allclose(found["a_between"], means, atol=1e-14)


@pytest.mark.parametrize(
    "columns", ["a", 0, ["a"], [0], slice(1), [True, False, False], lambda X: ["a"]]
)
def test_ways_to_name_columns(frame, columns):
    split = WithinBetween(columns, group_by="site").fit(frame[["a", "b", "site"]])
    assert list(split.get_feature_names_out()) == ["a_within", "a_between", "b", "site"]


def test_parts_that_do_not_vary_are_left_out():
    X, _, subject = load_sleepstudy(return_X_y=True)
    X = X.assign(tenths=X["Days"] / 10 + 1e8, age=subject * 0.1, one=3.7)
    found = WithinBetween().fit_transform(X, groups=subject)
    assert list(found) == ["Days_within", "tenths_within", "age_between", "one_between"]
    np.testing.assert_allclose(found["age_between"], X["age"], rtol=1e-14)
    np.testing.assert_array_equal(found["one_between"], X["one"])


def test_what_comes_out_depends_on_the_rows_of_fit_only(frame):
    X = frame[["size", "site"]]
    split = WithinBetween(group_by="site").fit(X)
    other = X.assign(size=np.arange(len(X)))
    pd.testing.assert_frame_equal(split.transform(other), split.transform(X))


def test_an_offset_costs_no_digits(rows):
    X, _, groups = rows
    X = np.round(X, 3)
    near, far = (WithinBetween().fit(X + c, groups=groups) for c in (0, 1e8))
    found = far.transform(X + 1e8, groups=groups)[:, [0, 2]]
    expected = near.transform(X, groups=groups)[:, [0, 2]]
    np.testing.assert_allclose(found, expected, atol=2e-8)  # X + 1e8 has no more digits


def test_float32_is_kept_and_summed_in_float64(rows):
    X, _, groups = rows
    single = X.astype(np.float32)
    found = WithinBetween().fit_transform(single, groups=groups)
    assert found.dtype == np.float32
    expected = WithinBetween().fit_transform(single.astype(np.float64), groups=groups)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_weights_count_rows(rows):
    X, _, groups = rows
    w = np.random.default_rng(0).integers(0, 4, len(X))
    w[groups == 3] = 0
    times = np.repeat(np.arange(len(X)), w)
    weighted = WithinBetween().fit(X, groups=groups, sample_weight=w)
    repeated = WithinBetween().fit(X[times], groups=groups[times])
    pd.testing.assert_frame_equal(weighted.group_means_, repeated.group_means_)
    assert 3 not in weighted.group_means_.index


# ----------------------------------------------------------------------- known, new, missing


def test_known_groups_keep_the_means_of_fit(rows):
    X, _, groups = rows
    split = WithinBetween().fit(X[:90], groups=groups[:90])
    rest = np.isin(groups, groups[:90]) & (np.arange(len(X)) >= 90)
    means = split.group_means_.loc[groups[rest]].to_numpy()
    found = split.transform(X[rest], groups=groups[rest])
    np.testing.assert_array_equal(found[:, [1, 3]], means)
    np.testing.assert_array_equal(found[:, [0, 2]], X[rest] - means)


def test_new_groups_are_taken_around_the_mean_of_the_rows_given(rows):
    X, _, groups = rows
    known = groups < 5
    split = WithinBetween("all").fit(X[known], groups=groups[known])
    expected = WithinBetween().fit_transform(X, groups=groups)
    np.testing.assert_allclose(split.transform(X, groups=groups), expected, atol=1e-14)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_label_is_a_new_group_of_its_own(rows, missing):
    X, _, groups = rows
    split = WithinBetween().fit(X, groups=groups)
    labels = [missing, 99, missing, 99, groups[4]]
    found = split.transform(X[:5], groups=labels)
    expected = split.transform(X[:5], groups=[100, 99, 101, 99, groups[4]])
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[0], [0, X[0, 0], 0, X[0, 1]])


def test_new_groups_may_be_an_error(rows):
    X, _, groups = rows
    split = WithinBetween(new_groups="error").fit(X, groups=groups)
    with pytest.raises(ValueError, match=r"1 are new: 99; 12 are known. Use new_groups='mean'"):
        split.transform(X[:2], groups=[99, groups[1]])
    with pytest.raises(ValueError, match="in transform, since new_groups='error', but 1 of 2"):
        split.transform(X[:2], groups=[None, groups[1]])


# ------------------------------------------------------------------------------ containers


def as_polars(frame):
    return pytest.importorskip("polars").from_pandas(frame)


def as_arrow(frame):
    return frame.convert_dtypes(dtype_backend="pyarrow")


def as_arrow_table(frame):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("convert", [as_polars, as_arrow, as_arrow_table, pd.DataFrame])
@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_frames(frame, convert, output):
    pytest.importorskip("polars")
    X = frame[["a", "site", "b"]]
    expected = WithinBetween(group_by="site").fit_transform(X)
    split = WithinBetween(group_by="site").set_output(transform=output)
    found = split.fit_transform(convert(X))
    module = type(convert(X)).__module__.split(".")[0] if output == "default" else output
    assert type(found).__module__.split(".")[0] == module.replace("pyarrow", "pandas")
    assert list(found.columns) == list(expected.columns)
    for name in expected:
        assert list(found[name]) == pytest.approx(list(expected[name]))


def test_arrays_and_lists(rows):
    X, _, groups = rows
    expected = WithinBetween().fit_transform(X, groups=groups)
    for table in (X, X.tolist()):
        np.testing.assert_allclose(WithinBetween().fit_transform(table, None, groups), expected)
    with_groups = np.column_stack([groups, X])
    for table in (with_groups, with_groups.tolist(), with_groups.astype(object)):
        found = WithinBetween(group_by=0).fit_transform(table).astype(float)
        np.testing.assert_allclose(found, np.column_stack([groups, expected]))
    named = WithinBetween().set_output(transform="pandas").fit_transform(X, groups=groups)
    assert list(named) == ["x0_within", "x0_between", "x1_within", "x1_between"]


def test_groups_as_an_index_level(frame):
    X = frame.set_index(["site", frame.index])[["a", "b"]]
    model = RandomInterceptRegressor(group_by="site")
    by_level = make_pipeline(WithinBetween(group_by="site"), model).fit(X, frame["y"].values)
    X = frame[["a", "b", "site"]]
    by_column = make_pipeline(WithinBetween(group_by="site"), clone(model)).fit(X, frame["y"])
    np.testing.assert_allclose([*by_level[-1].coef_, 0.0], by_column[-1].coef_)


@pytest.mark.parametrize("labels", ["str", "category", "datetime64[s]", "bool", "float32"])
def test_labels_of_any_kind(rows, labels):
    X, _, groups = rows
    groups = pd.Series(groups % 2 if labels == "bool" else groups, name="site").astype(labels)
    split = WithinBetween().fit(X, groups=groups)
    by_code = WithinBetween().fit_transform(X, groups=pd.factorize(groups)[0])
    np.testing.assert_allclose(split.transform(X, groups=groups), by_code, atol=1e-14)
    assert split.group_means_.index.name == "site"


def test_columns_that_are_not_chosen_may_be_anything(frame):
    X = frame[["a", "site"]].assign(colour="red", b=np.nan)
    found = WithinBetween("a", group_by="site").fit_transform(X)
    assert list(found) == ["a_within", "a_between", "site", "colour", "b"]
    pd.testing.assert_series_equal(found["colour"], X["colour"])


def by_pickle(split):
    return pickle.loads(pickle.dumps(split))


def by_skops(split):
    skops = pytest.importorskip("skops.io")
    dump = skops.dumps(split)
    assert skops.get_untrusted_types(data=dump) == ["skmixed.preprocessing.WithinBetween"]
    return skops.loads(dump, trusted=["skmixed.preprocessing.WithinBetween"])


@pytest.mark.parametrize("stored_and_loaded", [by_pickle, by_skops])
def test_it_can_be_stored(frame, stored_and_loaded):
    X = frame[["a", "site", "b"]]
    split = WithinBetween(group_by="site").fit(X)
    loaded = stored_and_loaded(split)
    pd.testing.assert_frame_equal(loaded.transform(X), split.transform(X))
    pd.testing.assert_frame_equal(loaded.group_means_, split.group_means_)


# -------------------------------------------------------------------- pipelines and metadata


def by_hand(X, y, groups, train, test):
    split, model = WithinBetween(), RandomInterceptRegressor()
    split.fit(X[train], groups=groups[train])
    model.fit(split.transform(X[train], groups[train]), y[train], groups[train])
    return model.predict(split.transform(X[test], groups[test]), groups[test])


@pytest.fixture(params=["new rows", "new groups"])
def splits_and_predictions(request, rows):
    X, y, groups = rows
    new_rows, new_groups = KFold(4, shuffle=True, random_state=0), GroupKFold(4)
    splits = (
        new_rows.split(X) if request.param == "new rows" else new_groups.split(X, y, groups)
    )
    splits, predicted = list(splits), np.empty_like(y)
    for train, test in splits:
        predicted[test] = by_hand(X, y, groups, train, test)
    return splits, predicted


def test_cross_validation_leaks_nothing(rows, splits_and_predictions):
    X, y, groups = rows
    splits, expected = splits_and_predictions
    pipeline = make_pipeline(WithinBetween(), RandomInterceptRegressor())
    found = cross_val_predict(pipeline, X, y, groups=groups, cv=splits)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    table = np.column_stack([X, groups])
    model = RandomInterceptRegressor(group_by=-1)
    by_column = make_pipeline(WithinBetween(group_by=-1), model)
    found = sklearn_cross_val_predict(by_column, table, y, cv=splits)
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.usefixtures("routing")
def test_scores_with_routed_groups(rows, splits_and_predictions):
    X, y, groups = rows
    splits, predicted = splits_and_predictions
    pipeline = make_pipeline(WithinBetween(), RandomInterceptRegressor())
    scores = cross_validate(pipeline, X, y, params={"groups": groups}, cv=splits)
    expected = [r2_score(y[test], predicted[test]) for _, test in splits]
    np.testing.assert_allclose(scores["test_score"], expected, atol=1e-10)


@pytest.mark.usefixtures("routing")
def test_groups_are_requested_unless_they_are_a_column():
    asked = WithinBetween().get_metadata_routing()
    for method in ("fit", "transform", "fit_transform"):
        assert getattr(asked, method).requests["groups"] is True
    asked = WithinBetween(group_by="site").get_metadata_routing()
    for method in ("fit", "transform", "fit_transform"):
        assert getattr(asked, method).requests["groups"] is False


@pytest.mark.usefixtures("routing")
def test_in_a_column_transformer(frame):
    X, y = frame[["a", "b"]], frame["y"]
    split = ColumnTransformer(
        # scikit-learn 1.8 routes nothing if remainder="passthrough"
        [("split", WithinBetween(), ["a"]), ("rest", "passthrough", ["b"])],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipeline = make_pipeline(split, RandomSlopeRegressor("a_within"))
    pipeline.fit(X, y, groups=frame["site"])
    assert list(pipeline[-1].coef_cov_)[1:] == ["a_within", "a_between", "b"]
    assert pipeline.predict(X, groups=frame["site"]).shape == (len(y),)


# -------------------------------------------------------------------------------- refusals


def test_without_groups_all_rows_are_one(rows):
    X = rows[0]
    with pytest.warns(MissingGroupsWarning, match="so all rows count as one group"):
        split = WithinBetween().fit(X)
    np.testing.assert_allclose(split.transform(X), X - X.mean(axis=0), atol=1e-14)
    assert list(split.get_feature_names_out()) == ["x0_within", "x1_within"]
    with pytest.raises(ValueError, match="must not be given to `transform`"):
        split.transform(X, groups=rows[2])


def test_groups_lost_on_the_way_are_an_error(rows):
    X, _, groups = rows
    split = WithinBetween().fit(X, groups=groups)
    with pytest.raises(
        ValueError, match="`groups` must be given to `transform`, because Within"
    ):
        split.transform(X)


@pytest.mark.parametrize("container", [sp.csr_array, sp.coo_matrix])
def test_sparse_is_refused(rows, container):
    with pytest.raises(TypeError, match="needs a dense X, but got a sparse one"):
        WithinBetween().fit(container(rows[0]), groups=rows[2])


@pytest.mark.parametrize(
    ("options", "change", "groups", "message"),
    [
        ({"group_by": "site"}, {}, "given", "The groups must be given once"),
        ({"group_by": "place"}, {}, None, "group_by='place' must be a column of X"),
        ({"columns": "c"}, {}, "given", "columns='c' must be feature columns of X"),
        ({"columns": [0, 0]}, {}, "given", r"columns=\[0, 0\] must name each column once"),
        ({"group_by": "site"}, {"b": "red"}, None, r"columns are not: b \(.*\)\. Encode"),
        ({"group_by": "site"}, {"b": np.inf}, None, "contains infinity"),
        ({"group_by": "site"}, {"a_within": 1.0}, None, "a_within would come out twice"),
        ({"group_by": "site"}, {"site": None}, None, "180 of 180 are missing"),
        ({"new_groups": "population"}, {}, "given", "The 'new_groups' parameter of Within"),
    ],
)
def test_refusals(frame, options, change, groups, message):
    split = WithinBetween(**({"columns": ["a", "b"]} | options))
    X = frame[["a", "b", "site"]].assign(**change)
    with pytest.raises(ValueError, match=message):
        split.fit(X, groups=None if groups is None else frame["site"])
