"""
2. Varying intercepts
=====================

Errors with a mean for each group can be written as levels. The mean of a group's errors moves
out of the error term, and becomes an intercept of its own:

.. math::

   y_{ij} = \\beta_0 + \\beta_1 x_{ij} + u_j + e_{ij}, \\qquad
   u_j \\sim N(0, \\sigma_u^2), \\quad e_{ij} \\sim N(0, \\sigma^2)

The level of group j is the grand mean plus a deviation, :math:`\\beta_0 + u_j`. The slope is
the same for all.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import FixedEffectsRegressor, PooledRegressor, RandomInterceptRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inspection import GroupLinesDisplay, RandomEffectsDisplay

X, y, nationality = load_mep_staff(return_X_y=True)
X, staff = X.rename(columns={"x": "PartySize"})[["PartySize"]], y.rename("Staff")
model = RandomInterceptRegressor().fit(X, staff, groups=nationality)

# %%
# Parsing out the groups
# ----------------------
# To *parse out* what differs between groups is to compare rows with their own group only: take
# the group's mean off y and off x, and fit a line to what is left. A coefficient for each
# group, *fixed effects*, comes to the same slope. A random intercept keeps a little of the
# comparison between groups; with groups as large as these it hardly shows. (Chapter 5 says how
# much.)
deviations = X - X.groupby(nationality).transform("mean")
own = staff - staff.groupby(nationality).transform("mean")
slopes = {
    "groups ignored": PooledRegressor().fit(X, staff).coef_[0],
    "deviations from group means": PooledRegressor().fit(deviations, own).coef_[0],
    "fixed effects": FixedEffectsRegressor().fit(X, staff, groups=nationality).coef_[0],
    "random intercept": model.coef_[0],
}
print(pd.Series(slopes).round(4).to_string())

# %%
# So the slope is about variation within groups. What differs between groups, and ``PartySize``
# does not account for, is in the levels.

# %%
# Reading the output
# ------------------
print(model.summary())

# %%
# lme4 prints the same numbers for ``y ~ x + (1 | Nationality)``, and under the same two names:
# *random effects* are what is drawn from a distribution, *fixed effects* the coefficients of a
# regression.
#
# - *Variance components*: levels of nationalities vary with a standard deviation of 1.77
#   around the grand mean, which is what remains to be explained between groups. Rows vary with
#   2.29 around their group's line, which remains within groups. 37% of the variance that
#   ``PartySize`` leaves is a matter of nationality.
# - *Fixed effects*: the intercept is the grand mean, the level of an average nationality at
#   ``PartySize`` 0. The slope is how much ``Staff`` changes, within a nationality, from a party
#   without seats to one that has all. The degrees of freedom tell who is asked: 28
#   nationalities about the level, thousands of rows about the slope.
# - *Correlation of fixed effects*: how the errors of two estimates would go together, were the
#   data drawn again. It is negative here since shares are positive: a slope that comes out too
#   high goes with an intercept that is too low. Nothing about members or nationalities follows
#   from it; chapter 4 has more.
# - *REML criterion*: minus twice the log-likelihood of what the fixed effects leave. By itself
#   it says nothing. It compares models of the same rows with the *same fixed effects* and other
#   random effects; to compare fixed effects, fit with ``method="ml"``.

# %%
# All effects are linear, so a difference is the slope times the step, at any level and in any
# group. A tenth of the seats less:
step = -0.1
change = model.coef_[0] * step
print(f"{model.coef_[0]:.3f} * ({step}) = {change:+.3f} staff")
print(f"one more for every {1 / change:.0f} members")

# %%
# Grand mean, deviations, and their sum
# -------------------------------------
# There are two intercepts now: the grand mean if the question is about a general effect, a
# group's deviation to describe that group, and their sum to predict. The deviations were not
# estimated one by one as coefficients are. They are predicted from the variance components and
# each group's rows.
levels = pd.DataFrame(
    {
        "grand mean": model.intercept_,
        "deviation": model.random_effects_["(Intercept)"],
        "own level": model.group_coef_["(Intercept)"],
    }
)
print(levels.head(6).round(4).to_string())

# %%
# Prediction by hand
# ------------------
# What is expected of a member from Austria whose party has no seats, or a tenth of them? Add up
# the grand mean, Austria's deviation, and the slope times the share.
u = model.random_effects_.loc["Austria", "(Intercept)"]
for share in [0.0, 0.1]:
    by_hand = model.intercept_ + u + model.coef_[0] * share
    row = pd.DataFrame({"PartySize": [share]})
    print(f"{model.intercept_:.2f} {u:+.2f} {model.coef_[0]:+.2f} * {share} = {by_hand:.2f}")
    print("predict:", model.predict(row, groups=["Austria"]).round(2))

# %%
# A nationality without rows has no deviation yet. Zero is the best guess, but not a sure one:
# the interval for the mean of the group is wide, as the whole variance between groups is open.
for label in ["Austria", "Atlantis"]:
    low, high = model.predict_interval(row, groups=[label], kind="mean")[0]
    print(f"{label}: {model.predict(row, groups=[label])[0]:.2f}, from {low:.2f} to {high:.2f}")

# %%
# The picture of the model: parallel lines. (Rows with more than 12 staff are cut off.)
display = GroupLinesDisplay.from_estimator(
    model,
    X,
    staff,
    groups=nationality,
    column="PartySize",
    highlight=["Austria", "Bulgaria", "Netherlands"],
)
display.ax_.set_ylim(-0.5, 12)

# %%
# The distribution of intercepts
# ------------------------------
# Each deviation is a point with an interval of 95%, and small groups have wide ones (left).
# Together they are taken for draws from a normal distribution around 0 (right), with the
# standard deviation of 1.77 of the summary. Here they are skewed, as staff itself is.
figure, axes = plt.subplots(
    1, 2, figsize=(9, 5.4), layout="constrained", gridspec_kw={"width_ratios": [3, 2]}
)
RandomEffectsDisplay.from_estimator(model, ax=axes[0])
RandomEffectsDisplay.from_estimator(model, kind="distribution", ax=axes[1])
axes[1].set_ylim(0, 0.37)

# %%
# One spread for all groups
# -------------------------
# The model has one :math:`\sigma` for all groups. Their own spread around their lines:
errors = staff - model.predict(X, groups=nationality)
spread = errors.groupby(nationality).std().sort_values()
print(spread.iloc[[0, 1, 14, -2, -1]].round(2).to_string())
levels = model.group_coef_["(Intercept)"]
print(f"Correlation of the groups' levels and spreads: {levels.corr(spread):.2f}")
logs = RandomInterceptRegressor().fit(X, np.log(staff), groups=nationality)
errors = np.log(staff) - logs.predict(X, groups=nationality)
of_logs = errors.groupby(nationality).std()
print(f"largest over smallest: {spread.max() / spread.min():.1f}, ", end="")
print(f"of log Staff {of_logs.max() / of_logs.min():.1f}")

# %%
# What does that do? Intervals for new rows are too wide in calm groups and too narrow in
# others, and right on average only. Let half of the rows be new, and count how many of them
# fall into their interval of 95%, group by group.
known = np.random.default_rng(0).random(len(staff)) < 0.5
X_known, X_new = X[known], X[~known]
y_known, y_new = staff[known], staff[~known]
g_known, g_new = nationality[known], nationality[~known]


def intervals(own_spread=False, log=False):
    """Fit the known rows, and give the limits of the intervals of the new ones."""
    target, back = (np.log(y_known), np.exp) if log else (y_known, np.asarray)
    model = RandomInterceptRegressor().fit(X_known, target, groups=g_known)
    if not own_spread:
        return back(model.predict_interval(X_new, groups=g_new))
    errors = target - model.predict(X_known, groups=g_known)
    weight = 1 / errors.groupby(g_known).var()
    weight /= g_known.map(weight).mean()  # the mean row counts as one
    model.fit(X_known, target, groups=g_known, sample_weight=g_known.map(weight))
    return back(model.predict_interval(X_new, groups=g_new, sample_weight=g_new.map(weight)))


results = {}
for name, limits in {
    "Staff": intervals(),
    "log Staff": intervals(log=True),
    "Staff, own spread": intervals(own_spread=True),
    "log Staff, own spread": intervals(own_spread=True, log=True),
}.items():
    covered = y_new.between(limits[:, 0], limits[:, 1])
    of_group = covered.groupby(g_new).mean()
    results[name] = {
        "all rows": covered.mean(),
        "lowest group": of_group.min(),
        "which": of_group.idxmin(),
        "highest group": of_group.max(),
        "lower limit < 0": np.mean(limits[:, 0] < 0),
        "median width": np.median(limits[:, 1] - limits[:, 0]),
    }
table = pd.DataFrame.from_dict(results, orient="index").round(2)
print(table.to_string())

# %%
# One spread for ``Staff`` has the right number of rows overall, and for single groups it may
# have little more than half of them, or all. Two things help here:
#
# - *A logarithm.* Staff is positive, and groups with a higher level vary more. In logs spreads
#   differ less, and no interval reaches below 0. Effects are then ratios, and predictions are
#   medians. It is not enough by itself: the group that fares worst is now another one, with few
#   staff.
# - *A spread for each group*, from the errors of a first fit, as weights: the variance of a row
#   is :math:`\sigma^2/w`. It needs enough rows in each group, and there is none for a new
#   group.
#
# Together, even the group that fares worst is not far from 95%, with some 25 rows or more in
# each group to count by. Otherwise take intervals as what they are: right on average over
# groups, and not for a given one.
print("rows to count by:", g_new.value_counts().min(), "to", g_new.value_counts().max())
