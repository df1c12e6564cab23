"""A model of counts in which every group has its own intercept."""

from __future__ import annotations

from typing import Any, Literal

from skmixed._estimators.likelihoods.counts import BaseMixedPoissonRegressor
from skmixed._public import public


@public("skmixed")
class RandomInterceptPoissonRegressor(BaseMixedPoissonRegressor):
    """Poisson regression with a varying intercept: every group has its own level.

    The model of row i in group j is ::

        log E(y_ij) = b0 + x_ij' b + u_j,    u_j ~ N(0, psi),  y_ij Poisson

    which lme4 writes ``glmer(y ~ x + (1 | group), family = poisson)``.
    Coefficients are logarithms of rate ratios: within a group, the mean changes by the factor
    exp(b) where x grows by 1. Means are averaged over what is not known of a group: those of a
    new group are ``exp(x'beta + z'Psi z / 2)``.

    Parameters
    ----------
    group_by : str, int or tuple, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups. The estimator then works wherever scikit-learn passes X
        alone. If None, groups are given to `fit` and the methods that predict as an array. A
        tuple joins the labels of its columns.
    quadrature : int or "auto", default="auto"
        Nodes of the adaptive Gauss-Hermite quadrature that integrates over the effects of each
        group, at most 100; 1 is Laplace's approximation. "auto" is 9 for one random effect for
        each group, and 1, the only choice, for several. Laplace's approximation underestimates
        variances where groups are small.
    fit_intercept : bool, default=True
        Whether to estimate b0. If False, the group effects vary around zero.
    new_groups : {"population", "error"}, default="population"
        What to do with labels not seen in `fit`: average over the effects of all groups, or
        raise an error that lists them.
    max_iter : int, default=100
        Steps of the search allowed.
    tol : float, default=1e-8
        The search ends with a step that promises to lower `criterion_` by less than this.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Fixed effects of the feature columns, on the scale of the link; 0 for columns that
        depend linearly on those before them. With `group_by` a column of X, that column has
        an entry, 0.
    intercept_ : float
        Fixed intercept b0; 0.0 if ``fit_intercept=False``.
    random_effects_ : DataFrame of shape (n_groups, n_random)
        Conditional modes of u_j by group.
    group_coef_ : DataFrame of shape (n_groups, 1 + n_features)
        Each group's own linear predictor: fixed plus random effects.
    random_effects_cov_ : DataFrame of shape (n_random, n_random)
        Covariance of u_j, Psi, on the scale of the link.
    theta_ : ndarray
        Free entries of Lambda, Psi = Lambda Lambda', column by column, as in lme4.
    pooling_weights_ : DataFrame of shape (n_groups, n_random)
        How much a group's own rows tell of each random effect: 1 - (conditional variance) /
        (variance), between 0 (drawn to the population) and 1.
    icc_ : float
        Intraclass correlation on the latent scale.
    coef_cov_ : DataFrame
        Covariance of (intercept, coefficients); NaN for dropped columns.
    log_likelihood_ : float
        Log-likelihood at the estimate, constants included: on lme4's scale of ``nAGQ = 1`` for
        every number of nodes.
    criterion_ : float
        ``-2 * log_likelihood_``, which is minimised.
    aic_, bic_ : float
        Akaike's and Schwarz's criterion, with n = number of rows.
    n_nodes_ : int
        Nodes of the quadrature; 1 for Laplace's approximation.
    separating_ : list of str
        Terms whose coefficients have no finite estimate; see Warns.
    groups_ : Index of shape (n_groups,)
        Labels seen in `fit`, sorted.
    group_sizes_ : Series of shape (n_groups,)
        Number of rows (sum of weights) of each group.
    n_groups_ : int
        Number of groups.
    converged_ : bool
        Whether the optimum was found within `max_iter`.
    singular_ : bool
        Whether the covariance of the random effects is singular: a variance of exactly 0, or
        an exact correlation.
    n_iter_ : int
        Steps of the search.
    n_features_in_ : int
        Number of columns seen in `fit`, the group column included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X has names that are all strings.

    Raises
    ------
    ValueError
        By `fit`: if y is negative or 0 in all rows, or if nodes are asked for with several
        random effects for each group.
    NotAvailableError
        If there are several grouping factors, and by methods of the linear models that do not
        exist for this one, such as `partial_fit`; it says why.

    Warns
    -----
    MissingGroupsWarning
        If `fit` is given no groups: the fit is then a pooled Poisson regression.
    SingularFitWarning
        If the covariance of the random effects is singular.
    ConvergenceWarning
        If `max_iter` was not enough, or if coefficients have no finite estimate, which are
        named: y is 0 wherever a column is not; or if the
        variance of random effects has none, since groups tell the outcome by themselves.
    LinAlgWarning
        If X is rank-deficient; the columns are named.
    UserWarning
        If Laplace's approximation is asked for where groups are small, or if neither y nor y
        times `sample_weight` holds counts.

    See Also
    --------
    RandomSlopePoissonRegressor : Counts, groups differ in slopes, too.
    RandomInterceptClassifier : Binary outcomes, groups differ in level.
    RandomInterceptRegressor : Normal outcomes, several grouping factors.

    Notes
    -----
    The likelihood of a group is an integral over its random effects. Its integrand is
    approximated around its mode, for all groups at once, and the sum of the logarithms is
    maximised in the coefficients and theta with its exact gradient. Rows are read at each of
    some tens of steps, O(n p) each for each node. Standard errors come from the Hessian
    when they are first asked for; until then, or until it is pickled, the model keeps the rows.

    Counts with an exposure, such as person-years, are fitted as rates: ``y / exposure`` with
    ``sample_weight=exposure``. Coefficients, variances and random effects are then those of a
    model with the offset log(exposure); `log_likelihood_` differs by a constant of the data,
    so compare only fits with the same exposures.

    References
    ----------
    Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects
    models using lme4. Journal of Statistical Software, 67(1). doi:10.18637/jss.v067.i01

    Pinheiro, J. C. and Chao, E. C. (2006). Efficient Laplacian and adaptive Gaussian quadrature
    algorithms for multilevel generalized linear mixed models. Journal of Computational and
    Graphical Statistics, 15(1), 58-81. doi:10.1198/106186006X96962

    Examples
    --------
    Visits to clinics, observed for different numbers of years:

    >>> import numpy as np
    >>> from skmixed import RandomInterceptPoissonRegressor
    >>> rng = np.random.default_rng(0)
    >>> X, clinic = rng.normal(size=(600, 1)), rng.integers(40, size=600)
    >>> years = rng.uniform(1, 5, size=600)
    >>> visits = rng.poisson(years * np.exp(0.5 * X[:, 0] + 0.6 * rng.normal(size=40)[clinic]))
    >>> model = RandomInterceptPoissonRegressor()
    >>> model = model.fit(X, visits / years, groups=clinic, sample_weight=years)
    >>> frame = model.fixed_effects_frame(ratios=True)
    >>> frame[["estimate", "std_error", "rate_ratio"]].round(2)
                 estimate  std_error  rate_ratio
    term
    (Intercept)     -0.12       0.08        0.88
    x0               0.50       0.02        1.65
    >>> model.predict([[1.0], [1.0]], groups=[3, -1]).round(2)  # a known and a new clinic
    array([2.67, 1.65])
    """

    # as in the base, so that an error about an argument names this class
    def __init__(
        self,
        *,
        group_by: Any = None,
        quadrature: int | Literal["auto"] = "auto",
        fit_intercept: bool = True,
        new_groups: Literal["population", "error"] = "population",
        max_iter: int = 100,
        tol: float = 1e-8,
    ) -> None:
        super().__init__(
            group_by=group_by,
            quadrature=quadrature,
            fit_intercept=fit_intercept,
            new_groups=new_groups,
            max_iter=max_iter,
            tol=tol,
        )
