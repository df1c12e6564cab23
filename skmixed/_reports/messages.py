"""Wording of the errors and warnings that explain what a model can and cannot do."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skmixed._numerics.fit.flat_directions import constant_within
from skmixed._numerics.fit.identifiability import (
    Span,
    absorbed_directions,
    fits_all_rows,
    in_user_columns,
    residual_direction,
)
from skmixed._numerics.linalg.digits import DIGITS_REFUSED, DIGITS_TRUSTED, WEIGHT_ERROR
from skmixed._reports.not_identified import (
    AS_FAR_AS_SUMS_SHOW,
    explain_constant_slopes,
    explain_not_identified,
    explain_perfect_correlation,
    slopes_as_given,
)
from skmixed._rows.reader import INTERCEPT
from skmixed._warn import warn
from skmixed.exceptions import NotIdentifiedWarning, SingularFitWarning

RANK_DEFICIENT = (
    "X is rank-deficient: {columns} can be written in terms of the columns before, to all but "
    "a share of 1e-12 of the variance. The coefficients of these columns are set to 0, without "
    "standard errors. Leave the columns out to silence this warning; if a small difference "
    "between columns matters, make it a column of its own."
)
BEYOND_MEASURE = (
    "The variance between groups exceeds the residual variance beyond measure: groups lie too "
    "far apart beside their residuals, or within groups y is explained exactly, or without an "
    "intercept the level of y counts as variance between groups. The estimates are those of "
    "the largest ratio tried. Fit an intercept, take off y what is known of the groups' "
    "levels, or leave out random effects."
)
ABSORBED = (
    "No coefficient can be estimated for {columns}: within groups there is no variation"
    "{beyond}, so the groups' own effects contain theirs. The coefficients are set to 0, "
    "without standard errors. Leave the columns out to silence this warning, or use "
    "RandomInterceptRegressor, which estimates effects of features that vary between groups."
)
ABSORBED_BY_FACTORS = (
    "No coefficient can be estimated for {columns}: the effects of the groups of {factors} "
    "together contain theirs. The coefficients are set to 0, without standard errors. Leave "
    "the columns out to silence this warning, or use RandomInterceptRegressor, which estimates "
    "effects of features that vary between groups."
)
NOT_TIED = (
    "{n} of {n_rows} predictions are NaN: the rows of the fit do not determine the sum of the "
    "effects of their groups. Effects of {factors} are known up to a shift in each connected "
    "part of the groups, and these rows join groups of several parts, or a group with one that "
    "it does not lie in. RandomInterceptRegressor predicts such rows."
)
FEW_DIGITS = (
    "The sums leave about {digits:.0f} digits of what this fit needs: residuals are small "
    "beside y, or groups lie far apart beside how their rows differ. No estimate has more. "
)
NO_DIGITS = (
    "The sums leave about {digits:.1f} digits of what this fit needs, which is not enough for "
    "it: residuals are small beside y, or groups lie far apart beside how their rows differ. "
    "Or the model explains y exactly, which cannot be told from that. "
)
MORE_DIGITS = (
    "`fit` with all rows at once reads them a second time for more digits; otherwise take an "
    "offset off y, or group means off the columns that lie far apart, before summing up."
)
EXPLAINED_EXACTLY = (
    "The model explains y exactly, or to all but a share of 1e-13 of its variance, which is "
    "rounding. The residual variance and all standard errors are set to 0."
)
UNKNOWN_STD = (
    "{n_new} of {n_rows} predictions are for groups that were not in the fit, or for the "
    "average group. Fixed effects tell nothing of how far a new group is from that one, so "
    "their standard deviations are NaN. RandomInterceptRegressor estimates them."
)
NO_DOF = (
    "There are {n_coefficients:.6g} coefficients{of_groups}, for {n_rows:.6g} rows, so that "
    "nothing is left to estimate the residual variance from. It is NaN, and so are all "
    "standard errors. Use fewer columns or more rows."
)
NOT_CONVERGED = (
    "No convergence after max_iter={max_iter} iterations; the attributes hold the estimate so "
    "far. Raise max_iter or tol."
)
LARGE_EFFECTS = (
    "Some random effects vary so much more than residuals and the other random effects that "
    "about {digits:.0f} digits are left of those, and no estimate has more. Fit an intercept, "
    "and fixed effects of the slope columns (`fixed_slopes=True`), if there are none; or fit "
    "fewer random effects."
)
SINGULAR = "Singular fit: "
ONE_GROUP = (
    "there is only one group, {label!r}, so the variance between groups cannot be estimated. "
    "It is set to 0 and the fit is a pooled one."
)
ONE_ROW_EACH = (
    "each of the {n_groups} groups has one row{alike}, and random effects vary there as "
    "residuals do, so that nothing tells the two apart. Their variance is set to 0 and the fit "
    "is a pooled one."
)
LIKE_RESIDUALS = (
    "the random effects fit all rows exactly, and a part of their variance has the form of "
    "residuals, so that nothing tells the two apart. That part counts as residual, and "
    "{what_is_left}. Leave out a random effect, or fit groups of more rows."
)
SUM_OF_WEIGHTS = (
    " With as many random effects as rows the estimate depends on the sum of the weights, "
    "which is {n:.6g} for {n_rows} rows: where weights are precisions, scale them to mean 1."
)
NO_RESIDUAL_LEFT = (
    "the random effects fit all rows exactly, and the likelihood is highest where they leave "
    "no residual: neither weights nor slopes tell rows that vary more from others. The "
    "estimates are those of the largest ratio of variances tried. Leave out random effects, or "
    "the weights if they are no precisions."
)
SATURATED = (
    "{n_between} fixed effects are constant within groups{intercept}, and fit the levels of "
    "the {n_groups} groups exactly, so nothing is left to see how groups differ. The variance "
    "between groups is set to 0 and the fit is a pooled one. Leave out columns that are "
    "constant within groups, such as dummies of the groups, or use FixedEffectsRegressor."
)
SATURATED_IN = (
    "the fixed effects fit the effects of {columns} in each of the {n_groups} groups exactly, "
    "so nothing is left to see how groups differ in them. Their variance is set to 0. Leave "
    "them out of the random effects, or their products with groups out of X."
)
NO_RESIDUAL = (
    "the fixed effects explain y exactly, so nothing is left to estimate a variance from. "
    "Residual variance and variance between groups are 0."
)
ZERO_VARIANCE = (
    "the variance between groups is estimated as exactly 0, so all group effects are 0 and "
    "predictions are those of a pooled fit. Beyond the fixed effects groups differ no more "
    "than their rows would by chance."
)
UNCLEAR_COLUMNS = (
    "the random effects of {columns} cannot be told from those of the random columns before, "
    "which add up to the same. They are set to 0; leave the columns out of `slopes`."
)
NO_VARIANCE_OF = (
    "the variance of the random effects of {columns} is estimated as exactly 0: beyond the "
    "fixed effects groups differ in them no more than rows would by chance. Leave them out of "
    "the random effects."
)
LOW_RANK = (
    "{what_is_left}. The data do not support so many random effects: leave out a slope, or use "
    "covariance='diag'."
)
NO_GROUP_EFFECTS = (
    "`{name}` needs group effects, but {model} was fitted without groups, which is a pooled "
    "{pooled}. Pass the groups as `model.fit(X, y, groups=groups)`."
)
NO_PRECISION = (
    "`sample_weight` must be positive, since the variance of a new observation is that of the "
    "residuals over its weight, but {n_zero} are 0. Leave those rows out{instead}."
)
NOTHING_TO_DRAW = (
    "`groups` must hold labels seen in fit where y is drawn, since fixed effects have no "
    "distribution that those of new groups are drawn from, but {n_new} of {n_rows} rows have "
    "new or missing labels. Draw from a RandomInterceptRegressor, or leave those rows out."
)
KENWARD_ROGER_ML = (
    "df_method='kenward-roger' is defined for REML, but the model was fitted with "
    "method='ml'. Fit it with method='reml', or use df_method='satterthwaite'."
)
ONE_SIDED = (
    "The fit is singular. The interval of a standard deviation that is estimated as 0 is "
    "one-sided: its lower limit is 0. Limits of correlations may be -1 or 1."
)
UNCERTAIN_LIMITS = (
    "The search for some profile limits did not end; these are NaN. Use method='bootstrap', or "
    "fewer random effects."
)
REFITS_NOT_CONVERGED = (
    "{failed} of {total} bootstrap refits did not converge within max_iter; their last "
    "estimates were taken. Raise max_iter."
)
TOO_MANY_EFFECTS = (
    "There are {n_effects} random effects for {n_rows} rows, so they can hardly be told from "
    "residuals, and their variances are not to be trusted. Use fewer slopes."
)


def refuse_without_digits(digits, *, diverged=False):
    """Refuse sums that do not determine a fit, where rows cannot be read again.

    Parameters
    ----------
    digits : float
        How many they leave.
    diverged : bool, default=False
        Whether the search for variances ran off to infinity.
    """
    if digits < (DIGITS_TRUSTED if diverged else DIGITS_REFUSED):
        raise ValueError(NO_DIGITS.format(digits=digits) + MORE_DIGITS)


def warn_about_fit(model, fit, *, may_lack_digits=False):
    """Warn of what a user must know of a fit before reading its numbers.

    Parameters
    ----------
    model : estimator
        The fitted model.
    fit : Fit
        What its attributes were made of.
    may_lack_digits : bool, default=False
        Whether the rows could not be read again.
    """
    problem, optimum, solution = fit.problem, fit.optimum, fit.solution
    if may_lack_digits and fit.digits_left < DIGITS_TRUSTED:
        warn(FEW_DIGITS.format(digits=fit.digits_left) + MORE_DIGITS, LinAlgWarning)
        return  # what more there is to say cannot be seen
    dropped = model.coef_cov_.index[problem.coordinates.dependent]
    if len(dropped):
        message = RANK_DEFICIENT.format(columns=", ".join(dropped))
        warn(message, LinAlgWarning)
    slopes = slopes_as_given(model)
    not_identified = _not_identified(model, fit, slopes)
    constant = None if not_identified else _constant_slopes(fit, slopes)
    if not_identified or constant:
        message = not_identified or constant
        message += AS_FAR_AS_SUMS_SHOW if may_lack_digits else ""
        warn(message, NotIdentifiedWarning)
    n_effects, n_rows = solution.b.size, problem.n_rows.sum()
    crowded = len(solution.b) > 1 and n_effects >= n_rows > model.n_groups_ > 1
    if crowded and not not_identified:
        message = TOO_MANY_EFFECTS.format(n_effects=n_effects, n_rows=n_rows)
        warn(message, SingularFitWarning)
    few_digits = _few_digits_beside_effects(fit)
    if not optimum.converged:
        message = NOT_CONVERGED.format(max_iter=model.max_iter)
        message = BEYOND_MEASURE if optimum.diverged else few_digits or message
        warn(message, ConvergenceWarning)
    elif optimum.diverged:
        warn(SINGULAR + NO_RESIDUAL_LEFT, SingularFitWarning)
    elif few_digits:
        warn(few_digits, LinAlgWarning)
    elif not model.singular_ and (few_weights := _sum_of_weights(problem)):
        warn(few_weights.strip(), UserWarning)
    elif (
        model.singular_
        and model.n_groups_
        and not (crowded or not_identified)
        and not (constant and _is_singular_by_constant_slopes(fit))
    ):
        warn(SINGULAR + _why_singular(model, fit), SingularFitWarning)


def warn_about_regression(model, absorbed, dependent, *, digits=None):
    """Warn of what a user must know of a fit by least squares.

    Parameters
    ----------
    model : estimator
        The fitted model.
    absorbed, dependent : ndarray of bool
        Which terms have no coefficient, as in `FixedEffects`.
    digits : float, default=None
        How many the sums leave, if the rows could not be read again.
    """
    if digits is not None and digits < DIGITS_TRUSTED:
        warn(FEW_DIGITS.format(digits=digits) + MORE_DIGITS, LinAlgWarning)
        return  # what more there is to say cannot be seen
    terms = model.coef_cov_.index
    messages, n_rows = [], model._moments.n
    factors = model._columns.factor_names
    if absorbed.any() and factors:
        given = {"columns": ", ".join(terms[absorbed]), "factors": ", ".join(factors)}
        messages.append(ABSORBED_BY_FACTORS.format(**given))
    elif absorbed.any():
        beyond = " that the groups' slopes do not explain" if model._columns.slopes else ""
        messages.append(ABSORBED.format(columns=", ".join(terms[absorbed]), beyond=beyond))
    if dependent.any():
        messages.append(RANK_DEFICIENT.format(columns=", ".join(terms[dependent])))
    if model.residual_dof_ <= 0:
        n_coefficients = n_rows - model.residual_dof_
        has_groups = factors or len(model._moments.labels)
        of_groups = ", those of the groups included" if has_groups else ""
        given = {"n_coefficients": n_coefficients, "of_groups": of_groups, "n_rows": n_rows}
        messages.append(NO_DOF.format(**given))
    elif model.residual_variance_ == 0:
        messages.append(EXPLAINED_EXACTLY)
    for message in messages:
        warn(message, LinAlgWarning)


def _not_identified(model, fit, slopes):
    """Explain which variances and covariances the rows do not determine, if any.

    Two causes are for the warning of a singular fit: fixed effects that leave nothing of random
    effects, and single rows, whose random effects look like residuals.
    """
    if not (fit.optimum.flat or model.singular_ or not fit.optimum.converged):
        return None
    if fit.problem.n_rows.max(initial=0) <= 1 or _leaves_nothing(fit):
        return None
    return explain_not_identified(fit.criterion, fit.optimum.Lambda, slopes)


def _few_digits_beside_effects(fit):
    """Say that large random effects leave few digits of the others, if they do."""
    digits = fit.digits_beside_effects
    return LARGE_EFFECTS.format(digits=max(digits, 0)) if digits < DIGITS_TRUSTED else None


def _leaves_nothing(fit):
    """Whether fixed effects take up random effects, as far as the likelihood sees them."""
    absorbed = absorbed_directions(fit.problem)
    return bool(absorbed.size and fit.criterion.reml) or absorbed.shape[1] == fit.problem.q


def _constant_slopes(fit, slopes):
    """Explain which slopes do not vary within groups; of single rows none could."""
    if fit.problem.n_rows.max(initial=0) <= 1:
        return None
    return explain_constant_slopes(fit.criterion, slopes)


def _is_singular_by_constant_slopes(fit):
    """Whether no more is missing of the random effects than those slopes may make up."""
    solution, constant = fit.solution, constant_within(fit.problem)
    n_slopes = np.count_nonzero(constant) - 1  # the intercept is constant, too
    vary = solution.Lambda.any(axis=1)
    return bool(vary[~constant].all()) and 0 < len(vary) - n_slopes <= solution.rank


def _why_singular(model, fit):
    """Explain why random effects do not vary, or not in all directions."""
    problem, solution = fit.problem, fit.solution
    labels, terms = model.groups_, model.random_effects_.columns
    if len(labels) == 1:
        return ONE_GROUP.format(label=labels.tolist()[0])
    if fit.criterion.is_perfect:
        return NO_RESIDUAL
    if not problem.coordinates.random_kept.all():
        unclear = terms[~problem.coordinates.random_kept]
        return UNCLEAR_COLUMNS.format(columns=", ".join(unclear))
    if _leaves_nothing(fit):
        return _saturated(model, problem, absorbed_directions(problem))
    if residual_direction(problem) is not None:
        return _like_residuals(model, problem, solution) + _sum_of_weights(problem)
    if solution.rank == 0:
        return ZERO_VARIANCE + _sum_of_weights(problem)
    constant = terms[~solution.Lambda.any(axis=1)]
    if len(constant):
        return NO_VARIANCE_OF.format(columns=", ".join(constant))
    return LOW_RANK.format(what_is_left=_what_is_left(model, solution))


def _saturated(model, problem, absorbed):
    """Explain that fixed effects leave nothing of some random effects."""
    terms, n_groups = model.random_effects_.columns, problem.n_groups
    if len(terms) == 1 and model.random_effects_.columns[0] == INTERCEPT:
        n_between = problem.p - Span.of(problem).n_within
        intercept = ", the intercept included" if model.fit_intercept else ""
        return SATURATED.format(n_between=n_between, intercept=intercept, n_groups=n_groups)
    columns = terms[in_user_columns(problem, absorbed).any(axis=1)]
    return SATURATED_IN.format(columns=", ".join(columns), n_groups=n_groups)


def _what_is_left(model, solution):
    """Say how random effects vary, of which not all vary on their own."""
    q, rank = len(solution.Lambda), solution.rank
    unit = "direction" if rank == 1 else "directions"
    return explain_perfect_correlation(model.random_effects_cov_) or (
        f"the {q} random effects of a group vary in {rank} {unit} only"
    )


def _like_residuals(model, problem, solution):
    """Explain that a variance cannot be told from that of residuals."""
    if solution.rank:
        return LIKE_RESIDUALS.format(what_is_left=_what_is_left(model, solution))
    alike = "" if problem.n_rows.max() == 1 else ", or rows that are all alike"
    return ONE_ROW_EACH.format(n_groups=problem.n_groups, alike=alike)


def _sum_of_weights(problem):
    """Say what weights of a mean below 1 do where random effects fit all rows."""
    n_rows = problem.n_rows.sum()
    if problem.n > n_rows * (1 - WEIGHT_ERROR) or not fits_all_rows(problem):
        return ""
    return SUM_OF_WEIGHTS.format(n=problem.n, n_rows=n_rows)
