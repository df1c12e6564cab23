"""
3. Varying slopes
=================

The effect of a feature may differ between groups as their levels do. Every group then has a
line of its own, and level and slope are drawn together from a normal distribution:

.. math::

   y_{ij} = \\beta_0 + \\beta_1 x_{ij} + u_{0j} + u_{1j} t_{ij} + e_{ij}

where t is minus the years to the next national election, ``ProxNatElection``.
"""

# %%
# In this first model t has no fixed effect: slopes vary around zero. lme4 writes
# ``y ~ x + (ProxNatElection | Nationality)``.
import pandas as pd

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inference import likelihood_ratio_test
from skmixed.inspection import GroupLinesDisplay, RandomEffectsDisplay

X, y, nationality = load_mep_staff(return_X_y=True)
X = X[["x", "ProxNatElection"]]
model = RandomSlopeRegressor("ProxNatElection", fixed_slopes=False)
model.fit(X, y, groups=nationality)
print(model.summary().variance_components.round(4).to_string())
print()
print(model.random_effects_.head(6).round(4).to_string())

# %%
# Read the variance components as in the last chapter, and one number more: the correlation of
# levels and slopes. It belongs to the zero of t, the day of the election. Groups with a high
# level on that day tend to rise towards it.
#
# Each group's own line is the sum of fixed and random effects, column by column.
print(model.group_coef_.head(6).round(4).to_string())

# %%
# Prediction by hand
# ------------------
# A member from Bulgaria, ``x = 0.5``, a year before the election.
fixed, own = model.intercept_ + model.coef_[0] * 0.5, model.random_effects_.loc["Bulgaria"]
by_hand = fixed + own["(Intercept)"] + own["ProxNatElection"] * -1
print(f"{fixed:.4f} {own.iloc[0]:+.4f} {own.iloc[1]:+.4f} * (-1) = {by_hand:.4f}")

row = pd.DataFrame({"x": [0.5], "ProxNatElection": [-1.0]})
print("predict:", model.predict(row, groups=["Bulgaria"]).round(4))

# %%
# A slope of its own, around a common one
# ---------------------------------------
# Mostly a slope that varies should have a mean, too. Without ``fixed_slopes=False`` it has, and
# a random effect says how far a group departs from it.
common = RandomSlopeRegressor("ProxNatElection").fit(X, y, groups=nationality)
print(common.fixed_effects_frame().round(3).to_string())

# %%
# What do the four years before an election do? The common effect, what the group adds, and
# both.
effects = common.marginal_effects("ProxNatElection", start=-4, stop=0).sort_values("total")
print(pd.concat([effects.head(2), effects.tail(2)]).round(2).to_string())

# %%
# The lines fan out. ``x`` is held at its mean.
GroupLinesDisplay.from_estimator(common, X, y, groups=nationality, column="ProxNatElection")

# %%
# Are slopes needed? Compare with the model without. A variance cannot be negative, so 0 is at
# the edge of what is possible, and the test takes that into account.
level = RandomInterceptRegressor().fit(X, y, groups=nationality)
print(likelihood_ratio_test(level, common))

# %%
# Levels and slopes of all groups, in the order of their levels. Most intervals of slopes hold
# 0: single slopes are uncertain though their variance is not 0.
RandomEffectsDisplay.from_estimator(common)
