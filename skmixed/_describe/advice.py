"""What is said of grouped data, and the numbers that it rests on."""

from __future__ import annotations

import numpy as np

# With fewer groups a variance between them is known to no better than +-70%.
TOO_FEW_GROUPS = 5
# With fewer, to no better than +-30%, and p-values need a small-sample correction.
FEW_GROUPS = 20
LEVEL = 0.05
# The fewest rows of a group that tell a line of its own from residuals.
ROWS_FOR_A_LINE = 3


def advise(description):
    """Turn a description of groups into sentences.

    Parameters
    ----------
    description : GroupDescription
        Sizes, shares of variation, variance components, slopes.

    Returns
    -------
    dict of tuple of str
        Sentences by approach, and the choice that follows.
    """
    impossible = _why_not(description)
    if impossible:
        return {"Choice": (impossible,)}
    return {
        "Complete pooling (groups ignored)": tuple(_pooling(description)),
        "Fixed effects (a coefficient for each group)": tuple(_fixed_effects(description)),
        "Random effects (groups drawn from a distribution)": tuple(
            _random_effects(description)
        ),
        "Choice": tuple(_choice(description)),
    }


def _why_not(d):
    """Say what leaves nothing to choose, if anything."""
    n_rows, n_groups = d.sizes["rows"], len(d.group_sizes)
    y = d.variation.iloc[0]
    if y["varies"] == "nowhere":
        return f"There is nothing to explain: {y.name} is the same in all {n_rows:.10g} rows."
    if n_groups == 1:
        return (
            f"Complete pooling: there is 1 group, {d.group_sizes.index[0]!r}, so differences "
            "between groups cannot be seen."
        )
    if d.group_sizes.max() <= 1:
        return (
            f"Complete pooling: each of the {n_groups} groups has 1 row, so differences "
            "between groups cannot be told from those between rows."
        )
    if y["varies"] == "between groups":
        return (
            f"Complete pooling of one row for each group: {y.name} does not vary within groups "
            f"(share 0%), so the {n_rows:.10g} rows tell no more than {n_groups} would."
        )
    if d.variance_components.isna().any(axis=None):
        return (
            f"Complete pooling: the features ({len(d.variation) - 1}) leave no residuals of "
            f"{y.name} in {n_rows:.10g} rows, so nothing is left for groups to differ in."
        )
    return None


def _pooling(d):
    components, n_rows = d.variance_components, d.sizes["rows"]
    of_y, given_features = components.iloc[0], components.iloc[-1]
    yield (
        f"{of_y['icc']:.1%} of the variance of {d.variation.index[0]} lies between groups "
        f"(intraclass correlation {of_y['icc']:.3f}; test that it is 0: "
        f"{_p(of_y['p_value'])})."
    )
    if len(components) > 1:
        icc, p_value = given_features[["icc", "p_value"]]
        yield f"Given the features it is {icc:.1%} ({_p(p_value)})."
    effect = of_y["design_effect"]
    yield (
        f"About the mean, and about features of groups, the rows tell as much as "
        f"{n_rows / effect:.0f} independent ones (design effect {effect:.2f}). Standard errors "
        f"that ignore groups are too small there, by a factor of {np.sqrt(effect):.2f}."
    )


def _fixed_effects(d):
    sizes, level_2 = d.sizes, _level_2(d)
    n_groups, singletons = int(sizes["groups"]), int(sizes["singletons"])
    yield (
        f"{n_groups} levels are estimated from {sizes['rows']:.10g} rows, "
        f"{sizes['mean']:.1f} a group."
    )
    if singletons:
        yield (
            f"{_count(singletons, 'group')} of 1 row, which its own level uses up: "
            f"{singletons / sizes['rows']:.1%} of the rows say nothing about slopes."
        )
    if level_2:
        yield (
            f"No slope for {_names(level_2)}: 0% of the variation lies within groups, where "
            "fixed effects look."
        )
    dependent = [name for name in d.without_fixed_effects_slope if name not in level_2]
    if dependent:
        yield (
            f"No slope for {_names(dependent)}: within groups they depend linearly on the "
            "features before (to all but a share of 1e-12)."
        )
    yield from _slopes(d.slopes)


def _slopes(comparison):
    """Say what Hausman's test finds."""
    if comparison is None or not comparison.df:
        return
    if comparison.p_value >= LEVEL:
        yield (
            "Slopes within and between groups do not differ by more than chance "
            f"({comparison.as_text()}), so a random-effects slope means both."
        )
    else:
        most = comparison.slopes.loc[comparison.slopes["z"].abs().idxmax()]
        yield (
            f"Slopes within and between groups differ ({comparison.as_text()}), most that of "
            f"{most.name}: {most['within']:.3g} within, {most['between']:.3g} between. Group "
            "effects are correlated with features, and a single random-effects slope would be "
            "a mixture. Fixed effects give the slope within groups, and so does WithinBetween."
        )
    yield from comparison.remarks[1:]


def _precision_of_variance(d):
    n_groups, verdict = len(d.group_sizes), "enough"
    if n_groups < FEW_GROUPS:
        verdict = "too few" if n_groups < TOO_FEW_GROUPS else "few"
    return (
        f"The variance between {n_groups} groups is known to about "
        f"+-{_error_of_variance(d):.0%} at best: {verdict} groups for it."
    )


def _random_effects(d):
    sizes, model = d.group_sizes, d.variance_components.iloc[-1]
    yield _precision_of_variance(d)
    if model["between"] > 0:
        half, median = model["residual"] / model["between"], sizes.median()
        small = int(np.count_nonzero(sizes < half))
        yield (
            f"From {half:.1f} rows on, a group's own mean counts for more than the common "
            f"line; {small} of {len(sizes)} groups have fewer. The median group has "
            f"{median:g}, and its own mean a weight of {median / (median + half):.2f}."
        )
    else:
        yield (
            "The variance between groups is estimated as 0, so all groups are predicted by the "
            "common line."
        )
    if d.variation["varies"].iloc[1:].isin(["both", "within groups"]).any():
        enough = int(np.count_nonzero(sizes >= ROWS_FOR_A_LINE))
        yield (
            f"{enough} of {len(sizes)} groups have {ROWS_FOR_A_LINE} rows or more, as they "
            "need to say something about slopes of their own."
        )
    level_2 = _level_2(d)
    if level_2:
        yield (
            f"There can be a slope of {_names(level_2)}, for which the {len(sizes)} groups "
            "count as rows."
        )
    yield (
        "A new group is predicted by the common line, with a standard deviation between groups "
        f"of {np.sqrt(model['between']):.3g} as part of the uncertainty."
    )


def _choice(d):
    n_groups, p_value = len(d.group_sizes), d.variance_components["p_value"].iloc[-1]
    given = " given the features" if len(d.variation) > 1 else ""
    if n_groups < TOO_FEW_GROUPS:
        yield (
            f"Fixed effects: {n_groups} groups are too few to estimate a variance from "
            f"(+-{_error_of_variance(d):.0%} at best)."
        )
        return
    if p_value < LEVEL:
        yield (
            f"Random effects: groups differ{given} ({_p(p_value)}), and the variance between "
            f"{n_groups} of them can be estimated (+-{_error_of_variance(d):.0%} at best)."
        )
    else:
        yield (
            f"Complete pooling will do: groups do not differ by more than chance{given} "
            f"({_p(p_value)}). A random intercept does no harm."
        )
    if d.slopes is not None and d.slopes.p_value < LEVEL:
        yield (
            "Split the features by WithinBetween: slopes within and between groups differ "
            f"({_p(d.slopes.p_value)}). Those within are then the slopes of fixed effects."
        )
    if n_groups < FEW_GROUPS:
        yield (
            f"With {n_groups} groups use REML, and p-values with a small-sample correction. "
            "Fixed effects are as good if no other groups matter."
        )


def _error_of_variance(d):
    """Relative standard error of a variance that is estimated from J normal draws."""
    return np.sqrt(2 / (len(d.group_sizes) - 1))


def _level_2(d):
    varies = d.variation["varies"].iloc[1:]
    return list(varies.index[varies == "between groups"])


def _names(names):
    return ", ".join(map(str, names))


def _count(number, noun):
    return f"There is 1 {noun}" if number == 1 else f"There are {number} {noun}s"


def _p(value):
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
