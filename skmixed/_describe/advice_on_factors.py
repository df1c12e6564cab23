"""What is said of several grouping factors, and the numbers that it rests on."""

from __future__ import annotations

import numpy as np

from skmixed._describe.advice import (
    FEW_GROUPS,
    LEVEL,
    LITTLE_TOO_SMALL,
    LITTLE_WORSE,
    SURE,
    TOO_FEW_GROUPS,
    cost_of_pooling,
)
from skmixed._describe.how_factors_lie import NESTED, PARTLY, SAME
from skmixed._describe.words import count, limits, listed, named, of_rows, p_of, rounded
from skmixed._reports.level_2 import features_of_groups

RANDOM, FIXED, JOIN, LEAVE_OUT, NO_MATTER = "random", "fixed", "join", "leave out", "no matter"
# Beside its labels joined to others' a factor must differ clearly to count as one of its own.
CLEARLY = 0.01
# Of two factors that are all but nested so few groups of the inner one are in several others.
FEW_IN_SEVERAL = 0.1


def advise(d):
    """Turn a description of several factors into sentences.

    Parameters
    ----------
    d : FactorsDescription
        Sizes, pairs, shares of variation, variances.

    Returns
    -------
    dict of tuple of str
        The choice, and sentences that it follows from.
    """
    found = treatments(d)
    return {
        "Choice": tuple(_choice(d, found)),
        "How the factors lie to one another": tuple(_pairs(d)),
        **{f"Factor {name}": tuple(_factor(d, name)) for name in d.group_sizes},
    }


def treatments(d):
    """Decide on each factor.

    Parameters
    ----------
    d : FactorsDescription
        Sizes, pairs, variances.

    Returns
    -------
    dict of str to (str, str)
        The treatment, and a sentence that says why.
    """
    nothing = _nothing_to_explain(d)
    if nothing:
        return dict.fromkeys(d.group_sizes, (LEAVE_OUT, nothing))
    joins = {second: first for first, second in _clear(d) if not _counts(d, first, second)}
    found = {}
    for name in d.group_sizes:
        if name in d.set_aside:
            found[name] = LEAVE_OUT, f"{name}: leave it out, since {d.set_aside[name]}."
        elif name in joins:
            found[name] = JOIN, _join(d, joins[name], name)
        else:
            found[name] = _judge(d, name)
    return found


# -------------------------------------------------------------------------------- the choice


def _choice(d, found):
    if _nothing_to_explain(d):
        yield _nothing_to_explain(d)
        return
    yield from (sentence for _, sentence in found.values())
    for first, second in _clear(d):
        if found[second][0] != JOIN:
            yield _add(d, first, second)
    yield from _in_code(d, found)
    few = [name for name in found if found[name][0] == RANDOM and _n(d, name) < FEW_GROUPS]
    if few:
        sizes = listed(f"{_n(d, name)} groups of {name}" for name in few)
        yield (
            f"With {sizes} take p-values with a small-sample correction: "
            "summary(df_method='kenward-roger')."
        )


def _in_code(d, found):
    """Write down the call that follows."""
    random = [name for name, (treatment, _) in found.items() if treatment == RANDOM]
    joined = _clear(d)
    if not random and not joined:
        yield "No factor is left for a random effect: PooledRegressor ignores the groups."
    elif any(given is None for given in d.given.values()):
        more = [":".join(pair) for pair in joined]
        yield f"So give groups with the columns {named(map(repr, [*random, *more]))}."
    else:
        tuples = [
            f"({_as_given(d, first)}, {_as_given(d, second)})" for first, second in joined
        ]
        again = " Describe the groups again by these." if joined else ""
        parts = [*(_as_given(d, name) for name in random), *tuples]
        yield f"In code: group_by=[{', '.join(parts)}].{again}"


def _as_given(d, name):
    return repr(d.given[name])


def _nothing_to_explain(d):
    y = d.variation.iloc[0]
    target = d.variation.index[0][1]
    if y["varies"] == "nowhere":
        return f"There is nothing to explain: {target} is the same in all rows."
    usable = [name for name in d.group_sizes if name not in d.set_aside]
    if usable and np.isnan(d.variance_components.loc["Residual", "variance"]):
        return (
            f"The features leave nothing of {target} for groups to differ in, or too few rows "
            "to see it."
        )
    return None


def _judge(d, name):
    """Weigh a factor by its number of groups, its test, and what ignoring it would cost."""
    n_groups, row = _n(d, name), d.variance_components.loc[name]
    of_groups = features_of_groups(_varies(d), _nested(d))[name]
    if n_groups < TOO_FEW_GROUPS:
        return _few_groups(name, n_groups, row, of_groups)
    if row["p_value"] < LEVEL:
        return RANDOM, (
            f"{name}: a random effect. Its groups differ, given the other factors"
            f"{_and_features(d)} ({_share(row)}; {p_of(row['p_value'])})."
        )
    shown = f"no differences between its groups are shown ({p_of(row['p_value'])})"
    if np.isnan(row["upper"]):
        return RANDOM, (
            f"{name}: a random effect to be safe: {shown}, and so many groups cross that "
            "limits of its share are not computed."
        )
    worse, too_small = cost_of_pooling(d.group_sizes[name].to_numpy(), row["upper"])
    error = f"{worse:.1%} worse" if worse < 1 else f"with {1 + worse:.1f} times the error"
    may = (
        f"{_share(row)}; at the upper limit leaving it out would predict its known groups "
        f"{error}, and make the standard error of a mean too small by a factor of "
        f"{too_small:.2f}"
    )
    harmless = too_small <= 1 + LITTLE_TOO_SMALL or not of_groups
    if worse <= LITTLE_WORSE and harmless:
        return NO_MATTER, (
            f"{name}: it may be left out for predictions: {shown}, and large ones are ruled "
            f"out ({may})."
        )
    return RANDOM, (
        f"{name}: a random effect, since the data cannot tell: {shown}, but they are not ruled "
        f"out ({may}). With a variance of 0 it does no harm."
    )


def _few_groups(name, n_groups, row, of_groups):
    if of_groups:
        return RANDOM, (
            f"{name}: a random effect, with caution: dummies would leave no slope for "
            f"{named(of_groups)}, but {n_groups} groups can hardly tell one either, nor the "
            f"variance between them ({_share(row)}). Look for more groups."
        )
    return FIXED, (
        f"{name}: dummies of its {n_groups} groups as features, if the question is about "
        f"these: they are too few to estimate a variance from ({_share(row)})."
    )


def _join(d, first, second):
    row = d.joined.loc[(first, second)]
    alone = f"Beside the joined labels {second} tells nothing"
    return (
        f"{second}: join its labels to those of {first}. {_alike(d, first, second)}, as if its "
        f"groups were others in each of {first}. {alone} ({p_of(row['p_value_of_second'])})."
    )


def _add(d, first, second):
    return (
        f"{first} and {second}: join their labels to one factor more. "
        f"{_alike(d, first, second)}."
    )


def _alike(d, first, second):
    row = d.joined.loc[(first, second)]
    return (
        f"Rows of the same {first} and {second} are more alike than these two tell "
        f"({row['share']:.0%} of the variance; {p_of(row['p_value'])})"
    )


def _clear(d):
    """Pairs whose joined groups differ clearly: of each second factor the clearest."""
    clear = d.joined[d.joined["p_value"] < SURE].sort_values("p_value")
    found = {}
    for first, second in clear.index:
        found.setdefault(second, first)
    return [(first, second) for second, first in found.items()]


def _counts(d, first, second):
    """Whether the second factor tells something beside the joined one."""
    return d.joined.loc[(first, second), "p_value_of_second"] < CLEARLY


# ---------------------------------------------------------------------------------- the pairs


def _pairs(d):
    for (first, second), how in d.pairs.iterrows():
        yield from _pair(d, first, second, how)


def _pair(d, first, second, how):
    n_first, n_second = _n(d, first), _n(d, second)
    if how["relation"] == SAME:
        yield f"{first} and {second} divide the rows into the same {n_first:,} groups."
        return
    if how["relation"] == NESTED:
        yield (
            f"{first} is nested in {second}: each of its {n_first:,} groups is in one of the "
            f"{n_second:,} of {second}."
        )
        return
    met = round(how["meet"] * n_first * n_second)
    yield (
        f"{first} and {second} are {how['relation']}: {met:,} of {n_first * n_second:,} pairs "
        f"of groups meet ({rounded(how['meet'])}), in {how['rows_per_pair']:.1f} rows each."
    )
    if how["parts"] > 1:
        yield (
            f"No row ties the {how['parts']} parts together into which {first} and {second} "
            "fall, so groups of different parts are compared by the distribution of their "
            "effects alone."
        )
    if how["relation"] == PARTLY and how["in_several"] <= FEW_IN_SEVERAL * n_first:
        yield (
            f"They are weakly connected: of the {n_first:,} groups of {first} only "
            f"{how['in_several']:,} {'has' if how['in_several'] == 1 else 'have'} rows in "
            f"several groups of {second}, which tells the effects of the two factors apart. So "
            "their sum is known better than either."
        )
    if how["labels_used_again"] and second not in dict(map(reversed, _clear(d))):
        yield from _not_joined(d, first, second)


def _not_joined(d, first, second):
    start = f"Labels of {second} start anew in each group of {first}"
    if (first, second) not in d.joined.index:
        yield (
            f"{start}. If they are different groups there, join the labels by a tuple: "
            f"({_as_given(d, first)}, {_as_given(d, second)}). The rows cannot tell."
        )
        return
    row = d.joined.loc[(first, second)]
    yield (
        f"{start}, but rows of the same {first} and {second} are not clearly more alike than "
        f"the two factors tell ({p_of(row['p_value'])}): so they seem to be the same groups "
        "in all. If you know better, join them by a tuple."
    )


# ------------------------------------------------------------------------------- each factor


def _factor(d, name):
    sizes, n_groups, row = d.group_sizes[name], _n(d, name), d.variance_components.loc[name]
    yield f"{count(n_groups, 'group')} {of_rows(sizes)}."
    if name in d.set_aside:
        return
    if d.n_singletons[name]:
        yield f"{count(d.n_singletons[name], 'group')} of 1 row."
    if np.isfinite(row["share"]):
        between = (
            f"{row['share']:.1%} of the variance of {d.variation.index[0][1]} lies between "
            f"its groups, given the other factors{_and_features(d)} ({_share(row)}; test that "
            f"it is 0: {p_of(row['p_value'])})"
        )
        without = f"; {row['share_of_y']:.1%} without features" if _features(d) else ""
        yield f"{between}{without}."
    of_groups = features_of_groups(_varies(d), _nested(d))[name]
    if of_groups:
        yield (
            f"{named(of_groups)} {'does' if len(of_groups) == 1 else 'do'} not vary within "
            f"its groups: of a slope there the {n_groups:,} groups count as rows."
        )
    features = d.variation.loc[name].iloc[1:]
    partly = features[(features["groups"] > 0) & (features["groups"] < n_groups)]
    if len(partly):
        lines = (f"{x} varies in {each.groups:.0f}" for x, each in partly.iterrows())
        yield f"Of its {n_groups:,} groups {listed(lines)}."


def _share(row):
    if np.isnan(row["lower"]):
        return f"share {row['share']:.3f}"
    return f"share {limits(row['lower'], row['upper'])} (95%)"


def _and_features(d):
    return " and the features" if _features(d) else ""


def _features(d):
    name = next(iter(d.group_sizes))
    return list(d.variation.loc[name].index[1:])


def _varies(d):
    return {name: d.variation.loc[name, "varies"].iloc[1:] for name in d.group_sizes}


def _nested(d):
    return [pair for pair, how in d.pairs["relation"].items() if how == NESTED]


def _n(d, name):
    return len(d.group_sizes[name])
