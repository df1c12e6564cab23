"""Linear mixed (multilevel) models as scikit-learn estimators."""

from skmixed._describe.describe_groups import describe_groups
from skmixed._estimators.least_squares import FixedEffectsRegressor, PooledRegressor
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._estimators.random_slope import RandomSlopeRegressor
from skmixed._rows.moments import GroupedMoments
from skmixed.model_selection._compare_pooling import compare_pooling

__all__ = [
    "FixedEffectsRegressor",
    "GroupedMoments",
    "PooledRegressor",
    "RandomInterceptRegressor",
    "RandomSlopeRegressor",
    "compare_pooling",
    "describe_groups",
]
__version__ = "0.1.0"
