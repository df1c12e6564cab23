"""A linear model in which every group has its own intercept."""

from __future__ import annotations

from typing import Any, Literal

from skmixed._estimators.mixed import BaseMixedRegressor
from skmixed._public import public


@public("skmixed")
class RandomInterceptRegressor(BaseMixedRegressor):
    """Linear regression with a varying intercept: every group has its own level.

    The model of row i in group j is ::

        y_ij = b0 + x_ij' b + u_j + e_ij,    u_j ~ N(0, psi sigma2),  e_ij ~ N(0, sigma2)

    which lme4 writes ``y ~ x + (1 | group)``. Group effects u_j are shrunk towards zero, the
    more so the fewer rows the group has. A new row of a known group is predicted with the
    group's own level, a row of a new group by the population line.

    With several grouping factors, crossed, nested or in between, each has effects of its own::

        y_i = b0 + x_i' b + u_1[i] + u_2[i] + ... + e_i,    u_f[i] ~ N(0, psi_f sigma2)

    for which lme4 writes ``(1 | student) + (1 | teacher)``, and ``(1 | school/class)`` where
    classes lie in schools. A row may be of a known group of one factor and of a new one of
    another.

    Parameters
    ----------
    group_by : str, int, tuple or list of these, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups. The estimator then works wherever scikit-learn passes X
        alone. If None, groups are given to `fit` and `predict` as an array. A list names
        several grouping factors, ``["student", "teacher"]``; a tuple joins the labels of its
        columns to those of one factor, ``["school", ("school", "class")]``, called
        ``"school:class"``.
    method : {"reml", "ml"}, default="reml"
        Restricted or ordinary maximum likelihood. REML accounts for the fixed effects that
        were estimated, so its variances are not biased downwards; ML is for comparing models
        whose fixed effects differ.
    fit_intercept : bool, default=True
        Whether to estimate b0. If False, the group effects vary around zero.
    new_groups : {"population", "error"} or dict, default="population"
        What `predict` does with labels not seen in `fit`: use the population line, or raise
        an error that lists them. Of several factors a dictionary by factor, too; the
        population line is for those it leaves out.
    max_iter : int, default=100
        Newton steps allowed; about five are needed.
    tol : float, default=1e-8
        The search ends with a step that promises to lower the criterion by less than this.
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
        before them.
        With `group_by` a column of X, that column has an entry, 0.
    intercept_ : float
        Fixed intercept b0; 0.0 if ``fit_intercept=False``.
    random_effects_ : DataFrame of shape (n_groups, 1)
        Conditional modes of u_j, in units of y, by group.
    group_coef_ : DataFrame of shape (n_groups, 1 + n_features)
        Each group's own line: fixed plus random effects.
    random_effects_cov_ : DataFrame of shape (1, 1)
        Variance of u_j, in squared units of y.
    residual_variance_ : float, or Series of shape (n_strata,)
        sigma2, in squared units of y; with `variance_by` that of each stratum.
    theta_ : ndarray of shape (n_factors,)
        Standard deviation of u_j relative to that of the residuals, of each factor. With
        `variance_by` sigma2 is the harmonic mean of the rows' residual variances.
    icc_ : float, or Series of shape (n_strata,)
        Intraclass correlation: the share of the variance not explained by X that lies between
        groups; with `variance_by` that in each stratum.
    pooling_weights_ : DataFrame of shape (n_groups, 1)
        Weight of the group's own mean against the grand mean, psi n_j / (1 + psi n_j).
    coef_cov_ : DataFrame
        Covariance of (intercept, coefficients); NaN for dropped columns.
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
        Whether the variance between groups is exactly 0, that of one factor at least.
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
        If the variance between groups is estimated as 0, or cannot be estimated because there
        is one group or no group has a second row.
    UserWarning
        If labels of a factor that are whole numbers, 1, 2, ... or 0, 1, ..., start anew in
        each group of another, as those of classes in schools may.
    ConvergenceWarning
        If `max_iter` was not enough, if conjugate gradients take many steps or probes leave a
        large error, or if y has no variation left within groups.
    LinAlgWarning
        If X is rank-deficient; the columns are named.

    See Also
    --------
    RandomSlopeRegressor : Groups differ in slopes, too.
    FixedEffectsRegressor : The limit of large differences: group effects are not shrunk.
    PooledRegressor : The limit of none: groups are ignored.

    Notes
    -----
    Rows enter only through their cross-products, in total and by group. For given psi they
    yield the coefficients and sigma2 in closed form; psi minimises the profiled criterion,
    whose every local minimum is looked at. One pass costs O(n p^2) for n rows and p columns,
    and each step after it O(k p^2), where k is the number of distinct group sizes. Of several
    factors those nested in all others are eliminated in O(J p^2) for J groups; where factors
    cross a step costs the cube of the number of groups of all but the largest, or by the
    iterative solver the number of pairs of groups that meet times that of probes, 5 to 30
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
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=subject)
    >>> round(model.intercept_, 2), model.coef_.round(2)
    (251.41, array([10.47]))
    >>> model.random_effects_.head(2).round(2)
             (Intercept)
    Subject
    308            40.78
    309           -77.85
    >>> model.predict(X.head(1), groups=[308]).round(2)  # a subject seen in fit
    array([292.19])
    >>> model.predict(X.head(1), groups=[999]).round(2)  # a new one
    array([251.41])

    Pupils and teachers who both differ:

    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.integers(0, [80, 12], (400, 2)), columns=["pupil", "teacher"])
    >>> X["hours"] = rng.normal(size=400)
    >>> y = 2 * X["hours"] + rng.normal(size=80)[X["pupil"]] + rng.normal(size=400)
    >>> y += 0.5 * rng.normal(size=12)[X["teacher"]]
    >>> model = RandomInterceptRegressor(group_by=["pupil", "teacher"]).fit(X, y)
    >>> for name, cov in model.random_effects_cov_.items():
    ...     print(name, cov.to_numpy().round(2))
    pupil [[0.62]]
    teacher [[0.21]]
    >>> model.random_effects_["teacher"].head(2).round(2)
             (Intercept)
    teacher
    0              -0.60
    1              -0.17
    >>> new = pd.DataFrame({"pupil": [3, 3, -1], "teacher": [7, -1, -1], "hours": 0.0})
    >>> model.predict(new).round(2)  # both known, a new teacher, both new
    array([-0.54, -0.96, -0.08])
    """

    # as in the base, so that an error about an argument names this class
    def __init__(
        self,
        *,
        group_by: str | int | None = None,
        method: Literal["reml", "ml"] = "reml",
        fit_intercept: bool = True,
        new_groups: Literal["population", "error"] = "population",
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
