"""Tables of tests and intervals."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import t

DfMethod = Literal["satterthwaite", "kenward-roger", "normal"]


def with_tests(estimate, std_error, df, level, terms):
    """Table of t tests against 0 and intervals."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / std_error
    half = t.isf((1 - level) / 2, df) * std_error
    columns = {
        "estimate": estimate,
        "std_error": std_error,
        "df": df,
        "t": statistic,
        "p_value": 2 * t.sf(np.abs(statistic), df),
        "lower": estimate - half,
        "upper": estimate + half,
    }
    return pd.DataFrame(columns, index=terms.rename("term"))


def with_z_tests(estimate, std_error, level, terms):
    """Table of z tests against 0 and intervals."""
    frame = with_tests(estimate, std_error, np.inf, level, terms)
    return frame.drop(columns="df").rename(columns={"t": "z"})
