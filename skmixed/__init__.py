"""Linear mixed (multilevel) models as scikit-learn estimators."""

from skmixed._random_intercept import RandomInterceptRegressor

__all__ = ["RandomInterceptRegressor"]
__version__ = "0.1.0"
