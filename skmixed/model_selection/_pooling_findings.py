"""What a comparison of models says, and the numbers that it rests on."""

from __future__ import annotations

import numpy as np

from skmixed._reports.pooling_names import (
    FIXED,
    FIXED_SLOPES,
    INTERCEPT,
    KNOWN,
    MULTILEVEL,
    OURS,
    POOLED,
    REGIMES,
)
from skmixed.model_selection._paired_difference import TOO_FEW
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
    multilevel = _best(rmse, MULTILEVEL)
    others = rmse.index.difference(OURS)
    rivals = [[FIXED, FIXED_SLOPES], [POOLED], MULTILEVEL, others]
    for names in rivals:
        rival = _best(rmse.drop(multilevel), names)
        if rival is None:
            continue
        yield f"In {regime} {_verdict(comparison, regime, multilevel, rival)}"
        if regime == KNOWN and FIXED in names:
            yield from _for_whom(comparison, multilevel, rival)
    yield _intervals(comparison, regime, multilevel)


def _best(rmse, names):
    candidates = rmse[rmse.index.isin(names)]
    return candidates.idxmin() if len(candidates) else None


def _verdict(comparison, regime, model, rival):
    """Say which predicts better, if a test can tell."""
    found = comparison.difference(model, rival, regime)
    winner, loser = (model, rival) if found.difference < 0 else (rival, model)
    rmse = comparison.summary.loc[regime, "rmse"]
    decimals = decimals_for(found.std_error)
    against = f"{rmse[winner]:.{decimals}f} against {rmse[loser]:.{decimals}f}"
    gap = f"{abs(found.difference):.{decimals}f} (SE {found.std_error:.{decimals}f})"
    if found.p_value < 1 - LEVEL:
        return f"{winner} beats {loser} by {gap} in RMSE, {against}."
    tie = f"{winner} and {loser} cannot be told apart"
    if found.df <= TOO_FEW:
        tie += f" for lack of groups (they are worth {found.df + 1:.1f} of equal size)"
    return f"{tie}: RMSE {against}, a difference of {gap}."


def decimals_for(error):
    """Count the decimals that show two digits of a standard error.

    Parameters
    ----------
    error : float
        A number, or NaN.

    Returns
    -------
    int
        From 0 to 8.
    """
    return int(np.clip(1 - np.floor(np.log10(error)), 0, 8)) if error > 0 else 3


def _for_whom(comparison, model, rival):
    """Say in groups of which size two models differ most, among those where they differ."""
    table = comparison.by_group_size
    if len(table) == 1:
        return
    gaps = {rows: comparison._difference_by_size(model, rival, rows) for rows in table.index}
    gaps = {rows: gap for rows, gap in gaps.items() if gap.df > 0}  # more than one group
    if not gaps:
        return
    # Bonferroni's correction for the sizes looked at
    clear = [rows for rows, gap in gaps.items() if gap.p_value < (1 - LEVEL) / len(gaps)]
    widest = max(clear or gaps, key=lambda rows: abs(gaps[rows].difference))
    gap, row = gaps[widest], table.loc[widest]
    winner, loser = (model, rival) if gap.difference < 0 else (rival, model)
    decimals = decimals_for(gap.std_error)
    unit = "row" if widest == "1" else "rows"
    where = f"in groups of {widest} {unit} in training ({row['share']:.0%} of the tests)"
    numbers = (
        f"RMSE {row[winner]:.{decimals}f} of {winner} against {row[loser]:.{decimals}f}, a "
        f"difference of {abs(gap.difference):.{decimals}f} (SE {gap.std_error:.{decimals}f})"
    )
    if clear:
        yield f"For whom: the two differ most {where}: {numbers}."
    else:
        yield (
            "For whom: no size of groups tells the two apart by itself; the gap is "
            f"widest {where}: {numbers}."
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
        "intercept, mean of the folds), so a group's own mean outweighs the common line from "
        f"{half:.1f} training rows on. {small} of {len(sizes)} groups have fewer. In the "
        f"median group ({median:.4g}) it weighs {median / (median + half):.2f}; fixed effects "
        "give it 1, pooling 0."
    )
