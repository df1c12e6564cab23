"""Fits against lme4's, from restarts, and on the boundary."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from skmixed._numerics.likelihoods.criterion import Criterion
from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._numerics.likelihoods.fit import fit_likelihood
from skmixed._numerics.likelihoods.hessian import curvature
from skmixed._numerics.likelihoods.rows import LikelihoodRows
from skmixed._numerics.likelihoods.search import Point

FOLDER = Path(__file__).parents[2] / "reference"
NAMES = sorted(path.name for path in FOLDER.glob("g_*"))


def as_list(names):
    return [names] if isinstance(names, str) else names


class Case:
    def __init__(self, name):
        data = pd.read_csv(FOLDER / name / "data.csv")
        stored = json.loads((FOLDER / name / "expected.json").read_text())
        model, self.expected = stored["model"], stored["expected"]
        fixed = as_list(model["fixed_columns"])
        self.family = FAMILIES[model["family"]]
        self.X, self.y = data[fixed].to_numpy(float), data[model["response"]].to_numpy()
        self.groups, self.labels = pd.factorize(data[model["group"]].astype(str))
        self.random = tuple(
            0 if column == "(Intercept)" else 1 + fixed.index(column)
            for column in as_list(model["random"])
        )

    def fit(self, n_nodes):
        rows = LikelihoodRows.from_rows(self.X, self.y, self.groups, random=self.random)
        return fit_likelihood(rows, self.family, n_nodes=n_nodes)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_lme4(name):
    case = Case(name)
    fits = {int(n): case.fit(int(n)) for n in case.expected}
    for n, fit in fits.items():
        expected = case.expected[str(n)]
        se = np.array(list(expected["se"].values()))
        fixef = np.array(list(expected["fixef"].values()))
        assert fit.converged
        assert not fit.singular
        np.testing.assert_allclose((fit.coef - fixef) / se, 0.0, atol=5e-4)
        np.testing.assert_allclose(fit.Psi, expected["random_effects_cov"], rtol=5e-4)
        theirs = expected["minus_two_log_likelihood"]
        if n == 1:
            assert theirs - 1e-3 < fit.value <= theirs + 1e-6
        else:  # lme4 leaves out a constant
            difference = theirs - case.expected["9"]["minus_two_log_likelihood"]
            assert fit.value - fits[9].value == pytest.approx(difference, abs=5e-6)


@pytest.mark.parametrize("name", ["g_bacteria", "g_contraception_slope", "g_epil_poisson"])
def test_standard_errors_of_lme4(name):
    case = Case(name)
    cov = curvature(case.fit(1)).coef_cov
    se = np.array(list(case.expected["1"]["se"].values()))
    np.testing.assert_allclose(np.sqrt(np.diag(cov)), se, rtol=2e-3)


def test_units_change_nothing():
    case = Case("g_contraception_slope")
    fit = case.fit(1)
    scale, shift = np.array([1e3, 1e-4, 1, 1, 1, 1]), np.array([5e6, 0, 0, 0, 0, 0])
    rows = LikelihoodRows.from_rows(
        case.X * scale + shift, case.y, case.groups, random=case.random
    )
    other = fit_likelihood(rows, case.family)
    assert other.value == pytest.approx(fit.value, abs=1e-6)
    np.testing.assert_allclose(other.coef[1:] * scale, fit.coef[1:], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(other.Psi, fit.Psi, rtol=1e-4)


def hard_set(seed):
    """Few rows, rare events, no variance, groups of one row, weights, two random columns."""
    rng = np.random.default_rng(seed)
    family = ("binomial", "poisson")[seed % 2]
    sizes = rng.integers(1, rng.choice([2, 4, 9]), rng.integers(3, 15))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    n, p = len(groups), int(rng.integers(1, 4))
    X = rng.normal(size=(n, p))
    q, sd = int(rng.choice([1, 2])), rng.choice([0.0, 0.3, 1.0])
    Z = np.column_stack([np.ones(n), X])[:, :q]
    b = sd * rng.normal(size=(len(sizes), q))
    eta = rng.choice([0.0, -2.0, 1.0]) + X @ rng.normal(size=p) + np.sum(Z * b[groups], axis=1)
    if family == "binomial":
        y = rng.random(n) < 1 / (1 + np.exp(-eta))
    else:
        y = rng.poisson(np.exp(np.minimum(eta, 6.0)))
    weight = rng.choice([0.0, 1.0, 1.0, 2.0], n) if rng.random() < 0.3 else None
    n_nodes = int(rng.choice([1, 9])) if q == 1 else 1
    rows = LikelihoodRows.from_rows(X, y, groups, weight, random=tuple(range(q)))
    return rows, FAMILIES[family], n_nodes


# Its least minimum is found from few starts.
HIDDEN = {76}


@pytest.mark.parametrize(
    "seeds", [range(6), pytest.param(range(6, 300), marks=pytest.mark.slow)], ids=str
)
def test_no_restart_ends_lower(seeds):
    for seed in seeds:
        rows, family, n_nodes = hard_set(seed)
        fit = fit_likelihood(rows, family, n_nodes=n_nodes)
        best = best_of_restarts(fit, np.random.default_rng(seed), n=1 if seed < 6 else 6)
        assert fit.optimum.point.value <= best + 1e-6 or seed in HIDDEN, seed


def best_of_restarts(fit, rng, n):
    criterion, p = fit.criterion, fit.criterion.rows.p
    entries = criterion.rows.columns.entries

    def value_and_gradient(phi):
        Lambda = np.zeros((criterion.rows.q,) * 2)
        Lambda[entries] = phi[p:]
        at = criterion.evaluate(phi[:p], Lambda)
        if not np.isfinite(at.value) or np.abs(phi).max() > 30:
            return 1e6, np.zeros_like(phi)
        return at.value, np.append(at.by_beta, at.by_factor[entries])

    starts = rng.normal(size=(n, p + len(entries[0])))
    options = {"maxiter": 100}
    return min(
        minimize(value_and_gradient, start, jac=True, method="BFGS", options=options).fun
        for start in starts
    )


def test_no_variance_is_exactly_zero():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(30), 10)
    X = rng.normal(size=(300, 1))
    y = np.tile([0, 1], 150)  # groups are more alike than by chance
    for n_nodes in (1, 9):
        rows = LikelihoodRows.from_rows(X, y, groups)
        fit = fit_likelihood(rows, FAMILIES["binomial"], n_nodes=n_nodes)
        assert fit.singular
        assert fit.converged
        assert fit.Psi.item() == 0
        assert not fit.effects.modes.any()
        assert fit.value == pytest.approx(fit_pooled_value(X, y), abs=1e-8)


def fit_pooled_value(X, y):
    D = np.column_stack([np.ones(len(y)), X])
    signs = 1 - 2 * y
    return minimize(
        lambda beta: 2 * np.log1p(np.exp(signs * (D @ beta))).sum(), np.zeros(2), tol=1e-12
    ).fun


def test_a_slope_without_variance_leaves_the_intercepts():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(60), 10)
    X = rng.normal(size=(600, 1))
    y = rng.poisson(np.exp(0.5 * rng.normal(size=60)[groups] + 0.3 * X[:, 0]))
    rows = LikelihoodRows.from_rows(X, y, groups, random=(0, 1), diagonal=True)
    fit = fit_likelihood(rows, FAMILIES["poisson"])
    one = fit_likelihood(LikelihoodRows.from_rows(X, y, groups), FAMILIES["poisson"])
    assert fit.value <= one.value + 1e-7
    assert fit.Psi[0, 1] == 0
    if fit.singular:
        assert fit.Psi[1, 1] == 0
        assert fit.value == pytest.approx(one.value, abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_repeat_rows(family):
    rng = np.random.default_rng(5)
    groups, X = rng.integers(0, 12, 120), rng.normal(size=(120, 2))
    y, weight = rng.integers(0, 2, 120), rng.integers(0, 4, 120)
    index = np.repeat(np.arange(120), weight)
    weighted = LikelihoodRows.from_rows(X, y, groups, weight.astype(float))
    repeated = LikelihoodRows.from_rows(X[index], y[index], groups[index])
    one, two = (
        fit_likelihood(rows, FAMILIES[family], n_nodes=9) for rows in (weighted, repeated)
    )
    assert one.value == pytest.approx(two.value, abs=1e-9)
    np.testing.assert_allclose(one.coef, two.coef, rtol=1e-6)


def test_exposure_is_a_weight():
    """Rates with exposures as weights are counts with an offset, up to a constant."""
    rng = np.random.default_rng(6)
    groups, X = rng.integers(0, 20, 300), rng.normal(size=(300, 1))
    exposure = rng.uniform(0.5, 3, 300)
    y = rng.poisson(exposure * np.exp(X[:, 0] / 2 + rng.normal(size=20)[groups] / 2))
    rows = LikelihoodRows.from_rows(X, y / exposure, groups, exposure)
    fit = fit_likelihood(rows, FAMILIES["poisson"], n_nodes=9)
    sd, beta, D = fit.Lambda.item(), fit.coef, np.column_stack([np.ones(300), X])

    def with_offset(beta, sd):  # brute force
        z = np.linspace(-8, 8, 1601)
        eta = D @ beta + np.log(exposure)
        seen, expected = (np.bincount(groups, v) for v in (y, np.exp(eta)))
        by_group = np.outer(seen, sd * z) - np.outer(expected, np.exp(sd * z))
        by_group += np.bincount(groups, y * eta)[:, None]
        top = by_group.max(axis=1)
        return -2 * np.sum(top + np.log(np.exp(by_group - top[:, None]) @ np.exp(-(z**2) / 2)))

    best = minimize(lambda phi: with_offset(phi[:2], phi[2]), [*beta, sd], tol=1e-8)
    np.testing.assert_allclose([*beta, sd], best.x, atol=2e-4)


def test_a_column_that_depends_on_others_is_dropped():
    rng = np.random.default_rng(7)
    groups, X = rng.integers(0, 12, 200), rng.normal(size=(200, 2))
    y = rng.integers(0, 2, 200)
    more = np.column_stack([X, X @ [1.0, -2.0] + 3.0, np.full(200, 5.0)])
    fit = fit_likelihood(LikelihoodRows.from_rows(X, y, groups), FAMILIES["binomial"])
    other = fit_likelihood(LikelihoodRows.from_rows(more, y, groups), FAMILIES["binomial"])
    np.testing.assert_allclose(other.coef, [*fit.coef, 0.0, 0.0], rtol=1e-6)
    assert np.isnan(curvature(other).coef_cov[3:]).all()


SEPARATED = [
    ("binomial", lambda X, y: (np.column_stack([X, (y > 0) & (X[:, 0] > 0.5)]), y), 2),
    ("binomial", lambda X, y: (X, X[:, 0] > 0.3), 1),
    ("binomial", lambda X, y: (X, np.ones(len(y))), 0),
    ("poisson", lambda X, y: (np.column_stack([X, (y == 0) & (X[:, 0] > 0)]), y), 2),
    ("poisson", lambda X, y: (X, np.zeros(len(y))), 0),
]


@pytest.mark.parametrize(("family", "change", "column"), SEPARATED)
def test_separation_is_named(family, change, column):
    rng = np.random.default_rng(8)
    groups, X = rng.integers(0, 15, 150), rng.normal(size=(150, 1))
    X, y = change(X, rng.integers(0, 2, 150))
    rows = LikelihoodRows.from_rows(X.astype(float), y, groups)
    assert fit_likelihood(rows, FAMILIES[family]).separated == column


@pytest.mark.parametrize("n_nodes", [1, 9])
@pytest.mark.parametrize(("n_groups", "size"), [(12, 1), (10, 5), (20, 5), (10, 50)])
def test_groups_that_are_alike_have_no_finite_variance(n_groups, size, n_nodes):
    groups = np.repeat(np.arange(n_groups), size)
    rows = LikelihoodRows.from_rows(np.zeros((len(groups), 0)), groups % 2, groups)
    fit = fit_likelihood(rows, FAMILIES["binomial"], n_nodes=n_nodes)
    if size > 1:
        assert fit.runaway
    else:  # rows of their own say nothing of what groups have in common
        assert fit.value == pytest.approx(2 * np.log(2) * n_groups, abs=1e-6)


@pytest.mark.parametrize(("seed", "value"), [(64, 7.2), (432, 16.0), (534, 12.8)])
def test_minima_far_out_are_found_and_flagged(seed, value):
    rows, family, n_nodes = hard_set(seed)
    fit = fit_likelihood(rows, family, n_nodes=n_nodes)
    assert fit.optimum.point.value < value
    assert fit.optimum.point.largest_sd > 10
    at = fit.optimum.point
    far = fit.criterion.evaluate(2 * at.beta, 2 * at.Lambda, at.evaluation.u)
    assert fit.runaway == (far.value < at.value + 1)


def test_large_variances_with_an_estimate_do_not_run_away():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(300), 30)
    y = rng.random(9000) < 1 / (1 + np.exp(-6 * rng.normal(size=300)[groups]))
    rows = LikelihoodRows.from_rows(np.zeros((9000, 0)), y, groups)
    fit = fit_likelihood(rows, FAMILIES["binomial"], n_nodes=9)
    assert fit.converged
    assert not fit.runaway
    assert fit.Lambda.item() == pytest.approx(6, rel=0.1)


def test_rare_events_are_no_separation():
    rng = np.random.default_rng(9)
    groups, X = rng.integers(0, 50, 5000), rng.normal(size=(5000, 1))
    y = rng.random(5000) < 0.002
    rows = LikelihoodRows.from_rows(X, y, groups)
    fit = fit_likelihood(rows, FAMILIES["binomial"], n_nodes=9)
    assert fit.separated is None
    assert fit.converged


@pytest.mark.parametrize("exposure", [1e-6, 1e-4, 1.0, 1e4])
def test_separation_of_counts_whatever_the_unit_of_exposure(exposure):
    rng = np.random.default_rng(10)
    groups, x = rng.integers(0, 15, 150), rng.integers(0, 2, (150, 1))
    counts = rng.poisson(2.0, 150)
    for y, column in ((np.where(x[:, 0] == 1, 0, counts), 1), (counts, None)):
        weight = np.full(150, exposure)
        rows = LikelihoodRows.from_rows(x.astype(float), y / exposure, groups, weight)
        assert fit_likelihood(rows, FAMILIES["poisson"]).separated == column


def test_large_counts_all_alike_are_no_separation():
    groups, X = np.arange(60) % 6, np.arange(60.0)[:, None]
    rows = LikelihoodRows.from_rows(X, np.full(60, 1e6), groups)
    assert fit_likelihood(rows, FAMILIES["poisson"]).separated is None


def test_columns_far_from_zero_without_correlations():
    rng = np.random.default_rng(11)
    groups, X = rng.integers(0, 15, 300), rng.normal(size=(300, 2))
    y = rng.random(300) < 1 / (1 + np.exp(-X[:, 0] - rng.normal(size=15)[groups]))
    given = {"random": (0,), "diagonal": True}
    near, far = (
        fit_likelihood(
            LikelihoodRows.from_rows(X + offset, y, groups, **given), FAMILIES["binomial"]
        )
        for offset in (0.0, 1e8)
    )
    np.testing.assert_allclose(far.coef[1:], near.coef[1:], rtol=1e-5)
    assert far.value == pytest.approx(near.value, rel=1e-7)


def test_steps_that_go_too_far_are_quiet():  # warnings are errors
    rng = np.random.default_rng(12)
    groups, X = np.repeat(np.arange(3), 8), rng.normal(size=(24, 1))
    rows = LikelihoodRows.from_rows(X, rng.integers(0, 2, 24), groups)
    criterion = Criterion(rows, FAMILIES["binomial"], 9)
    point = Point.at(criterion, np.zeros(2), np.ones((1, 1)))
    assert not np.isfinite(point.moved(criterion, np.array([1e4, 1e4, 0.0])).value)
