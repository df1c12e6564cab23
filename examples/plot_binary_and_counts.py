"""
Yes or no, and how many
=======================

Tests that find bacteria or not, and numbers of seizures: outcomes that are not normal, of
children and patients who differ from one another. Groups have levels, and slopes, on the scale
of the log odds, or of the logarithm of the mean; predictions are averaged over what is not
known of a group.
"""

# %%
# 50 children, up to five tests each for the bacterium behind inflamed ears, over eleven weeks.
# By lot a child got a drug or a placebo.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomSlopePoissonRegressor,
)
from skmixed.datasets import load_bacteria, load_epilepsy
from skmixed.model_selection import WithinGroupKFold

X, present, child = load_bacteria(return_X_y=True)
X = X[["drug", "week"]]
children = RandomInterceptClassifier().fit(X, present, groups=child)
print(children.summary())

# %%
# Children differ: by a standard deviation of 1.3 in log odds. So the curve of an average child
# is not the share of positive tests among children. The share is the probability averaged over
# all that a child's level may be, and this is what `predict_proba` gives for a new child. Thin
# lines are known children; points are what was found, with one standard error.
weeks = np.linspace(0, 11, 45)


def curve(predict):
    """Mean over children of what is predicted for each week."""
    return [np.mean(predict(X.assign(week=week))) for week in weeks]


children_figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for label in child.unique():
    own = pd.DataFrame({"drug": X.loc[child == label, "drug"].iloc[0], "week": weeks})
    probability = children.predict_proba(own, groups=[label] * len(own))[:, 1]
    ax.plot(weeks, probability, color="0.8", linewidth=1, label="_")
averaged = curve(children.predict_population)
average_child = curve(lambda rows: children.predict_population(rows, average=False))
ax.plot(weeks, average_child, "k--", linewidth=1.5, label="average child")
ax.plot(weeks, averaged, color="C2", linewidth=3, label="averaged over children")
share = (present == "yes").groupby(X["week"]).agg(["mean", "size"])
error = np.sqrt(share["mean"] * (1 - share["mean"]) / share["size"])
ax.errorbar(share.index, share["mean"], error, fmt="o", color="k", label="found")
ax.set(xlabel="week", ylabel="share of positive tests", title="50 children")
ax.legend(frameon=False, loc="lower left")
mean_of = {
    "found": np.mean(present == "yes"),
    "averaged": children.predict_population(X).mean(),
    "average child": children.predict_population(X, average=False).mean(),
}
print("Share of positive tests:", {name: round(float(p), 3) for name, p in mean_of.items()})

# %%
# How well do the probabilities predict? Later tests of known children gain by what is known of
# the child. For new children there is nothing to gain, and nothing is lost either.
frame = X.assign(child=child)
splitters = {
    "known children": WithinGroupKFold(5, shuffle=True, random_state=0),
    "new children": GroupKFold(5, shuffle=True, random_state=0),
}
for name, cv in splitters.items():
    options = {"groups": child, "cv": cv, "scoring": "neg_log_loss"}
    mixed = RandomInterceptClassifier(group_by="child")
    loss = -cross_val_score(mixed, frame, present, **options).mean()
    plain = -cross_val_score(LogisticRegression(C=np.inf), X, present, **options).mean()
    print(f"{name}: log loss {loss:.3f}, of plain logistic regression {plain:.3f}")

# %%
# Seizures of 59 patients in eight weeks before a trial, and in four periods of two weeks during
# it. Rates are what can be compared: seizures a week, each weighted by its weeks, which is what
# an offset of log(weeks) does.
trial = load_epilepsy().frame
before = trial[trial["period"] == 1].assign(seizures=trial["base"], weeks=8, after=0)
rows = pd.concat([before, trial.assign(weeks=2, after=1)])
rows["drug_after"] = rows["drug"] * rows["after"]
columns, rate = ["after", "drug", "drug_after"], rows["seizures"] / rows["weeks"]
given = {"groups": rows["patient"], "sample_weight": rows["weeks"]}
level = RandomInterceptPoissonRegressor().fit(rows[columns], rate, **given)
slopes = RandomSlopePoissonRegressor("after").fit(rows[columns], rate, **given)
for name, model in {"level": level, "level and slope": slopes}.items():
    ratio = model.fixed_effects_frame(ratios=True).loc["drug_after"]
    low, high = ratio["ratio_lower"], ratio["ratio_upper"]
    print(
        f"{name} by patient: with the drug {ratio['rate_ratio']:.2f} times the seizures "
        f"({low:.2f} to {high:.2f}); dispersion {model.dispersion_:.1f}"
    )

# %%
# With a level of their own alone, patients are said to change alike but for the drug. Counts
# vary nearly three times as much as that allows. With a slope by patient, too, the drug is seen
# to help, and its interval says how well this is known. Thin lines are patients: what the model
# makes of their counts. Thick ones are means of new patients.
ends = pd.DataFrame({"after": [0, 1]})
patients_figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained", sharey=True)
for drug, (label, ax) in enumerate(zip(("placebo", "drug"), axes, strict=True)):
    line = ends.assign(drug=drug, drug_after=drug * ends["after"])[columns]
    patients = rows.loc[rows["drug"] == drug, "patient"].unique()
    for patient in patients:
        ax.plot([0, 1], slopes.predict(line, groups=[patient] * 2), color="0.75", linewidth=1)
    ax.plot([0, 1], slopes.predict_population(line), color=f"C{drug}", linewidth=3)
    ax.set(
        yscale="log",
        ylim=(0.3, 60),
        xlim=(-0.15, 1.15),
        title=f"{len(patients)} patients: {label}",
    )
    ax.set_xticks([0, 1], ["before", "during"])
axes[0].set_ylabel("seizures a week")

# %%
for name, figure in {"children": children_figure, "patients": patients_figure}.items():
    picture = Path(f"{name}.png")
    figure.savefig(picture, dpi=120)
    print(f"\nPicture saved as {picture}")
