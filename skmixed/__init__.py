"""Linear mixed (multilevel) models as scikit-learn estimators."""

from skmixed._random_intercept import RandomInterceptRegressor
from skmixed._random_slope import RandomSlopeRegressor

__all__ = ["RandomInterceptRegressor", "RandomSlopeRegressor"]
__version__ = "0.1.0"
