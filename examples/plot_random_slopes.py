"""
Reaction time under sleep deprivation: every subject has an own line
====================================================================

Eighteen subjects slept three hours a night, and their reaction time was measured every day.
How fast do they slow down on average, and how much do they differ? A random-slope model
estimates the average line and each subject's own, which is drawn towards the average where the
subject's data say little.
"""

# %%
# The model: reaction time depends on the day, and both level and slope vary between subjects,
# ``Reaction ~ Days + (Days | Subject)`` in lme4's words.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import RandomSlopeRegressor
from skmixed.datasets import load_sleepstudy

X, y, subject = load_sleepstudy(return_X_y=True)
model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
print(model.summary())

# %%
# How much slower is each subject after nine days? The population effect is the same for all;
# the group effect is what the subject's own slope adds.
effects = model.marginal_effects("Days", start=0, stop=9).sort_values("total")
print("\nMilliseconds gained from day 0 to day 9, least and most affected subjects:")
print(pd.concat([effects.head(3), effects.tail(3)]).round(1).to_string())

# %%
# Group lines over the data: subjects least affected, in the middle and most affected. Dashed is
# the line of an average subject.
days = pd.DataFrame({"Days": [0, 9]})
order = effects.index
shown = [*order[:4], *order[7:11], *order[-4:]]
lines = {label: model.predict(days, groups=[label, label]) for label in shown}
colors = dict(zip(shown, plt.colormaps["viridis"](np.linspace(0, 0.85, 12)), strict=True))
figure, ax = plt.subplots(figsize=(8, 5.2), layout="constrained")
for label, line in lines.items():
    own = subject == label
    ax.plot(X.loc[own, "Days"], y[own], "o", color=colors[label], markersize=3, alpha=0.6)
    ax.plot(days["Days"], line, color=colors[label], linewidth=1.5)

# labels at the ends of the lines, pushed up where they would overlap
by_height = sorted(shown, key=lambda label: lines[label][-1])
steps = 9.0 * np.arange(len(by_height))
heights = np.maximum.accumulate([lines[label][-1] for label in by_height] - steps) + steps
for label, height in zip(by_height, heights, strict=True):
    ax.annotate(str(label), (9.08, height), color=colors[label], va="center", fontsize=8)

population = model.predict_population(days)
ax.plot(days["Days"], population, "--", color="black", linewidth=2, label="average subject")
ax.set(
    xlabel="days of sleep deprivation",
    ylabel="reaction time (ms)",
    title="Twelve subjects, each with an own line",
    xlim=(-0.3, 9.7),
)
ax.legend(frameon=False, loc="upper left")
picture = Path("random_slopes.png")
figure.savefig(picture, dpi=120)
print(f"\nPicture saved as {picture}")
