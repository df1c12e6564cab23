"""Linear mixed (multilevel) models as scikit-learn estimators."""

from skmixed._describe import describe_groups
from skmixed._fixed_effects import FixedEffectsRegressor, PooledRegressor
from skmixed._moments import GroupedMoments
from skmixed._random_intercept import RandomInterceptRegressor
from skmixed._random_slope import RandomSlopeRegressor
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
