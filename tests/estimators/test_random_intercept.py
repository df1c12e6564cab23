"""The estimator's contract: groups, labels, weights, attributes, predictions."""

import pickle

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from dense_oracle import dense_solution
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_hsb, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning

N_GROUPS = 7


@pytest.fixture
def rows():
    return make_mixed_regression(90, 2, N_GROUPS, intercept=3.0, balanced=False, random_state=0)


@pytest.fixture
def model(rows):
    X, y, groups = rows
    return RandomInterceptRegressor().fit(X, y, groups=groups)


# -------------------------------------------------------------------------- estimates


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_agrees_with_the_dense_covariance(rows, method, fit_intercept):
    X, y, groups = rows
    model = RandomInterceptRegressor(method=method, fit_intercept=fit_intercept)
    model.fit(X, y, groups=groups)
    ones = np.ones((len(y), 1))
    D = np.hstack([ones, X]) if fit_intercept else X
    Psi = model.theta_.reshape(1, 1) ** 2
    oracle = dense_solution(D, y, ones, groups, Psi, reml=method == "reml")
    beta = np.append(model.intercept_, model.coef_) if fit_intercept else model.coef_
    np.testing.assert_allclose(beta, oracle["beta"], atol=1e-8)
    np.testing.assert_allclose(model.coef_cov_, oracle["beta_cov"], atol=1e-8)
    np.testing.assert_allclose(model.random_effects_, oracle["b"], atol=1e-8)
    np.testing.assert_allclose(model.predict(X, groups=groups), oracle["fitted"], atol=1e-8)
    assert model.criterion_ == pytest.approx(oracle["criterion"], abs=1e-8)
    assert model.residual_variance_ == pytest.approx(oracle["sigma2"], rel=1e-8)
    for factor in (0.99, 1.01):
        near = dense_solution(D, y, ones, groups, factor * Psi, reml=method == "reml")
        assert near["criterion"] > model.criterion_


def test_attributes_agree_with_each_other(model, rows):
    _, y, groups = rows
    psi = model.theta_[0] ** 2
    sizes = np.bincount(groups)
    assert model.n_groups_ == N_GROUPS
    assert model.groups_.tolist() == list(range(N_GROUPS))
    assert model.group_sizes_.tolist() == sizes.tolist()
    assert model.group_sizes_.dtype.kind == "i"
    np.testing.assert_allclose(
        model.pooling_weights_["(Intercept)"], psi * sizes / (1 + psi * sizes)
    )
    cov = model.random_effects_cov_.loc["(Intercept)", "(Intercept)"]
    assert cov == pytest.approx(psi * model.residual_variance_)
    assert model.icc_ == pytest.approx(cov / (cov + model.residual_variance_))
    assert model.log_likelihood_ == -model.criterion_ / 2
    assert model.aic_ == pytest.approx(model.criterion_ + 2 * 5)
    assert model.bic_ == pytest.approx(model.criterion_ + np.log(len(y)) * 5)
    assert list(model.group_coef_.columns) == ["(Intercept)", "x0", "x1"]
    own = model.intercept_ + model.random_effects_["(Intercept)"]
    np.testing.assert_array_equal(model.group_coef_["(Intercept)"], own)
    assert (model.group_coef_["x1"] == model.coef_[1]).all()
    for labelled in (model.random_effects_, model.group_coef_, model.pooling_weights_):
        pd.testing.assert_index_equal(labelled.index, model.groups_)


def test_a_null_model_pools_group_means(rows):
    """Balanced or not, b_j is the pooling weight times the distance from the grand mean."""
    _, y, groups = rows
    frame = pd.DataFrame({"site": groups})
    model = RandomInterceptRegressor(group_by="site").fit(frame, y)
    distance = pd.Series(y).groupby(groups).mean() - model.intercept_
    expected = model.pooling_weights_["(Intercept)"] * distance
    np.testing.assert_allclose(model.random_effects_["(Intercept)"], expected, atol=1e-9)
    assert model.coef_.tolist() == [0.0]
    own = model.group_coef_["(Intercept)"].to_numpy()
    np.testing.assert_allclose(model.predict(frame), own[groups])
    np.testing.assert_allclose(model.predict_population(frame), model.intercept_)
    by_array = RandomInterceptRegressor().fit(np.empty((len(y), 0)), y, groups=groups)
    assert by_array.intercept_ == model.intercept_


def test_no_fixed_effects_at_all(rows):
    _, y, groups = rows
    model = RandomInterceptRegressor(fit_intercept=False)
    model.fit(np.empty((len(y), 0)), y, groups=groups)
    assert model.intercept_ == 0.0
    assert model.coef_cov_.shape == (0, 0)
    oracle = dense_solution(
        np.empty((len(y), 0)),
        y,
        np.ones((len(y), 1)),
        groups,
        model.theta_[:, None] ** 2,
        reml=True,
    )
    np.testing.assert_allclose(model.random_effects_, oracle["b"], atol=1e-8)


def test_an_intercept_given_as_a_column(rows):
    X, y, groups = rows
    y = y + 1e6
    one = RandomInterceptRegressor().fit(X, y, groups=groups)
    other = RandomInterceptRegressor(fit_intercept=False)
    other.fit(np.column_stack([np.full(len(y), 2.0), X]), y, groups=groups)
    assert other.criterion_ == pytest.approx(one.criterion_ + 2 * np.log(2), abs=1e-8)
    np.testing.assert_allclose(other.coef_, [one.intercept_ / 2, *one.coef_], rtol=1e-10)
    np.testing.assert_allclose(other.random_effects_, one.random_effects_, atol=1e-8)


def test_weights_count_rows(rows):
    X, y, groups = rows
    w = np.random.default_rng(0).integers(0, 4, len(y))
    times = np.repeat(np.arange(len(y)), w)
    weighted = RandomInterceptRegressor().fit(X, y, groups=groups, sample_weight=w)
    repeated = RandomInterceptRegressor().fit(X[times], y[times], groups=groups[times])
    assert weighted.criterion_ == pytest.approx(repeated.criterion_, abs=1e-9)
    np.testing.assert_allclose(weighted.random_effects_, repeated.random_effects_, atol=1e-8)
    np.testing.assert_array_equal(weighted.group_sizes_, repeated.group_sizes_)
    assert weighted.bic_ == pytest.approx(repeated.bic_)


def test_weights_of_one_change_nothing(model, rows):
    X, y, groups = rows
    weighted = RandomInterceptRegressor().fit(
        X, y, groups=groups, sample_weight=np.ones(len(y))
    )
    np.testing.assert_allclose(weighted.coef_, model.coef_, rtol=1e-12)


def test_a_group_of_weight_zero_is_no_group(rows):
    X, y, groups = rows
    w = (groups != 2).astype(float)
    model = RandomInterceptRegressor(new_groups="error")
    model.fit(X, y, groups=groups, sample_weight=w)
    assert 2 not in model.groups_
    with pytest.raises(ValueError, match="1 are new: 2; 6 are known"):
        model.predict(X, groups=groups)


# -------------------------------------------------------------------------- input formats


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.tolist(),
        pd.DataFrame,
        np.asfortranarray,
        lambda X: X[::-1].copy()[::-1],
        sp.csr_array,
        sp.csc_matrix,
        lambda X: X.astype(object),
    ],
)
def test_formats_of_x_agree(model, rows, convert):
    X, y, groups = rows
    other = RandomInterceptRegressor().fit(convert(X), y, groups=groups)
    np.testing.assert_allclose(other.coef_, model.coef_, atol=1e-12)
    np.testing.assert_allclose(
        other.predict(convert(X), groups=groups), model.predict(X, groups=groups), atol=1e-12
    )


def test_float32_is_summed_in_float64(rows):
    X, y, groups = rows
    X32, y32 = (X + 1000).astype("f4"), y.astype("f4")
    narrow = RandomInterceptRegressor().fit(X32, y32, groups=groups)
    wide = RandomInterceptRegressor().fit(X32.astype("f8"), y32.astype("f8"), groups=groups)
    np.testing.assert_allclose(narrow.coef_, wide.coef_, atol=1e-12)


def test_integer_and_boolean_columns(rows):
    X, y, groups = rows
    frame = pd.DataFrame({"count": (X[:, 0] * 3).astype(int), "flag": X[:, 1] > 0})
    model = RandomInterceptRegressor().fit(frame, y, groups=groups)
    other = RandomInterceptRegressor().fit(frame.astype(float), y, groups=groups)
    np.testing.assert_allclose(model.coef_, other.coef_, atol=1e-12)


# -------------------------------------------------------------------------- groups


STRINGS = np.array(list("gfedcba"))
DAYS = pd.date_range("2026-01-01", periods=N_GROUPS)
LABELS = {
    "str": STRINGS,
    "object": STRINGS.astype(object),
    "list": STRINGS,
    "pyarrow": pd.array(STRINGS, dtype="string[pyarrow]"),
    "categorical": pd.Categorical(STRINGS, categories=[*"zgfedcbay"], ordered=True),
    "int": np.arange(N_GROUPS) * 10 - 30,
    "nullable int": pd.array(np.arange(N_GROUPS), dtype="Int64"),
    "float": np.arange(N_GROUPS) * 2.0,
    "datetime": DAYS.to_numpy(),
    "datetime with zone": DAYS.tz_localize("Europe/Vienna"),
    "period": DAYS.to_period("D"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_many_types(model, rows, kind):
    X, y, groups = rows
    labels = LABELS[kind][groups]
    if kind == "list":
        labels = labels.tolist()
    other = RandomInterceptRegressor().fit(X, y, groups=labels)
    assert list(other.groups_) == sorted(set(labels))
    expected = model.predict(X, groups=groups)
    np.testing.assert_allclose(other.predict(X, groups=labels), expected, atol=1e-12)
    np.testing.assert_allclose(
        other.predict(X[:1], groups=labels[:1]), expected[:1], atol=1e-12
    )
    assert set(other.group_sizes_) == set(model.group_sizes_)


def test_boolean_labels(rows):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=groups > 0)
    assert list(model.groups_) == [False, True]
    own = model.random_effects_["(Intercept)"]
    expected = model.predict_population(X[:2]) + np.array([own[True], own[False]])
    np.testing.assert_allclose(model.predict(X[:2], groups=[True, False]), expected)


def test_whole_floats_match_integers(model, rows):
    X, _, groups = rows
    expected = model.predict(X, groups=groups)
    np.testing.assert_array_equal(model.predict(X, groups=groups.astype(float)), expected)


def test_unused_categories_are_no_groups(rows):
    X, y, groups = rows
    labels = pd.Categorical.from_codes(groups, categories=[*"abcdefghij"])
    model = RandomInterceptRegressor().fit(X, y, groups=labels)
    assert model.groups_.tolist() == [*"abcdefg"]


def test_new_and_missing_labels_get_the_population_line(model, rows):
    X, _, groups = rows
    labels = pd.Series(groups[:4], dtype="Int64")
    labels[1], labels[2] = 99, pd.NA
    predicted = model.predict(X[:4], groups=labels)
    own = model.random_effects_["(Intercept)"][groups[:4]].to_numpy() * [1, 0, 0, 1]
    np.testing.assert_allclose(predicted, model.predict_population(X[:4]) + own)
    for missing in (None, np.nan, pd.NaT):
        everything = model.predict(X[:2], groups=[missing, missing])
        np.testing.assert_allclose(everything, model.predict_population(X[:2]))


def test_the_name_of_the_groups_is_kept(rows):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=pd.Series(groups, name="site"))
    assert model.random_effects_.index.name == "site"


@pytest.mark.parametrize("position", [0, 1, 2, -1])
@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, sp.csr_array])
def test_group_by_position(model, rows, position, container):
    X, y, groups = rows
    table = container(np.insert(X, position % 3, groups, axis=1))
    other = RandomInterceptRegressor(group_by=position).fit(table, y)
    assert other.n_features_in_ == 3
    lined_up = np.insert(model.coef_, position % 3, 0.0)
    np.testing.assert_allclose(other.coef_, lined_up, atol=1e-12)
    expected = model.predict(X, groups=groups)
    np.testing.assert_allclose(other.predict(table), expected, atol=1e-12)
    assert other.score(table, y) == pytest.approx(model.score(X, y, groups=groups))
    names = [f"x{i}" for i in range(3) if i != position % 3]
    assert list(other.coef_cov_.columns) == ["(Intercept)", *names]


def test_group_by_name(model, rows):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b"])
    frame.insert(1, "site", STRINGS[groups])
    other = RandomInterceptRegressor(group_by="site").fit(frame, y)
    coef = dict(zip(other.feature_names_in_, other.coef_, strict=True))
    assert list(coef) == ["a", "site", "b"]
    assert coef == pytest.approx(dict(zip("ab", model.coef_, strict=True)) | {"site": 0.0})
    assert list(other.coef_cov_.columns) == ["(Intercept)", "a", "b"]
    assert other.groups_.name == "site"
    frame.loc[0, "site"] = None
    assert other.predict(frame)[0] == pytest.approx(other.predict_population(frame)[0])


def test_fit_without_groups_is_pooled_and_says_so(rows):
    X, y, _ = rows
    with pytest.warns(MissingGroupsWarning, match=r"model.fit\(X, y, groups=groups\)"):
        model = RandomInterceptRegressor().fit(X, y)
    pooled = LinearRegression().fit(X, y)
    np.testing.assert_allclose(model.coef_, pooled.coef_)
    np.testing.assert_allclose(model.predict(X), pooled.predict(X))
    assert model.n_groups_ == 0
    assert model.group_coef_.shape == (0, 3)
    residual = y - pooled.predict(X)
    assert model.residual_variance_ == pytest.approx(residual @ residual / (len(y) - 3))
    np.testing.assert_allclose(model.predict(X, groups=np.ones(len(y))), pooled.predict(X))


def test_predict_without_groups_names_three_remedies(model, rows):
    X, y, _ = rows
    for call in (lambda: model.predict(X), lambda: model.score(X, y)):
        with pytest.raises(ValueError, match="groups` must be given") as caught:
            call()
        for remedy in (
            "model.predict(X, groups=groups)",
            "RandomInterceptRegressor(group_by='column').fit(X, y)",
            "model.predict_population(X)",
        ):
            assert remedy in str(caught.value)


def test_new_groups_can_be_refused(model, rows):
    X, _, _ = rows
    strict = clone(model).set_params(new_groups="error").fit(*rows)
    with pytest.raises(ValueError, match="2 are new: 70, 80; 7 are known"):
        strict.predict(X[:4], groups=[70, 1, 80, 70])
    with pytest.raises(ValueError, match=r"20 are new: 100, .*, 109, \.\.\.; 7 are known"):
        strict.predict(X[:20], groups=np.arange(100, 120))


# -------------------------------------------------------------------------- odd but right


def test_one_group(rows):
    X, y, _ = rows
    with pytest.warns(SingularFitWarning, match="only one group, 'a'"):
        model = RandomInterceptRegressor().fit(X, y, groups=np.repeat("a", len(y)))
    np.testing.assert_allclose(model.coef_, LinearRegression().fit(X, y).coef_)
    assert model.theta_ == [0.0]
    assert model.singular_


def test_groups_of_one_row(rows):
    X, y, _ = rows
    with pytest.warns(SingularFitWarning, match="each of the 90 groups has one row"):
        model = RandomInterceptRegressor().fit(X, y, groups=np.arange(len(y)))
    np.testing.assert_allclose(model.coef_, LinearRegression().fit(X, y).coef_)
    assert not model.random_effects_.to_numpy().any()


def test_no_variance_between_groups(rows):
    X, _, groups = rows
    noise = pd.Series(np.random.default_rng(3).normal(size=len(X)))
    y = X[:, 0] + noise - noise.groupby(groups).transform("mean")
    with pytest.warns(SingularFitWarning, match="estimated as exactly 0"):
        model = RandomInterceptRegressor().fit(X, y, groups=groups)
    assert model.icc_ == 0.0
    assert model.singular_
    assert model.converged_


def test_constant_target(rows):
    X, _, groups = rows
    with pytest.warns(SingularFitWarning, match="explain y exactly"):
        model = RandomInterceptRegressor().fit(X, np.full(90, 0.1), groups=groups)
    np.testing.assert_allclose(model.predict(X, groups=groups), 0.1)
    np.testing.assert_allclose(model.coef_, 0, atol=1e-12)
    assert model.residual_variance_ == 0.0


def test_target_explained_exactly(rows):
    X, _, groups = rows
    with pytest.warns(SingularFitWarning, match="explain y exactly"):
        model = RandomInterceptRegressor().fit(X, 3 + X @ [1, 2], groups=groups)
    np.testing.assert_allclose(model.coef_, [1, 2])
    assert model.log_likelihood_ == np.inf


def test_target_explained_exactly_within_groups(rows):
    X, _, groups = rows
    y = X @ [1, 2] + np.sqrt(groups)
    with pytest.warns(ConvergenceWarning, match="within groups y is explained exactly"):
        model = RandomInterceptRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(model.predict(X, groups=groups), y, atol=1e-4)
    assert not model.converged_


@pytest.mark.parametrize("column", [lambda X: X[:, 0], lambda X: np.full(len(X), 7.0)])
def test_dependent_columns_are_named_and_harmless(model, rows, column):
    X, y, groups = rows
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "again": column(X)})
    with pytest.warns(match="rank-deficient: again can be written"):
        other = RandomInterceptRegressor().fit(frame, y, groups=groups)
    np.testing.assert_allclose(other.coef_, [*model.coef_, 0], atol=1e-9)
    assert np.isnan(other.coef_cov_.loc["again", "again"])
    expected = model.predict(X, groups=groups)
    np.testing.assert_allclose(other.predict(frame, groups=groups), expected, atol=1e-9)
    assert other.criterion_ == pytest.approx(model.criterion_, abs=1e-8)


def test_too_few_iterations_leave_the_estimate_so_far(model, rows):
    with pytest.warns(ConvergenceWarning, match="after max_iter=1 iterations"):
        hasty = RandomInterceptRegressor(max_iter=1).fit(*rows)
    assert not hasty.converged_
    np.testing.assert_allclose(hasty.coef_, model.coef_, atol=0.05)


# -------------------------------------------------------------------------- an estimator


def test_clone_pickle_and_parameters(model, rows):
    X, _, groups = rows
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        copy.predict(X, groups=groups), model.predict(X, groups=groups)
    )
    other = clone(RandomInterceptRegressor(group_by="g", method="ml"))
    assert other.get_params()["method"] == "ml"
    assert repr(other) == "RandomInterceptRegressor(group_by='g', method='ml')"
    with pytest.raises(ValueError, match=r"The 'method' parameter .* must be a str among"):
        other.set_params(method="mle").fit(X, X[:, 0], groups=groups)


def test_refitting_forgets_the_first_fit(rows):
    X, y, groups = rows
    frame = pd.DataFrame({"a": X[:, 0], "site": STRINGS[groups]})
    model = RandomInterceptRegressor(group_by="site").fit(frame, y)
    again = model.set_params(group_by=None).fit(X, y, groups=groups)
    fresh = RandomInterceptRegressor().fit(X, y, groups=groups)
    assert sorted(vars(again)) == sorted(vars(fresh))
    np.testing.assert_array_equal(again.coef_, fresh.coef_)


def test_hsb_scores_better_with_schools():
    X, y, school = load_hsb(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=school)
    assert model.score(X, y, groups=school) > 0.25
    assert LinearRegression().fit(X, y).score(X, y) < 0.22


# ------------------------------------------------- the population line, without the groups


@pytest.mark.parametrize(
    "other",
    [
        RandomInterceptRegressor(),
        RandomSlopeRegressor(["a"]),
        FixedEffectsRegressor(),
        PooledRegressor(),
    ],
    ids=lambda other: type(other).__name__,
)
def test_the_population_line_needs_no_group_column(rows, other):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b"])
    frame.insert(1, "site", STRINGS[groups])
    other = clone(other).set_params(group_by="site").fit(frame, y)
    expected = other.predict_population(frame)
    alone = frame[["a", "b"]]
    for table in (alone, pl.from_pandas(alone), dd.from_pandas(alone, npartitions=3)):
        found = np.asarray(other.predict_population(table))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="same order"):
        other.predict_population(frame[["b", "a"]])
    with pytest.raises(ValueError, match="yet now missing:\n- b"):
        other.predict_population(frame[["a", "site"]])


@pytest.mark.parametrize("position", [0, 1, -1])
def test_the_population_line_by_position_or_index(rows, position):
    X, y, groups = rows
    table = np.insert(X, position % 3, groups, axis=1)
    model = RandomInterceptRegressor(group_by=position).fit(table, y)
    expected = model.predict_population(table, return_std=True)
    np.testing.assert_allclose(model.predict_population(X, return_std=True), expected)
    frame = pd.DataFrame(X, pd.Index(groups, name="site"), columns=["a", "b"])
    model = RandomInterceptRegressor(group_by="site").fit(frame, y)
    found = model.predict_population(frame.reset_index(drop=True), return_std=True)
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("labels", [[np.nan, 1.0], [None, 1]])
@pytest.mark.parametrize("kind", [RandomInterceptRegressor, FixedEffectsRegressor])
def test_missing_labels_are_an_error_where_new_ones_are(rows, kind, labels):
    X, y, groups = rows
    model = kind(new_groups="error").fit(X, y, groups=groups)
    with pytest.raises(ValueError, match=r"since new_groups='error', but 1 of 2 are missing"):
        model.predict(X[:2], groups=labels)


def test_weights_that_are_all_below_1_are_no_numbers_of_rows(rows):
    X, y, groups = rows
    with pytest.warns(UserWarning, match=r"the largest is 0\.5: .* rows count as"):
        RandomInterceptRegressor().fit(X, y, groups, sample_weight=np.full(len(y), 0.5))


@pytest.mark.parametrize("group_by", [True, np.False_])
def test_a_column_is_no_truth_value(rows, group_by):
    X, y, _ = rows
    with pytest.raises(ValueError, match="group_by"):
        RandomInterceptRegressor(group_by=group_by).fit(X, y)


def test_an_argument_that_is_none_is_refused_by_the_class():
    with pytest.raises(TypeError, match=r"^RandomInterceptRegressor\.__init__\(\) got"):
        RandomInterceptRegressor(groups="school")
