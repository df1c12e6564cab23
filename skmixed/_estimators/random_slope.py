"""A linear model in which every group has its own slopes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._estimators.slopes import SlopesMixin
from skmixed._public import public


@public("skmixed")
class RandomSlopeRegressor(SlopesMixin, BaseMixedRegressor):
    """Linear regression with varying slopes: every group has its own line.

    The model of row i in group j is ::

        y_ij = b0 + x_ij' b + z_ij' u_j + e_ij,    u_j ~ N(0, sigma2 Psi),  e_ij ~ N(0, sigma2)

    where z_ij holds a 1, for the group's own level, and the columns named by `slopes`. In
    lme4's words:

    ======================================================  =============================
    ``RandomSlopeRegressor("z")``                           ``y ~ x + z + (z | g)``
    ``..., covariance="diag"``                              ``y ~ x + z + (z || g)``
    ``..., random_intercept=False``                         ``y ~ x + z + (0 + z | g)``
    ``..., fixed_slopes=False``                             ``y ~ x + (z | g)``
    ``RandomSlopeRegressor(["a", "b"])``                    ``y ~ x + a + b + (a + b | g)``
    ``RandomSlopeRegressor(["a", "b"], fixed_slopes="a")``  ``y ~ x + a + (a + b | g)``
    ======================================================  =============================

    A group's line is drawn towards the population line, the more so the less its rows tell.
    A new row of a known group is predicted by the group's own line, a row of a new group by
    the population line.

    With several grouping factors, crossed, nested or in between, each has effects of its own::

        y_i = b0 + x_i' b + z_1i' u_1[i] + z_2i' u_2[i] + ... + e_i,

        u_f[i] ~ N(0, sigma2 Psi_f),  e_i ~ N(0, sigma2)

    and parameters that may differ between factors are dictionaries by factor. With
    ``group_by=["a", "b"]``:

    ================================================  ====================================
    ``RandomSlopeRegressor("z")``                     ``y ~ x + z + (z | a) + (z | b)``
    ``RandomSlopeRegressor({"a": "z"})``              ``y ~ x + z + (z | a) + (1 | b)``
    ``..., covariance={"a": "diag"}``                 ``y ~ x + z + (z || a) + (1 | b)``
    ``..., random_intercept={"a": False}``            ``y ~ x + z + (0 + z | a) + (1 | b)``
    ``..., fixed_slopes={"a": False}``                ``y ~ x + (z | a) + (1 | b)``
    ================================================  ====================================

    Parameters
    ----------
    slopes : "all", str, int, list, slice, mask, callable or dict, default="all"
        Columns of X whose slope varies between groups: names (of a DataFrame's columns),
        positions, a boolean mask, or a callable such as
        `sklearn.compose.make_column_selector`. With `group_by`, positions and masks count the
        group column, and a callable is given X without it. An empty list is the model with a
        random intercept alone; a single column called "all" is given as ``["all"]``. With
        several factors "all" gives every column a slope in each of them, so name what you
        mean: a dictionary by factor, too, whose keys are names of factors or what `group_by`
        holds; those it leaves out have no slopes.
    group_by : str, int, tuple or list of these, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups. The estimator then works wherever scikit-learn passes X
        alone. If None, groups are given to `fit` and `predict` as an array. A list names
        several grouping factors, ``["student", "teacher"]``; a tuple joins the labels of its
        columns to those of one factor, ``["school", ("school", "class")]``, called
        ``"school:class"``.
    covariance : {"full", "diag"} or dict, default="full"
        Whether random effects are correlated. If not, the model depends on where the columns
        have their zero: centre them where "the level" of a group is meant. Or a dictionary by
        factor; "full" is for those it leaves out.
    random_intercept : bool or dict, default=True
        Whether the level varies between groups, too. Or a dictionary by factor; True is for
        those it leaves out.
    fixed_slopes : bool, str, int, list, slice, mask, callable or dict, default=True
        Whether the slope columns are fixed effects, too; or which of them, given as `slopes`
        are. The groups' slopes of the others vary around zero: their entries of `coef_` are 0
        and have no standard error. Or a dictionary by factor; True is for those it leaves out.
        A column is no fixed effect if one of its factors says so.
    method : {"reml", "ml"}, default="reml"
        Restricted or ordinary maximum likelihood. REML accounts for the fixed effects that
        were estimated, so its variances are not biased downwards; ML is for comparing models
        whose fixed effects differ.
    fit_intercept : bool, default=True
        Whether to estimate b0. If False, the groups' levels vary around zero.
    new_groups : {"population", "error"} or dict, default="population"
        What `predict` does with labels not seen in `fit`: use the population line, or raise
        an error that lists them. Of several factors a dictionary by factor, too; the
        population line is for those it leaves out.
    max_iter : int, default=100
        Newton steps allowed; about ten are needed.
    tol : float, default=1e-8
        The search ends with a step after which none would lower the criterion by more.
    solver : {"auto", "exact", "iterative"}, default="auto"
        How several factors that cross are solved. "exact" keeps a dense matrix of the groups
        of all but the largest; "iterative" solves by conjugate gradients, for factors of
        hundreds of thousands of groups, and its variances and likelihood have a small error
        that it states. "auto" is exact for up to 5,000 such groups if memory allows.
        With one factor there is nothing to choose, and "iterative" is an error.
    n_probes : int or "auto", default="auto"
        Random vectors from which the iterative solver learns of variances and likelihood:
        16, and more where the error of the variances is above 1% of their standard error. The
        error falls with the root of their number.
    random_state : int, RandomState instance or None, default=0
        What the probes are drawn by. The same number gives the same fit.
    variance_by : str, int or None, default=None
        Name (of a DataFrame's column) or position of the column of X that names the stratum of
        each row: residuals have a variance of their own in each stratum, as by nlme's
        ``varIdent``. It is no feature; to have both, give X a second column. With one grouping
        factor, from rows in memory; see :doc:`/variances_that_differ`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Fixed effects of the feature columns; 0 for columns that depend linearly on those
        before them, and for slope columns that are no fixed effects by `fixed_slopes`.
        With `group_by` a column of X, that column has an entry, 0.
    intercept_ : float
        Fixed intercept b0; 0.0 if ``fit_intercept=False``.
    random_effects_ : DataFrame of shape (n_groups, n_random)
        Conditional modes of u_j by group: level and slopes.
    group_coef_ : DataFrame of shape (n_groups, 1 + n_features)
        Each group's own line: fixed plus random effects.
    random_effects_cov_ : DataFrame of shape (n_random, n_random)
        Covariance of u_j, sigma2 Psi.
    residual_variance_ : float, or Series of shape (n_strata,)
        sigma2, in squared units of y; with `variance_by` that of each stratum.
    theta_ : ndarray
        Free entries of the relative covariance factor Lambda, Psi = Lambda Lambda', as in
        lme4: the lower triangle column by column, or its diagonal; of several factors one
        after the other. With `variance_by` it is relative to the harmonic mean of the rows'
        residual variances.
    icc_ : float, or Series of shape (n_strata,)
        Share of the random effects in the variance not explained by X, averaged over the
        rows; with `variance_by` over those of each stratum.
    pooling_weights_ : DataFrame of shape (n_groups, n_random)
        How much a group's own rows tell of each random effect: 1 - (conditional variance) /
        (variance), between 0 (drawn to the population) and 1.
    coef_cov_ : DataFrame
        Covariance of (intercept, coefficients); NaN for columns without an estimate.
    log_likelihood_ : float
        (Restricted) log-likelihood at the estimate.
    criterion_ : float
        REML criterion or ML deviance, ``-2 * log_likelihood_``, as lme4 prints it.
    aic_, bic_ : float
        Akaike's and Schwarz's criterion, with n = number of rows, as lme4 has them.
    groups_ : Index of shape (n_groups,)
        Labels seen in `fit`, sorted.
    group_sizes_ : Series of shape (n_groups,)
        Number of rows (sum of weights) of each group.
    n_groups_ : int
        Number of groups.
    converged_ : bool
        Whether the optimum was found within `max_iter`.
    singular_ : bool
        Whether the estimated covariance of the random effects is singular, that of one factor
        at least: a variance of exactly 0, or an exact correlation.
    n_iter_ : int
        Newton steps taken.
    solver_ : str
        "exact" or "iterative".
    monte_carlo_error_ : Series or None
        Standard errors that the probes leave in the entries of `theta_` and in `criterion_`,
        of a fit by the iterative solver; None of an exact one. With few probes these are
        rough themselves: they have ``n_probes - 1`` degrees of freedom.
    n_features_in_ : int
        Number of columns seen in `fit`, the group column included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`: if factors divide the rows into the same groups, if each group of one of
        several factors has a single row, if a tuple joins different labels to the same text
        or to the name of another column, if factors that cross have more groups than memory
        holds and ``solver="exact"``, or if conjugate gradients do not converge. With
        `variance_by`, if a row has no stratum, the variance of a stratum goes to 0, or
        residuals are too small beside y to be seen in one pass over the rows.
    NotAvailableError
        By what does not exist yet for several factors, such as
        `skmixed.inference.compare_slopes`, for the iterative solver: `pooling_weights_`,
        `random_effects_frame`, `confint` and others, or for `variance_by`: `partial_fit`,
        `loo_predict` and others. It is a `ValueError` and an `AttributeError`.

    Warns
    -----
    MissingGroupsWarning
        If `fit` is given no groups: the fit is then a pooled linear regression.
    SingularFitWarning
        If the covariance of the random effects is singular or cannot be estimated. Random
        effects of columns that are multiples or sums of other random columns are set to 0.
    NotIdentifiedWarning
        If the rows do not determine all variances and covariances, whatever y is: those that
        they do not are named, and slope columns that do not vary within groups. It is a
        `SingularFitWarning`, too.
    UserWarning
        If labels of a factor that are whole numbers, 1, 2, ... or 0, 1, ..., start anew in
        each group of another, as those of classes in schools may.
    ConvergenceWarning
        If `max_iter` was not enough, if conjugate gradients take many steps or probes leave a
        large error, or if the random effects explain y exactly.
    LinAlgWarning
        If X is rank-deficient; the columns are named.

    See Also
    --------
    RandomInterceptRegressor : Groups differ in level only.
    FixedEffectsRegressor : Group effects are not shrunk; with ``slopes="all"`` no pooling.
    PooledRegressor : Groups are ignored.

    Notes
    -----
    Rows enter only through their cross-products, in total and by group. The profiled
    criterion is minimised in Psi with its exact gradient and Hessian; columns are centred and
    scaled inside, so that estimates do not depend on units. One pass costs O(n q p) for n
    rows, p columns and q random columns, and each step after it O(J q^2 p^2) for J groups. Of
    several factors those nested in all others are eliminated at such a price; where factors
    cross a step costs the cube of the number of random effects of all but the largest, or by
    the iterative solver the number of pairs of groups that meet times that of probes, 5 to 30
    times over. `aic_` and `bic_` then have the error of `criterion_`.

    With several factors `random_effects_`, `random_effects_cov_`, `icc_`, `pooling_weights_`,
    `groups_`, `group_sizes_`, `n_groups_` and `group_coef_` are dictionaries by factor of what
    is said of them above.

    References
    ----------
    Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects
    models using lme4. Journal of Statistical Software, 67(1). doi:10.18637/jss.v067.i01

    Examples
    --------
    >>> from skmixed import RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
    >>> round(model.intercept_, 2), model.coef_.round(2)
    (251.41, array([10.47]))
    >>> model.group_coef_.head(2).round(2)
             (Intercept)   Days
    Subject
    308           253.66  19.67
    309           211.01   1.85
    >>> model.random_effects_cov_.round(2)
                 (Intercept)   Days
    (Intercept)       612.09   9.60
    Days                9.60  35.07

    Pupils who differ in what they gain by an hour, and teachers who do not:

    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.integers(0, [80, 12], (800, 2)), columns=["pupil", "teacher"])
    >>> X["hours"] = rng.normal(size=800)
    >>> gain = 2 + 0.7 * rng.normal(size=80)
    >>> y = gain[X["pupil"]] * X["hours"] + rng.normal(size=80)[X["pupil"]]
    >>> y += 0.5 * rng.normal(size=12)[X["teacher"]] + rng.normal(size=800)
    >>> model = RandomSlopeRegressor({"pupil": "hours"}, group_by=["pupil", "teacher"])
    >>> model.fit(X, y).random_effects_cov_["pupil"].round(2)
                 (Intercept)  hours
    (Intercept)         1.08  -0.16
    hours              -0.16   0.47
    >>> model.random_effects_["teacher"].head(2).round(2)
             (Intercept)
    teacher
    0              -0.37
    1              -0.22
    >>> new = pd.DataFrame({"pupil": [3, 3, -1], "teacher": [7, -1, -1], "hours": 1.0})
    >>> model.predict(new).round(2)  # both known, a new teacher, both new
    array([1.53, 1.65, 1.7 ])
    """

    _parameter_constraints = {
        **BaseMixedRegressor._parameter_constraints,
        **SlopesMixin._parameter_constraints,
    }

    def __init__(
        self,
        slopes: Any = "all",
        *,
        group_by: Any = None,
        covariance: Literal["full", "diag"] | dict[Any, str] = "full",
        random_intercept: bool | dict[Any, bool] = True,
        fixed_slopes: Any = True,
        method: Literal["reml", "ml"] = "reml",
        fit_intercept: bool = True,
        new_groups: Literal["population", "error"] | dict[Any, str] = "population",
        max_iter: int = 100,
        tol: float = 1e-8,
        solver: Literal["auto", "exact", "iterative"] = "auto",
        n_probes: int | Literal["auto"] = "auto",
        random_state: Any = 0,
        variance_by: str | int | None = None,
    ) -> None:
        super().__init__(
            group_by=group_by,
            method=method,
            fit_intercept=fit_intercept,
            new_groups=new_groups,
            max_iter=max_iter,
            tol=tol,
            solver=solver,
            n_probes=n_probes,
            random_state=random_state,
            variance_by=variance_by,
        )
        self.slopes = slopes
        self.covariance = covariance
        self.random_intercept = random_intercept
        self.fixed_slopes = fixed_slopes

    def _specification(self, columns):
        fixed = tuple(position not in columns.random_only for position in columns.slopes)
        return replace(
            super()._specification(columns),
            random_intercept=self._of("random_intercept", columns, True),
            diagonal=self._of("covariance", columns, "full") == "diag",
            fixed_slopes=fixed,
        )
