"""Every number that lme4 gives, within the tolerance that a correct solver meets."""

import warnings

import numpy as np
import pytest
from reference_cases import load_cases

from skmixed import RandomInterceptRegressor
from skmixed.exceptions import SingularFitWarning


def is_random_intercept(random):
    return len(random) == 1 and random[0]["columns"] == ["(Intercept)"]


CASES = load_cases(is_random_intercept)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def fitted(request):
    case = request.param
    model = RandomInterceptRegressor(**case.options)
    with warnings.catch_warnings():
        if case.expected["is_singular"]:
            warnings.simplefilter("ignore", SingularFitWarning)
        model.fit(case.X, case.y, groups=case.groups, sample_weight=case.sample_weight)
    return case, model


def test_there_are_cases():
    assert len(CASES) == 24


def test_criterion(fitted):
    case, model = fitted
    assert model.criterion_ == pytest.approx(case.criterion, abs=1e-6, rel=1e-9)
    assert model.converged_


def test_information_criteria(fitted):
    case, model = fitted
    shift = case.criterion - case.expected["criterion"]
    assert model.aic_ - shift == pytest.approx(case.expected["AIC"], abs=1e-6, rel=1e-9)
    assert model.bic_ - shift == pytest.approx(case.expected["BIC"], abs=1e-6, rel=1e-9)
    expected = case.expected["logLik"] - shift / 2
    assert model.log_likelihood_ == pytest.approx(expected, abs=1e-6, rel=1e-9)


def test_fixed_effects_and_standard_errors(fitted):
    case, model = fitted
    se = np.array([case.expected["se"][name] for name in case.model["fixed"]])
    beta = np.array([case.expected["fixef"][name] for name in case.model["fixed"]])
    found = np.append(model.intercept_, model.coef_)[-len(beta) :]
    assert list(model.coef_cov_.columns) == case.model["fixed"]
    np.testing.assert_allclose((found - beta) / se, 0, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(model.coef_cov_)), se, rtol=1e-5)
    scaled = (model.coef_cov_ - np.array(case.expected["vcov"])) / np.outer(se, se)
    np.testing.assert_allclose(scaled, 0, atol=1e-5)


def test_variance_components(fitted):
    case, model = fitted
    cov, sigma2 = case.random_cov, case.sigma2
    np.testing.assert_allclose(model.random_effects_cov_, cov, rtol=1e-4)
    assert model.residual_variance_ == pytest.approx(sigma2, rel=1e-4)
    assert model.icc_ == pytest.approx(cov[0, 0] / (cov[0, 0] + sigma2), rel=1e-4)
    assert model.singular_ == case.expected["is_singular"]


def test_random_effects(fitted):
    case, model = fitted
    assert case.model["n_groups"][case.term] == model.n_groups_
    expected = case.random_effects(model.groups_)
    std = np.sqrt(np.diag(case.random_cov))
    np.testing.assert_allclose(model.random_effects_, expected, atol=1e-4 * std.max())


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
