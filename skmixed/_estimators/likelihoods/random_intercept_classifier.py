"""A model of binary outcomes in which every group has its own intercept."""

from __future__ import annotations

from typing import Any, Literal

from skmixed._estimators.likelihoods.classifier import BaseMixedClassifier
from skmixed._public import public


@public("skmixed")
class RandomInterceptClassifier(BaseMixedClassifier):
    """Logistic regression with a varying intercept: every group has its own level.

    The model of row i in group j is ::

        logit P(y_ij = 1) = b0 + x_ij' b + u_j,    u_j ~ N(0, psi)

    which lme4 writes ``glmer(y ~ x + (1 | group), family = binomial)``.
    Coefficients are log odds: within a group, the odds of the second class change by the
    factor exp(b) where x grows by 1. Probabilities are averaged over what is not known of a
    group, so that those of a new group are the shares that are seen among all groups.

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
    classes_ : ndarray of shape (2,)
        The labels, sorted; probabilities modelled are those of the second.
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
        Akaike's and Schwarz's criterion, with n = number of rows (sum of weights).
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
        By `fit`: if y has not two classes, or if nodes are asked for with several random
        effects for each group.
    NotAvailableError
        If there are several grouping factors, and by methods of the linear models that do not
        exist for this one, such as `partial_fit`; it says why.

    Warns
    -----
    MissingGroupsWarning
        If `fit` is given no groups: the fit is then a pooled logistic regression.
    SingularFitWarning
        If the covariance of the random effects is singular.
    NotIdentifiedWarning
        If each group has one row, or if all outcomes within each group are alike.
    ConvergenceWarning
        If `max_iter` was not enough, or if coefficients have no finite estimate, which are
        named: a combination of columns tells the classes apart; or if the
        variance of random effects has none, since groups tell the outcome by themselves.
    LinAlgWarning
        If X is rank-deficient; the columns are named.
    UserWarning
        If Laplace's approximation is asked for where groups are small.

    See Also
    --------
    RandomSlopeClassifier : Binary outcomes, groups differ in slopes, too.
    RandomInterceptPoissonRegressor : Counts, groups differ in level.
    RandomInterceptRegressor : Normal outcomes, several grouping factors.

    Notes
    -----
    The likelihood of a group is an integral over its random effects. Its integrand is
    approximated around its mode, for all groups at once, and the sum of the logarithms is
    maximised in the coefficients and theta with its exact gradient. Rows are read at each of
    some tens of steps, O(n p) each for each node. Standard errors come from the Hessian
    when they are first asked for; until then, or until it is pickled, the model keeps the rows.

    k successes in m trials are two rows: one of the second class with weight k, one of the
    first with weight m - k. The likelihood is then that of m rows, without the number of ways
    to order them, which is a constant of the data.

    References
    ----------
    Bates, D., Maechler, M., Bolker, B. and Walker, S. (2015). Fitting linear mixed-effects
    models using lme4. Journal of Statistical Software, 67(1). doi:10.18637/jss.v067.i01

    Pinheiro, J. C. and Chao, E. C. (2006). Efficient Laplacian and adaptive Gaussian quadrature
    algorithms for multilevel generalized linear mixed models. Journal of Computational and
    Graphical Statistics, 15(1), 58-81. doi:10.1198/106186006X96962

    Examples
    --------
    >>> import numpy as np
    >>> from skmixed import RandomInterceptClassifier
    >>> rng = np.random.default_rng(0)
    >>> X, school = rng.normal(size=(600, 1)), rng.integers(40, size=600)
    >>> eta = X[:, 0] + rng.normal(size=40)[school]
    >>> y = np.where(rng.random(600) < 1 / (1 + np.exp(-eta)), "pass", "fail")
    >>> model = RandomInterceptClassifier().fit(X, y, groups=school)
    >>> frame = model.fixed_effects_frame(ratios=True)
    >>> frame[["estimate", "std_error", "odds_ratio"]].round(2)
                 estimate  std_error  odds_ratio
    term
    (Intercept)     -0.15       0.16        0.86
    x0               0.82       0.11        2.27
    >>> model.predict_proba([[0.5], [0.5]], groups=[3, -1]).round(2)  # a known and a new group
    array([[0.59, 0.41],
           [0.44, 0.56]])
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
