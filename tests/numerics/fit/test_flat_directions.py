"""Directions in which no likelihood changes, against covariance matrices built explicitly."""

import numpy as np
import pytest
from dense_oracle import dense_solution
from scipy.linalg import null_space, subspace_angles

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.flat_directions import constant_within, flat_directions
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.moments.moments import GroupedMoments


def repeated(pattern, n_groups):
    """The same rows in every group."""
    groups = np.repeat(np.arange(n_groups), len(pattern))
    return np.tile(np.asarray(pattern, dtype=float).T, n_groups).T, groups


def uneven(n_groups=14, seed=0):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), rng.integers(2, 6, n_groups))
    return rng.normal(size=(len(groups), 2)), groups


def with_column(x, column):
    return np.column_stack([x[:, :1], column])


X, GROUPS = uneven()
PAIRS, PAIR_GROUPS = repeated([[0.0], [1.0]], 9)
TRIPLES, TRIPLE_GROUPS = repeated([[0.0, 0.0], [1.0, 1.0], [2.0, 4.0]], 9)
ONE_DUMMY_EACH = np.equal.outer(GROUPS, np.arange(1, 14)).astype(float)

# X, groups, random columns of [1, X], options, and how many directions are flat by ML
CASES = {
    "ordinary": (X, GROUPS, (0, 1, 2), {}, 0),
    "ordinary, uncorrelated": (X, GROUPS, (0, 1, 2), {"diagonal": True}, 0),
    "no level": (X, GROUPS, (0, 1, 2), {"random_intercept": False}, 0),
    "0/1 between": (with_column(X, GROUPS % 2), GROUPS, (0, 2), {}, 1),
    "0/1 between, and a slope": (with_column(X, GROUPS % 2), GROUPS, (0, 1, 2), {}, 1),
    "5/7 between, far units": (
        with_column(X, 1e4 * (5 + GROUPS % 2 * 2)),
        GROUPS,
        (0, 2),
        {},
        1,
    ),
    "0/1 between, uncorrelated": (
        with_column(X, GROUPS % 2),
        GROUPS,
        (0, 2),
        {"diagonal": True},
        0,
    ),
    "-1/1 between, uncorrelated": (
        with_column(X, GROUPS % 2 * 2 - 1),
        GROUPS,
        (0, 2),
        {"diagonal": True},
        1,
    ),
    "three values between": (with_column(X, GROUPS % 3), GROUPS, (0, 2), {}, 0),
    "two dummies between": (
        np.column_stack([GROUPS % 3 == 0, GROUPS % 3 == 1]).astype(float),
        GROUPS,
        (0, 1, 2),
        {},
        3,
    ),
    "equal within but for a 0/1": (
        with_column(X, X[:, 0] + GROUPS % 2),
        GROUPS,
        (0, 1, 2),
        {},
        1,
    ),
    "pairs": (PAIRS, PAIR_GROUPS, (0, 1), {}, 1),
    "pairs, uncorrelated": (PAIRS, PAIR_GROUPS, (0, 1), {"diagonal": True}, 0),
    "pairs of -1/1, uncorrelated": (
        2 * PAIRS - 1,
        PAIR_GROUPS,
        (0, 1),
        {"diagonal": True},
        1,
    ),
    "triples": (TRIPLES, TRIPLE_GROUPS, (0, 1), {}, 0),
    "triples, and their squares": (TRIPLES, TRIPLE_GROUPS, (0, 1, 2), {}, 1),
    "a dummy for each group": (
        np.column_stack([X[:, 0], ONE_DUMMY_EACH]),
        GROUPS,
        (0, 1),
        {},
        0,
    ),
}
FLAT_BY_REML = {"a dummy for each group": 2}


def criterion_of(X, groups, random, *, reml, y=None, weights=None, **options):
    y = np.random.default_rng(1).normal(size=len(groups)) if y is None else y
    labels = np.unique(groups)
    moments = GroupedMoments.from_rows(
        X, y, groups, labels, sample_weight=weights, random=tuple(random)
    )
    return CovarianceCriterion(make_problem(moments, **options), reml)


def columns_of(X, random, options):
    D = np.column_stack([np.ones(len(X)), X])
    return D, D[:, list(random)[0 if options.get("random_intercept", True) else 1 :]]


def dense_null_space(D, Z, groups, *, reml, diagonal, weights=None):
    """Flat combinations of the user's free covariances, and the residual variance, in rows."""
    same = np.equal.outer(groups, groups)
    q = Z.shape[1]
    K = null_space(D.T) if reml else np.eye(len(D))
    W_inv = np.eye(len(D)) if weights is None else np.diag(1 / weights)
    changes = [same * (Z @ E @ Z.T) for E in entries(q, diagonal)] + [W_inv]
    images = np.array([(K.T @ change @ K).ravel() for change in changes])
    size = np.linalg.norm(images, axis=1)
    size[size < 1e-9 * max(size)] = 1.0
    return null_space((images / size[:, None]).T, rcond=1e-9).T / size


def entries(q, diagonal):
    pairs = [(a, b) for a in range(q) for b in range(a + 1) if a == b or not diagonal]
    for a, b in pairs:
        E = np.zeros((q, q))
        E[a, b] = E[b, a] = 1.0
        yield E


def found_null_space(flat, diagonal):
    """The same of what was found."""
    q = flat.of_covariance.shape[-1]
    rows = [flat.of_covariance[:, *np.nonzero(np.tril(E))] for E in entries(q, diagonal)]
    return np.column_stack([*rows, flat.of_sigma2])


def in_units_of(expected, found):
    """Both, with each number as a share of its largest expected change."""
    size = np.abs(expected).max(axis=0)
    size = np.where(size > 1e-6 * size.max(), size, size.max())
    return expected / size, found / size


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
@pytest.mark.parametrize("name", CASES)
def test_flat_directions_are_those_of_the_dense_covariance(name, reml):
    X, groups, random, options, n_flat = CASES[name]
    n_flat = FLAT_BY_REML.get(name, n_flat) if reml else n_flat
    flat = flat_directions(criterion_of(X, groups, random, reml=reml, **options))
    assert len(flat) == n_flat
    if n_flat:
        diagonal = options.get("diagonal", False)
        D, Z = columns_of(X, random, options)
        expected = dense_null_space(D, Z, groups, reml=reml, diagonal=diagonal)
        found = found_null_space(flat, diagonal)
        assert found.shape == expected.shape
        expected, found = in_units_of(expected, found)
        np.testing.assert_allclose(subspace_angles(found.T, expected.T), 0, atol=1e-6)


@pytest.mark.parametrize("reml", [True, False], ids=["reml", "ml"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[-1]])
def test_the_likelihood_is_the_same_along_them(name, seed, reml):
    X, groups, random, options, _ = CASES[name]
    flat = flat_directions(criterion_of(X, groups, random, reml=reml, **options))
    D, Z = columns_of(X, random, options)
    rng = np.random.default_rng(seed)
    y = rng.normal(size=len(groups)) + 0.3 * groups
    covariance = np.diag(2.0 / np.mean(Z**2, axis=0))
    for change, of_sigma2 in zip(flat.of_covariance, flat.of_sigma2, strict=True):
        scaled = change / np.sqrt(np.outer(*[np.diag(covariance)] * 2))
        step = rng.choice([-0.2, 0.2]) / max(np.abs(scaled).max(), abs(of_sigma2))
        there = (covariance + step * change) / (1 + step * of_sigma2)
        one, other = (
            dense_solution(D, y, Z, groups, Psi, reml=reml)["criterion"]
            for Psi in (covariance, there)
        )
        assert np.linalg.eigvalsh(there).min() > 0
        assert not np.allclose(there, covariance, rtol=1e-3)
        assert other == pytest.approx(one, abs=1e-7)


def test_weights_may_tell_pairs_apart():
    """With the same weights in all groups they do not; with different ones they do."""
    alike = np.tile([0.5, 1.5], 9)
    differ = np.random.default_rng(0).uniform(0.5, 1.5, 18)
    for weights, n_flat in [(alike, 1), (differ / differ.mean(), 0)]:
        criterion = criterion_of(PAIRS, PAIR_GROUPS, (0, 1), reml=True, weights=weights)
        D, Z = columns_of(PAIRS, (0, 1), {})
        expected = dense_null_space(
            D, Z, PAIR_GROUPS, reml=True, diagonal=False, weights=weights
        )
        assert len(flat_directions(criterion)) == len(expected) == n_flat


def test_they_do_not_depend_on_y_and_hardly_on_units():
    X, groups, random, options, _ = CASES["0/1 between, and a slope"]
    rng = np.random.default_rng(5)
    first = None
    for scale in (1e-6, 1.0, 1e6):
        y = rng.normal(size=len(groups)) * scale
        flat = flat_directions(
            criterion_of(X * [scale, 1], groups, random, reml=True, y=y, **options)
        )
        direction = flat.of_covariance[0] / flat.of_covariance[0, 2, 2]
        first = direction if first is None else first
        np.testing.assert_allclose(direction, first, atol=1e-9)
        assert not flat.change_sigma2


@pytest.mark.parametrize("n_groups", [1200, 3000])
def test_a_few_groups_may_determine_what_a_sample_does_not(n_groups):
    """The groups looked at first all have the same rows."""
    X, groups = repeated([[0.0], [1.0]], n_groups)
    assert len(flat_directions(criterion_of(X, groups, (0, 1), reml=True))) == 1
    X[3] = 2.0  # in the second group, which a sample of every second one or fewer misses
    assert len(flat_directions(criterion_of(X, groups, (0, 1), reml=True))) == 0


def test_a_column_that_varies_a_little_within_one_group_is_enough():
    X = with_column(*uneven()[:1], GROUPS % 2).astype(float)
    assert len(flat_directions(criterion_of(X, GROUPS, (0, 2), reml=True))) == 1
    X[0, 1] += 1e-3
    assert len(flat_directions(criterion_of(X, GROUPS, (0, 2), reml=True))) == 0


def test_one_random_column_has_no_directions():
    assert len(flat_directions(criterion_of(X, GROUPS, (0,), reml=True))) == 0
    # one of two is not kept
    twice = criterion_of(with_column(X, np.full(len(X), 3.0)), GROUPS, (0, 2), reml=True)
    assert len(flat_directions(twice)) == 0


def test_end_without_covariances():
    """Whether uncorrelated effects would be determined, as counted for these."""
    for name in ("0/1 between", "pairs", "triples, and their squares", "two dummies between"):
        X, groups, random, options, _ = CASES[name]
        full = flat_directions(criterion_of(X, groups, random, reml=True, **options))
        diagonal = criterion_of(X, groups, random, reml=True, diagonal=True)
        assert full.end_without_covariances == (len(flat_directions(diagonal)) == 0), name
    X = with_column(uneven()[0], GROUPS % 2 * 2 - 1)
    full = flat_directions(criterion_of(X, GROUPS, (0, 2), reml=True))
    assert not full.end_without_covariances


def test_columns_that_are_constant_within_groups():
    X = np.column_stack([uneven()[0][:, 0], GROUPS % 3, 1e8 + 0.1 * (GROUPS % 2)])
    problem = criterion_of(X, GROUPS, (0, 1, 2, 3), reml=True).problem
    assert constant_within(problem).tolist() == [True, False, True, True]
    X[0, 1] += 1e-4
    problem = criterion_of(X, GROUPS, (0, 1, 2, 3), reml=True).problem
    assert constant_within(problem).tolist() == [True, False, False, True]
    alone = criterion_of(X, GROUPS, (0, 1, 3), reml=True, random_intercept=False).problem
    assert constant_within(alone).tolist() == [False, True]


@pytest.mark.parametrize("diagonal", [False, True])
def test_ordinary_rows_determine_everything(diagonal):
    """200 tables: few and many groups, uneven ones, counts and far units among the columns."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n_groups, k = int(rng.integers(4, 50)), int(rng.integers(1, 4))
        sizes = rng.integers(1, 12, n_groups)
        sizes[:3] = k + 4
        groups = np.repeat(np.arange(n_groups), sizes)
        X = rng.normal(size=(len(groups), k)) + rng.normal(size=(n_groups, k))[groups]
        if seed % 3 == 0:
            X = np.round(X)
        X = (X + rng.normal(size=k)) * 10.0 ** rng.integers(-4, 5, k)
        weights = rng.uniform(0.2, 3.0, len(groups)) if seed % 4 == 0 else None
        options = {"reml": bool(seed % 2), "weights": weights, "diagonal": diagonal}
        criterion = criterion_of(X, groups, range(k + 1), **options)
        assert len(flat_directions(criterion)) == 0, seed
        assert not constant_within(criterion.problem)[1:].any(), seed
