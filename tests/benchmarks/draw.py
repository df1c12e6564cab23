"""Draw the tables in docs/benchmarks as pictures: ``python tests/benchmarks/draw.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
STYLES = {
    "random intercept": {"color": "#0072b2", "marker": "o"},
    "random effects": {"color": "#0072b2", "marker": "o"},
    "one random slope": {"color": "#d55e00", "marker": "s"},
    "LinearRegression": {"color": "0.45", "marker": "^", "linestyle": "--"},
}
PANELS = {
    "rows": ("n_rows", "rows", "10 columns, 10 rows a group"),
    "groups": ("n_groups", "groups", "4,000,000 rows, 10 columns"),
    "columns": ("n_columns", "columns", "100,000 rows, 1,000 groups"),
    "q": ("q", "random effects of a group, q", "200,000 rows, 5 columns, 5,000 groups"),
}
RIVALS = {
    "lme4": {"color": "#009e73", "marker": "D"},
    "mixedlm-rs": {"color": "#0072b2", "marker": "o"},
    "gpboost": {"color": "#cc79a7", "marker": "v"},
    "statsmodels": {"color": "#d55e00", "marker": "s"},
}


def draw_scaling():
    table = pd.read_csv(FOLDER / "scaling.csv").assign(q=lambda frame: 1 + frame["n_slopes"])
    figure, axes = plt.subplots(2, 2, figsize=(10, 8), layout="constrained")
    for ax, (sweep, (column, label, rest)) in zip(axes.flat, PANELS.items(), strict=True):
        part = table[table["sweep"] == sweep]
        for model in ("LinearRegression", "random intercept", "one random slope"):
            line = part[part["model"] == model]
            if sweep == "q" and model == "random intercept":
                line = part[part["model"] != "LinearRegression"]
            line = line.sort_values(column)
            ax.plot(line[column], line["seconds"], label=model, ms=5, **STYLES[model])
        ax.set(xlabel=label, ylabel="seconds", yscale="log", title=rest)
        ax.set_xscale("linear" if sweep == "q" else "log")
        ax.grid(color="0.92", which="major")
        ax.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(FOLDER / "scaling.png", dpi=120)


def draw_rivals():
    table = pd.read_csv(FOLDER / "ratios.csv")
    parts = table["what"].str.extract(r"^fit, (?P<case>.*), (?P<rival>\S+) / ours$")
    table = pd.concat([parts, table["ratio"]], axis=1).dropna()
    cases = table["case"].unique()[::-1]
    figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for name, style in RIVALS.items():
        part = table[table["rival"] == name]
        where = [np.flatnonzero(cases == case)[0] for case in part["case"]]
        ax.plot(part["ratio"], where, label=name, ms=7, linestyle="", **style)
    ax.axvline(1, color="0.3", lw=1)
    ax.set(xscale="log", xlabel="time of fit relative to skmixed (log scale)")
    ax.set_yticks(range(len(cases)), cases)
    ax.grid(color="0.92")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(FOLDER / "rivals.png", dpi=120)


if __name__ == "__main__":
    draw_scaling()
    draw_rivals()
