"""Residuals of levels left out, against dense matrices."""

import numpy as np
import pytest
from nested_and_crossed import STRUCTURES, make_rows, some_lambdas

from skmixed._numerics.leave_out import levels_left_out
from skmixed._numerics.leave_out.levels_left_out import LevelsLeftOut, batches_of_levels

CASES = [(s, v) for s in STRUCTURES for v in ("intercepts", "slopes")]
CASES += [("crossed", v) for v in ("weights", "slope of one", "slope alone", "uncorrelated")]


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_covariance_and_residuals_are_those_of_dense_algebra(structure, variant):
    """C = Cov(y^ - Ey) / sigma2 and (P_SS)^-1 (P y)_S."""
    rows = make_rows(structure, variant)
    criterion, Lambdas = rows.criterion, some_lambdas(rows)
    scaled = rows.scaled(criterion, Lambdas)
    fit = LevelsLeftOut.at_optimum(criterion, scaled)
    dense, w = rows.dense(Lambdas), rows.weights
    w = np.ones(len(rows.y)) if w is None else w
    P, own = dense["P"], criterion.problem.coordinates
    X = rows.fixed @ own.backmap / own.y_scale
    Z = [
        Z @ of.random_backmap for Z, of in zip(rows.Z, criterion.problem.by_factor, strict=True)
    ]
    # P = W - W C W
    expected = (np.diag(w) - P) / np.outer(w, w)
    np.testing.assert_allclose(fit.covariance(X, Z, rows.codes), expected, atol=1e-9)
    residual = P @ rows.y / w
    for code in rows.codes:
        found = np.full(len(rows.y), np.nan)
        for some in batches_of_levels(code, code.max() + 1):
            found[some], determined = fit.without_levels(
                residual[some],
                X[some],
                [z[some] for z in Z],
                [c[some] for c in rows.codes],
                code[some],
                w[some],
            )
            assert determined
        for level in np.unique(code):
            S = code == level
            left = np.linalg.solve(P[np.ix_(S, S)], (P @ rows.y)[S])
            np.testing.assert_allclose(found[S], left, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("n_rows", [1, 7, 40, 1000])
def test_batches_hold_whole_levels(monkeypatch, n_rows):
    monkeypatch.setattr(levels_left_out, "BATCH_ROWS", n_rows)
    level = np.random.default_rng(0).integers(-1, 12, size=90)
    level[level == 4] = 5
    batches = list(batches_of_levels(level, 12))
    together = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(together), np.flatnonzero(level >= 0))
    for batch in batches:
        assert np.isin(np.flatnonzero(np.isin(level, level[batch])), batch).all()
