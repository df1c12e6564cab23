"""What grouped data are like, before a model is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from skmixed._describe.advice import advise
from skmixed._describe.compare_slopes import SlopeComparison
from skmixed._describe.random_intercepts import RandomIntercepts
from skmixed._estimators.digits import solve_with_digits
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.within_between import shares
from skmixed._public import public
from skmixed._reports.layout import Printed, column_as_text
from skmixed._reports.summary import shares_of_variation
from skmixed._rows.reader import RowsAgain, read_training_rows, sum_up

NO_GROUPS = (
    "The groups must be given to describe_groups, but got None. Pass them as `groups`, one "
    "label for each row of X, or name the column of X that holds them: group_by='column'."
)
WITHOUT_FEATURES, GIVEN_FEATURES = "y alone", "y given the features"


@public("skmixed")
@dataclass(frozen=True, repr=False)
class GroupDescription(Printed):
    """Sizes of groups, sources of variation, and what they say about the choice of a model.

    Printing it shows tables and sentences as text; a notebook shows them as HTML.

    Attributes
    ----------
    group_sizes : Series of shape (n_groups,)
        Number of rows (sum of weights) of each group.
    variation : DataFrame of shape (1 + n_features, 3)
        For y, the first row, and each feature: the shares of its sum of squares that lie
        between groups and within them, and where it varies: "both", "within groups",
        "between groups" (a level-2 feature) or "nowhere", if it is constant. Of a feature that
        has nothing to do with the groups, a share of (n_groups - 1) / (n_rows - 1) lies
        between them.
    variance_components : DataFrame of shape (1 or 2, 6)
        Of random-intercept models by REML, of ``y alone`` and of ``y given the features``,
        which are split into within and between parts: variance ``between`` groups and
        ``residual``, intraclass correlation ``icc``, ``design_effect``, likelihood ratio
        ``statistic`` of no variance between groups and its ``p_value``. NaN if they cannot be
        estimated.
    slopes : SlopeComparison or None
        Slopes within and between groups, of the features that vary in both ways.
    without_fixed_effects_slope : tuple of str
        Features whose slope fixed effects cannot estimate: they do not vary within groups, or
        within groups depend linearly on the features before.
    """

    group_sizes: pd.Series
    variation: pd.DataFrame
    variance_components: pd.DataFrame
    slopes: SlopeComparison | None
    without_fixed_effects_slope: tuple[str, ...]

    @property
    def sizes(self):
        """Rows, groups, and the distribution of group sizes.

        Returns
        -------
        Series
            Its index is rows, groups, smallest, median, mean, largest and singletons.
        """
        sizes = self.group_sizes
        return pd.Series(
            {
                "rows": sizes.sum(),
                "groups": len(sizes),
                "smallest": sizes.min(),
                "median": sizes.median(),
                "mean": sizes.mean(),
                "largest": sizes.max(),
                "singletons": np.count_nonzero(sizes <= 1),
            }
        )

    @property
    def advice(self):
        """What speaks for and against each way to treat the groups, and what follows.

        Returns
        -------
        dict of tuple of str
            Sentences about complete pooling, fixed effects, random effects, and the choice.
        """
        return advise(self)

    @property
    def title(self):
        """Number of rows and groups.

        Returns
        -------
        str
            One line.
        """
        rows, sizes = self.group_sizes.sum(), self.group_sizes
        return f"{rows:.10g} rows in {len(sizes)} groups ({sizes.index.name})"

    remarks = ()

    def _tables(self):
        yield "Group sizes", self.sizes.map(_number).to_frame("")
        shares = self.variation[["between", "within"]].map("{:.1%}".format)
        yield "Shares of the variation", shares.assign(varies=self.variation["varies"])
        components = self.variance_components
        text = components.map("{:.4g}".format)
        text["p_value"] = column_as_text(components["p_value"])
        yield "Random-intercept models", text
        if self.slopes is not None:
            yield from self.slopes._tables()

    def _lists(self):
        return self.advice


@public("skmixed")
def describe_groups(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    group_by: str | int | None = None,
    sample_weight: Any = None,
) -> GroupDescription:
    """Describe grouped data, and advise on how to model the groups.

    Says how many groups there are and how large, how much of the variation of y and of each
    feature lies between them, what a null model makes of it (the intraclass correlation), which
    features fixed effects cannot deal with, and whether slopes within groups differ from those
    between; and what that means for complete pooling (groups ignored), fixed effects (a
    coefficient for each group) and random effects. Each sentence gives its number.

    Parameters
    ----------
    X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
        Numeric features, possibly none, and, if `group_by` is set, the group column.
    y : array-like of shape (n_rows,)
        Target.
    groups : array-like of shape (n_rows,), optional
        Group label of each row, none missing. Not together with `group_by`.
    group_by : str or int, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column of
        X that holds the groups.
    sample_weight : array-like of shape (n_rows,), optional
        A weight of 2 is the row twice, a weight of 0 is no row.

    Returns
    -------
    GroupDescription
        Prints as text, shows as HTML in a notebook; holds tables as DataFrames.

    Raises
    ------
    ValueError
        If no groups are given, if they are given twice, or as `RandomInterceptRegressor.fit`
        does.

    See Also
    --------
    compare_slopes : Slopes within and between groups of a model that is fitted already.

    Notes
    -----
    All is computed from cross-products by group, in one pass over the rows; where groups lie so
    far apart, or residuals are so small, that these lack digits, in two or three. The design
    effect is 1 + (m - 1) icc with m = sum_j n_j^2 / n, the size of the average row's group
    (Kish). The likelihood ratio of no variance between groups is compared with an equal mixture
    of 0 and chi-squared with one degree of freedom, since 0 is at the boundary. A variance that
    is estimated from J groups has a relative standard error of at least sqrt(2 / (J - 1)).

    References
    ----------
    Gelman, A. and Hill, J. (2007). Data Analysis Using Regression and Multilevel/Hierarchical
    Models. Cambridge University Press, chapter 12.

    Bell, A., Fairbrother, M. and Jones, K. (2019). Fixed and random effects models: making an
    informed choice. Quality & Quantity, 53, 1051-1074. doi:10.1007/s11135-018-0802-x

    Examples
    --------
    >>> from skmixed import describe_groups
    >>> from skmixed.datasets import load_hsb
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> description = describe_groups(X[["ses", "catholic"]], y, school)
    >>> description.variation.round(3)
              between  within          varies
    variable
    math        0.191   0.809            both
    ses         0.282   0.718            both
    catholic    1.000   0.000  between groups
    >>> description.variance_components[["between", "residual", "icc"]].round(3)
                          between  residual   icc
    y alone                 8.614    39.148  0.18
    y given the features    2.369    37.023  0.06
    >>> print(description.advice["Choice"][1])
    Split the features by WithinBetween: slopes within and between groups differ (p < 0.001).
    Those within are then the slopes of fixed effects.
    """
    if groups is None and group_by is None:
        raise ValueError(NO_GROUPS)
    moments, names, labels, again = _sum_rows(X, y, groups, group_by, sample_weight)
    variables = pd.Index([getattr(y, "name", None) or "y", *names], name="variable")
    fits, lines = solve_with_digits(RandomIntercepts.of, moments, again)
    within, between = shares(lines or OwnLines.of(near_means(moments)))
    variation = shares_of_variation(np.roll(within, 1), np.roll(between, 1), variables)
    split, models = fits.given_features, {WITHOUT_FEATURES: fits.y_alone}
    if names:
        models[GIVEN_FEATURES] = split
    components = {name: _components(fit, moments.sizes) for name, fit in models.items()}
    without_slope = np.flatnonzero(split.problem.coordinates.dependent[1 : 1 + len(names)])
    whole = np.array_equal(moments.sizes, moments.n_rows)
    sizes = moments.n_rows if whole else moments.sizes
    return GroupDescription(
        group_sizes=pd.Series(sizes, index=labels, name="size"),
        variation=variation,
        variance_components=pd.DataFrame.from_dict(components, orient="index"),
        slopes=_slopes(split, names, variation["varies"], len(labels)),
        without_fixed_effects_slope=tuple(names[i] for i in without_slope),
    )


def _number(number):
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.2f}"


def _sum_rows(X, y, groups, group_by, sample_weight):
    """Check and sum up rows as a fit does; also names, labels, and the rows themselves."""
    reader = RandomInterceptRegressor(group_by=group_by)
    rows, columns = read_training_rows(reader, X, y, groups, sample_weight)
    moments = sum_up(rows, columns)
    labels = pd.Index(moments.labels, name=columns.group_name)
    return moments, list(columns.terms), labels, RowsAgain(rows)


def _components(fit, sizes):
    names = ["between", "residual", "icc", "design_effect", "statistic", "p_value"]
    criterion, solution = fit.criterion, fit.solution
    if not criterion.is_identified:
        return dict.fromkeys(names, np.nan)
    between = solution.sigma2 * solution.Lambda[0, 0] ** 2
    design_effect = 1 + (np.sum(sizes**2) / sizes.sum() - 1) * solution.icc
    pooled = criterion.profile(*criterion.eliminate(np.zeros((1, 1))))
    statistic = max(pooled - solution.criterion, 0.0) if between > 0 else 0.0
    p_value = chi2.sf(statistic, 1) / 2 if statistic > 0 else 1.0
    values = [between, solution.sigma2, solution.icc, design_effect, statistic, p_value]
    return dict(zip(names, map(float, values), strict=True))


def _slopes(fit, names, varies, n_groups):
    """Compare the slopes of the features that vary in both ways."""
    both = np.flatnonzero(varies.iloc[1:] == "both")
    if not fit.criterion.is_identified or not len(both):
        return None
    solution = fit.solution
    within, between = 1 + both, 1 + len(names) + both
    pair = np.concatenate([within, between])
    return SlopeComparison.from_estimates(
        [names[i] for i in both],
        solution.beta[within],
        solution.beta[between],
        solution.beta_cov[np.ix_(pair, pair)],
        n_groups,
    )
