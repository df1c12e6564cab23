"""Every number that lme4 gives, within the tolerance that a correct solver meets."""

import json
import warnings

import numpy as np
import pytest
from reference_cases import FOLDER, load_cases

from skmixed.exceptions import SingularFitWarning

CASES = load_cases()


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def fitted(request):
    case = request.param
    with warnings.catch_warnings():
        if case.expected["is_singular"]:
            warnings.simplefilter("ignore", SingularFitWarning)
        model = case.estimator.fit(
            case.X, case.y, groups=case.groups, sample_weight=case.sample_weight
        )
    return case, model


def test_there_are_cases():
    assert len(CASES) == 47


def test_criterion(fitted):
    case, model = fitted
    assert model.criterion_ == pytest.approx(case.criterion, abs=1e-6, rel=1e-9)
    assert model.converged_


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("given", ["raw", "normalised"])
def test_the_constant_of_weights(method, given):
    """lme4 was given the weights as they are, and after scaling: its criterion is the same."""
    (case,) = (case for case in CASES if case.name.startswith("v_weights_slope"))
    stored = json.loads((FOLDER / "v_weights_slope" / "criteria.json").read_text())
    theirs, weight = stored[f"{given}_{method}"], case.raw_weight
    scaled = weight / weight.mean()
    model = case.estimator.set_params(method=method)
    model.fit(case.X, case.y, groups=case.groups, sample_weight=scaled)
    constant = np.log(scaled).sum()
    assert abs(constant) > 10
    assert model.criterion_ - constant == pytest.approx(theirs["criterion"], abs=1e-6)
    assert model.aic_ - constant == pytest.approx(theirs["AIC"], abs=1e-6)
    assert model.bic_ - constant == pytest.approx(theirs["BIC"], abs=1e-6)
    mean = weight.mean() if given == "raw" else 1.0
    assert model.residual_variance_ * mean == pytest.approx(theirs["sigma2"], rel=1e-5)


def test_weights_of_another_mean_are_another_model():
    """They count as more rows, so that no constant leads to lme4's criterion."""
    (case,) = (case for case in CASES if case.name.startswith("v_weights_slope"))
    weight = case.raw_weight
    raw, scaled = (
        case.estimator.fit(case.X, case.y, groups=case.groups, sample_weight=w)
        for w in (weight, weight / weight.mean())
    )
    ratio = raw.random_effects_cov_ / scaled.random_effects_cov_
    assert raw.residual_variance_ / scaled.residual_variance_ != pytest.approx(
        weight.mean(), rel=1e-3
    )
    assert ratio.iloc[0, 0] != pytest.approx(1, rel=1e-3)


def test_information_criteria(fitted):
    case, model = fitted
    shift = case.criterion - case.expected["criterion"]
    assert model.aic_ - shift == pytest.approx(case.expected["AIC"], abs=1e-6, rel=1e-9)
    assert model.bic_ - shift == pytest.approx(case.expected["BIC"], abs=1e-6, rel=1e-9)
    expected = case.expected["logLik"] - shift / 2
    assert model.log_likelihood_ == pytest.approx(expected, abs=1e-6, rel=1e-9)


def test_fixed_effects_and_standard_errors(fitted):
    case, model = fitted
    names = case.model["fixed"]
    se = np.array([case.expected["se"][name] for name in names])
    beta = np.array([case.expected["fixef"][name] for name in names])
    terms = model.coef_cov_.columns
    found = np.append(model.intercept_, model.coef_)[-len(terms) :]
    assert list(terms[: len(names)]) == names
    np.testing.assert_allclose((found[: len(names)] - beta) / se, 0, atol=1e-5)
    assert not found[len(names) :].any()
    cov = model.coef_cov_.loc[names, names]
    np.testing.assert_allclose(np.sqrt(np.diag(cov)), se, rtol=1e-5)
    scaled = (cov - np.array(case.expected["vcov"])) / np.outer(se, se)
    np.testing.assert_allclose(scaled, 0, atol=1e-5)


def test_variance_components(fitted):
    case, model = fitted
    cov = case.random_cov
    std = np.sqrt(np.diag(cov))
    error = (model.random_effects_cov_ - cov) / np.where(std > 0, np.outer(std, std), 1.0)
    np.testing.assert_allclose(error, 0, atol=1e-4)
    assert model.residual_variance_ == pytest.approx(case.sigma2, rel=1e-4)
    assert model.singular_ == case.expected["is_singular"]
    if case.raw_weight is None and not model.singular_:
        theta = case.expected["theta"]
        np.testing.assert_allclose(model.theta_, theta, rtol=1e-4, atol=1e-4 * max(theta))


def test_random_effects(fitted):
    case, model = fitted
    assert model.n_groups_ == case.model["n_groups"][case.random["group"]]
    assert list(model.random_effects_.columns) == case.random["columns"]
    expected = case.random_effects(model.groups_)
    std = np.sqrt(np.diag(case.random_cov))
    np.testing.assert_allclose(model.random_effects_, expected, atol=1e-4 * std.min())


def test_pooling_weights(fitted):
    case, model = fitted
    variances = np.diag(model.random_effects_cov_)
    for label, expected in case.conditional_variances(model.groups_).items():
        found = variances * (1 - model.pooling_weights_.loc[label])
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_predictions(fitted):
    case, model = fitted
    head = slice(0, 200)
    X, groups = case.X[head], case.groups[head]
    tolerance = 1e-5 * np.sqrt(case.sigma2)
    np.testing.assert_allclose(
        model.predict(X, groups=groups),
        case.expected["fitted_first200"],
        atol=tolerance,
        rtol=0,
    )
    population = case.expected["population_first200"]
    np.testing.assert_allclose(model.predict_population(X), population, atol=tolerance, rtol=0)
