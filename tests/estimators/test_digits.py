"""Digits that one pass over the rows cannot see; values are from nlme, lme4 and lm."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut
from sklearn.model_selection import cross_validate as in_a_loop

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import make_mixed_regression
from skmixed.exceptions import SingularFitWarning
from skmixed.model_selection import cross_validate
from skmixed.model_selection._cross_validation import CrossValidation

FOLDER = Path(__file__).parents[1] / "reference" / "digits"


def load(name):
    data = pd.read_csv(FOLDER / f"{name}.csv")
    return data.drop(columns=["y", "g"]), data["y"], data["g"]


def errors(model):
    return np.sqrt(np.diag(model.coef_cov_))[-len(model.coef_) :]


@pytest.mark.parametrize(
    ("name", "model", "coef", "std_error", "variance"),
    [
        (
            "far_levels",
            RandomInterceptRegressor(),
            [0.96559373, 1.03051481],
            [0.03244951, 0.0335328],
            1.02744293,
        ),
        ("far_levels", FixedEffectsRegressor(), [0.96559, 1.03051], [0.03245, 0.03353], 1.0274),
        ("far_groups_y", RandomInterceptRegressor(), [0.034761], [0.179240], 1.049092),
        ("far_groups_y", FixedEffectsRegressor(), [0.034761], [0.179240], 1.049092),
        ("far_groups_x_fixed", FixedEffectsRegressor(), [0.066222], [0.005126], None),
        ("small_residuals", RandomInterceptRegressor(), [4999999.925773], [0.0795], 1.0395),
    ],
)
def test_right_values(name, model, coef, std_error, variance):
    X, y, groups = load(name)
    model.fit(X, y, groups=groups)
    assert np.all(np.abs(model.coef_ - coef) < 2e-4 * np.array(std_error))
    np.testing.assert_allclose(errors(model), std_error, rtol=1e-3)
    if variance is not None:
        assert model.residual_variance_ == pytest.approx(variance, rel=1e-4)


@pytest.fixture
def rows():
    return make_mixed_regression(300, 2, 20, slope_variances=[0.5, 0.0], random_state=0)


MODELS = {
    "intercept": RandomInterceptRegressor(),
    "ml": RandomInterceptRegressor(method="ml"),
    "slope": RandomSlopeRegressor([0]),
    "diagonal": RandomSlopeRegressor([0], covariance="diag"),
    "fixed": FixedEffectsRegressor(),
    "lines": FixedEffectsRegressor([0]),
    "pooled": PooledRegressor(),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [1e5, 1e6, 3e7])
def test_residuals_small_beside_y(rows, model, size):
    """y + size x has the same residuals, and coefficients that are larger by that."""
    X, y, groups = rows
    X = np.round(X * 2**10) / 2**10  # the products are exact, and so is the sum
    y = np.round(y * 2**10) / 2**10
    size = np.round(size)
    one = MODELS[model].__sklearn_clone__().fit(X, y, groups=groups)
    other = MODELS[model].__sklearn_clone__().fit(X, y + size * X[:, 1], groups=groups)
    rounding = 1e-5 * errors(one).max() + size * 1e-15
    np.testing.assert_allclose(other.coef_ - [0.0, size], one.coef_, rtol=0, atol=rounding)
    np.testing.assert_allclose(errors(other), errors(one), rtol=1e-5)
    assert other.residual_variance_ == pytest.approx(one.residual_variance_, rel=1e-5)
    assert other.log_likelihood_ == pytest.approx(one.log_likelihood_, abs=1e-4)


@pytest.mark.parametrize("model", ["fixed", "lines"])
@pytest.mark.parametrize("size", [1e5, 1e8])
def test_levels_far_apart(rows, model, size):
    """Fixed effects take any levels off."""
    X, y, groups = rows
    y = np.round(y * 2**10) / 2**10
    one = MODELS[model].__sklearn_clone__().fit(X, y, groups=groups)
    other = MODELS[model].__sklearn_clone__().fit(X, y + size * groups, groups=groups)
    np.testing.assert_allclose(other.coef_, one.coef_, rtol=0, atol=1e-5 * errors(one).max())
    np.testing.assert_allclose(errors(other), errors(one), rtol=1e-5)
    assert other.residual_variance_ == pytest.approx(one.residual_variance_, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_levels_far_apart_are_the_limit_of_fixed_effects(rows, weighted):
    X, y, groups = rows
    weight = np.random.default_rng(0).integers(0, 3, len(y)) if weighted else None
    far = y + 1e7 * np.random.default_rng(0).normal(size=20)[groups]
    fixed = FixedEffectsRegressor().fit(X, far, groups=groups, sample_weight=weight)
    model = RandomInterceptRegressor().fit(X, far, groups=groups, sample_weight=weight)
    rounding = 1e-5 * errors(fixed).max()
    np.testing.assert_allclose(model.coef_, fixed.coef_, rtol=0, atol=rounding)
    assert model.residual_variance_ == pytest.approx(fixed.residual_variance_, rel=1e-5)
    copy = pickle.loads(pickle.dumps(model))
    frame = copy.fixed_effects_frame()
    np.testing.assert_array_equal(frame, model.fixed_effects_frame())
    np.testing.assert_allclose(frame["std_error"].iloc[1:], errors(fixed), rtol=1e-5)
    near = RandomInterceptRegressor().fit(X, y, groups=groups, sample_weight=weight)
    np.testing.assert_allclose(
        model.predict(X, groups=groups) - far, near.predict(X, groups=groups) - y, atol=2.0
    )


def test_without_an_intercept_a_large_level_is_taken_off():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    x = np.round(rng.uniform(1e6, 2e6, 200))
    rest = np.round(1024 * (rng.normal(size=20)[groups] + rng.normal(size=200))) / 1024
    model = RandomInterceptRegressor(fit_intercept=False)
    expected = model.fit(x[:, None], rest, groups=groups)
    coef, cov = expected.coef_, expected.random_effects_cov_
    other = RandomInterceptRegressor(fit_intercept=False).fit(
        x[:, None], rest + 3 * x, groups=groups
    )
    rounding = 1e-4 * errors(other).max()
    np.testing.assert_allclose(other.coef_ - 3, coef, rtol=0, atol=rounding)
    np.testing.assert_allclose(other.random_effects_cov_, cov, rtol=1e-5)


def one_random_column(X, y, z, groups, theta):
    """REML criterion and residual variance in extended precision, by each group's own line."""
    D = np.column_stack([X, y]).astype(np.longdouble)
    M, log_det = np.zeros((D.shape[1],) * 2, np.longdouble), np.longdouble(0)
    for label in np.unique(groups):
        own, direction = D[groups == label], z[groups == label].astype(np.longdouble)
        size = np.sqrt(direction @ direction)
        line = direction @ own / size
        left = own - np.outer(direction / size, line)
        a = 1 + np.longdouble(theta) ** 2 * size**2
        M += left.T @ left + np.outer(line, line) / a
        log_det += np.log(a)
    for i in range(X.shape[1]):  # what the columns before leave; they need no pivots
        log_det += np.log(M[i, i])
        M[i + 1 :, i + 1 :] -= np.outer(M[i + 1 :, i], M[i, i + 1 :]) / M[i, i]
    dof = len(y) - X.shape[1]
    variance = M[-1, -1] / dof
    return log_det + dof * (1 + np.log(2 * np.pi * variance)), variance


def assert_is_the_minimum(model, X, y, z, groups):
    theta = model.theta_[0]
    lowest, variance = one_random_column(X, y, z, groups, theta)
    for factor in (0.99, 1.01):
        assert one_random_column(X, y, z, groups, factor * theta)[0] > lowest
    assert model.residual_variance_ == pytest.approx(float(variance), rel=1e-4)
    assert model.criterion_ == pytest.approx(float(lowest), abs=1e-3)


@pytest.mark.parametrize("level", [1e5, 1e6, 1e7, 1e8])
def test_without_an_intercept_a_column_may_be_far_from_zero(rows, level):
    X, y, groups = rows
    x = level + X[:, 0]
    y = y - X[:, 0] + 3 * x
    model = RandomInterceptRegressor(fit_intercept=False).fit(x[:, None], y, groups=groups)
    # what is known of the slope is taken off, exactly
    less = y.astype(np.longdouble) - 3 * x.astype(np.longdouble)
    assert_is_the_minimum(model, x[:, None], less, np.ones(len(x)), groups)
    x, y = x.astype(np.longdouble), less
    pooled = PooledRegressor(fit_intercept=False).fit(x[:, None].astype(float), y + 3 * x)
    slope = x @ y / (x @ x)
    assert pooled.coef_[0] - 3 == pytest.approx(float(slope), abs=1e-3 / level)
    variance = np.sum((y - slope * x) ** 2) / (len(y) - 1)
    assert pooled.residual_variance_ == pytest.approx(float(variance), rel=1e-4)


@pytest.mark.parametrize("size", [1e4, 1e6, 1e7, 1e8])
def test_slopes_without_levels_may_be_large(rows, size):
    X, y, groups = rows
    slopes = np.random.default_rng(3).normal(size=groups.max() + 1)
    y = y + size * slopes[groups] * X[:, 0]
    model = RandomSlopeRegressor([0], random_intercept=False).fit(X, y, groups=groups)
    assert_is_the_minimum(model, np.c_[np.ones(len(y)), X], y, X[:, 0], groups)


@pytest.mark.parametrize("size", [1e6, 1e7])
def test_large_slopes_beside_levels_are_said_to_leave_few_digits(rows, size):
    X, y, groups = rows
    slopes = np.random.default_rng(3).normal(size=groups.max() + 1)
    y = y + size * slopes[groups] * X[:, 0]
    with pytest.warns((LinAlgWarning, ConvergenceWarning), match="digits are left of those"):
        RandomSlopeRegressor([0]).fit(X, y, groups=groups)


@pytest.mark.parametrize("distance", [1e4, 1e6, 1e7])
def test_a_slope_column_with_far_levels_does_vary_within_groups(rows, distance):
    X, y, groups = rows
    X = X.copy()
    X[:, 0] += distance * np.random.default_rng(4).normal(size=groups.max() + 1)[groups]
    y = y + 2 * X[:, 0]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        RandomSlopeRegressor([0]).fit(X, y, groups=groups)
    assert not any("not vary within groups" in str(one.message) for one in said)


def test_what_follows_has_the_digits_too():
    X, y, groups = load("small_residuals")
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    size = np.round(model.coef_[0])
    other = RandomInterceptRegressor().fit(X, y - size * X["x"], groups=groups)
    frames = [m.random_effects_frame()[["estimate", "std_error"]] for m in (model, other)]
    np.testing.assert_allclose(*frames, atol=1e-4)
    limits = [m.confint()["lower"].iloc[:2] for m in (model, other)]
    np.testing.assert_allclose(*limits, rtol=1e-4)
    leave_out = model.loo_predict(X, y, groups=groups) - size * X["x"]
    expected = other.loo_predict(X, y - size * X["x"], groups=groups)
    np.testing.assert_allclose(leave_out, expected, atol=1e-4)
    assert model.r2_marginal_ == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["far_levels", "small_residuals", "far_groups_y"])
@pytest.mark.parametrize("model", [RandomInterceptRegressor(), FixedEffectsRegressor()])
def test_cross_validation_is_that_of_the_loop(name, model):
    X, y, groups = load(name)
    model.set_params(group_by="g")
    X = X.assign(g=groups)
    cv = list(GroupKFold(3).split(X, y, groups))
    found = cross_validate(model, X, y, cv=cv, scoring="neg_mean_squared_error")
    expected = in_a_loop(model, X, y, cv=cv, scoring="neg_mean_squared_error")
    np.testing.assert_allclose(found["test_score"], expected["test_score"], rtol=1e-10)


@pytest.fixture(scope="module")
def many_groups():
    X, y, groups = make_mixed_regression(
        480, 2, 120, slope_variances=[2.0, 0.0], random_state=0
    )
    folds = {
        "groups": list(LeaveOneGroupOut().split(X, y, groups))[:4],
        "k-fold": list(KFold(4, shuffle=True, random_state=0).split(X))[:2],
        "group k-fold": list(GroupKFold(4).split(X, y, groups))[:2],
    }
    return X, y, groups, folds


@pytest.mark.parametrize(
    "offsets", [(0, 0), (1e3, 0), (0, 1e3), (1e3, 1e3), (1e5, 1e5), (1e8, 0)]
)
@pytest.mark.parametrize(
    "model",
    [
        RandomInterceptRegressor(),
        RandomInterceptRegressor(fit_intercept=False),
        FixedEffectsRegressor(),
        PooledRegressor(),
        PooledRegressor(fit_intercept=False),
    ],
    ids=lambda model: repr(model).replace("Regressor", ""),
)
def test_cross_validation_is_the_loop_at_any_offset(many_groups, model, offsets):
    assert_folds_are_those_of_the_loop(many_groups, model, *offsets)


def test_cross_validation_of_slopes_is_the_loop_far_from_zero(many_groups):
    assert_folds_are_those_of_the_loop(many_groups, RandomSlopeRegressor([0]), 1e5, 1e5)


def assert_folds_are_those_of_the_loop(many_groups, model, of_y, of_x):
    X, y, groups, folds = many_groups
    X, far = np.column_stack([X + of_x, groups]), y + of_y
    model = model.__sklearn_clone__().set_params(group_by=2)
    given = 4e-16 * (of_y + of_x)  # rounding of a prediction
    for cv in folds.values():
        options = {"cv": cv, "scoring": "neg_root_mean_squared_error"}
        found = cross_validate(model, X, far, **options)["test_score"]
        expected = in_a_loop(model, X, far, **options)["test_score"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * y.std() + given)


@pytest.mark.parametrize("model", ["intercept", "slope", "pooled"])
def test_ordinary_rows_without_an_intercept_are_read_once(many_groups, model, monkeypatch):
    X, y, groups, folds = many_groups
    model = MODELS[model].__sklearn_clone__().set_params(fit_intercept=False, group_by=2)
    monkeypatch.setattr(CrossValidation, "in_the_loop", None)  # an error if it is called
    cross_validate(model, np.column_stack([X + 20, groups]), y + 50, cv=folds["k-fold"])


def test_leave_one_group_out_without_an_intercept(rows):
    X, y, groups = make_mixed_regression(1200, 2, 150, random_state=0)
    X, y = X + 1e4, y + 1e5
    model = RandomInterceptRegressor(fit_intercept=False, group_by=2)
    X = np.column_stack([X, groups])
    cv = list(LeaveOneGroupOut().split(X, y, groups))[:20]
    found = cross_validate(model, X, y, cv=cv)["test_score"]
    np.testing.assert_allclose(found, in_a_loop(model, X, y, cv=cv)["test_score"], rtol=1e-10)


# ------------------------------------------------------- rows that cannot be read again

FEW = r"leave about \d digits of what this fit needs.* reads them a second time"
NOT_ENOUGH = r"leave about \d\.\d digits .* not enough for it.* reads them a second time"


def beyond(rows, kind, size):
    """Rows whose residuals, or groups, are so small or far apart; all products are exact."""
    X, y, groups = rows
    X, y = np.round(X * 2**10) / 2**10, np.round(y * 2**10) / 2**10
    levels = np.random.default_rng(1).integers(-500, 500, 20)[groups] / 2**8
    return X, y + np.round(size) * (X[:, 1] if kind == "small residuals" else levels), groups


@pytest.mark.parametrize("kind", ["small residuals", "far apart"])
@pytest.mark.parametrize("model", ["intercept", "slope", "diagonal"])
@pytest.mark.parametrize("size", [1e4, 3e5, 1e6, 3e6, 1e8])
def test_sums_give_a_right_result_or_none(rows, kind, model, size):
    """Those that warn of few digits have them; those that have none are refused."""
    X, y, groups = beyond(rows, kind, size)
    expected = MODELS[model].__sklearn_clone__().fit(X, y, groups=groups)
    moments = GroupedMoments.from_rows(X, y, groups, slopes=[0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = MODELS[model].__sklearn_clone__().fit_moments(moments)
        except ValueError as error:
            found, refusal = None, str(error)
    if found is None:
        assert size >= 1e5
        assert re.search(NOT_ENOUGH, refusal)
        return
    assert size < 1e7
    digits = 5
    if caught:
        (message,) = (str(warning.message) for warning in caught)
        assert re.search(FEW, message)
        digits = int(re.search(r"about (\d)", message)[1])
    variance = expected.residual_variance_
    share = 20 * 10.0**-digits  # "about" so many digits
    assert found.residual_variance_ == pytest.approx(variance, rel=share)
    atol = share * errors(expected).max()
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=atol)


def test_sums_with_few_digits_say_how_many(rows):
    X, y, groups = beyond(rows, "small residuals", 1e6)
    with pytest.warns(LinAlgWarning, match=FEW):
        RandomInterceptRegressor().fit_moments(GroupedMoments.from_rows(X, y, groups))
    model = RandomInterceptRegressor().partial_fit(X, y, groups=groups)
    with pytest.warns(LinAlgWarning, match=FEW):
        assert len(model.coef_) == 2


def test_batches_may_lack_digits_until_others_come():
    rng = np.random.default_rng(0)
    X, groups = np.round(rng.normal(size=(200, 1)), 3), np.repeat(np.arange(20), 10)
    y = np.round(rng.normal(size=20)[groups] + rng.normal(size=200), 3)
    size = np.where(np.arange(200) < 100, 1e-7, 1e7)  # of residuals: none to see, then all
    y = 1000 * X[:, 0] + size * y
    model = RandomInterceptRegressor().partial_fit(X[:100], y[:100], groups=groups[:100])
    assert not hasattr(model, "coef_")
    with pytest.raises(NotFittedError, match=NOT_ENOUGH):
        model.predict(X, groups=groups)
    model.partial_fit(X[100:], y[100:], groups=groups[100:])
    expected = RandomInterceptRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


def test_sums_that_are_refused_leave_a_model_as_it_was(rows):
    X, y, groups = rows
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    before = vars(model).copy()
    far = GroupedMoments.from_rows(X[:, :1], y + 1e9 * X[:, 0], groups)
    with pytest.raises(ValueError, match=NOT_ENOUGH):
        model.fit_moments(far)
    assert vars(model) == before


def test_an_exact_fit_is_not_claimed_of_sums():
    """Rows say that y is explained; sums cannot tell that from residuals of 1e-9."""
    X, groups = np.arange(60.0)[:, None] % 17, np.repeat(np.arange(6), 10)
    y = 3 * X[:, 0] + 1
    with pytest.warns(SingularFitWarning, match="explain y exactly"):
        RandomInterceptRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="explains y exactly, which cannot be told"):
        RandomInterceptRegressor().fit_moments(GroupedMoments.from_rows(X, y, groups))


# --------------------------------------------------------------------- the least criterion


def test_no_minimum_of_a_submodel_is_missed():
    X, y, groups = load("missed_minimum")
    model = RandomSlopeRegressor(covariance="diag", method="ml")
    with pytest.warns(SingularFitWarning):
        model.fit(X, y, groups=groups)
    assert model.criterion_ == pytest.approx(83.89239, abs=1e-4)
    np.testing.assert_allclose(model.theta_, [0, 6.02, 0, 0], atol=0.01)


def test_a_limit_just_above_zero():
    groups = np.repeat(np.arange(10), 10)
    errors_in_group = np.tile(np.linspace(-1, 1, 10), 10)
    y = 0.50448 * np.linspace(-1, 1, 10)[groups] + errors_in_group
    model = RandomInterceptRegressor().fit(np.empty((100, 0)), y, groups=groups)
    assert model.confint()["lower"].iloc[0] == pytest.approx(0.006501, abs=1e-6)


@pytest.mark.parametrize("model", ["intercept", "slope", "fixed", "pooled"])
def test_sparse_rows_are_read_again_too(rows, model):
    X, y, groups = rows
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    y = y + 1e7 * X[:, 1]
    options = {"groups": groups, "sample_weight": weight}
    dense = MODELS[model].__sklearn_clone__().fit(X, y, **options)
    kept = weight > 0
    repeated = np.repeat(np.arange(len(y))[kept], weight[kept])
    sparse = MODELS[model].__sklearn_clone__().fit(csr_array(X), y, **options)
    twice = (
        MODELS[model].__sklearn_clone__().fit(X[repeated], y[repeated], groups=groups[repeated])
    )
    for other in (sparse, twice):
        np.testing.assert_allclose(other.coef_, dense.coef_, rtol=0, atol=1e-7)
        assert other.residual_variance_ == pytest.approx(dense.residual_variance_, rel=1e-5)


def test_tests_and_limits_of_slopes_with_levels_far_apart():
    """Only the variance between levels, and what follows for the intercept, change."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 40)
    x, slopes = rng.normal(size=(1200, 1)), rng.normal(0, 0.3, 30)
    y = (
        (1.5 + slopes[groups]) * x[:, 0]
        + rng.normal(0, 0.01, 1200)
        + rng.normal(size=30)[groups]
    )
    levels = rng.integers(-5, 5, 30)[groups]
    df, limits = [], []
    for distance in (0, 1e3, 1e6):
        model = RandomSlopeRegressor(0).fit(x, y + distance * levels, groups=groups)
        df.append(model.fixed_effects_frame()["df"])
        limits.append(model.confint().loc[["sd_x0|group", "sigma", "x0"]])
    for far in (1, 2):
        np.testing.assert_allclose(df[far], df[0], rtol=1e-4)
        np.testing.assert_allclose(limits[far], limits[0], rtol=1e-4)
