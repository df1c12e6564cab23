"""
Which schools differ, and by how much?
======================================

Random effects are estimates, so they are shown with intervals, and together they should look
like draws from the normal distribution that the model assumes.
"""

# %%
# 160 schools, each with its own level. Sorted with their intervals, the effects make a
# "caterpillar": schools whose interval does not hold 0 are dark. With 160 intervals of 95% a
# few are dark by chance.
from pathlib import Path

import matplotlib.pyplot as plt

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb, load_sleepstudy
from skmixed.inspection import RandomEffectsDisplay

X, y, school = load_hsb(return_X_y=True)
schools = RandomInterceptRegressor().fit(X, y, groups=school)
display = RandomEffectsDisplay.from_estimator(schools)
display.ax_.set_xlabel("school effect (points) with 95% interval")
frame = display.effects
clear = (frame["lower"] > 0) | (frame["upper"] < 0)
print(f"{clear.sum()} of {len(frame)} schools differ from an average one:")
print(frame[clear].sort_values("estimate").round(2).to_string(index=False))

# %%
# Up to forty groups are labelled. With several random effects all panels have the order of the
# first one, so that a subject is a row: who starts slowly does not always slow down most.
X, y, subject = load_sleepstudy(return_X_y=True)
subjects = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
RandomEffectsDisplay.from_estimator(subjects)

# %%
# The distribution of the school effects, and the normal density with the estimated variance.
# Effects are shrunk, so that their histogram is a little narrower.
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
RandomEffectsDisplay.from_estimator(schools, kind="distribution", ax=ax)
ax.set_xlabel("school effect (points)")

# %%
picture = Path("random_effects.png")
display.figure_.savefig(picture, dpi=120)
print(f"\nPicture saved as {picture}")
