"""
A new group, learned from a few rows
====================================

A new customer arrives. The model knows how customers differ, so a few purchases are enough to
place this one among them, without a new fit: ``update_groups`` works out the group's effects
for the parameters as they are. The example compares the error of its predictions, by the number
of rows seen of each new group, with that of the population line and of a regression on the
group's own rows.
"""

# %%
# Three hundred groups are fitted; a thousand new ones arrive and show their rows one by one.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import RandomSlopeRegressor
from skmixed.datasets import make_mixed_regression

X, y, groups = make_mixed_regression(
    1300 * 20, 2, n_groups=1300, slope_variances=[0.5, 0.0], random_state=0
)
new = groups >= 300
model = RandomSlopeRegressor(0).fit(X[~new], y[~new], groups=groups[~new])
turn = pd.Series(groups).groupby(groups).cumcount().to_numpy()
test = new & (turn >= 12)


def rmse(predicted):
    return np.sqrt(np.mean((y[test] - predicted) ** 2))


# %%
# The regression of each group on its own rows: level and slope of the first column, as far as
# the rows tell them (least squares of minimum norm). The slope of the second column is the same
# for all groups, and taken as known.
shared = model.coef_[1] * X[:, 1]


def own_regressions(seen):
    predicted = shared.copy()
    for label in range(300, 1300):
        mine = groups == label
        known, D = mine & (turn < seen), np.column_stack([np.ones(len(y)), X[:, 0]])
        line = np.linalg.lstsq(D[known], (y - shared)[known], rcond=None)[0]
        predicted[mine] += D[mine] @ line
    return predicted[test]


# %%
# One row after the other. Nothing is fitted again; a thousand groups take milliseconds.
population = rmse(model.predict_population(X[test]))
errors = pd.DataFrame(index=pd.RangeIndex(13, name="rows seen"), dtype=float)
errors.loc[0, "updated"] = rmse(model.predict(X[test], groups=groups[test]))
for seen in range(1, 13):
    row = new & (turn == seen - 1)
    model.update_groups(X[row], y[row], groups=groups[row])
    errors.loc[seen, "updated"] = rmse(model.predict(X[test], groups=groups[test]))
    if seen >= 2:
        errors.loc[seen, "own rows alone"] = rmse(own_regressions(seen))
errors["population line"] = population
print(errors.round(3).to_string())

# %%
# The updated model is never worse than the population line, where it begins, and ahead of a
# regression on the group's own rows for as long as these are few.
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.axhline(population, color="0.6", linewidth=1)
ax.text(12, population, "population line", color="0.4", ha="right", va="bottom")
ax.plot(errors.index, errors["own rows alone"], "o-", color="#d55e00", markersize=4)
ax.plot(errors.index, errors["updated"], "o-", color="#0072b2", markersize=4)
ax.set_ylim(0.95, 1.15 * population)
ax.annotate("own rows alone", (4, errors.loc[4, "own rows alone"]), (5, 1.75), color="#d55e00")
ax.annotate("update_groups", (2, errors.loc[2, "updated"]), (2.2, 1.1), color="#0072b2")
ax.axhline(1.0, color="0.85", linewidth=1, linestyle="--")
ax.text(12, 1.0, "standard deviation of the residuals", color="0.5", ha="right", va="bottom")
ax.set_xlabel("rows seen of each new group")
ax.set_ylabel("error of later rows (RMSE)")
fig.savefig("new_groups.png", dpi=120)
print("Picture saved as new_groups.png")
