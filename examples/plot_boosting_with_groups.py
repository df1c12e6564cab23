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
# Simulated stays in hospital, so that the truth is known. Days depend on severity, age and delay
# by bends and an interaction, and on the doctor: half of the skill shows in shorter stays, other
# habits matter, too. In one world patients come to doctors at random; in the other the hard
# cases are sent to the skilled. Doctors have 2, 4, 8, ... or 64 patients in training. Tested are
# 20 other patients of each, and 10 of each of 100 doctors who are new.
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from skmixed import MixedEffectsRegressor
from skmixed.preprocessing import RandomEffectEncoder

SIZES = 2 ** np.arange(1, 7)
EACH, NEW = 60, 100  # doctors of each size, and new ones
SEEDS = range(3)
WORLDS = {"at random": 0.0, "hard cases to the skilled": 0.7}  # correlation of severity and skill
FEATURES = ["severity", "age", "delay"]


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
    "TargetEncoder": encode(TargetEncoder(random_state=0)),
    "RandomEffectEncoder": make_pipeline(
        RandomEffectEncoder("doctor", random_state=0), boosting()
    ),
    "MixedEffectsRegressor": MixedEffectsRegressor(
        boosting(), group_by="doctor", random_state=0
    ),
}


def measure(fit, correlation):
    """Error by rows of the doctor in training, error of new doctors, and seconds to fit."""
    found = []
    for seed in SEEDS:
        train, known, new = draw(correlation, seed)
        start = time.perf_counter()
        predict = fit(*train)
        seconds = time.perf_counter() - start
        squares = (known[1] - predict(known[0])) ** 2
        by_size = np.sqrt(squares.reshape(len(SIZES), -1).mean(axis=1))
        all_known = np.sqrt(squares.mean())
        all_new = root_mean_squared_error(new[1], predict(new[0]))
        found.append([*by_size, all_known, all_new, seconds])
    return pd.Series(np.mean(found, axis=0), [*SIZES, "known", "new", "seconds"])


def fit_with(model):
    return lambda X, y: model.fit(X, y).predict


errors = {
    (world, name): measure(fit_with(model), correlation)
    for world, correlation in WORLDS.items()
    for name, model in MODELS.items()
}
