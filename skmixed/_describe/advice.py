"""What is said of grouped data, and the numbers that it rests on."""

from __future__ import annotations

import numpy as np

from skmixed._describe.words import count, limits, listed, named, p_of

# With fewer groups a variance between them is known to no better than +-70%.
TOO_FEW_GROUPS = 5
# With fewer, to no better than +-30%, and p-values need a small-sample correction.
FEW_GROUPS = 20
LEVEL = 0.05
# The models by which groups are judged.
WITHOUT_FEATURES = "y alone"
GIVEN_FEATURES, GIVEN_SPLIT = "y given the features", "y given split features"
# Pooling does little harm if it predicts known groups worse by no more than this share, and
# makes standard errors too small by no more than the second.
LITTLE_WORSE, LITTLE_TOO_SMALL = 0.02, 0.1
# Standard errors are off if they differ by more.
LITTLE_OFF = 0.05
# Shares of an error that do not matter.
HARDLY = 5e-4
# With fewer degrees of freedom, or groups, a slope between groups rests on little.
FEW_LEFT = 10
# A remark on the spread of residuals needs a clear case, and one that matters.
SURE, NOISIER = 0.001, 1.5


def advise(description):
    """Turn a description of groups into sentences.

    Parameters
    ----------
    description : GroupDescription
        Sizes, shares of variation, variance components, slopes.

    Returns
    -------
    dict of tuple of str
        The choice, and sentences by approach that it follows from.
    """
    impossible = why_not(description)
    if impossible:
        return {"Choice": (impossible,)}
    return {
        "Choice": tuple(_choice(description)),
        "Complete pooling (groups ignored)": tuple(_pooling(description)),
        "Fixed effects (a coefficient for each group)": tuple(_fixed_effects(description)),
        "Random effects (groups drawn from a distribution)": tuple(
            _random_effects(description)
        ),
    }


def why_not(description):
    """Say what leaves nothing to choose, if anything.

    Parameters
    ----------
    description : GroupDescription
        Of the groups.

    Returns
    -------
    str or None
        A sentence.
    """
    d = description
    n_rows, n_groups = d.sizes["rows"], len(d.group_sizes)
    y = d.variation.iloc[0]
    if y["varies"] == "nowhere":
        return f"There is nothing to explain: {y.name} is the same in all {n_rows:.10g} rows."
    if n_groups == 1:
        label = d.group_sizes.index.tolist()[0]
        return (
            f"Complete pooling: there is 1 group, {label!r}, so differences between groups "
            "cannot be seen."
        )
    if d.n_singletons == n_groups:
        return (
            f"Complete pooling: each of the {n_groups} groups has 1 row, so differences "
            "between groups cannot be told from those between rows."
        )
    if y["varies"] == "between groups":
        return (
            f"Complete pooling of one row for each group: {y.name} does not vary within groups "
            f"(share 0%), so the {n_rows:.10g} rows tell no more than {n_groups} would."
        )
    of_y, given = d.variance_components.loc[WITHOUT_FEATURES], given_features(d)
    n_features = len(d.variation) - 1
    if given["residual"] == 0:
        return (
            f"Fixed and random effects come to the same: within groups the features "
            f"({n_features}) explain {y.name} exactly, in all {n_rows:.10g} rows, so nothing "
            "is left to judge differences between groups by."
        )
    if np.isnan(of_y["icc"]) or np.isnan(given["residual"]):
        return (
            f"Complete pooling: the features ({n_features}) leave no residuals of {y.name} in "
            f"{n_rows:.10g} rows, so nothing is left for groups to differ in."
        )
    return None


# -------------------------------------------------------------------------------- the choice


def given_features(description):
    """Find the model of y given the features that the slopes call for: split, or not.

    Parameters
    ----------
    description : GroupDescription
        Of which the variance components and the test of the slopes count.

    Returns
    -------
    Series
        Its row in the table of variance components; that of y alone without features.
    """
    models, slopes = description.variance_components, description.slopes
    if slopes is not None and slopes.p_value < LEVEL:
        return models.loc[GIVEN_SPLIT]
    return models.loc[GIVEN_FEATURES if GIVEN_FEATURES in models.index else WITHOUT_FEATURES]


def judged(description):
    """Find the model that tells how much groups differ: with the features, if it can.

    Parameters
    ----------
    description : GroupDescription
        Of which the variance components count.

    Returns
    -------
    Series
        Its row in the table of variance components.
    """
    if _is_saturated(description):
        return description.variance_components.loc[WITHOUT_FEATURES]
    return given_features(description)


def _choice(d):
    n_groups, level_2 = len(d.group_sizes), _level_2(d)
    model = judged(d)
    given = "" if model.name == WITHOUT_FEATURES else f" {model.name.removeprefix('y ')}"
    if n_groups < TOO_FEW_GROUPS and not level_2:
        yield (
            f"Fixed effects, if the question is about these groups: {n_groups} are too few to "
            f"estimate a variance from ({_interval(model)})."
        )
        return
    if n_groups < TOO_FEW_GROUPS:
        yield (
            f"Random effects, with caution: fixed effects have no slope for {named(level_2)}, "
            f"but {n_groups} groups can hardly tell one either, nor the variance between them "
            f"({_interval(model)}). Look for more groups."
        )
        return
    if model["p_value"] < LEVEL:
        test = f"{p_of(model['p_value'])}; {_interval(model)}"
        yield f"Random effects: groups differ{given} ({test})."
    else:
        yield from _without_evidence(d, model, given)
    if level_2 and _is_saturated(d):
        others = ", and the other features," if len(d.variation) - 1 > len(level_2) else ""
        yield (
            f"The slopes of features of groups cannot be judged: {len(level_2)} of "
            f"them{others} fit the {n_groups} groups exactly. Leave some out."
        )
    yield from _split(d)
    if n_groups < FEW_GROUPS:
        yield (
            f"With {n_groups} groups take p-values with a small-sample correction: "
            f"summary(df_method='kenward-roger'). {_as_good(level_2)}"
        )


def _as_good(level_2):
    if level_2:
        return (
            f"Fixed effects are as good for the other features, but have no slope for "
            f"{named(level_2)}."
        )
    return "Fixed effects are as good if no other groups matter."


def _without_evidence(d, model, given):
    """Weigh what pooling would cost if groups differed as much as they may."""
    upper, shown = model["icc_upper"], f"no differences between groups{given} are shown"
    if np.isnan(upper):
        yield (
            f"Random effects, since the data cannot tell: {shown}, but {_interval(model)}. Is "
            f"{d.variation.index[0]} centred by group, or is a group made of rows that differ "
            "by design?"
        )
        return
    worse, too_small = cost_of_pooling(d.group_sizes.to_numpy(), upper)
    error = f"{worse:.1%} worse" if worse < 1 else f"with {1 + worse:.1f} times the error"
    may = (
        f"{_interval(model)}; at the upper limit pooling would predict known groups {error}, "
        f"and its standard error of a mean would be too small by a factor of {too_small:.2f}"
    )
    harmless = worse <= LITTLE_WORSE
    if harmless and (too_small <= 1 + LITTLE_TOO_SMALL or not _level_2(d)):
        yield (
            f"Complete pooling will do for predictions: {shown} ({p_of(model['p_value'])}), "
            f"and large ones are ruled out ({may}). A random intercept gives nearly the same, "
            "with standard errors that allow for groups."
        )
    else:
        yield (
            f"Random effects, since the data cannot tell: {shown} ({p_of(model['p_value'])}), "
            f"but they are not ruled out ({may}). A random intercept is complete pooling if "
            "its variance is 0."
        )


def _split(d):
    if d.slopes is None or not d.slopes.p_value < LEVEL:
        return
    slopes = d.slopes.slopes
    some = list(slopes.index[slopes["p_value"] < LEVEL / len(slopes)])
    split, one_slope = d.error_in_new_groups[["split", "one slope"]]
    gain = (
        f"where one slope for both makes the error about {one_slope:.1%} larger"
        if one_slope >= HARDLY
        else "though that matters little here"
    )
    price = (
        f"add about {split:.1%} to that error"
        if np.isfinite(split)
        else "are hardly enough for them"
    )
    more = (
        "1 more slope, which rests"
        if len(slopes) == 1
        else (f"{len(slopes)} more slopes, which rest")
    )
    yield (
        f"Split {named(some or slopes.index)} by WithinBetween: slopes within and between "
        f"groups differ ({p_of(d.slopes.p_value)}). Those within are then the slopes of fixed "
        f"effects, and those between predict new groups, {gain}. The price: {more} on "
        f"{len(d.group_sizes)} groups and {price}; and the prediction of a row of a new group "
        "depends on the other rows given of that group, whose means are its features."
    )


# ------------------------------------------------------------------------ complete pooling


def _pooling(d):
    of_y, name = d.variance_components.loc[WITHOUT_FEATURES], d.variation.index[0]
    yield f"{_share(of_y)} of the variance of {name} lies between groups ({_test(of_y)})."
    if len(d.variance_components) > 1:
        model = given_features(d)
        if not _is_saturated(d):
            given = model.name.removeprefix("y ")
            yield f"{given.capitalize()} it is {_share(model)} ({_test(model)})."
        else:
            yield _saturated(d)
    rows, low, high = d.effective_rows[["estimate", "lower", "upper"]]
    between = f" ({low:.0f} to {high:.0f}, 95%)" if np.isfinite([low, high]).all() else ""
    yield (
        f"About the mean of {name} the {d.sizes['rows']:.10g} rows tell as much as {rows:.0f} "
        f"independent ones{between}."
    )
    off = d.std_error_ratios[(d.std_error_ratios - 1).abs() > LITTLE_OFF]
    if len(off):
        yield (
            "Standard errors that ignore groups are off for features of groups: with a "
            "random intercept they are "
            f"{listed(f'{ratio:.2f} times as large for {x}' for x, ratio in off.items())}."
        )
    low, high, p_value = d.residual_spread[["lower", "upper", "p_value"]]
    if p_value < SURE and high > NOISIER * low:
        yield (
            f"Residuals do not vary alike in all groups (standard deviation {low:.3g} in "
            f"quieter ones, {high:.3g} in noisier ones; {p_of(p_value)}). Tests, intervals and "
            "standard errors here assume that they do: if small groups are the noisy ones, "
            "groups seem to differ more than they do."
        )


def _is_saturated(d):
    return not given_features(d)["df_num"] > 0


def _saturated(d):
    return (
        f"The features leave no degrees of freedom between the {len(d.group_sizes)} groups, so "
        "how much groups differ given the features cannot be told, and nothing here rests on "
        "it."
    )


# --------------------------------------------------------------------------- fixed effects


def _fixed_effects(d):
    sizes, level_2 = d.sizes, _level_2(d)
    n_groups, singletons = int(sizes["groups"]), d.n_singletons
    yield (
        f"{n_groups} levels are estimated from {sizes['rows']:.10g} rows, "
        f"{sizes['mean']:.1f} a group."
    )
    if singletons:
        yield (
            f"{count(singletons, 'group')} of 1 row, which its own level uses up: "
            f"{singletons / sizes['rows']:.1%} of the rows say nothing about slopes."
        )
    yield from _effective(d)
    if level_2:
        yield (
            f"No slope for {named(level_2)}: 0% of the variation lies within groups, where "
            "fixed effects look."
        )
    dependent = [name for name in d.without_fixed_effects_slope if name not in level_2]
    if dependent:
        depend = "it depends" if len(dependent) == 1 else "they depend"
        yield (
            f"No slope for {named(dependent)}: within groups {depend} linearly on the "
            "features before (to all but a share of 1e-12)."
        )
    yield from _slopes(d)


def _effective(d):
    """Say which slopes rest on a part of the rows."""
    features = d.variation.iloc[1:]
    partly = features[(features["groups"] > 0) & (features["groups"] < len(d.group_sizes))]
    partly = partly.sort_values("rows")
    if len(partly):
        lines = (
            f"{name} varies in {row.groups:.0f} ({row.rows:.10g} rows)"
            for name, row in partly.iterrows()
        )
        yield (
            f"A slope rests on the groups in which the feature varies: of the "
            f"{len(d.group_sizes)} groups {listed(lines)}."
        )


def _slopes(d):
    """Say what Hausman's test finds, and what it could have found."""
    comparison = d.slopes
    if comparison is None:
        return
    if np.isnan(comparison.p_value):
        yield (
            f"Whether slopes within and between groups differ cannot be told: the features and "
            f"their group means use up what {len(d.group_sizes)} groups can tell."
        )
        return
    slopes = comparison.slopes
    if comparison.p_value < LEVEL:
        most = slopes.loc[slopes["t"].abs().idxmax()]
        yield (
            f"Slopes within and between groups differ ({comparison.as_text()}), most that of "
            f"{most.name}: {most['within']:.3g} within, {most['between']:.3g} between. Group "
            "effects are correlated with features, and a single random-effects slope would be "
            "a mixture. Fixed effects give the slope within groups, and so does WithinBetween."
        )
        return
    widest = slopes.loc[(slopes["std_error"] / slopes["within"].abs()).idxmax()]
    yield (
        f"Slopes within and between groups cannot be told apart ({comparison.as_text()}). That "
        f"is no proof that they are equal: between less within, the slope of {widest.name} may "
        f"differ by {widest['lower']:.3g} to {widest['upper']:.3g} (95%), beside "
        f"{widest['within']:.3g} within groups."
    )


# -------------------------------------------------------------------------- random effects


def _random_effects(d):
    sizes, model = d.group_sizes, judged(d)
    if model["between"] > 0:
        yield (
            f"The variance between groups is {model['between']:.3g}, with a standard error of "
            f"{model['between_std_error'] / model['between']:.0%} of it ({_known(d)}). It is "
            f"that of the likelihood's curvature; the interval says more: {_interval(model)}."
        )
        yield _weights(sizes, model)
    else:
        yield _no_variance(model)
    yield from _mixtures(d)
    if d.variation["varies"].iloc[1:].isin(["both", "within groups"]).any():
        enough = int(np.count_nonzero(sizes >= 2))
        have = "has" if enough == 1 else "have"
        yield (
            f"Whether slopes differ between groups is not tested here: fit a "
            f"RandomSlopeRegressor and take likelihood_ratio_test. {enough} of {len(sizes)} "
            f"groups {have} 2 rows or more, as they need to say something about it."
        )
    yield from _slopes_of_groups(d)
    yield (
        "A new group is predicted by the common line, with a standard deviation between groups "
        f"of {np.sqrt(model['between']):.3g} as part of the uncertainty."
    )


def _weights(sizes, model):
    """Say when a group's own mean counts."""
    half, median = model["residual"] / model["between"], sizes.median()
    weight = f"and its own mean a weight of {median / (median + half):.2f}."
    if half < 1:
        return (
            "Even one row of a group counts for more than the common line. The median group "
            f"has {median:g}, {weight}"
        )
    small = int(np.count_nonzero(sizes < half))
    has = "has" if small == 1 else "have"
    return (
        f"From {half:.1f} rows on, a group's own mean counts for more than the common line; "
        f"{small} of {len(sizes)} groups {has} fewer. The median group has {median:g}, {weight}"
    )


def _no_variance(model):
    """Say what follows from a variance of 0, and whether it is to be trusted."""
    text = (
        "The variance between groups is estimated as 0, so all groups are predicted by the "
        "common line"
    )
    if model["p_value"] < LEVEL:
        return (
            f"{text}, though the test finds differences ({p_of(model['p_value'])}): groups of "
            "different sizes say different things, and the likelihood weighs them otherwise."
        )
    upper = model["icc_upper"]
    return (
        f"{text}; up to {upper:.1%} of the variance may be (95%)." if upper > 0 else f"{text}."
    )


def _known(d):
    n_groups = len(d.group_sizes)
    if n_groups < TOO_FEW_GROUPS:
        return f"{n_groups} groups are too few to know it well"
    return f"{n_groups} groups are few" if n_groups < FEW_GROUPS else f"{n_groups} groups"


def _mixtures(d):
    """Say where the slopes of a model with one slope each come from."""
    both = d.variation.index[1:][d.variation["varies"].iloc[1:] == "both"]
    share = d.slope_sources["from_within"].reindex(both).dropna()
    if len(share):
        parts = (f"{value:.0%} for {name}" for name, value in share.items())
        yield (
            "Of what is known about a slope that is the same within and between groups, the "
            f"rows within groups tell {listed(parts)}; the rest is from the groups' means."
        )


def _slopes_of_groups(d):
    """Say what slopes of features of groups rest on."""
    level_2 = _level_2(d)
    if not level_2 or _is_saturated(d):
        return
    left = given_features(d)["df_num"]
    few = ", which is little" if left < FEW_LEFT else ""
    yield (
        f"There can be a slope of {named(level_2)}, for which the {len(d.group_sizes)} groups "
        f"count as rows: {left:.0f} degrees of freedom are left{few}."
    )
    rare = {name: n for name, n in d.rare_values.items() if n < FEW_LEFT}
    if rare:
        lines = (f"{n} for {name}" for name, n in rare.items())
        yield (
            "Some features of groups have two values, of which the rarer is found in few "
            f"groups: {listed(lines)}. Their slopes rest on these."
        )


# ------------------------------------------------------------------------------ what it costs


def cost_of_pooling(sizes, icc):
    """Compute what complete pooling costs if a share of the variance is between groups.

    Parameters
    ----------
    sizes : ndarray of shape (n_groups,)
        Rows of each group.
    icc : float
        Share of the variance that lies between groups.

    Returns
    -------
    worse : float
        By how much larger the root mean squared error is for new rows of known groups than
        with partial pooling: there ICC (1 - w_j) is left of a share of ICC, with the pooling
        weight w_j = n_j ICC / (n_j ICC + 1 - ICC).
    too_small : float
        By which factor the standard error of a mean over all rows should be larger: the
        square root of the design effect 1 + (m - 1) ICC, m = sum_j n_j^2 / n.
    """
    n = sizes.sum()
    weight = sizes * icc / (sizes * icc + 1 - icc) if icc < 1 else np.ones(len(sizes))
    left = max(1 - icc * float(sizes @ weight) / n, np.finfo(float).tiny)
    size_seen_by_a_row = float(sizes @ sizes) / n
    return 1 / np.sqrt(left) - 1, np.sqrt(1 + max(size_seen_by_a_row - 1, 0.0) * icc)


# ------------------------------------------------------------------------------------- words


def _share(model):
    return f"{model['icc']:.1%}"


def _test(model):
    return f"{_interval(model)}; test that it is 0: {p_of(model['p_value'])}"


def _interval(model):
    low, high = model["icc_lower"], model["icc_upper"]
    if np.isnan(low):
        if np.isnan(model["p_value"]):
            return f"intraclass correlation {model['icc']:.2f}, without an interval"
        return "groups are more alike than chance makes them (in 1 of 40 data sets)"
    return f"intraclass correlation {limits(low, high)} (95%)"


def _level_2(d):
    varies = d.variation["varies"].iloc[1:]
    return list(varies.index[varies == "between groups"])
