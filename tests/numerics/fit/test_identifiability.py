"""What the likelihood can tell, against the same said of V, Z and X written out."""

import numpy as np
import pytest
from scipy.linalg import block_diag

from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.identifiability import (
    absorbed_directions,
    check_bounded,
    fits_all_rows,
    residual_direction,
    without_what_cannot_be_told,
)
from skmixed._numerics.moments.moments import GroupedMoments


def problem_of(X, y, groups, w=None, random=(0,), **options):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(X, y, codes, labels, w, random=random)
    return Specification(**options).problem(moments)


def criterion_of(X, y, groups, w=None, random=(0,), **options):
    labels, codes = np.unique(groups, return_inverse=True)
    moments = GroupedMoments.from_rows(X, y, codes, labels, w, random=random)
    return Specification(**options).criterion(moments)


def rank(*columns):
    return np.linalg.matrix_rank(np.column_stack(columns))


def written_out(groups, *columns):
    """Random columns of all groups beside one another."""
    return np.column_stack([(groups == g) * z for g in np.unique(groups) for z in columns])


J = 7
GROUPS = np.repeat(np.arange(J), [2, 3, 4, 5, 3, 2, 4])
N = len(GROUPS)
RNG = np.random.default_rng(0)
x = RNG.normal(size=N)
LEVELS = RNG.normal(size=(J, J))[GROUPS]
DUMMIES = np.eye(J)[GROUPS]
FIXED = {
    "none": x[:, None],
    **{f"{k} levels": np.column_stack([x, LEVELS[:, :k]]) for k in (J - 2, J - 1, J)},
    "dummies": np.column_stack([x, DUMMIES[:, 1:]]),
    "slopes but two": np.column_stack([x, x[:, None] * DUMMIES[:, 2:]]),
    "slopes": np.column_stack([x, x[:, None] * DUMMIES[:, 1:]]),
    "slopes far from 0": np.column_stack([x + 50, (x + 50)[:, None] * DUMMIES[:, 1:]]),
    "both": np.column_stack([x, DUMMIES[:, 1:], x[:, None] * DUMMIES[:, 1:]]),
}


@pytest.mark.parametrize("fixed", FIXED)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_directions_that_fixed_effects_absorb(fixed, weighted, fit_intercept):
    X, y = FIXED[fixed], RNG.normal(size=N)
    w = np.exp(3 * np.random.default_rng(1).normal(size=N)) if weighted else None
    full = np.column_stack([np.ones(N), X]) if fit_intercept else X
    options = {"fit_intercept": fit_intercept}
    for random, columns in (((0,), [np.ones(N)]), ((0, 1), [np.ones(N), X[:, 0]])):
        problem = problem_of(X, y, GROUPS, w, random, **options)
        free = [rank(full, written_out(GROUPS, z)) > rank(full) for z in columns]
        directions = absorbed_directions(problem)
        assert directions.shape[1] == len(columns) - sum(free)
        in_user_columns = problem.coordinates.random_backmap @ directions
        np.testing.assert_allclose(in_user_columns[free], 0, atol=1e-7)


@pytest.mark.parametrize("fixed", ["slopes", "slopes far from 0", "dummies"])
def test_the_criterion_does_not_see_what_is_absorbed(fixed):
    criterion = criterion_of(FIXED[fixed], RNG.normal(size=N), GROUPS, random=(0, 1))
    Lambda = np.array([[0.8, 0.0], [0.3, 0.6]])
    less = without_what_cannot_be_told(criterion.problem, Lambda, reml=True)
    assert np.count_nonzero(less.any(axis=0)) == 1
    np.testing.assert_allclose(criterion.value(less), criterion.value(Lambda), rtol=1e-9)


ROWS = {
    "one each": np.ones(12, int),
    "two each": np.full(10, 2),
    "one or two": np.repeat([1, 2], 6),
    "one or three": np.repeat([1, 3], 6),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("columns", ["ones", "z", "both"])
@pytest.mark.parametrize("weights", ["equal", "of z", "any"])
@pytest.mark.parametrize("same_z", [False, True])
def test_directions_that_look_like_residuals(rows, columns, weights, same_z):
    groups = np.repeat(np.arange(len(ROWS[rows])), ROWS[rows])
    n = len(groups)
    rng = np.random.default_rng(2)
    z = np.arange(n) % 2 * 2.0 + 0.5 if same_z else rng.normal(size=n)
    w = {"equal": np.ones(n), "of z": 1 / z**2, "any": rng.uniform(0.5, 2, n)}[weights]
    w = w / w.mean()
    random, with_ones = ((0,), True) if columns == "ones" else ((0, 1), columns == "both")
    Z = {"ones": [np.ones(n)], "z": [z], "both": [np.ones(n), z]}[columns]
    Z = np.column_stack(Z)
    blocks = [Z[groups == g] for g in np.unique(groups)]
    # vec(Z_j D Z_j') for a basis of symmetric D, in all groups, against W^-1
    q = Z.shape[1]
    units = [np.outer(a, b) + np.outer(b, a) for a in np.eye(q) for b in np.eye(q)]
    A = np.column_stack([block_diag(*(B @ E @ B.T for B in blocks)).ravel() for E in units])
    b = np.diag(1 / w).ravel()
    missed = np.linalg.norm(A @ np.linalg.lstsq(A, b, rcond=None)[0] - b)
    problem = problem_of(
        z[:, None], rng.normal(size=n), groups, w, random, random_intercept=with_ones
    )
    D = residual_direction(problem)
    assert (D is not None) == (missed < 1e-8)


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_criterion_does_not_see_what_looks_like_residuals(diagonal):
    rng, n = np.random.default_rng(0), 20
    criterion = criterion_of(
        rng.normal(size=(n, 1)),
        rng.normal(size=n),
        np.arange(n),
        None,
        (0, 1),
        diagonal=diagonal,
    )
    Lambda = np.diag([0.8, 0.6]) if diagonal else np.array([[0.8, 0.0], [0.3, 0.6]])
    less = without_what_cannot_be_told(criterion.problem, Lambda, reml=True)
    assert np.count_nonzero(less.any(axis=0)) == 1
    np.testing.assert_allclose(criterion.value(less), criterion.value(Lambda), rtol=1e-9)
    again = without_what_cannot_be_told(criterion.problem, less, reml=True)
    np.testing.assert_allclose(again @ again.T, less @ less.T, atol=1e-12)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("random", [(0,), (0, 1)])
@pytest.mark.parametrize("n_features", [1, 4])
@pytest.mark.parametrize("mean", [0.8, 1.0, 1.3])
def test_bounded_or_not(rows, random, n_features, mean):
    groups = np.repeat(np.arange(len(ROWS[rows])), ROWS[rows])
    rng, n = np.random.default_rng(3), len(groups)
    X, y, w = rng.normal(size=(n, n_features)), rng.normal(size=n), rng.uniform(0.5, 2, n)
    w *= mean / w.mean()
    Z = written_out(groups, *[np.ones(n), X[:, 0]][: len(random)])
    all_rows = rank(np.ones(n), X, Z) == n
    criterion = criterion_of(X, y, groups, w, random)
    assert fits_all_rows(criterion.problem) == all_rows
    far = [criterion.value(scale * np.eye(len(random))) for scale in (1e3, 1e4)]
    # the criterion changes by (n_rows - n) log of the ratio, or rises if a residual is left
    if all_rows:
        np.testing.assert_allclose(np.diff(far), n * (1 - mean) * np.log(100), atol=1e-2)
    else:
        assert far[1] > far[0]
    if all_rows and mean > 1:
        with pytest.raises(ValueError, match=r"1\.3 a row"):
            check_bounded(criterion.problem)
    else:
        check_bounded(criterion.problem)
