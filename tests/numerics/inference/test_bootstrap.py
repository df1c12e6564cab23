"""Drawn moments against those of simulated rows, and refits against fits from scratch."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import chi2, kstest, norm

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.inference.bootstrap import MomentSampler, bootstrap
from skmixed._numerics.linalg.digits import residual_square
from skmixed._numerics.moments.moments import GroupedMoments

OPTIONS = {"tol": 1e-10, "max_iter": 100}


def fit(X, y, groups, random=(0,), *, reml=True, sample_weight=None, **structure):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(
        X, y, codes, labels, random=random, sample_weight=sample_weight
    )
    problem = make_problem(moments, **structure)
    criterion, optimum = estimate(problem, reml=reml, **OPTIONS)
    return criterion, optimum.Lambda


def simulate(sizes, *, k=3, sds=(1.0, 0.7), seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(groups), k))
    X[:, -1] = rng.normal(size=len(sizes))[groups]  # constant within groups
    b = rng.normal(size=(len(sizes), 2))[groups] * sds
    y = 1 + X.sum(1) + b[:, 0] + b[:, 1] * X[:, 0] + rng.normal(size=len(groups))
    return X, y, groups


def spawn(n, seed=0):
    return np.random.SeedSequence(seed).spawn(n)


def draws(sampler, n):
    """The moments C_jy, X'Wy and y'Wy of n draws, one in each row."""
    drawn = (sampler.draw(np.random.default_rng(seed)) for seed in spawn(n))
    return np.array([np.concatenate([d.C[:, -1].ravel(), d.T[-1]]) for d in drawn])


def scaled_rows(problem, X, Z):
    """The columns of X, Z in the coordinates of the problem."""
    return (
        X @ problem.coordinates.backmap / problem.coordinates.y_scale,
        Z @ problem.coordinates.random_backmap,
    )


BALANCED, UNEVEN, SINGLE = [5] * 4, [1, 2, 3, 1, 6], [1] * 6 + [2, 4, 5]
# sizes of the groups, random columns among [1, X], options of make_problem
DESIGNS = {
    "intercept": (UNEVEN, (0,), {}),
    "balanced": (BALANCED, (0,), {}),
    "slope": (UNEVEN, (0, 1), {}),
    "slope, single rows": (SINGLE, (0, 1), {}),
    "two slopes, single rows": (SINGLE, (0, 1, 2), {}),
    "constant slope": (UNEVEN, (0, 3), {}),
    "uncorrelated": (UNEVEN, (0, 1), {"diagonal": True}),
    "slope alone": (UNEVEN, (0, 1), {"random_intercept": False}),
    "slope not fixed": (UNEVEN, (0, 1), {"fixed_slopes": False}),
    "no fixed intercept": (UNEVEN, (0, 1), {"fit_intercept": False}),
}


@pytest.fixture(scope="module", params=DESIGNS)
def design(request):
    """A fitted model at a Lambda of its own, the rows and the repetitions in their weights."""
    sizes, random, structure = DESIGNS[request.param]
    X, y, groups = simulate(sizes)
    X = np.column_stack([X, X[:, 0] + 2 * X[:, 1]])  # a dependent column
    weight = np.random.default_rng(1).integers(1, 3, len(y))
    criterion, _ = fit(X, y, groups, random, sample_weight=weight.astype(float), **structure)
    q = len(criterion.problem.C)
    Lambda = np.tril([[1.0, 0, 0], [0.4, 0.8, 0], [-0.3, 0.5, 1.2]])[:q, :q]
    Lambda = np.diag(np.diag(Lambda)) if structure.get("diagonal") else Lambda
    D = np.repeat(np.column_stack([np.ones(len(y)), X]), weight, axis=0)
    Z = D[:, list(random)][:, 0 if structure.get("random_intercept", True) else 1 :]
    D = D[:, 0 if structure.get("fit_intercept", True) else 1 :]
    x, z = scaled_rows(criterion.problem, D, Z)
    groups = np.repeat(groups, weight)
    return criterion, Lambda, x, z * np.equal.outer(np.unique(groups), groups)[..., None]


def test_moments_are_distributed_as_those_of_rows(design):
    """Means and covariances of what is linear in y, and of y'y, by their exact values."""
    criterion, Lambda, x, Z = design
    sampler = MomentSampler.from_fit(criterion, Lambda)
    np.testing.assert_allclose(x.T @ x, criterion.problem.T[:-1, :-1], atol=1e-9)
    linear = np.concatenate([Z.transpose(2, 0, 1).reshape(-1, len(x)), x.T])
    V = np.eye(len(x)) + sum(z @ Lambda @ Lambda.T @ z.T for z in Z)
    V *= sampler.sigma**2
    mu = x @ sampler.beta
    mean = np.append(linear @ mu, mu @ mu + np.trace(V))
    cov = np.zeros((len(mean),) * 2)
    cov[:-1, :-1] = linear @ V @ linear.T
    cov[-1, :-1] = cov[:-1, -1] = 2 * linear @ V @ mu
    cov[-1, -1] = 2 * np.sum(V * V) + 4 * mu @ V @ mu
    sd = np.sqrt(np.diag(cov))
    n = 2000
    found = (draws(sampler, n) - mean) / sd
    np.testing.assert_allclose(found.mean(0), 0, atol=4.5 / np.sqrt(n))
    np.testing.assert_allclose(found.T @ found / n, cov / np.outer(sd, sd), atol=8 / np.sqrt(n))


def test_estimates_at_the_true_covariance_have_their_exact_distribution(design):
    """r2 / sigma2 ~ chi2(n - p), and apart from it beta ~ N(beta, sigma2 M_XX^-1)."""
    criterion, Lambda, _, _ = design
    sampler = MomentSampler.from_fit(criterion, Lambda)
    _, M = criterion.eliminate(Lambda)
    root = np.linalg.cholesky(M[:-1, :-1]).T / sampler.sigma
    squares, betas = [], []
    for seed in spawn(1000, seed=1):
        refit = CovarianceCriterion(sampler.draw(np.random.default_rng(seed)), True)
        _, M = refit.eliminate(Lambda)
        squares.append(residual_square(M) / sampler.sigma**2)
        betas.append(root @ (refit.coefficients(M)[0] - sampler.beta))
    assert kstest(squares, chi2(criterion.dof).cdf).pvalue > 1e-3
    assert kstest(np.ravel(betas), norm.cdf).pvalue > 1e-3
    correlation = np.corrcoef(np.column_stack([squares, betas]).T)
    np.testing.assert_allclose(correlation, np.eye(len(correlation)), atol=4.5 / 1000**0.5)


def test_columns_that_are_fixed_and_random_have_one_sum():
    """Exact relations among the moments: 1'Wy and x'Wy are sums of C_jy."""
    criterion, Lambda = fit(*simulate(SINGLE), random=(0, 1))
    drawn = MomentSampler.from_fit(criterion, Lambda).draw(np.random.default_rng(0))
    np.testing.assert_allclose(drawn.C[:, -1].sum(axis=-1), drawn.T[-1, :2], atol=1e-12)


def test_without_residuals_y_is_its_line():
    X, _, groups = simulate(UNEVEN)
    criterion, Lambda = fit(X, X.sum(1), groups, (0, 1))
    sampler = MomentSampler.from_fit(criterion, Lambda)
    assert sampler.sigma == 0
    drawn = sampler.draw(np.random.default_rng(0))
    np.testing.assert_allclose(drawn.T, criterion.problem.T, atol=1e-12)
    np.testing.assert_allclose(drawn.C, criterion.problem.C, atol=1e-12)
    found = bootstrap(criterion, Lambda, seeds=spawn(2), **OPTIONS)
    np.testing.assert_allclose(found.beta, [[0, 1, 1, 1]] * 2, atol=1e-10)
    assert not found.sigma2.any()
    assert not found.random_effects_cov.any()


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=8),
    st.integers(1, 3),
    st.integers(0, 10**6),
)
@example([1, 1, 2, 3, 3, 2], 3, 1)  # as many columns as rows, but more by rounding
@settings(max_examples=40, deadline=None, derandomize=True)
def test_drawn_moments_are_those_of_some_rows(sizes, q, seed):
    """[X, y]' (I - Z Z^-) [X, y] is positive semidefinite, C_jy in the range of G_j."""
    X, y, groups = simulate(sizes, seed=seed)
    criterion, _ = fit(X, y, groups, tuple(range(q)))
    q = len(criterion.problem.C)  # some columns may depend on others
    Lambda = np.random.default_rng(seed).normal(size=(q, q))
    drawn = MomentSampler.from_fit(criterion, Lambda).draw(np.random.default_rng(seed))
    within = drawn.T.copy()
    for C, G in zip(np.moveaxis(drawn.C, -1, 0), np.moveaxis(drawn.G, -1, 0), strict=True):
        projected = np.linalg.pinv(G, rcond=1e-12, hermitian=True) @ C
        np.testing.assert_allclose(G @ projected, C, atol=1e-6 * np.abs(C).max())
        within -= C.T @ projected
    assert np.linalg.eigvalsh(within)[0] > -1e-6 * np.trace(drawn.T)


@pytest.mark.parametrize(
    ("sds", "reml"),
    [((1.0, 0.7), True), ((1.0, 0.7), False), ((1.0, 0.0), True), ((0.0, 0.0), False)],
    ids=str,
)
@pytest.mark.parametrize(
    ("random", "structure"),
    [((0,), {}), ((0, 1), {}), ((0, 1, 2), {}), ((0, 1), {"diagonal": True})],
    ids=["intercept", "slope", "two slopes", "uncorrelated"],
)
def test_refits_equal_fits_from_scratch(random, structure, sds, reml):
    X, y, groups = simulate([4, 5, 6, 7, 8] * 4, sds=sds)
    criterion, Lambda = fit(1e3 * X, 10 * y - 5, groups, random, reml=reml, **structure)
    seeds = spawn(6)
    found = bootstrap(criterion, Lambda, seeds=seeds, **OPTIONS)
    assert found.converged.all()
    sampler = MomentSampler.from_fit(criterion, Lambda)
    for i, seed in enumerate(seeds):
        drawn = sampler.draw(np.random.default_rng(seed))
        refit, optimum = estimate(drawn, reml=reml, **OPTIONS)
        expected = solve(refit, optimum.Lambda)
        cov = expected.sigma2 * expected.Lambda @ expected.Lambda.T
        unit = np.sqrt(expected.sigma2) * refit.problem.coordinates.random_backmap
        assert found.sigma2[i] == pytest.approx(expected.sigma2, rel=1e-5)
        np.testing.assert_allclose(
            found.random_effects_cov[i], cov, rtol=1e-4, atol=1e-5 * np.max(unit @ unit.T)
        )
        np.testing.assert_allclose(
            (found.beta[i] - expected.beta) / np.sqrt(np.diag(expected.beta_cov)), 0, atol=1e-4
        )


@pytest.mark.parametrize("random", [(0,), (0, 1)], ids=["intercept", "slope"])
def test_the_split_among_workers_does_not_matter(random):
    criterion, Lambda = fit(*simulate([3, 4, 5] * 5), random)
    whole = bootstrap(criterion, Lambda, seeds=spawn(7), **OPTIONS)
    parts = [
        bootstrap(criterion, Lambda, seeds=part, **OPTIONS)
        for part in (spawn(7)[:3], spawn(7)[3:4], spawn(7)[4:])
    ]
    for name in ("beta", "sigma2", "random_effects_cov", "converged"):
        together = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(whole, name), together)
    other = bootstrap(criterion, Lambda, seeds=spawn(7, seed=1), **OPTIONS)
    assert not np.any(np.isclose(other.sigma2, whole.sigma2))


def test_a_weight_is_a_number_of_rows_in_any_order():
    X, y, groups = simulate([3, 4, 5] * 5)
    rng = np.random.default_rng(1)
    weight = rng.integers(1, 4, len(y))
    weighted = fit(X, y, groups, (0, 1), sample_weight=weight.astype(float))
    rows = rng.permutation(np.repeat(np.arange(len(y)), weight))
    repeated = fit(X[rows], y[rows], groups[rows], (0, 1))
    one, other = (
        bootstrap(*model, seeds=spawn(5), **OPTIONS) for model in (weighted, repeated)
    )
    np.testing.assert_allclose(one.beta, other.beta, rtol=1e-5)
    np.testing.assert_allclose(one.sigma2, other.sigma2, rtol=1e-5)
    np.testing.assert_allclose(
        one.random_effects_cov, other.random_effects_cov, rtol=1e-3, atol=1e-6
    )


def test_weights_may_be_fractions():
    X, y, groups = simulate([3, 4, 5] * 5)
    weight = np.random.default_rng(1).uniform(0.2, 2, len(y))
    criterion, Lambda = fit(X, y, groups, sample_weight=weight / weight.mean())
    sampler = MomentSampler.from_fit(criterion, Lambda)
    assert sampler.dof == pytest.approx(60 - 15 - 2)  # two columns vary within groups
    found = bootstrap(criterion, Lambda, seeds=spawn(200), **OPTIONS)
    sigma2 = sampler.sigma**2 * criterion.problem.coordinates.y_scale**2
    error = np.std(found.sigma2) / np.sqrt(200)
    assert np.mean(found.sigma2) == pytest.approx(sigma2, abs=4 * error)


def test_weights_too_small_for_the_columns_are_an_error():
    X, y, groups = simulate([3, 4, 5] * 5)
    criterion, Lambda = fit(X, y, groups, sample_weight=np.full(60, 0.25))
    message = r"sum to at least 17, the number of independent .* but they sum\s+to 15\."
    with pytest.raises(ValueError, match=message):
        bootstrap(criterion, Lambda, seeds=spawn(1), **OPTIONS)


def test_rows_no_more_than_columns_leave_no_degrees_of_freedom():
    criterion, Lambda = fit(*simulate([1] * 12), (0, 1))
    sampler = MomentSampler.from_fit(criterion, Lambda)
    assert sampler.dof == 0
    assert np.isfinite(sampler.draw(np.random.default_rng(0)).T).all()


def test_columns_without_an_estimate_stay_at_zero():
    X, y, groups = simulate([3, 4, 5] * 5)
    criterion, Lambda = fit(np.column_stack([X, X[:, 0]]), y, groups)
    found = bootstrap(criterion, Lambda, seeds=spawn(3), **OPTIONS)
    assert found.beta.shape == (3, 5)
    np.testing.assert_array_equal(found.beta[:, -1], 0)


def test_without_groups_the_errors_are_those_of_least_squares():
    X, y, _ = simulate([60])
    X = X[:, :-1]
    moments = GroupedMoments.from_rows(X, y, None, np.array([]))
    criterion, optimum = estimate(make_problem(moments), reml=True, **OPTIONS)
    found = bootstrap(criterion, optimum.Lambda, seeds=spawn(1000), **OPTIONS)
    expected = np.sqrt(np.diag(solve(criterion, optimum.Lambda).beta_cov))
    np.testing.assert_allclose(found.beta.std(0), expected, rtol=0.1)
    assert not found.random_effects_cov.any()


def test_random_columns_of_zeros_have_no_variance():
    X, y, groups = simulate([4, 5, 6])
    X[:, 0] = 0
    criterion, Lambda = fit(X, y, groups, (0, 1), random_intercept=False)
    found = bootstrap(criterion, Lambda, seeds=spawn(3), **OPTIONS)
    np.testing.assert_array_equal(found.random_effects_cov, np.zeros((3, 1, 1)))
    assert np.all(found.sigma2 > 0)


def test_too_few_iterations_are_reported():
    criterion, Lambda = fit(*simulate([4, 5, 6] * 5), (0, 1))
    found = bootstrap(criterion, Lambda, seeds=spawn(5), tol=1e-10, max_iter=1)
    assert not found.converged.any()


def test_percentiles_are_close_to_the_profile_of_a_large_balanced_design():
    """There the likelihood of sigma2 and of lambda = sigma2 + m tau2 falls into two factors."""
    n_groups, m = 200, 10
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), m)
    y = rng.normal(size=n_groups)[groups] + rng.normal(size=len(groups))
    criterion, Lambda = fit(np.empty((len(y), 0)), y, groups)
    found = bootstrap(criterion, Lambda, seeds=spawn(1000), **OPTIONS)
    solution = solve(criterion, Lambda)
    tau2 = solution.sigma2 * solution.Lambda[0, 0] ** 2
    lam = solution.sigma2 + m * tau2
    drawn_lam = found.sigma2 + m * found.random_effects_cov[:, 0, 0]
    for estimated, drawn, dof in (
        (solution.sigma2, found.sigma2, n_groups * (m - 1)),
        (lam, drawn_lam, n_groups - 1),
    ):

        def excess(ratio, dof=dof):
            return dof * (np.log(ratio) + 1 / ratio - 1) - chi2(1).ppf(0.95)

        profile = np.array([brentq(excess, 0.5, 1), brentq(excess, 1, 2)])
        percentile = np.percentile(drawn, [2.5, 97.5]) / estimated
        np.testing.assert_allclose(percentile, profile, atol=0.1 * np.ptp(profile))
    half = 1.96 * np.sqrt(solution.beta_cov[0, 0])
    percentile = np.percentile(found.beta[:, 0], [2.5, 97.5]) - solution.beta[0]
    np.testing.assert_allclose(percentile, [-half, half], atol=0.15 * half)
