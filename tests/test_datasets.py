import numpy as np
import pytest

from skmixed import RandomInterceptRegressor
from skmixed.datasets import load_hsb, load_mep_staff, load_sleepstudy, make_mixed_regression


@pytest.mark.parametrize(
    ("load", "shape", "n_groups"),
    [
        (load_sleepstudy, (180, 3), 18),
        (load_hsb, (7185, 7), 160),
        (load_mep_staff, (6948, 5), 28),
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
