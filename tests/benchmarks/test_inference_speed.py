"""What inference costs beside the fit."""

from dataclasses import replace

import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed._numerics.fit.estimate import estimate
from skmixed._numerics.inference.profile.limits import profile_limits
from skmixed.datasets import make_mixed_regression

MODELS = {"intercept": RandomInterceptRegressor(), "slope": RandomSlopeRegressor(0)}


def rows(n_rows, n_columns, n_groups):
    slope_variances = [0.3] + [0.0] * (n_columns - 1)
    return make_mixed_regression(
        n_rows, n_columns, n_groups, slope_variances=slope_variances, random_state=0
    )


@pytest.mark.parametrize("name", list(MODELS))
def test_satterthwaite_beside_the_fit(name, record_ratio, median_seconds):
    model, (X, y, groups) = MODELS[name], rows(200_000, 20, 10_000)

    def tabulate():
        model._fitted = replace(model._fitted)  # without what was derived from it
        model.fixed_effects_frame()

    model.fit(X, y, groups)
    seconds = median_seconds({"fit": lambda: model.fit(X, y, groups), "frame": tabulate})
    ratio = seconds["frame"] / seconds["fit"]
    record_ratio(f"Satterthwaite, {name}, 20 columns, 10,000 groups / fit", ratio)
    assert ratio < 1


def test_profile_intervals_beside_the_solve(record_ratio, median_seconds):
    problem = (
        RandomInterceptRegressor().fit(*rows(200_000, 20, 10_000))._fitted.criterion.problem
    )
    seconds = median_seconds(
        {
            "solve": lambda: estimate(problem, reml=True, tol=1e-8, max_iter=100),
            "profile": lambda: profile_limits(problem, level=0.95),
        }
    )
    ratio = seconds["profile"] / seconds["solve"]
    record_ratio("profile limits, intercept, 20 columns, 10,000 groups / solve alone", ratio)
    assert ratio < 50


@pytest.mark.parametrize("name", list(MODELS))
def test_a_thousand_bootstrap_replicates(name, record_ratio, median_seconds):
    model = MODELS[name].fit(*rows(20_000, 5, 1_000))
    seconds = median_seconds({name: lambda: model.confint(method="bootstrap")}, rounds=1)
    record_ratio(f"seconds for 1,000 bootstrap replicates, {name}, 1,000 groups", seconds[name])
    assert seconds[name] < 10
