"""Linear mixed (multilevel) models as scikit-learn estimators."""

from skmixed._compare_slopes import compare_slopes
from skmixed._describe import describe_groups
from skmixed._random_intercept import RandomInterceptRegressor
from skmixed._random_slope import RandomSlopeRegressor

__all__ = [
    "RandomInterceptRegressor",
    "RandomSlopeRegressor",
    "compare_slopes",
    "describe_groups",
]
__version__ = "0.1.0"
