"""
7. How many groups, and how many rows?
======================================

It depends on the variation that is to answer the question. What lies between groups takes many
groups, what lies within them takes rows, and not all rows count.
"""

# %%
# Between groups: many groups
# ---------------------------
# A feature of groups is a second regression whose rows are the groups. Simulated data, 600 rows
# each time, variance 1 within groups and 1 between: how well is the standard deviation between
# groups estimated from few groups with many rows, or many with few? And the grand mean?
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import FixedEffectsRegressor, RandomInterceptRegressor
from skmixed.datasets import load_hsb, load_mep_staff, make_mixed_regression
from skmixed.exceptions import SingularFitWarning

numbers = [4, 6, 10, 20, 50, 100, 200]
estimates = []
for n_groups in numbers:
    for seed in range(100):
        data = make_mixed_regression(600, 1, n_groups, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            fitted = RandomInterceptRegressor().fit(*data[:2], groups=data[2])
        std_dev = np.sqrt(fitted.random_effects_cov_.iloc[0, 0])
        std_error = np.sqrt(fitted.coef_cov_.loc["(Intercept)", "(Intercept)"])
        estimates.append((n_groups, std_dev, std_error))
estimates = pd.DataFrame(estimates, columns=["groups", "std_dev", "std_error"])
quantiles = estimates.groupby("groups")["std_dev"].quantile([0.05, 0.5, 0.95]).unstack()
print(quantiles.round(2).rename_axis(columns="quantile").to_string())

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
axes[0].fill_between(numbers, quantiles[0.05], quantiles[0.95], color="#56B4E9", alpha=0.5)
axes[0].plot(numbers, quantiles[0.5], "o-", color="#0072B2")
axes[0].axhline(1, color="0.4", linewidth=1, linestyle="--")
axes[0].set_title("std deviation between groups, 90% of runs", loc="left", fontsize=10)
median = estimates.groupby("groups")["std_error"].median()
axes[1].plot(numbers, median, "o-", color="#0072B2")
axes[1].set_title("std error of the grand mean", loc="left", fontsize=10)
axes[1].set_ylim(0)
for ax in axes:
    ax.set(xscale="log", xlabel="groups (600 rows in all)")
    ax.set_xticks(numbers, [str(number) for number in numbers])
    ax.minorticks_off()

# %%
# With four groups the estimate lies between a third of the truth, 1, and 1.6 times it in nine
# runs of ten. There is no number of groups from which all is well, but theory says how it goes
# on: the relative standard error of the *variance* is at least :math:`\sqrt{2/(J - 1)}` for J
# groups, however many rows they have.
for n_groups in [5, 10, 30, 100]:
    print(f"{n_groups:3} groups: {np.sqrt(2 / (n_groups - 1)):.0%}")

# %%
# The same number of rows in more groups tells more about everything between groups. A group of
# one row takes part as well: it says nothing about the spread within, but it is a draw of a
# group.

# %%
# Within groups: distinct groups
# ------------------------------
# For a slope within groups the number of groups matters less than how distinct they are. If
# they differ much compared with the error of a group's mean, random effects are all but fixed
# effects; if little, all but complete pooling. The last picture of chapter 5 shows the whole
# way from one to the other.

# %%
# Groups of unequal size
# ----------------------
# Who counts how much? For a slope within groups it is the spread of the feature around the
# group's mean, and so large groups count more. For the grand mean it is
# :math:`1/(\sigma_u^2 + \sigma^2/n_j)`: if groups are distinct they count nearly alike. For
# pooling it is the rows. The smallest and the largest nationalities:
mep = load_mep_staff().frame.rename(columns={"x": "PartySize", "y": "Staff"})
nations = RandomInterceptRegressor(group_by="Nationality")
nations.fit(mep[["Nationality", "PartySize"]], mep["Staff"])
n = nations.group_sizes_
deviation = mep["PartySize"] - mep.groupby("Nationality")["PartySize"].transform("mean")
scatter = (deviation**2).groupby(mep["Nationality"]).sum()
level = 1 / (nations.random_effects_cov_.iloc[0, 0] + nations.residual_variance_ / n)
share = pd.DataFrame(
    {
        "rows": n,
        "share of rows": n / n.sum(),
        "in slope within": scatter / scatter.sum(),
        "in grand mean": level / level.sum(),
    }
).sort_values("rows")
print(share.iloc[[0, 1, 2, -3, -2, -1]].round(3).to_string())
print(f"the three largest: {share.iloc[-3:, 2].sum():.0%} of the slope, ", end="")
print(f"{share.iloc[-3:, 3].sum():.0%} of the grand mean")

# %%
# That is welcome if small groups are less representative, and not if each group should count
# the same.

# %%
# Fixed effects: which rows count
# -------------------------------
# With a level for each group, rows of a group in which a feature does not vary say nothing
# about its slope. Some of the schools of High School and Beyond are for boys or for girls only.
hsb = load_hsb().frame
varies = hsb.groupby("school")[["female", "minority", "ses"]].nunique() > 1
counted = pd.DataFrame(
    {
        "schools": varies.sum(),
        "pupils": [hsb["school"].map(varies[name]).sum() for name in varies],
    }
)
print(f"in all {len(varies)} schools, {len(hsb)} pupils; those in which the feature varies:")
print(counted.to_string())

# %%
# Leave the others out, and the slope is the same to the last digit: they were never in it. With
# another feature in the model they have a part in that one's slope, and through it the two
# differ a little.
mixed = hsb["school"].map(varies["female"])
for columns in [["female"], ["female", "ses"]]:
    print(" + ".join(columns))
    for name, frame in {"all rows": hsb, "rows that vary": hsb[mixed]}.items():
        fit = FixedEffectsRegressor().fit(frame[columns], frame["math"], frame["school"])
        std_error = np.sqrt(fit.coef_cov_.loc["female", "female"])
        print(f"  {len(frame)} rows: {fit.coef_[0]:.8f}, std error {std_error:.4f} ({name})")

# %%
# The standard errors differ a little, since the other schools still help to estimate the spread
# within. But the N to report for this slope is the smaller one. Nor are all rows that vary
# worth the same. What counts is the spread within the group: a class with one girl tells less
# about boys and girls than one with half of each.
girls = hsb.groupby("school")["female"].agg(["size", "mean"])
worth = girls["size"] * girls["mean"] * (1 - girls["mean"])
shares = (worth.sort_values(ascending=False) / worth.sum()).cumsum()
half = np.sum(shares < 0.5) + 1
print(f"half of what is known about the slope is from {half} of {len(worth)} schools")

# %%
# Random effects use the other schools, too, in the comparison between schools: more rows, and
# another question. What single-sex schools have in common besides is then a part of the slope.
random = RandomInterceptRegressor().fit(hsb[["female"]], hsb["math"], groups=hsb["school"])
print(f"random intercept: {random.coef_[0]:.4f}, std error ", end="")
print(f"{np.sqrt(random.coef_cov_.loc['female', 'female']):.4f}")

# %%
# Looking back
# ------------
# Models for grouped rows use the variation that the grouping makes.
#
# - **Varying intercepts** (fixed and random effects): one slope, and what groups share is taken
#   out. Chapter 2.
# - **Varying intercepts and slopes** (fixed and random effects): a line for each group.
#   Chapter 3.
# - **Level-2 regression** (random effects): a slope for each feature of groups, and standard
#   errors that count groups. Chapter 4.
# - **Pooling** (all random-effects models): levels and slopes are averages of what groups say
#   themselves and what they say together, weighted by precision. Chapter 5.
#
# First choose the variation that answers the question; the model follows from it.
