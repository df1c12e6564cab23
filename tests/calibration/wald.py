"""How often F tests reject what is true: simulations, and a table of the docs.

``python tests/calibration/wald.py`` draws 1,000 data sets of each design and writes
docs/wald_table.md; give another number of data sets as an argument for a look.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from advice import DOCS, as_markdown
from joblib import Parallel, delayed

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.inference import wald_test

DATA_SETS, GROUPS, SIZES = 1000, (10, 30, 100), (2, 3, 5, 8, 12)
METHODS = {
    "satterthwaite": "Satterthwaite",
    "kenward-roger": "Kenward-Roger",
    "normal": "normal",
}
TERMS = {
    "factor of groups": ["arm_b", "arm_c"],
    "factor of rows": ["dose_b", "dose_c"],
    "slopes by factor of groups": ["arm_b:x", "arm_c:x"],
}


def draw(rng, n_groups, has_slopes):
    """Unbalanced rows, of which none of the features but x says anything."""
    groups = np.repeat(np.arange(n_groups), rng.permutation(np.resize(SIZES, n_groups)))
    arm, x = groups % 3, rng.normal(size=len(groups))
    dose = rng.integers(3, size=len(groups))
    X = pd.DataFrame({"x": x})
    for level, name in enumerate("bc", start=1):
        X[f"arm_{name}"], X[f"dose_{name}"] = arm == level, dose == level
        X[f"arm_{name}:x"] = X[f"arm_{name}"] * x
    b = rng.normal(size=(n_groups, 2)) * [1.0, 0.5 * has_slopes]
    y = 0.5 * x + b[groups, 0] + b[groups, 1] * x + rng.normal(size=len(x))
    return X.astype(float), y, groups


def rejected(n_groups, has_slopes, seed):
    """Which tests reject at the 5% level, on one data set: a row for each method."""
    rng = np.random.default_rng([n_groups, has_slopes, seed])
    X, y, groups = draw(rng, n_groups, has_slopes)
    model = RandomSlopeRegressor("x") if has_slopes else RandomInterceptRegressor()
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular fits are part of the matter
        model.fit(X, y, groups=groups)
    for method, name in METHODS.items():
        p = {what: _p_value(model, terms, method) for what, terms in TERMS.items()}
        kind = "random slope" if has_slopes else "random intercept"
        shares = {what: value < 0.05 for what, value in p.items()}
        rows.append({"model": kind, "groups": n_groups, "df_method": name, **shares})
    return rows


def _p_value(model, terms, method):
    try:
        return wald_test(model, terms, df_method=method).p_value
    except ValueError as error:  # is not rejected, then
        if "too few groups" not in str(error):
            raise
        return 1.0


def run(n_data_sets):
    """Per cent of data sets in which a test rejects, with their Monte Carlo errors."""
    jobs = (
        delayed(rejected)(n_groups, has_slopes, seed)
        for has_slopes in (False, True)
        for n_groups in GROUPS
        for seed in range(n_data_sets)
    )
    found = pd.DataFrame([row for rows in Parallel(n_jobs=-1)(jobs) for row in rows])
    by_case = found.groupby(["model", "groups", "df_method"], sort=False)[list(TERMS)]
    return by_case.mean() * 100


def as_table(shares):
    """Write the per cents, a row for each model, number of groups and method."""
    text = shares.map("{:.1f}".format).reset_index()
    return text.set_index("model")


if __name__ == "__main__":
    n_data_sets = int(sys.argv[1]) if len(sys.argv) > 1 else None
    found = as_table(run(n_data_sets or DATA_SETS))
    text = as_markdown(found, "model", ["{}".format] * found.shape[1])
    print(text)
    if n_data_sets is None:
        (DOCS / "wald_table.md").write_text(text)
