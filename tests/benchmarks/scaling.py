"""How the time of fit grows with rows, groups, columns and random effects, beside others'.

``python tests/benchmarks/scaling.py`` takes about ten minutes and 5 GB of memory on an idle
machine and writes docs/benchmarks/scaling.csv and machine.txt. Names of sweeps after it (rows,
groups, columns, q) measure these alone. ``python tests/benchmarks/draw.py`` draws the table.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression
from timing import describe_machine, seconds_in_turn

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
TABLE, MACHINE = FOLDER / "scaling.csv", FOLDER / "machine.txt"
LINEAR = "LinearRegression"
# About this many seconds are spent on each size.
BUDGET = 20
MOST_ROUNDS = 15


@dataclass(frozen=True)
class Size:
    """Rows, columns and groups of the data, and the random effects of a group beside 1."""

    sweep: str
    n_rows: int = 1_000_000
    n_columns: int = 10
    n_groups: int = 10_000
    n_slopes: int = 1

    @property
    def models(self):
        slopes = RandomSlopeRegressor(list(range(self.n_slopes)))
        intercept = {"random intercept": RandomInterceptRegressor()}
        if self.sweep == "q":
            mixed = {"random effects": slopes} if self.n_slopes else intercept
        else:
            mixed = intercept | {"one random slope": slopes}
        return mixed | {LINEAR: LinearRegression()}


def sizes():
    spread = [int(n) for n in (1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7)]
    return [
        *(Size("rows", n_rows=n, n_groups=n // 10) for n in spread),
        *(Size("groups", n_rows=4_000_000, n_groups=10**k) for k in range(1, 7)),
        *(Size("columns", n_rows=100_000, n_columns=p, n_groups=1000)
          for p in (1, 2, 5, 10, 20, 50, 100, 200)),
        *(Size("q", n_rows=200_000, n_columns=5, n_groups=5_000, n_slopes=k) for k in range(5)),
    ]  # fmt: skip


def draw_rows(size):
    """Normal columns; groups of equal size differ in level and, a little, in slopes."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((size.n_rows, size.n_columns))
    groups = rng.permutation(np.arange(size.n_rows) % size.n_groups)
    y = X.sum(axis=1) + rng.standard_normal(size.n_groups)[groups]
    for column in range(size.n_slopes):
        y += 0.5 * X[:, column] * rng.standard_normal(size.n_groups)[groups]
    return X, y + rng.standard_normal(size.n_rows), groups


def measure(size):
    """Time the models on rows of a size; memory is the peak of this process."""
    X, y, groups = draw_rows(size)
    models = size.models
    linear = models.pop(LINEAR)
    calls = {name: lambda m=model: m.fit(X, y, groups=groups) for name, model in models.items()}
    once = sum(seconds[0] for seconds in seconds_in_turn(calls, 1).values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    calls[LINEAR] = lambda: linear.fit(X, y)
    rounds = int(np.clip(BUDGET / (3 * once), 3, MOST_ROUNDS))
    for name, seconds in seconds_in_turn(calls, rounds).items():
        yield {
            **asdict(size),
            "model": name,
            "seconds": float(f"{np.median(seconds):.4g}"),
            "fastest": float(f"{min(seconds):.4g}"),
            "rounds": rounds,
            "peak_gb": None if name == LINEAR else float(f"{memory:.3g}"),
        }


def measure_sweeps(sweeps):
    """Measure every size in a process of its own, and replace its rows of the table."""
    FOLDER.mkdir(exist_ok=True)
    MACHINE.write_text("\n".join(describe_machine()) + "\n")
    for index, size in enumerate(sizes()):
        if sweeps and size.sweep not in sweeps:
            continue
        print(size, flush=True)
        subprocess.run([sys.executable, __file__, str(index)], check=True)


def add_to_table(size):
    found = pd.DataFrame(measure(size))
    if TABLE.exists():
        keys = list(asdict(size))
        table = pd.read_csv(TABLE)
        other = ~(table[keys] == pd.Series(asdict(size))).all(axis=1)
        found = pd.concat([table[other], found], ignore_index=True)
    order = [size.sweep for size in sizes()]
    found = found.sort_values(
        ["sweep", "n_rows", "n_groups", "n_columns", "n_slopes", "model"],
        key=lambda column: column.map(order.index) if column.name == "sweep" else column,
    )
    found.to_csv(TABLE, index=False)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].isdigit():
        add_to_table(sizes()[int(sys.argv[1])])
    else:
        measure_sweeps(sys.argv[1:])
