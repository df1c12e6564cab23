"""
Where the variance lies, and what the residuals look like
=========================================================

Two questions to a fitted model: how much of the variance between and within groups do the
features explain, and does the rest look as the model assumes?
"""

# %%
# Mathematics scores of pupils in 160 schools. Eighteen percent of the variance lies between
# schools. The features explain most of that: schools differ in the status of their pupils.
# Within schools they explain little.
from pathlib import Path

from skmixed import RandomSlopeRegressor
from skmixed.datasets import load_hsb
from skmixed.inspection import ResidualsDisplay, VarianceDisplay

X, y, school = load_hsb(return_X_y=True)
model = RandomSlopeRegressor("ses").fit(X, y, groups=school)
display = VarianceDisplay.from_estimator(model)
print("Variances (squared points):")
print(display.components.T.round(2).to_string())

# %%
# Residuals and random effects. The slanting upper edge against the fitted values and the short
# upper tail come from the test: nobody can score more than 25 points. The random effects agree
# with a normal distribution, up to a school or two with a low level.
residuals = ResidualsDisplay.from_estimator(model, X, y, groups=school, kind="panels")
print(f"\nHighest score: {y.max():.1f} points")

# %%
# Predictions of any kind can be looked at likewise. Those of the population line leave the
# school out, and the schools' medians spread more than above.
ResidualsDisplay.from_predictions(y, model.predict_population(X), groups=school, kind="groups")

# %%
picture = Path("variance_and_residuals.png")
residuals.figure_.savefig(picture, dpi=120)
print(f"\nPicture saved as {picture}")
