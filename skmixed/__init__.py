"""Linear mixed (multilevel) models as scikit-learn estimators."""

import importlib
import sys
from typing import TYPE_CHECKING

from skmixed import _saved_by_0_1
from skmixed._describe.describe_factors import FactorsDescription
from skmixed._describe.describe_groups import GroupDescription, describe_groups
from skmixed._estimators.around.mixed_effects_regressor import MixedEffectsRegressor
from skmixed._estimators.fixed_effects import FixedEffectsRegressor
from skmixed._estimators.likelihoods.random_intercept_classifier import (
    RandomInterceptClassifier,
)
from skmixed._estimators.likelihoods.random_intercept_poisson import (
    RandomInterceptPoissonRegressor,
)
from skmixed._estimators.likelihoods.random_slope_classifier import RandomSlopeClassifier
from skmixed._estimators.likelihoods.random_slope_poisson import RandomSlopePoissonRegressor
from skmixed._estimators.pooled import PooledRegressor
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._estimators.random_slope import RandomSlopeRegressor
from skmixed._rows.moments import GroupedMoments
from skmixed.model_selection._compare_pooling import compare_pooling

if TYPE_CHECKING:
    from skmixed import datasets as datasets
    from skmixed import exceptions as exceptions
    from skmixed import inference as inference
    from skmixed import inspection as inspection
    from skmixed import metrics as metrics
    from skmixed import model_selection as model_selection
    from skmixed import preprocessing as preprocessing

__all__ = [
    "FactorsDescription",
    "FixedEffectsRegressor",
    "GroupDescription",
    "GroupedMoments",
    "MixedEffectsRegressor",
    "PooledRegressor",
    "RandomInterceptClassifier",
    "RandomInterceptPoissonRegressor",
    "RandomInterceptRegressor",
    "RandomSlopeClassifier",
    "RandomSlopePoissonRegressor",
    "RandomSlopeRegressor",
    "compare_pooling",
    "describe_groups",
]
__version__ = "0.2.0.dev0"

# Imported when first asked for, as those of scikit-learn are.
SUBMODULES = (
    "datasets",
    "exceptions",
    "inference",
    "inspection",
    "metrics",
    "model_selection",
    "preprocessing",
)
sys.modules.update(dict.fromkeys(_saved_by_0_1.MODULES, _saved_by_0_1))


def __dir__():
    return [*__all__, *SUBMODULES, "__version__"]


def __getattr__(name):
    if name in SUBMODULES:
        return importlib.import_module(f"skmixed.{name}")
    raise AttributeError(f"module 'skmixed' has no attribute {name!r}")
