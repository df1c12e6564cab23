"""Cross-validation from moments: time beside scikit-learn's loop, and beside a fit."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import KFold, LeaveOneGroupOut
from sklearn.model_selection import cross_validate as loop

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression
from skmixed.metrics import group_scorer
from skmixed.model_selection import cross_validate

MODELS = {"intercept": RandomInterceptRegressor(), "slope": RandomSlopeRegressor([0])}


def simulate(n_rows, n_groups):
    slope_variances = [0.3] + [0.0] * 9
    return make_mixed_regression(
        n_rows, 10, n_groups, slope_variances=slope_variances, random_state=0
    )


@pytest.fixture(autouse=True)
def _routing_without_warnings():
    with (
        sklearn.config_context(enable_metadata_routing=True),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("scoring", [None, group_scorer("r2")], ids=["default", "scorer"])
@pytest.mark.parametrize("model", MODELS)
def test_leave_one_group_out_relative_to_the_loop(model, scoring, median_seconds, record_ratio):
    """The loop is run for every fortieth of the 1,000 folds."""
    X, y, groups = simulate(100_000, 1000)
    some = list(LeaveOneGroupOut().split(X, y, groups))[::40]
    params = {"groups": groups}
    found = {}
    seconds = median_seconds(
        {
            "ours": lambda: found.update(
                ours=cross_validate(
                    MODELS[model], X, y, groups=groups, cv=LeaveOneGroupOut(), scoring=scoring
                )
            ),
            "loop": lambda: found.update(
                loop=loop(MODELS[model], X, y, params=params, cv=some, scoring=scoring)
            ),
        },
        rounds=3,
    )
    ratio = 40 * seconds["loop"] / seconds["ours"]
    name = f"1e5 x 10, 1,000 groups, {model}, scoring={'R2' if scoring else None}"
    record_ratio(f"leave one group out, {name}, loop / ours", ratio)
    np.testing.assert_allclose(
        found["ours"]["test_score"][::40], found["loop"]["test_score"], atol=1e-10
    )
    assert ratio >= 30


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_ten_folds_relative_to_a_fit(model, shuffle, median_seconds, record_ratio):
    X, y, groups = simulate(1_000_000, 10_000)
    cv = KFold(10, shuffle=shuffle, random_state=0 if shuffle else None)
    seconds = median_seconds(
        {
            "fit": lambda: MODELS[model].fit(X, y, groups=groups),
            "split": lambda: [None for _ in cv.split(X)],
            "ours": lambda: cross_validate(MODELS[model], X, y, groups=groups, cv=cv),
        },
        rounds=5,
    )
    ratio, of_split = seconds["ours"] / seconds["fit"], seconds["split"] / seconds["fit"]
    name = f"1e6 x 10, 10,000 groups, {model}, shuffle={shuffle}"
    record_ratio(f"10-fold, {name} / fit", ratio)
    record_ratio(f"of which scikit-learn's split, {name} / fit", of_split)
    assert ratio <= (4.0 if shuffle else 3.3)


@pytest.mark.parametrize("leave", ["row", "group"])
@pytest.mark.parametrize("model", MODELS)
def test_closed_form_relative_to_a_fit(model, leave, median_seconds, record_ratio):
    X, y, groups = simulate(1_000_000, 10_000)
    fitted = MODELS[model].fit(X, y, groups=groups)
    seconds = median_seconds(
        {
            "fit": lambda: MODELS[model].fit(X, y, groups=groups),
            "ours": lambda: fitted.loo_predict(X, y, groups=groups, leave=leave),
        },
        rounds=3,
    )
    ratio = seconds["ours"] / seconds["fit"]
    record_ratio(f"loo_predict of a {leave}, 1e6 x 10, 10,000 groups, {model} / fit", ratio)
    assert ratio <= 40.0


@pytest.mark.parametrize("by", ["row", "group"])
@pytest.mark.parametrize("model", MODELS)
def test_influence_relative_to_a_fit(model, by, median_seconds, record_ratio):
    X, y, groups = simulate(1_000_000, 10_000)
    fitted = MODELS[model].fit(X, y, groups=groups)
    seconds = median_seconds(
        {
            "fit": lambda: MODELS[model].fit(X, y, groups=groups),
            "ours": lambda: fitted.influence_frame(X, y, groups=groups, by=by),
        },
        rounds=3,
    )
    ratio = seconds["ours"] / seconds["fit"]
    record_ratio(f"influence of a {by}, 1e6 x 10, 10,000 groups, {model} / fit", ratio)
    assert ratio <= 20.0
