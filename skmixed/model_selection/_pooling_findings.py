"""What a comparison of models says, and the numbers that it rests on."""

from __future__ import annotations

import numpy as np

from skmixed._reports.pooling_names import (
    INTERCEPT,
    KNOWN,
    LOSSES,
    MULTILEVEL,
    icc_of,
    intercept_of,
    listed,
)
from skmixed.model_selection._paired_difference import TOO_FEW, decimals_for
from skmixed.model_selection._pooling_measures import LEVEL
from skmixed.model_selection._pooling_outcomes import CALIBRATION

# Degrees of freedom below which a test is called a hint.
FEW = 10
SLOPES_NOT_COMPARED = (
    "Slopes that differ between groups were not compared: pass slopes='all', or the columns."
)

NO_VARIANCE = (
    "Why: given the features the variance between groups is estimated as 0, so partial "
    "pooling is complete pooling."
)


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
    for regime in comparison._regimes:
        yield from _find_in(comparison, regime)
    yield from _reason(comparison)
    if comparison._slopes_left_out:
        yield SLOPES_NOT_COMPARED


def _find_in(comparison, regime):
    """Compare the better multilevel model with fixed effects, with pooling, and with others."""
    outcome = comparison._outcome
    losses = comparison.summary.loc[regime, outcome.loss].dropna()
    multilevel = _best(losses, MULTILEVEL)
    if multilevel is None:
        return
    of_one = [intercept_of(name) for name in _factors(comparison)]
    ours = [name for names in outcome.rivals for name in names]
    others = losses.index.difference([*ours, *MULTILEVEL, *of_one])
    for names in [*outcome.rivals, of_one, MULTILEVEL, others]:
        rival = _best(losses.drop(multilevel), names)
        if rival is None:
            continue
        yield f"In {regime} {_verdict(comparison, regime, multilevel, rival)}"
        if regime == KNOWN and names is outcome.rivals[0] and not of_one:
            yield from _for_whom(comparison, multilevel, rival)
    explained = comparison.summary.loc[regime, outcome.explained].max()
    if explained <= 0:
        yield (
            f"In {regime} no model predicts better than {outcome.mean_of_y} in the rows "
            f"tested: {outcome.explained} is {explained:.3f} at best."
        )
    say_more = _intervals if outcome.is_continuous else _calibration
    yield say_more(comparison, regime, multilevel)


def _factors(comparison):
    """Names of several factors; none of one."""
    return [*comparison._sizes] if len(comparison._sizes) > 1 else []


def _best(losses, names):
    candidates = losses[losses.index.isin(names)]
    return candidates.idxmin() if len(candidates) else None


def _verdict(comparison, regime, model, rival):
    """Say which predicts better, if a test can tell."""
    found = comparison.difference(model, rival, regime)
    winner, loser = (model, rival) if found.difference < 0 else (rival, model)
    loss = comparison._outcome.loss
    name, losses = LOSSES[loss], comparison.summary.loc[regime, loss]
    decimals = decimals_for(found.std_error)
    if found.difference == found.std_error == 0:
        return f"{model} and {rival} predict the same: {name} {losses[model]:.{decimals}f}."
    against = f"{losses[winner]:.{decimals}f} against {losses[loser]:.{decimals}f}"
    gap = f"{abs(found.difference):.{decimals}f} ({found._error()})"
    if found.p_value < 1 - LEVEL:
        return f"{winner} beats {loser} by {gap} in {name}, {against}.{_hint(found)}"
    tie = f"{winner} and {loser} cannot be told apart"
    if found.df <= TOO_FEW:
        tie += f" for lack of groups (they {_worth(found)})"
    return f"{tie}: {name} {against}, a difference of {gap}."


def _hint(found):
    """Say that a test rests on few groups, if it does."""
    return f" Take it for a hint: groups {_worth(found)}." if found.df < FEW else ""


def _worth(found):
    return f"are worth {found.df + 1:.1f} of equal size, df = {found.df:.1f}"


def _for_whom(comparison, model, rival):
    """Say in groups of which size two models differ most, among those where they differ."""
    table = comparison.by_group_size
    if len(table) == 1:
        return
    (factor,) = comparison._sizes
    gaps = {
        rows: comparison._difference_by_size(model, rival, rows, factor) for rows in table.index
    }
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
        f"{LOSSES[comparison._outcome.loss]} {row[winner]:.{decimals}f} of {winner} against "
        f"{row[loser]:.{decimals}f}, a difference of {abs(gap.difference):.{decimals}f} "
        f"({gap._error(len(gaps))})"
    )
    if clear:
        yield f"For whom: the two differ most {where}: {numbers}.{_hint(gap)}"
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


def _calibration(comparison, regime, model):
    """Say whether predictions are true on average."""
    slope, level = comparison.summary.loc[(regime, model), CALIBRATION]
    what = "probabilities" if comparison.classes is not None else "means"
    start = f"In {regime} the {what} of {model} have a calibration"
    if np.isnan(slope):
        return f"{start} intercept of {level:.2f} (right on average: 0)."
    return f"{start} slope of {slope:.2f} and intercept of {level:.2f} (right: 1 and 0)."


def _reason(comparison):
    if _factors(comparison):
        return _why_several(comparison)
    return _why(comparison) if comparison._outcome.is_continuous else _why_on_link(comparison)


def _why_on_link(comparison):
    """Say how much groups differ on the scale of the link."""
    scores = comparison.scores
    known = scores[(scores["regime"] == KNOWN) & (scores["model"] == INTERCEPT)]
    icc = known["icc"].mean()
    if np.isnan(icc):
        return
    if icc == 0:
        yield NO_VARIANCE
        return
    scale = "log-odds" if comparison.classes is not None else "logarithm of the mean"
    yield (
        f"Why: given the features {icc:.1%} of the variance on the scale of the {scale} lies "
        "between groups (random intercept, mean of the folds)."
    )


def _why(comparison):
    """Say from which size on a group's own mean outweighs the common line."""
    scores, sizes = comparison.scores, comparison.group_sizes
    known = scores[(scores["regime"] == KNOWN) & (scores["model"] == INTERCEPT)]
    icc = known["icc"].mean()
    if np.isnan(icc):
        return
    if icc == 0:
        yield NO_VARIANCE
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


def _why_several(comparison):
    """Say how much of the variance lies between groups of each factor."""
    scores = comparison.scores
    known = scores[(scores["regime"] == KNOWN) & (scores["model"] == INTERCEPT)]
    if known["icc"].isna().all():
        return
    shares = {name: known[icc_of(name)].mean() for name in comparison._sizes}
    parts = [f"to {share:.1%} between groups of {name}" for name, share in shares.items()]
    parts.append(f"to {1 - sum(shares.values()):.1%} within all of these")
    yield (
        f"Why: the variance that the features leave lies {listed(parts)} (random intercept, "
        "mean of the folds). What lies between groups of a factor is lost where they are new."
    )
