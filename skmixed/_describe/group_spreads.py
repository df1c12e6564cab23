"""Mean and standard deviation of y in each group."""

from __future__ import annotations

import numpy as np
import pandas as pd

from skmixed._numerics.inference.squeezed_variances import SqueezedVariances
from skmixed._reports.layout import column_as_text

# As many groups are printed one by one; of more, quantiles.
GROUPS_TO_PRINT = 12
QUANTILES = {"smallest": 0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}
QUANTILES |= {"largest": 1}


def deviations_in_groups(values, codes, weight):
    """Values less their group's mean; and means, sums of squares and sizes of groups."""
    sizes = np.bincount(codes, weight)
    means = np.bincount(codes, weight * values) / sizes
    values = values - means[codes]
    return values, means, np.bincount(codes, weight * values**2), sizes


def group_spreads(rows, labels):
    """Tabulate size, mean, std and shrunken_std of y in each group."""
    weight = np.ones(len(rows.y)) if rows.sample_weight is None else rows.sample_weight
    centre = np.average(rows.y, weights=weight)
    _, means, squares, sizes = deviations_in_groups(rows.y - centre, rows.codes, weight)
    df = np.maximum(sizes - 1, 0.0)
    squares = np.where(df > 0, squares, 0.0)
    variances = np.divide(squares, df, out=np.full(len(df), np.nan), where=df > 0)
    shrunken = SqueezedVariances.from_squares(squares, df).variances
    columns = {"size": sizes, "mean": centre + means, "std": np.sqrt(variances)}
    return pd.DataFrame(columns | {"shrunken_std": np.sqrt(shrunken)}, index=labels)


def spreads_as_text(spreads):
    """Title and table: each group, or quantiles of each column over many groups."""
    title = "Mean and spread of y in each group"
    if len(spreads) > GROUPS_TO_PRINT:
        title = f"Mean and spread of y: quantiles over {len(spreads)} groups (`group_spreads`)"
        spreads = spreads.quantile(list(QUANTILES.values())).set_axis(list(QUANTILES))
    return title, spreads.apply(column_as_text)
