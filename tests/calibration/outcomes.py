"""How good estimates of binary outcomes are: data with a known truth, and a table of the docs.

``python tests/calibration/outcomes.py`` draws 200 data sets for each size of the groups and
each standard deviation, and writes docs/outcomes_table.md; give another number of data sets as
an argument for a look.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
from advice import DOCS, as_markdown
from joblib import Parallel, delayed
from scipy import special
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from skmixed import RandomInterceptClassifier

DATA_SETS, N_GROUPS, NEW_GROUPS = 200, 100, 20_000
SIZES, SDS = (2, 5, 20), (1.0, 2.0)
LEVEL, SLOPE = -0.5, 1.0


def draw(rng, n_groups, size, sd):
    """Rows of groups that differ in level; x varies within them alone."""
    groups = np.repeat(np.arange(n_groups), size)
    X = rng.normal(size=(len(groups), 1))
    eta = LEVEL + SLOPE * X[:, 0] + sd * rng.normal(size=n_groups)[groups]
    return X, rng.random(len(groups)) < special.expit(eta), groups


def is_inside(limits, truth):
    """Whether limits that were found hold the truth."""
    lower, upper = limits
    return lower <= truth <= upper


def calibration_slope(y, probability):
    """Slope of y on the logit of its probability: below 1 if that is too far from 1/2."""
    predictor = special.logit(probability)[:, None]
    return LogisticRegression(C=np.inf).fit(predictor, y).coef_[0, 0]


def predictions_in_new_groups(model, pooled, X, y):
    """Log loss beyond that of plain logistic regression, and the slope of calibration."""
    averaged = model.predict_population(X)
    plain = log_loss(y, pooled.predict_proba(X)[:, 1])
    at_zero = model.predict_population(X, average=False)
    return {
        "excess": 1000 * (log_loss(y, averaged) - plain),
        "excess at 0": 1000 * (log_loss(y, at_zero) - plain),
        "slope": calibration_slope(y, averaged),
    }


def tried(size, sd, seed):
    """What comes of one data set."""
    rng = np.random.default_rng([size, int(sd), seed])
    X, y, groups = draw(rng, N_GROUPS, size, sd)
    new_X, new_y, _ = draw(rng, NEW_GROUPS, 1, sd)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small groups, singular fits and separation
        laplace = RandomInterceptClassifier(quadrature=1).fit(X, y, groups=groups)
        model = RandomInterceptClassifier().fit(X, y, groups=groups)
        pooled = LogisticRegression(C=np.inf).fit(X, y)
        profile, wald = (model.confint(method=method) for method in ("profile", "wald"))
    limits, sd_name = profile[["lower", "upper"]], profile.index[0]
    return {
        "size": size,
        "sd": sd,
        "laplace": laplace.theta_[0],
        "nodes": model.theta_[0],
        "x wald": is_inside(wald.loc["x0", ["lower", "upper"]], SLOPE),
        "x profile": is_inside(limits.loc["x0"], SLOPE),
        "sd profile": is_inside(limits.loc[sd_name], sd),
        **predictions_in_new_groups(model, pooled, new_X, new_y),
    }


def run(n_data_sets):
    """A row for each data set."""
    jobs = (
        delayed(tried)(size, sd, seed)
        for size in SIZES
        for sd in SDS
        for seed in range(n_data_sets)
    )
    return pd.DataFrame(Parallel(n_jobs=-1)(jobs))


COLUMNS = {
    "sd by Laplace": ("laplace", "median", "{:.2f}"),
    "sd by 9 nodes": ("nodes", "median", "{:.2f}"),
    "b, Wald": ("x wald", "mean", "{:.1%}"),
    "b, profile": ("x profile", "mean", "{:.1%}"),
    "sd, profile": ("sd profile", "mean", "{:.1%}"),
    "log loss": ("excess", "mean", "{:+.2f}"),
    "log loss at u = 0": ("excess at 0", "mean", "{:+.1f}"),
    "calibration slope": ("slope", "mean", "{:.2f}"),
}


def as_table(found):
    """What is shown of the data sets, a row for each sd and size of the groups."""
    by_case = found.groupby(["sd", "size"])
    table = {
        name: by_case[column].agg(how).map(form.format)
        for name, (column, how, form) in COLUMNS.items()
    }
    table = pd.DataFrame(table).reset_index()
    table["sd"] = table["sd"].map("{:.0f}".format)
    return table.rename(columns={"size": "rows a group"}).set_index("sd")


if __name__ == "__main__":
    n_data_sets = int(sys.argv[1]) if len(sys.argv) > 1 else None
    found = as_table(run(n_data_sets or DATA_SETS))
    text = as_markdown(found, "true sd", ["{}".format] * found.shape[1])
    print(text)
    if n_data_sets is None:
        (DOCS / "outcomes_table.md").write_text(text)
