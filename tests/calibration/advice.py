"""Whether advice is right: data sets with a known truth, and the tables of the docs.

``python tests/calibration/advice.py`` draws 200 data sets of each situation, and 1,000 for the
size of the test of slopes, and writes docs/advice_table.md and docs/slopes_table.md; give
another number of data sets as an argument for a look.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from skmixed import describe_groups

DOCS = Path(__file__).parents[2] / "docs"
DATA_SETS, DATA_SETS_FOR_SIZE = 200, 1000
POOLING, FIXED, RANDOM = "Complete pooling", "Fixed effects", "Random effects"


@dataclass(frozen=True)
class Situation:
    """Data with a known truth, what should be advised, and what must not be."""

    name: str
    sizes: Callable
    icc: float
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    n_features: int = 1
    level_2: int = 0
    contextual: float = 0.0
    share_between: float = 0.3
    varying: float = 1.0
    split: bool = False

    def draw(self, rng):
        sizes = self.sizes(rng)
        n_groups = len(sizes)
        groups = np.repeat(np.arange(n_groups), sizes)
        means = rng.normal(size=(n_groups, self.n_features)) * np.sqrt(self.share_between)
        within = rng.normal(size=(len(groups), self.n_features))
        within *= np.sqrt(1 - self.share_between)
        within *= (rng.random(n_groups) < self.varying)[groups, None]
        X, Z = means[groups] + within, rng.normal(size=(n_groups, self.level_2))
        y = 0.5 * X.sum(axis=1) + self.contextual * means[groups].sum(axis=1)
        y += 0.3 * Z.sum(axis=1)[groups]
        y += np.sqrt(self.icc) * rng.normal(size=n_groups)[groups]
        y += np.sqrt(1 - self.icc) * rng.normal(size=len(groups))
        return np.column_stack([X, Z[groups]]), y, groups


def equal(n_groups, size):
    return lambda rng: np.full(n_groups, size)


def heavy_tailed(rng):
    return np.minimum(rng.zipf(1.6, size=60), 500)


def singletons(rng):
    return np.append(np.ones(198, dtype=int), [10, 10])


SITUATIONS = [
    Situation("no effect, 40 groups of 10", equal(40, 10), 0.0, (POOLING, RANDOM), (FIXED,)),
    Situation("strong, 40 groups of 10", equal(40, 10), 0.5, (RANDOM,), (POOLING, FIXED)),
    Situation(
        "correlated with a feature, 40 of 10", equal(40, 10), 0.3, (RANDOM,), (POOLING,),
        contextual=1.5, split=True,
    ),
    Situation("4 groups of 15", equal(4, 15), 0.5, (FIXED,), (POOLING,)),
    Situation(
        "4 groups of 15, a level-2 feature", equal(4, 15), 0.5, (RANDOM,), (POOLING, FIXED),
        level_2=1,
    ),
    Situation(
        "level-2 features alone, 30 of 8", equal(30, 8), 0.3, (RANDOM,), (POOLING, FIXED),
        n_features=0, level_2=2,
    ),
    Situation("198 groups of 1, 2 of 10", singletons, 0.5, (RANDOM,), (POOLING,)),
    Situation("saturated: 9 features, 10 groups", equal(10, 10), 0.8, (RANDOM,), (POOLING,),
              n_features=9),
    Situation("saturated: 12 features, 10 groups", equal(10, 10), 0.8, (RANDOM,), (POOLING,),
              n_features=12),
    Situation("nearly saturated: 20 features, 30 groups", equal(30, 10), 0.5, (RANDOM,),
              (POOLING,), n_features=20),
    Situation("a feature constant in 9 of 10 groups", equal(40, 10), 0.5, (RANDOM,),
              (POOLING,), varying=0.1),
    Situation("heavy-tailed sizes, 60 groups", heavy_tailed, 0.3, (RANDOM,), (POOLING,)),
    Situation("pairs, 100 groups of 2", equal(100, 2), 0.5, (RANDOM,), (POOLING,)),
]  # fmt: skip


def advised(situation, seed):
    """What is advised on one data set: the approach, and whether to split."""
    rng = np.random.default_rng([SITUATIONS.index(situation), seed])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choice = describe_groups(*situation.draw(rng)).advice["Choice"]
    approach = next(name for name in (POOLING, FIXED, RANDOM) if choice[0].startswith(name))
    return {
        "approach": approach,
        "cannot tell": "cannot tell" in choice[0],
        "split": any(sentence.startswith("Split") for sentence in choice),
    }


def advice_table(n_data_sets):
    """Share of right and of wrong advice, in per cent."""
    rows = {}
    for situation in SITUATIONS:
        jobs = (delayed(advised)(situation, seed) for seed in range(n_data_sets))
        found = pd.DataFrame(Parallel(n_jobs=-1)(jobs))
        right = found["approach"].isin(situation.right) & (found["split"] == situation.split)
        rows[situation.name] = {
            "ICC": situation.icc,
            **{name: (found["approach"] == name).mean() for name in (POOLING, FIXED, RANDOM)},
            "of these: cannot tell": found["cannot tell"].mean(),
            "split": found["split"].mean(),
            "right": right.mean(),
            "wrong in kind": found["approach"].isin(situation.wrong).mean(),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.iloc[:, 1:] *= 100
    return table


SIZES = {
    "5 groups of 10, 1 feature": (np.full(5, 10), 1),
    "10 groups of 10, 5 features": (np.full(10, 10), 5),
    "15 groups of 10, 10 features": (np.full(15, 10), 10),
    "30 groups of 10, 20 features": (np.full(30, 10), 20),
    "198 groups of 1 and 2 of 10, 1 feature": (np.append(np.ones(198, int), [10, 10]), 1),
    "2 to 30 rows in 10 groups, 2 features": (
        np.array([2, 3, 5, 8, 12, 20, 30, 2, 3, 4]), 2,
    ),
    "50 groups of 5, 2 features": (np.full(50, 5), 2),
}  # fmt: skip


def rejects(name, icc, seed):
    """Whether equal slopes are found to differ, on one data set."""
    sizes, n_features = SIZES[name]
    situation = Situation(name, lambda rng: sizes, icc, (), (), n_features=n_features)
    rng = np.random.default_rng([list(SIZES).index(name), int(10 * icc), seed])
    return describe_groups(*situation.draw(rng)).slopes.p_value < 0.05


def slopes_table(n_data_sets):
    """How often equal slopes are found to differ at 5%, in per cent."""
    rows = {}
    for name in SIZES:
        rows[name] = {}
        for icc in (0.0, 0.2, 0.6):
            jobs = (delayed(rejects)(name, icc, seed) for seed in range(n_data_sets))
            rows[name][f"ICC {icc}"] = 100 * np.mean(Parallel(n_jobs=-1)(jobs))
    return pd.DataFrame.from_dict(rows, orient="index")


def as_markdown(table, head, formats):
    lines = [[head, *table.columns], ["---"] * (1 + table.shape[1])]
    for name, row in table.iterrows():
        lines.append([name, *(form(x) for form, x in zip(formats, row, strict=True))])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    n_data_sets = int(sys.argv[1]) if len(sys.argv) > 1 else None
    table = advice_table(n_data_sets or DATA_SETS)
    whole = "{:.0f}".format
    text = as_markdown(table, "data", ["{:.1f}".format, *[whole] * 5, *["{:.1f}".format] * 2])
    print(text)
    sizes = slopes_table(n_data_sets or DATA_SETS_FOR_SIZE)
    sizes_text = as_markdown(sizes, "data", ["{:.1f}".format] * 3)
    print(sizes_text)
    if n_data_sets is None:
        (DOCS / "advice_table.md").write_text(text)
        (DOCS / "slopes_table.md").write_text(sizes_text)
