"""Profile-likelihood limits: extreme values over the likelihood region, of all parameters."""

import warnings
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from near_the_border import TINY, near_border
from profile_oracle import DenseModel
from reference_cases import INTERCEPT, load_cases
from scipy.stats import chi2
from two_minima import rows_of_two_minima

from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.inference.profile.coordinates import (
    AngleCoordinates,
    CovarianceCoordinates,
    LengthCoordinates,
)
from skmixed._numerics.inference.profile.likelihood import OneFactor
from skmixed._numerics.inference.profile.limits import profile_limits
from skmixed._numerics.inference.profile.region import ProfileLimits, Region, log_sigma2_step
from skmixed._numerics.moments.moments import GroupedMoments

CASES = {case.name: case for case in load_cases()}
# lme4's spline is this far off, in widths; for the correlations of three random effects of six
# workers (machines) it is no standard at all, and the dense covariance has to be.
SPLINE = {"v_mep_slides": 3e-3, "v_oxboys_quad": 4e-3, "v_machines": 0.2}


def problem_of(X, y, groups, random=(0,), *, weights=None, **options):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(
        np.asarray(X, dtype=float), y, codes, labels, sample_weight=weights, random=random
    )
    return make_problem(moments, **options)


def simulate(seed, *, q=2, n_groups=8, sizes=(3, 9), sd=(1.0, 0.7, 0.5)):
    """Rows of unbalanced groups; the first q of [1, X] have random effects."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), rng.integers(*sizes, n_groups))
    X = rng.normal(size=(len(groups), max(q - 1, 1))) + 1
    b = rng.normal(size=(n_groups, 3)) * sd
    y = 1 + X.sum(1) + b[groups, 0] + np.sum(b[groups, 1:q] * X[:, : q - 1], axis=1)
    return X, y + rng.normal(size=len(y)), groups


def each_limit(limits, dense):
    """Yield the names of limits, where they are, how they are held, and the border if any."""
    q = dense.Z.shape[1]
    for side, name in enumerate(("lower", "upper")):
        for k, limit in enumerate(limits.fixed[:, side]):
            yield f"{name} fixed {k}", limit, lambda x, k=k: {"fixed": (k, x)}, None
        yield f"{name} sigma", limits.sigma[side], lambda x: {"sigma": x}, None
        for i, limit in enumerate(limits.sd[:, side]):
            border = None if side else 0.0
            yield f"{name} sd {i}", limit, lambda x, i=i: {"sd": (i, x)}, border
        for i, j in combinations(range(0 if dense.diagonal else q), 2):
            limit, border = limits.correlation[i, j, side], 2.0 * side - 1
            held = lambda x, i=i, j=j: {"correlation": (i, j, x)}  # noqa: E731
            yield f"{name} correlation {i} {j}", limit, held, border


def assert_on_the_border(limits, dense, level=0.95, only=None):
    """A refit with the limit held is worse than the best by the quantile.

    Between the limits the deviance changes about 15 times that for 95%. At the border of the
    parameter it is above the bound, unless that is the limit.
    """
    bound = dense.lowest + chi2.ppf(level, 1)
    for name, limit, held, border in each_limit(limits, dense):
        if only is not None and name not in only:
            continue
        rise = dense.held(**held(limit)) - bound
        if limit == border:
            # a correlation this close to 1 cannot be told from it
            assert rise < (1e-9 if border == 0 else 1e-6), (name, limit, rise)
        else:
            assert abs(rise) < 1e-6, (name, limit, rise)
            if border is not None:
                assert dense.held(**held(border)) > bound - 1e-9, (name, limit)


MODELS = {
    "intercept": {"q": 1},
    "intercept and slope": {"q": 2},
    "uncorrelated": {"q": 2, "diagonal": True},
    "two slopes": {"q": 3, "n_groups": 10},
    "singular": {"q": 2, "sd": (0.8, 0.0, 0.0)},
    "no variance": {"q": 1, "sd": (0.0, 0.0, 0.0)},
    "four groups": {"q": 2, "n_groups": 4, "sizes": (9, 12)},
}


@pytest.mark.parametrize("name", MODELS)
def test_refits_with_a_limit_held_reach_the_bound(name):
    options = dict(MODELS[name])
    diagonal = options.pop("diagonal", False)
    X, y, groups = simulate(1, **options)
    problem = problem_of(X, y, groups, tuple(range(options["q"])), diagonal=diagonal)
    limits = profile_limits(problem, level=0.95)
    assert limits.converged
    D = np.column_stack([np.ones(len(y)), X])
    assert_on_the_border(limits, DenseModel(D, y, D[:, : options["q"]], groups, diagonal))


@pytest.mark.parametrize("level", [0.5, 0.999])
def test_other_levels(level):
    X, y, groups = simulate(3)
    limits = profile_limits(problem_of(X, y, groups, (0, 1)), level=level)
    D = np.column_stack([np.ones(len(y)), X])
    assert_on_the_border(limits, DenseModel(D, y, D, groups), level)


# Limits that are just above the border or at it, weighted and not, with random intercept and
# without; and some for which the deviance has several minima.
NEAR_BORDER = {
    0: "lower sd 0",
    12: "lower sd 1",
    20: "lower sd 1",
    50: "lower sd 1",
    52: "upper correlation 0 1",
    3: "lower sd 0",
    1024: "lower sd 0",
    1043: "lower fixed 2",
    1059: "lower fixed 1",
    1081: "upper correlation 0 2",
    1092: "upper sigma",
}
SEVERAL_MINIMA = (9, 149, 1059, 1081, 1092)


def assert_limits_of(near, only=None):
    random = tuple(range(near.X.shape[1] + 1))
    problem = problem_of(
        near.X,
        near.y,
        near.groups,
        random,
        weights=near.weights,
        diagonal=near.diagonal,
        random_intercept=near.random_intercept,
    )
    limits = profile_limits(problem, level=near.level)
    assert limits.converged
    assert_on_the_border(limits, near.dense, near.level, only)


@pytest.mark.slow
@pytest.mark.parametrize("number", NEAR_BORDER)
def test_limits_near_the_border(number):
    near = near_border(number, thorough=number in SEVERAL_MINIMA)
    assert_limits_of(near, only=[NEAR_BORDER[number]])


@pytest.mark.slow
@pytest.mark.parametrize("number", [*range(40), 149, *range(1005, 1095)])
def test_all_limits_where_one_is_near_the_border(number):
    thorough = number >= TINY or number in SEVERAL_MINIMA
    assert_limits_of(near_border(number, thorough=thorough))


def by_name(case, limits):
    """Limits by the names that lme4 gives them."""
    first = [INTERCEPT] if case.model["intercept"] else []
    group, columns = case.random["group"], case.random["columns"]
    # lme4's sigma belongs to the raw weights
    scale = 1.0 if case.raw_weight is None else np.sqrt(case.raw_weight.mean())
    named = dict(zip([*first, *case.X.columns], limits.fixed, strict=True))
    named["sigma"] = limits.sigma * scale
    for i, column in enumerate(columns):
        named[f"sd_{column}|{group}"] = limits.sd[i]
        for j in range(i + 1, len(columns)):
            named[f"cor_{columns[j]}.{column}|{group}"] = limits.correlation[i, j]
    return named


@pytest.mark.parametrize("name", CASES)
def test_as_lme4(name):
    case = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = case.estimator.fit(case.X, case.y, case.groups, case.sample_weight)
    limits = profile_limits(model._fitted.criterion.problem, level=0.95)
    found = by_name(case, limits)
    assert limits.converged
    off = next((off for start, off in SPLINE.items() if name.startswith(start)), 1e-3)
    for kind, tol in {"profile_ci_95": off, "profile_ci_95_exact": 1e-6}.items():
        for parameter, pair in case.expected.get(kind, {}).get("ci", {}).items():
            error = np.abs(found[parameter] - pair).max() / np.ptp(pair)
            assert error < tol, (kind, parameter, found[parameter], pair)


def test_correlations_of_three_effects_where_lme4_leaves_the_definite_matrices():
    case = CASES["v_machines_3col-expected"]
    D = np.column_stack([np.ones(len(case.y)), case.X])
    y, groups = case.y.to_numpy(), np.unique(case.groups, return_inverse=True)[1]
    limits = profile_limits(problem_of(case.X, y, groups, (0, 1, 2)), level=0.95)
    dense = DenseModel(D, y, D, groups)
    for i, j in combinations(range(3), 2):
        for limit in limits.correlation[i, j]:
            rise = dense.held(correlation=(i, j, limit)) - dense.lowest
            assert rise == pytest.approx(chi2.ppf(0.95, 1), abs=1e-5)
    theirs = case.expected["profile_ci_95"]["ci"]["cor_MachineC.(Intercept)|Worker"]
    assert limits.correlation[0, 2, 0] == pytest.approx(-0.8475, abs=1e-4)
    assert theirs[0] == -1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_one_ratio_misses_nothing_on_the_whole_line(seed):
    """No point of a fine grid lies further out, parts of the region that are apart included."""
    X, y, groups = simulate(seed, q=1, n_groups=6, sizes=(1, 30), sd=(0.4, 0, 0))
    problem = problem_of(X, y, groups)
    assert_extreme_on_the_line(problem, profile_limits(problem, level=0.95), level=0.95)


def test_two_parts_of_the_region():
    """The deviance has two minima, 0.69 apart and with a summit of 0.7 between them."""
    X, y, groups = rows_of_two_minima()
    problem = problem_of(X, y, groups)
    for level in (0.55, 0.58, 0.594, 0.6):
        assert_extreme_on_the_line(problem, profile_limits(problem, level=level), level=level)


def assert_extreme_on_the_line(problem, limits, *, level):
    criterion = RatioCriterion.from_problem(problem, reml=False)
    psi = np.concatenate([[0.0], np.geomspace(1e-4, 1e7, 20_000)]) / criterion.u.max()
    psi = np.append(psi, estimate(problem, reml=False, tol=1e-10, max_iter=100)[1].Lambda ** 2)
    values = criterion(psi).value
    inside = values <= values.min() + chi2.ppf(level, 1)
    at = Region(criterion, values.min(), chi2.ppf(level, 1)).section(
        *criterion.eliminate_each(psi[inside])
    )
    for side, extreme, name in ((-1, np.min, "lower"), (1, np.max, "upper")):
        sigma2 = np.exp(at.log_sigma2 + log_sigma2_step(at.slack, np.array(side)))
        sd = np.sqrt(psi[inside, None] * sigma2) * problem.coordinates.random_backmap[0, 0]
        grid = np.hstack([at.beta + side * at.half_width, np.sqrt(sigma2), sd])
        grid[:, -2:] *= problem.coordinates.y_scale
        place = 0 if side < 0 else 1
        found = np.concatenate(
            [limits.fixed[:, place], limits.sigma[[place]], limits.sd[0, [place]]]
        )
        width = np.concatenate(
            [np.ptp(limits.fixed, axis=1), [np.ptp(limits.sigma)], [np.ptp(limits.sd[0])]]
        )
        beyond = side * (found - extreme(grid, axis=0)) / width
        assert np.all(beyond > -1e-9), name
        assert np.all(beyond < 1e-3), name  # as far as the grid goes


@pytest.mark.parametrize("random", [(0,), (0, 1)], ids=["intercept", "slope"])
def test_a_weight_of_two_is_the_row_twice(random):
    X, y, groups = simulate(5)
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    weighted = problem_of(X, y, groups, random, weights=weights.astype(float))
    repeated = problem_of(
        *(np.repeat(part, weights, axis=0) for part in (X, y, groups)), random
    )
    assert_equal_limits(
        profile_limits(weighted, level=0.9), profile_limits(repeated, level=0.9), tol=1e-7
    )


def assert_equal_limits(one, other, tol):
    assert one.converged == other.converged
    for name in ("fixed", "sigma", "sd", "correlation"):
        a, b = getattr(one, name), getattr(other, name)
        width = np.maximum(np.ptp(b, axis=-1, keepdims=True), 1e-300)
        np.testing.assert_allclose(a / width, b / width, atol=tol, rtol=0, err_msg=name)


@pytest.mark.parametrize("random", [(0,), (0, 1)], ids=["intercept", "slope"])
def test_units_do_not_matter(random):
    X, y, groups = simulate(6)
    plain = profile_limits(problem_of(X, y, groups, random), level=0.95)
    scaled = profile_limits(problem_of(1e4 * X, 1e-3 * y, groups, random), level=0.95)
    unit = np.array([1e-3, 1e-7])[:, None]
    back = ProfileLimits(
        scaled.fixed / unit,
        scaled.sigma / 1e-3,
        scaled.sd / unit[: len(random)],
        scaled.correlation,
        scaled.converged,
    )
    assert_equal_limits(back, plain, tol=1e-6)


@st.composite
def problems(draw, smallest):
    """Few small groups, with much, little or no variance between them."""
    q, sd = draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.3, 3.0]))
    size, n_groups = draw(st.integers(1, 5)), draw(st.integers(2, 8))
    sizes = (smallest(q), smallest(q) + size)
    seed = draw(st.integers(0, 10**6))
    X, y, groups = simulate(seed, q=q, n_groups=n_groups, sizes=sizes, sd=(sd, sd, 1.0))
    return problem_of(X, y, groups, tuple(range(q)), diagonal=draw(st.booleans()))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
@given(problems(smallest=lambda q: q + 1))
def test_any_data_have_limits_around_the_estimates(problem):
    criterion, optimum = estimate(problem, reml=False, tol=1e-8, max_iter=100)
    narrow, wide = (profile_limits(problem, level=level) for level in (0.5, 0.95))
    assert narrow.converged
    assert wide.converged
    estimates = solve(criterion, optimum.Lambda)
    cov = estimates.sigma2 * estimates.Lambda @ estimates.Lambda.T
    assert_between(wide.fixed, narrow.fixed, estimates.beta)
    assert_between(wide.sigma, narrow.sigma, np.sqrt(estimates.sigma2))
    assert_between(wide.sd, narrow.sd, np.sqrt(np.diag(cov)))
    assert np.all(np.abs(wide.correlation[~np.isnan(wide.correlation)]) <= 1)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
@given(problems(smallest=lambda q: 1))
def test_what_cannot_be_found_is_reported(problem):
    """Groups with no more rows than random effects may leave no residual."""
    limits = profile_limits(problem, level=0.95)
    kept = (
        limits.fixed[problem.coordinates.kept],
        limits.sigma,
        limits.sd[problem.coordinates.random_kept],
    )
    missing = any(np.any(np.isnan(values)) for values in kept)
    criterion, optimum = estimate(problem, reml=False, tol=1e-8, max_iter=100)
    assert missing == (not limits.converged or not criterion.is_identified)
    assert limits.converged <= optimum.converged


def assert_between(wide, narrow, estimates):
    tiny = 1e-6 * np.ptp(wide, axis=-1)
    order = [wide[..., 0], narrow[..., 0], estimates, narrow[..., 1], wide[..., 1]]
    assert all(np.all(a <= b + tiny) for a, b in pairwise(order)), order


def test_a_singular_fit_has_limits_with_lower_end_zero():
    case = CASES["v_dyestuff2_singular-expected"]
    problem = problem_of(np.empty((30, 0)), case.y.to_numpy(), case.groups)
    limits = profile_limits(problem, level=0.95)
    assert limits.converged
    assert limits.sd[0, 0] == 0.0
    assert limits.sd[0, 1] == pytest.approx(2.0840478717771678, abs=1e-8)


def test_a_correlation_of_one_within_the_region_is_exactly_one():
    X, y, groups = simulate(0, n_groups=4, sizes=(9, 12), sd=(2.0, 2.0, 0.0))
    limits = profile_limits(problem_of(X, y, groups, (0, 1)), level=0.95)
    assert np.all(limits.sd[:, 0] > 0)
    assert limits.correlation[0, 1, 1] == 1.0
    D = np.column_stack([np.ones(len(y)), X])
    dense = DenseModel(D, y, D, groups)
    assert dense.held(correlation=(0, 1, 1.0)) < dense.lowest + chi2.ppf(0.95, 1)


def test_where_an_effect_may_be_absent_its_correlation_may_be_anything():
    X, y, groups = simulate(0, sd=(1.0, 0.0, 0.0))
    limits = profile_limits(problem_of(X, y, groups, (0, 1)), level=0.95)
    assert limits.sd[1, 0] == 0.0
    np.testing.assert_array_equal(limits.correlation[0, 1], [-1.0, 1.0])


def test_without_random_effects_the_limits_are_those_of_least_squares():
    X, y, _ = simulate(0)
    D, n = np.column_stack([np.ones(len(y)), X]), len(y)
    moments = GroupedMoments.from_rows(X, y, None, np.array([]))
    limits = profile_limits(make_problem(moments), level=0.95)
    beta, (rss,) = np.linalg.lstsq(D, y, rcond=None)[:2]
    half = np.sqrt(np.diag(np.linalg.inv(D.T @ D)) * rss * np.expm1(chi2.ppf(0.95, 1) / n))
    np.testing.assert_allclose(limits.fixed, np.column_stack([beta - half, beta + half]))
    rise = n * np.log(limits.sigma**2) + rss / limits.sigma**2 - n * np.log(rss / n) - n
    np.testing.assert_allclose(rise, chi2.ppf(0.95, 1))
    assert np.all(np.isnan(limits.sd))


def assert_all_nan(limits):
    for values in (limits.fixed, limits.sigma, limits.sd, limits.correlation):
        assert np.all(np.isnan(values))


@pytest.mark.parametrize("random", [(0,), (0, 1)], ids=["intercept", "slope"])
def test_what_is_not_identified_or_fits_perfectly_has_no_limits(random):
    X, y, groups = simulate(0)
    exact = np.arange(8.0)[groups] + 2 * X[:, 0]
    for data in ((X, y, np.zeros(len(y))), (X, y, np.arange(len(y))), (X, exact, groups)):
        assert_all_nan(profile_limits(problem_of(*data, random), level=0.95))


def test_what_was_dropped_has_no_limits():
    X, y, groups = simulate(0)
    X = np.column_stack([X, 2 * X, np.ones(len(y))])
    for random in ((0, 1, 2), (0, 3)):
        limits = profile_limits(problem_of(X, y, groups, random), level=0.95)
        alone = profile_limits(problem_of(X[:, :1], y, groups, random[:-1]), level=0.95)
        assert limits.converged
        q = len(random) - 1
        np.testing.assert_allclose(limits.fixed[:2], alone.fixed, atol=1e-6)
        np.testing.assert_allclose(limits.sd[:q], alone.sd, atol=1e-6)
        assert np.all(np.isnan(limits.fixed[2:]))
        assert np.all(np.isnan(limits.sd[q:]))
        assert np.all(np.isnan(limits.correlation[q:]))


def test_uncorrelated_effects_have_no_correlation():
    X, y, groups = simulate(0)
    limits = profile_limits(problem_of(X, y, groups, (0, 1), diagonal=True), level=0.95)
    assert np.all(np.isnan(limits.correlation))
    assert limits.converged


@pytest.mark.parametrize(
    ("q", "options"), [(2, {"fixed_slopes": False}), (3, {"random_intercept": False})], ids=str
)
def test_other_columns(q, options):
    X, y, groups = simulate(3, q=q)
    random = tuple(range(q))
    limits = profile_limits(problem_of(X, y, groups, random, **options), level=0.95)
    D = np.column_stack([np.ones(len(y)), X])
    fixed = D if options.get("fixed_slopes", True) else D[:, :1]
    Z = D if options.get("random_intercept", True) else D[:, 1:]
    estimated = ProfileLimits(
        limits.fixed[: fixed.shape[1]], limits.sigma, limits.sd, limits.correlation, True
    )
    assert_on_the_border(estimated, DenseModel(fixed, y, Z, groups))


def test_a_model_without_fixed_effects():
    X, y, groups = simulate(1)
    options = {"fit_intercept": False, "fixed_slopes": False}
    limits = profile_limits(problem_of(X, y, groups, (0, 1), **options), level=0.95)
    assert np.all(np.isnan(limits.fixed))
    D = np.column_stack([np.ones(len(y)), X])
    dense = DenseModel(np.zeros((len(y), 1)), y, D, groups)
    for sigma in limits.sigma:
        assert dense.held(sigma=sigma) - dense.lowest == pytest.approx(3.8414588, abs=1e-5)


def test_groups_of_all_sizes_apart_or_added_up_give_the_same():
    """With weights that differ a little no two groups have the same size."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(90), rng.integers(1, 4, 90))
    X = rng.normal(size=(len(groups), 2))
    y = rng.normal(size=90)[groups] + rng.normal(size=len(groups))
    weights = 1 + 1e-12 * rng.normal(size=len(y))
    added_up, apart = problem_of(X, y, groups), problem_of(X, y, groups, weights=weights)
    assert RatioCriterion.from_problem(apart, reml=False).between.ndim == 2
    assert_equal_limits(
        profile_limits(apart, level=0.95), profile_limits(added_up, level=0.95), tol=1e-8
    )


def test_many_rows_a_group():
    """log sigma2 is then much better known than psi: their scales differ by a hundred."""
    X, y, groups = simulate(0, q=1, n_groups=10, sizes=(9_000, 11_000))
    problem = problem_of(X, y, groups)
    assert_extreme_on_the_line(problem, profile_limits(problem, level=0.95), level=0.95)


@pytest.mark.parametrize("slack", [1e-15, 1e-9, 1e-3, 0.3, 5.0])
@pytest.mark.parametrize("side", [-1, 1])
def test_log_sigma2_reaches_the_bound(slack, side):
    w = log_sigma2_step(np.array([slack]), np.array(side))[0]
    series = 2 * np.sqrt(slack / 2) * side + slack / 3  # where the difference has no digits
    assert np.sign(w) == side
    if slack < 1e-6:
        assert w == pytest.approx(series, rel=1e-7)
    else:
        assert w + np.expm1(-w) == pytest.approx(slack, rel=1e-9)


def coordinates_of(kind, problem):
    likelihood = OneFactor(CovarianceCriterion(problem, reml=False))
    rows = problem.coordinates.random_backmap
    if kind == "length":
        return LengthCoordinates.ending_with(rows[1], 0, likelihood)
    if kind == "angle":
        return AngleCoordinates.starting_with(rows[:2], 0, likelihood)
    return CovarianceCoordinates.plain(likelihood)


@pytest.mark.parametrize("kind", ["entries", "uncorrelated", "length", "angle"])
def test_derivatives_in_the_coordinates_agree_with_finite_differences(kind):
    diagonal = kind == "uncorrelated"
    X, y, groups = simulate(0, q=3)
    problem = problem_of(X, y, groups, (0, 1, 2), diagonal=diagonal)
    coordinates = coordinates_of(kind, problem)
    Lambda = np.random.default_rng(1).normal(size=(3, 3)) * (
        np.eye(3) if diagonal else np.tri(3)
    )
    phi = coordinates.phi([Lambda], 0.3)
    (L,), sigma2 = coordinates.factors(phi)
    assert sigma2 == pytest.approx(0.3)
    (W,) = coordinates.W
    np.testing.assert_allclose(L @ L.T, 0.3 * W @ Lambda @ Lambda.T @ W.T, atol=1e-12)
    at, h = coordinates(phi), 1e-6 * np.eye(len(phi))
    steps = [(coordinates(phi + step), coordinates(phi - step)) for step in h]
    gradient = [(up.value - down.value) / 2e-6 for up, down in steps]
    hessian = [(up.gradient - down.gradient) / 2e-6 for up, down in steps]
    np.testing.assert_allclose(at.gradient, gradient, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(at.hessian, hessian, rtol=1e-5, atol=1e-3)
