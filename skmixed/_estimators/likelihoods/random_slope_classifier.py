"""A model of binary outcomes in which every group has its own slopes."""

from __future__ import annotations

from typing import Any, Literal

from skmixed._estimators.likelihoods.classifier import BaseMixedClassifier
from skmixed._estimators.likelihoods.slopes import LikelihoodSlopesMixin
from skmixed._public import public


@public("skmixed")
class RandomSlopeClassifier(LikelihoodSlopesMixin, BaseMixedClassifier):
    """Logistic regression with varying slopes: every group has its own line.

    The model of row i in group j is ::

        logit P(y_ij = 1) = b0 + x_ij' b + z_ij' u_j,    u_j ~ N(0, Psi)

    where z_ij holds a 1, for the group's own level, and the columns named by `slopes`;
    in lme4's words ``glmer(y ~ x + z + (z | group), family = binomial)``.
    Coefficients are log odds: within a group, the odds of the second class change by the
    factor exp(b) where x grows by 1. Probabilities are averaged over what is not known of a
    group, so that those of a new group are the shares that are seen among all groups.

    Parameters
    ----------
    slopes : "all", str, int, list, slice, mask or callable, default="all"
        Columns of X whose slope varies between groups: names (of a DataFrame's columns),
        positions, a boolean mask, or a callable such as
        `sklearn.compose.make_column_selector`. With `group_by`, positions and masks count the
        group column, and a callable is given X without it.
    group_by : str, int or tuple, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column
        of X that holds the groups. The estimator then works wherever scikit-learn passes X
        alone. If None, groups are given to `fit` and the methods that predict as an array. A
        tuple joins the labels of its columns.
    covariance : {"full", "diag"}, default="full"
        Whether random effects are correlated. If not, the model depends on where the columns
        have their zero.
    random_intercept : bool, default=True
        Whether the level varies between groups, too.
    fixed_slopes : bool, str, int, list, slice, mask or callable, default=True
        Whether the slope columns are fixed effects, too; or which of them. The groups' slopes
        of the others vary around zero.
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
    RandomInterceptClassifier : Binary outcomes, groups differ in level.
    RandomSlopePoissonRegressor : Counts, groups differ in slopes, too.
    RandomSlopeRegressor : Normal outcomes, several grouping factors.

    Notes
    -----
    The likelihood of a group is an integral over its random effects. Its integrand is
    approximated around its mode, for all groups at once, and the sum of the logarithms is
    maximised in the coefficients and theta with its exact gradient. Rows are read at each of
    some tens of steps, O(n p) each. Standard errors come from the Hessian
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
    >>> import pandas as pd
    >>> from skmixed import RandomSlopeClassifier
    >>> rng = np.random.default_rng(0)
    >>> school = rng.integers(40, size=1200)
    >>> X = pd.DataFrame({"hours": rng.normal(size=1200), "school": school})
    >>> slope = 1 + 0.7 * rng.normal(size=40)
    >>> eta = slope[school] * X["hours"] + rng.normal(size=40)[school]
    >>> y = rng.random(1200) < 1 / (1 + np.exp(-eta))
    >>> model = RandomSlopeClassifier("hours", group_by="school").fit(X, y)
    >>> model.random_effects_cov_.round(2)
                 (Intercept)  hours
    (Intercept)         0.85   0.18
    hours               0.18   0.88
    >>> model.predict_proba(X.head(2)).round(2)
    array([[0.47, 0.53],
           [0.81, 0.19]])
    """

    _parameter_constraints = {
        **BaseMixedClassifier._parameter_constraints,
        **LikelihoodSlopesMixin._parameter_constraints,
    }

    def __init__(
        self,
        slopes: Any = "all",
        *,
        group_by: Any = None,
        covariance: Literal["full", "diag"] = "full",
        random_intercept: bool = True,
        fixed_slopes: Any = True,
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
        self.slopes = slopes
        self.covariance = covariance
        self.random_intercept = random_intercept
        self.fixed_slopes = fixed_slopes
