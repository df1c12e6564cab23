"""The iterative solver against the exact one: what it solves for, and what probes tell."""

from itertools import product

import numpy as np
import pytest
from nested_and_crossed import STRUCTURES, Rows, make_rows, some_lambdas
from reference_cases import load_factors_cases, moments_of_factors

from skmixed._numerics.fit import elimination_iterative
from skmixed._numerics.fit.choice_of_solver import block_sizes, is_good_for_exact
from skmixed._numerics.fit.criterion_iterative import IterativeCriterion, Probes
from skmixed._numerics.fit.crossed import CrossedAt
from skmixed._numerics.fit.elimination_iterative import (
    IterativeElimination,
    NeedsExactError,
    NotSolvedError,
)
from skmixed._numerics.fit.factor import changes_of_psi
from skmixed._numerics.fit.factors import FactorFit
from skmixed._numerics.inference.degrees_of_freedom_of_factors import satterthwaite_of_factors
from skmixed._numerics.inference.prediction_of_factors import predict_rows

CASES = load_factors_cases()
SEVERAL = [(s, v) for s in STRUCTURES for v in ("intercepts", "slopes")]


@pytest.fixture(autouse=True)
def _tight(monkeypatch):
    monkeypatch.setattr(elimination_iterative, "TOL", 1e-12)
    monkeypatch.setattr(elimination_iterative, "LAX_TOL", 1e-11)


def both(structure, variant, n_probes=2):
    """Return the exact criterion, the iterative one, and where to evaluate them."""
    rows = make_rows(structure, variant)
    exact = rows.criterion
    iterative = IterativeCriterion(exact.problem, exact.reml, Probes(n_probes, 0))
    return exact, iterative, rows.scaled(exact, some_lambdas(rows))


@pytest.mark.parametrize(("structure", "variant"), SEVERAL)
def test_solves_are_those_of_dense_blocks(structure, variant):
    exact, iterative, Lambdas = both(structure, variant)
    one, two = exact.eliminate(Lambdas), iterative.eliminate(Lambdas)
    np.testing.assert_allclose(two.M, one.M, rtol=1e-8, atol=1e-8)
    for ours, expected in zip(two.B + two.U, one.B + one.U, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize(("structure", "variant"), SEVERAL)
def test_average_information_is_that_of_dense_blocks(structure, variant):
    exact, iterative, Lambdas = both(structure, variant)
    directions = [
        changes_of_psi(q, diagonal=diagonal)
        for q, diagonal in zip(exact.problem.q, exact.problem.diagonal, strict=True)
    ]
    one, two = (of(Lambdas).average_information(directions) for of in (exact, iterative))
    for expected, ours in zip(one, two, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-8 * np.abs(one[0]).max())


def with_all_signs(criterion, Lambdas):
    """Return the elimination whose probes are all there are: their means are expectations."""
    signs = np.array(list(product([-1, 1], repeat=criterion.crossed.size)), np.int8).T
    return IterativeElimination(CrossedAt.of(criterion.crossed, Lambdas), signs)


FEW_LEFT = [
    ("crossed", "intercepts"),
    ("crossed, the larger first", "intercepts"),
    ("three crossed", "intercepts"),
    ("nested", "slopes"),
    ("two and their pairs", "intercepts"),
]


@pytest.mark.parametrize(("structure", "variant"), FEW_LEFT)
@pytest.mark.parametrize("singular", [False, True])
def test_means_over_all_probes_are_exact(structure, variant, singular):
    exact, iterative, Lambdas = both(structure, variant)
    if singular:
        Lambdas[-1] = Lambdas[-1] * (np.arange(len(Lambdas[-1])) > 0)
    ours = with_all_signs(iterative, Lambdas)
    expected = exact.eliminate(Lambdas, invert=True).elimination
    assert ours.log_det == pytest.approx(expected.log_det, rel=1e-8)
    for one, two in zip(ours.traces(), expected.traces(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7 * np.abs(two).max())


def test_means_over_many_probes_are_near():
    exact, iterative, Lambdas = both("partly nested", "slopes", n_probes=3000)
    ours = iterative.eliminate(Lambdas).elimination
    expected = exact.eliminate(Lambdas, invert=True).elimination
    errors = [ours.log_dets - expected.log_det]
    errors += [
        (one - two).reshape(3000, -1)
        for one, two in zip(ours.traces_by_probe, expected.traces(), strict=True)
    ]
    for error in errors:
        std_error = error.std(axis=0) / np.sqrt(3000)
        assert np.all(np.abs(error.mean(axis=0)) <= 4 * std_error + 1e-9)


# ------------------------------------------------------------------------------------ fits


def fit(rows, **options):
    options = {"tol": 1e-8, "max_iter": 100, "solver": "iterative", **options}
    return FactorFit.of(rows.moments, rows.specifications, **options)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_fits_are_those_of_lme4_but_for_the_error_that_they_state(case):
    moments, specifications, _ = moments_of_factors(case)
    options = {"tol": 1e-8, "max_iter": 100, "probes": Probes(32, 0)}
    exact, ours = (
        FactorFit.of(moments, specifications, solver=solver, **options)
        for solver in ("exact", "iterative")
    )
    error, (one, two) = ours.monte_carlo_error, (ours.solution, exact.solution)
    assert ours.optimum.converged
    assert ours.is_singular == exact.is_singular
    assert np.all(np.abs(one.theta - two.theta) <= 4 * error.theta + 1e-4 * two.theta)
    assert abs(one.criterion - two.criterion) <= 4 * error.criterion + 1e-5
    std_error = np.sqrt(np.diag(two.beta_cov))
    assert np.nanmax(np.abs(one.beta - two.beta) / std_error) <= 3e-3


@pytest.fixture(scope="module")
def ratings():
    """Weighted ratings of 300 by 60, with a long tail."""
    rng = np.random.default_rng(0)
    n = 4000
    codes = [(J * rng.random(n) ** power).astype(int) for J, power in ((300, 1.5), (60, 2))]
    codes = [np.unique(code, return_inverse=True)[1] for code in codes]
    X = rng.normal(size=(n, 2))
    y = X @ [1, 2] + rng.normal(size=n)
    for code, sd in zip(codes, (0.8, 0.5), strict=True):
        y += sd * rng.normal(size=code.max() + 1)[code]
    weights = rng.uniform(0.5, 2, n)
    return Rows(X, y, codes, [(0,), (0,)], weights=weights)


def test_the_stated_error_is_that_over_seeds(ratings):
    fits = [fit(ratings, probes=Probes(8, seed)) for seed in range(24)]
    errors = np.array(
        [[*of.monte_carlo_error.theta, of.monte_carlo_error.criterion] for of in fits]
    )
    found = np.array([[*of.solution.theta, of.solution.criterion] for of in fits])
    ratio = found.std(axis=0, ddof=1) / np.sqrt(np.mean(errors**2, axis=0))
    assert np.all((ratio > 1 / 1.5) & (ratio < 1.5))
    exact = fit(ratings, solver="exact").solution
    middle = errors.mean(axis=0) / np.sqrt(len(fits))
    wanted = np.array([*exact.theta, exact.criterion])
    assert np.all(np.abs(found.mean(axis=0) - wanted) <= 4 * middle)


def test_more_probes_are_drawn_until_the_error_is_small(ratings):
    few = fit(ratings, probes=Probes(16, 0))
    many = fit(ratings, probes=Probes(16, 0, enough=few.monte_carlo_error.share / 2))
    assert few.probes.n == 16
    assert many.probes.n == 78  # four times as many, and 1.1 squared
    assert many.monte_carlo_error.share < 0.75 * few.monte_carlo_error.share


def test_the_same_seed_gives_the_same_fit(ratings):
    one, two, other = (fit(ratings, probes=Probes(4, seed)).solution for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.theta, two.theta)
    assert one.criterion == two.criterion != other.criterion


def test_probes_do_not_repeat_the_data():
    drawn = np.random.default_rng(3).integers(0, 2, (1000, 4), np.int8)
    signs = Probes(4, 3).signs(1000)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(np.mean((2 * drawn - 1) * signs)) < 0.06


def test_predictions_and_degrees_of_freedom_are_near_the_exact_ones(ratings):
    exact = fit(ratings, solver="exact")
    ours = fit(ratings, probes=Probes(256, 0))
    levels = [np.append(code[:40], [-1, 0]) for code in ratings.codes]
    X = np.vstack([ratings.X[:40], np.zeros((2, 2))])
    for one, two in zip(
        predict_rows(ours, X, levels), predict_rows(exact, X, levels), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-3)
    contrasts = np.eye(exact.problem.p)
    df = [
        satterthwaite_of_factors(of.criterion, of.optimum.Lambdas, contrasts)
        for of in (ours, exact)
    ]
    np.testing.assert_allclose(*df, rtol=0.05)


def test_slopes_by_maximum_likelihood():
    rng = np.random.default_rng(5)
    n = 3000
    codes = [rng.integers(J, size=n) for J in (150, 40, 12)]
    X = rng.normal(size=(n, 2))
    y = X.sum(axis=1) + rng.normal(size=n)
    for code in codes:
        y += 0.6 * rng.normal(size=code.max() + 1)[code]
    y += (0.5 * rng.normal(size=150))[codes[0]] * X[:, 0]
    rows = Rows(X, y, codes, [(0, 1), (0,), (0,)], reml=False)
    exact, ours = fit(rows, solver="exact"), fit(rows, probes=Probes(64, 0))
    difference = np.abs(ours.solution.theta - exact.solution.theta)
    assert np.all(difference <= 4 * ours.monte_carlo_error.theta + 1e-5)


def test_a_variance_of_zero_is_found():
    rng = np.random.default_rng(1)
    n = 2000
    codes = [rng.integers(100, size=n), rng.integers(40, size=n)]
    y = rng.normal(size=n) + 0.7 * rng.normal(size=100)[codes[0]]
    # take off what the levels of the second have in common
    means = np.bincount(codes[1], y) / np.bincount(codes[1])
    rows = Rows(np.zeros((n, 0)), y - means[codes[1]], codes, [(0,), (0,)])
    ours = fit(rows, probes=Probes(8, 0))
    assert ours.singular == (False, True)
    assert ours.monte_carlo_error.theta[1] == 0


def test_does_not_go_on_for_ever(ratings, monkeypatch):
    monkeypatch.setattr(elimination_iterative, "MAX_STEPS", 2)
    with pytest.raises(NotSolvedError, match="did not converge in 2 steps"):
        fit(ratings, probes=Probes(4, 0))


def test_refuses_what_needs_all_covariances(ratings):
    ours = fit(ratings, probes=Probes(4, 0))
    with pytest.raises(NeedsExactError, match="all levels need the exact solver"):
        ours.solution.posterior  # noqa: B018
    with pytest.raises(NeedsExactError, match="Second derivatives"):
        ours.at.elimination.parts  # noqa: B018


# ---------------------------------------------------------------------------- which solver


def test_blocks_are_those_that_the_exact_solver_makes():
    for structure in STRUCTURES:
        rows = make_rows(structure, "intercepts")
        criterion = rows.criterion
        kinds = [
            kind
            for step in criterion.steps
            if hasattr(step, "layout")
            for kind in step.layout.components.kinds
        ]
        sizes = block_sizes(criterion.problem)
        largest = max((sum(q * J for _, q, J in kind.blocks) for kind in kinds), default=0)
        assert sizes.max(initial=0) == largest
        assert is_good_for_exact(criterion.problem)


def test_large_blocks_are_left_to_probes(ratings, monkeypatch):
    automatic = fit(ratings, solver="auto", probes=Probes(4, 0))
    assert automatic.probes is None
    monkeypatch.setattr("skmixed._numerics.fit.choice_of_solver.MOST_IN_A_BLOCK", 50)
    automatic = fit(ratings, solver="auto", probes=Probes(4, 0))
    assert automatic.probes == Probes(4, 0)
