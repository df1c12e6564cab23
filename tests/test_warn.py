"""Warnings point at the line of the user, whatever called what in between."""

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning
from skmixed.preprocessing import WithinBetween


@pytest.fixture(scope="module")
def rows():
    """Groups that do not differ, and a column twice."""
    rng = np.random.default_rng(0)
    X, groups = rng.normal(size=(40, 1)), np.repeat(np.arange(8), 5)
    y = X[:, 0] + np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], 8)
    return X, y, groups


def lazily_solved(X, y, groups):
    model = RandomInterceptRegressor().partial_fit(X, y, groups=groups)
    return lambda: model.coef_


def limits(X, y, groups):
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptRegressor().fit(X, y, groups=groups)
    return model.confint


WARN = {
    "fit": lambda X, y, g: lambda: RandomInterceptRegressor().fit(X, y, groups=g),
    "fit of slopes": lambda X, y, g: lambda: RandomSlopeRegressor().fit(X, y, groups=g),
    "fit without groups": lambda X, y, g: lambda: RandomInterceptRegressor().fit(X, y),
    "a batch without groups": lambda X, y, g: (
        lambda: RandomInterceptRegressor().partial_fit(X, y)
    ),
    "solved when asked for": lazily_solved,
    "moments": lambda X, y, g: (
        lambda: RandomInterceptRegressor().fit_moments(GroupedMoments.from_rows(X, y, g))
    ),
    "in a pipeline": lambda X, y, g: (
        lambda: make_pipeline(StandardScaler(), RandomInterceptRegressor()).fit(X, y)
    ),
    "cross-validation": lambda X, y, g: (
        lambda: cross_val_score(RandomInterceptRegressor(), X, y, cv=2)
    ),
    "fixed effects": lambda X, y, g: (
        lambda: FixedEffectsRegressor().fit(np.c_[X, X], y, groups=g)
    ),
    "limits": limits,
    "a transformer": lambda X, y, g: lambda: WithinBetween().fit(X),
}


@pytest.mark.parametrize("case", WARN)
def test_warnings_point_at_the_caller(rows, case):
    call = WARN[case](*rows)
    with pytest.warns((UserWarning, RuntimeWarning)) as caught:
        call()
    assert {warning.filename for warning in caught} == {__file__}


def test_a_call_from_no_file_warns_all_the_same(rows):
    X, y, _ = rows
    with pytest.warns(MissingGroupsWarning) as caught:
        exec("model.fit(X, y)", {"model": RandomInterceptRegressor(), "X": X, "y": y})
    assert caught[0].filename == "<string>"
