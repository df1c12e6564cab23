"""Profile-likelihood limits with several factors: by dense refits, and their derivatives."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from nested_and_crossed import make_rows, some_lambdas
from profile_of_factors_oracle import DenseFactors
from scipy.stats import chi2

from skmixed._numerics.inference.profile.coordinates import (
    AngleCoordinates,
    CovarianceCoordinates,
    LengthCoordinates,
)
from skmixed._numerics.inference.profile.likelihood_of_factors import SeveralFactors
from skmixed._numerics.inference.profile.limits import profile_limits_of_factors

LEVEL = 0.9


def coordinates_of(kind, likelihood):
    f = len(likelihood.by_factor) - 1
    rows = likelihood.by_factor[f].random_backmap
    match kind:
        case "length":
            return LengthCoordinates.ending_with(rows[1], f, likelihood)
        case "angle":
            return AngleCoordinates.starting_with(rows[:2], f, likelihood)
    return CovarianceCoordinates.plain(likelihood)


@pytest.mark.parametrize(
    ("structure", "variant", "kind"),
    [
        ("crossed", "intercepts", "plain"),
        ("nested three deep", "intercepts", "plain"),
        ("three crossed", "uncorrelated", "plain"),
        ("crossed", "slopes", "length"),
        ("crossed, the larger first", "slope of one", "length"),
        ("nested", "slopes", "angle"),
        ("crossed", "slope of one", "angle"),
        ("components", "weights", "plain"),
    ],
)
def test_derivatives_in_the_coordinates_agree_with_finite_differences(structure, variant, kind):
    rows = make_rows(structure, variant)
    criterion = rows.criterion
    likelihood = SeveralFactors(type(criterion)(criterion.problem, reml=False))
    coordinates = coordinates_of(kind, likelihood)
    Lambdas = rows.scaled(criterion, some_lambdas(rows))
    phi = coordinates.phi(Lambdas, 0.3)
    L, sigma2 = coordinates.factors(phi)
    assert sigma2 == pytest.approx(0.3)
    for L_f, W, Lambda in zip(L, coordinates.W, Lambdas, strict=True):
        expected = 0.3 * W @ Lambda @ Lambda.T @ W.T
        np.testing.assert_allclose(L_f @ L_f.T, expected, atol=1e-12)
    at, h = coordinates(phi), 1e-6 * np.eye(len(phi))
    steps = [(coordinates(phi + step), coordinates(phi - step)) for step in h]
    gradient = [(up.value - down.value) / 2e-6 for up, down in steps]
    hessian = [(up.gradient - down.gradient) / 2e-6 for up, down in steps]
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(at.hessian, hessian, rtol=1e-5, atol=1e-3)


def each_limit(limits, dense):
    """Yield names of limits, the limits, what holds them, and where they may end."""
    for side in (0, 1):
        for k, limit in enumerate(limits[0].fixed[:, side]):
            yield f"fixed {k}", limit, {"fixed": (k, limit)}, None
        sigma = limits[0].sigma[side]
        yield "sigma", sigma, {"held": (dense.n_parameters - 1, np.log(sigma))}, None
        for f, of in enumerate(limits):
            for i, sd in enumerate(of.sd[:, side]):
                with np.errstate(divide="ignore"):
                    held = dense.position(f, i), max(np.log(sd), -12)
                yield f"sd {f} {i}", sd, {"held": held}, 0.0
            if len(of.sd) == 2:
                cor = of.correlation[0, 1, side]
                held = dense.position(f, 2), np.arccos(cor)
                yield f"cor {f}", cor, {"held": held}, 2.0 * side - 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("structure", "variant", "seed"),
    [
        ("crossed", "intercepts", 0),
        ("crossed", "intercepts", 1),
        ("nested", "intercepts", 0),
        ("two and their pairs", "intercepts", 0),
        ("crossed", "slope of one", 2),
    ],
)
def test_a_refit_with_a_limit_held_is_as_bad_as_may_be(structure, variant, seed):
    rows = make_rows(structure, "intercepts", seed=seed, n=60, shift=0.0)
    if variant == "slope of one":
        rows = type(rows)(rows.X, rows.y, rows.codes, [(0,), (0, 1)])
    dense = DenseFactors(rows.columns, rows.y, rows.Z, rows.codes)
    limits = profile_limits_of_factors(rows.criterion.problem, level=LEVEL)
    assert limits[0].converged
    bound = dense.least() + chi2.ppf(LEVEL, 1)
    for name, limit, held, border in each_limit(limits, dense):
        rise = dense.least(**held) - bound
        if border is not None and limit == border:
            assert rise < 1e-3, name
        else:
            assert abs(rise) < 2e-3, (name, limit)


@pytest.mark.slow
def test_limits_do_not_depend_on_order_of_factors_or_units():
    rows = make_rows("three crossed", n=70)
    one = profile_limits_of_factors(rows.criterion.problem, level=LEVEL)
    turned = type(rows)(1e3 * rows.X, 10 * rows.y, rows.codes[::-1], rows.random)
    other = profile_limits_of_factors(turned.criterion.problem, level=LEVEL)
    np.testing.assert_allclose(other[0].sigma, 10 * one[0].sigma, rtol=1e-5)
    for of, again in zip(one, other[::-1], strict=True):
        np.testing.assert_allclose(again.sd, 10 * of.sd, rtol=1e-4)
    np.testing.assert_allclose(other[0].fixed[1:], 1e-2 * one[0].fixed[1:], rtol=1e-4)


@pytest.mark.slow
def test_a_weight_is_a_number_of_rows():
    rows = make_rows("crossed", n=50)
    weights = np.random.default_rng(1).integers(1, 4, len(rows.y))
    weighted = replace(rows, weights=weights.astype(float))
    i = np.repeat(np.arange(len(rows.y)), weights)
    repeated = replace(rows, X=rows.X[i], y=rows.y[i], codes=[code[i] for code in rows.codes])
    one, other = (
        profile_limits_of_factors(some.criterion.problem, level=LEVEL)
        for some in (weighted, repeated)
    )
    for part in ("fixed", "sigma", "sd"):
        np.testing.assert_allclose(getattr(one[1], part), getattr(other[1], part), rtol=1e-5)


@pytest.mark.slow
def test_a_wider_level_has_wider_limits():
    rows = make_rows("crossed", n=80)
    narrow, wide = (
        profile_limits_of_factors(rows.criterion.problem, level=level) for level in (0.5, 0.95)
    )
    for f, part in product(range(2), ("fixed", "sd", "sigma")):
        inner, outer = getattr(narrow[f], part), getattr(wide[f], part)
        assert np.all(outer[..., 0] <= inner[..., 0])
        assert np.all(outer[..., 1] >= inner[..., 1])


def test_a_model_that_runs_off_has_no_limits():
    rows = make_rows("crossed")
    exact = type(rows)(rows.X, rows.X @ [1.0, 2.0], rows.codes, rows.random)
    for limits in profile_limits_of_factors(exact.criterion.problem, level=LEVEL):
        assert np.all(np.isnan(limits.sigma))
        assert np.all(np.isnan(limits.fixed))
