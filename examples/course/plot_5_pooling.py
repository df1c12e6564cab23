"""
5. A group's level is a weighted average
========================================

Fixed effects and random effects both give each group an intercept. Fixed effects take it from
the group's own rows, and compare within groups only. Random effects ask two sources, the
group's own rows and all other groups. They average them, and weigh each by how much it knows.
In a model with nothing but levels, with n rows in group j,

.. math::

   \\hat \\beta{}_0 + \\hat u{}_j =
   \\frac{n_j/\\sigma^2}{n_j/\\sigma^2 + 1/\\sigma_u^2}\\, \\bar y{}_j +
   \\frac{1/\\sigma_u^2}{n_j/\\sigma^2 + 1/\\sigma_u^2}\\, \\hat \\beta{}_0

The mean of n rows has a variance of :math:`\\sigma^2/n_j`, the distribution of groups one of
:math:`\\sigma_u^2`: the weights are the precisions, and the denominator makes their sum 1.
"""

# %%
# Two data sets, the synthetic one on staff and the real one on schools. Each is fitted with
# nothing but levels.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import FixedEffectsRegressor, PooledRegressor, RandomInterceptRegressor
from skmixed.datasets import load_hsb, load_mep_staff
from skmixed.inspection import ShrinkageDisplay

mep, hsb = load_mep_staff().frame, load_hsb().frame
mep = mep.rename(columns={"x": "PartySize", "y": "Staff"})
nations = RandomInterceptRegressor(group_by="Nationality")
nations.fit(mep[["Nationality"]], mep["Staff"])
schools = RandomInterceptRegressor(group_by="school").fit(hsb[["school"]], hsb["math"])
for name, fit in {"staff": nations, "schools": schools}.items():
    between, within = fit.random_effects_cov_.iloc[0, 0], fit.residual_variance_
    print(
        f"{name}: {fit.group_sizes_.min()} to {fit.group_sizes_.max()} rows in a group;",
        end=" ",
    )
    print(f"between {between:.2f}, within {within:.2f}, ratio {within / between:.2f}")

# %%
# The average by hand
# -------------------
# For the schools with the fewest and the most pupils: the school's own mean and its weight, the
# grand mean and its weight, and the sum. ``pooling_weights_`` holds the first weight.
n = schools.group_sizes_
of_rows, of_groups = n / schools.residual_variance_, 1 / schools.random_effects_cov_.iloc[0, 0]
weight = of_rows / (of_rows + of_groups)
own_mean = hsb["math"].groupby(hsb["school"]).mean()
table = pd.DataFrame(
    {
        "rows": n,
        "own mean": own_mean,
        "weight": weight,
        "pooling_weights_": schools.pooling_weights_["(Intercept)"],
        "grand mean": schools.intercept_,
        "its weight": 1 - weight,
        "by hand": weight * own_mean + (1 - weight) * schools.intercept_,
        "model": schools.group_coef_["(Intercept)"],
    }
).sort_values("rows")
print(table.iloc[[0, 1, -2, -1]].round(3).to_string())
np.testing.assert_allclose(table["weight"], table["pooling_weights_"])
np.testing.assert_allclose(table["by hand"], table["model"])

# %%
# What moves the weights
# ----------------------
# A group of more rows speaks more for itself. And the more groups differ, the less the grand
# mean says about any of them. Where n is the ratio of the variances, within to between, both
# weights are equal (dotted).
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
rows = np.geomspace(0.5, 1000, 300)
for name, fit, color in [("staff", nations, "#D55E00"), ("schools", schools, "#0072B2")]:
    ratio = fit.residual_variance_ / fit.random_effects_cov_.iloc[0, 0]
    ax.plot(rows, rows / (rows + ratio), color=color, linewidth=1)
    own = fit.pooling_weights_["(Intercept)"]
    ax.plot(fit.group_sizes_, own, "o", color=color, markersize=4, label=f"{name}: groups")
    ax.plot([ratio, ratio], [0, 0.5], color=color, linestyle=":")
ax.set(xscale="log", xlabel="rows of the group", ylabel="weight of its own mean", ylim=(0, 1))
ax.legend(loc="lower right")
lowest = nations.pooling_weights_.min().iloc[0]
print(f"staff: weights of {lowest:.3f} and more; ", end="")
print(f"schools: of {weight.min():.3f} to {weight.max():.3f}")

# %%
# Nationalities differ much, have many rows, and speak for themselves. Schools are small, and
# not so different. Each arrow goes from a school's own mean to the model's answer: the fewer
# rows, the larger the part of the way to the grand mean.
ShrinkageDisplay.from_estimator(schools)

# %%
# A slope is a weighted average, too
# ----------------------------------
# The same is true of the slope of a feature. The slope of ``ses`` averages the slope within
# schools and the slope of their means, weighted by precision. Within, the precision is the
# spread of the feature around the groups' means over :math:`\sigma^2`. Between, each group's
# mean has the variance :math:`\sigma_u^2 + \sigma^2/n_j`.


def two_slopes(x, y, groups, between, within):
    """Give the slopes within and between groups, and their precisions."""
    rows = pd.DataFrame({"x": x, "y": y}).groupby(groups)
    means, n = rows.mean(), rows.size()
    deviation = x - groups.map(means["x"])
    own_weight = 1 / (between + within / n)
    spread = own_weight * (means["x"] - np.average(means["x"], weights=own_weight))
    sums = (deviation**2).sum(), (spread * means["x"]).sum()
    slopes = (deviation * y).sum() / sums[0], (spread * means["y"]).sum() / sums[1]
    return pd.DataFrame(
        {"slope": slopes, "precision": [sums[0] / within, sums[1]]}, ["within", "between"]
    )


data = {
    "ses": (hsb[["ses"]], hsb["math"], hsb["school"]),
    "PartySize": (mep[["PartySize"]], mep["Staff"], mep["Nationality"]),
}
for name, (X, y, groups) in data.items():
    fit = RandomInterceptRegressor().fit(X, y, groups=groups)
    between, within = fit.random_effects_cov_.iloc[0, 0], fit.residual_variance_
    parts = two_slopes(X[name], y, groups, between, within)
    parts["weight"] = parts["precision"] / parts["precision"].sum()
    by_hand = np.average(parts["slope"], weights=parts["weight"])
    print(parts.round(4).to_string())
    print(f"{name}: by hand {by_hand:.4f}, model {fit.coef_[0]:.4f}\n")
    np.testing.assert_allclose(by_hand, fit.coef_[0], rtol=1e-5)

# %%
# From a coefficient alone one cannot tell where it comes from; from the weights one can. Both
# come mostly from within groups. A small weight of the other slope matters if that is far away:
# if so, keep the two apart by ``WithinBetween``, as in the last chapter.

# %%
# Two limits
# ----------
# What if groups differed less, or more? Let the variance between schools go from nothing to
# very much, and leave that within as it is.
X, y, groups = data["ses"]
fit = RandomInterceptRegressor().fit(X, y, groups=groups)
variances = np.geomspace(1e-3, 1e3, 100)
slopes = []
for variance in variances:
    parts = two_slopes(X["ses"], y, groups, variance, fit.residual_variance_)
    slopes.append(np.average(parts["slope"], weights=parts["precision"]))
pooled = PooledRegressor().fit(X, y).coef_[0]
fixed = FixedEffectsRegressor().fit(X, y, groups=groups).coef_[0]
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.plot(variances, slopes, color="#0072B2")
ax.plot(
    fit.random_effects_cov_.iloc[0, 0], fit.coef_[0], "o", color="#0072B2", label="estimated"
)
ax.axhline(pooled, color="0.4", linestyle="--", label="complete pooling")
ax.axhline(fixed, color="0.4", linestyle=":", label="fixed effects")
ax.set(xscale="log", xlabel="variance between schools", ylabel="slope of ses")
ax.legend()
print(f"from {slopes[0]:.3f} (complete pooling: {pooled:.3f})", end=" ")
print(f"to {slopes[-1]:.3f} (fixed effects: {fixed:.3f})")

# %%
# If groups do not differ, a mixed model is *complete pooling*. If they differ without bound, it
# is *no pooling*, fixed effects. The data decide where in between, since the variance between
# groups is estimated.
