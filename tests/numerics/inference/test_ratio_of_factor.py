"""The profile of one variance among several factors, by dense criteria and a plain search."""

import numpy as np
import pytest
from nested_and_crossed import make_rows
from scipy.optimize import minimize
from scipy.stats import chi2

from skmixed._numerics.fit.factors import FactorFit
from skmixed._numerics.inference.ratio_of_factor import RatioProfile


def profile_of(rows, f):
    fit = FactorFit.of(rows.moments, rows.specifications, tol=1e-10, max_iter=200)
    psi = np.array([float(Lambda[0, 0]) ** 2 for Lambda in fit.optimum.Lambdas])
    return fit, RatioProfile(fit.criterion, psi, f)


def held(criterion, f, psi_f, k):
    """The least criterion with one ratio held, by a search that knows no derivatives."""

    def value(root):
        psi = np.insert(root**2, f, psi_f)
        return criterion.value([np.sqrt([[one]]) for one in psi])

    starts = [np.full(k - 1, start) for start in (0.0, 0.3, 1.0)]
    options = {"xatol": 1e-9, "fatol": 1e-10}
    return min(minimize(value, s, method="Nelder-Mead", options=options).fun for s in starts)


@pytest.mark.parametrize("structure", ["crossed", "nested", "three crossed"])
@pytest.mark.parametrize("f", [0, 1])
def test_statistic_and_limits_are_those_of_a_plain_search(structure, f):
    rows = make_rows(structure, "intercepts")
    fit, profile = profile_of(rows, f)
    k, rise = len(rows.codes), chi2.ppf(0.95, 1)
    at_zero = held(fit.criterion, f, 0.0, k) - fit.optimum.value
    assert profile.statistic == pytest.approx(max(at_zero, 0.0), abs=1e-5)
    assert profile.p_value == pytest.approx(
        chi2.sf(profile.statistic, 1) / 2 if profile.statistic else 1.0
    )
    lower, upper = (psi[f] for psi in profile.limits(0.95))
    assert lower <= profile.psi[f] <= upper
    assert (lower == 0) == (at_zero <= rise)
    for limit in {lower, upper} - {0.0}:
        at = held(fit.criterion, f, limit, k) - fit.optimum.value
        assert at == pytest.approx(rise, rel=0.03)


def test_a_variance_of_zero_has_an_upper_limit():
    rng = np.random.default_rng(0)
    rows = make_rows("crossed", "intercepts")
    rows.y[:] = rng.normal(size=len(rows.y))
    rows.y[:] -= np.array([rows.y[rows.codes[0] == j].mean() for j in rows.codes[0]])
    fit, profile = profile_of(rows, 0)
    assert profile.psi[0] == profile.statistic == 0
    assert profile.p_value == 1
    lower, upper = (psi[0] for psi in profile.limits(0.95))
    assert lower == 0 < upper
    rise = held(fit.criterion, 0, upper, 2) - fit.optimum.value
    assert rise == pytest.approx(chi2.ppf(0.95, 1), rel=0.03)
