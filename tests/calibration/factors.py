"""Whether advice on several grouping factors is right: data with a known truth.

``python tests/calibration/factors.py`` draws 100 data sets of each situation and writes
docs/factors_table.md; give another number of data sets as an argument for a look.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from advice import DOCS, as_markdown
from joblib import Parallel, delayed

from skmixed import describe_groups

DATA_SETS = 100


@dataclass(frozen=True)
class Situation:
    """Data with a known truth, and what should be advised for each factor.

    `draw` returns the labels by factor, and the effects that they add to y; `right` has the
    treatments that are right, by factor, and `says` what some sentence must say.
    """

    name: str
    draw: Callable
    right: dict[str, tuple[str, ...]]
    says: str = ""
    never: str = "join their labels"

    def data(self, seed):
        rng = np.random.default_rng([list(SITUATIONS).index(self), seed])
        labels, effects = self.draw(rng)
        frame = pd.DataFrame(labels)
        X = frame.assign(x=rng.normal(size=len(frame)))
        y = 0.5 * X["x"] + effects + rng.normal(size=len(frame))
        return X, y.rename("y"), list(labels)


def effects(rng, codes, sd):
    """Effects of groups, by row."""
    return sd * rng.normal(size=codes.max() + 1)[codes]


def crossed(n, sizes, sds, *, start=0):
    """Every row draws its group of each factor."""

    def draw(rng):
        codes = [rng.integers(0, size, n) for size in sizes]
        y = sum(effects(rng, code, sd) for code, sd in zip(codes, sds, strict=True))
        return {name: code + start for name, code in zip("abc", codes, strict=False)}, y

    return draw


def classes(rng, label, *, n_schools=15, n_classes=3, size=10, sds=(0.7, 0.7)):
    """Classes in schools, whose labels are made of school and number."""
    school = np.repeat(np.arange(n_schools), n_classes * size)
    number = np.tile(np.repeat(np.arange(n_classes), size), n_schools)
    y = effects(rng, school, sds[0]) + effects(rng, school * n_classes + number, sds[1])
    return {"school": school, "class": label(school, number)}, y


def movers(rng):
    """Workers in firms, of whom few change."""
    worker = np.repeat(np.arange(200), 5)
    firm = (worker // 10).copy()
    moves = rng.choice(200, 10, replace=False)
    rows = moves * 5 + 4
    firm[rows] = (firm[rows] + 1) % 20
    return {"worker": worker, "firm": firm}, effects(rng, worker, 0.7) + effects(rng, firm, 0.7)


def interaction(rng):
    labels, y = crossed(1200, (20, 10), (0.7, 0.7))(rng)
    return labels, y + effects(rng, labels["a"] * 10 + labels["b"], 0.7)


def twice(rng):
    labels, y = crossed(600, (20, 10), (0.7, 0.7))(rng)
    return {**labels, "c": 100 - labels["a"]}, y


def row_by_row(rng):
    labels, y = crossed(600, (20, 10), (0.7, 0.7))(rng)
    return {**labels, "row": np.arange(600)}, y


RANDOM, BOTH = ("random",), {"a": ("random",), "b": ("random",)}
SITUATIONS = [
    Situation("crossed: 20 and 10 groups, 600 rows", crossed(600, (20, 10), (0.7, 0.7)), BOTH),
    Situation("crossed: 8 and 8 groups, 100 rows", crossed(100, (8, 8), (0.7, 0.7)), BOTH),
    Situation(
        "crossed, numbered 1, 2, ... in both", crossed(600, (20, 8), (0.7, 0.7), start=1), BOTH,
    ),
    Situation(
        "the second without effect, 600 rows", crossed(600, (20, 10), (0.7, 0.0)),
        {"a": RANDOM, "b": ("random", "no matter")},
    ),
    Situation(
        "the second without effect, 6,000 rows", crossed(6000, (20, 10), (0.7, 0.0)),
        {"a": RANDOM, "b": ("random", "no matter")},
    ),
    Situation(
        "the second of 3 groups", crossed(600, (20, 3), (0.7, 0.7)),
        {"a": RANDOM, "b": ("fixed",)},
    ),
    Situation(
        "nested: 3 classes in 15 schools",
        lambda rng: classes(rng, lambda school, number: school * 3 + number),
        {"school": RANDOM, "class": RANDOM},
    ),
    Situation(
        "classes numbered anew in each school",
        lambda rng: classes(rng, lambda school, number: number + 1),
        {"school": RANDOM, "class": ("join",)},
    ),
    Situation(
        "classes called a, b, c in each school",
        lambda rng: classes(rng, lambda school, number: np.array(list("abc"))[number]),
        {"school": RANDOM, "class": ("join",)},
    ),
    Situation(
        "crossed, with effects of pairs as well", interaction, BOTH, says="join their labels",
        never="join its labels",
    ),
    Situation(
        "10 of 200 workers change firms", movers, {"worker": RANDOM, "firm": RANDOM},
        says="weakly connected",
    ),
    Situation("a factor twice, by other labels", twice, {**BOTH, "c": ("leave out",)}),
    Situation("a factor of one row each", row_by_row, {**BOTH, "row": ("leave out",)}),
]  # fmt: skip


def advised(situation, seed):
    """What is advised on one data set."""
    X, y, factors = situation.data(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        description = describe_groups(X, y, group_by=factors)
    text = " ".join(sum(description.advice.values(), ()))
    treatment = description.treatment
    right = all(treatment[name] in of for name, of in situation.right.items())
    return {
        "advice": ", ".join(treatment),
        "right": right and situation.says in text and situation.never not in text,
        "cannot tell": "cannot tell:" in text,
    }


def factors_table(n_data_sets):
    """The most frequent advice, and how often it is right."""
    rows = {}
    for situation in SITUATIONS:
        jobs = (delayed(advised)(situation, seed) for seed in range(n_data_sets))
        found = pd.DataFrame(Parallel(n_jobs=2)(jobs))
        usual = found["advice"].value_counts()
        rows[situation.name] = {
            "most frequent advice": usual.index[0],
            "so often": 100 * usual.iloc[0] / n_data_sets,
            "cannot tell": 100 * found["cannot tell"].mean(),
            "right": 100 * found["right"].mean(),
        }
        print(situation.name, rows[situation.name], flush=True)
    return pd.DataFrame.from_dict(rows, orient="index")


if __name__ == "__main__":
    n_data_sets = int(sys.argv[1]) if len(sys.argv) > 1 else None
    table = factors_table(n_data_sets or DATA_SETS)
    text = as_markdown(table, "data", ["{}".format, *["{:.0f}".format] * 3])
    print(text)
    if n_data_sets is None:
        (DOCS / "factors_table.md").write_text(text)
