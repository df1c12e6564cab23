"""
6. What do I choose?
====================

Complete pooling, fixed effects or random effects: the data say something about it, and the
question that is asked says the rest. This chapter goes through both, with the pupils of High
School and Beyond.
"""

# %%
# What the data say
# -----------------
# :func:`~skmixed.describe_groups` looks at the variation before any model is chosen.
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.linalg import LinAlgWarning
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GroupKFold, cross_val_predict

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    compare_pooling,
    describe_groups,
)
from skmixed.datasets import load_hsb, load_mep_staff
from skmixed.exceptions import NewGroupsWarning, SingularFitWarning

hsb = load_hsb().frame
X, math, school = hsb[["ses", "catholic"]], hsb["math"], hsb["school"]
print(describe_groups(X, math, school))

# %%
# What is asked
# -------------
# Four situations, each with what speaks for and against the models.
#
# **Plenty of variation within groups.** Fixed effects compare within groups only: no confounder
# that pupils of a school share can disturb that. Random effects come close if groups are
# distinct, that is if they differ much compared with the error of a group's mean; if not, they
# are close to pooling. The levels of fixed effects are taken as they come, from a school of 14
# pupils as from one of 67; random effects weigh them by size.
#
# **Features that vary by group only.** Fixed effects cannot tell them from the groups' own
# levels. Pooling has an estimate, with a standard error for independent rows. Random effects
# have both.
models = {
    "complete pooling": PooledRegressor(),
    "fixed effects": FixedEffectsRegressor(),
    "random intercept": RandomInterceptRegressor(),
}
rows = {}
for name, model in models.items():
    with warnings.catch_warnings():
        # Fixed effects warn that they have no coefficient of catholic.
        warnings.simplefilter("ignore", LinAlgWarning)
        table = model.fit(X, math, groups=school).fixed_effects_frame()
    rows[name] = table.loc[["ses", "catholic"], ["estimate", "std_error"]].stack()
print(pd.DataFrame(rows).T.round(3).to_string())

# %%
# **A mix of both.** Random effects borrow from the comparison between groups. The slope of
# ``ses`` above is between that of fixed effects and that of pooling, and its standard error is
# smaller than that of fixed effects. The number alone does not say how much comes from where;
# the weights of chapter 5 do, and ``WithinBetween`` keeps the two slopes apart.
#
# **Data about groups, and new groups.** Leave schools out, a tenth at a time, and predict the
# mean score of their pupils. ``mean_ses`` is the mean status of a school's pupils.
splitter = GroupKFold(10, shuffle=True, random_state=0)
errors = {}
for columns in [["ses"], ["ses", "catholic"], ["ses", "catholic", "mean_ses"]]:
    of_columns = errors[" + ".join(columns)] = {}
    for name, estimator in {
        "complete pooling": PooledRegressor(),
        "fixed effects": FixedEffectsRegressor(group_by="school"),
        "random intercept": RandomInterceptRegressor(group_by="school"),
    }.items():
        table = hsb[columns] if name == "complete pooling" else hsb[[*columns, "school"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (LinAlgWarning, NewGroupsWarning))
            predicted = cross_val_predict(estimator, table, math, groups=school, cv=splitter)
        means = pd.DataFrame({"true": math, "predicted": predicted}).groupby(school).mean()
        of_columns[name] = root_mean_squared_error(means["true"], means["predicted"])
print("Root mean squared error of the means of new schools:")
print(pd.DataFrame(errors).round(2).to_string())

# %%
# Features of schools help to predict schools that were never seen, and fixed effects cannot use
# them. Random effects are no better here than pooling, and with ``ses`` alone they are worse:
# to predict a school, the slope between schools counts, and theirs is mostly the one within.
# With ``mean_ses`` both have both slopes. What pooling lacks is the uncertainty of schools:
# see its standard error of ``catholic`` above.

# %%
# Small groups
# ------------
# Now new rows of *known* groups, when only some rows are known. Fit those, predict all others;
# the mean of twenty draws. Beside the schools the data on staff, whose groups are larger and
# more distinct.
mep = load_mep_staff().frame
mep = mep.rename(columns={"x": "PartySize", "y": "Staff"})
data = {
    "schools": (hsb[["ses"]], math, school, [20, 10, 5, 2]),
    "staff": (mep[["PartySize"]], mep["Staff"], mep["Nationality"], [80, 40, 20, 10]),
}


def error(model, X, y, groups, few):
    model.fit(X[few], y[few], groups=groups[few])
    return root_mean_squared_error(y[~few], model.predict(X[~few], groups=groups[~few]))


figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, (title, (X_all, y, groups, shares)) in zip(axes, data.items(), strict=True):
    errors, median_rows = {}, []
    for one_in in shares:
        draws = [np.random.default_rng(i).random(len(y)) < 1 / one_in for i in range(20)]
        median_rows.append(groups.value_counts().median() / one_in)
        with warnings.catch_warnings():  # from some of the smallest draws
            warnings.simplefilter("ignore", (SingularFitWarning, NewGroupsWarning))
            errors[f"1 in {one_in}"] = {
                name: np.mean([error(model, X_all, y, groups, few) for few in draws])
                for name, model in models.items()
            }
    errors = pd.DataFrame(errors)
    print(f"{title}: root mean squared error, by share of rows known")
    print(errors.round(3).to_string(), "\n")
    for (name, line), color in zip(
        errors.iterrows(), ["0.5", "#E69F00", "#0072B2"], strict=True
    ):
        ax.plot(median_rows, line, "o-", color=color, label=name)
    ax.set(xscale="log", xlabel="known rows of the median group", title=title)
    ax.set_xticks(median_rows, [f"{rows:.0f}" for rows in median_rows])
    ax.minorticks_off()
axes[0].set_ylabel("root mean squared error")
axes[0].legend()

# %%
# With few rows, levels of their own are worse than none; with many, they are nearly as good as
# shrunken ones. Where the change comes depends on how distinct the groups are. Random effects
# need not know it in advance. :func:`~skmixed.compare_pooling` makes the comparison by
# cross-validation, for new rows of known groups and for new groups:
print(compare_pooling(X, math, school, random_state=0))

# %%
# In a table
# ----------
# ==========================  ====================  ==================  ======================
# what you have, or need      complete pooling      fixed effects       random effects
# ==========================  ====================  ==================  ======================
# variation within groups     disturbed by what     the strictest       close to it if groups
#                             groups share          comparison          are distinct; or split
# features of groups          standard errors for   not identified      yes
#                             independent rows
# variation of both kinds     a mixture             within only         a mixture by weight;
#                                                                       or split
# data from other sources     standard errors for   no use              yes
#                             independent rows
# new groups                  no uncertainty of     the average group   with uncertainty
#                             groups
# small groups                levels all the same   noisy levels        shrunken levels
# groups of unequal size      rows count alike      large groups count  levels: groups nearly
#                                                   more                alike; slopes: large
#                                                                       groups count more
# few groups                  what groups share     slopes within as    the variance between
#                             does not average out  good as with many   groups is a guess
# ==========================  ====================  ==================  ======================
#
# How few is few, and what counts as a row: the next chapter.
