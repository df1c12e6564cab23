"""How rows are split for the questions of a comparison: which groups are new."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import GroupKFold

from skmixed._reports.pooling_names import KNOWN, NEW, name_regime
from skmixed.model_selection._split import WithinGroupKFold, divide_groups


class Split(NamedTuple):
    """Rows to fit, rows to predict, and what is asked of them."""

    regime: str
    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray


def split_regimes(groups, n_splits, n_repeats, rng):
    """List the splits of all regimes, of one factor or several."""
    codes = groups.codes
    if not groups.are_several:
        return list(split_rows(codes[:, 0], n_splits, n_repeats, rng))
    splits = list(split_cells(codes, groups.names, n_splits, n_repeats, rng))
    if not any(split.regime == KNOWN for split in splits):
        raise ValueError(
            "Some rows must have other rows in all of their groups, so that there are new rows "
            f"in known groups, but of {len(codes)} rows none has known groups of all factors, "
            f"{list(groups.names)}, in a fold. Compare fewer factors."
        )
    return splits


def split_rows(codes, n_splits, n_repeats, rng):
    """Split one factor for both regimes, each repeat shuffled anew."""
    rows = np.empty((len(codes), 0))
    for repeat, seed in enumerate(rng.randint(2**31, size=n_repeats)):
        for regime, splitter in ((KNOWN, WithinGroupKFold), (NEW, GroupKFold)):
            folds = splitter(n_splits, shuffle=True, random_state=int(seed))
            for fold, (train, test) in enumerate(folds.split(rows, groups=codes)):
                yield Split(regime, repeat, fold, train, test)


def split_cells(codes, names, n_splits, n_repeats, rng):
    """Split several factors for all regimes; each tests only rows that are of it.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_factors)
        Groups of each factor, numbered from 0.
    names : sequence of str
        Of the factors.
    n_splits : int
        Parts of the rows, or of the groups of a factor.
    n_repeats : int
        How often they are drawn.
    rng : RandomState
        Draws them.

    Yields
    ------
    Split
        Those without rows to test or to train are left out.
    """
    regimes = find_regimes(codes)
    for repeat in range(n_repeats):
        for is_new, held_out in regimes.items():
            regime = name_regime([name for name, new in zip(names, is_new, strict=True) if new])
            folds = _folds(codes, held_out, n_splits, rng)
            for fold, (train, test) in enumerate(folds):
                test = test[np.all(_are_new(codes, train, test) == is_new, axis=1)]
                if len(train) and len(test):
                    yield Split(regime, repeat, fold, train, test)


def find_regimes(codes):
    """Find out which factors can be new together, and by which of them to split.

    The groups of a factor that is nested in a new one are new, too.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_factors)
        Groups of each factor.

    Returns
    -------
    dict of tuple of bool to list of int
        By whether each factor is new: none, each of them with what is nested in it, the widest
        last, and all. The values are the factors whose groups are held out.
    """
    factors = range(codes.shape[1])
    nested = np.array([[_is_nested(codes, g, f) for g in factors] for f in factors])
    # nested[f, g]: groups of g lie in those of f
    outermost = [g for g in factors if nested[:, g].sum() == 1]
    regimes = {(False,) * len(factors): []}
    for factor in sorted(factors, key=lambda f: nested[f].sum()):
        regimes[tuple(nested[factor].tolist())] = [factor]
    regimes.setdefault((True,) * len(factors), outermost)
    return regimes


def _is_nested(codes, inner, outer):
    n_pairs = len(np.unique(codes[:, [inner, outer]], axis=0))
    return n_pairs == codes[:, inner].max() + 1


def _folds(codes, held_out, n_splits, rng):
    """Pairs of training and test rows."""
    if not held_out:
        finest = codes[:, np.argmax(codes.max(axis=0))]
        folds = WithinGroupKFold(n_splits, shuffle=True, random_state=rng)
        yield from folds.split(finest, groups=finest)
        return
    parts = [divide_groups(codes[:, factor], n_splits, rng) for factor in held_out]
    n_others = n_splits if len(held_out) > 1 else 1
    for one, step in product(range(n_splits), range(n_others)):
        # of two factors all pairs of parts; of more, as many combinations in a Latin square
        here = [part == (one + i * step) % n_splits for i, part in enumerate(parts)]
        yield (
            np.flatnonzero(~np.logical_or.reduce(here)),
            np.flatnonzero(np.logical_and.reduce(here)),
        )


def _are_new(codes, train, test):
    """Whether the groups of test rows have no row in training, for each factor."""
    columns = [
        np.isin(of_factor[test], of_factor[train], invert=True, kind="table")
        for of_factor in codes.T
    ]
    return np.column_stack(columns)
