"""-2 log L against a dense oracle, and its gradient against differences."""

import numpy as np
import pytest
from likelihood_oracle import criterion as oracle

from skmixed._numerics.likelihoods.criterion import Criterion
from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._numerics.likelihoods.rows import LikelihoodRows

CASES = [
    (family, random, n_nodes, weighted)
    for family in FAMILIES
    for random, n_nodes in [((0,), 1), ((0,), 7), ((2,), 4), ((0, 1), 1), ((0, 1, 3), 1)]
    for weighted in (False, True)
]


def draw(family, weighted, seed=0, n=150, n_groups=20):
    rng = np.random.default_rng(seed)
    X = rng.normal(loc=[0.0, 2.0, -1.0], size=(n, 3))
    y = rng.integers(0, 2, n) if family == "binomial" else rng.poisson(1.5, n)
    weight = rng.integers(0, 3, n).astype(float) if weighted else None
    return X, y, rng.integers(0, n_groups, n), weight


def parameters(rows, seed=1):
    rng = np.random.default_rng(seed)
    return 0.4 * rng.normal(size=rows.p), 0.7 * np.tril(rng.normal(size=(rows.q,) * 2))


@pytest.mark.parametrize(("family", "random", "n_nodes", "weighted"), CASES)
def test_agrees_with_a_loop_over_groups(family, random, n_nodes, weighted):
    X, y, groups, weight = draw(family, weighted)
    rows = LikelihoodRows.from_rows(X, y, groups, weight, random=random)
    criterion = Criterion(rows, FAMILIES[family], n_nodes)
    beta, Lambda = parameters(rows)
    D = np.column_stack([np.ones(len(y)), X])
    w = np.ones(len(y)) if weight is None else weight
    there = w > 0
    expected = oracle(
        family,
        D[there],
        y[there],
        w[there],
        groups[there],
        rows.columns.to_user_coefficients(beta),
        rows.columns.random_backmap @ Lambda,
        D[there][:, list(random)],
        n_nodes,
    )
    value = criterion.evaluate(beta, Lambda).value + criterion.constant
    assert value == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("family", "random", "n_nodes", "weighted"), CASES)
def test_gradient_is_that_of_differences(family, random, n_nodes, weighted):
    X, y, groups, weight = draw(family, weighted)
    rows = LikelihoodRows.from_rows(X, y, groups, weight, random=random)
    criterion = Criterion(rows, FAMILIES[family], n_nodes)
    beta, Lambda = parameters(rows)
    at = criterion.evaluate(beta, Lambda)

    def slope(d_beta, d_Lambda, h=1e-4):
        up, up2, down, down2 = (
            criterion.evaluate(beta + c * h * d_beta, Lambda + c * h * d_Lambda).value
            for c in (1, 2, -1, -2)
        )
        return (8 * (up - down) - (up2 - down2)) / (12 * h)

    size = max(1.0, np.abs(at.by_beta).max(), np.abs(at.by_factor).max())
    for i, unit in enumerate(np.eye(rows.p)):
        assert slope(unit, 0.0) == pytest.approx(at.by_beta[i], abs=1e-7 * size)
    for entry in np.ndindex(*Lambda.shape):
        unit = np.zeros_like(Lambda)
        unit[entry] = 1.0
        assert slope(0.0, unit) == pytest.approx(at.by_factor[entry], abs=1e-7 * size)


def test_chunks_change_nothing(monkeypatch):
    X, y, groups, _ = draw("binomial", False)
    rows = LikelihoodRows.from_rows(X, y, groups)
    criterion = Criterion(rows, FAMILIES["binomial"], 5)
    whole = criterion.evaluate(*parameters(rows))
    monkeypatch.setattr("skmixed._numerics.likelihoods.criterion.CHUNK_ROWS", 20)
    parts = criterion.evaluate(*parameters(rows))
    assert parts.value == pytest.approx(whole.value, rel=1e-13)
    np.testing.assert_allclose(parts.by_beta, whole.by_beta, rtol=1e-10)
    np.testing.assert_allclose(parts.u, whole.u, rtol=1e-12)


def test_large_groups_do_not_overflow():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5000, 1)), rng.integers(0, 2, 5000)
    rows = LikelihoodRows.from_rows(X, y, np.zeros(5000, dtype=int))
    w, Z, beta = np.ones(5000), np.ones((5000, 1)), np.array([0.2, 3.0])
    D = np.column_stack([Z, (X - X.mean()) / X.std()])
    for n_nodes in (1, 3):
        mine = Criterion(rows, FAMILIES["binomial"], n_nodes).evaluate(beta, np.eye(1))
        theirs = oracle("binomial", D, y, w, 0 * y, beta, np.eye(1), Z, n_nodes)
        assert mine.value == pytest.approx(theirs, rel=1e-10)


def test_nine_nodes_against_many():
    """The error of the quadrature where groups are small and the variance large."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(200), 5)
    eta = 2 * rng.normal(size=200)[groups]
    y = rng.random(1000) < 1 / (1 + np.exp(-eta))
    rows = LikelihoodRows.from_rows(np.zeros((1000, 0)), y, groups)
    at = {
        n: Criterion(rows, FAMILIES["binomial"], n)
        .evaluate(np.zeros(1), np.full((1, 1), 2.0))
        .value
        for n in (1, 9, 25, 101)
    }
    assert abs(at[1] - at[101]) > 5
    assert abs(at[9] - at[101]) < 0.02
    assert abs(at[25] - at[101]) < 1e-4
