"""glmer's fits through the surface: what it gives, within what its tolerances leave open."""

import warnings

import numpy as np
import pytest
from reference_cases import load_likelihood_cases

CASES = load_likelihood_cases()


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def fitted(request):
    case = request.param
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Laplace's approximation")
        return case, case.estimator.fit(case.X, case.y, groups=case.groups)


def test_there_are_cases():
    assert len(CASES) == 19


def test_estimates(fitted):
    case, model = fitted
    std_error = case.terms("se")
    found = np.array([model.intercept_, *model.coef_])
    np.testing.assert_array_less(np.abs(found - case.terms("fixef")), 2e-3 * std_error)
    cov = np.array(case.expected["random_effects_cov"])
    size = np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    np.testing.assert_array_less(np.abs(model.random_effects_cov_ - cov), 2e-3 * size)
    assert model.converged_
    assert not model.singular_
    assert model.n_nodes_ == case.nodes


def test_standard_errors(fitted):
    case, model = fitted
    found = np.sqrt(np.diag(model.coef_cov_))
    np.testing.assert_allclose(found, case.terms("se"), rtol=2e-3)
    frame = model.fixed_effects_frame()
    np.testing.assert_array_equal(frame["std_error"], found)


def test_criterion(fitted):
    """No higher than glmer's; for more nodes glmer leaves out a constant of the data."""
    case, model = fitted
    theirs = case.expected["minus_two_log_likelihood"]
    if case.nodes == 1 or case.model["family"] == "binomial":
        assert theirs - 1e-3 < model.criterion_ < theirs + 1e-6
        assert model.aic_ == pytest.approx(case.expected["AIC"], abs=1e-3)
        assert model.bic_ == pytest.approx(case.expected["BIC"], abs=1e-3)


def test_modes_and_means(fitted):
    case, model = fitted
    labels, modes = case.random_effects(model.groups_)
    sd = np.sqrt(np.diag(case.expected["random_effects_cov"]))
    error = np.abs(model.random_effects_.loc[labels] - modes) / sd
    assert error.to_numpy().max() < 2e-3
    some = slice(100)
    eta = model.linear_predictor(case.X[some], groups=case.groups[some])
    mean = np.exp(eta) if case.model["family"] == "poisson" else 1 / (1 + np.exp(-eta))
    np.testing.assert_allclose(mean, case.expected["fitted_first100"], rtol=2e-3)
    at_zero = model.predict_population(case.X[some], average=False)
    eta = np.array(case.expected["population_link_first100"])
    mean = np.exp(eta) if case.model["family"] == "poisson" else 1 / (1 + np.exp(-eta))
    np.testing.assert_allclose(at_zero, mean, rtol=2e-3)


def test_nodes_of_counts_differ_as_they_should():
    """From 9 to 25 nodes the criterion changes as glmer's does."""
    for name in ("g_epil_poisson", "g_grouseticks_poisson"):
        cases = [case for case in CASES if case.name in (f"{name}-9", f"{name}-25")]
        ours = [c.estimator.fit(c.X, c.y, groups=c.groups).criterion_ for c in cases]
        theirs = [c.expected["minus_two_log_likelihood"] for c in cases]
        assert np.diff(ours) == pytest.approx(np.diff(theirs), abs=2e-5)
