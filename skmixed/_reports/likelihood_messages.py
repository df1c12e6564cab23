"""Wording of what there is to know of fits of binary and count outcomes."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skmixed._reports.messages import (
    LOW_RANK,
    NO_VARIANCE_OF,
    NOT_CONVERGED,
    ONE_GROUP,
    RANK_DEFICIENT,
    SINGULAR,
    ZERO_VARIANCE,
)
from skmixed._reports.not_identified import explain_perfect_correlation
from skmixed._warn import warn
from skmixed.exceptions import NotIdentifiedWarning, SingularFitWarning

NODES_OF_SEVERAL = (
    "quadrature={nodes} must be 1 (Laplace's approximation) or 'auto' with several random "
    "effects for each group, which are {terms}: the integral over {q} of them would take "
    "{nodes}^{q} nodes. Leave out random effects, or use quadrature=1."
)
# What is not there, by its name.
NOT_AVAILABLE = {
    "partial_fit": "a fit reads all rows at every step, so it cannot go batch by batch",
    "fit_moments": "no sums over rows say all that its likelihood needs to know",
    "update_groups": "no sums over rows say all that its likelihood needs to know",
    "loo_predict": "left-out predictions have no closed form; use cross_val_predict",
    "residuals_frame": "differences from a mean are far from normal; see ResidualsDisplay",
    "influence_frame": "how much a row counts changes with the fit, so there is no closed form",
    "predict_interval": (
        "an interval for an outcome that is binary or a count would hold nearly all of its "
        "values; see predict_proba, or the mean"
    ),
    "conditional_aic": "its penalty is known for linear models alone; see aic_",
    "design_effect_": "its formula is that of a mean of a normal y; see icc_",
    "residual_variance_": "the distribution of y has no residual variance of its own",
    "marginal_effects": "how much the mean changes depends on the row; see group_coef_",
}
SEPARATED = (
    "{what} is separated: the likelihood rises as long as the coefficient of {columns} grows "
    "in size, alone or together with others, so that it has no finite estimate. What was found "
    "is where the search stopped, and its standard error means nothing. Leave the column out, "
    "merge rare categories, or gather more rows."
)
RUNS_AWAY = (
    "Random effects vary by a standard deviation of {sd:.3g} on the scale of the link, and "
    "twice as much would explain the data about as well, so that it may have no finite "
    "estimate: most groups tell the outcome all by themselves. Probabilities within groups can "
    "be used, coefficients and the variance cannot. Gather more rows for each group, or "
    "compare groups by their raw shares."
)
SMALL_GROUPS = (
    "Laplace's approximation (quadrature=1) underestimates the variance between groups where "
    "these are small: the groups have {size:.3g} rows on average. quadrature='auto' takes 9 "
    "nodes with one random effect for each group."
)
NORMAL_ONLY = (
    "df_method={df_method!r} must be 'normal' for {model}: degrees of freedom like those of "
    "linear models do not exist for binary and count outcomes. Leave df_method out."
)
LIMITS_NOT_FOUND = (
    "The search for some profile limits did not end; these are NaN. Use method='wald', or "
    "leave out columns that say little."
)
ONE_ROW_EACH = (
    "Each of the {n_groups} groups has one row. One outcome of two says nothing of how groups "
    "vary, so that the variance between groups, and with it the size of the coefficients, "
    "rests on the shape of the link alone. Use larger groups, or LogisticRegression(C=np.inf)."
)
ALL_ALIKE = (
    "Within each of the {n_groups} groups all outcomes are alike, so that the likelihood rises "
    "as long as the variance between groups grows: it has no finite estimate, and neither have "
    "the coefficients. What was found, a standard deviation of {sd:.3g}, is where the search "
    "stopped. If the outcome is one of the group, fit a row for each, by "
    "LogisticRegression(C=np.inf)."
)
OVERDISPERSED = (
    "Counts vary {ratio:.2f} times as much around their means as a Poisson distribution does "
    "(p = {p_value:.2g}): standard errors are too small. Look for features or groups that are "
    "missing; a group for each row takes up such variation."
)
# Rows of a group below which Laplace's approximation is warned of.
SMALL = 10
NO_WEIGHTS_TO_DRAW = (
    "`sample_weight` must be None where labels are drawn, since a weight of 2 is the row "
    "twice. Repeat the rows: X.loc[X.index.repeat(sample_weight)], and their groups likewise."
)
NO_EXPOSURE = (
    "`sample_weight` must be positive, since rates are drawn as counts over exposures, but "
    "{n_zero} are 0. Leave those rows out."
)
TOO_MANY_TO_DRAW = (
    "A mean of {largest:.3g} is drawn from, but counts beyond {limit:.3g} are not told apart. "
    "Are the columns of X those of the fit, in the same units?"
)


def explain_singular(model):
    """Say why random effects do not vary, or not in all directions."""
    cov, labels = model.random_effects_cov_, model.groups_
    if len(labels) == 1:
        return ONE_GROUP.format(label=labels.tolist()[0])
    variances = np.diag(cov)
    if not variances.any():
        return ZERO_VARIANCE
    if not variances.all():
        return NO_VARIANCE_OF.format(columns=", ".join(cov.index[variances == 0]))
    q = len(cov)
    what_is_left = explain_perfect_correlation(cov) or (
        f"the {q} random effects of a group do not vary in all {q} directions"
    )
    return LOW_RANK.format(what_is_left=what_is_left)


def explain_separation(model):
    """Name the column whose coefficient runs away."""
    columns = ", ".join(model.separating_)
    return SEPARATED.format(what=model._columns.target or "y", columns=columns)


def explain_not_identified(model):
    """Say why binary outcomes do not tell how much groups vary; empty if they do."""
    sums, n_groups = model._fitted.sums, model.n_groups_
    if model._fitted.family != "binomial" or not n_groups:
        return ""
    if sums.n_rows.max() == 1:
        return ONE_ROW_EACH.format(n_groups=n_groups)
    if sums.n_alike == n_groups > 1 and not model.singular_ and not model.separating_:
        sd = np.sqrt(model.random_effects_cov_.iloc[0, 0])
        return ALL_ALIKE.format(n_groups=n_groups, sd=sd)
    return ""


def warn_about_likelihood(model):
    """Warn of what a user must know of a fit of binary or count outcomes.

    Parameters
    ----------
    model : estimator
        The fitted model.
    """
    fitted = model._fitted
    if not fitted.kept.all():
        dropped = model._fixed_terms[~fitted.kept & ~_is_random_only(model)]
        if len(dropped):
            warn(RANK_DEFICIENT.format(columns=", ".join(dropped)), LinAlgWarning)
    not_identified = explain_not_identified(model)
    runs_away = fitted.fit is not None and fitted.fit.runaway
    if len(model.separating_):
        warn(explain_separation(model), ConvergenceWarning)
    elif runs_away and not not_identified:
        sd = np.sqrt(np.diag(model.random_effects_cov_).max())
        warn(RUNS_AWAY.format(sd=sd), ConvergenceWarning)
    elif not model.converged_ and not runs_away:
        warn(NOT_CONVERGED.format(max_iter=model.max_iter), ConvergenceWarning)
    if not_identified:
        warn(not_identified, NotIdentifiedWarning)
    elif model.n_groups_ and model.singular_:
        warn(SINGULAR + explain_singular(model), SingularFitWarning)
    elif model.n_groups_ and model.quadrature == 1 and len(model.random_effects_cov_) == 1:
        size = fitted.n_rows / model.n_groups_
        if size < SMALL:
            warn(SMALL_GROUPS.format(size=size), UserWarning)


def _is_random_only(model):
    """Which terms are no fixed effects by `fixed_slopes`."""
    only = np.zeros(len(model._fitted.kept), dtype=bool)
    first = len(only) - len(model._terms)
    only[[first + position for position in model._columns.random_only]] = True
    return only
