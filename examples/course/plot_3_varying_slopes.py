"""
3. Varying slopes
=================

The effect of a feature may differ between groups as their levels do. Every group then has a
line of its own, and level and slope are drawn together from a normal distribution:

.. math::

   y_{ij} = \\beta_0 + \\beta_1 x_{ij} + u_{0j} + u_{1j} t_{ij} + e_{ij}

where x is ``PartySize``, and t is ``ProxNatElection``, minus the years to the next national
election. It is like a regression within the regression: what was the level of a group is now a
line, :math:`u_{0j} + u_{1j} t`.
"""

# %%
# There are two ways to estimate it, and both are interactions of t with the group: as fixed
# effects, R's ``lm(y ~ x + t * Nationality)``, and as random effects, lme4's ``lmer(y ~ x + (t
# | Nationality))``. We begin with random effects. In this first model t has no fixed effect:
# slopes vary around zero.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import FixedEffectsRegressor, RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inference import likelihood_ratio_test
from skmixed.inspection import GroupLinesDisplay, RandomEffectsDisplay

X, y, nationality = load_mep_staff(return_X_y=True)
X, staff = X.rename(columns={"x": "PartySize"}), y.rename("Staff")
X = X[["PartySize", "ProxNatElection"]]
model = RandomSlopeRegressor("ProxNatElection", fixed_slopes=False)
model.fit(X, staff, groups=nationality)
print(model.summary().variance_components.round(4).to_string())
print()
print(model.random_effects_.head(6).round(4).to_string())

# %%
# Read the variance components as in the last chapter, and one number more: the correlation of
# levels and slopes. It belongs to the zero of t, the day of the election. By this
# estimate groups with a high level on that day rise towards it more than others.

# %%
# Marginal effects
# ----------------
# Slopes can be read as if each came from a regression of its own. From the day after an
# election to the day before the next one, t goes from -4 to 0, and expected staff changes by
# four slopes:
effect = model.marginal_effects("ProxNatElection", start=-4, stop=0)["total"]
for label in ["Austria", "Belgium"]:
    slope = model.random_effects_.loc[label, "ProxNatElection"]
    print(f"{label}: 4 * {slope:.3f} = {4 * slope:.3f}; marginal_effects: {effect[label]:.3f}")

# %%
# Little, beside the staff of an average member:
print(f"mean of Staff: {staff.mean():.2f}")

# %%
# Prediction by hand
# ------------------
# Two intercepts, the grand mean and the group's, and one slope for each group. A member from
# Austria whose party has no seats, just after an election and just before one:
own = model.random_effects_.loc["Austria"]
for t in [-4.0, 0.0]:
    by_hand = model.intercept_ + own["(Intercept)"] + own["ProxNatElection"] * t
    row = pd.DataFrame({"PartySize": [0.0], "ProxNatElection": [t]})
    level, slope = own["(Intercept)"], own["ProxNatElection"]
    print(f"{model.intercept_:.2f} {level:+.2f} {slope:+.3f} * {t:.0f} = {by_hand:.3f}")
    print("predict:", model.predict(row, groups=["Austria"]).round(3))

# %%
# The sums are in ``group_coef_``, each group's own line:
print(model.group_coef_.head(3).round(4).to_string())

# %%
# A slope of its own, around a common one
# ---------------------------------------
# Mostly a slope that varies should have a mean, too. Without ``fixed_slopes=False`` it has, and
# a random effect says how far a group departs from it.
common = RandomSlopeRegressor("ProxNatElection").fit(X, staff, groups=nationality)
print(common.fixed_effects_frame().round(3).to_string())

# %%
# What do the four years before an election do? The common effect, what the group adds, and
# both.
effects = common.marginal_effects("ProxNatElection", start=-4, stop=0).sort_values("total")
print(pd.concat([effects.head(2), effects.tail(2)]).round(2).to_string())

# %%
# Fixed or random slopes
# ----------------------
# The fixed-effects model gives every group the line that its own rows fit best, with
# ``PartySize`` in common.
fixed = FixedEffectsRegressor("ProxNatElection").fit(X, staff, groups=nationality)
table = pd.DataFrame(
    {
        "rows": fixed.group_sizes_,
        "fixed": fixed.group_coef_["ProxNatElection"],
        "random": common.group_coef_["ProxNatElection"],
    }
).sort_values("rows")
print(table.iloc[[0, 1, 2, -3, -2, -1]].round(3).to_string())
print("standard deviation of slopes:", table[["fixed", "random"]].std().round(3).to_dict())

# %%
# Some of the spread of fixed slopes is error: even if all groups had the same slope, their
# estimates would differ. Random slopes are closer together. The smaller a group, the more its
# slope is drawn to what the other groups lead to expect. That need not be the common slope:
# Estonia's level is high, slopes and levels go together, and so its slope is drawn up, to that
# of groups with a high level.
#
# Left and middle: the lines of both models, ``PartySize`` at its mean (rows above 9 are cut
# off). Right: both slopes of each group, the smallest groups at the bottom.
figure, axes = plt.subplots(
    1, 3, figsize=(11, 4.8), layout="constrained", gridspec_kw={"width_ratios": [3, 3, 4]}
)
for ax, (title, lines) in zip(axes, {"fixed": fixed, "random": common}.items(), strict=False):
    display = GroupLinesDisplay.from_estimator(
        lines,
        X,
        staff,
        groups=nationality,
        column="ProxNatElection",
        highlight=["Latvia", "Netherlands", "Portugal"],
        max_points=500,
        ax=ax,
    )
    for dots in display.points_[1:]:
        dots.set_alpha(0.2)
    ax.get_legend().remove()
    ax.set(ylabel="Staff", ylim=(0, 9))
    ax.set_title(f"{title} slopes", loc="left")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
places = np.arange(len(table))
axes[2].hlines(places, table["fixed"], table["random"], color="0.75")
axes[2].plot(table["fixed"], places, "o", markersize=4, color="#E69F00", label="fixed")
axes[2].plot(table["random"], places, "o", markersize=4, color="#0072B2", label="random")
axes[2].axvline(common.coef_[1], color="black", linestyle="--", linewidth=1)
axes[2].set_yticks(places, table.index, fontsize=7)
axes[2].set_title("slope of each group", loc="left")
axes[2].set(xlabel="slope (dashed: common)")
axes[2].legend(loc="upper left", fontsize=8)

# %%
# Are slopes needed?
# ------------------
# Compare with the model without. A variance cannot be negative, so 0 is at the edge of what is
# possible, and the test takes that into account.
level = RandomInterceptRegressor().fit(X, staff, groups=nationality)
print(likelihood_ratio_test(level, common))

# %%
# Levels and slopes of all groups, in the order of their levels. The intervals are for how far a
# group departs from the common line. Nearly all of those of slopes hold 0, though slopes do
# vary by the test: taken one by one, groups cannot be told from the common slope. That is not
# to say that they have it.
own = common.random_effects_frame()
own = own[own["term"] == "ProxNatElection"]
holds_0 = (own["lower"] < 0) & (own["upper"] > 0)
print(f"{holds_0.sum()} of {len(own)} intervals of slopes hold 0")
RandomEffectsDisplay.from_estimator(common)
