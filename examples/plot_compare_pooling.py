"""
Does the multilevel model predict better, for whom, and why?
============================================================

People who know groups from machine learning encode them: a dummy variable for each, the mean
of y for each, a category for the trees. People who know them from econometrics take fixed
effects. `compare_pooling` sets a multilevel model beside all of these on the same folds, for
two questions: new rows in groups that are known, and rows of new groups.
"""

# %%
# Sales of 200 simulated shops. A few have hundreds of rows and most have few. Shops differ in
# their level with a variance of 0.5, rows within a shop with a variance of 1.
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

from skmixed import compare_pooling, describe_groups
from skmixed.datasets import make_mixed_regression

X, y, shop = make_mixed_regression(
    n_samples=2_000,
    n_features=3,
    n_groups=200,
    intercept_variance=0.5,
    residual_variance=1.0,
    balanced=False,
    random_state=0,
)
X = pd.DataFrame(X, columns=["price", "advertising", "season"]).assign(shop=shop)

# %%
# First a look at the groups, before any model is compared: how many, how large, and how much
# of the variance lies between them.
description = describe_groups(X, y, group_by="shop")
print(description.sizes.to_string())
print(*description.advice["Choice"], sep="\n")


# %%
# The others. They get X with the column of shops and do with it what they like. A shop that is
# not known has no dummy, the overall mean of y, or a missing category.
def encode(encoder):
    return make_column_transformer((encoder, ["shop"]), remainder="passthrough")


dummies = OneHotEncoder(handle_unknown="ignore")
folds = KFold(5, shuffle=True, random_state=0)
trees = HistGradientBoostingRegressor(
    categorical_features=["shop"], learning_rate=0.05, random_state=0
)
others = {
    "one-hot + Ridge": make_pipeline(encode(dummies), Ridge()),
    "target mean + Ridge": make_pipeline(encode(TargetEncoder(cv=folds)), Ridge()),
    "gradient boosting": trees,
}

# %%
# One call fits all of them: two questions, five folds, two repeats. The text ends with
# findings, each with its numbers.
comparison = compare_pooling(X, y, group_by="shop", estimators=others, random_state=0, n_jobs=2)
print(comparison)

# %%
# One-hot encoding with Ridge comes to the same as the random intercept, and for a reason: a
# penalty on dummies is a normal distribution of the shops' levels, with a variance ratio set by
# ``alpha`` instead of estimated. Here alpha = 1 is near the truth, 1 / 0.5; it would have to be
# searched for in general, and there is no interval for a new row.
#
# The picture shows how far each model is from the best, on the same rows, with one standard
# error of that difference to either side. No model can get below the truth: errors of standard
# deviation 1 in known groups, and of sqrt(1 + 0.5) = 1.22 in new ones.
display = comparison.plot()

# %%
# For whom? In shops with many rows all models that see the shop come to the same. Fixed effects
# pay in the small ones, where they take a shop's few rows at their word.
by_size = comparison.by_group_size
figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
colors = {"pooled": "0.55", "fixed effects": "#D55E00", "random intercept": "#0072B2"}
markers = {"pooled": "s", "fixed effects": "^", "random intercept": "o"}
for name, color in colors.items():
    ax.plot(by_size.index, by_size[name], color=color, marker=markers[name], label=name)
ax.axhline(1, color="0.8", linewidth=1, zorder=0)
ax.text(0, 1, "the truth", color="0.55", ha="left", va="bottom")
ax.set(xlabel="rows of the shop in training", ylabel="RMSE of new rows in known groups")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)

# %%
for name, picture in {"compare_pooling": display.figure_, "by_group_size": figure}.items():
    path = Path(f"{name}.png")
    picture.savefig(path, dpi=120)
    print(f"Picture saved as {path.resolve()}")
