"""
Every subject an own line
=========================

The line of an average subject, and how far single subjects depart from it.
"""

# %%
# Reaction time against days of sleep deprivation. By default three subjects are highlighted:
# those with the lowest, the middle and the highest slope.
from pathlib import Path

from skmixed import RandomSlopeRegressor
from skmixed.datasets import load_hsb, load_sleepstudy
from skmixed.inspection import GroupLinesDisplay

X, y, subject = load_sleepstudy(return_X_y=True)
model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
display = GroupLinesDisplay.from_estimator(model, X, y, groups=subject, column="Days")
print("Lines of the highlighted subjects:")
print(display.lines.loc[list(display.highlights_)].round(1).to_string())

# %%
# The same display, drawn as a small panel for each of the 18 subjects.
display.plot(kind="panels", highlight=18)
panels = display.figure_

# %%
# With several features the others are held at their mean, and the points are what y would then
# be. Here the line of each of 160 schools runs along the socio-economic status of its pupils;
# schools can be highlighted by name.
X, y, school = load_hsb(return_X_y=True)
schools = RandomSlopeRegressor("ses").fit(X, y, groups=school)
GroupLinesDisplay.from_estimator(
    schools, X, y, groups=school, column="ses", highlight=[2655, 8367]
)

# %%
picture = Path("group_lines.png")
panels.savefig(picture, dpi=120)
print(f"\nPicture saved as {picture}")
