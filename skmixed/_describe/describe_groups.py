"""What grouped data are like, before a model is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import f as f_distribution
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._describe.advice import (
    GIVEN_FEATURES,
    GIVEN_SPLIT,
    LEVEL,
    WITHOUT_FEATURES,
    advise,
)
from skmixed._describe.compare_slopes import SlopeComparison, test_in_strata
from skmixed._describe.conditions import conditions
from skmixed._describe.describe_factors import FactorsDescription, describe_factors
from skmixed._describe.group_spreads import (
    deviations_in_groups,
    group_spreads,
    spreads_as_text,
)
from skmixed._describe.random_intercepts import RandomIntercepts
from skmixed._describe.variation import number_as_text, variation_as_text, variation_of
from skmixed._estimators.digits import solve_with_digits
from skmixed._estimators.random_intercept import RandomInterceptRegressor
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._public import public
from skmixed._reports.layout import Printed, column_as_text
from skmixed._rows.columns import dense_column
from skmixed._rows.labels import warn_about_small_weights
from skmixed._rows.reader import (
    RowsAgain,
    read_training_rows,
    sum_up,
    warn_about_column_of_groups,
)

# Groups of fewer rows say little about a spread of their own, and fewer groups about others'.
ROWS_FOR_A_SPREAD, GROUPS_FOR_A_SPREAD = 5, 4
NO_GROUPS = (
    "The groups must be given to describe_groups, but got None. Pass them as `groups`, one "
    "label for each row of X, or name the column of X that holds them: group_by='column'."
)


@public("skmixed")
@dataclass(frozen=True, repr=False)
class GroupDescription(Printed):
    """Sizes of groups, sources of variation, and what they say about the choice of a model.

    Printing it shows tables and sentences as text; a notebook shows them as HTML.

    Attributes
    ----------
    group_sizes : Series of shape (n_groups,)
        Number of rows (sum of weights) of each group.
    group_spreads : DataFrame of shape (n_groups, 4)
        Of y in each group: ``size``, ``mean``, standard deviation ``std`` (with the divisor
        size - 1; NaN in a group of one row), and ``shrunken_std``, drawn towards what is usual
        among the groups, the more the fewer rows there are.
    variation : DataFrame of shape (1 + n_features, 5)
        For y, the first row, and each feature: the shares of its sum of squares that lie
        between groups and within them, and where it varies: "both", "within groups",
        "between groups" (a level-2 feature) or "nowhere", if it is constant; the number of
        groups in which it varies, and of the rows of those, which alone count for fixed
        effects. Of a feature that has nothing to do with the groups, a share of
        (n_groups - 1) / (n_rows - 1) lies between them.
    variance_components : DataFrame of shape (1 to 3, 10)
        Of random-intercept models by REML, of ``y alone``, of ``y given the features``, each
        with one slope, and of ``y given split features``, if some vary both within and between
        groups and have a slope of either kind: variance ``between`` groups, its standard error
        and the ``residual`` variance; intraclass correlation ``icc`` and its 95% interval; F
        ``statistic`` of no variance between groups, its degrees of freedom ``df_num`` and
        ``df_den``, and its ``p_value``. NaN for what cannot be told.
    effective_rows : Series
        How many independent rows would tell as much about the mean of y: its variance,
        between + residual, over the squared standard error of the mean, in the model of y
        alone, at the ``estimate`` of the intraclass correlation, and ``lower`` and ``upper``
        at the limits of its interval.
    slopes : SlopeComparison or None
        Slopes within and between groups, of the features that vary in both ways.
    slope_sources : DataFrame
        For each feature, in a random-intercept model that gives it one slope: the slope, its
        standard error, and how much of the information on the slope comes ``from_within``
        groups and ``from_between`` them.
    std_error_ratios : Series
        For each feature of groups, the standard error of its slope in the model that the
        slopes call for, split or not, over the one that ignores groups.
    error_in_new_groups : Series
        By which share the error of prediction in new groups is larger than with the true
        slopes: ``split``, since slopes between groups are estimates; and with ``one slope``,
        since it is not that between groups. NaN without features to split, or with too few
        groups for them.
    rare_values : dict of str to int
        For each feature of groups that has two values, the number of groups with the rarer.
    residual_spread : Series
        Whether residuals given the features vary alike in all groups: quartiles ``lower`` and
        ``upper`` of the standard deviations in groups of 5 rows or more, and the ``p_value`` of
        Levene's test; or the standard deviations in small and in large groups, and that of an
        F test, whichever is clearer. The p-value is corrected for the choice. NaN with too few
        rows.
    without_fixed_effects_slope : tuple of str
        Features whose slope fixed effects cannot estimate: they do not vary within groups, or
        within groups depend linearly on the features before.
    n_singletons : int
        Number of groups of one row, which counts once at most.
    """

    group_sizes: pd.Series
    group_spreads: pd.DataFrame
    variation: pd.DataFrame
    variance_components: pd.DataFrame
    effective_rows: pd.Series
    slopes: SlopeComparison | None
    slope_sources: pd.DataFrame
    std_error_ratios: pd.Series
    error_in_new_groups: pd.Series
    rare_values: dict[str, int]
    residual_spread: pd.Series
    without_fixed_effects_slope: tuple[str, ...]
    n_singletons: int

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
                "singletons": self.n_singletons,
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
    def conditions(self):
        """The conditions that speak for a way to treat the groups, and how they are here.

        Returns
        -------
        DataFrame
            A row for each condition.
        """
        return conditions(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw where features vary, and where their slopes come from.

        Parameters
        ----------
        ax : array of two matplotlib Axes, default=None
            Where to draw, features first; a new figure if None.

        Returns
        -------
        SlopeSourcesDisplay
            With the axes as ``axes_`` and the figure as ``figure_``.

        Raises
        ------
        ValueError
            If there are no features.
        """
        from skmixed.inspection import SlopeSourcesDisplay  # `import skmixed` loads no pictures

        if len(self.variation) == 1:
            raise ValueError(
                f"There must be features to draw, but only {self.variation.index[0]} was "
                "described. Give describe_groups an X with features."
            )
        sources = self.variation[["within", "between"]].iloc[1:]
        return SlopeSourcesDisplay(sources=sources.join(self.slope_sources)).plot(ax)

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
        yield "Group sizes", self.sizes.map(number_as_text).to_frame("")
        yield spreads_as_text(self.group_spreads)
        n_rows = self.group_sizes.sum()
        by_chance = (len(self.group_sizes) - 1) / max(n_rows - 1, 1)
        yield (
            f"Where variables vary (chance puts {min(by_chance, 1):.1%} between groups)",
            variation_as_text(self.variation),
        )
        columns = ["between", "residual", "icc", "icc_lower", "icc_upper", "p_value"]
        components = self.variance_components[columns]
        text = components.map("{:.4g}".format).where(components.notna(), "")
        intervals = ["icc", "icc_lower", "icc_upper"]
        text[intervals] = (
            components[intervals].map("{:.3f}".format).where(components[intervals].notna(), "")
        )
        text["p_value"] = column_as_text(components["p_value"])
        yield "Random-intercept models (95% interval of the icc)", text
        if self.slopes is not None:
            yield from self.slopes._tables()
        if len(self.slope_sources):
            columns = ["slope", "std_error", "from_within", "from_between"]
            sources = self.slope_sources[columns]
            text = sources.apply(column_as_text, like=sources["std_error"])
            shares = ["from_within", "from_between"]
            text[shares] = sources[shares].clip(0, 1).map("{:.0%}".format)
            yield "One slope for each feature, and where it comes from", text
        yield (
            "What speaks for what",
            self.conditions.rename(columns={"speaks_for": "speaks for"}),
        )

    def _lists(self):
        return self.advice


@public("skmixed")
def describe_groups(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    group_by: Any = None,
    sample_weight: Any = None,
) -> GroupDescription | FactorsDescription:
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
    groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
        Group label of each row, none missing; of several grouping factors a table with a
        column for each. Not together with `group_by`.
    group_by : str, int, tuple or list of these, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column of
        X that holds the groups. A list names several factors, and a tuple joins the labels of
        its columns, as in `RandomInterceptRegressor`.
    sample_weight : array-like of shape (n_rows,), optional
        A weight of 2 is the row twice, a weight of 0 is no row.

    Returns
    -------
    GroupDescription or FactorsDescription
        Prints as text, shows as HTML in a notebook; holds tables as DataFrames. The second one
        is that of several factors.

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
    far apart, or residuals are so small, that these lack digits, in two or three.

    The test of no variance between groups compares the mean square between groups, given the
    features, with that within them: as an F test it is exact for normal y of the same residual
    variance in all groups, whatever their sizes, and so is the interval of the intraclass
    correlation, which holds the ratios of variances that such a test does not reject (Seely and
    El-Bassiouni 1983). The test of slopes is that of `compare_slopes`.

    Standard deviations of groups shrink by empirical Bayes (Smyth 2004): variances are drawn
    from a scaled inverse chi-squared distribution with d0 degrees of freedom around s0^2, and
    ``shrunken_std ** 2`` is (d0 s0^2 + d_j s_j^2) / (d0 + d_j), where d_j = size - 1. d0 and
    s0^2 are estimated by maximum likelihood; if the s_j^2 differ no more than by chance, d0 is
    infinite and all groups get the pooled value.

    A slope that is the same within and between groups weighs what both say of it by their
    information, W of the rows within groups and B of the groups' means, slope = (W + B)^-1
    (W slope_within + B slope_between). Of its variance (W + B)^-1 (W + B) (W + B)^-1, up to
    the residual variance, ``from_within`` is the share of W: the weight of the slope within, if
    there is one feature.

    Of several factors the variances are those of one model with a random intercept for each,
    by REML; their tests are likelihood-ratio tests, and the limits of their shares those of the
    profile likelihood, which take some dozens of evaluations of the criterion for each factor.
    The rows are summed up once more for each pair of factors whose joined labels are tried.

    References
    ----------
    Gelman, A. and Hill, J. (2007). Data Analysis Using Regression and Multilevel/Hierarchical
    Models. Cambridge University Press, chapter 12.

    Seely, J. F. and El-Bassiouni, Y. (1983). Applying Wald's variance component test. Annals of
    Statistics, 11, 197-201. doi:10.1214/aos/1176346069

    Bell, A., Fairbrother, M. and Jones, K. (2019). Fixed and random effects models: making an
    informed choice. Quality & Quantity, 53, 1051-1074. doi:10.1007/s11135-018-0802-x

    Smyth, G. K. (2004). Linear models and empirical Bayes methods for assessing differential
    expression in microarray experiments. Statistical Applications in Genetics and Molecular
    Biology, 3, 3. doi:10.2202/1544-6115.1027

    Examples
    --------
    >>> from skmixed import describe_groups
    >>> from skmixed.datasets import load_hsb
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> description = describe_groups(X[["ses", "catholic"]], y, school)
    >>> description.variation.round(3)
              between  within          varies  groups  rows
    variable
    math        0.191   0.809            both     160  7185
    ses         0.282   0.718            both     160  7185
    catholic    1.000   0.000  between groups       0     0
    >>> columns = ["between", "residual", "icc", "icc_lower", "icc_upper"]
    >>> description.variance_components[columns].round(3)
                            between  residual   icc  icc_lower  icc_upper
    y alone                   8.614    39.148  0.18      0.149      0.223
    y given the features      3.685    37.037  0.09      0.073      0.123
    y given split features    2.369    37.023  0.06      0.046      0.083
    >>> print(description.advice["Choice"][0])
    Random effects: groups differ given split features (p < 0.001; intraclass correlation 0.046
    to 0.083 (95%)).
    """
    if groups is None and group_by is None:
        raise ValueError(NO_GROUPS)
    rows, columns = _read_rows(X, y, groups, group_by, sample_weight)
    moments, names, again = sum_up(rows, columns), list(columns.terms), RowsAgain(rows)
    variables = pd.Index([getattr(y, "name", None) or "y", *names], name="variable")
    if columns.factors:
        return describe_factors(rows, columns, moments, variables)
    labels = pd.Index(moments.labels, name=columns.group_name)
    fits, lines = solve_with_digits(RandomIntercepts.of, moments, again)
    lines = lines or OwnLines.of(near_means(moments))
    variation = variation_of(lines, again.rows, moments.sizes, variables)
    both = np.flatnonzero(variation["varies"].iloc[1:] == "both")
    level_2 = {names[i]: i for i in np.flatnonzero(_is_of_groups(variation).iloc[1:])}
    slopes = _slopes(fits.given_split, names, both, len(labels))
    models = {WITHOUT_FEATURES: fits.y_alone}
    if names:
        models[GIVEN_FEATURES] = fits.given_features
    if len(both):
        models[GIVEN_SPLIT] = fits.given_split
    components = {name: _components(model) for name, model in models.items()}
    dependent = fits.given_split.fit.problem.coordinates.dependent[1 : 1 + len(names)]
    whole = np.array_equal(moments.sizes, moments.n_rows)
    sizes = moments.n_rows if whole else moments.sizes
    return GroupDescription(
        group_sizes=pd.Series(sizes, index=labels, name="size"),
        group_spreads=group_spreads(again.rows, labels),
        variation=variation,
        variance_components=pd.DataFrame.from_dict(components, orient="index"),
        effective_rows=_effective_rows(fits.y_alone, components[WITHOUT_FEATURES]),
        slopes=slopes,
        slope_sources=_slope_sources(fits.given_features, names),
        std_error_ratios=_std_error_ratios(fits, slopes, level_2, len(names)),
        error_in_new_groups=_error_in_new_groups(fits, len(names), both),
        rare_values=_rare_values(again.rows, level_2),
        residual_spread=_residual_spread(again.rows, fits.given_features.fixed.beta),
        without_fixed_effects_slope=tuple(names[i] for i in np.flatnonzero(dependent)),
        n_singletons=int(np.count_nonzero((moments.n_rows == 1) & (moments.sizes <= 1))),
    )


def _read_rows(X, y, groups, group_by, sample_weight):
    """Check rows as a fit does, and learn of their columns."""
    reader = RandomInterceptRegressor(group_by=group_by)
    rows, columns = read_training_rows(reader, X, y, groups, sample_weight)
    warn_about_small_weights(rows.sample_weight)
    warn_about_column_of_groups(reader, rows, columns)
    return rows, columns


def _components(model):
    names = ["between", "between_std_error", "residual", "icc", "icc_lower", "icc_upper"]
    names += ["statistic", "df_num", "df_den", "p_value"]
    if not model.is_identified:
        left, known = model.strata.df_within > 0, dict.fromkeys(names, np.nan)
        if left and model.strata.df_between == 0:  # groups' means are fitted exactly
            within = {"residual": model.fixed.regression.sigma2}
            known |= within | {"df_num": 0.0, "df_den": float(model.strata.df_within)}
        return known
    if model.fixed.regression.sigma2 == 0:
        return dict.fromkeys(names, np.nan) | {"residual": 0.0}
    test = model.strata.test_of_no_variance()
    ratios = np.array(model.strata.ratio_interval(1 - LEVEL))
    low, high = 1 - 1 / (1 + ratios)
    between = model.between
    values = [between, model.error_of_variance * between, model.solution.sigma2]
    values += [model.solution.icc, low, high]
    values += [test.statistic, test.df_num, test.df_den, test.p_value]
    return dict(zip(names, map(float, values), strict=True))


def _effective_rows(y_alone, components):
    """Rows that would tell as much of the mean, at three intraclass correlations."""
    sizes = y_alone.fit.problem.G[0, 0]
    icc = {"estimate": "icc", "lower": "icc_upper", "upper": "icc_lower"}
    return pd.Series({name: _effective_at(components[of], sizes) for name, of in icc.items()})


def _effective_at(icc, sizes):
    """Divide the variance of a row by that of the mean, 1 / sum_j n_j / (sigma2 + n_j tau2)."""
    return float(np.sum(sizes / (1 - icc + sizes * icc))) if icc < 1 else np.nan


def _slopes(model, names, both, n_groups):
    """Compare the slopes of the features that vary in both ways."""
    if not len(both) or model.fit.criterion.is_perfect or not model.strata.df_within > 0:
        return None
    solution = model.solution
    beta = np.where(np.isnan(np.diag(solution.beta_cov)), np.nan, solution.beta)
    return SlopeComparison.from_model(
        [names[i] for i in both],
        np.column_stack([1 + both, 1 + len(names) + both]),
        beta,
        test_in_strata(model.strata, beta),
        n_groups,
    )


def _slope_sources(model, names):
    """Tabulate the slopes of unsplit features, and what they rest on."""
    columns = ["slope", "std_error", "from_within", "from_between"]
    if not names or not model.is_identified:
        return pd.DataFrame(columns=columns, dtype=float)
    std_error = np.sqrt(np.diag(model.solution.beta_cov))
    share = model.strata.share_from_within()
    values = [model.solution.beta, std_error, share, 1 - share]
    table = pd.DataFrame(np.column_stack(values)[1:], pd.Index(names, name="feature"), columns)
    return table[np.isfinite(table["std_error"])]


def _is_of_groups(variation):
    return variation["varies"] == "between groups"


def _std_error_ratios(fits, slopes, level_2, n_features):
    """Compare standard errors of features of groups with those that ignore groups."""
    split = slopes is not None and slopes.p_value < LEVEL
    model = fits.given_split if split else fits.given_features
    if not level_2 or not model.is_identified:
        return pd.Series(dtype=float)
    at = [1 + i + n_features * split for i in level_2.values()]
    with np.errstate(divide="ignore", invalid="ignore"):  # without groups the fit is perfect
        ratios = np.sqrt(np.diag(model.solution.beta_cov) / np.diag(model.pooled.beta_cov))
    return pd.Series(ratios[at], index=list(level_2)).dropna()


def _rare_values(rows, level_2):
    """Count the groups with the rarer value of features that have two."""
    rare, of_group = {}, np.empty(len(rows.labels), dtype=np.intp)
    of_group[rows.codes] = np.arange(len(rows.codes))
    for name, position in level_2.items():
        values, counts = np.unique(dense_column(rows.X, position)[of_group], return_counts=True)
        if len(values) == 2:
            rare[name] = int(counts.min())
    return rare


def _residual_spread(rows, beta):
    """Compare the residuals' standard deviations among groups, and by their size."""
    X, codes = rows.X, rows.codes
    residual = rows.y - safe_sparse_dot(X, beta[len(beta) - X.shape[1] :])
    weight = np.ones(len(codes)) if rows.sample_weight is None else rows.sample_weight
    residual, _, squares, sizes = deviations_in_groups(residual, codes, weight)
    df = np.maximum(sizes - 1, 0.0)
    found = [*_by_group(residual, weight, squares, codes, sizes), *_by_size(squares, df)]
    least = min(found, key=lambda each: each[-1], default=(np.nan,) * 3)
    spread = pd.Series(least, index=["lower", "upper", "p_value"])
    spread["p_value"] = min(len(found) * spread["p_value"], 1.0)
    return spread


def _by_group(residual, weight, squares, codes, sizes):
    """Levene's test, by F, that absolute deviations are alike in groups of some rows."""
    enough = sizes >= ROWS_FOR_A_SPREAD
    if np.count_nonzero(enough) < GROUPS_FOR_A_SPREAD or not squares.any():
        return
    rows = enough[codes]
    code, w = codes[rows], weight[rows]
    z = np.abs(residual[rows]) / np.sqrt(1 - 1 / sizes[code])
    n_groups, n = np.count_nonzero(enough), w.sum()
    means, mean = np.bincount(code, w * z, len(sizes))[enough] / sizes[enough], w @ z / n
    between = np.sum(sizes[enough] * (means - mean) ** 2)
    within = w @ (z - mean) ** 2 - between
    if within > 0:
        statistic = between / (n_groups - 1) / (within / (n - n_groups))
        std = np.sqrt(squares[enough] / (sizes[enough] - 1))
        p_value = f_distribution.sf(statistic, n_groups - 1, n - n_groups)
        yield (*np.quantile(std, [0.25, 0.75]), p_value)


def _by_size(squares, df):
    """Test, by F, that residuals of small groups vary as those of large ones do."""
    small = df <= np.median(df[df > 0]) if df.any() else df < 0
    (one, df_one), (two, df_two) = ((squares[s].sum(), df[s].sum()) for s in (small, ~small))
    if min(df_one, df_two, one, two) > 0:
        p_value = f_distribution.sf(one / df_one / (two / df_two), df_one, df_two)
        low, high = sorted([one / df_one, two / df_two])
        yield np.sqrt(low), np.sqrt(high), 2 * min(p_value, 1 - p_value)


def _error_in_new_groups(fits, n_features, both):
    """Compare what slopes are off between groups with the error of a new row."""
    errors, model = pd.Series(np.nan, index=["split", "one slope"]), fits.given_split
    if not model.is_identified or not len(both) or not model.strata.exist:
        return errors
    within, between = 1 + both, 1 + n_features + both
    found = np.isfinite(np.diag(model.solution.beta_cov)[between])
    within, between = within[found], between[found]
    cov = model.solution.beta_cov[np.ix_(between, between)]
    problem, used = model.fit.problem, model.fit.problem.coordinates.used
    # scatter of the features among groups, in the user's units, a row at a time
    kept, units = np.searchsorted(used, between), problem.coordinates.scale
    scatter = problem.T[np.ix_(kept, kept)] / problem.n
    scatter *= np.outer(units[kept], units[kept])
    # estimated slopes fit the means that they are from: others are off by more
    df_between = model.strata.df_between
    beyond = len(model.fit.problem.n_rows) / (df_between - 1) if df_between > 1 else np.nan
    noise = float(np.sum(cov * scatter))
    off = model.solution.beta[between] - fits.given_features.solution.beta[within]
    added = np.array([beyond * noise, max(float(off @ scatter @ off) - noise, 0.0)])
    errors[:] = np.sqrt(1 + added / (model.between + model.solution.sigma2)) - 1
    return errors
