"""
Pupils in schools: one level for all, one for each, or something in between?
============================================================================

7,185 pupils in 160 schools took a mathematics test. How much do schools differ, and which
model predicts best: one that ignores schools, one with a coefficient for each school, or one
in which school effects are drawn from a common distribution?
"""

# %%
# The data: pupils' features, school-level features, and the school itself.
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skmixed import RandomInterceptRegressor
from skmixed.datasets import load_hsb

frame = load_hsb().frame
X, y = frame.drop(columns="math"), frame["math"]

# %%
# Fit and read. ``group_by`` names the column of X that holds the groups.
model = RandomInterceptRegressor(group_by="school").fit(X, y)
print(model.summary())

# %%
# School effects: how far each school lies from what its pupils would lead one to expect.
effects = model.random_effects_["(Intercept)"].sort_values()
print("\nLowest and highest school effects:")
print(pd.concat([effects.head(3), effects.tail(3)]).round(2).to_string())

# %%
# Which model predicts best? Pooled regression leaves the school out; fixed effects give it a
# dummy variable for each school. New pupils in known schools and pupils of new schools are two
# different questions, so they get two cross-validations.
others = [name for name in X.columns if name != "school"]
models = {
    "pooled": make_pipeline(
        make_column_transformer(("passthrough", others)), LinearRegression()
    ),
    "fixed effects": make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["school"]), remainder="passthrough"
        ),
        LinearRegression(),
    ),
    "random intercept": RandomInterceptRegressor(group_by="school"),
}
new_pupils = KFold(10, shuffle=True, random_state=0).split(X)
new_schools = GroupKFold(10, shuffle=True, random_state=0).split(X, y, groups=X["school"])
regimes = {"new pupils, known schools": list(new_pupils), "new schools": list(new_schools)}
scoring = {"R2": "r2", "RMSE": "neg_root_mean_squared_error"}
rows = {}
for regime, splits in regimes.items():
    for name, estimator in models.items():
        scores = cross_validate(estimator, X, y, cv=splits, scoring=scoring)
        rows[regime, name] = {
            "R2": scores["test_R2"].mean(),
            "RMSE": -scores["test_RMSE"].mean(),
        }
table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["test rows", "model"])

# %%
# Pooling: a small school's effect is drawn towards zero more than a large one's.
no_pooling = (y - model.predict_population(X)).groupby(X["school"]).mean()
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
axes[0].plot(range(len(effects)), effects, ".", markersize=4)
axes[0].axhline(0, color="0.6", linewidth=1)
axes[0].set(xlabel="school, in order of its effect", ylabel="school effect (points)")
axes[0].set_title("How much 160 schools differ")
points = axes[1].scatter(
    no_pooling, model.random_effects_["(Intercept)"], c=model.group_sizes_, s=16, cmap="viridis"
)
axes[1].axline((0, 0), slope=1, color="0.6", linewidth=1, label="no shrinkage")
axes[1].legend(frameon=False)
axes[1].set(xlabel="mean residual of the school's pupils", ylabel="school effect (points)")
axes[1].set_title("Small schools are shrunk more")
figure.colorbar(points, label="pupils in the school")
picture = Path("school_effects.png")
figure.savefig(picture, dpi=120)
print(f"\nPicture saved as {picture}")

# %%
# The result. Where schools are known, shrunken effects beat both extremes. Of new schools no
# model knows more than the features tell, and the three agree.
print("\nCross-validated in 10 folds:")
print(table.round(3).to_string())
