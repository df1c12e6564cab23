"""Fits, predictions and scores of dask collections are those of all rows in memory."""

import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed.datasets import load_hsb, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning

FEATURES = ["ses", "minority", "female"]
MODELS = {
    "intercept": RandomInterceptRegressor(),
    "slope": RandomSlopeRegressor("ses"),
    "diagonal": RandomSlopeRegressor("ses", covariance="diag", method="ml"),
    "fixed": FixedEffectsRegressor("ses"),
    "pooled": PooledRegressor(),
}
MIXED = ["intercept", "slope", "diagonal"]


@pytest.fixture(autouse=True)
def _synchronous():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def frame():
    return load_hsb().frame[[*FEATURES, "math", "school"]]


@pytest.fixture
def distributed_rows(frame):
    return dd.from_pandas(frame, npartitions=11)


@pytest.fixture(params=MODELS)
def model(request):
    return clone(MODELS[request.param])


def as_arrays(frame, chunks):
    """X, y and groups; chunks of X, given by rows and columns, and of the others."""
    X = da.from_array(frame[FEATURES].to_numpy(), chunks=chunks[0])
    return X, *(
        da.from_array(frame[name].to_numpy(), chunks=size)
        for name, size in zip(["math", "school"], chunks[1:], strict=True)
    )


def fit_in_memory(model, frame):
    return clone(model).fit(frame[FEATURES], frame["math"], groups=frame["school"])


def assert_same_fit(found, expected, rtol=1e-9):
    for name in ("criterion_", "log_likelihood_", "coef_", "intercept_", "icc_"):
        if hasattr(expected, name):
            np.testing.assert_allclose(
                getattr(found, name), getattr(expected, name), rtol=rtol, err_msg=name
            )
    if hasattr(expected, "theta_"):
        # what is left of a row of theta after its first entries has the digits of the largest
        largest = np.abs(expected.theta_).max()
        np.testing.assert_allclose(
            found.theta_, expected.theta_, rtol=rtol, atol=rtol * largest
        )
        cov = expected.random_effects_cov_
        np.testing.assert_allclose(found.random_effects_cov_, cov, rtol=rtol)
    if hasattr(expected, "groups_"):
        effects, other = expected._group_effects, found._group_effects
        scale = effects.abs().max().max()
        np.testing.assert_allclose(other / scale, effects / scale, atol=rtol)
        pd.testing.assert_index_equal(found.groups_, expected.groups_)
        pd.testing.assert_series_equal(found.group_sizes_, expected.group_sizes_)


# ------------------------------------------------------------------------------- the fit


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_partitions_of_a_frame_give_the_fit_of_the_whole(
    model, frame, distributed_rows, scheduler
):
    whole = fit_in_memory(model, frame)
    with dask.config.set(scheduler=scheduler):
        model.fit(
            distributed_rows[FEATURES],
            distributed_rows["math"],
            groups=distributed_rows["school"],
        )
    assert_same_fit(model, whole)
    assert model.feature_names_in_.tolist() == FEATURES


@pytest.mark.parametrize(
    "chunks", [((1000, 3), 1000, 1000), ((1000, 2), 999, 7185), ((7185, 1), 50, 7000)]
)
def test_chunks_of_arrays_give_the_fit_of_the_whole(model, frame, chunks):
    if model.get_params().get("slopes"):
        model.set_params(slopes=[0])
    X, y, groups = as_arrays(frame, chunks)
    rows = frame[FEATURES].to_numpy()
    whole = clone(model).fit(rows, frame["math"], groups=frame["school"].to_numpy())
    assert_same_fit(model.fit(X, y, groups=groups), whole)


@given(st.data())
@settings(deadline=None, derandomize=True, max_examples=25)
def test_partitions_of_any_size_even_empty_and_in_any_order(data):
    X, y, groups = make_mixed_regression(90, 2, n_groups=12, balanced=False, random_state=0)
    order = np.array(data.draw(st.permutations(range(90))))
    cuts = sorted(data.draw(st.lists(st.integers(0, 90), max_size=20)))
    sizes = tuple(np.diff([0, *cuts, 90]).tolist())
    model = RandomInterceptRegressor()
    chunks = {"X": (sizes, 2), "y": (sizes,), "groups": (sizes,)}
    with dask.config.set(scheduler="synchronous"):
        rows = [
            da.from_array(values[order], chunks=chunks[name])
            for name, values in {"X": X, "y": y, "groups": groups}.items()
        ]
        found = clone(model).fit(rows[0], rows[1], groups=rows[2])
        predictions = found.predict(rows[0], groups=rows[2])
        score = found.score(rows[0], rows[1], groups=rows[2])
    whole = model.fit(X, y, groups=groups)
    assert_same_fit(found, whole)
    assert predictions.chunks == (sizes,)
    expected = whole.predict(X, groups=groups)
    np.testing.assert_allclose(predictions.compute(scheduler="sync"), expected[order])
    assert score == pytest.approx(whole.score(X, y, groups=groups), rel=1e-12)


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("by", ["column", "index", "position"])
def test_the_group_as_a_part_of_x(frame, name, by):
    model = clone(MODELS[name]).set_params(group_by="school")
    X, y = frame[[*FEATURES, "school"]], frame["math"]
    if by == "index":
        X, y = (part.set_axis(frame["school"]).sort_index() for part in (X[FEATURES], y))
    if by == "position":
        model.set_params(group_by=3)
    parts = dd.from_pandas(X, npartitions=4), dd.from_pandas(y, npartitions=4)
    whole = clone(model).fit(X, y)
    assert_same_fit(model.fit(*parts), whole)
    assert model.groups_.name == "school"
    predictions = model.predict(parts[0])
    np.testing.assert_allclose(predictions.compute(), whole.predict(X))
    assert model.score(*parts) == pytest.approx(whole.score(X, y))


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("name", ["intercept", "slope"])
def test_offsets_and_skewed_partitions(frame, name, offset):
    moved = frame.assign(**{c: frame[c] + offset for c in [*FEATURES, "math"]})
    whole = fit_in_memory(MODELS[name], moved)
    X, y, groups = as_arrays(moved, (((1, 0, 7000, 2, 182), 3), 7185, 7185))
    found = RandomSlopeRegressor([0]) if name == "slope" else RandomInterceptRegressor()
    found.fit(X, y, groups=groups)
    for name in ("criterion_", "coef_", "random_effects_cov_"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-9)
    assert found.score(X, y, groups=groups) == pytest.approx(
        whole.score(moved[FEATURES], moved["math"], groups=moved["school"]), abs=1e-7
    )


def test_weights(frame, distributed_rows):
    weight = pd.Series(np.random.default_rng(0).integers(0, 3, len(frame)) * 1.0, frame.index)
    weight[:2000] = 0.0  # whole partitions
    weights = dd.from_pandas(weight, npartitions=11)
    X, y, groups = (distributed_rows[part] for part in (FEATURES, "math", "school"))
    model = RandomSlopeRegressor("ses").fit(X, y, groups=groups, sample_weight=weights)
    whole = RandomSlopeRegressor("ses").fit(
        frame[FEATURES], frame["math"], groups=frame["school"], sample_weight=weight
    )
    assert_same_fit(model, whole)
    score = model.score(X, y, groups=groups, sample_weight=weights)
    expected = whole.score(frame[FEATURES], frame["math"], frame["school"], weight)
    assert score == pytest.approx(expected, rel=1e-12)


def test_sparse_chunks_and_single_precision(frame):
    X, y, groups = as_arrays(frame, ((1000, 3), 1000, 1000))
    expected = RandomInterceptRegressor().fit(
        frame[FEATURES].to_numpy(np.float32), frame["math"], groups=frame["school"]
    )
    found = RandomInterceptRegressor().fit(X.astype(np.float32), y, groups=groups)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    assert found.predict(X.astype(np.float32), groups=groups).dtype == np.float64
    sparse = X.map_blocks(csr_array)
    np.testing.assert_allclose(
        RandomInterceptRegressor().fit(sparse, y, groups=groups).coef_,
        fit_in_memory(RandomInterceptRegressor(), frame).coef_,
    )


LABELS = {
    "text": lambda s: s.astype(str),
    "category": lambda s: s.astype(str).astype("category"),
    "dates": lambda s: pd.Timestamp(2000, 1, 1) + pd.to_timedelta(s, unit="D"),
    "floats": lambda s: s.astype(float),
    "nullable": lambda s: s.astype("Int64"),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("group_by", [None, "school"])
def test_kinds_of_labels(frame, kind, group_by):
    rows = frame.assign(school=LABELS[kind](frame["school"]))
    parts = dd.from_pandas(rows, npartitions=5)
    columns, groups = FEATURES, {"groups": rows["school"]}
    if group_by:
        columns, groups = [*FEATURES, "school"], {}
    model = RandomInterceptRegressor(group_by=group_by)
    whole = clone(model).fit(rows[columns], rows["math"], **groups)
    groups = dict.fromkeys(groups, parts["school"])
    model.fit(parts[columns], parts["math"], **groups)
    assert_same_fit(model, whole)
    assert model.score(parts[columns], parts["math"], **groups) > 0.2


def test_categories_that_differ_between_partitions(frame):
    pieces = [
        piece.assign(school=piece["school"].astype(str).astype("category"))
        for _, piece in frame.groupby(np.arange(len(frame)) // 2000)
    ]
    assert len({tuple(piece["school"].cat.categories) for piece in pieces}) == len(pieces)
    parts = dd.from_map(lambda piece: piece, pieces)
    parts["school"] = parts["school"].cat.as_unknown()
    whole = fit_in_memory(
        RandomInterceptRegressor(), frame.assign(school=frame["school"].astype(str))
    )
    model = RandomInterceptRegressor().fit(
        parts[FEATURES], parts["math"], groups=parts["school"]
    )
    assert_same_fit(model, whole)


def test_a_selector_sees_the_same_columns_in_all_partitions(frame):
    rows = frame.astype({"minority": "int8"})
    parts = dd.from_pandas(rows, npartitions=5)
    selector = make_column_selector(dtype_include="int8")
    model = RandomSlopeRegressor(selector)
    model.fit(parts[FEATURES], parts["math"], groups=parts["school"])
    assert_same_fit(model, fit_in_memory(RandomSlopeRegressor("minority"), rows))
    with_groups = RandomSlopeRegressor(lambda X: X.columns[:1].tolist(), group_by="school")
    with_groups.fit(parts[["school", *FEATURES]], parts["math"])
    assert with_groups.random_effects_.columns.tolist() == ["(Intercept)", "ses"]


def test_the_null_model(distributed_rows, frame):
    model = RandomInterceptRegressor(group_by="school")
    whole = clone(model).fit(frame[["school"]], frame["math"])
    assert_same_fit(model.fit(distributed_rows[["school"]], distributed_rows["math"]), whole)
    assert model.predict(distributed_rows[["school"]]).compute().nunique() == 160


def test_without_groups_the_fit_is_pooled_and_says_so_once(frame, distributed_rows):
    with pytest.warns(MissingGroupsWarning) as caught:
        model = RandomInterceptRegressor().fit(
            distributed_rows[FEATURES], distributed_rows["math"]
        )
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(MissingGroupsWarning):
        whole = RandomInterceptRegressor().fit(frame[FEATURES], frame["math"])
    np.testing.assert_allclose(model.coef_, whole.coef_)
    assert model.score(distributed_rows[FEATURES], distributed_rows["math"]) > 0


def test_warnings_of_the_fit_point_at_the_caller(frame, distributed_rows):
    X = distributed_rows[FEATURES].assign(copy=distributed_rows["ses"])
    with pytest.warns(Warning, match="rank-deficient: copy") as caught:
        RandomInterceptRegressor().fit(
            X, distributed_rows["math"], groups=distributed_rows["school"]
        )
    assert [warning.filename for warning in caught] == [__file__]


def test_what_x_and_y_are_both_made_of_is_made_once(frame):
    made = []

    def make(block):
        made.append(len(block))
        return block

    columns = [*FEATURES, "math", "school"]
    rows = da.from_array(frame[columns].to_numpy(), chunks=(1000, 5)).map_blocks(
        make, meta=np.empty((0, 0))
    )
    RandomInterceptRegressor().fit(rows[:, :3], rows[:, 3], groups=rows[:, 4])
    assert len(made) == 8
    made.clear()
    parts = dd.from_pandas(frame, npartitions=8).map_partitions(make, meta=frame[:0])
    RandomInterceptRegressor().fit(parts[FEATURES], parts["math"], groups=parts["school"])
    assert len(made) == 8


def test_a_fit_can_be_continued_in_memory(frame, distributed_rows):
    model = RandomInterceptRegressor().fit(
        distributed_rows[FEATURES], distributed_rows["math"], groups=distributed_rows["school"]
    )
    more = frame[:100].assign(school=1)
    model.partial_fit(more[FEATURES], more["math"], groups=more["school"])
    assert_same_fit(model, fit_in_memory(RandomInterceptRegressor(), pd.concat([frame, more])))


# ------------------------------------------------------------------------ a second pass

DIGITS = Path(__file__).parents[1] / "reference" / "digits"
SHUFFLED = {"shuffled": True, "sorted": False}


def far_apart(name, shuffled=False):
    data = pd.read_csv(DIGITS / f"{name}.csv").astype({"g": str})
    return data.sample(frac=1, random_state=0, ignore_index=True) if shuffled else data


@pytest.mark.parametrize("name", sorted(path.stem for path in DIGITS.glob("*.csv")))
@pytest.mark.parametrize(
    ("model", "shuffled"),
    [
        (RandomInterceptRegressor(), "sorted"),
        (RandomInterceptRegressor(), "shuffled"),
        (RandomInterceptRegressor(fit_intercept=False), "shuffled"),
        (RandomSlopeRegressor([0]), "shuffled"),
        (RandomSlopeRegressor([0], covariance="diag"), "sorted"),
        (FixedEffectsRegressor(), "sorted"),
        (FixedEffectsRegressor([0]), "shuffled"),
        (PooledRegressor(), "shuffled"),
    ],
    ids=lambda given: given if isinstance(given, str) else repr(given).replace("Regressor", ""),
)
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_partitions_are_read_again_as_rows_in_memory_are(model, name, shuffled):
    """To the digits that the numbers given have: y of far_groups_y has 2e-7."""
    data = far_apart(name, SHUFFLED[shuffled])
    X, y, groups = data.drop(columns=["y", "g"]), data["y"], data["g"]
    parts = dd.from_pandas(data, npartitions=7)
    if name == "far_groups_x_fixed" and model.get_params().get("covariance") == "diag":
        for frames in ((X, y, groups), (parts[list(X)], parts["y"], parts["g"])):
            with pytest.raises(ValueError, match="Centre it"):
                clone(model).fit(*frames)
        return
    expected = clone(model).fit(X, y, groups=groups)
    found = clone(model).fit(parts[list(X)], parts["y"], groups=parts["g"])
    std_error = np.sqrt(np.diag(expected.coef_cov_))[-X.shape[1] :]
    given = 4e-16 * np.abs(expected.coef_) / std_error
    error = np.abs(found.coef_ - expected.coef_) / std_error
    assert np.all(error < 1e-8 + given)
    variance = expected.residual_variance_
    assert found.residual_variance_ == pytest.approx(variance, rel=1e-8)
    assert found.log_likelihood_ == pytest.approx(expected.log_likelihood_, abs=1e-7)


@pytest.mark.parametrize("weight", [None, "weight"])
def test_arrays_are_read_again_too(weight):
    data = far_apart("far_levels").assign(weight=np.arange(1000) % 3)
    data.loc[data["g"] == "7", "weight"] = 0  # a group that is not there
    rows = {name: data[name].to_numpy() for name in ("y", "g", "weight")}
    chunks = [da.from_array(values, chunks=170) for values in rows.values()]
    options = {} if weight is None else {"sample_weight": rows["weight"]}
    X = data[["a", "b"]].to_numpy()
    expected = RandomInterceptRegressor().fit(X, rows["y"], groups=rows["g"], **options)
    options = {} if weight is None else {"sample_weight": chunks[2]}
    for blocks in (da.from_array(X, chunks=(170, 1)), da.from_array(X, (170, 2))):
        found = RandomInterceptRegressor().fit(blocks, chunks[0], groups=chunks[1], **options)
        np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-8)


def test_only_rows_that_lack_digits_are_read_again(frame):
    """A column that is constant within groups is seen to be so in the first pass."""
    made = []

    def make(part):
        made.append(len(part))
        return part

    def passes(data, model):
        parts = dd.from_pandas(data, npartitions=8).map_partitions(make, meta=data[:0])
        made.clear()
        features = parts.drop(columns=["y", "g"])
        model.fit(features, parts["y"], groups=parts["g"])
        return len(made) / parts.npartitions

    level_2 = frame.assign(size=1e9 * frame.groupby("school")["ses"].transform("size"))
    level_2 = level_2.rename(columns={"math": "y", "school": "g"})
    for rows in (level_2, level_2.sample(frac=1, random_state=0, ignore_index=True)):
        assert passes(rows, RandomInterceptRegressor()) == 1
    assert passes(far_apart("far_groups_y"), FixedEffectsRegressor()) > 1
    assert passes(far_apart("far_groups_x_fixed"), RandomInterceptRegressor()) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda part: part[:-1], "must have the same rows each time"),
        (lambda part: part.assign(g=part["g"] + "*"), "labels of a partition were new"),
    ],
)
def test_partitions_that_are_others_the_second_time(change, message):
    seen, data = [], far_apart("far_levels")

    def make(part):
        seen.append(len(part))
        return part if len(seen) <= 4 else change(part)

    parts = dd.from_pandas(data, npartitions=4).map_partitions(make, meta=data[:0])
    seen.clear()
    model = RandomInterceptRegressor()
    with pytest.raises(ValueError, match=message):
        model.fit(parts[["a", "b"]], parts["y"], groups=parts["g"])
    assert vars(model) == vars(RandomInterceptRegressor())


# ---------------------------------------------------------------- partitions that differ


def test_rows_with_other_divisions_are_aligned(frame):
    X = dd.from_pandas(frame[FEATURES], npartitions=7)
    y = dd.from_pandas(frame["math"], npartitions=3)
    groups = dd.from_pandas(frame["school"], npartitions=12)
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    whole = fit_in_memory(RandomInterceptRegressor(), frame)
    assert_same_fit(model, whole)
    predictions = model.predict(X, groups=groups)
    assert predictions.divisions == X.divisions
    np.testing.assert_allclose(
        predictions.compute(), whole.predict(frame[FEATURES], groups=frame["school"])
    )


def test_divisions_of_x_that_are_wider_than_its_rows(frame, distributed_rows):
    X = dd.from_pandas(frame[FEATURES], npartitions=3)
    X = X.repartition(divisions=(-9, 3000, 9999), force=True)
    y, groups = distributed_rows["math"], distributed_rows["school"]
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    assert_same_fit(model, fit_in_memory(RandomInterceptRegressor(), frame))
    assert len(model.predict(X, groups=groups).compute()) == len(frame)


def test_unknown_divisions_and_chunks_that_match(frame, distributed_rows):
    X, y, groups = (distributed_rows[part] for part in (FEATURES, "math", "school"))
    whole = fit_in_memory(RandomInterceptRegressor(), frame)
    model = RandomInterceptRegressor().fit(
        X.clear_divisions(), y.clear_divisions(), groups=groups
    )
    assert_same_fit(model, whole)
    X, y, groups = (part.to_dask_array() for part in (X, y, groups))
    assert np.isnan(X.shape[0])
    model.fit(X, y, groups=groups)
    np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-12)
    predictions = model.predict(X, groups=groups)
    assert predictions.numblocks == (11,)
    assert predictions.compute().shape == (len(frame),)


def unknown(array):
    """Forget the sizes of chunks."""
    return array[~da.isnan(array if array.ndim == 1 else array[:, 0])]


# X, y, groups, and what the error says
MISMATCHES = {
    "other partitions of unknown divisions": (
        lambda f: (f.X, f.other["math"].clear_divisions(), f.g),
        "`y` must have the partitions of X.* has 3 partitions, X has 4.*set_index",
    ),
    "another order": (
        lambda f: (f.X, f.y, f.g.map_partitions(lambda s: s[::-1], meta=f.g._meta)),
        "`groups` must have the rows of X, but in a partition its index differs",
    ),
    "fewer partitions": (
        lambda f: (f.X, f.y, f.other.partitions[:2]["school"]),
        "`groups` must have one value for each row of X, but got",
    ),
    "more rows": (
        lambda f: (f.X.loc[:6999], f.y, f.g),
        "`y` must have the rows of X.* from 0 to 7184, and that of X from 0 to 6999.*Take both",
    ),
    "rows before those of X": (
        lambda f: (f.X.loc[5:], f.y.loc[5:], f.other["school"]),
        "`groups` must have the rows of X.* from 0 to 7184, and that of X from 5 to 7184",
    ),
    "another kind of index": (
        lambda f: (f.X, f.y, dd.from_pandas(f.named, npartitions=4)),
        "`groups` must have the rows of X.* from 'row 0' to 'row 999', .* from 0 to 7184",
    ),
    "other partitions of unknown size": (
        lambda f: (unknown(f.A), f.b.rechunk(1000), f.c),
        r"`y` must have the partitions of X.*X.compute_chunk_sizes\(\) and y.compute",
    ),
    "other chunks of unknown size": (
        lambda f: (unknown(f.A), f.b, unknown(f.c.rechunk(((1000, 3000, 3000, 185),)))),
        r"`groups` must have one value for each row of X, but got \d+ for \d+ rows",
    ),
    "fewer rows": (lambda f: (f.A, f.b[:-1], f.c), "`y` must .* got 7184 for 7185 rows"),
    "array beside a frame": (
        lambda f: (f.X, f.b, f.g),
        r"`y` must be a dask Series.*got Array.*from_dask_array\(y, index=X.index\)",
    ),
    "series beside an array": (
        lambda f: (f.A, f.b, f.g),
        "`groups` must be a one-dimensional dask array.* got Series.*to_dask_array",
    ),
    "groups in memory": (
        lambda f: (f.X, f.y, load_hsb().frame["school"]),
        "`groups` must be a dask Series",
    ),
    "y in memory": (
        lambda f: (f.A, np.ones(7185), f.c),
        r"`y` must be .* dask array.*from_array\(y, chunks=X.chunks",
    ),
    "no y": (lambda f: (f.X, None, f.g), "`y` must be a dask Series.* NoneType"),
    "matrix y": (lambda f: (f.A, f.b[:, None], f.c), "`y` must be a one-dimensional"),
    "frame y": (lambda f: (f.X, f.rows[["math"]], f.g), "`y` must be a dask Series"),
    "series X": (lambda f: (f.y, f.y, f.g), "Expected 2D array"),
    "vector X": (lambda f: (f.b, f.b, f.c), "Expected 2D array"),
    "delayed X": (lambda f: (dask.delayed(np.eye)(3), f.b, f.c), "got a dask Delayed"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_rows_that_cannot_be_matched(frame, name):
    rows = dd.from_pandas(frame, npartitions=4)
    A, b, c = as_arrays(frame, ((2000, 3), 2000, 2000))
    given = SimpleNamespace(
        rows=rows, X=rows[FEATURES], y=rows["math"], g=rows["school"], A=A, b=b, c=c
    )
    given.other = dd.from_pandas(frame, npartitions=3)
    given.named = frame["school"].rename("row {}".format)
    take, message = MISMATCHES[name]
    X, y, groups = take(given)
    with pytest.raises((ValueError, TypeError), match=message):
        RandomInterceptRegressor().fit(X, y, groups=groups)


# ------------------------------------------------------------------------------- errors


BAD_ROWS = {
    "missing labels": (
        lambda rows: rows.assign(school=rows["school"].where(rows["school"] % 7 != 0)),
        "label for every row in fit, but 687 of 7185 are missing",
    ),
    "text": (
        lambda rows: rows.assign(female=rows["female"].map({0: "no", 1: "yes"})),
        "X must be numeric, but these columns are not: female",
    ),
    "missing y": (lambda rows: rows.assign(math=rows["math"].where(rows.index > 9)), "NaN"),
    "missing x": (lambda rows: rows.assign(ses=rows["ses"].where(rows.index < 7000)), "NaN"),
    "measurements as labels": (
        lambda rows: rows.assign(school=rows["ses"]),
        "numbers that are not whole",
    ),
    "labels of two types": (
        lambda rows: rows.assign(
            school=rows["school"].astype(object).where(rows.index < 7000, "other")
        ),
        "labels of (the same|one) type",
    ),
    "no rows": (lambda rows: rows[rows["ses"] > 1000], "5 partitions are all empty"),
    "few rows": (lambda rows: rows[rows.index < 4], r"At least 5 rows.*has seen 4"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_the_same_error_and_change_nothing(frame, name):
    change, message = BAD_ROWS[name]
    with dask.config.set({"dataframe.convert-string": False}):
        bad = dd.from_pandas(frame, npartitions=5).map_partitions(
            change, meta=change(frame)[:0]
        )
    model = RandomInterceptRegressor()
    for before in (vars(model).copy(), vars(fit_in_memory(model, frame)).copy()):
        vars(model).update(before)
        with pytest.raises(ValueError, match=message) as found:
            model.fit(bad[FEATURES[::-1]], bad["math"], groups=bad["school"])
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[key] is value for key, value in before.items())
    if name in ("missing labels", "text", "missing y", "missing x"):
        with pytest.raises(ValueError, match=message) as expected:
            fit_in_memory(model, change(frame))
        missing = r"\d+ of \d+(?= values|\))"  # of y and X they are counted in a partition
        found, expected = (re.sub(missing, "", str(e.value)) for e in (found, expected))
        assert found == expected


def test_weights_that_cannot_be_used(frame):
    X, y, groups = as_arrays(frame, ((2000, 3), 2000, 2000))
    for value, message in [
        (0.0, "at least one non-zero number"),
        (-1.0, "[Nn]egative"),
        (1e-9, "`sample_weight` must sum to at least 5"),
    ]:
        weight = da.full(len(frame), value, chunks=500)
        with pytest.raises(ValueError, match=message):
            RandomInterceptRegressor().fit(X, y, groups=groups, sample_weight=weight)


def test_the_group_given_twice(distributed_rows):
    X, y = distributed_rows[[*FEATURES, "school"]], distributed_rows["math"]
    model = RandomInterceptRegressor(group_by="school")
    with pytest.raises(ValueError, match="given once"):
        model.fit(X, y, groups=distributed_rows["school"])
    model.fit(X, y)
    with pytest.raises(ValueError, match="given once"):
        model.predict(X, groups=distributed_rows["school"])


# ------------------------------------------------------------- predictions and scores


def test_predictions_are_lazy_and_keep_the_shape_of_x(model, frame, distributed_rows):
    whole = fit_in_memory(model, frame)
    X, groups = distributed_rows[FEATURES], distributed_rows["school"]
    known = whole.predict(frame[FEATURES], groups=frame["school"])
    found = whole.predict(X, groups=groups)
    assert isinstance(found, dd.Series)
    assert found.divisions == X.divisions
    pd.testing.assert_series_equal(found.compute(), pd.Series(known, frame.index))
    assert found._meta.dtype == np.float64
    population = whole.predict_population(X)
    np.testing.assert_allclose(population.compute(), whole.predict_population(frame[FEATURES]))


@pytest.mark.parametrize("name", MIXED)
def test_standard_deviations(frame, distributed_rows, name):
    whole = fit_in_memory(MODELS[name], frame)
    X, groups = distributed_rows[FEATURES], distributed_rows["school"]
    in_memory, labels = frame[FEATURES], frame["school"]
    for found, expected in [
        (
            whole.predict(X, groups=groups, return_std=True),
            whole.predict(in_memory, labels, return_std=True),
        ),
        (
            whole.predict_population(X, return_std=True),
            whole.predict_population(in_memory, return_std=True),
        ),
    ]:
        np.testing.assert_allclose(dask.compute(*found), expected)


def test_predictions_of_arrays(frame):
    A, _, c = as_arrays(frame, ((2000, 2), 2000, 999))
    model = RandomInterceptRegressor().fit(
        frame[FEATURES].to_numpy(), frame["math"], groups=frame["school"]
    )
    found = model.predict(A, groups=c)
    assert isinstance(found, da.Array)
    assert found.chunks == (A.chunks[0],)
    expected = model.predict(frame[FEATURES].to_numpy(), groups=frame["school"])
    np.testing.assert_allclose(found.compute(), expected)
    np.testing.assert_allclose(found[2500:2600].compute(), expected[2500:2600])


def test_predictions_of_empty_partitions_and_new_groups(frame):
    model = fit_in_memory(RandomInterceptRegressor(), frame)
    rows = frame[:50].assign(school=[1.0, np.nan] * 25)
    parts = dd.from_pandas(rows, npartitions=4)
    some = parts[parts["ses"] > 0]
    found = model.predict(some[FEATURES], groups=some["school"]).compute()
    expected = model.predict_population(rows[rows["ses"] > 0][FEATURES])
    np.testing.assert_allclose(found, expected)
    none = parts[parts["ses"] > 1e9]
    assert len(model.predict(none[FEATURES], groups=none["school"]).compute()) == 0
    model.set_params(new_groups="error")
    lazy = model.predict(parts[FEATURES], groups=parts["school"])
    with pytest.raises(ValueError, match=r"1 are new: 1\.0; 160 are known"):
        lazy.compute()


def test_predictions_are_those_of_the_fit_at_their_time(frame, distributed_rows):
    model = fit_in_memory(RandomInterceptRegressor(), frame)
    X, groups = distributed_rows[FEATURES], distributed_rows["school"]
    expected = model.predict(frame[FEATURES], groups=frame["school"])
    lazy = model.predict(X, groups=groups)
    model.fit(frame[FEATURES], 2 * frame["math"], groups=frame["school"])
    np.testing.assert_allclose(lazy.compute(), expected)


def test_slopes_that_are_no_fixed_effects(frame, distributed_rows):
    model = RandomSlopeRegressor(["ses", "female"], covariance="diag", fixed_slopes="female")
    whole = fit_in_memory(model, frame)
    X, y, groups = (distributed_rows[part] for part in (FEATURES, "math", "school"))
    model.fit(X, y, groups=groups)
    assert_same_fit(model, whole, rtol=1e-7)
    assert model.coef_[0] == 0
    with pytest.raises(ValueError, match=r"\['minority'\] are not among them"):
        model.set_params(fixed_slopes=["minority"]).fit(X, y, groups=groups)


@pytest.mark.parametrize("name", MIXED)
def test_predictions_and_scores_after_partial_fit(frame, distributed_rows, name, monkeypatch):
    whole, solved = fit_in_memory(MODELS[name], frame), []
    estimate = BaseMixedRegressor._estimate
    monkeypatch.setattr(
        BaseMixedRegressor,
        "_estimate",
        lambda model, *given: solved.append(model) or estimate(model, *given),
    )
    X, y, groups = (distributed_rows[part] for part in (FEATURES, "math", "school"))
    known = {"groups": frame["school"]}
    rows = frame[FEATURES]

    def streamed():
        return clone(MODELS[name]).partial_fit(rows, frame["math"], **known)

    for found, expected in [
        (streamed().predict(X, groups=groups), whole.predict(rows, **known)),
        (streamed().predict_population(X), whole.predict_population(rows)),
        (
            streamed().predict(X, groups=groups, return_std=True)[1],
            whole.predict(rows, **known, return_std=True)[1],
        ),
        (streamed().score(X, y, groups=groups), whole.score(rows, frame["math"], **known)),
    ]:
        (found,) = dask.compute(found)
        np.testing.assert_allclose(found, expected)
    assert len(solved) == 4


def test_predictions_that_cannot_be_made_fail_at_once(frame, distributed_rows):
    X, groups = distributed_rows[FEATURES], distributed_rows["school"]
    with pytest.raises(NotFittedError):
        RandomInterceptRegressor().predict(X, groups=groups)
    model = fit_in_memory(RandomInterceptRegressor(), frame)
    for method in (model.predict, lambda X: model.score(X, distributed_rows["math"])):
        with pytest.raises(ValueError, match="`groups` must be given to `predict`"):
            method(X)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X[["ses"]], groups=groups)
    with pytest.raises(ValueError, match="`groups` must have the rows of X"):
        model.predict(X.loc[:100], groups=groups)
    with pytest.raises(ValueError, match="`y` must have the rows of X"):
        model.score(X.loc[:100], distributed_rows["math"], groups=groups.loc[:100])
    with pytest.raises(TypeError, match=r"got a dask DataFrame.*X\.map_partitions"):
        model.predict_interval(X, groups=groups)
    with pytest.raises(TypeError, match="in memory, but got a dask"):
        model.partial_fit(X, distributed_rows["math"], groups=groups)


def test_scores_are_those_of_r2_score(frame, distributed_rows):
    model = fit_in_memory(RandomSlopeRegressor("ses"), frame)
    for y, expected in [(frame["math"], None), (0 * frame["math"], 0.0)]:
        given = dd.from_pandas(y, npartitions=11)
        found = model.score(
            distributed_rows[FEATURES], given, groups=distributed_rows["school"]
        )
        if expected is None:
            expected = model.score(frame[FEATURES], y, groups=frame["school"])
        assert type(found) is float
        assert found == pytest.approx(expected, rel=1e-12)
    exact = model.predict(distributed_rows[FEATURES], groups=distributed_rows["school"])
    assert model.score(distributed_rows[FEATURES], exact, distributed_rows["school"]) == 1.0
    one = distributed_rows.partitions[0].loc[:0]
    with pytest.warns(UndefinedMetricWarning, match="less than two samples"):
        assert np.isnan(model.score(one[FEATURES], one["math"], one["school"]))


# ------------------------------------------------------------------------ worker processes


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on this machine, reached through the loopback interface."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            memory_limit=0,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("name", MIXED)
def test_workers_give_the_fit_of_the_whole(cluster, frame, name, offset):
    if offset and name == "diagonal":
        pytest.skip("the model depends on where the slope column is zero")
    rows = frame.assign(**{c: frame[c] + offset for c in [*FEATURES, "math"]})
    whole = fit_in_memory(MODELS[name], rows)
    parts = dd.from_pandas(rows, npartitions=5)
    X, y, groups = parts[FEATURES], parts["math"], parts["school"]
    with cluster.as_current():
        model = clone(MODELS[name]).fit(X, y, groups=groups)
        predictions = model.predict(X, groups=groups).compute()
        score = model.score(X, y, groups=groups)
    assert_same_fit(model, whole)
    expected = whole.predict(rows[FEATURES], groups=rows["school"])
    np.testing.assert_allclose(predictions, expected, rtol=1e-9)
    assert score == pytest.approx(whole.score(rows[FEATURES], rows["math"], rows["school"]))


def test_errors_of_workers_are_the_same(cluster, frame):
    rows = frame.assign(school=frame["school"].where(frame["school"] % 7 != 0))
    parts = dd.from_pandas(rows, npartitions=5)
    with cluster.as_current(), pytest.raises(ValueError, match="687 of 7185 are missing"):
        RandomInterceptRegressor().fit(parts[FEATURES], parts["math"], groups=parts["school"])


def test_a_worker_that_dies_changes_nothing(cluster, frame, tmp_path):
    frame = frame.assign(rater=np.arange(len(frame)) % 40)
    columns = [*FEATURES, "school", "rater"]

    def load(piece):
        """Read a piece of the rows; whoever is first to read the sixth does not survive."""
        with open(tmp_path / f"read_{piece}", "a") as log:
            print(os.getpid(), file=log)
        if piece == 5 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return frame[piece * 900 : (piece + 1) * 900]

    parts = dd.from_map(load, range(8), meta=frame[:0])
    with cluster.as_current():
        model = RandomInterceptRegressor(group_by=["school", "rater"])
        model.fit(parts[columns], parts["math"])
    whole = clone(model).fit(frame[columns], frame["math"])
    for name in ("criterion_", "coef_", "theta_", "residual_variance_"):
        np.testing.assert_allclose(getattr(model, name), getattr(whole, name), rtol=1e-9)
    found, expected = (m.predict(frame[columns]) for m in (model, whole))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert len((tmp_path / "read_5").read_text().split()) == 2
