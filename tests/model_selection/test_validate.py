"""Cross-validation from moments against scikit-learn's loop with the same estimators."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.model_selection import cross_validate as loop
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import make_mixed_regression
from skmixed.metrics import group_scorer
from skmixed.model_selection import WithinGroupKFold, WithinGroupTimeSeriesSplit, cross_validate
from skmixed.model_selection import _validate as module

SPLITTERS = {
    "kfold": KFold(5, shuffle=True, random_state=0),
    "halves": KFold(2, shuffle=True, random_state=0),
    "within": WithinGroupKFold(4, shuffle=True, random_state=0),
    "forecast": WithinGroupTimeSeriesSplit(3, test_size=2),
    "groups": GroupKFold(4),
    "one group": LeaveOneGroupOut(),
    "some groups": GroupShuffleSplit(3, test_size=0.3, random_state=0),
    "repeated": RepeatedKFold(n_splits=4, n_repeats=2, random_state=0),
    "shuffle": ShuffleSplit(4, test_size=0.2, random_state=0),
    "few train": ShuffleSplit(3, test_size=0.1, train_size=0.4, random_state=0),
    "series": TimeSeriesSplit(3),
}
MODELS = {
    "intercept": RandomInterceptRegressor(),
    "intercept, ml": RandomInterceptRegressor(method="ml"),
    "no intercept": RandomInterceptRegressor(fit_intercept=False),
    "slope": RandomSlopeRegressor([0]),
    "slope, ml": RandomSlopeRegressor([0], method="ml"),
    "diagonal": RandomSlopeRegressor([0, 1], covariance="diag"),
    "slope alone": RandomSlopeRegressor([0], random_intercept=False),
    "not fixed": RandomSlopeRegressor([0], fixed_slopes=False),
    "new groups": RandomInterceptRegressor(new_groups="error"),
    "fixed effects": FixedEffectsRegressor(),
    "pooled": PooledRegressor(),
}


def simulate(n=400, n_groups=20, balanced=False, seed=0):
    return make_mixed_regression(
        n,
        3,
        n_groups,
        intercept_variance=2.0,
        slope_variances=[1.0, 0.5, 0.0],
        balanced=balanced,
        random_state=seed,
    )


@pytest.fixture(scope="module")
def rows():
    return simulate()


def run(function, *args, routing=True, **options):
    """The result and the warnings."""
    with (
        warnings.catch_warnings(record=True) as caught,
        sklearn.config_context(enable_metadata_routing=routing),
    ):
        warnings.simplefilter("always")
        result = function(*args, **options)
    return result, [(w.category, str(w.message).split("\nTraceback")[0]) for w in caught]


def assert_same(model, X, y, groups, *, params=None, atol=1e-8, **options):
    """The same scores, estimators and warnings as the loop."""
    given = {} if groups is None else {"groups": groups}
    ours, warned = run(
        cross_validate, model, X, y, groups=groups, params=params, **options
    )
    theirs, expected = run(loop, model, X, y, params={**given, **(params or {})}, **options)
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        if name.startswith(("test_", "train_")):
            assert ours[name].dtype == value.dtype
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=atol, err_msg=name)
        else:
            assert len(ours[name]) == len(value)
    assert warned == expected
    return ours, theirs


def assert_folds_from_moments(monkeypatch, expected=True):
    """From here on, fail if a fold is fitted from its rows."""

    def refuse(*args, **kwargs):
        raise AssertionError("a fold was fitted from its rows")

    monkeypatch.setattr(module, "_fit_and_score", refuse)


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("model", MODELS)
def test_every_fold_is_that_of_the_loop(rows, model, splitter):
    X, y, groups = rows
    assert_same(MODELS[model], X, y, groups, cv=SPLITTERS[splitter], return_train_score=True)
