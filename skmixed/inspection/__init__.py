"""Pictures of fitted mixed models, in the manner of scikit-learn's displays; importances."""

from skmixed.inspection._group_lines import GroupLinesDisplay
from skmixed.inspection._importances import importances
from skmixed.inspection._influence import InfluenceDisplay
from skmixed.inspection._pooling import PoolingDisplay
from skmixed.inspection._random_effects import RandomEffectsDisplay
from skmixed.inspection._residuals import ResidualsDisplay
from skmixed.inspection._shrinkage import ShrinkageDisplay
from skmixed.inspection._slope_sources import SlopeSourcesDisplay
from skmixed.inspection._variance import VarianceDisplay

__all__ = [
    "GroupLinesDisplay",
    "InfluenceDisplay",
    "PoolingDisplay",
    "RandomEffectsDisplay",
    "ResidualsDisplay",
    "ShrinkageDisplay",
    "SlopeSourcesDisplay",
    "VarianceDisplay",
    "importances",
]
