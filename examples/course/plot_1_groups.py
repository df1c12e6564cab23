"""
1. Rows of a group have something in common
===========================================

Ordinary regression takes errors to be independent. Rows that come in groups are not: pupils of
a school, members of parliament of a nationality, days of a patient share much that no column
holds. There are two ways to look at it.

- As a fault: errors are correlated, their spread differs between groups, they may go with the
  features, and standard errors are wrong.
- As a chance: there are two kinds of variation, *within* groups and *between* them, and one can
  choose which of them is to answer a question.

The choice of a model is part of the design of a study: which variation does the theory speak
of? This chapter shows what groups share, and what happens if it is ignored.
"""

# %%
# The data are synthetic: the ``Staff`` that members of a parliament employ at home. A member
# has a ``Nationality``; ``PartySize`` is the share of seats that the member's party holds in
# the national parliament. ``ElectoralSystem`` is one of two, 0 or 1, and a matter of the
# nationality; ``ProxNatElection`` is minus the years to the next national election.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm

from skmixed import FixedEffectsRegressor, PooledRegressor, RandomInterceptRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inspection import ResidualsDisplay

X, y, nationality = load_mep_staff(return_X_y=True)
X, staff = X.rename(columns={"x": "PartySize", "z": "ElectoralSystem"}), y.rename("Staff")
print(X.assign(Staff=staff, Nationality=nationality).head(3).round(2).to_string())
sizes = nationality.value_counts()
print(f"\n{len(staff)} rows in {len(sizes)} groups of {sizes.min()} to {sizes.max()} rows")

# %%
# Confounders that groups share
# -----------------------------
# An experiment makes the variation that it needs, and lots even out the rest. Without one, the
# variation must be found, and what disturbs it controlled for. What disturbs is a *confounder*:
# it goes with y, it goes with x, and it is a cause of both (not a consequence of x). Left out,
# its effect is taken for that of x. A column that goes with both and is no cause of either is
# often the sign of a group behind it.
#
# Many confounders are the same for all rows of a group: the wealth of a country, its history,
# its laws. A level for each group takes all of them away at once, those that nobody has
# measured included. A small simulation, in which the true slope of x is 1, and wealth and
# history of 12 countries drive x up and y down:
rng = np.random.default_rng(0)
country = np.repeat(np.arange(12), 40)
wealth, history = rng.normal(size=(2, 12))[:, country]
x = wealth + history + rng.normal(size=480)
outcome = 1 * x - 2 * wealth - 2 * history + rng.normal(size=480)
table = pd.DataFrame({"x": x, "wealth": wealth})

pooled_line = PooledRegressor().fit(table[["x"]], outcome)
own_lines = FixedEffectsRegressor().fit(table[["x"]], outcome, groups=country)
slopes = {
    "x alone": pooled_line.coef_[0],
    "x and wealth": PooledRegressor().fit(table, outcome).coef_[0],
    "x and a level for each country": own_lines.coef_[0],
}
print(pd.Series(slopes).round(2).to_string())

# %%
# The pooled line follows the countries down; within each of them, y goes up with x.
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.scatter(x, outcome, c=country, cmap="tab20", s=9, alpha=0.6, linewidths=0)
for j, level in own_lines.group_coef_["(Intercept)"].items():
    ends = np.array([x[country == j].min(), x[country == j].max()])
    ax.plot(ends, level + own_lines.coef_[0] * ends, color=plt.cm.tab20(j / 11), linewidth=2)
ends = np.array([x.min(), x.max()])
ax.plot(
    ends,
    pooled_line.intercept_ + pooled_line.coef_[0] * ends,
    color="black",
    linestyle="--",
    label="one line for all",
)
ax.set(xlabel="x", ylabel="y (colours: countries)")
ax.legend()

# %%
# It does nothing about confounders that differ from row to row within a country: those still
# have to be columns of X.

# %%
# Labels for the errors
# ---------------------
# Back to the members. *Complete pooling* has one line, and errors from one distribution,
#
# .. math::
#
#    y_i = \beta_0 + \beta_1 x_i + \varepsilon_i, \qquad \varepsilon_i \sim N(0, \sigma^2)
#
# A hierarchical model lets each group draw its errors around a mean of its own, and the means
# from one distribution above them all:
#
# .. math::
#
#    \varepsilon_{ij} \sim N(\alpha_j, \sigma_j^2), \qquad \alpha_j \sim N(0, \sigma_\alpha^2)
#
# So there are a mean and a spread for each group, :math:`\alpha_j` and :math:`\sigma_j`, and a
# spread of the means, :math:`\sigma_\alpha`. All can be seen in the errors of the pooled line,
# once they carry the names of their groups.
pooled = PooledRegressor().fit(X[["PartySize"]], staff)
print(f"Staff = {pooled.intercept_:.2f} {pooled.coef_[0]:+.2f} PartySize")
figure, ax = plt.subplots(figsize=(8, 6.4), layout="constrained")
ResidualsDisplay.from_predictions(
    staff, pooled.predict(X[["PartySize"]]), groups=nationality, kind="groups", ax=ax
)

# %%
# If errors did not know their group, all boxes would be centred at the same place, up to
# chance. In numbers, for the first ten groups, and for those of the least and the greatest
# spread:
residual = staff - pooled.predict(X[["PartySize"]])
by_group = residual.groupby(nationality).agg(["size", "mean", "std"])
print(by_group.head(10).round(2).to_string())
print(by_group.sort_values("std").iloc[[0, -1]].round(2).to_string(header=False))

# %%
# The errors go with the feature, too. Over all rows least squares makes their correlation 0,
# but that hides two others: one within groups, and one of the means of groups.
group_x = X["PartySize"].groupby(nationality)
within = np.corrcoef(X["PartySize"] - group_x.transform("mean"), residual)[0, 1]
between = np.corrcoef(group_x.mean(), by_group["mean"])[0, 1]
over_all = np.corrcoef(X["PartySize"], residual)[0, 1]
print("Correlation of PartySize and error:")
print(f"all rows {abs(over_all):.2f}, within groups {within:.2f}, group means {between:.2f}")

# %%
# The distribution of group means
# -------------------------------
# A mean and a spread are enough to draw each group's normal distribution (left). The means are
# numbers like any others: they have a distribution as well, with a mean and a spread (right).
# That is the second level of the model.
means = by_group["mean"]
grid = np.linspace(-8, 12, 400)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
shown = {"Luxembourg": "#0072B2", "Germany": "#009E73", "Netherlands": "#D55E00"}
for label, group in by_group.iterrows():
    density = norm.pdf(grid, group["mean"], group["std"])
    if label in shown:
        axes[0].plot(grid, density, color=shown[label], label=label, zorder=3)
    else:
        axes[0].plot(grid, density, color="0.8", linewidth=0.8)
axes[0].set(xlabel="error of the pooled line", yticks=[], ylim=(0, 0.7), title="within groups")
axes[0].legend()
axes[1].hist(means, bins=12, density=True, color="#9CCBE8")
axes[1].plot(means, np.zeros(len(means)), "|", color="#0072B2", markersize=14)
axes[1].plot(grid, norm.pdf(grid, means.mean(), means.std()), color="black")
axes[1].set(xlabel="mean error of a group", yticks=[], xlim=(-6, 8), title="between groups")
print(f"{len(means)} means of groups: mean {means.mean():.2f}, std {means.std():.2f}")

# %%
# A normal distribution is an assumption at both levels. So is one spread for all: the models of
# the next chapters have a single :math:`\sigma` in place of all :math:`\sigma_j`, and these are
# far from equal here. Chapter 2 shows what that costs.

# %%
# Two sources of variation
# ------------------------
# A model with nothing but a level for each group splits the variance of ``Staff`` in two. The
# share between groups is the *intraclass correlation*: also the correlation of two rows of the
# same group.
null = RandomInterceptRegressor(group_by="Nationality").fit(nationality.to_frame(), staff)
between, within = null.random_effects_cov_.iloc[0, 0], null.residual_variance_
print(f"between groups {between:.2f}, within groups {within:.2f}")
print(
    f"intraclass correlation {between:.2f} / ({between:.2f} + {within:.2f}) = {null.icc_:.3f}"
)

# %%
# Correlated rows tell less than independent ones. How much the rows tell about the mean is in
# its standard error: independent rows of the same variance would have the same one if there
# were this many of them.
std_error = np.sqrt(null.coef_cov_.loc["(Intercept)", "(Intercept)"])
print(
    f"{len(staff)} rows tell about the mean as much as {(between + within) / std_error**2:.0f} "
    "independent ones"
)

# %%
# The harm is greatest for a feature of the groups. There are 28 values of ``ElectoralSystem``,
# not 6,948, but pooled regression counts rows. Compare its standard error and p-value with
# those of a model that knows the groups.
features = X[["PartySize", "ElectoralSystem"]]
naive = PooledRegressor().fit(features, staff)
mixed = RandomInterceptRegressor().fit(features, staff, groups=nationality)
rows = {"pooled": naive.summary().fixed_effects.loc["ElectoralSystem"]}
rows["with groups"] = mixed.summary().fixed_effects.loc["ElectoralSystem"]
table = pd.DataFrame(rows).T[["estimate", "std_error", "df", "p_value", "lower", "upper"]]
print(table.round(4).to_string())

# %%
# Pooled regression is all but sure of a negative effect. With the groups, the interval reaches
# from clearly negative to clearly positive: the data leave the sign open, and do not say that
# there is no effect.
#
# What a model with two levels is good for follows from this:
#
# - *variation within groups*: differences between groups are taken out, with all that groups
#   share (chapters 2 and 3);
# - *variation between groups*: a regression on the groups' levels, with honest standard errors,
#   with data from other sources, and with predictions for new groups (chapter 4);
# - *both*: each lends to the other, by how much it knows (chapter 5).
