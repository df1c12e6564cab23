"""What is particular to random slopes; the rest of the contract is shared."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from dense_oracle import dense_solution
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning
from skmixed.inference import likelihood_ratio_test


@pytest.fixture(scope="module")
def rows():
    return make_mixed_regression(
        300,
        3,
        25,
        intercept=3.0,
        slope_variances=[1.0, 0.5, 0.0],
        balanced=False,
        random_state=1,
    )


@pytest.fixture(scope="module")
def model(rows):
    X, y, groups = rows
    return RandomSlopeRegressor([0, 1]).fit(X, y, groups=groups)


@pytest.fixture
def frame(rows):
    X, _, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame.insert(1, "site", groups)
    return frame


# -------------------------------------------------------------------------- estimates


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("random_intercept", [True, False])
@pytest.mark.parametrize("fixed_slopes", [True, False])
def test_agrees_with_the_dense_covariance(
    rows, method, covariance, random_intercept, fixed_slopes
):
    X, y, groups = rows
    model = RandomSlopeRegressor(
        [0, 1],
        method=method,
        covariance=covariance,
        random_intercept=random_intercept,
        fixed_slopes=fixed_slopes,
    ).fit(X, y, groups=groups)
    Z = np.column_stack([np.ones(len(y)), X[:, :2]])[:, 0 if random_intercept else 1 :]
    D = np.column_stack([np.ones(len(y)), X] if fixed_slopes else [np.ones(len(y)), X[:, 2]])
    Psi = model.random_effects_cov_.to_numpy() / model.residual_variance_
    oracle = dense_solution(D, y, Z, groups, Psi, reml=method == "reml")
    assert model.criterion_ == pytest.approx(oracle["criterion"], abs=1e-8)
    assert model.residual_variance_ == pytest.approx(oracle["sigma2"], rel=1e-8)
    np.testing.assert_allclose(model.random_effects_, oracle["b"], atol=1e-8)
    np.testing.assert_allclose(model.predict(X, groups=groups), oracle["fitted"], atol=1e-8)
    estimated = model.coef_cov_.notna().to_numpy().diagonal()
    beta = np.append(model.intercept_, model.coef_)
    np.testing.assert_allclose(beta[estimated], oracle["beta"], atol=1e-8)
    assert not beta[~estimated].any()
    assert estimated.tolist() == [True, fixed_slopes, fixed_slopes, True]


@pytest.mark.parametrize(("method", "covariance"), [("reml", "full"), ("ml", "diag")])
@pytest.mark.parametrize("fixed", [[0], [1], []])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_some_slopes_that_are_fixed_effects(rows, method, covariance, fixed, fit_intercept):
    X, y, groups = rows
    model = RandomSlopeRegressor(
        [1, 0],
        method=method,
        covariance=covariance,
        fixed_slopes=fixed,
        fit_intercept=fit_intercept,
    ).fit(X, y, groups=groups)
    ones = np.ones(len(y))
    D = np.column_stack([ones, X])[:, [*([0] if fit_intercept else []), *np.add(fixed, 1), 3]]
    Z = np.column_stack([ones, X[:, 1], X[:, 0]])
    Psi = model.random_effects_cov_.to_numpy() / model.residual_variance_
    oracle = dense_solution(D.astype(float), y, Z, groups, Psi, reml=method == "reml")
    assert model.criterion_ == pytest.approx(oracle["criterion"], abs=1e-8)
    np.testing.assert_allclose(model.random_effects_, oracle["b"], atol=1e-8)
    np.testing.assert_allclose(model.predict(X, groups=groups), oracle["fitted"], atol=1e-8)
    estimated = model.coef_cov_.notna().to_numpy().diagonal()
    first = [True] if fit_intercept else []
    assert estimated.tolist() == [*first, 0 in fixed, 1 in fixed, True]
    beta = np.array([model.intercept_, *model.coef_])[0 if fit_intercept else 1 :]
    np.testing.assert_allclose(beta[estimated], oracle["beta"], atol=1e-8)
    assert not beta[~estimated].any()
    frame = model.fixed_effects_frame()
    assert frame["std_error"].notna().tolist() == estimated.tolist()
    # near the optimum of these models the criterion is at least as high
    for step in (1e-3, -1e-3):
        near = dense_solution(D, y, Z, groups, Psi * (1 + step), reml=method == "reml")
        assert near["criterion"] >= model.criterion_ - 1e-9


def test_attributes_agree_with_each_other(model, rows):
    _, y, _ = rows
    assert list(model.random_effects_.columns) == ["(Intercept)", "x0", "x1"]
    Lambda = np.zeros((3, 3))
    Lambda.T[np.triu_indices(3)] = model.theta_  # column by column, as in lme4
    cov = model.residual_variance_ * Lambda @ Lambda.T
    np.testing.assert_allclose(model.random_effects_cov_, cov)
    own = model.group_coef_
    np.testing.assert_allclose(own["x0"], model.coef_[0] + model.random_effects_["x0"])
    assert (own["x2"] == model.coef_[2]).all()
    assert model.aic_ == pytest.approx(model.criterion_ + 2 * (4 + 6 + 1))
    assert model.bic_ == pytest.approx(model.criterion_ + np.log(len(y)) * (4 + 6 + 1))
    assert ((model.pooling_weights_ > 0) & (model.pooling_weights_ < 1)).all(axis=None)
    assert not model.singular_


def test_uncorrelated_effects_have_fewer_parameters(rows):
    X, y, groups = rows
    model = RandomSlopeRegressor([0, 1], covariance="diag").fit(X, y, groups=groups)
    assert model.theta_.shape == (3,)
    cov = model.random_effects_cov_.to_numpy()
    assert not (cov - np.diag(np.diag(cov))).any()
    assert model.aic_ == pytest.approx(model.criterion_ + 2 * (4 + 3 + 1))


def test_no_slopes_is_a_random_intercept(rows):
    X, y, groups = rows
    model = RandomSlopeRegressor([]).fit(X, y, groups=groups)
    other = RandomInterceptRegressor().fit(X, y, groups=groups)
    assert model.criterion_ == other.criterion_
    np.testing.assert_array_equal(model.coef_, other.coef_)


def test_weights_count_rows(rows):
    X, y, groups = rows
    w = np.random.default_rng(0).integers(0, 4, len(y))
    times = np.repeat(np.arange(len(y)), w)
    weighted = RandomSlopeRegressor([0]).fit(X, y, groups=groups, sample_weight=w)
    repeated = RandomSlopeRegressor([0]).fit(X[times], y[times], groups=groups[times])
    assert weighted.criterion_ == pytest.approx(repeated.criterion_, abs=1e-8)
    np.testing.assert_allclose(weighted.random_effects_, repeated.random_effects_, atol=1e-6)


# -------------------------------------------------------------------------- units do not matter


def refit(X, y, groups, **options):
    return RandomSlopeRegressor([0], **options).fit(X, y, groups=groups)


@pytest.mark.parametrize("scale", [1e-7, 1e7])
@pytest.mark.parametrize("shift", [0.0, 3.0, 2e4])
def test_scale_and_centre_of_a_slope_column(rows, scale, shift):
    """A year column, a column in nanometres: the fit is that of the tidy column."""
    X, y, groups = rows
    other_X = X.copy()
    other_X[:, 0] = scale * (X[:, 0] + shift)
    one, other = refit(X, y, groups), refit(other_X, y, groups)
    constant = 2 * np.log(scale)  # of log|X'V^-1X|
    assert other.criterion_ - constant == pytest.approx(one.criterion_, abs=1e-6)
    np.testing.assert_allclose(
        other.predict(other_X, groups=groups), one.predict(X, groups=groups), atol=1e-5
    )
    slopes = one.random_effects_["x0"]
    np.testing.assert_allclose(other.random_effects_["x0"] * scale, slopes, atol=1e-5)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_scale_of_y_and_of_columns(rows, covariance):
    X, y, groups = rows
    one = refit(X, y, groups, covariance=covariance)
    other = refit(X * [1e3, 1e-6, 1], 1e-4 * y, groups, covariance=covariance)
    np.testing.assert_allclose(
        other.random_effects_["x0"] * 1e7, one.random_effects_["x0"], atol=1e-6
    )
    assert other.residual_variance_ * 1e8 == pytest.approx(one.residual_variance_, rel=1e-7)


def test_order_of_rows_and_names_of_groups(rows):
    X, y, groups = rows
    order = np.random.default_rng(0).permutation(len(y))
    names = np.array([f"g{i * 7 % 25:02d}" for i in range(25)])
    one = refit(X, y, groups)
    other = refit(X[order], y[order], names[groups][order])
    assert other.criterion_ == pytest.approx(one.criterion_, abs=1e-9)
    renamed = other.random_effects_.loc[names[one.groups_]]
    np.testing.assert_allclose(renamed, one.random_effects_, atol=1e-6)


# -------------------------------------------------------------------------- which columns


@pytest.mark.parametrize(
    "slopes",
    [
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        [0, 2],
        [-4, -2],
        [True, False, True, False],
        np.array([True, False, True, False]),
        make_column_selector("a|b"),
        lambda X: [0, 1],
    ],
    ids=[
        *("list", "tuple", "array", "positions", "negative positions", "list mask"),
        *("array mask", "selector", "function"),
    ],
)
def test_ways_to_name_slopes(model, rows, frame, slopes):
    """With `group_by`, positions and masks count the group column; callables do not see it."""
    _, y, _ = rows
    other = RandomSlopeRegressor(slopes, group_by="site").fit(frame, y)
    assert list(other.random_effects_.columns) == ["(Intercept)", "a", "b"]
    np.testing.assert_allclose(other.random_effects_, model.random_effects_, atol=1e-9)
    expected = model.predict(rows[0], groups=rows[2])
    np.testing.assert_allclose(other.predict(frame), expected, atol=1e-9)


def test_one_slope_by_name_or_position(rows, frame):
    X, y, groups = rows
    expected = RandomSlopeRegressor(0).fit(X, y, groups=groups)
    for slopes in ("a", slice("a", "a")):
        model = RandomSlopeRegressor(slopes, group_by="site").fit(frame, y)
        np.testing.assert_allclose(model.theta_, expected.theta_)


def test_all_slopes_by_default(rows, frame):
    X, y, groups = rows
    with pytest.warns(SingularFitWarning, match="4 random effects of a group vary in 3"):
        model = RandomSlopeRegressor(group_by="site").fit(frame, y)
    assert list(model.random_effects_.columns) == ["(Intercept)", "a", "b", "c"]
    assert model.singular_
    with pytest.warns(SingularFitWarning):
        other = RandomSlopeRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(model.theta_, other.theta_)


def test_order_of_slopes_is_kept(rows, frame, model):
    other = RandomSlopeRegressor(["b", "a"], group_by="site").fit(frame, rows[1])
    assert list(other.random_effects_.columns) == ["(Intercept)", "b", "a"]
    np.testing.assert_allclose(
        other.random_effects_["a"], model.random_effects_["x0"], atol=1e-6
    )


@pytest.mark.parametrize(
    ("slopes", "message"),
    [
        ("d", r"slopes='d' must be feature columns of X, but .* \['a', 'site', 'b', 'c'\]"),
        (["a", "d"], "must be feature columns of X"),
        (4, "must be feature columns of X"),
        ([["a"]], r"slopes=\[\['a'\]\] must be feature columns of X"),
        ([["a", "b"]], "must be feature columns of X"),
        ([{"a": 1}], "must be feature columns of X"),
        (lambda X: [["a"]], r"slopes=\[\['a'\]\] must be feature columns of X"),
        (lambda X: None, "slopes=None must be feature columns of X"),
        ([True, False], "must be feature columns of X"),
        ("site", "must be feature columns of X, .* and 'site' holds the groups"),
        (["a", "a"], "must name each column once"),
        ([0, -4], "must name each column once"),
    ],
)
def test_slopes_that_are_not_there(rows, frame, slopes, message):
    with pytest.raises(ValueError, match=message):
        RandomSlopeRegressor(slopes, group_by="site").fit(frame, rows[1])


@pytest.mark.parametrize(
    "fixed_slopes",
    [
        "b",
        ["b"],
        np.array(["b"]),
        2,
        [-2],
        slice("b", "b"),
        [False, False, True, False],
        make_column_selector("b"),
        lambda X: [1],
    ],
    ids=[
        *("name", "list", "array", "position", "negative position", "slice", "mask"),
        *("selector", "function"),
    ],
)
def test_ways_to_name_fixed_slopes(rows, frame, fixed_slopes):
    """As with `slopes`: positions and masks count the group column, callables do not see it."""
    X, y, groups = rows
    expected = RandomSlopeRegressor([0, 1], fixed_slopes=[1]).fit(X, y, groups=groups)
    options = {"group_by": "site", "fixed_slopes": fixed_slopes}
    found = RandomSlopeRegressor(["a", "b"], **options).fit(frame, y)
    coef = dict(zip(found.feature_names_in_, found.coef_, strict=True))
    assert coef["a"] == 0 != coef["b"]
    assert coef == pytest.approx(dict(zip("abc", expected.coef_, strict=True)) | {"site": 0})
    np.testing.assert_allclose(found.coef_cov_.to_numpy(), expected.coef_cov_, atol=1e-9)


def test_all_or_no_slopes_as_lists(rows):
    X, y, groups = rows
    for flag, listed in [(True, [1, 0]), (np.True_, [0, 1]), (False, []), (np.False_, [])]:
        one = RandomSlopeRegressor([0, 1], fixed_slopes=flag).fit(X, y, groups=groups)
        other = RandomSlopeRegressor([0, 1], fixed_slopes=listed).fit(X, y, groups=groups)
        np.testing.assert_array_equal(one.coef_, other.coef_)
        assert one.criterion_ == other.criterion_


@pytest.mark.parametrize(
    ("fixed_slopes", "message"),
    [
        (
            ["a", "c"],
            r"fixed_slopes=\['a', 'c'\] must name columns of `slopes`, which are "
            r"\['b', 'a'\], but \['c'\] are not among them",
        ),
        ("c", r"but \['c'\] are not among them"),
        ("all", r"but \['c'\] are not among them"),
        (3, r"but \['c'\] are not among them"),
        (["a", "d"], r"fixed_slopes=\['a', 'd'\] must be feature columns of X"),
        ("site", "must be feature columns of X, .* and 'site' holds the groups"),
        (["a", "a"], "fixed_slopes=.* must name each column once"),
    ],
)
def test_fixed_slopes_that_are_no_slopes(rows, frame, fixed_slopes, message):
    model = RandomSlopeRegressor(["b", "a"], group_by="site", fixed_slopes=fixed_slopes)
    with pytest.raises(ValueError, match=message):
        model.fit(frame, rows[1])


def test_fixed_slopes_are_found_wherever_rows_come_from(rows, frame):
    """In batches, from sums, from a pickle, and after another fit."""
    y = rows[1]
    model = RandomSlopeRegressor(["a", "b"], group_by="site", fixed_slopes=["b"])
    expected = clone(model).fit(frame, y)
    batches = clone(model).partial_fit(frame[:120], y[:120]).partial_fit(frame[120:], y[120:])
    sums = GroupedMoments.from_rows(frame, y, slopes=["a", "b", "c"], group_by="site")
    others = [
        batches,
        clone(model).fit_moments(sums),
        pickle.loads(pickle.dumps(expected)),
        clone(model).set_params(fixed_slopes=True).fit(frame, y).set_params(fixed_slopes="b"),
    ]
    others[-1].fit(frame, y)
    for other in others:
        np.testing.assert_allclose(other.coef_, expected.coef_, rtol=1e-7, atol=1e-12)
        assert other.coef_[0] == 0
        assert other.criterion_ == pytest.approx(expected.criterion_, abs=1e-8)
        np.testing.assert_allclose(
            other.predict_interval(frame), expected.predict_interval(frame), rtol=1e-6
        )
    with pytest.raises(ValueError, match="fixed_slopes"):
        batches.set_params(fixed_slopes=["a"]).partial_fit(frame[:9], y[:9])


def test_a_model_with_fewer_fixed_slopes_is_nested(rows):
    X, y, groups = rows
    options = {"slopes": [0, 1], "method": "ml"}
    large = RandomSlopeRegressor(**options).fit(X, y, groups=groups)
    small = RandomSlopeRegressor(fixed_slopes=[0], **options).fit(X, y, groups=groups)
    test = likelihood_ratio_test(small, large)
    assert test.df == 1
    assert test.statistic == pytest.approx(small.criterion_ - large.criterion_)


def test_names_need_a_frame(rows):
    X, y, groups = rows
    with pytest.raises(ValueError, match=r"slopes='a' must be feature columns of X, .* 0 to 2"):
        RandomSlopeRegressor("a").fit(X, y, groups=groups)


def test_nothing_that_varies(rows):
    X, y, groups = rows
    with pytest.raises(ValueError, match="must name a column if random_intercept=False"):
        RandomSlopeRegressor([], random_intercept=False).fit(X, y, groups=groups)


@pytest.mark.parametrize(
    "options",
    [
        {"slopes": 1.5},
        {"covariance": "diagonal"},
        {"random_intercept": 2},
        {"fixed_slopes": None},
    ],
)
def test_bad_parameters(rows, options):
    X, y, groups = rows
    with pytest.raises(ValueError, match=f"The '{next(iter(options))}' parameter"):
        RandomSlopeRegressor(**options).fit(X, y, groups=groups)


# -------------------------------------------------------------------------- predictions


@pytest.mark.parametrize("convert", [np.asarray, pd.DataFrame, sp.csr_array, sp.csc_array])
def test_known_new_and_missing_groups(model, rows, convert):
    X, y, groups = rows
    other = RandomSlopeRegressor([0, 1]).fit(convert(X), y, groups=groups)
    labels = np.array([groups[0], 99, np.nan, groups[3]], dtype=object)
    predicted = other.predict(convert(X[:4]), groups=labels)
    lines = model.group_coef_.loc[[groups[0], groups[3]]].to_numpy()
    own = lines[:, 0] + np.sum(lines[:, 1:] * X[[0, 3]], axis=1)
    np.testing.assert_allclose(predicted[[0, 3]], own, atol=1e-9)
    population = model.intercept_ + X[1:3] @ model.coef_
    np.testing.assert_allclose(predicted[1:3], population, atol=1e-9)


def test_a_group_of_one_row_gets_a_line():
    X, y, groups = load_sleepstudy(return_X_y=True)
    lonely = groups != 308
    lonely |= np.arange(len(y)) == 4
    model = RandomSlopeRegressor("Days").fit(X[lonely], y[lonely], groups=groups[lonely])
    line = model.random_effects_.loc[308]
    assert model.group_sizes_[308] == 1
    assert line.abs().gt(0).all()
    residual = y[4] - model.predict_population(X[4:5])[0]
    assert 0 < (model.predict(X[4:5], groups=[308])[0] - y[4] + residual) / residual < 1
    assert (model.pooling_weights_.loc[308] < model.pooling_weights_.drop(308).min()).all()


@pytest.mark.parametrize(
    "model",
    [
        RandomSlopeRegressor("Days"),
        RandomSlopeRegressor("Days", fixed_slopes=False),
        RandomInterceptRegressor(),
        FixedEffectsRegressor("Days"),
        FixedEffectsRegressor(),
    ],
    ids=str,
)
def test_marginal_effects_are_differences_of_predictions(model):
    X, y, groups = load_sleepstudy(return_X_y=True)
    model.fit(X, y, groups=groups)
    effects = model.marginal_effects("Days", start=2, stop=5)
    days = [pd.DataFrame({"Days": np.full(18, day)}) for day in (2, 5)]
    before, after = (model.predict(day, groups=model.groups_) for day in days)
    np.testing.assert_allclose(effects["total"], after - before)
    before, after = (model.predict_population(day) for day in days)
    np.testing.assert_allclose(effects["population"], after - before)
    np.testing.assert_allclose(effects["group"], effects["total"] - effects["population"])
    pd.testing.assert_index_equal(effects.index, model.groups_)


def test_marginal_effects_without_groups():
    X, y, groups = load_sleepstudy(return_X_y=True)
    pooled = PooledRegressor().fit(X, y, groups=groups)
    expected = pd.DataFrame(
        {"population": 2 * pooled.coef_, "group": 0.0, "total": 2 * pooled.coef_},
        index=pd.Index(["all groups"], name="Subject"),
    )
    pd.testing.assert_frame_equal(pooled.marginal_effects("Days", stop=2), expected)
    with pytest.warns(MissingGroupsWarning):
        model = RandomSlopeRegressor("Days").fit(X, y)
    effects = model.marginal_effects("Days", stop=2)
    assert effects.index.tolist() == ["population"]
    np.testing.assert_allclose(effects, expected)


def test_marginal_effects_of_columns_without_a_coefficient_are_unknown():
    X, y, groups = load_sleepstudy(return_X_y=True)
    table = X.assign(size=groups % 7)
    with pytest.warns(LinAlgWarning, match="No coefficient can be estimated for size"):
        model = FixedEffectsRegressor("Days").fit(table, y, groups=groups)
    assert model.marginal_effects("size")[["population", "total"]].isna().all(axis=None)
    assert model.marginal_effects("Days").notna().all(axis=None)


def test_marginal_effects():
    X, y, groups = load_sleepstudy(return_X_y=True)
    model = RandomSlopeRegressor("Days").fit(X, y, groups=groups)
    effects = model.marginal_effects("Days", start=2, stop=5)
    before, after = (
        model.predict(pd.DataFrame({"Days": np.full(18, day)}), groups=model.groups_)
        for day in (2, 5)
    )
    np.testing.assert_allclose(effects["total"], after - before)
    np.testing.assert_allclose(effects["population"], 3 * model.coef_[0])
    np.testing.assert_allclose(effects["group"], 3 * model.random_effects_["Days"])
    with pytest.raises(ValueError, match=r"column='Day' must be a feature .* \['Days'\]"):
        model.marginal_effects("Day")


# -------------------------------------------------------------------------- odd but right


@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize(
    "column",
    [lambda X: X[:, 0], lambda X: np.zeros(len(X)), lambda X: np.full(len(X), 3.0)],
    ids=["twin", "zeros", "constant"],
)
def test_slopes_that_cannot_be_told_apart_are_named(rows, column, covariance):
    X, y, groups = rows
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "again": column(X)})
    model = RandomSlopeRegressor(["a", "again"], covariance=covariance)
    with (
        pytest.warns(LinAlgWarning, match="rank-deficient: again"),
        pytest.warns(SingularFitWarning, match="random effects of again cannot be told"),
    ):
        model.fit(frame, y, groups=groups)
    without = RandomSlopeRegressor(["a"], covariance=covariance)
    without.fit(frame[["a", "b"]], y, groups=groups)
    assert model.singular_
    assert not model.random_effects_["again"].any()
    assert model.criterion_ == pytest.approx(without.criterion_, abs=1e-7)
    np.testing.assert_allclose(
        model.random_effects_[["(Intercept)", "a"]], without.random_effects_, atol=1e-6
    )
    expected = without.predict(frame[["a", "b"]], groups=groups)
    np.testing.assert_allclose(model.predict(frame, groups=groups), expected, atol=1e-6)


def test_a_slope_of_zeros_alone(rows):
    """As of a dummy column that does not occur in a fold."""
    X, y, groups = rows
    X = np.column_stack([X, np.zeros(len(y))])
    model = RandomSlopeRegressor([3], random_intercept=False)
    with (
        pytest.warns(LinAlgWarning),
        pytest.warns(SingularFitWarning, match="x3 cannot be told"),
    ):
        model.fit(X, y, groups=groups)
    assert model.theta_.tolist() == [0.0]
    pooled = LinearRegression().fit(X, y)
    np.testing.assert_allclose(model.predict(X, groups=groups), pooled.predict(X))


def test_a_constant_slope_without_fixed_effect_is_a_random_intercept(rows):
    """A constant column stands for the intercept only if it is a fixed effect."""
    X, y, groups = rows
    design = np.column_stack([np.ones(len(y)), X])
    options = {"random_intercept": False, "fixed_slopes": False, "fit_intercept": False}
    model = RandomSlopeRegressor([0], **options).fit(design, y, groups=groups)
    other = RandomInterceptRegressor(fit_intercept=False).fit(X, y, groups=groups)
    assert model.coef_[0] == 0.0
    assert model.criterion_ == pytest.approx(other.criterion_, abs=1e-8)


def test_more_random_effects_than_rows(rows):
    X, y, _ = rows
    with pytest.warns(SingularFitWarning, match="There are 600 random effects for 300 rows"):
        RandomSlopeRegressor([0, 1], max_iter=200).fit(X, y, groups=np.arange(300) % 200)


def test_parameters_set_after_fit_do_not_change_predictions(model, rows):
    X, _, groups = rows
    changed = pickle.loads(pickle.dumps(model)).set_params(random_intercept=False)
    np.testing.assert_array_equal(
        changed.predict(X, groups=groups), model.predict(X, groups=groups)
    )


def test_no_slope_variance_is_exactly_zero(rows):
    X, y, groups = rows
    model = RandomSlopeRegressor([2], covariance="diag")
    rest = y - RandomSlopeRegressor([0, 1]).fit(X, y, groups=groups).predict(X, groups=groups)
    with pytest.warns(SingularFitWarning, match=r"effects of .* is estimated as exactly 0"):
        model.fit(X, rest, groups=groups)
    assert model.singular_
    assert 0.0 in model.theta_
    assert model.converged_


def test_without_groups_it_is_pooled(rows):
    X, y, _ = rows
    with pytest.warns(MissingGroupsWarning):
        model = RandomSlopeRegressor([0]).fit(X, y)
    assert list(model.random_effects_.columns) == ["(Intercept)", "x0"]
    np.testing.assert_allclose(model.predict(X), model.predict_population(X))


def test_one_group_and_groups_of_one_row(rows):
    X, y, _ = rows
    with pytest.warns(SingularFitWarning, match="only one group"):
        model = RandomSlopeRegressor([0]).fit(X, y, groups=np.zeros(len(y)))
    assert not model.random_effects_.to_numpy().any()
    # rows of larger x vary more, so that slopes are determined, and levels in part
    with pytest.warns(SingularFitWarning, match="intercept and slope of x0 are perfectly"):
        model = RandomSlopeRegressor([0]).fit(X, y, groups=np.arange(len(y)))
    assert model.singular_


def test_exact_lines_within_groups(rows):
    X, _, groups = rows
    own = np.random.default_rng(0).normal(size=(25, 2))[groups]
    y = own[:, 0] + own[:, 1] * X[:, 0]
    with pytest.warns(ConvergenceWarning, match="within groups y is explained exactly"):
        model = RandomSlopeRegressor([0]).fit(X, y, groups=groups)
    np.testing.assert_allclose(model.predict(X, groups=groups), y, atol=1e-3)


def test_too_few_iterations(rows):
    X, y, groups = rows
    with pytest.warns(ConvergenceWarning, match="after max_iter=1 iterations"):
        model = RandomSlopeRegressor([0], max_iter=1).fit(X, y, groups=groups)
    assert np.isfinite(model.criterion_)


def test_clone_and_pickle(model, rows):
    X, _, groups = rows
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        copy.predict(X, groups=groups), model.predict(X, groups=groups)
    )
    assert repr(clone(model)) == "RandomSlopeRegressor(slopes=[0, 1])"


def test_summary_shows_correlations(rows):
    X, y, groups = load_sleepstudy(return_X_y=True)
    summary = RandomSlopeRegressor("Days").fit(X, y, groups=groups).summary()
    components = summary.variance_components
    assert components.loc[("Subject", "Days"), "corr (Intercept)"] == pytest.approx(
        0.066, abs=5e-4
    )
    assert "nan" not in str(summary).lower()
    assert "NaN" not in summary._repr_html_()
    diag = RandomSlopeRegressor("Days", covariance="diag").fit(X, y, groups=groups).summary()
    assert list(diag.variance_components.columns) == ["variance", "std_dev"]
    X, y, groups = rows
    three = RandomSlopeRegressor([0, 1]).fit(X, y, groups=groups).summary().variance_components
    assert list(three.columns)[2:] == ["corr (Intercept)", "corr x0"]


@pytest.mark.parametrize("offset", [3e5, -2e7, 1.7e9])
def test_uncorrelated_slopes_of_a_column_far_from_zero_are_refused(rows, offset):
    X, y, groups = rows
    model = RandomSlopeRegressor([1], covariance="diag").fit(X, y, groups=groups)
    before = model.criterion_
    with pytest.raises(ValueError, match=r"slope column 1 has the mean .* Centre it"):
        model.fit(X + np.array([0.0, offset, 0.0]), y, groups=groups)
    assert model.criterion_ == before


@pytest.mark.parametrize("offset", [10.0, 100.0, 300.0])
def test_uncorrelated_slopes_of_a_column_away_from_zero(rows, offset):
    """The covariance matrix built at one zero is that at another with a correlation."""
    X, y, groups = rows
    y = y + 5.0 * np.random.default_rng(0).normal(size=25)[groups] * X[:, 1]
    model = RandomSlopeRegressor([1], covariance="diag", method="ml")
    model.fit(X + np.array([0.0, offset, 0.0]), y, groups=groups)
    Z = np.column_stack([np.ones(len(y)), X[:, 1]])
    back = np.array([[1.0, offset], [0.0, 1.0]])  # levels at the column's own zero
    Psi = back @ model.random_effects_cov_.to_numpy() @ back.T / model.residual_variance_
    same = groups[:, None] == groups
    V = np.eye(len(y)) + same * (Z @ Psi @ Z.T)
    solved = np.linalg.solve(V, np.column_stack([np.ones(len(y)), X, y]))
    D = np.column_stack([np.ones(len(y)), X])
    beta = np.linalg.solve(D.T @ solved[:, :-1], D.T @ solved[:, -1])
    r2 = (y - D @ beta) @ (solved[:, -1] - solved[:, :-1] @ beta)
    criterion = np.linalg.slogdet(V)[1] + len(y) * (1 + np.log(2 * np.pi * r2 / len(y)))
    np.testing.assert_allclose(model.criterion_, criterion, rtol=1e-7)
