"""
2. Varying intercepts
=====================

Give every group its own level, and let the levels come from a common distribution:

.. math::

   y_{ij} = \\beta_0 + \\beta_1 x_{ij} + u_j + e_{ij}, \\qquad
   u_j \\sim N(0, \\sigma_u^2), \\quad e_{ij} \\sim N(0, \\sigma^2)

The level of group j is the grand mean plus a deviation, :math:`\\beta_0 + u_j`. The slope is
the same for all.
"""

# %%
import matplotlib.pyplot as plt
import pandas as pd

from skmixed import RandomInterceptRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inspection import GroupLinesDisplay, RandomEffectsDisplay

X, y, nationality = load_mep_staff(return_X_y=True)
X = X[["x"]]
model = RandomInterceptRegressor().fit(X, y, groups=nationality)
print(model.summary())

# %%
# **Reading the output.** lme4 prints the same numbers for ``y ~ x + (1 | Nationality)``.
#
# - *Variance components*: levels of nationalities vary with a standard deviation of 1.77
#   around the grand mean; rows vary with 2.29 around their group's line. 37% of the variance
#   that ``x`` leaves is a matter of nationality.
# - *Fixed effects*: within a nationality, ``y`` falls by 1.67 when ``x`` goes from 0 to 1. The
#   intercept is the level of an average nationality at ``x = 0``. Its standard error is twice
#   that of the slope, since there are only 28 nationalities: see the degrees of freedom.
# - *REML criterion*: minus twice the log-likelihood. It says nothing by itself; it serves to
#   compare models.

# %%
# Grand mean, deviations, and their sum
# -------------------------------------
# 28 deviations were not estimated one by one as coefficients are. They are predicted from the
# variance components and each group's rows.
levels = pd.DataFrame(
    {
        "grand mean": model.intercept_,
        "deviation": model.random_effects_["(Intercept)"],
        "own level": model.group_coef_["(Intercept)"],
    }
)
print(levels.head(6).round(4).to_string())

# %%
# All deviations with intervals of 95%. Small groups have wide ones.
figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
RandomEffectsDisplay.from_estimator(model, ax=ax)

# %%
# Prediction by hand
# ------------------
# What is expected of a member from Belgium with ``x = 0.5``? Add up the grand mean, Belgium's
# deviation, and the slope times 0.5.
u = model.random_effects_.loc["Belgium", "(Intercept)"]
by_hand = model.intercept_ + u + model.coef_[0] * 0.5
print(f"{model.intercept_:.4f} {u:+.4f} {model.coef_[0]:+.4f} * 0.5 = {by_hand:.4f}")

row = pd.DataFrame({"x": [0.5]})
print("predict:", model.predict(row, groups=["Belgium"]).round(4))

# %%
# A nationality without rows has no deviation yet. Zero is the best guess, but not a sure one:
# the interval for the mean of the group is wide, as the whole variance between groups is open.
for label in ["Belgium", "Atlantis"]:
    low, high = model.predict_interval(row, groups=[label], kind="mean")[0]
    print(f"{label}: {model.predict(row, groups=[label])[0]:.2f}, from {low:.2f} to {high:.2f}")

# %%
# The picture of the model: parallel lines.
GroupLinesDisplay.from_estimator(
    model, X, y, groups=nationality, column="x", highlight=["Belgium", "Bulgaria", "Estonia"]
)
