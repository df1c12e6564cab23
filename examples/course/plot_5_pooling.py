"""
5. A group's level is a weighted average
========================================

Two sources speak about the level of a group: its own rows, and all other groups. The model
averages them, and weighs each by how much it knows. In a model with nothing but levels, with
n rows in group j,

.. math::

   \\hat \\beta{}_0 + \\hat u{}_j =
   \\frac{n_j/\\sigma^2}{n_j/\\sigma^2 + 1/\\sigma_u^2}\\, \\bar y{}_j +
   \\frac{1/\\sigma_u^2}{n_j/\\sigma^2 + 1/\\sigma_u^2}\\, \\hat \\beta{}_0

The mean of n rows has a variance of :math:`\\sigma^2/n_j`, the distribution of groups one of
:math:`\\sigma_u^2`: the weights are the precisions.
"""

# %%
# With 55 rows or more in each group, their own rows outvote the others easily. To see both
# sources at work, keep one row in twenty.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import RandomInterceptRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inspection import ShrinkageDisplay

_, y, nationality = load_mep_staff(return_X_y=True)
kept = np.random.default_rng(0).random(len(y)) < 1 / 20
y, nationality = y[kept], nationality[kept]
model = RandomInterceptRegressor(group_by="Nationality").fit(nationality.to_frame(), y)

# %%
# The average by hand, for the smallest groups and the largest.
n = model.group_sizes_
of_rows, of_groups = n / model.residual_variance_, 1 / model.random_effects_cov_.iloc[0, 0]
weight = of_rows / (of_rows + of_groups)
own_mean = y.groupby(nationality).mean()
table = pd.DataFrame(
    {
        "rows": n,
        "own mean": own_mean,
        "weight": weight,
        "grand mean": model.intercept_,
        "its weight": 1 - weight,
        "by hand": weight * own_mean + (1 - weight) * model.intercept_,
        "model": model.group_coef_["(Intercept)"],
    }
).sort_values("rows")
print(table.iloc[[0, 1, 2, -2, -1]].round(3).to_string())
np.testing.assert_allclose(table["by hand"], table["model"])

# %%
# The two weights as the number of rows grows. They are equal where n is the ratio of the
# variances; from then on a group speaks mostly for itself.
ratio = model.residual_variance_ / model.random_effects_cov_.iloc[0, 0]
rows = np.geomspace(0.1, n.max(), 300)
share = rows / (rows + ratio)
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.fill_between(rows, 0, share, color="#56B4E9", alpha=0.6)
ax.fill_between(rows, share, 1, color="#E69F00", alpha=0.5)
ax.plot(n, weight, "o", color="black", markersize=4, label="the 28 groups")
ax.axvline(ratio, color="black", linewidth=1, linestyle="--", label="equal weights")
ax.text(0.13, 0.8, "weight of the grand mean", fontsize=12)
ax.text(2.2, 0.3, "weight of the group's own mean", fontsize=12)
ax.set(xscale="log", xlabel="rows of the group", ylabel="weight")
ax.set(xlim=(0.1, n.max() * 1.1), ylim=(0, 1))
ax.legend(loc="lower right")
print(
    f"equal weights at {model.residual_variance_:.2f} / {1 / of_groups:.2f} = {ratio:.1f} rows"
)

# %%
# The result: each arrow goes from a group's own mean to the model's answer.
ShrinkageDisplay.from_estimator(model)

# %%
# The two extremes are limits of the same average. If groups do not differ, all weight is on the
# grand mean: *complete pooling*. If they differ without bound, all is on the own mean: *no
# pooling*. The data decide where in between: the variance between groups is estimated.
