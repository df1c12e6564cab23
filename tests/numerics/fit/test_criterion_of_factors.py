"""The criterion of several factors against dense algebra."""

from dataclasses import replace

import numpy as np
import pytest
from nested_and_crossed import STRUCTURES, VARIANTS, make_rows, some_lambdas

from skmixed._numerics.fit import dense_layout
from skmixed._numerics.fit.factor import changes_of_psi

CASES = [(s, v) for s in STRUCTURES for v in ("intercepts", "slopes")]
CASES += [
    (s, v) for s in ("crossed", "partly nested", "nested three deep") for v in VARIANTS[2:]
]


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_is_that_of_dense_algebra(structure, variant):
    rows = make_rows(structure, variant)
    criterion, Lambdas = rows.criterion, some_lambdas(rows)
    dense = rows.dense(Lambdas)
    for largest_first in (False, True):
        at = criterion.eliminate(rows.scaled(criterion, Lambdas), largest_first=largest_first)
        assert at.value == pytest.approx(dense["criterion"], rel=1e-10)


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_gradient_is_that_of_differences(structure, variant):
    rows = make_rows(structure, variant)
    criterion = rows.criterion
    Lambdas = rows.scaled(criterion, some_lambdas(rows))
    Psi = [Lambda @ Lambda.T for Lambda in Lambdas]
    S = criterion(Lambdas).S
    for f, own in enumerate(Psi):
        for E in changes_of_psi(len(own), diagonal=criterion.problem.diagonal[f]):
            step = 1e-5 * np.abs(np.linalg.eigvalsh(own)).min()
            values = []
            for sign in (1, -1):
                moved = list(Psi)
                moved[f] = own + sign * step * E
                values.append(criterion.value([np.linalg.cholesky(P) for P in moved]))
            slope = (values[0] - values[1]) / (2 * step)
            assert np.sum(E * S[f]) == pytest.approx(slope, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("variant", ["intercepts", "slopes"])
def test_gradient_at_zero_is_the_limit(structure, variant):
    rows = make_rows(structure, variant)
    criterion = rows.criterion
    for f in range(len(rows.codes)):
        Lambdas = rows.scaled(criterion, some_lambdas(rows))
        near = [Lambda.copy() for Lambda in Lambdas]
        Lambdas[f] = np.zeros_like(Lambdas[f])
        near[f] = 1e-4 * np.eye(len(near[f]))
        at_zero, close = criterion(Lambdas), criterion(near)
        for one, two in zip(at_zero.S, close.S, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4 * np.abs(two).max())


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_average_information_is_that_of_dense_algebra(structure, variant):
    rows = make_rows(structure, variant)
    criterion, Lambdas = rows.criterion, some_lambdas(rows)
    dense = rows.dense(Lambdas)
    scaled = rows.scaled(criterion, Lambdas)
    directions = [
        changes_of_psi(q, diagonal=diagonal)
        for q, diagonal in zip(criterion.problem.q, criterion.problem.diagonal, strict=True)
    ]
    information, _ = criterion(scaled).average_information(directions)
    Py, w = dense["P"] @ rows.y, []
    for own, Z, some in zip(criterion.problem.by_factor, dense["Z"], directions, strict=True):
        for E in some:
            back = own.random_backmap @ E @ own.random_backmap.T
            w.append(Z @ np.kron(back, np.eye(Z.shape[1] // len(back))) @ (Z.T @ Py))
    w = np.array(w) / np.sqrt(dense["sigma2"])
    t = w @ Py / np.sqrt(dense["sigma2"])
    expected = w @ dense["P"] @ w.T - np.outer(t, t) / dense["dof"]
    np.testing.assert_allclose(information, expected, rtol=1e-7, atol=1e-7)


def test_components_of_many_kinds_are_filled_up(monkeypatch):
    rows = make_rows("components", "slopes", n=200)
    Lambdas = rows.scaled(rows.criterion, some_lambdas(rows))
    expected = rows.criterion(Lambdas)
    monkeypatch.setattr(dense_layout, "MOST_KINDS", 0)
    filled = rows.criterion(Lambdas)
    assert filled.value == pytest.approx(expected.value, rel=1e-12)
    for one, two in zip(filled.S, expected.S, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8)


def test_products_are_made_in_chunks(monkeypatch):
    rows = make_rows("three crossed", "slopes")
    Lambdas = rows.scaled(rows.criterion, some_lambdas(rows))
    expected = rows.criterion(Lambdas)
    for name in ("CHUNK_ENTRIES", "CHUNK_PAIRS"):
        monkeypatch.setattr(dense_layout, name, 20)
    chunked = rows.criterion(Lambdas)
    assert chunked.value == pytest.approx(expected.value, rel=1e-12)
    for one, two in zip(chunked.S, expected.S, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8)


def test_refuses_blocks_that_do_not_fit():
    criterion = make_rows("crossed").criterion
    layout = criterion.steps[-1].layout
    too_small = replace(layout, limit=1000.0)
    with pytest.raises(
        dense_layout.TooManyColumnsError, match=r"up to 7 columns .* GB"
    ) as error:
        _ = too_small.components
    assert error.value.n_columns == 7
    assert error.value.limit == 1e-6


@pytest.mark.parametrize("variant", ["intercepts", "slopes"])
@pytest.mark.parametrize("full", [0.0, np.inf])
def test_rows_with_most_entries_are_taken_as_dense(monkeypatch, full, variant):
    rows = make_rows("three crossed", variant)
    Lambdas = some_lambdas(rows)
    dense = rows.dense(Lambdas)
    monkeypatch.setattr(dense_layout, "FULL", full)
    monkeypatch.setattr(dense_layout, "CHUNK_ENTRIES", 50)
    criterion = rows.criterion
    assert criterion.steps[-1].layout.is_full == (full == 0)
    scaled = rows.scaled(criterion, Lambdas)
    derivatives = criterion(scaled)
    assert derivatives.value == pytest.approx(dense["criterion"], rel=1e-10)
    start = 0
    for H, own in zip(
        derivatives.at.elimination.covariances(), criterion.problem.by_factor, strict=True
    ):
        q, _, J = H.shape
        back = own.random_backmap
        expected = dense["H"][start : start + q * J, start : start + q * J].reshape(q, J, q, J)
        mine = np.einsum("ac,cdj,bd->abj", back, H, back)
        np.testing.assert_allclose(mine, np.einsum("ajbj->abj", expected), atol=1e-9)
        start += q * J
    for S, Lambda in zip(derivatives.S, scaled, strict=True):
        assert np.all(np.isfinite(S)), Lambda
    monkeypatch.setattr(dense_layout, "FULL", np.inf if full == 0 else 0.0)
    for one, two in zip(derivatives.S, rows.criterion(scaled).S, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-8)
