"""scikit-learn's own checks of an estimator, with no expected failures."""

import pytest
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmixed import (
    FixedEffectsRegressor,
    MixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
    RandomSlopeClassifier,
    RandomSlopePoissonRegressor,
    RandomSlopeRegressor,
)
from skmixed.preprocessing import RandomEffectEncoder, WithinBetween

# The checks fit without groups, on rank-deficient data, on constant targets, on classes that a
# column separates, and on fractions as counts.
pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.MissingGroupsWarning"),
    pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning"),
    pytest.mark.filterwarnings("ignore:.* is separated:sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Random effects vary:sklearn.exceptions.ConvergenceWarning"
    ),
    pytest.mark.filterwarnings("ignore:y.* holds numbers that are not whole:UserWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


@parametrize_with_checks(
    [
        FixedEffectsRegressor(),
        MixedEffectsRegressor(DecisionTreeRegressor(random_state=0), cv=3),
        MixedEffectsRegressor(Ridge(), between=False, cv=3),
        PooledRegressor(),
        RandomEffectEncoder([0]),
        RandomEffectEncoder([0], target_type="continuous"),
        RandomInterceptClassifier(),
        RandomInterceptPoissonRegressor(),
        RandomInterceptRegressor(),
        RandomSlopeClassifier(),
        RandomSlopePoissonRegressor(),
        RandomSlopeRegressor(),
        WithinBetween(),
    ]
)
def test_estimator_check(estimator, check):
    check(estimator)
