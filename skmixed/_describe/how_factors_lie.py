"""How the groups of several factors lie to one another: nested, crossed, in parts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from skmixed._reports.several_factors import labels_used_again

SAME, NESTED, CROSSED, PARTLY = "the same groups", "nested", "crossed", "partly crossed"


def how_factors_lie(moments, names):
    """Tabulate pairs of factors; of a nested pair the inner factor is the first.

    Parameters
    ----------
    moments : FactorMoments
        Of the rows.
    names : list of str
        Of the factors.

    Returns
    -------
    DataFrame of shape (n_pairs, 6)
        As `FactorsDescription` has it.
    """
    counters = {frozenset(pair): pair for pair in labels_used_again(moments)}
    rows = {}
    for f, g in moments.cells:
        # the finer factor first, so that it is the one that may be nested
        if len(moments.factors[f].labels) < len(moments.factors[g].labels):
            f, g = g, f
        again = frozenset((f, g)) in counters
        rows[names[f], names[g]] = {**_pair(moments, f, g), "labels_used_again": again}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(rows, names=["first", "second"])
    return table


def _pair(moments, f, g):
    cells, sizes = moments.between(f, g), [len(moments.factors[i].labels) for i in (f, g)]
    n_cells = len(cells.first)
    n_met = np.bincount(cells.first, minlength=sizes[0])
    return {
        "relation": _relation(n_cells, *sizes),
        "meet": n_cells / (sizes[0] * sizes[1]),
        "rows_per_pair": float(cells.values[0, 0].mean()),
        "parts": _count_parts(cells, *sizes),
        "in_several": int(np.count_nonzero(n_met > 1)),
    }


def _relation(n_cells, n_first, n_second):
    if n_cells == n_first == n_second:
        return SAME
    if n_cells == n_first:
        return NESTED
    return CROSSED if n_cells == n_first * n_second else PARTLY


def _count_parts(cells, n_first, n_second):
    """Count the parts of the groups that no row ties together."""
    n = n_first + n_second
    links = np.ones(len(cells.first), dtype=bool), (cells.first, n_first + cells.second)
    return int(connected_components(sparse.coo_array(links, shape=(n, n)), directed=False)[0])
