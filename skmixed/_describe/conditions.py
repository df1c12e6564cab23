"""The conditions that speak for a way to treat groups, and how they are in the data."""

from __future__ import annotations

from textwrap import shorten

import numpy as np
import pandas as pd

from skmixed._describe.advice import FEW_GROUPS, TOO_FEW_GROUPS, given_features, judged, why_not

# Groups are distinct, or much alike, if the median group's own mean has more weight than this,
# or less, beside the common line.
DISTINCT, ALIKE = 0.9, 0.1
# Sizes are unbalanced if the largest group is so many times the median one.
UNBALANCED = 3
# Shares of the variation within groups that are plenty, and little.
PLENTY, LITTLE = 0.5, 0.1
WIDTH = 24


def conditions(d):
    """Hold the conditions of the choice against the data.

    Parameters
    ----------
    d : GroupDescription
        Sizes, shares of variation, variance components.

    Returns
    -------
    DataFrame
        A row for each condition: how it is ``here``, and what that ``speaks_for``.
    """
    rows = {} if why_not(d) else dict(_rows(d))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["here", "speaks_for"])


def _rows(d):
    features, n_groups = d.variation.iloc[1:], len(d.group_sizes)
    if len(features):
        yield "variation within groups", _within(features)
        yield "features of groups alone", _level_2(_where(features, "between groups"))
        yield "features of both kinds", _both(_where(features, "both"))
    yield "tables of groups to add", _to_add(d)
    yield "other groups to predict", ("for you to say", "random effects")
    yield "distinct groups", _distinct(d)
    yield "small groups", _small(d)
    yield "unbalanced sizes", _unbalanced(d.group_sizes)
    yield "number of groups", _number(n_groups)


def _where(features, varies):
    return list(features.index[features["varies"] == varies])


def _within(features):
    shares = features["within"].dropna()
    if not len(shares):
        return "none", "either"
    low, high = shares.min(), shares.max()
    here = f"{high:.0%}" if len(shares) == 1 else f"{low:.0%} to {high:.0%}"
    if low >= PLENTY:
        return here, "fixed effects"
    if high < LITTLE:
        return here, "random effects"
    return here, "fixed effects, if plenty"


def _level_2(names):
    return (_names(names), "random effects alone") if names else ("none", "either")


def _both(names):
    return (_names(names), "random effects, or split") if names else ("none", "either")


def _to_add(d):
    left = np.nan_to_num(given_features(d)["df_num"])
    here = f"{left:.0f} df between groups"
    return here, "random effects alone" if left >= 1 else "too few groups"


def _distinct(d):
    model, median = judged(d), d.group_sizes.median()
    if np.isnan(model["icc_upper"]):
        return "", "cannot be told"
    icc = np.array([model["icc_lower"], model["icc"], model["icc_upper"]])
    low, weight, high = median * icc / (median * icc + 1 - icc)
    here = f"weight {weight:.2f} ({low:.2f} to {high:.2f})"
    if low > DISTINCT:
        return here, "fixed as random effects"
    if high < ALIKE:
        return here, "pooled as random effects"
    return here, "random effects"


def _small(d):
    model, sizes = judged(d), d.group_sizes
    if not model["between"] > 0:
        return f"median {sizes.median():g} rows", "random effects"
    half = model["residual"] / model["between"]
    share = np.mean(sizes < half)
    here = "none" if half < 1 else f"{share:.0%} below {half:.3g} rows"
    return here, "random effects" if share else "either"


def _unbalanced(sizes):
    here = f"{sizes.min():g} to {sizes.max():g}, median {sizes.median():g}"
    return here, "random effects" if sizes.max() >= UNBALANCED * sizes.median() else "either"


def _number(n_groups):
    if n_groups < TOO_FEW_GROUPS:
        return str(n_groups), "fixed effects"
    return str(n_groups), "either" if n_groups < FEW_GROUPS else "random effects"


def _names(names):
    """Names as far as they fit."""
    text = ", ".join(map(str, names))
    if len(text) <= WIDTH:
        return text
    return shorten(f"{len(names)}, as {names[0]}", WIDTH, placeholder="...")
