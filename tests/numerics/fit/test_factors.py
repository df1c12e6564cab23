"""Fits with several factors: against lme4, submodels, and themselves written otherwise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from nested_and_crossed import STRUCTURES, Rows, make_rows
from reference_cases import load_factors_cases, moments_of_factors

from skmixed._numerics.fit.factors import FactorFit, LostDigitsError
from skmixed._numerics.fit.fit import Fit, Specification
from skmixed._numerics.fit.problem_of_factors import OneRowPerLevelError, SameLevelsError
from skmixed._numerics.inference.degrees_of_freedom import kenward_roger
from skmixed._numerics.inference.degrees_of_freedom_of_factors import (
    satterthwaite_of_factors,
    variance_uncertainty,
)
from skmixed._numerics.inference.prediction_of_factors import predict_rows
from skmixed._numerics.moments.cells import FactorMoments

CASES = load_factors_cases()


def fit_case(case):
    moments, specifications, labels = moments_of_factors(case)
    return FactorFit.of(moments, specifications, tol=1e-8, max_iter=100), labels


@pytest.fixture(scope="module", params=CASES, ids=[case.name for case in CASES])
def fitted(request):
    return request.param, *fit_case(request.param)


def test_there_are_all_cases():
    assert len(CASES) == 14


def test_criterion_and_fixed_effects_are_those_of_lme4(fitted):
    case, fit, _ = fitted
    solution, expected = fit.solution, case.expected
    assert solution.criterion == pytest.approx(case.criterion, abs=1e-6, rel=1e-9)
    se = case.terms(expected["se"])
    np.testing.assert_allclose(
        solution.beta / se, case.terms(expected["fixef"]) / se, atol=1e-5, rtol=0
    )
    np.testing.assert_allclose(np.sqrt(np.diag(solution.beta_cov)), se, rtol=1e-5)
    assert solution.sigma2 == pytest.approx(case.sigma2, rel=1e-5)


def test_variances_and_modes_are_those_of_lme4(fitted):
    case, fit, labels = fitted
    solution = fit.solution
    parts = zip(labels, solution.Lambdas, solution.b, solution.posterior, strict=True)
    for factor, Lambda, b, posterior in parts:
        cov = case.cov(factor)
        sd = np.sqrt(np.diag(cov))
        unit = np.where(sd > 0, sd, np.sqrt(solution.sigma2))
        mine = solution.sigma2 * Lambda @ Lambda.T
        np.testing.assert_allclose(
            mine / np.outer(unit, unit), cov / np.outer(unit, unit), atol=1e-5
        )
        modes = case.random_effects(factor, labels[factor]).reshape(b.T.shape)
        np.testing.assert_allclose(b.T / unit, modes / unit, atol=1e-5)
        for label, stored in case.expected["ranef_postvar"][factor].items():
            variances = np.diag(np.array(stored, dtype=float).reshape(len(b), len(b)))
            j = np.searchsorted(labels[factor], label)
            np.testing.assert_allclose(np.diag(posterior[..., j]), variances, rtol=1e-5)


def test_theta_is_that_of_lme4(fitted):
    case, fit, _ = fitted
    if case.expected["is_singular"]:
        assert any(fit.singular)
        return
    assert not any(fit.singular)
    # lme4 has the factors of most levels first, and sigma2 for the raw weights
    weight = 1.0 if case.raw_weight is None else case.raw_weight.mean()
    mine = np.sort(fit.solution.theta) / np.sqrt(weight)
    np.testing.assert_allclose(mine, np.sort(case.expected["theta"]), rtol=1e-4, atol=1e-6)


def test_predictions_are_those_of_lme4(fitted):
    case, fit, labels = fitted
    stored = case.expected["predict_new"]
    rows = pd.DataFrame(stored["rows"])
    levels = []
    for factor, known in labels.items():
        label = rows[factor].astype(str).to_numpy()
        position = np.searchsorted(known, label).clip(max=len(known) - 1)
        levels.append(np.where(known[position] == label, position, -1))
    mean, variance = predict_rows(fit, rows[case.X.columns].to_numpy(dtype=float), levels)
    np.testing.assert_allclose(mean, stored["mean"], rtol=1e-6)
    np.testing.assert_allclose(variance, stored["var_mean"], rtol=1e-5)


def test_degrees_of_freedom_are_those_of_lmertest_and_pbkrtest(fitted):
    case, fit, _ = fitted
    expected, coordinates = case.expected, fit.problem.coordinates
    if expected.get("satterthwaite"):
        df = satterthwaite_of_factors(fit.criterion, fit.optimum.Lambdas, coordinates.backmap)
        stored = {name: row["df"] for name, row in expected["satterthwaite"].items()}
        np.testing.assert_allclose(df, case.terms(stored), rtol=1e-5)
    if expected.get("kenward_roger"):
        uncertainty = variance_uncertainty(fit.criterion, fit.optimum.Lambdas)
        df, variances = kenward_roger(uncertainty, coordinates.backmap)
        stored = expected["kenward_roger"]
        np.testing.assert_allclose(
            df, case.terms({name: row["df"] for name, row in stored.items()}), rtol=1e-5
        )
        se = np.sqrt(fit.solution.sigma2 * variances) / coordinates.y_scale
        np.testing.assert_allclose(
            se, case.terms({name: row["se"] for name, row in stored.items()}), rtol=1e-5
        )


def test_few_evaluations_are_enough(fitted):
    _, fit, _ = fitted
    assert fit.optimum.converged
    assert fit.optimum.n_evaluations <= 8


# ----------------------------------------------------------------------- any small data


def fit_rows(rows, **options):
    return FactorFit.of(rows.moments, rows.specifications, tol=1e-8, max_iter=100, **options)


def without(rows, f):
    """The model without one factor."""
    left = [i for i in range(len(rows.codes)) if i != f]
    return replace(
        rows, codes=[rows.codes[i] for i in left], random=[rows.random[i] for i in left]
    )


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("seed", range(6))
def test_is_never_worse_than_a_submodel(structure, seed):
    rows = make_rows(
        structure, "slopes" if seed % 2 else "intercepts", seed=seed, n=40 + 20 * seed
    )
    if seed in (2, 3):  # no effects at all
        noise = np.random.default_rng(seed).normal(size=len(rows.y))
        rows = replace(rows, y=noise)
    fit = fit_rows(rows)
    assert fit.optimum.converged
    assert fit.optimum.n_evaluations <= 45  # with few rows an effect, from several starts
    for f in range(len(rows.codes)):
        fewer = without(rows, f)
        if len(fewer.codes) > 1:
            other = fit_rows(fewer).solution.criterion
        else:
            of = fewer.moments.factors[0]
            other = Fit.of(
                of, rows.specifications[0], tol=1e-8, max_iter=100
            ).solution.criterion
        assert fit.solution.criterion <= other + 1e-6
        if len(rows.random[f]) > 1:
            fewer = replace(rows, random=[*rows.random[:f], (0,), *rows.random[f + 1 :]])
            assert fit.solution.criterion <= fit_rows(fewer).solution.criterion + 1e-6


@pytest.mark.parametrize("structure", STRUCTURES)
def test_gradient_is_0_at_the_optimum_or_leads_out_of_bounds(structure):
    rows = make_rows(structure, "slopes")
    fit = fit_rows(rows)
    for S, Lambda in zip(
        fit.criterion(fit.optimum.Lambdas).S, fit.optimum.Lambdas, strict=True
    ):
        np.testing.assert_allclose(S @ Lambda, 0, atol=1e-3)
        assert np.linalg.eigvalsh(S).min() > -1e-3


@pytest.mark.parametrize("structure", ["crossed", "nested three deep", "partly nested"])
@pytest.mark.parametrize("variant", ["intercepts", "slopes"])
def test_order_and_labels_do_not_matter(structure, variant):
    rows = make_rows(structure, variant)
    rng = np.random.default_rng(5)
    order = rng.permutation(len(rows.y))
    factors = rng.permutation(len(rows.codes))
    codes = [rows.codes[f][order] for f in factors]
    renamed = [rng.permutation(code.max() + 1) for code in codes]
    other = Rows(
        rows.X[order],
        rows.y[order],
        [new[code] for new, code in zip(renamed, codes, strict=True)],
        [rows.random[f] for f in factors],
    )
    one, two = fit_rows(rows).solution, fit_rows(other).solution
    assert two.criterion == pytest.approx(one.criterion, abs=1e-7)
    np.testing.assert_allclose(two.beta, one.beta, rtol=1e-4)
    for f, new, b in zip(factors, renamed, two.b, strict=True):
        np.testing.assert_allclose(b[:, new], one.b[f], atol=1e-3)


@pytest.mark.parametrize("structure", ["crossed", "nested"])
def test_shift_and_scale_of_y_and_x_do_not_matter(structure):
    rows = make_rows(structure)
    one = fit_rows(rows).solution
    scaled = replace(rows, X=rows.X * [10, 0.1] + [1e6, 3], y=1e3 * rows.y - 1e7)
    two = fit_rows(scaled).solution
    np.testing.assert_allclose(two.theta, one.theta, rtol=1e-5)
    np.testing.assert_allclose(two.beta[1:], one.beta[1:] * [1e2, 1e4], rtol=1e-6)
    for b, expected in zip(two.b, one.b, strict=True):
        np.testing.assert_allclose(b, 1e3 * expected, rtol=1e-4, atol=1e-3)


def test_weights_count_rows():
    rows = make_rows("crossed")
    counts = np.random.default_rng(6).integers(0, 4, size=len(rows.y))
    weighted = FactorMoments.from_rows(
        rows.X, rows.y, rows.codes, rows.labels, counts.astype(float), random=rows.random
    )
    again = np.repeat(np.arange(len(rows.y)), counts)
    repeated = Rows(rows.X[again], rows.y[again], [c[again] for c in rows.codes], rows.random)
    one = FactorFit.of(weighted, rows.specifications, tol=1e-8, max_iter=100).solution
    two = fit_rows(repeated).solution
    assert one.criterion == pytest.approx(two.criterion, rel=1e-10)
    np.testing.assert_allclose(one.theta, two.theta, rtol=1e-6)


def test_start_that_is_near_leads_to_the_same_optimum():
    rows = make_rows("partly nested", "slopes")
    fit = fit_rows(rows)
    again = fit_rows(rows, start=fit.solution.Lambdas)
    assert again.solution.criterion == pytest.approx(fit.solution.criterion, abs=1e-8)
    assert again.optimum.n_evaluations <= fit.optimum.n_evaluations


def test_y_that_is_fitted_exactly_has_no_variances():
    rows = make_rows("crossed")
    fit = fit_rows(replace(rows, y=rows.X @ [1.0, 2.0] + 3))
    assert fit.solution.criterion == -np.inf
    assert not any(Lambda.any() for Lambda in fit.solution.Lambdas)
    np.testing.assert_allclose(fit.solution.beta, [3, 1, 2])


# -------------------------------------------------------------------------- what is refused


def test_refuses_factors_that_divide_the_rows_alike():
    rows = make_rows("crossed")
    same = replace(rows, codes=[rows.codes[0], rows.codes[0].max() - rows.codes[0]])
    with pytest.raises(SameLevelsError, match=r"factors 0 and 1 .* the same 7 groups") as error:
        fit_rows(same)
    assert error.value.factors == (0, 1)


def test_refuses_a_factor_with_a_row_for_each_level():
    rows = make_rows("crossed")
    alone = replace(rows, codes=[rows.codes[0], np.arange(len(rows.y))])
    with pytest.raises(OneRowPerLevelError, match="levels of factor 1 has one row") as error:
        fit_rows(alone)
    assert error.value.factor == 1


def test_refuses_moments_without_digits():
    rows = make_rows("crossed")
    far = np.array([1e9, -1e9])[rows.codes[0] % 2]
    with pytest.raises(LostDigitsError, match="carry only"):
        fit_rows(replace(rows, y=far + rows.y))


def test_effects_that_x_absorbs_have_no_variance():
    rows = make_rows("crossed", "slopes")
    one_level = np.zeros(len(rows.y), dtype=np.intp)
    both = replace(rows, codes=[rows.codes[0], one_level], random=[(0,), (0, 1)])
    fit = fit_rows(both)
    assert fit.optimum.converged
    assert not fit.solution.Lambdas[1].any()
    alone = Fit.of(both.moments.factors[0], Specification(), tol=1e-8, max_iter=100)
    assert fit.solution.criterion == pytest.approx(alone.solution.criterion, abs=1e-7)
