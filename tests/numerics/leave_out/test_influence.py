"""Leverage and changes of coefficients, whatever variances and weights there are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.leave_out.influence import cooks_distance, sum_by_level
from skmixed._numerics.leave_out.leave_one_out import LeaveOut
from skmixed._numerics.moments.by_group import shifted_columns
from skmixed._numerics.moments.moments import GroupedMoments


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_groups=st.integers(2, 6),
    ratios=st.tuples(st.floats(0, 30), st.floats(0, 30)),
)
def test_as_dense_matrices(seed, n_groups, ratios):
    rng = np.random.default_rng(seed)
    codes = np.append(np.arange(n_groups), rng.integers(0, n_groups, 20))
    n = len(codes)
    X, w = rng.normal(size=(n, 2)), rng.uniform(0.2, 3.0, n)
    y = X.sum(axis=1) + rng.normal(size=n_groups)[codes] + rng.normal(size=n)
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(n_groups), w, random=(0, 1))
    criterion = Specification(reml=True).criterion(moments)
    fit = LeaveOut.from_criterion(criterion, np.diag(ratios))
    unit = fit.problem.coordinates.y_scale
    rows = fit.rows_in_fit(shifted_columns(X, y, moments.shift), codes, w).in_units(unit)

    Z = fit.problem.coordinates.random_columns(shifted_columns(X, y, moments.shift)).T
    D = np.column_stack([np.ones(n), X])
    V = np.diag(1 / w) + np.equal.outer(codes, codes) * ((Z * np.square(ratios)) @ Z.T)
    V_inv = np.linalg.inv(V)
    cov = np.linalg.inv(D.T @ V_inv @ D)
    P = V_inv - V_inv @ D @ cov @ D.T @ V_inv
    np.testing.assert_allclose(rows.leverage, 1 - np.diag(P) / w, atol=1e-9)
    assert np.all((rows.leverage > 0) & (rows.leverage < 1))
    # the total is the trace of the map from y to the fitted values, between 3 and n
    np.testing.assert_allclose(rows.leverage.sum(), n - np.sum(np.diag(P) / w), atol=1e-8)

    alone, _ = rows.without_each
    changes = rows.changes(alone)
    beta = cov @ D.T @ V_inv @ y
    i = int(rng.integers(n))
    kept = np.arange(n) != i
    half = np.linalg.inv(V[np.ix_(kept, kept)])
    other = np.linalg.solve(D[kept].T @ half @ D[kept], D[kept].T @ half @ y[kept])
    distance = (beta - other) @ np.linalg.inv(cov) @ (beta - other) / 3
    np.testing.assert_allclose(cooks_distance(changes, 1.0)[i], distance, atol=1e-9, rtol=1e-7)


def test_sums_of_levels_leave_out_those_without():
    values = np.array([[1.0, 2.0, 4.0, 8.0], [0.0, 1.0, 1.0, 5.0]])
    sums = sum_by_level(values, np.array([2, -1, 0, 2]), 3)
    np.testing.assert_array_equal(sums, [[4, 0, 9], [1, 0, 5]])
    assert sum_by_level(values[:0], np.array([2, -1, 0, 2]), 3).shape == (0, 3)
