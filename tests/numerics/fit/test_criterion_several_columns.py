"""The criterion in a covariance matrix and what follows, against the dense oracle."""

import numpy as np
import pytest
from dense_oracle import dense_solution

from skmixed._numerics.fit import criterion_several_columns as module
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.search_several_columns import minimize_covariance
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.moments.moments import GroupedMoments


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_GROUPS", 3)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    groups = rng.choice(8, 70, p=rng.dirichlet(np.full(8, 2.0)))
    X = rng.normal(size=(70, 3)) * [1, 20, 0.1] + [0, 5, 1]
    b = rng.normal(size=(8, 2))[groups]
    return X, X @ [1, 0.1, 2] + b[:, 0] + b[:, 1] * X[:, 0] + rng.normal(size=70), groups


def criterion_of(rows, *, random=(0, 1, 3), reml=True, **options):
    X, y, groups = rows
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(X, y, codes, labels, random=random)
    return CovarianceCriterion(make_problem(moments, **options), reml)


def user_psi(criterion, Lambda):
    factor = criterion.problem.coordinates.random_backmap @ Lambda
    return factor @ factor.T


LAMBDAS = {
    "full": np.array([[0.7, 0, 0], [-0.3, 0.5, 0], [0.2, 0.4, 1.2]]),
    "of rank 1": np.array([[0.7, 0, 0], [-0.3, 0, 0], [0.2, 0, 0]]),
    "zero": np.zeros((3, 3)),
    "large": 1e3 * np.eye(3),
}


@pytest.mark.parametrize("Lambda", LAMBDAS.values(), ids=LAMBDAS)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fit_intercept": False},
        {"diagonal": True},
        {"random_intercept": False},
        {"fixed_slopes": False},
        {"fixed_slopes": (False, True)},
        {"fixed_slopes": (True, False), "fit_intercept": False},
    ],
    ids=str,
)
def test_agrees_with_the_dense_covariance(rows, Lambda, reml, options):
    X, y, groups = rows
    criterion = criterion_of(rows, reml=reml, **options)
    q = len(criterion.problem.C)
    Lambda = np.diag(np.diag(Lambda))[:q, :q] if options.get("diagonal") else Lambda[:q, :q]
    solution = solve(criterion, Lambda)
    ones = np.ones((len(y), 1))
    Z = np.hstack([ones, X[:, [0, 2]]])[:, 3 - q :]
    is_fixed = np.ones(3, dtype=bool)
    is_fixed[[0, 2]] = options.get("fixed_slopes", True)
    fixed = np.flatnonzero(is_fixed)
    D = X[:, fixed] if options.get("fit_intercept") is False else np.hstack([ones, X[:, fixed]])
    oracle = dense_solution(D, y, Z, groups, user_psi(criterion, Lambda), reml=reml)
    estimated = criterion.problem.coordinates.kept
    assert solution.criterion == pytest.approx(oracle["criterion"], abs=1e-7)
    assert solution.sigma2 == pytest.approx(oracle["sigma2"], rel=1e-7)
    np.testing.assert_allclose(solution.beta[estimated], oracle["beta"], rtol=1e-6, atol=1e-7)
    cov = solution.beta_cov[np.ix_(estimated, estimated)]
    se = np.sqrt(np.diag(cov))
    np.testing.assert_allclose((cov - oracle["beta_cov"]) / np.outer(se, se), 0, atol=1e-6)
    np.testing.assert_allclose(solution.b.T, oracle["b"], rtol=1e-6, atol=1e-7)
    Psi = solution.Lambda @ solution.Lambda.T
    np.testing.assert_allclose(Psi, user_psi(criterion, Lambda), rtol=1e-9, atol=1e-10)
    assert np.all(np.triu(solution.Lambda, 1) == 0)
    assert np.all(np.diag(solution.Lambda) >= 0)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("random", [(0, 1), (0, 1, 3), (0, 1, 2, 3)], ids=len)
def test_derivatives_agree_with_finite_differences(rows, reml, random):
    criterion = criterion_of(rows, reml=reml, random=random)
    rng = np.random.default_rng(len(random))
    q = len(random)
    Psi = np.cov(rng.normal(size=(q, 3 * q)))
    E, F = (M + M.T for M in rng.normal(size=(2, q, q)))

    def at(Psi):
        return criterion(np.linalg.cholesky(Psi))

    h = 1e-5
    slope = (at(Psi + h * E).value - at(Psi - h * E).value) / (2 * h)
    assert np.sum(at(Psi).S * E) == pytest.approx(slope, rel=1e-6, abs=1e-6)
    change = (at(Psi + h * F).S - at(Psi - h * F).S) / (2 * h)
    found = np.einsum("ab,abcd,cd", E, at(Psi).hessian, F)
    assert found == pytest.approx(np.sum(change * E), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("reml", [True, False])
def test_several_at_once_are_as_one_by_one(rows, reml):
    criterion = criterion_of(rows, reml=reml)
    several = criterion(np.array(list(LAMBDAS.values())))
    for i, Lambda in enumerate(LAMBDAS.values()):
        one = criterion(Lambda)
        for name, expected in vars(one).items():
            found = vars(several[i])[name]
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10, err_msg=name)


def test_any_factor_of_psi_gives_the_same(rows):
    criterion = criterion_of(rows)
    Lambda = LAMBDAS["full"]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    one, other = criterion(Lambda), criterion(Lambda @ turn)
    assert one.value == pytest.approx(other.value, abs=1e-9)
    np.testing.assert_allclose(one.S, other.S, atol=1e-9)
    np.testing.assert_allclose(one.hessian, other.hessian, atol=1e-8)


def test_the_gradient_is_right_where_psi_is_singular(rows):
    """There the gradient in Lambda vanishes, but S must still tell which way is down."""
    criterion = criterion_of(rows)
    at = criterion(np.zeros((3, 3)))
    for direction in np.eye(3):
        step = 1e-4 * np.outer(direction, [1, 0, 0])
        change = (criterion.value(step) - at.value) / 1e-8
        assert direction @ at.S @ direction == pytest.approx(change, rel=1e-3)


def test_a_sample_of_groups_is_close_to_all():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(900), 6)
    X = rng.normal(size=(len(groups), 2))
    b = rng.normal(size=(900, 2))[groups]
    y = X.sum(1) + b[:, 0] + b[:, 1] * X[:, 0] + rng.normal(size=len(groups))
    criterion = criterion_of((X, y, groups), random=(0, 1))
    sample = criterion.sampled(3)
    assert sample.problem.n_groups == 300
    found, expected = (
        minimize_covariance(c, diagonal=False, tol=1e-8, max_iter=50).Lambda
        for c in (sample, criterion)
    )
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=0.2)
    np.testing.assert_allclose(expected @ expected.T, np.eye(2), atol=0.2)
