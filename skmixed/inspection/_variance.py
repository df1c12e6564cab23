"""Where the variance of y lies."""

from __future__ import annotations

from typing import Any, Self

import pandas as pd

from skmixed._numerics.inference.variance_parts import (
    explained_variances,
    null_variances,
    null_variances_of_factors,
    random_variances,
)
from skmixed._public import public
from skmixed.inspection._models import model_to_draw
from skmixed.inspection._style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PINK,
    SKY,
    YELLOW,
    make_axes,
)

# Blue between groups, orange within; the darker, the better explained.
COLORS = {
    "between, explained": BLUE,
    "between, unexplained": "#A9CDE5",
    "within, explained": ORANGE,
    "within, groups' own slopes": "#EE9B5F",
    "within, unexplained": "#F9DBC3",
}
DARK = ("between, explained", "within, explained")
# With several factors blue is what features explain, and each factor has a colour.
EXPLAINED, RESIDUAL = "features", "residual"
OF_FACTORS = (ORANGE, GREEN, PINK, YELLOW, SKY)
# Segments below this share of the longest bar have no room for a label.
MIN_SHARE = 0.035


@public("skmixed.inspection")
class VarianceDisplay:
    """Where the variance of y lies: between groups, within groups, explained or not.

    With several factors: in the features, in the groups of each factor, or in neither.

    A bar for the model without features stands above one for the model. Use `from_estimator`
    to create one; the constructor takes what is drawn.

    Parameters
    ----------
    components : DataFrame of shape (n_models, 5) or (n_models, 2 + n_factors)
        Variances, in squared units of y: a row for each bar, and the columns "between,
        explained", "between, unexplained", "within, explained", "within, groups' own slopes"
        and "within, unexplained". With several factors the columns are "features", a column
        for each factor, and "residual".

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the bars.
    axes_ : ndarray of shape (1,)
        The same in an array.
    figure_ : matplotlib Figure
        Figure that holds them.
    bars_ : list of BarContainer
        For each component that is not 0 the segments of all bars.
    legend_ : matplotlib Legend
        Names of the components.

    See Also
    --------
    RandomEffectsDisplay : Group effects and their distribution.

    Notes
    -----
    The variance that the model implies for y is a sum of variances, each at one level
    (Rights and Sterba 2019): that of the fixed part x'b between and within groups, that of the
    random part z'u_j between and within groups, and sigma2. Variances of x'b and z'u_j by level
    are the components of a one-way analysis of variance, so that group means which differ by
    chance alone explain nothing between groups; the shares explained add up to about
    `r2_marginal_`, which takes x'b over all rows. The model without features is
    ``y ~ 1 + (1 | group)``, estimated from the same moments; totals may differ a little.

    With several factors the parts of a row are those of `r2_marginal_` and `icc_`: the variance
    of x'b over the rows, that of the effects of each factor's groups, averaged over the rows,
    and sigma2. The model without features has a random intercept for each factor. There is no
    picture of one factor alone, since the others' variance is neither between nor within its
    groups.

    References
    ----------
    Rights, J. D. and Sterba, S. K. (2019). Quantifying explained variance in multilevel models:
    an integrative framework for defining R-squared measures. Psychological Methods, 24,
    309-338. doi:10.1037/met0000184

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inspection import VarianceDisplay
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=school)
    >>> display = VarianceDisplay.from_estimator(model)
    >>> display.components.T.round(2)
                                without features  model
    between, explained                      0.00   6.73
    between, unexplained                    8.61   1.79
    within, explained                       0.00   3.26
    within, groups' own slopes              0.00   0.00
    within, unexplained                    39.15  35.91
    """

    def __init__(self, *, components):
        self.components = components

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the variance components of a fitted model and of that without features.

        Parameters
        ----------
        estimator : estimator
            A mixed model that was fitted with groups, or a fitted search or pipeline that
            ends in one.
        ax : matplotlib Axes, default=None
            As in `plot`.

        Returns
        -------
        VarianceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the model was fitted without groups.
        """
        model, _ = model_to_draw(cls, estimator)
        columns, of_null, of_model = list(COLORS), _of_null, _of_model
        if model._columns.factors:
            columns = [EXPLAINED, *model._columns.names, RESIDUAL]
            of_null, of_model = _of_null_of_factors, _of_model_of_factors
        bars = {"without features": of_null(model), "model": of_model(model)}
        components = pd.DataFrame.from_dict(bars, orient="index", columns=columns)
        return cls(components=components).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        VarianceDisplay
            The display itself.
        """
        size = (7.0, 1.5 + 0.5 * len(self.components))
        (ax,) = make_axes(self, ax, size=size)
        widths = self.components.loc[:, (self.components > 0).any()]
        starts = widths.cumsum(axis=1) - widths
        self.bars_ = [self._draw_segments(ax, widths[name], starts[name]) for name in widths]
        ax.set_yticks(range(len(widths)), widths.index)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.invert_yaxis()
        ax.set_xlabel("variance of y (%: share of the bar)")
        self.legend_ = ax.legend(
            handles=self.bars_,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=3,
            frameon=False,
            fontsize="small",
        )
        return self

    def _draw_segments(self, ax, widths, starts):
        total = self.components.sum(axis=1)
        bars = ax.barh(
            range(len(widths)),
            widths,
            left=starts,
            height=0.62,
            color=self._color(widths.name),
            edgecolor="white",
            label=widths.name,
        )
        shares = (widths / total).map("{:.0%}".format)
        labels = shares.where(widths > MIN_SHARE * total.max(), "")
        color = "white" if widths.name in (*DARK, EXPLAINED) else INK
        ax.bar_label(bars, labels, label_type="center", color=color, fontsize="small")
        return bars

    def _color(self, name):
        columns = list(self.components.columns)
        if columns[0] != EXPLAINED:
            return COLORS[name]
        place = columns.index(name) - 1
        return BLUE if place < 0 else FAINT if name == columns[-1] else OF_FACTORS[place % 5]


def _of_null(model):
    within, between = null_variances(
        model._moments,
        reml=model._fitted.specification.reml,
        tol=model.tol,
        max_iter=model.max_iter,
    )
    return [0.0, between, 0.0, 0.0, within]


def _of_model(model):
    explained = explained_variances(model._moments, model._slopes)
    random = random_variances(
        model._moments,
        model.random_effects_cov_.to_numpy(),
        random_intercept=model._fitted.specification.random_intercept,
    )
    return [explained[1], random[1], explained[0], random[0], model.residual_variance_]


def _of_null_of_factors(model):
    reml = model._fitted.specification.reml
    options = {"reml": reml, "tol": model.tol, "max_iter": model.max_iter}
    return [0.0, *null_variances_of_factors(model._moments, **options)]


def _of_model_of_factors(model):
    parts = model._fitted.explained_variance()
    return [parts.fixed, *parts.by_factor, parts.residual]
