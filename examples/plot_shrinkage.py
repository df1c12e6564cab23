"""
No pooling, partial pooling, complete pooling
=============================================

How high is the level of a group of three rows? Its own mean is a poor answer, and so is the
mean of all groups. The model's answer lies between, the nearer to the group's own mean the more
rows it has.
"""

# %%
# 300 simulated groups of very different size. A line goes from what the group's own rows say to
# the model's estimate, the dot; the line at 0 is what all rows together say.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_sleepstudy, make_mixed_regression
from skmixed.inspection import ShrinkageDisplay

X, y, groups, truth = make_mixed_regression(
    n_samples=5_000,
    n_features=1,
    n_groups=300,
    intercept_variance=0.5,
    balanced=False,
    return_truth=True,
    random_state=0,
)
model = RandomInterceptRegressor().fit(X, y, groups=groups)
display = ShrinkageDisplay.from_estimator(model)

# %%
# Here the truth is known. Partial pooling is closer to it where groups are small; in large
# groups it is hardly any pooling.
known = truth.random_effects[model.groups_, 0]
estimates = pd.DataFrame(
    {
        "no pooling": display.own["(Intercept)"],
        "partial pooling": display.partial["(Intercept)"],
        "complete pooling": 0.0,
    }
)
sizes = pd.cut(display.sizes, [0, 3, 10, 30, np.inf], labels=["1-3", "4-10", "11-30", "> 30"])
errors = estimates.sub(known, axis=0).pow(2).groupby(sizes, observed=True).mean().pow(0.5)
print("Root mean squared error of the groups' levels, by rows per group:")
print(errors.round(2).rename_axis("rows").to_string())

# %%
# Slopes are shrunk as well. All subjects of the sleep study have ten rows, so they stand side
# by side, sorted. A dot is an arrow too short to be seen.
X, y, subject = load_sleepstudy(return_X_y=True)
subjects = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
ShrinkageDisplay.from_estimator(subjects, ax=axes)
axes[0].set_title("reaction time on day 0 (ms)", loc="left")
axes[1].set_title("slowing down per day (ms)", loc="left")

# %%
picture = Path("shrinkage.png")
display.figure_.savefig(picture, dpi=120)
print(f"\nPicture saved as {picture}")
