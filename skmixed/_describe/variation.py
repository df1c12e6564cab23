"""Where y and the features vary: within groups, or between them."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.moments.within_between import count_where_varying, shares
from skmixed._reports.summary import shares_of_variation


def variation_of(lines, rows, sizes, variables):
    """Tabulate the shares of variation of y and the features, and the groups of each.

    Parameters
    ----------
    lines : OwnLines
        Of the groups of a factor.
    rows : TrainingRows
        Those that have a weight, with the codes of that factor.
    sizes : ndarray of shape (n_groups,)
        Rows of each group.
    variables : Index of shape (1 + n_features,)
        Names of y and the features.

    Returns
    -------
    DataFrame of shape (1 + n_features, 5)
        As `GroupDescription` has it.
    """
    within, between = shares(lines)
    variation = shares_of_variation(np.roll(within, 1), np.roll(between, 1), variables)
    return variation.assign(**_count(rows, sizes, variation["varies"]))


def _count(rows, sizes, varies):
    """Count groups and rows in which y and the features vary."""
    y = rows.y[:, None]
    parts = [count_where_varying(values, rows.codes, sizes) for values in (y, rows.X)]
    # what is but rounding within groups does not count
    constant = ~varies.isin(["both", "within groups"]).to_numpy()
    groups, n_rows = (
        np.where(constant, 0, np.concatenate(each)) for each in zip(*parts, strict=True)
    )
    whole = np.array_equal(n_rows, np.round(n_rows))
    return {"groups": groups.astype(int), "rows": n_rows.astype(int) if whole else n_rows}


def variation_as_text(variation):
    """Write shares as per cent, and numbers without needless decimals."""
    text, there = variation.copy(), variation["between"].notna()
    for share in ("between", "within"):
        text[share] = text[share].map("{:.1%}".format).where(there, "")
    text[["groups", "rows"]] = text[["groups", "rows"]].map(number_as_text)
    return text[["between", "within", "varies", "groups", "rows"]]


def number_as_text(number):
    """Write whole numbers without decimals, others with two."""
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.2f}"
