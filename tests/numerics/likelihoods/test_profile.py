"""Profile limits against lme4's and against searches of another kind."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import ndtri

from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._numerics.likelihoods.fit import fit_likelihood
from skmixed._numerics.likelihoods.hessian import curvature
from skmixed._numerics.likelihoods.profile import coefficient_limits, sd_limits
from skmixed._numerics.likelihoods.rows import LikelihoodRows

Z = ndtri(0.975)


def draw(seed, sd, family="binomial"):
    rng = np.random.default_rng(seed)
    groups, X = np.repeat(np.arange(30), 8), rng.normal(size=(240, 1))
    eta = sd * rng.normal(size=30)[groups] + X[:, 0] / 2
    if family == "binomial":
        y = rng.random(240) < 1 / (1 + np.exp(-eta))
    else:
        y = rng.poisson(np.exp(eta))
    rows = LikelihoodRows.from_rows(X, y, groups)
    return fit_likelihood(rows, FAMILIES[family], n_nodes=9)


def least(fit, held, at, free):
    """Minimise -2 log L over the free of (beta, theta), another held."""
    criterion, point = fit.criterion, fit.optimum.point
    parameters = np.append(point.beta, point.Lambda.item() or 0.3)

    def value(phi):
        parameters[free], parameters[held] = phi, at
        return criterion.evaluate(parameters[:-1], parameters[-1:, None]).value

    options = {"xatol": 1e-7, "fatol": 1e-10}
    return minimize(value, parameters[free], method="Nelder-Mead", options=options).fun


@pytest.mark.parametrize(("family", "sd"), [("binomial", 1.0), ("poisson", 0.5)])
def test_limits_of_a_standard_deviation(family, sd):
    fit = draw(0, sd, family)
    for limit in sd_limits(fit, curvature(fit), 0.95):
        rise = least(fit, 2, limit, [0, 1]) - fit.optimum.point.value
        assert np.sqrt(rise) == pytest.approx(Z, abs=1e-3)


def test_a_standard_deviation_at_its_boundary():
    fit = draw(3, 0.0)
    assert fit.singular
    lower, upper = sd_limits(fit, curvature(fit), 0.95)
    assert lower == 0
    expected = brentq(
        lambda sd: least(fit, 2, sd, [0, 1]) - fit.optimum.point.value - Z**2, 0.1, 2
    )
    assert upper == pytest.approx(expected, abs=1e-3)


def test_a_lower_limit_of_zero():
    fit = draw(5, 0.35)
    assert fit.Lambda.item() > 0
    lower, upper = sd_limits(fit, curvature(fit), 0.999)
    assert lower == 0
    assert upper > fit.Lambda.item()


@pytest.mark.parametrize("sd", [0.0, 1.0])
def test_limits_of_a_coefficient(sd):
    fit = draw(3, sd)
    columns = fit.criterion.rows.columns
    limits = coefficient_limits(fit, curvature(fit), 1, 0.95)
    for limit in limits:
        rise = least(fit, 1, limit / columns.backmap[1, 1], [0, 2]) - fit.optimum.point.value
        assert np.sqrt(rise) == pytest.approx(Z, abs=1e-3)


def test_no_limit_where_a_column_separates():
    rng = np.random.default_rng(0)
    groups, X = rng.integers(0, 15, 150), rng.normal(size=(150, 1))
    y = rng.integers(0, 2, 150)
    X = np.column_stack([X, (y > 0) & (X[:, 0] > 0.5)])
    fit = fit_likelihood(LikelihoodRows.from_rows(X, y, groups), FAMILIES["binomial"])
    lower, upper = coefficient_limits(fit, curvature(fit), 2, 0.95)
    assert 0 < lower < fit.coef[2]
    assert upper == np.inf
