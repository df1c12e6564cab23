"""Rows that effects of levels fit whatever they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array


def rows_alone(codes: Sequence[NDArray[np.intp]], n_levels: Sequence[int]) -> NDArray[np.bool_]:
    """Find rows that are alone in a level of a factor, and those alone once these are left out.

    Parameters
    ----------
    codes : sequence of ndarray of shape (n_rows,)
        For each factor the level of each row.
    n_levels : sequence of int
        Of each factor.

    Returns
    -------
    ndarray of shape (n_rows,), dtype bool
        Rows that tell nothing of what levels do not explain.
    """
    n = len(codes[0])
    counts = [np.bincount(c, minlength=m) for c, m in zip(codes, n_levels, strict=True)]
    # the sum of the positions of a level's rows is that of its row where one is left
    sums = [np.bincount(c, np.arange(n), m) for c, m in zip(codes, n_levels, strict=True)]
    alone = np.zeros(n, dtype=np.bool_)
    found = _positions(s[c == 1] for s, c in zip(sums, counts, strict=True))
    while len(found):
        alone[found] = True
        next_ones = []
        for code, count, total in zip(codes, counts, sums, strict=True):
            levels = code[found]
            np.subtract.at(count, levels, 1)
            np.subtract.at(total, levels, found)
            next_ones.append(total[levels[count[levels] == 1]])
        found = _positions(next_ones)
    return alone


def _positions(parts: Iterable[Array]) -> NDArray[np.intp]:
    return np.unique(np.concatenate([*parts])).astype(np.intp)
