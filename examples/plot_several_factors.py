"""
Pupils who change teachers
==========================

A mark belongs to a pupil and to a teacher, and both differ. Over the years pupils meet several
teachers, and teachers many pupils, so that neither lies within the other: the two factors are
crossed. A model with both tells good teachers from teachers of good pupils.
"""

# %%
# Simulated, so that the truth is known: 400 pupils are tested in each of five years. A pupil
# changes the teacher in about every second year, and good pupils tend to be sent to the same
# teachers: their level plays a part in which one they get.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import RandomInterceptRegressor, compare_pooling, describe_groups
from skmixed.inspection import VarianceDisplay

N_PUPILS, N_TEACHERS, N_YEARS = 400, 40, 5
SD = {"pupil": 6.0, "teacher": 3.0, "test": 5.0}
rng = np.random.default_rng(0)
truth = {
    "pupil": rng.normal(scale=SD["pupil"], size=N_PUPILS),
    "teacher": rng.normal(scale=SD["teacher"], size=N_TEACHERS),
}


def choose_teacher():
    """Choose the n-th teacher for a pupil, the larger n, the better the pupil mostly is."""
    place = truth["pupil"] + rng.normal(scale=1.5 * SD["pupil"], size=N_PUPILS)
    return place.argsort().argsort() * N_TEACHERS // N_PUPILS


years = [choose_teacher()]
for _ in range(N_YEARS - 1):
    years.append(np.where(rng.random(N_PUPILS) < 0.5, choose_teacher(), years[-1]))
X = pd.DataFrame(
    {
        "year": np.repeat(np.arange(N_YEARS), N_PUPILS),
        "practice": rng.gamma(4.0, 0.5, size=N_YEARS * N_PUPILS),
        "pupil": np.tile(np.arange(N_PUPILS), N_YEARS),
        "teacher": np.concatenate(years),
    }
)
score = 50 + 3 * X["year"] + 2 * X["practice"] + rng.normal(scale=SD["test"], size=len(X))
score += truth["pupil"][X["pupil"]] + truth["teacher"][X["teacher"]]
score = score.rename("score")

# %%
# What the data can tell: how many rows there are of each pupil and teacher, and whether they
# meet others, without which the two could not be told apart.
description = describe_groups(X, score, group_by=["pupil", "teacher"])
print(description.title)
for sentence in description.advice["How the factors lie to one another"]:
    print(sentence)
print(description.variance_components[["share", "lower", "upper"]].round(2).to_string())

# %%
# The model, which lme4 writes ``score ~ year + practice + (1 | pupil) + (1 | teacher)``. It
# takes the effects of pupils and teachers for independent. They are, but who meets whom is not
# by chance here, so a little of what pupils differ in is taken for their teachers': with many
# such data sets the standard deviation of pupils is 5.5 on average, and that of teachers 3.1.
model = RandomInterceptRegressor(group_by=["pupil", "teacher"]).fit(X, score)
print(model.summary())
for name, cov in model.random_effects_cov_.items():
    own = truth[name].std()
    print(f"{name}s: standard deviation {cov.iloc[0, 0] ** 0.5:.1f}, of these {own:.1f}")

# %%
# Where the variance of marks lies: pupils differ more than anything else.
display = VarianceDisplay.from_estimator(model)
print(display.components.round(1).T.to_string())

# %%
# Both sets of effects on one scale, sorted, with intervals and what they were simulated as. A
# pupil has five tests and a teacher fifty, so teachers are known better, though not as well as
# by fifty tests that were not of pupils who differ.
effects = model.random_effects_frame()
figure, axes = plt.subplots(
    1, 3, figsize=(12, 4.2), layout="constrained", width_ratios=[2, 1, 1]
)
for ax, (name, own) in zip(axes, truth.items(), strict=False):
    table = effects[effects["factor"] == name].sort_values("estimate")
    place = np.arange(len(table))
    ax.vlines(place, table["lower"], table["upper"], color="0.8", linewidth=1)
    ax.plot(place, own[table["group"]], ".", color="C1", markersize=4, label="truth")
    ax.plot(place, table["estimate"], ".", color="C0", markersize=4, label="estimate")
    ax.axhline(0, color="0.4", linewidth=0.8)
    ax.set(xlabel=f"{len(table)} {name}s, sorted", ylabel="points", title=f"Effects of {name}s")
    ax.set_xticks([])
    held = table["group"].map(pd.Series(own)).between(table["lower"], table["upper"])
    error = table["std_error"].mean()
    print(f"{name}s: standard error {error:.1f}; {held.mean():.0%} of intervals hold the truth")
axes[1].sharey(axes[0])
axes[0].legend(frameon=False, loc="upper left")

# %%
# Without pupils in the model their level counts as their teachers'. So the effects of teachers
# are wide of the mark, and the variance between teachers is twice what it is.
alone = RandomInterceptRegressor(group_by="teacher").fit(X.drop(columns="pupil"), score)
found = {
    "with pupils": model.random_effects_["teacher"]["(Intercept)"],
    "without": alone.random_effects_["(Intercept)"],
}
sd = alone.random_effects_cov_.iloc[0, 0] ** 0.5
print(f"without pupils: standard deviation of teachers {sd:.1f}")
ends = np.array([-1, 1]) * 1.05 * max(abs(values).max() for values in found.values())
axes[2].plot(ends, ends, color="0.4", linewidth=0.8)
for (label, values), marker in zip(found.items(), "ox", strict=True):
    error = np.sqrt(np.mean((values - truth["teacher"]) ** 2))
    print(f"effects of teachers, {label}: root mean squared error {error:.1f}")
    axes[2].plot(truth["teacher"], values, marker, markersize=4, label=label)
axes[2].set(xlabel="truth", ylabel="estimate", title="Teachers, two models")
axes[2].legend(frameon=False, title="model")

# %%
# Is either factor needed? Models are compared by AIC; fitted by maximum likelihood it is on
# one scale for whatever differs between them.
aic = {}
for factors in (["pupil", "teacher"], ["pupil"], ["teacher"]):
    columns = ["year", "practice", *factors]
    fit = RandomInterceptRegressor(group_by=factors, method="ml").fit(X[columns], score)
    aic[" + ".join(factors)] = fit.aic_
print(pd.Series(aic, name="AIC").round(1).to_string())
assert min(aic, key=aic.get) == "pupil + teacher"

# %%
# Predictions of next year's test. A pupil or a teacher who is new adds nothing to the mean and
# the whole variance to the uncertainty; a pupil and a teacher who never met are no problem.
best = model.random_effects_["teacher"]["(Intercept)"].idxmax()
stranger = X.loc[X["teacher"] != best, "pupil"].iloc[0]
rows = pd.DataFrame(
    {
        "year": N_YEARS,
        "practice": 2.0,
        "pupil": [stranger, stranger, -1, -1],
        "teacher": [best, -1, best, -1],
    },
    index=["both known", "new teacher", "new pupil", "both new"],
)
mean, std = model.predict(rows, return_std=True)
print(rows[[]].assign(mean=mean, std=std).round(1).to_string())

# %%
# How well does each model predict, and for whom? The pupil of a test may be new, the teacher,
# or both. Each model is tested in these cases on the same rows. Whose level is known counts:
# without the pupil's more is lost than without the teacher's, and where both are new no model
# knows more than the line. For new pupils the model of teachers alone is better than that of
# both, since good pupils are sent to the same teachers: with whom a pupil learns tells of the
# pupil, too, which a model that keeps the two apart does not use. The picture shows how far
# each model is from the best, with one standard error over pupils as well as teachers.
comparison = compare_pooling(
    X, score, group_by=["pupil", "teacher"], n_splits=3, n_repeats=1, random_state=0
)
print(comparison.summary[["rmse", "difference", "std_error"]].round(2).to_string())
print(*comparison.findings, sep="\n")
display = comparison.plot()

# %%
for name, picture in {"several_factors": figure, "both_known_or_new": display.figure_}.items():
    path = Path(f"{name}.png")
    picture.savefig(path, dpi=120)
    print(f"\nPicture saved as {path}")
