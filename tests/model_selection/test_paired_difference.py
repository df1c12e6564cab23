import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from skmixed import compare_pooling
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection._paired_difference import paired_difference


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw_fits(rng, n_groups=12, n_fits=6, shift=0.0):
    """Rows of some fits, each of which has groups of its own sizes and perhaps a shift."""
    groups = [rng.integers(n_groups, size=rng.integers(30, 50)) for _ in range(n_fits)]
    of_groups = rng.exponential(size=n_groups)
    values = [
        of_groups[codes] + rng.normal(size=len(codes)) + shift * rng.normal()
        for codes in groups
    ]
    return values, groups


def by_hand(values, groups):
    """Cameron, Gelbach and Miller's variance, row by row and sum by sum; t before the cubic."""
    n_fits = len(values)
    difference = sum(sum(each) / len(each) for each in values) / n_fits
    of_group, of_fit, of_cell, weight = {}, {}, {}, {}
    for f in range(n_fits):
        for value, g in zip(values[f], groups[f], strict=True):
            share = 1 / len(values[f]) / n_fits
            weight[g] = weight.get(g, 0) + share
            for sums, key in ((of_group, g), (of_fit, f), (of_cell, (f, g))):
                sums[key] = sums.get(key, 0) + share * (value - difference)
    v_groups = sum((of_group[g] / (1 - weight[g])) ** 2 for g in weight)
    v_groups *= (len(weight) - 1) / len(weight)
    v_fits = n_fits / (n_fits - 1) * sum(e**2 for e in of_fit.values())
    v_both = sum(e**2 for e in of_cell.values())
    variance = v_groups + max(0, v_fits - v_both)
    return difference, np.sqrt(variance), sum(e**3 for e in of_group.values())


@pytest.mark.parametrize("shift", [0, 1.0])
def test_variance_is_that_of_a_loop_by_hand(rng, shift):
    values, groups = draw_fits(rng, shift=shift)
    found = paired_difference(values, groups)
    difference, error, third = by_hand(values, groups)
    assert found.difference == pytest.approx(difference)
    assert found.std_error == pytest.approx(error)
    ratio, a = difference / error, third / error**3
    hall = ratio + a / 6 + a * ratio**2 / 3 + a**2 * ratio**3 / 27
    assert found.p_value == pytest.approx(2 * t.sf(abs(hall), found.df))


def test_fits_that_share_chance_count(rng):
    """A shift of each fit, as of models that draw at random, is no news from its groups."""
    values, groups = draw_fits(rng, shift=3.0)
    centred = [each - each.mean() + 1 for each in values]
    by_groups = paired_difference(centred, groups)
    assert paired_difference(values, groups).std_error > 3 * by_groups.std_error
    spread = np.std([each.mean() for each in values], ddof=1) / np.sqrt(len(values))
    assert paired_difference(values, groups).std_error == pytest.approx(spread, rel=0.05)


def test_degrees_of_freedom_are_those_of_independent_rows(rng):
    """By the eigenvalues of the quadratic form (Bell and McCaffrey), not in closed form."""
    sizes = np.array([3, 5, 5, 8, 13, 40, 2, 9])
    codes = np.repeat(np.arange(8), sizes)
    found = paired_difference([rng.normal(size=len(codes))], [codes])
    w = sizes / sizes.sum()
    centre = np.eye(8) - np.outer(w, np.ones(8))
    eigenvalues = np.linalg.eigvals(centre @ np.diag(w) @ centre.T).real
    assert found.df == pytest.approx(eigenvalues.sum() ** 2 / np.sum(eigenvalues**2))
    assert 4 < found.df < 5  # 7 if groups were of equal size


def test_one_fit_of_equal_groups_is_the_t_test():
    """Up to the skewness, of which symmetric values have none."""
    means = 0.4 + np.array([-3, -2, -1, 1, 2, 3, 0.5, -0.5])
    rows = np.repeat(means, 4) + np.tile([-0.1, 0.3, 0.1, -0.3], 8)
    found = paired_difference([rows], [np.repeat(np.arange(8), 4)])
    expected = ttest_1samp(means, 0)
    assert found.df == expected.df
    assert found.std_error == pytest.approx(means.std(ddof=1) / np.sqrt(8))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_order_and_names_do_not_matter(rng):
    values, groups = draw_fits(rng, shift=0.5)
    expected = paired_difference(values, groups)
    names = rng.permutation(40)
    orders = [rng.permutation(len(each)) for each in values]
    mixed = [(v[o], names[g[o]]) for v, g, o in zip(values, groups, orders, strict=True)]
    found = paired_difference(*zip(*reversed(mixed), strict=True))
    assert vars(found) == pytest.approx(vars(expected))
    swapped = paired_difference([-each for each in values], groups)
    assert swapped.difference == pytest.approx(-expected.difference)
    assert swapped.p_value == pytest.approx(expected.p_value)


def test_few_groups_are_not_tested(rng):
    for n_groups, is_tested in ((1, False), (2, False), (5, False), (6, True)):
        codes = np.repeat(np.arange(n_groups), 7)
        found = paired_difference([rng.normal(size=len(codes)) + 5] * 2, [codes] * 2)
        assert found.df == n_groups - 1
        assert np.isnan(found.std_error) == (n_groups == 1)
        assert np.isfinite(found.p_value) == is_tested
    comparison = compare_pooling(
        *make_mixed_regression(200, 1, 5, intercept_variance=9, random_state=0), random_state=0
    )
    told = [line for line in comparison.findings if "told apart" in line]
    assert len(told) == 4
    assert all(
        "for lack of groups (they are worth 5.0 of equal size, df = 4.0)" in line
        for line in told
    )


def test_no_difference_and_no_scores():
    codes = np.repeat(np.arange(9), 3)
    same = paired_difference([np.zeros(27)] * 2, [codes] * 2)
    assert (same.difference, same.std_error, same.p_value) == (0, 0, 1)
    assert paired_difference([np.ones(27)] * 2, [codes] * 2).p_value == 0
    none = paired_difference([np.zeros(27), np.full(27, np.nan)], [codes] * 2)
    assert np.isnan([none.difference, none.std_error, none.p_value]).all()


def squares_of_lines(rng, n_groups):
    """Squared errors of lines in two exchangeable features, in five folds of new groups."""
    groups = np.repeat(np.arange(n_groups), 6)
    x = rng.normal(size=(2, len(groups))) + rng.normal(size=(2, n_groups))[:, groups]
    y = x.sum(axis=0) / 2 + rng.normal(size=n_groups)[groups] + rng.normal(size=len(groups))
    for fold in range(5):
        train = groups % 5 != fold
        lines = [np.polyfit(each[train], y[train], 1) for each in x]
        errors = [y - np.polyval(*pair) for pair in zip(lines, x, strict=True)]
        yield np.subtract(*np.square(errors))[~train], groups[~train]


@pytest.mark.parametrize("n_groups", [20, 60])
def test_equal_models_are_told_apart_in_five_per_cent(n_groups):
    rng = np.random.default_rng(0)
    tests = [
        paired_difference(*zip(*squares_of_lines(rng, n_groups), strict=True))
        for _ in range(400)
    ]
    assert 0.025 <= np.mean([test.p_value < 0.05 for test in tests]) <= 0.075
    errors = [test.std_error for test in tests]
    spread = np.std([test.difference for test in tests])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.1)


@pytest.mark.slow
def test_a_better_model_is_found():
    """Random intercepts against fixed effects, in data sets in which these are always worse."""
    for seed in range(4):
        rows = make_mixed_regression(300, 2, 60, intercept_variance=0.5, random_state=seed)
        comparison = compare_pooling(*rows, random_state=0)
        found = comparison.difference("random intercept", "fixed effects")
        assert found.difference < 0
        assert found.p_value < 0.02
        assert comparison.findings[0].startswith(
            "In known groups random intercept beats fixed effects by"
        )


def squares(values, groups, difference, key):
    """Sum of the squares of sums over rows that agree in `key`."""
    sums = {}
    for f, (row_values, codes) in enumerate(zip(values, groups, strict=True)):
        for value, code in zip(row_values, codes, strict=True):
            share = (value - difference) / len(row_values) / len(values)
            sums[key(f, *code)] = sums.get(key(f, *code), 0) + share
    return sum(e**2 for e in sums.values())


@pytest.mark.parametrize("shift", [0, 1.0])
def test_two_factors_are_clustered_by_both(rng, shift):
    """Cameron, Gelbach and Miller: a plus b less their cells, and the same within fits."""
    values, groups = draw_fits(rng, shift=shift)
    others = [rng.integers(9, size=len(codes)) for codes in groups]
    effect = rng.normal(size=9)
    values = [each + effect[codes] for each, codes in zip(values, others, strict=True)]
    both = [np.column_stack(pair) for pair in zip(groups, others, strict=True)]
    found = paired_difference(values, both)
    by_factor = [paired_difference(values, of_one) for of_one in (groups, others)]
    difference, n_fits = found.difference, len(values)

    def sums(key):
        return squares(values, both, difference, key)

    v_fits = n_fits / (n_fits - 1) * sums(lambda f, a, b: f)
    shared = [sums(key) for key in (lambda f, a, b: (f, a), lambda f, a, b: (f, b))]
    of_fits = max(0, v_fits - sum(shared) + sums(lambda f, a, b: (f, a, b)))
    singles = []
    for column, one in enumerate(by_factor):
        cells = sums(lambda f, a, b, column=column: (f, (a, b)[column]))
        singles.append(one.std_error**2 - max(0, v_fits - cells))
    cell = sums(lambda f, a, b: (a, b))
    variance = max(*singles, sum(singles) - cell) + of_fits
    assert found.std_error == pytest.approx(np.sqrt(variance))
    assert found.df == min(one.df for one in by_factor)
    expected = 2 * t.sf(abs(difference / found.std_error), found.df)
    assert found.p_value == pytest.approx(expected)


def test_a_factor_of_one_column_is_one_factor(rng):
    values, groups = draw_fits(rng, shift=1.0)
    table = [codes[:, None] for codes in groups]
    assert vars(paired_difference(values, table)) == vars(paired_difference(values, groups))


def test_few_groups_of_either_factor_are_not_tested(rng):
    codes = np.column_stack([np.arange(90) % 15, np.arange(90) % 4])
    found = paired_difference([rng.normal(size=90) + 5] * 2, [codes] * 2)
    assert np.isnan(found.p_value)
    assert found.df == pytest.approx(3, abs=0.01)
