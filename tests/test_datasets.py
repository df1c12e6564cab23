import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
)
from skmixed.datasets import (
    load_bacteria,
    load_epilepsy,
    load_hsb,
    load_mep_staff,
    load_penicillin,
    load_sleepstudy,
    make_mixed_regression,
)

REFERENCE = Path(__file__).parent / "reference"


@pytest.mark.parametrize(
    ("load", "shape", "n_groups"),
    [
        (load_sleepstudy, (180, 3), 18),
        (load_hsb, (7185, 7), 160),
        (load_mep_staff, (6948, 5), 28),
        (load_bacteria, (220, 5), 50),
        (load_epilepsy, (236, 6), 59),
    ],
)
def test_loaders(load, shape, n_groups):
    bunch = load()
    X, y, groups = load(return_X_y=True)
    assert bunch.frame.shape == shape
    assert groups.nunique() == n_groups
    assert list(X.columns) == bunch.feature_names
    assert y.name == bunch.target_name
    assert groups.name == bunch.group_name
    assert bunch.data.equals(X)
    assert not bunch.frame.isna().any(axis=None)
    assert bunch.DESCR.startswith("Load ")


def test_mean_ses_is_the_mean_of_ses():
    frame = load_hsb().frame
    means = frame.groupby("school")["ses"].transform("mean")
    np.testing.assert_allclose(frame["mean_ses"], means, atol=1e-9)


def test_generator_is_seeded():
    one, other = (make_mixed_regression(random_state=3) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_generator_makes_y_of_the_truth():
    X, y, groups, truth = make_mixed_regression(
        500,
        2,
        9,
        coef=[1, -2],
        intercept=4,
        slope_variances=[0, 3],
        residual_variance=0,
        balanced=False,
        return_truth=True,
        random_state=0,
    )
    own = truth.random_effects[groups]
    expected = 4 + own[:, 0] + X[:, 0] * (1 + own[:, 1]) + X[:, 1] * (-2 + own[:, 2])
    np.testing.assert_allclose(y, expected)
    assert not truth.random_effects[:, 1].any()
    sizes = np.bincount(groups, minlength=9)
    assert sizes[0] > 3 * sizes[-1]


def test_generator_is_balanced_by_default():
    _, _, groups = make_mixed_regression(103, n_groups=10, random_state=0)
    assert np.ptp(np.bincount(groups)) == 1
    assert np.any(np.diff(groups) < 0)


def test_generated_truth_is_recovered():
    X, y, groups, truth = make_mixed_regression(
        40_000,
        2,
        2000,
        intercept_variance=2.0,
        residual_variance=0.5,
        return_truth=True,
        random_state=0,
    )
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(model.coef_, truth.coef, atol=0.02)
    assert model.residual_variance_ == pytest.approx(0.5, rel=0.03)
    assert model.random_effects_cov_.to_numpy() == pytest.approx(2.0, rel=0.1)


def test_generator_refuses_coefficients_of_another_number():
    with pytest.raises(ValueError, match=r"`coef` must have shape \(3,\), but got \(2,\)"):
        make_mixed_regression(coef=[1, 2])


def test_penicillin_is_balanced_and_crossed():
    bunch = load_penicillin()
    X, y, groups = load_penicillin(return_X_y=True)
    assert bunch.frame.shape == (144, 3)
    assert X.shape == (144, 0)
    assert list(groups) == bunch.group_names == ["plate", "sample"]
    assert not groups.duplicated().any()
    assert (groups.nunique() == [24, 6]).all()
    assert bunch.groups.equals(groups)
    assert bunch.target.equals(y)
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    of_sample = [2.187058, -1.010476, 1.937900, -0.096895, -0.013842, -3.003745]  # lme4's
    np.testing.assert_allclose(
        model.random_effects_["sample"]["(Intercept)"], of_sample, atol=2e-5
    )
    assert model.criterion_ == pytest.approx(330.860589, abs=1e-6)


OF_SEVERAL = {
    "n_features": 2,
    "slope_variances": {"a": 0.0, "b": [0.5, 0.0]},
    "intercept_variance": {"a": 1.0, "b": 4.0},
    "residual_variance": 0,
    "return_truth": True,
    "random_state": 0,
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("balanced", [False, True])
def test_generator_adds_up_the_effects_of_several_factors(nested, balanced):
    n_groups = {"a": 6, "b": 4}
    options = OF_SEVERAL | {"nested": nested, "balanced": balanced}
    X, y, groups, truth = make_mixed_regression(503, n_groups=n_groups, **options)
    expected = truth.intercept + X @ truth.coef
    for name, effects in truth.random_effects.items():
        own = effects[groups[name]]
        expected += own[:, 0] + np.sum(X * own[:, 1:], axis=1)
    np.testing.assert_allclose(y, expected)
    n_levels = 24 if nested else 4
    assert truth.random_effects["b"].shape == (n_levels, 3)
    assert not truth.random_effects["a"][:, 1:].any()
    assert not truth.random_effects["b"][:, 2].any()
    sizes = np.bincount(groups["b"], minlength=n_levels)
    assert np.ptp(sizes) <= 1 if balanced else sizes[0] > 3 * sizes[-1]
    pairs = groups.drop_duplicates()
    assert len(pairs) == 24
    if nested:
        assert pairs["b"].is_unique
    assert truth.intercept_variance == {"a": 1.0, "b": 4.0}


def test_a_tuple_of_groups_is_a_dictionary_without_names():
    options = {"random_state": 3, "return_truth": True}
    _, y, groups, truth = make_mixed_regression(
        100, n_groups=(5, 4), intercept_variance=(1.0, 0.5), **options
    )
    named = make_mixed_regression(
        100,
        n_groups={"a": 5, "b": 4},
        intercept_variance={"a": 1.0, "b": 0.5},
        **options,
    )
    np.testing.assert_array_equal(y, named[1])
    assert isinstance(groups, np.ndarray)
    pd.testing.assert_frame_equal(named[2], pd.DataFrame(groups, columns=["a", "b"]))
    assert list(truth.random_effects) == ["group0", "group1"]


def test_variances_of_several_factors_are_recovered():
    X, y, groups = make_mixed_regression(
        20_000,
        n_groups={"a": 500, "b": 200},
        intercept_variance={"a": 2.0, "b": 0.5},
        random_state=0,
    )
    cov = RandomInterceptRegressor().fit(X, y, groups=groups).random_effects_cov_
    assert cov["a"].iloc[0, 0] == pytest.approx(2.0, rel=0.15)
    assert cov["b"].iloc[0, 0] == pytest.approx(0.5, rel=0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": (5, 0)}, "above 0 for each factor, but got {.*'group1': 0}"),
        ({"n_groups": {}}, "for each factor, but got {}"),
        ({"n_groups": (5, 4), "intercept_variance": (1,)}, r"2 factors, .*, but got \(1,\)"),
        ({"n_groups": (5, 4), "intercept_variance": (1, -1)}, "must be at least 0"),
        ({"n_groups": {"a": 5}, "slope_variances": {"b": 1}}, r"\['a'\], but got \['b'\]"),
    ],
)
def test_generator_refuses_what_does_not_fit_the_factors(options, message):
    with pytest.raises(ValueError, match=message):
        make_mixed_regression(**options)


def check_fit(case, model):
    """Compare a fit with 9 nodes with glmer's."""
    expected = json.loads((REFERENCE / case / "expected.json").read_text())["expected"]["9"]
    np.testing.assert_allclose(
        [model.intercept_, *model.coef_],
        [*expected["fixef"].values()],
        atol=2e-3 * min(expected["se"].values()),
    )
    assert model.theta_[0] == pytest.approx(expected["theta"], rel=1e-3)


def test_bacteria_have_the_fit_of_glmer():
    X, y, child = load_bacteria(return_X_y=True)
    X = X[["drug"]].assign(late=X["week"] > 2)
    check_fit("g_bacteria", RandomInterceptClassifier().fit(X, y, groups=child))


def test_epilepsy_has_the_fit_of_glmer():
    X, y, patient = load_epilepsy(return_X_y=True)
    logs = np.log(X[["base", "age"]])
    logs -= logs.mean()  # as the reference has them
    X = X.assign(last=X["period"] == 4, log_base=logs["base"], log_age=logs["age"])
    X = X[["log_base", "drug", "log_age", "last"]]
    check_fit("g_epil_poisson", RandomInterceptPoissonRegressor().fit(X, y, groups=patient))
