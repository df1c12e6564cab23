"""How well random effects around boosting predict, beside other packages: a table.

``python tests/calibration/around.py`` draws five sets of each kind and writes
docs/around_table.md. gpboost and merf take part where they are installed; the table has the
former, since merf takes a minute a fit. Give another number of sets as an argument for a look.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from functools import partial
from importlib.util import find_spec

import numpy as np
import pandas as pd
from advice import DOCS, as_markdown
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.preprocessing import TargetEncoder

from skmixed import MixedEffectsRegressor

SETS = 5
GROUPS, NEW_GROUPS, ROWS = 500, 200, 5_000
LEVEL = 0.9
TREES = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20}
ITERATIONS = 100
KINDS = {
    "independent": "independent",
    "correlated": "correlated",
    "bent": "correlated, by a curve",
    "level2": "correlated, and a level-2 feature",
}


def draw(kind, seed):
    """Rows to fit, others of the same groups, and ten of each new group; y has noise 1."""
    rng = np.random.default_rng(seed)
    n_groups = GROUPS + NEW_GROUPS
    m, own = rng.normal(size=(n_groups, 5)), rng.normal(size=n_groups)
    effect = {
        "independent": 1.4 * own,
        "bent": own - 1.5 * np.abs(m[:, 3]) + 0.7 * m[:, 2] ** 2,
    }.get(kind, own - (m[:, 3] + m[:, 4]) / np.sqrt(2))
    share = 0.0 if kind == "independent" else np.sqrt(0.5)
    z = rng.normal(size=n_groups)

    def rows_of(g):
        x = norm.cdf(share * m[g] + np.sqrt(1 - share**2) * rng.normal(size=(len(g), 5)))
        f = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
        f = (f + 10 * x[:, 3] + 5 * x[:, 4]) / 2.5
        if kind == "level2":
            x, f = np.column_stack([x, z[g]]), f + np.sin(2 * z[g])
        return x, f + effect[g] + rng.normal(size=len(g)), g

    sizes = 1 + rng.multinomial(ROWS - GROUPS, np.full(GROUPS, 1 / GROUPS))
    known = rng.integers(0, GROUPS, ROWS)
    new = np.repeat(np.arange(GROUPS, n_groups), 10)
    return rows_of(np.repeat(np.arange(GROUPS), sizes)), rows_of(known), rows_of(new)


def boosting():
    """Boosting of one number of trees, so that all models have as many."""
    return HistGradientBoostingRegressor(
        **TREES, max_iter=ITERATIONS, early_stopping=False, random_state=0
    )


def without_groups(x, y, g):
    """Boosting that knows nothing of groups."""
    model = boosting().fit(x, y)
    return lambda x, g: model.predict(x)


def with_target_encoder(x, y, g):
    """Boosting with the group's shrunken mean of y."""
    encoder = TargetEncoder(random_state=0)
    model = boosting().fit(np.column_stack([x, encoder.fit_transform(g[:, None], y)]), y)
    return lambda x, g: model.predict(np.column_stack([x, encoder.transform(g[:, None])]))


def with_gpboost(x, y, g):
    """Trees and random effects by gpboost."""
    import gpboost

    groups = gpboost.GPModel(group_data=g.astype(str)[:, None], likelihood="gaussian")
    trees = {
        "learning_rate": TREES["learning_rate"],
        "num_leaves": TREES["max_leaf_nodes"],
        "min_data_in_leaf": TREES["min_samples_leaf"],
        "max_depth": -1,
        "verbose": -1,
        "num_threads": 1,
    }
    model = gpboost.train(
        params=trees,
        train_set=gpboost.Dataset(x, y),
        gp_model=groups,
        num_boost_round=ITERATIONS,
    )
    named = {"predict_var": False, "pred_latent": False}
    return lambda x, g: model.predict(data=x, group_data_pred=g.astype(str)[:, None], **named)[
        "response_mean"
    ]


def with_merf(x, y, g):
    """The iterations of merf, around the same boosting."""
    from merf import MERF

    model = MERF(boosting(), max_iterations=20)
    model.fit(x, np.ones((len(y), 1)), pd.Series(g), pd.Series(y))
    return lambda x, g: model.predict(x, np.ones((len(x), 1)), pd.Series(g))


def with_effects(seed, x, y, g):
    """What is measured."""
    model = MixedEffectsRegressor(boosting(), random_state=seed).fit(x, y, groups=g)
    predict = partial(_predict, model)
    predict.model = model
    return predict


def _predict(model, x, groups):
    return model.predict(x, groups=groups)


def models(seed):
    """All that can be fitted here."""
    found = {"without groups": without_groups, "TargetEncoder": with_target_encoder}
    if find_spec("gpboost"):
        found["gpboost"] = with_gpboost
    if find_spec("merf"):
        found["MERF"] = with_merf
    return {**found, "MixedEffectsRegressor": partial(with_effects, seed)}


def coverage(model, x, y, g):
    """Share of intervals that hold y."""
    low, high = model.predict_interval(x, g, level=LEVEL).T
    return np.mean((low <= y) & (y <= high))


def measure(kind, seed):
    """Errors of each model on one draw."""
    rows, known, new = draw(kind, seed)
    for name, fit in models(seed).items():
        start = time.perf_counter()
        predict = fit(*rows)
        found = {"model": name, "seconds": time.perf_counter() - start}
        for where, (x, y, g) in {"known": known, "new": new}.items():
            found[where] = root_mean_squared_error(y, predict(x, g))
            if hasattr(predict, "model"):
                found[f"coverage, {where}"] = coverage(predict.model, x, y, g)
        x, y, _ = new
        alone = predict.model.predict_population(x) if hasattr(predict, "model") else None
        found["alone"] = found["new"] if alone is None else root_mean_squared_error(y, alone)
        yield found


def main(sets):
    """Write the table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)  # of merf
    lines = []
    for kind, words in KINDS.items():
        found = pd.DataFrame([line for seed in range(sets) for line in measure(kind, seed)])
        means = found.groupby("model", sort=False).mean()
        own = found[found["model"] == "MixedEffectsRegressor"].reset_index(drop=True)
        for name, line in means.iterrows():
            other = found[found["model"] == name].reset_index(drop=True)
            ratio = own[["known", "new", "alone"]] / other[["known", "new", "alone"]]
            print(kind, name, line.round(4).to_dict(), "ours / this", end=" ")
            print(ratio.mean().round(4).to_dict(), ratio.sem().round(4).to_dict(), flush=True)
            lines.append({"data": words, "model": name, **line})
    table = pd.DataFrame(lines)
    shown = {
        "model": table["model"],
        "known groups": table["known"].map("{:.3f}".format),
        "new groups, ten rows each": table["new"].map("{:.3f}".format),
        "new groups, one row each": table["alone"].map("{:.3f}".format),
        "coverage in known / new, %": [
            "" if np.isnan(known) else f"{100 * known:.1f} / {100 * new:.1f}"
            for known, new in zip(table["coverage, known"], table["coverage, new"], strict=True)
        ],
        "seconds to fit": table["seconds"].map("{:.1f}".format),
    }
    table = pd.DataFrame(shown).set_axis(table["data"])
    text = as_markdown(table, "groups and features", [str] * table.shape[1])
    if sets == SETS:
        (DOCS / "around_table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SETS)
