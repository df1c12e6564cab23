"""What pickles of skmixed 0.1 find in the place of its private modules: a refusal.

They name classes by modules that are no more, and hold states of another make.
"""

import pickle

MODULES = (
    "skmixed._compare_slopes",
    "skmixed._fixed_effects",
    "skmixed._moments",
    "skmixed._random_intercept",
    "skmixed._random_slope",
    "skmixed._regression_summary",
    "skmixed._summary",
)
CLASSES = (
    "FixedEffectsRegressor",
    "GroupedMoments",
    "ModelSummary",
    "PooledRegressor",
    "RandomInterceptRegressor",
    "RandomSlopeRegressor",
    "RegressionSummary",
    "SlopeComparison",
)
REFUSAL = (
    "This was saved by skmixed 0.1, whose models this version cannot read. Fit the model again "
    "and save it, or read it where skmixed 0.1 is installed."
)


def __getattr__(name):
    if name in CLASSES:
        raise pickle.UnpicklingError(REFUSAL)
    raise AttributeError(name)
