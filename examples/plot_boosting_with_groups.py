"""
Boosting with groups: what to do with the doctor?
=================================================

Gradient boosting finds bends and interactions by itself, but a column of 360 doctors is not for
it. Left out, their differences are lost. `TargetEncoder` replaces each doctor by the mean of y
of their patients, shrunken, which holds the patients, too. Two things are better:
`RandomEffectEncoder` replaces the doctor by the effect *given the other columns*, and
`MixedEffectsRegressor` puts random effects around the boosting. Beside them stand two packages
for the same job, MERF and GPBoost.
"""

# %%
# Simulated stays in hospital, so that the truth is known. Days depend on severity, age and
# delay by bends and an interaction, and on the doctor: the skilled need fewer, and habits
# matter, too. In one world patients come at random; in the other the hard cases are sent to
# the skilled. Doctors have 2, 4, 8, ... or 64 patients in training. Tested are 20 other
# patients of each, and 10 of each of 100 doctors who are new.
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from skmixed import MixedEffectsRegressor
from skmixed.preprocessing import RandomEffectEncoder

SIZES = 2 ** np.arange(1, 7)
EACH, NEW = 60, 100  # doctors of each size, and new ones
SEEDS = range(3)
WORLDS = {
    "at random": 0.0,
    "hard cases to the skilled": 0.7,
}  # correlation of severity and skill
FEATURES = ["severity", "age", "delay"]
COLUMNS = ["known", "new", "seconds"]


def draw(correlation, seed):
    rng = np.random.default_rng(seed)
    n_known = EACH * len(SIZES)
    skill, habit = rng.normal(size=(2, n_known + NEW))
    effect = -skill + 0.7 * habit

    def patients(doctor):
        n = len(doctor)
        rest = np.sqrt(1 - correlation**2) * rng.normal(size=n)
        severity = correlation * skill[doctor] + rest
        age, delay = rng.uniform(-2, 2, n), rng.uniform(0, 2, n)
        days = 2 * severity + 0.5 * severity**2 + np.sin(2 * age) + delay * (age > 0)
        days += effect[doctor] + rng.normal(size=n)
        columns = {"severity": severity, "age": age, "delay": delay, "doctor": doctor}
        return pd.DataFrame(columns), days

    known = np.arange(n_known)
    return (
        patients(np.repeat(known, np.repeat(SIZES, EACH))),
        patients(np.repeat(known, 20)),
        patients(np.repeat(n_known + np.arange(NEW), 10)),
    )


# %%
# The models; all of them hand the same boosting their columns.
def boosting():
    return HistGradientBoostingRegressor(early_stopping=False, random_state=0)


def encode(encoder):
    columns = make_column_transformer((encoder, ["doctor"]), remainder="passthrough")
    return make_pipeline(columns, boosting())


MODELS = {
    "without doctors": encode("drop"),
    "TargetEncoder": encode(TargetEncoder(cv=KFold(5, shuffle=True, random_state=0))),
    "RandomEffectEncoder": make_pipeline(
        RandomEffectEncoder("doctor", random_state=0), boosting()
    ),
    "MixedEffectsRegressor": MixedEffectsRegressor(
        boosting(), group_by="doctor", random_state=0
    ),
}


def measure(fit, correlation):
    """Error by rows of the doctor in training, error of new doctors, and CPU seconds to fit."""
    found = []
    for seed in SEEDS:
        train, known, new = draw(correlation, seed)
        start = time.process_time()
        predict = fit(*train)
        seconds = time.process_time() - start
        squares = (known[1] - predict(known[0])) ** 2
        by_size = np.sqrt(squares.reshape(len(SIZES), -1).mean(axis=1))
        all_known = np.sqrt(squares.mean())
        all_new = root_mean_squared_error(new[1], predict(new[0]))
        found.append([*by_size, all_known, all_new, seconds])
    return pd.Series(np.mean(found, axis=0), [*SIZES, *COLUMNS])


def fit_with(model):
    return lambda X, y: model.fit(X, y).predict


errors = {
    (world, name): measure(fit_with(model), correlation)
    for world, correlation in WORLDS.items()
    for name, model in MODELS.items()
}

# %%
# MERF and GPBoost, measured on the same data by ``tests/calibration/rivals_of_boosting.py``
# (November 2026): merf 1.0 with 20 iterations around the same boosting, gpboost 1.8.0 with 100
# trees of 31 leaves, the two as their packages leave them otherwise.
RIVALS = {
    ("at random", "MERF"): [1.182, 1.120, 1.066, 1.066, 1.052, 1.048, 1.090, 1.614, 11.9],
    ("at random", "GPBoost"): [1.180, 1.112, 1.060, 1.060, 1.047, 1.040, 1.084, 1.606, 0.1],
    ("hard cases to the skilled", "MERF"): [
        *[1.179, 1.122, 1.058, 1.062, 1.033, 1.039, 1.084, 1.586, 12.8],
    ],
    ("hard cases to the skilled", "GPBoost"): [
        *[1.180, 1.114, 1.062, 1.068, 1.036, 1.038, 1.084, 1.549, 0.1],
    ],
}
table = pd.concat([pd.DataFrame(errors).T, pd.DataFrame(RIVALS, index=[*SIZES, *COLUMNS]).T])
table = table.sort_index(level=0, sort_remaining=False, kind="stable")
print(table.to_string(float_format="{:.2f}".format))

# %%
# The error of new patients, by how many the doctor had in training; those of new doctors stand
# at "none". No model can get below 1, the noise.
STYLE = {
    "without doctors": {"color": "0.6", "marker": "s"},
    "TargetEncoder": {"color": "#D55E00", "marker": "^"},
    "RandomEffectEncoder": {"color": "#56B4E9", "marker": "o"},
    "MixedEffectsRegressor": {"color": "#0072B2", "marker": "o"},
    "MERF": {"color": "0.2", "marker": "x", "linestyle": "none", "markersize": 9},
    "GPBoost": {"color": "0.2", "marker": "+", "linestyle": "none", "markersize": 11},
}
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.6), sharey=True, layout="constrained")
for ax, (world, errors_there) in zip(axes, table.groupby(level=0), strict=True):
    for name, style in STYLE.items():
        of_model = errors_there.loc[(world, name)]
        ax.plot(SIZES, of_model[SIZES], label=name, **style)
        ax.plot([1], of_model["new"], **style)
    ax.axhline(1, color="0.8", linewidth=1, zorder=0)
    ax.axvline(np.sqrt(2), color="0.8", linewidth=1, linestyle=":")
    ax.set_xscale("log", base=2)
    ax.set_xticks([1, *SIZES], ["none", *map(str, SIZES)])
    ax.minorticks_off()
    ax.set_title(f"Patients: {world}", loc="left")
    ax.set_xlabel("patients of the doctor in training")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("RMSE of new patients")
axes[0].text(2, 1, "the truth", color="0.55", ha="left", va="bottom")
figure.legend(
    *axes[0].get_legend_handles_labels(), frameon=False, ncols=3, loc="outside lower center"
)

# %%
# What to choose:
#
# - **Doctors that come again, and a numeric y: random effects around the boosting.** With 2
#   patients of a doctor the error is 1.18 or 1.19, of `TargetEncoder` 1.5 or 1.6; with 64
#   patients 1.04 or 1.05 beside 1.09, or 1.36 where hard cases go to the skilled.
#   `MixedEffectsRegressor`, MERF and GPBoost are within 1% of each other: they are after the
#   same model. GPBoost is the fastest by ten times, MERF takes ten times as long as ours, which
#   takes any regressor, and has intervals and `update_groups`.
# - **New doctors whose patients say something of them:** `MixedEffectsRegressor` looks at the
#   mean severity of the doctor's patients, ten of whom are predicted at once here: 1.25, where
#   the others have 1.45 to 1.59. It draws a line through the means, as skill is in this
#   simulation; along a curve it would help less, or not. Where patients come at random no
#   model knows anything of a new doctor, and all are within 2%.
# - **A classifier, a longer pipeline, one fit instead of six:** `RandomEffectEncoder`. Its
#   error is 19% below that of `TargetEncoder` where hard cases go to the skilled, and 12%
#   where they do not; 5% and 6% above that of random effects around the boosting, whose trees
#   need not learn what an effect is for. Not for new doctors where hard cases go to the
#   skilled: 1.55, worse than without doctors. It takes them for average doctors, which they
#   are not.
# - **Always many patients of each doctor, who are sent at random:** any of them will do.

# %%
path = Path("boosting_with_groups.png")
figure.savefig(path, dpi=120)
print(f"Picture saved as {path.resolve()}")
