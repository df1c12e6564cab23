"""
6. What do I choose, and how much data does it take?
====================================================

Complete pooling, fixed effects or random effects: the data say a good deal about it, and the
question that is asked says the rest.
"""

# %%
# What the data say
# -----------------
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import root_mean_squared_error

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    describe_groups,
)
from skmixed.datasets import load_mep_staff, make_mixed_regression
from skmixed.exceptions import SingularFitWarning

X, y, nationality = load_mep_staff(return_X_y=True)
X = X[["x", "z"]]
print(describe_groups(X, y, nationality))

# %%
# What is asked
# -------------
# Suppose new rows of known groups are to be predicted, and only some rows are known: one in 80
# is three in the median group. Fit those, predict all others; the mean of twenty draws.
models = {
    "complete pooling": PooledRegressor(),
    "fixed effects": FixedEffectsRegressor(),
    "random intercept": RandomInterceptRegressor(),
}


def error(model, few):
    model.fit(X.loc[few, ["x"]], y[few], groups=nationality[few])
    predicted = model.predict(X.loc[~few, ["x"]], groups=nationality[~few])
    return root_mean_squared_error(y[~few], predicted)


errors = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", SingularFitWarning)  # of some of the smallest draws
    for one_in in [80, 40, 20, 10]:
        draws = [np.random.default_rng(i).random(len(y)) < 1 / one_in for i in range(20)]
        errors[f"1 in {one_in}"] = {
            name: np.mean([error(model, few) for few in draws])
            for name, model in models.items()
        }
print("Root mean squared error, by share of rows known:")
print(pd.DataFrame(errors).round(3).to_string())

# %%
# With few rows, levels of their own are worse than none. With many, they are as good as
# shrunken ones. Random effects need not know in advance which it is. There is more to ask for
# than predictions of known groups:
#
# ==========================  =================  ===============  ================
# what you need               complete pooling   fixed effects    random effects
# ==========================  =================  ===============  ================
# slopes of x                 if groups do not   yes, within      yes; split x if
#                             differ             groups           they differ
# features of groups          errors too small   no               yes
# small groups                yes                noisy            yes
# new groups                  yes                average group    with uncertainty
# few groups, fewer than 5    yes                yes              variance unknown
# ==========================  =================  ===============  ================

# %%
# How many groups?
# ----------------
# Rows are for what happens within groups, groups for what differs between them. Simulated data,
# 600 rows each time, variance 1 within groups and 1 between: how well is the standard deviation
# between groups estimated from few groups with many rows, or many with few?
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
# Below about ten groups the variance is a guess; from thirty on it is an estimate. The same
# number of rows in more groups tells more about everything between groups. Theory agrees: from
# J groups the relative standard error of their variance is at least :math:`\sqrt{2/(J - 1)}`.
#
# And how many rows in a group? One is enough to take part. A group's own level is known well
# when its rows outnumber the ratio of the variances (chapter 5); for a slope of its own it
# needs at least as many rows as random effects, or it adds little. Groups of very few rows do
# no harm: they are shrunk.
