"""scikit-learn's own checks of an estimator, with no expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.preprocessing import WithinBetween

# The checks fit without groups, on rank-deficient data and on constant targets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.MissingGroupsWarning"),
    pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


@parametrize_with_checks(
    [
        FixedEffectsRegressor(),
        PooledRegressor(),
        RandomInterceptRegressor(),
        RandomSlopeRegressor(),
        WithinBetween(),
    ]
)
def test_estimator_check(estimator, check):
    check(estimator)
