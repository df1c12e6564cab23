"""How well boosting predicts behind an encoder, and a table of the docs.

``python tests/calibration/encoder.py`` needs R with lme4, mlmRev and nlme, whose data it takes;
it splits each data set ten times and writes docs/encoder_table.md. Give another number of
splits as an argument for a look.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from advice import DOCS, as_markdown
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import KFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from skmixed.preprocessing import RandomEffectEncoder

SPLITS = 10
# Package, data set, target, the columns that are encoded, and columns that are left out.
REAL = {
    "ratings (InstEval)": ("lme4", "InstEval", "y", ["s", "d"], []),
    "chemistry (Chem97)": ("mlmRev", "Chem97", "score", ["school"], ["gcsecnt"]),
    "exams (Exam)": ("mlmRev", "Exam", "normexam", ["school"], ["student", "schgend"]),
    "attainment (ScotsSec)": ("mlmRev", "ScotsSec", "attain", ["primary", "second"], []),
    "class sizes (star)": ("mlmRev", "star", "math", ["sch", "tch"], ["id", "read"]),
    "mathematics (MathAchieve)": ("nlme", "MathAchieve", "MathAch", ["School"], []),
    "language (bdf)": ("mlmRev", "bdf", "langPOST", ["schoolNR"], ["pupilNR", "aritPOST"]),
    "contraception, binary": ("mlmRev", "Contraception", "use", ["district"], ["woman"]),
    "immunisation, binary": ("mlmRev", "guImmun", "immun", ["comm"], ["kid", "mom"]),
}
SIMULATED = {"independent": 0.0, "opposed": -1.0, "of one direction": 1.0, "pure noise": None}


def load(package, name, target, columns, dropped, folder):
    """Take a data set from R; factors that are not encoded become numbers."""
    path = Path(folder) / f"{name}.csv"
    code = (
        f'data({name}, package = "{package}"); write.csv({name}, "{path}", row.names = FALSE)'
    )
    subprocess.run(["Rscript", "-e", code], check=True, capture_output=True)
    table = pd.read_csv(path).dropna(subset=[target]).drop(columns=dropped)
    y = table.pop(target)
    y = y.to_numpy() if pd.api.types.is_numeric_dtype(y) else (y == y.unique()[0]).to_numpy()
    for column in table.columns:
        if column in columns:
            table[column] = table[column].astype(str)
        elif not pd.api.types.is_numeric_dtype(table[column]):
            table[column] = pd.factorize(table[column], sort=True)[0].astype(float)
    return table, y, columns


def simulate(direction, seed, n=30_000, n_categories=3_600):
    """Rows of a long tail of categories, whose level of x goes with their effect, or not."""
    rng = np.random.default_rng(seed)
    share = 1 / (np.arange(n_categories) + 5)
    category = rng.choice(n_categories, n, p=share / share.sum())
    effect = rng.normal(size=n_categories)[category]
    X = rng.normal(size=(n, 6))
    X[:, :2] += (direction or 0) * effect[:, None]
    y = X[:, 0] + X[:, 1] + np.sin(2 * X[:, 2]) + X[:, 3] * X[:, 4] / 2 + rng.normal(size=n)
    y += 0 if direction is None else 1.5 * effect
    table = pd.DataFrame(X, columns=list("abcdef")).assign(category=category)
    return table, y, ["category"]


def pipelines(columns, binary, seed):
    """Boosting behind each encoder."""
    boosting = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    folds = KFold(5, shuffle=True, random_state=seed)
    by_means = make_column_transformer(
        (TargetEncoder(cv=folds, target_type="binary" if binary else "continuous"), columns),
        remainder="passthrough",
    )
    left_out = make_column_transformer(("drop", columns), remainder="passthrough")
    by_effects = RandomEffectEncoder(
        columns, cv=folds, target_type="binary" if binary else "continuous"
    )
    by_themselves = RandomEffectEncoder(
        columns, cv=folds, given=None, target_type="binary" if binary else "continuous"
    )
    return {
        "left out": make_pipeline(left_out, boosting(random_state=seed)),
        "TargetEncoder": make_pipeline(by_means, boosting(random_state=seed)),
        "effects": make_pipeline(by_effects, boosting(random_state=seed)),
        "effects, given=None": make_pipeline(by_themselves, boosting(random_state=seed)),
    }


def errors(X, y, columns, seed):
    """Error of each pipeline in a quarter of the rows."""
    binary = len(np.unique(y)) == 2
    train, test = train_test_split(np.arange(len(y)), random_state=seed)
    found = {}
    for name, model in pipelines(columns, binary, seed).items():
        model.fit(X.iloc[train], y[train])
        rows = X.iloc[test]
        found[name] = (
            log_loss(y[test], model.predict_proba(rows)[:, 1])
            if binary
            else root_mean_squared_error(y[test], model.predict(rows))
        )
    return found


def row_of(name, draw, splits):
    """Summarise one data set."""
    start = time.perf_counter()
    found = pd.DataFrame([errors(*draw(seed), seed) for seed in range(splits)])
    X, _, columns = draw(0)
    ratios = found.div(found["TargetEncoder"], axis=0)
    spread = ratios["effects"].std(ddof=1) / np.sqrt(splits)
    print(name, ratios.mean().round(4).to_dict(), f"{time.perf_counter() - start:.0f} s")
    return {
        "data": name,
        "rows": f"{len(X):,}",
        "categories": " and ".join(f"{X[column].nunique():,}" for column in columns),
        "left out": f"{ratios['left out'].mean():.3f}",
        "effects": f"{ratios['effects'].mean():.3f} ({spread:.3f})",
        "effects, given=None": f"{ratios['effects, given=None'].mean():.3f}",
    }


def main(splits):
    """Write the table."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        tables = {name: load(*where, folder) for name, where in REAL.items()}
    rows = [row_of(name, lambda seed, t=table: t, splits) for name, table in tables.items()]
    for name, direction in SIMULATED.items():
        rows.append(
            row_of(f"simulated, {name}", lambda s, d=direction: simulate(d, s), splits // 2)
        )
    table = pd.DataFrame(rows).set_index("data")
    text = as_markdown(table, "data", [str] * table.shape[1])
    (DOCS / "encoder_table.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SPLITS)
