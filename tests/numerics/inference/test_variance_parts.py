from dataclasses import replace

import numpy as np
import pytest

from skmixed import RandomInterceptRegressor
from skmixed._numerics.inference.variance_parts import (
    explained_variances,
    null_variances,
    random_variances,
    variances_by_level,
)
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed.datasets import load_hsb, make_mixed_regression


def anova(values, groups):
    """Mean squares and variance components of one-way random effects, by the book."""
    labels, sizes = np.unique(groups, return_counts=True)
    parts = [values[groups == label] for label in labels]
    n, J = len(values), len(labels)
    within = sum(np.sum((part - part.mean()) ** 2) for part in parts) / (n - J)
    means = np.array([part.mean() for part in parts])
    of_means = np.sum(sizes * (means - values.mean()) ** 2) / (J - 1)
    return within, (of_means - within) / ((n - np.sum(sizes**2) / n) / (J - 1))


@pytest.fixture(scope="module")
def rows():
    X, y, groups = make_mixed_regression(300, 3, 12, balanced=False, random_state=2)
    X += [10.0, -3.0, 0.0]
    X[:, 2] = np.random.default_rng(0).normal(size=12)[groups]
    labels, codes = np.unique(groups, return_inverse=True)
    return X, y, groups, GroupedMoments.from_rows(X, y, codes, labels, random=(0, 1))


def test_components_are_those_of_the_analysis_of_variance(rows):
    X, y, groups, moments = rows
    D = np.column_stack([np.ones(len(y)), X, y])
    contrasts = np.array([[0, 1, 0, 0, 0], [0, 0.5, -1, 2, 0], [0, 0, 0, 0, 1.0]])
    expected = np.transpose([anova(D @ contrast, groups) for contrast in contrasts])
    np.testing.assert_allclose(variances_by_level(moments, contrasts), expected, rtol=1e-8)


def test_a_column_that_is_constant_within_groups_lies_between(rows):
    X, _, groups, moments = rows
    within, between = explained_variances(moments, np.array([0, 0, 2.0]))
    assert within == pytest.approx(0, abs=1e-12)
    assert between == pytest.approx(4 * anova(X[:, 2], groups)[1])


def test_a_balanced_design_explains_nothing_between_groups():
    x, groups = np.tile(np.arange(5.0), 6), np.repeat(np.arange(6), 5)
    moments = GroupedMoments.from_rows(x[:, None], x, groups, np.arange(6))
    within, between = explained_variances(moments, np.array([3.0]))
    assert between == 0
    assert within == pytest.approx(sum(anova(3 * x, groups)))


def test_random_slopes_vary_within_groups_by_the_feature(rows):
    X, _, groups, moments = rows
    cov = np.array([[2.0, -0.3], [-0.3, 0.5]])
    within, between = random_variances(moments, cov, random_intercept=True)
    of_x = anova(X[:, 0], groups)
    Z = np.column_stack([np.ones(len(X)), X[:, 0]])
    at_mean = Z.mean(axis=0) @ cov @ Z.mean(axis=0)
    assert within == pytest.approx(0.5 * of_x[0])
    assert between == pytest.approx(at_mean + 0.5 * of_x[1])
    alone = random_variances(moments, cov[1:, 1:], random_intercept=False)
    expected = [0.5 * of_x[0], 0.5 * (X[:, 0].mean() ** 2 + of_x[1])]
    np.testing.assert_allclose(alone, expected)


def test_random_intercepts_vary_between_groups(rows):
    levels = replace(rows[-1], C=rows[-1].C[:1], random=(0,))
    parts = random_variances(levels, np.array([[1.5]]), random_intercept=True)
    np.testing.assert_allclose(parts, [0, 1.5], atol=1e-12)


def test_variances_without_features():
    X, y, groups = load_hsb(return_X_y=True)
    null = RandomInterceptRegressor().fit(X.iloc[:, :0], y, groups)
    model = RandomInterceptRegressor().fit(X, y, groups)
    within, between = null_variances(model._moments, reml=True, tol=1e-8, max_iter=100)
    assert within == pytest.approx(null.residual_variance_, rel=1e-6)
    assert between == pytest.approx(null.random_effects_cov_.iloc[0, 0], rel=1e-6)
    # Raudenbush and Bryk's null model of these data
    assert (round(within, 2), round(between, 2)) == (39.15, 8.61)


def test_groups_of_one_row_have_no_variance_between():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 1))
    moments = GroupedMoments.from_rows(X, X[:, 0], np.arange(20), np.arange(20))
    within, between = explained_variances(moments, np.array([1.0]))
    assert within == pytest.approx(X.var(ddof=1))
    assert between == 0
