"""Whether several coefficients, or combinations of them, are 0 at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._public import public
from skmixed._reports.layout import Printed, column_as_text
from skmixed._reports.tests import DfMethod
from skmixed.inference._coefficients import NamedModel


@public("skmixed.inference")
@dataclass(frozen=True, repr=False)
class WaldTest(Printed):
    """Result of `wald_test`.

    Printing it shows the test and what is tested as text; a notebook shows it as HTML.

    Attributes
    ----------
    statistic : float
        F statistic of all combinations being 0.
    df_num : int
        Its numerator degrees of freedom: the number of linearly independent combinations.
    df_denom : float
        Its denominator degrees of freedom; inf where df_num times the statistic is compared
        with chi-square.
    p_value : float
        Probability of a statistic as large if all combinations are 0.
    combinations : DataFrame of shape (n_combinations, n_coef)
        Weights of the coefficients, with a name for each combination.
    estimates : DataFrame of shape (n_combinations, 2)
        Estimate and standard error of each combination.
    """

    statistic: float
    df_num: int
    df_denom: float
    p_value: float
    combinations: pd.DataFrame
    estimates: pd.DataFrame

    @property
    def title(self):
        """What is tested.

        Returns
        -------
        str
            One line.
        """
        n = len(self.combinations)
        if n == 1:
            return "Wald test that one combination of coefficients is 0"
        return f"Wald test that {n} combinations of coefficients are 0"

    @property
    def remarks(self):
        """The test.

        Returns
        -------
        tuple of str
            Sentences.
        """
        return (self.as_text(),)

    def as_text(self):
        """Give the test as text.

        Returns
        -------
        str
            Statistic, degrees of freedom and p-value.
        """
        p = f"p = {self.p_value:.3g}"
        if np.isinf(self.df_denom):
            return f"chi2({self.df_num}) = {self.df_num * self.statistic:.2f}, {p}"
        return f"F({self.df_num}, {self.df_denom:.1f}) = {self.statistic:.2f}, {p}"

    def _tables(self):
        like = self.estimates["std_error"]
        yield "Combinations", self.estimates.apply(column_as_text, like=like)


@public("skmixed.inference")
def wald_test(estimator: Any, terms: Any, *, df_method: DfMethod | None = None) -> WaldTest:
    """Test that several coefficients, or linear combinations of them, are 0 at once.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted model of this package, a pipeline that ends in one, or a search that chose
        one. In a pipeline the coefficients have the names that the steps before give them.
    terms : str, list of str, array-like, DataFrame or dict
        What is 0: a coefficient by its name in `coef_cov_`; several, all of them at once; or
        combinations of coefficients, as the rows of a matrix of shape (n_combinations,
        n_coef) whose columns are those of `coef_cov_` (the intercept first), as a DataFrame
        whose columns are some of these, or as a dictionary such as
        ``{"b - a": {"b": 1, "a": -1}}``.
    df_method : {"satterthwaite", "kenward-roger", "normal"}, default=None
        How to find the denominator degrees of freedom. By default Satterthwaite's method for
        linear mixed models, `residual_dof_` for regressions by least squares, and "normal",
        chi-square, for binary and count outcomes, for which there is nothing else. For
        regressions all but "normal" come to `residual_dof_`; with `standard_errors` robust
        to clusters to the degrees of freedom of these, and Kenward and Roger's method is an
        error.

    Returns
    -------
    WaldTest
        Statistic, degrees of freedom, p-value; prints as text, shows as HTML in a notebook.

    Raises
    ------
    TypeError
        If the estimator is no model of this package, or `terms` is nothing of the above.
    ValueError
        If a coefficient does not exist or was not estimated, a combination is 0, the
        covariance of the combinations is singular, Kenward and Roger's method is asked of a
        fit by ML or with errors robust to clusters, or groups are too few for the test.
    NotAvailableError
        If the model was fitted without groups, or Kenward and Roger's method is asked of a fit
        by the iterative solver.

    See Also
    --------
    anova_frame : A test for each term.
    contrast_frame : Combinations one by one, with intervals.

    Notes
    -----
    With the combinations L beta and the covariance C of beta the statistic is ::

        F = (L beta)' (L C L')^-1 (L beta) / df_num.

    Rows of L that depend linearly on others count once: `df_num` is the rank. Satterthwaite's
    method is that of lmerTest: in the eigenvectors of L C L' the statistic is a mean of
    squared t statistics, each with degrees of freedom of its own, and F is given those with
    which it has the mean of these. They depend on the rows by which a hypothesis is written,
    and on the units of columns, as those of lmerTest do; the statistic does not. Kenward and
    Roger's method widens C for the estimation of the variances, and matches the first two
    moments of F by a multiple of F.

    With ``standard_errors="CR2"`` of a regression the test is HTZ of clubSandwich: Hotelling's
    T^2, with degrees of freedom that match the first two moments of C. CR0, CR1 and CR1S take
    F with those of the clusters but one.

    References
    ----------
    Kuznetsova, A., Brockhoff, P. B. and Christensen, R. H. B. (2017). lmerTest package: tests
    in linear mixed effects models. Journal of Statistical Software, 82(13).
    doi:10.18637/jss.v082.i13

    Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from
    restricted maximum likelihood. Biometrics, 53, 983-997. doi:10.2307/2533558

    Pustejovsky, J. E. and Tipton, E. (2018). Small-sample methods for cluster-robust variance
    estimation and hypothesis testing in fixed effects models. Journal of Business & Economic
    Statistics, 36, 672-683. doi:10.1080/07350015.2016.1247004

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inference import wald_test
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=school)
    >>> wald_test(model, ["mean_ses", "catholic"])
    Wald test that 2 combinations of coefficients are 0
    <BLANKLINE>
    F(2, 169.0) = 56.63, p = 1.5e-19
    <BLANKLINE>
    Combinations:
             estimate std_error
    mean_ses   2.1063    0.3559
    catholic   1.7178    0.2777
    >>> wald_test(model, {"minority - female": {"minority": 1, "female": -1}}).p_value < 0.001
    True
    """
    tested = NamedModel.of(estimator)
    L = tested.combinations(terms, "terms")
    tests = tested.tests(df_method)
    test = tested.joint(tests, {"terms": L.to_numpy()})["terms"]
    variances, _ = tests.single(L.to_numpy())
    estimates = {"estimate": L.to_numpy() @ tested.beta, "std_error": np.sqrt(variances)}
    return WaldTest(
        statistic=test.statistic,
        df_num=test.df_num,
        df_denom=test.df_denom,
        p_value=test.p_value,
        combinations=L,
        estimates=pd.DataFrame(estimates, L.index),
    )
