"""Pictures of fitted models, in the manner of scikit-learn's displays; effects, importances."""

from skmixed.inspection._average_effects import average_effects, average_predictions
from skmixed.inspection._average_effects_display import AverageEffectsDisplay
from skmixed.inspection._group_lines import GroupLinesDisplay
from skmixed.inspection._importances import importances
from skmixed.inspection._influence import InfluenceDisplay
from skmixed.inspection._pooling import PoolingDisplay
from skmixed.inspection._predictive_check import PredictiveCheckDisplay
from skmixed.inspection._random_effects import RandomEffectsDisplay
from skmixed.inspection._residuals import ResidualsDisplay
from skmixed.inspection._shrinkage import ShrinkageDisplay
from skmixed.inspection._slope_sources import SlopeSourcesDisplay
from skmixed.inspection._variance import VarianceDisplay

__all__ = [
    "AverageEffectsDisplay",
    "GroupLinesDisplay",
    "InfluenceDisplay",
    "PoolingDisplay",
    "PredictiveCheckDisplay",
    "RandomEffectsDisplay",
    "ResidualsDisplay",
    "ShrinkageDisplay",
    "SlopeSourcesDisplay",
    "VarianceDisplay",
    "average_effects",
    "average_predictions",
    "importances",
]
