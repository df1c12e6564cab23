"""Warnings of what the rows do not determine: where they come, what they say, and where not."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from dense_oracle import dense_solution
from reference_cases import load_cases
from sklearn.exceptions import ConvergenceWarning

from skmixed import GroupedMoments, RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb, make_mixed_regression
from skmixed.exceptions import NotIdentifiedWarning, SingularFitWarning

CASES = {case.name: case for case in load_cases() if case.slopes}


@pytest.fixture(scope="module")
def hsb():
    return load_hsb(return_X_y=True)


def fit(model, X, y, groups, **given):
    """A fitted model, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, groups=groups, **given)
    return model, caught


def only_message(caught):
    (warning,) = caught
    assert warning.category is NotIdentifiedWarning
    return str(warning.message)


def simulate(pattern, n_groups=40, seed=0):
    """The same rows in each group, with a level and slopes."""
    rng = np.random.default_rng(seed)
    pattern = np.asarray(pattern, dtype=float)
    groups = np.repeat(np.arange(n_groups), len(pattern))
    X = np.tile(pattern.T, n_groups).T
    b = rng.normal(size=(n_groups, 1 + X.shape[1]))
    y = 1 + X.sum(axis=1) + b[groups, 0] + np.sum(b[groups, 1:] * X, axis=1)
    return X, y + 0.5 * rng.normal(size=len(y)), groups


# ----------------------------------------------------------------------- what is said


@pytest.mark.parametrize("slopes", ["catholic", "all", ["ses", "catholic"]])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_dummy_that_is_constant_within_groups(hsb, slopes, method):
    X, y, groups = hsb
    model, caught = fit(
        RandomSlopeRegressor(slopes, method=method), X[["ses", "catholic"]], y, groups
    )
    message = only_message(caught)
    assert "do not determine the variance of catholic and the covariance of" in message
    assert (
        "only through the variance of catholic + 2 times the covariance of (Intercept) and "
        "catholic." in message
    )
    kept = "" if slopes == "catholic" else ", as in slopes=['ses']"
    assert message.endswith(
        "catholic does not vary within groups, so no group shows a slope of its own: leave it "
        f"out of `slopes`{kept}."
    )
    # as it says: another covariance matrix has the same likelihood
    some = np.isin(groups, np.unique(groups)[:12])
    D = np.column_stack([np.ones(some.sum()), X.loc[some, ["ses", "catholic"]]])
    labels, y = groups[some].to_numpy(), y.to_numpy()
    Psi = np.diag([0.3, 0.3])
    other = Psi + 0.1 * np.array([[0, 1], [1, -2]])
    one, same = (
        dense_solution(D, y[some], D[:, [0, 2]], labels, psi, reml=method == "reml")
        for psi in (Psi, other)
    )
    assert one["criterion"] == pytest.approx(same["criterion"], abs=1e-8)
    assert message in model.summary().remarks
    assert message in pickle.loads(pickle.dumps(model)).summary().remarks


def test_all_columns_that_do_not_vary_within_groups_are_named(hsb):
    X, y, groups = hsb
    _, caught = fit(RandomSlopeRegressor(), X, y, groups)
    message = only_message(caught)
    assert "the variance of catholic + 2 times the covariance" in message
    assert "mean_ses, catholic do not vary within groups" in message
    varying = ["ses", "minority", "female"]
    assert message.endswith(f"leave them out of `slopes`, as in slopes={varying}.")
    _, caught = fit(RandomSlopeRegressor(varying), X, y, groups)
    assert not any("do not vary within" in str(warning.message) for warning in caught)


def test_slopes_to_keep_are_given_as_the_parameter_takes_them(hsb):
    X, y, groups = hsb
    kept = ", as in slopes=[{}]."
    table = np.column_stack([X["ses"], groups, X["catholic"]])
    by_position = RandomSlopeRegressor(group_by=1)
    for model, rows, given, others in (
        (RandomSlopeRegressor(), table[:, [0, 2]], groups, kept.format(0)),
        (by_position, table, None, kept.format(0)),
        (by_position, table[:, [2, 1, 0]], None, kept.format(2)),
        (RandomSlopeRegressor("catholic"), X[["ses", "catholic"]], groups, "of `slopes`."),
    ):
        message = only_message(fit(model, rows, y, given)[1])
        assert message.endswith(others)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_column_between_groups_whose_variances_are_determined(hsb, covariance):
    X, y, groups = hsb
    model, caught = fit(RandomSlopeRegressor("mean_ses", covariance=covariance), X, y, groups)
    message = only_message(caught[:1])
    assert message.startswith("mean_ses does not vary within groups")
    assert "lets the variance of the groups' levels depend on it" in message
    assert not any("do not determine" in remark for remark in model.summary().remarks)


def test_a_slope_that_stands_for_levels_of_its_own(hsb):
    """Without a level, a column between groups is a level with another variance."""
    X, y, groups = hsb
    model = RandomSlopeRegressor("mean_ses", random_intercept=False)
    assert not fit(model, X, y, groups)[1]


def test_three_numbers_in_two_combinations(hsb):
    X, y, groups = hsb
    X = X.assign(catholic=X["catholic"] + 1)
    _, caught = fit(RandomSlopeRegressor("catholic"), X, y, groups)
    message = only_message(caught)
    assert (
        "do not determine the variance of (Intercept), the variance of catholic and the "
        "covariance of (Intercept) and catholic" in message
    )
    assert "on these 3 numbers only through 2 combinations of them" in message


def test_uncorrelated_effects_of_a_contrast(hsb):
    X, y, groups = hsb
    X = X.assign(catholic=2 * X["catholic"] - 1)
    model, caught = fit(RandomSlopeRegressor("catholic", covariance="diag"), X, y, groups)
    message = only_message(caught)
    assert "the variance of (Intercept) + the variance of catholic." in message
    assert "'diag'" not in message
    level, _ = fit(RandomInterceptRegressor(), X, y, groups)
    total = model.random_effects_cov_.to_numpy().trace()
    assert total == pytest.approx(level.random_effects_cov_.iloc[0, 0], rel=1e-4)


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_groups_of_two_rows(method):
    X, y, groups = simulate([[0.0], [1.0]])
    model = RandomSlopeRegressor(method=method)
    message = only_message(fit(model, X, y, groups)[1])
    assert "and the residual variance" in message
    assert "on these 4 numbers only through 3 combinations" in message
    assert message.endswith("leave out a slope, or use covariance='diag'.")


def test_many_numbers_are_named_by_their_terms():
    X, y, groups = simulate([[0.0, 0.0], [1.0, 1.0], [2.0, 4.0]])
    message = only_message(fit(RandomSlopeRegressor(), X, y, groups)[1])
    assert (
        "variances and covariances of (Intercept), x0, x1 and the residual variance" in message
    )
    assert "on these 7 numbers only through 6 combinations" in message


def test_levels_that_fixed_effects_take_up():
    """The cause is said, not that the likelihood does not depend on the levels' variance."""
    X, y, groups = make_mixed_regression(90, 1, 9, slope_variances=[1.0], random_state=0)
    X = np.column_stack([X, np.equal.outer(groups, np.unique(groups)[1:])])
    with pytest.warns(
        SingularFitWarning, match="fit the effects of .Intercept. in each"
    ) as caught:
        RandomSlopeRegressor([0]).fit(X, y, groups=groups)
    assert [warning.category for warning in caught] == [SingularFitWarning]


# -------------------------------------------------------------------- where it comes from


def test_it_comes_with_every_way_to_fit(hsb):
    X, y, groups = hsb
    X = X[["ses", "catholic"]]
    model = RandomSlopeRegressor("catholic")
    sums = GroupedMoments.from_rows(X, y, groups, slopes="catholic")
    with pytest.warns(NotIdentifiedWarning, match="catholic does not vary"):
        model.fit_moments(sums)
    model = RandomSlopeRegressor("catholic").partial_fit(X, y, groups)
    with pytest.warns(NotIdentifiedWarning, match="catholic does not vary"):
        _ = model.coef_
    with pytest.warns(SingularFitWarning) as caught:  # a kind of these
        RandomSlopeRegressor(1).fit(X.to_numpy(), y, groups=groups)
    assert "the variance of x1" in only_message(caught)
    assert caught[0].filename == __file__


def test_predictions_of_a_ridge_are_those_of_its_other_points(hsb):
    """As of the model whose levels have one variance in each kind of school."""
    X, y, groups = hsb
    X = X[["ses", "catholic"]].assign(other=1 - X["catholic"])
    found, _ = fit(RandomSlopeRegressor("catholic"), X[["ses", "catholic"]], y, groups)
    kinds = RandomSlopeRegressor(
        ["catholic", "other"],
        random_intercept=False,
        covariance="diag",
        fixed_slopes="catholic",
    )
    kinds, caught = fit(kinds, X, y, groups)
    assert not caught
    assert found.criterion_ == pytest.approx(kinds.criterion_, abs=1e-6)
    np.testing.assert_allclose(
        found.predict(X[["ses", "catholic"]], groups=groups),
        kinds.predict(X, groups=groups),
        atol=1e-4,
    )


# ---------------------------------------------------------------------- where it does not


@pytest.mark.parametrize("name", CASES)
def test_no_reference_case_is_called_not_identified(name):
    case = CASES[name]
    _, caught = fit(
        case.estimator, case.X, case.y, case.groups, sample_weight=case.sample_weight
    )
    assert not any(w.category is NotIdentifiedWarning for w in caught)


@pytest.mark.parametrize("seed", range(20))
def test_ordinary_data_give_no_warning(seed):
    """Singular fits among them; tests/numerics/fit/test_identified.py has many more."""
    rng = np.random.default_rng(seed)
    k = 1 + seed % 2
    X, y, groups = make_mixed_regression(
        120,
        k,
        int(rng.integers(5, 25)),
        slope_variances=rng.choice([0.0, 2.0], k).tolist(),
        balanced=bool(seed % 4 < 2),
        random_state=seed,
    )
    model = RandomSlopeRegressor(covariance=["full", "diag"][seed % 3 == 0])
    weight = rng.uniform(0.5, 2.0, len(y)) if seed % 5 == 0 else None
    _, caught = fit(model, X, y, groups, sample_weight=weight)
    assert not any(w.category is NotIdentifiedWarning for w in caught)


def test_discrete_columns_that_vary_within_groups(hsb):
    X, y, groups = hsb
    for slopes in ("minority", ["ses", "minority", "female"]):
        _, caught = fit(RandomSlopeRegressor(slopes), X, y, groups)
        assert not any(w.category is NotIdentifiedWarning for w in caught)


def test_no_word_of_it_where_there_is_no_variance_or_one_group():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    X = pd.DataFrame({"a": rng.normal(size=120), "kind": groups % 2})
    y = rng.normal(size=120)
    y -= pd.Series(y).groupby(groups).transform("mean").to_numpy()
    for chosen in (slice(None), groups == 0):
        _, caught = fit(RandomSlopeRegressor("kind"), X[chosen], y[chosen], groups[chosen])
        assert "Singular fit" in str(caught[-1].message)
        assert not any("do not determine" in str(w.message) for w in caught)
        assert not any(w.category is ConvergenceWarning for w in caught)
