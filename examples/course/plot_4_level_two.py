"""
4. Features of groups
=====================

So far nothing was said about why nationalities differ. A feature that is constant within
groups, here ``z``, may explain it. It is a regression at the second level, in the same model:

.. math::

   y_{ij} = \\beta_0 + \\beta_1 x_{ij} + \\gamma z_j + u_j + e_{ij}

"""

# %%
# One more column of X, with the same value in all rows of a group.
import pandas as pd
from sklearn.pipeline import make_pipeline

from skmixed import FixedEffectsRegressor, RandomInterceptRegressor
from skmixed.datasets import load_mep_staff
from skmixed.inference import compare_slopes
from skmixed.inspection import VarianceDisplay
from skmixed.preprocessing import WithinBetween

X, y, nationality = load_mep_staff(return_X_y=True)
without = RandomInterceptRegressor().fit(X[["x"]], y, groups=nationality)
model = RandomInterceptRegressor().fit(X[["x", "z"]], y, groups=nationality)
print(model.fixed_effects_frame().round(4).to_string())

# %%
# Degrees of freedom tell the levels apart: ``x`` is judged by thousands of rows, ``z`` by 28
# groups. Its effect of 0.23 is far smaller than its standard error.

# %%
# The variance between groups rises
# ---------------------------------
# In ordinary regression a feature can only lower the residual sum of squares. Here the
# estimated variance between groups went up:
table = pd.DataFrame(
    {name: m.random_effects_cov_.iloc[0] for name, m in {"x": without, "x, z": model}.items()}
)
print(table.round(3).to_string())

# %%
# Nothing is wrong. The variance is an estimate that allows for coefficients, as dividing by n -
# p does. ``z`` takes one of the 27 degrees of freedom that 28 groups leave, and explains less
# than a column of noise would, so the rest, spread over 26, comes out larger. The summary says
# so, too. A feature of groups that explains something lowers it.
print("\n".join(model.summary().remarks))

# %%
# Where the variance lies, and what is explained at each level.
VarianceDisplay.from_estimator(model)

# %%
# One feature, two slopes
# -----------------------
# ``x`` varies within nationalities and between their means. Are both slopes the same? Split it
# into the group mean and the deviation from it.
table = X[["x", "z"]].assign(Nationality=nationality)
pipeline = make_pipeline(
    WithinBetween("x", group_by="Nationality"), RandomInterceptRegressor(group_by="Nationality")
).fit(table, y)
print(compare_slopes(pipeline))

# %%
# They differ wildly in these made-up data. The slope of ``x`` in the models above is a mixture,
# close to the slope within, since groups are large and tell much more about it. The slope
# within is what fixed effects estimate, and it is here without giving up ``z`` or new groups.
fixed = FixedEffectsRegressor().fit(X[["x"]], y, groups=nationality)
print(f"mixture {model.coef_[0]:.4f}, within {pipeline[-1].coef_[0]:.4f}", end=", ")
print(f"fixed effects {fixed.coef_[0]:.4f}")
