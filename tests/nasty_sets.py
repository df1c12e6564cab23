"""Small data on which a criterion of several random columns may have several minima."""

from dataclasses import replace

import numpy as np

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.moments.moments import GroupedMoments


def nasty_criterion(seed):
    """3 to 60 tiny groups, 2 to 4 random columns; heavy tails, weights, collinear columns."""
    rng = np.random.default_rng([20261126, seed])
    n_groups = int(rng.choice([rng.integers(3, 7), rng.integers(6, 16), rng.integers(15, 61)]))
    q, with_level = int(rng.choice([2, 2, 3, 4])), bool(rng.random() < 0.85)
    n_slopes = q - with_level
    sizes = rng.integers(1, int(rng.choice([4, 8, 16])), n_groups)
    while sizes.sum() < q + 8:
        sizes += 1
    groups = np.repeat(np.arange(n_groups), sizes)
    n = len(groups)
    X = np.column_stack(
        [_feature(rng, groups) for _ in range(n_slopes + int(rng.integers(0, 3)))]
    )
    if X.shape[1] > 1 and rng.random() < 0.25:
        X[:, 1] = X[:, 0] + 10.0 ** rng.uniform(-3, -0.5) * rng.normal(size=n)
    b = np.column_stack([_noise(rng, n_groups) for _ in range(q)])
    b *= 10.0 ** rng.uniform(-1.5, 1, q) * (rng.random(q) < 0.7)
    Z = np.column_stack([np.ones((n, int(with_level))), X[:, :n_slopes]])
    y = np.sum(Z * b[groups], axis=1) + X.sum(axis=1) * rng.integers(0, 2) + _noise(rng, n)
    w = None
    if rng.random() < 0.4:
        w = 10.0 ** rng.uniform(-4, 4, n) if rng.random() < 0.5 else np.exp(rng.normal(size=n))
        w /= w.mean()
    options = {
        "diagonal": bool(rng.random() < 0.4),
        "fit_intercept": bool(rng.random() < 0.9),
        "random_intercept": with_level,
        "fixed_slopes": bool(rng.random() < 0.8),
    }
    random = tuple(range(n_slopes + 1))
    moments = GroupedMoments.from_rows(
        X, y, groups, np.arange(n_groups), sample_weight=w, random=random
    )
    return CovarianceCriterion(make_problem(moments, **options), bool(rng.random() < 0.5))


def submodels(criterion):
    """Yield models with one random column less, and that of uncorrelated effects."""
    problem, columns = criterion.problem, list(range(criterion.problem.q))
    for left_out in columns:
        kept = columns[:left_out] + columns[left_out + 1 :]
        yield kept, replace(criterion, problem=replace(problem, root=problem.root[kept]))
    if not problem.diagonal:
        yield columns, replace(criterion, problem=replace(problem, diagonal=True))


def _noise(rng, n):
    """Errors with heavy tails, most often."""
    kind = rng.integers(5)
    if kind == 0:
        return rng.normal(size=n)
    if kind == 1:
        return rng.standard_t(1.5, size=n)
    if kind == 2:
        return np.exp(2 * rng.normal(size=n))
    if kind == 3:
        return rng.standard_cauchy(size=n)
    return rng.normal(size=n) * np.where(rng.random(n) < 0.1, 30, 1)


def _feature(rng, groups):
    n, kind = len(groups), rng.integers(6)
    if kind == 0:
        return rng.normal(size=n)
    if kind == 1:
        return np.exp(1.5 * rng.normal(size=n))
    if kind == 2:
        return (rng.random(n) < 0.3).astype(float)
    if kind == 3:  # hardly varies within groups
        return rng.normal(size=groups.max() + 1)[groups] + 0.3 * rng.normal(size=n)
    if kind == 4:
        return rng.integers(0, 4, n).astype(float)
    return rng.normal(size=n) + 5
