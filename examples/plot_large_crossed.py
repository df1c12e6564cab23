"""
Ratings of many users of many items
===================================

Sixty thousand users rate twelve thousand items. A few users rate a lot and most hardly ever, a
few items are rated by everyone and most by hardly anyone: a long tail on both sides. Who is
generous and what is good are two crossed factors with too many groups for a dense matrix, so
the model is solved by conjugate gradients.
"""

# %%
# Simulated, so that the truth is known. An item has a budget, which makes it a little better; a
# user has a level, and a taste: some like what is serious, others what is light. Taste makes a
# part of the rating that belongs to neither the user nor the item, but to the two together.
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import RandomInterceptRegressor
from skmixed.metrics import scores_by_cell

N_ROWS, N = 400_000, {"user": 60_000, "item": 12_000}
SD = {"user": 0.5, "item": 0.4, "taste": 0.3, "rating": 0.8}
rng = np.random.default_rng(0)


def draw(n, spread):
    """Draw who or what a row is of; how often follows a long tail."""
    often = np.exp(spread * rng.normal(size=n))
    return rng.choice(n, N_ROWS, p=often / often.sum())


X = pd.DataFrame({"user": draw(N["user"], 1.2), "item": draw(N["item"], 1.5)})
budget = rng.normal(size=N["item"])
X["budget"] = budget[X["item"]]
X["weekend"] = rng.integers(2, size=N_ROWS)
own = {name: rng.normal(scale=SD[name], size=n) for name, n in N.items()}
taste, kind = (rng.normal(size=n) for n in N.values())
expected = 3.2 + 0.2 * X["budget"] + 0.1 * X["weekend"]
expected += own["user"][X["user"]] + own["item"][X["item"]]
likes = SD["taste"] * taste[X["user"]] * kind[X["item"]]
stars = (expected + likes + rng.normal(scale=SD["rating"], size=N_ROWS)).rename("stars")

# %%
# A site wants to know how good its predictions are for those whom it knows, and for those who
# came yesterday. So all rows of each tenth user and of each tenth item are kept for the test,
# with a tenth of the other rows.
is_new = {name: rng.random(n) < 0.1 for name, n in N.items()}
test = is_new["user"][X["user"]] | is_new["item"][X["item"]] | (rng.random(N_ROWS) < 0.1)
train = ~test
rows_of = {name: X.loc[train, name].value_counts() for name in N}
for name, counts in rows_of.items():
    print(
        f"{len(counts):,} {name}s in {train.sum():,} rows: the upper tenth has "
        f"{counts.iloc[: len(counts) // 10].sum() / train.sum():.0%} of them, "
        f"{(counts <= 3).mean():.0%} have three rows or fewer"
    )

# %%
# The fit. The solver is chosen by size: with users eliminated a dense matrix of 10,800 items
# would be left. On one thread 5 million rows of 159,000 users and 57,000 items take 12 seconds
# and 0.6 GB beyond the data, 25 million rows 48 seconds and 2.6 GB.
model = RandomInterceptRegressor(group_by=["user", "item"])
start = perf_counter()
model.fit(X[train], stars[train])
print(f"\nsolver: {model.solver_}, {perf_counter() - start:.1f} seconds")
print(model.fixed_effects_frame()[["estimate", "std_error"]].round(3).to_string())

# %%
# Variances are learned with the help of random vectors, which leave an error of their own. It
# is stated, and is far below the standard error of what is estimated. Taste is in none of the
# two variances: it is a part of the residual.
found = {name: cov.iloc[0, 0] ** 0.5 for name, cov in model.random_effects_cov_.items()}
found["residual"] = model.residual_variance_**0.5
truth = {**{name: SD[name] for name in N}, "residual": np.hypot(SD["taste"], SD["rating"])}
print(pd.DataFrame({"estimate": found, "truth": truth}).round(3).to_string())
print(model.monte_carlo_error_.map("{:.1g}".format).to_string())
assert all(abs(found[name] - truth[name]) < 0.02 for name in found)

# %%
# Predictions of the rows that were kept, by whether their user and their item are known. Beside
# the model stand two others: the line alone, and what is often done by hand, the mean of the
# item plus what the user's ratings differ from such means. These take a mean of two ratings for
# as good as one of two thousand, and know nothing of budgets.


def mean_by_hand(rows):
    """Add the mean of the item to the user's mean difference from it; 0 for new ones."""
    level = stars[train].mean()
    of_item = (stars[train] - level).groupby(X.loc[train, "item"]).mean()
    left = stars[train] - level - X.loc[train, "item"].map(of_item)
    of_user = left.groupby(X.loc[train, "user"]).mean()
    return level + sum(
        rows[name].map(means).fillna(0)
        for name, means in (("item", of_item), ("user", of_user))
    )


predictions = {
    "the line": model.predict_population(X[test]),
    "means": mean_by_hand(X[test]),
    "model": model.predict(X[test]),
    "truth without taste": expected[test],
    "truth": expected[test] + likes[test],
}
factors = ["user", "item"]
cells = {
    name: scores_by_cell(stars[test], predicted, X.loc[test, factors], X.loc[train, factors])
    for name, predicted in predictions.items()
}
rmse = pd.DataFrame({name: scores["score"] for name, scores in cells.items()})
print(rmse.assign(n_rows=cells["model"]["n_rows"]).round(3).to_string())
assert (rmse["model"] <= rmse[["the line", "means"]].min(axis=1) + 1e-3).all()

# %%
# How sure is a prediction? That is solved for row by row, so it is asked for some rows only: a
# new user or item adds its whole variance, and intervals of 90% hold about as many ratings.
is_known = X.loc[test, factors].apply(lambda labels: labels.isin(rows_of[labels.name].index))
words = is_known.replace({True: "known", False: "new"})
some = words.groupby(factors).sample(40, random_state=0)
rows = X.loc[some.index]
_, std = model.predict(rows, return_std=True)
limits = model.predict_interval(rows, level=0.9)
inside = (limits[:, 0] <= stars[some.index]) & (stars[some.index] <= limits[:, 1])
print(some.assign(std=std, inside=inside).groupby(factors).mean().round(2).to_string())
print(f"inside the intervals: {inside.mean():.0%}")

# %%
# The long tail, what it does to the effects of items, and who is predicted how well. An item
# with few ratings stays near the average, as far as the line goes; with a hundred its effect is
# nearly what it was simulated as.
figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
for name, counts in rows_of.items():
    axes[0].loglog(np.arange(1, len(counts) + 1), counts, label=f"{name}s")
axes[0].set(xlabel="place", ylabel="ratings", title="A long tail on both sides")
axes[0].legend(frameon=False)

effects = model.random_effects_["item"]["(Intercept)"]
n_ratings = model.group_sizes_["item"]
dots = axes[1].scatter(
    own["item"][effects.index], effects, c=n_ratings, s=4, norm="log", cmap="viridis"
)
axes[1].axline((0, 0), slope=1, color="0.4", linewidth=0.8)
axes[1].set(xlabel="truth", ylabel="estimate", title="Effects of items")
figure.colorbar(dots, ax=axes[1], label="ratings of the item")
for words, low, high in (("1 to 3", 1, 3), ("30 to 100", 30, 100), ("over 300", 301, np.inf)):
    of = n_ratings.between(low, high)
    error = np.sqrt(np.mean((effects[of] - own["item"][effects.index[of]]) ** 2))
    print(f"{of.sum():,} items of {words} ratings: root mean squared error {error:.2f}")

shown = rmse.drop(columns="truth")
place = np.arange(len(shown))
for name, marker in zip(shown, "sxo_", strict=True):
    axes[2].plot(place, shown[name], marker, markersize=9, label=name)
axes[2].set_xticks(
    place, [f"user {user}\nitem {item}" for user, item in shown.index], fontsize=8
)
axes[2].set(ylabel="root mean squared error", title="Predictions of ratings kept back")
axes[2].set(xlim=(-0.5, len(shown) - 0.5), ylim=(0.77, 1.12))
axes[2].legend(frameon=False, loc="lower center", ncols=2)

# %%
# What is left out is taste. The last two columns of the scores say what there would be to gain
# where both are known: a matrix factorisation, which gives each user and item some coordinates
# and multiplies them, looks for just that. It needs many ratings of each, and adds nothing for
# new ones; it starts well from the residuals of this model, which has the levels, their
# uncertainty and the features right. Where the kind of an item is known, it is not even needed:
# as a slope of users, ``RandomSlopeRegressor({"user": ["kind"]}, group_by=["user", "item"])``,
# taste is a random effect like the others.
path = Path("large_crossed.png")
figure.savefig(path, dpi=120)
print(f"\nPicture saved as {path}")
