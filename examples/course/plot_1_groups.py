"""
1. Rows of a group have something in common
===========================================

Ordinary regression takes errors to be independent. Rows that come in groups are not: what the
features do not explain is partly the same for all rows of a group. This chapter makes that
visible, and shows what it does to a standard error.
"""

# %%
# The data, which are synthetic: staff ``y`` of members of a parliament, a feature ``x`` of the
# member, a feature ``z`` of the nationality, and minus the years to the next national election.
import matplotlib.pyplot as plt
import pandas as pd

from skmixed import PooledRegressor, RandomInterceptRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inspection import ResidualsDisplay

X, y, nationality = load_mep_staff(return_X_y=True)
print(X.assign(y=y, Nationality=nationality).head(3).round(2).to_string())
sizes = nationality.value_counts()
print(f"\n{len(y)} rows in {len(sizes)} groups of {sizes.min()} to {sizes.max()} rows")

# %%
# One line for all, nationality ignored: *complete pooling*.
pooled = PooledRegressor().fit(X[["x"]], y)
print(f"y = {pooled.intercept_:.2f} {pooled.coef_[0]:+.2f} x")

# %%
# Here are its residuals, by nationality. If errors did not know their group, all boxes would be
# centred at zero, up to chance. Some groups are above the line almost as a whole.
figure, ax = plt.subplots(figsize=(8, 6.4), layout="constrained")
ResidualsDisplay.from_predictions(
    y, pooled.predict(X[["x"]]), groups=nationality, kind="groups", ax=ax
)

# %%
# How much of the variance is that? A model with nothing but a level for each group splits the
# variance of ``y`` in two. The share between groups is the *intraclass correlation*: also the
# correlation of two rows of the same group.
null = RandomInterceptRegressor(group_by="Nationality").fit(nationality.to_frame(), y)
between, within = null.random_effects_cov_.iloc[0, 0], null.residual_variance_
print(f"between groups {between:.2f}, within groups {within:.2f}")
print(
    f"intraclass correlation {between:.2f} / ({between:.2f} + {within:.2f}) = {null.icc_:.3f}"
)

# %%
# Correlated rows tell less than independent ones. About the mean of ``y`` the 6,948 rows tell
# as much as this many independent ones:
print(
    f"{len(y)} / design effect {null.design_effect_:.0f} = {len(y) / null.design_effect_:.0f}"
)

# %%
# The harm is greatest for a feature of the groups. There are 28 values of ``z``, not 6,948, but
# pooled regression counts rows. Its standard error is less than a tenth of that of a model that
# knows the groups, and it reports an effect with great confidence that is not there.
features = X[["x", "z"]]
naive = PooledRegressor().fit(features, y)
mixed = RandomInterceptRegressor().fit(features, y, groups=nationality)
rows = {"pooled": naive.summary().fixed_effects.loc["z"]}
rows["with groups"] = mixed.summary().fixed_effects.loc["z"]
table = pd.DataFrame(rows).T[["estimate", "std_error", "df", "p_value"]]
print(table.round(4).to_string())
