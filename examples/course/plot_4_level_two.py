"""
4. Features of groups
=====================

So far nothing was said about why nationalities differ. Their levels are numbers like any
others, and numbers can be regressed on something: a feature that is constant within groups, a
*level-2 predictor*. It is a second regression, of the levels, inside the first:

.. math::

   y_{ij} = \\beta_1 x_{ij} + \\alpha_j + e_{ij}, \\qquad
   \\alpha_j = \\beta_0 + \\gamma z_j + u_j

There is one :math:`\\gamma`, and one :math:`\\beta_0`. The groups are the rows of the second
regression: the more of them, the better it is known.
"""

# %%
# One more column of X, with the same value in all rows of a group: the model sees that it
# varies between groups only.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from skmixed import FixedEffectsRegressor, RandomInterceptRegressor
from skmixed.datasets import load_hsb, load_mep_staff
from skmixed.inference import compare_slopes
from skmixed.inspection import VarianceDisplay
from skmixed.preprocessing import WithinBetween

X, y, nationality = load_mep_staff(return_X_y=True)
X, staff = X.rename(columns={"x": "PartySize", "z": "ElectoralSystem"}), y.rename("Staff")
X = X[["PartySize", "ElectoralSystem"]]
without = RandomInterceptRegressor().fit(X[["PartySize"]], staff, groups=nationality)
model = RandomInterceptRegressor().fit(X, staff, groups=nationality)
print(model.summary())

# %%
# The output is read as before, and looks the same. The intercept is now the level of an average
# nationality with system 0, and the coefficient of ``ElectoralSystem`` the difference between
# the two systems. Degrees of freedom tell the levels apart: ``PartySize`` is judged by
# thousands of rows, ``ElectoralSystem`` by 28 groups. Its interval reaches from less than -1 to
# more than 1.7: with a mean of some two staff, these data do not exclude a large effect of
# either sign.

# %%
# When the variance between groups rises
# --------------------------------------
# A predictor of the levels should take a part of their variance away. Here the estimate rose,
# and the summary begins by saying so:
print(f"{without.random_effects_cov_.iloc[0, 0]:.3f} -> ", end="")
print(f"{model.random_effects_cov_.iloc[0, 0]:.3f}\n")
print("\n".join(model.summary().remarks))

# %%
# The remark appears whenever a model has features of groups, and compares with the model
# without them: it says how much of the variance they explain, or that it rose. (It is left out
# where the variance between groups is 0.)
#
# Why can it rise? The variance is an estimate that allows for coefficients, as dividing a sum
# of squares by n - p does. A coefficient takes one of the 27 degrees of freedom that 28 groups
# leave; if it explains less than its share, the rest looks larger. How often does that happen
# to a feature that has nothing to do with the levels? Deal the values out to the nationalities
# at random, 200 times:
system = X["ElectoralSystem"].groupby(nationality).first()
rng = np.random.default_rng(0)
t_values, variances = [], []
for _ in range(200):
    dealt = pd.Series(rng.permutation(system), index=system.index)
    columns = X.assign(ElectoralSystem=nationality.map(dealt))
    fit = RandomInterceptRegressor().fit(columns, staff, groups=nationality)
    t_values.append(fit.coef_[1] / np.sqrt(fit.coef_cov_.iloc[2, 2]))
    variances.append(fit.random_effects_cov_.iloc[0, 0])
t_values, variances = np.array(t_values), np.array(variances)
before, after = without.random_effects_cov_.iloc[0, 0], model.random_effects_cov_.iloc[0, 0]
rises = variances > before
print(f"the variance rises in {rises.mean():.0%} of 200 deals")
print(f"|t| is below 1 in {np.mean(abs(t_values) < 1):.0%}, and in all of the former:", end=" ")
print(np.array_equal(rises, abs(t_values) < 1))

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.plot(t_values, variances, "o", markersize=3, color="0.6", label="dealt at random")
own_t = model.coef_[1] / np.sqrt(model.coef_cov_.iloc[2, 2])
ax.plot(own_t, after, "o", color="#D55E00", label="ElectoralSystem")
ax.axhline(before, color="black", linewidth=1, linestyle="--", label="without a predictor")
for t in [-1, 1]:
    ax.axvline(t, color="0.4", linewidth=1, linestyle=":")
ax.set(xlabel="t of the predictor", ylabel="variance between groups")
ax.legend(loc="lower center")

# %%
# The variance rises if \|t\| is below 1, as it mostly is with a predictor of no use, and may be
# with a useful one if groups are too few to show it. By itself a rise is no sign of anything
# complicated between the levels, nor of an effect that is not there.
#
# It may be one if a feature *of the rows* makes the variance rise. Such a feature is paid for
# by the many rows, and not by the groups. ``PartySize`` does that:
null = RandomInterceptRegressor(group_by="Nationality").fit(nationality.to_frame(), staff)
print(f"with no feature {null.random_effects_cov_.iloc[0, 0]:.3f}, with PartySize {before:.3f}")

# %%
# Within nationalities staff falls with ``PartySize``; between them it is the other way round,
# as the last section shows. Where the slope within is taken off, levels are driven apart.

# %%
# The correlation of fixed effects
# --------------------------------
# The summary shows -0.82 for the intercept and ``ElectoralSystem``. It is tempting to read that
# as nationalities with system 1 having low levels. It says nothing about nationalities. It is
# about two *estimates*: the intercept is the level at system 0, the coefficient is the level at
# system 1 less that. If the first comes out too high, the second comes out too low. How
# strongly depends on where 0 is. Code the systems the other way round, or centre the column,
# and see what stays the same:
codings = {
    "as it is": X["ElectoralSystem"],
    "other way round": 1 - X["ElectoralSystem"],
    "centred": X["ElectoralSystem"] - system.mean(),
}
rows = {}
for name, column in codings.items():
    fit = RandomInterceptRegressor().fit(
        X.assign(ElectoralSystem=column), staff, groups=nationality
    )
    rows[name] = {
        "intercept": fit.intercept_,
        "coefficient": fit.coef_[1],
        "std_error": np.sqrt(fit.coef_cov_.iloc[2, 2]),
        "correlation": fit.summary().fixed_effects_correlation.loc[
            "ElectoralSystem", "(Intercept)"
        ],
        "variance": fit.random_effects_cov_.iloc[0, 0],
    }
print(pd.DataFrame(rows).T.round(3).to_string())
print(f"- sqrt(share of nationalities with system 1) = {-np.sqrt(system.mean()):.3f}")

# %%
# The effect, its standard error and the variance do not care; the correlation does, and it can
# be told without looking at ``Staff`` at all: in a regression of 28 equally well known levels
# it is minus the root of the share of ones. To have an intercept whose estimate does not depend
# on that of the coefficient, centre the column.

# %%
# Real data, and a second table
# -----------------------------
# High School and Beyond: scores in mathematics of 7,185 pupils in 160 schools, and the
# socio-economic status ``ses`` of their families. Whether a school is Catholic does not depend
# on the pupil. Such data mostly come in a table of their own, a row for each school, often from
# another source. That is the strength of the second level: data about groups can be added.
hsb = load_hsb().frame
pupils = hsb[["school", "math", "ses"]]
schools = hsb[["school", "catholic"]].drop_duplicates()
merged = pupils.merge(schools, on="school", how="left", validate="many_to_one")
print(len(pupils), "pupils,", len(schools), "schools;", len(merged), "rows after the merge")

# %%
# Two things go wrong with tables from elsewhere, and neither raises an error by itself. Suppose
# that the table has one school twice, with different entries, and lacks another:
flawed = pd.concat([schools.iloc[1:], schools.iloc[[1]].assign(catholic=1)])
inner = pupils.merge(flawed, on="school")
print(len(inner), "rows,", inner["school"].nunique(), "schools")

# %%
# The pupils of the school without a match are gone, those of the other are counted twice.
# ``validate`` refuses duplicated keys; ``how="left"`` keeps all pupils, and ``indicator`` marks
# those without a match. (Between countries the usual cause is spelling: Czechia is not the
# Czech Republic.)
try:
    pupils.merge(flawed, on="school", how="left", validate="many_to_one")
except pd.errors.MergeError as error:
    print(f"MergeError: {str(error).splitlines()[0]}")
repaired = flawed.drop_duplicates("school")  # once you know which entry is right
left = pupils.merge(repaired, on="school", how="left", validate="many_to_one", indicator="from")
lost = left[left["from"] == "left_only"]
print(f"no match for {len(lost)} pupils of school {lost['school'].unique()}")

# %%
# What is missing is then missing visibly, and the model refuses it. Look the value up, or leave
# the school out on purpose. Take y from the merged table as well, so that the rows fit.
try:
    RandomInterceptRegressor(group_by="school").fit(
        left[["school", "ses", "catholic"]], left["math"]
    )
except ValueError as error:
    print(f"ValueError: {str(error).splitlines()[0]}")

# %%
# A predictor that explains something
# -----------------------------------
# With the sound table:
columns = ["school", "ses", "catholic"]
random = RandomInterceptRegressor(group_by="school")
school_model = random.fit(merged[columns], merged["math"])
print(school_model.fixed_effects_frame().round(3).to_string())
print("\n".join(school_model.summary().remarks))
VarianceDisplay.from_estimator(school_model)

# %%
# The bars show where the variance lies, and what is explained at each level. Catholic schools
# have higher scores at the same ``ses``. Whether they are the cause is another question: what
# else differs between schools is a confounder at this level, and levels do not take it out.

# %%
# One feature, two slopes
# -----------------------
# ``ses`` varies within schools, and between the means of schools. Are both slopes the same?
# :class:`~skmixed.preprocessing.WithinBetween` splits a column into the group's mean, which is
# a predictor of the levels, and the deviation from it.
pipeline = make_pipeline(
    WithinBetween("ses", group_by="school"), RandomInterceptRegressor(group_by="school")
).fit(merged[columns], merged["math"])
print(compare_slopes(pipeline))

# %%
# A pupil of a family with a higher ``ses`` than the schoolmates' scores higher; and a school
# whose mean is higher scores higher by more than that. The single slope above is a mixture. The
# slope within is the one of fixed effects, and it is here without giving up ``catholic`` or new
# schools.
fixed = FixedEffectsRegressor().fit(merged[["ses"]], merged["math"], groups=merged["school"])
split = pipeline[-1].fixed_effects_frame()
print(split.round(3).to_string())
print(f"fixed effects: {fixed.coef_[0]:.3f}")

# %%
# The difference between Catholic schools and others is smaller now: part of it was the mean
# ``ses`` of their pupils. In the data on staff it is the other way round. The slopes of
# ``PartySize`` have different signs, and only with nationalities compared at the same mean is
# there a sizeable difference between the systems. A wide interval around 0, as that above, did
# not mean that there is nothing.
table = X.assign(Nationality=nationality)
split = make_pipeline(
    WithinBetween("PartySize", group_by="Nationality"),
    RandomInterceptRegressor(group_by="Nationality"),
).fit(table, staff)
print(split[-1].fixed_effects_frame()[["estimate", "std_error", "lower", "upper"]].round(2))
means = X["PartySize"].groupby(nationality).mean()
print(f"means of PartySize: {means.min():.2f} to {means.max():.2f}")

# %%
# A slope of 29.57 looks like 30 staff. It is for a difference of 1 between the means of two
# nationalities, and none differ by so much: from the smallest mean to the largest it comes to
# some six.
