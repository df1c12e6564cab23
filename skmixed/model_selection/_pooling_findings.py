"""What a comparison of models says, and the numbers that it rests on."""

from __future__ import annotations

import numpy as np
from scipy.stats import t

from skmixed.model_selection._pooling_names import (
    FIXED,
    FIXED_SLOPES,
    INTERCEPT,
    KNOWN,
    POOLED,
    REGIMES,
    SLOPES,
)
from skmixed.model_selection._pooling_scores import LEVEL


def find(comparison):
    """Turn scores into sentences.

    Parameters
    ----------
    comparison : PoolingComparison
        Scores of all folds.

    Yields
    ------
    str
        A sentence or two with their numbers.
    """
    for regime in REGIMES:
        yield from _find_in(comparison, regime)
    yield from _why(comparison)


def _find_in(comparison, regime):
    """Compare the better multilevel model with fixed effects, with pooling, and with others."""
    rmse = comparison.summary.loc[regime, "rmse"].dropna()
    ours = [POOLED, FIXED, FIXED_SLOPES, INTERCEPT, SLOPES]
    multilevel = _best(rmse, [INTERCEPT, SLOPES])
    if multilevel is None:
        return
    rivals = [[FIXED, FIXED_SLOPES], [POOLED], [SLOPES, INTERCEPT], rmse.index.difference(ours)]
    for names in rivals:
        rival = _best(rmse.drop(multilevel), names)
        if rival is None:
            continue
        sentence, winner, loser = _verdict(comparison, regime, multilevel, rival)
        yield f"In {regime} {sentence}"
        if winner and regime == KNOWN and names[0] == FIXED:
            yield from _for_whom(comparison, winner, loser)
    yield _intervals(comparison, regime, multilevel)


def _best(rmse, names):
    there = rmse[rmse.index.isin(names)]
    return there.idxmin() if len(there) else None


def _verdict(comparison, regime, model, rival):
    """Say which predicts better, if a t test tells; also who won and who lost."""
    difference, error = comparison.difference(model, rival, regime)
    n_folds = comparison.scores.groupby(["repeat", "fold"]).ngroups
    winner, loser = (model, rival) if difference < 0 else (rival, model)
    rmse = comparison.summary.loc[regime, "rmse"]
    decimals = _decimals(error)
    against = f"{rmse[winner]:.{decimals}f} against {rmse[loser]:.{decimals}f}"
    gap = f"{abs(difference):.{decimals}f} (SE {error:.{decimals}f})"
    if abs(difference) > t.ppf((1 + LEVEL) / 2, n_folds - 1) * error:
        return f"{winner} beats {loser} by {gap} in RMSE, {against}.", winner, loser
    sentence = (
        f"{winner} and {loser} cannot be told apart: RMSE {against}, a difference of {gap}."
    )
    return sentence, None, None


def _decimals(error):
    """Two digits of the standard error."""
    return int(np.clip(1 - np.floor(np.log10(error)), 0, 8)) if error > 0 else 3


def _for_whom(comparison, winner, loser):
    """Say which sizes of groups gain most and least."""
    table = comparison.by_group_size
    gains = (table[loser] - table[winner]).to_numpy()
    most, least = np.argmax(gains), np.argmin(gains)
    if len(table) == 1:
        return
    yield (
        f"That is most in groups of {_rows(table, most, winner, loser)}; least in groups of "
        f"{_rows(table, least, winner, loser)}."
    )


def _rows(table, i, winner, loser):
    row = table.iloc[i]
    return (
        f"{table.index[i]} training rows (RMSE {row[winner]:.4g} against {row[loser]:.4g}; "
        f"{row['share']:.0%} of the rows)"
    )


def _intervals(comparison, regime, model):
    coverage, width = comparison.summary.loc[(regime, model), ["coverage", "width"]]
    return (
        f"In {regime} {LEVEL:.0%} intervals of {model} cover {coverage:.1%} of the rows; their "
        f"mean width is {width:.4g}."
    )


def _why(comparison):
    """Say from which size on a group's own mean outweighs the common line."""
    scores, sizes = comparison.scores, comparison.group_sizes
    known = scores[(scores["regime"] == KNOWN) & (scores["model"] == INTERCEPT)]
    icc = known["icc"].mean()
    if np.isnan(icc):
        return
    if icc == 0:
        yield (
            "Why: given the features the variance between groups is estimated as 0, so partial "
            "pooling is complete pooling."
        )
        return
    train = known["n_train"].sum() / known[["n_train", "n_test"]].to_numpy().sum()
    half = (1 - icc) / icc
    small, median = np.count_nonzero(sizes * train < half), sizes.median() * train
    yield (
        f"Why: given the features {icc:.1%} of the variance lies between groups (random "
        f"intercept, mean of the folds), so a group's own mean outweighs the common line from "
        f"{half:.1f} training rows on. {small} of {len(sizes)} groups have fewer. In the median "
        f"group ({median:.4g}) it weighs {median / (median + half):.2f}; fixed effects give it "
        "1, pooling 0."
    )
