"""Lines along a feature: the population's and each group's own."""

from __future__ import annotations

from numbers import Integral
from textwrap import fill
from typing import Any, Self

import numpy as np

from skmixed._public import public
from skmixed._sklearn_private import Interval, StrOptions, validate_params
from skmixed.inspection._line_data import (
    LINKS,
    MEANS,
    choose_groups,
    lines_and_points,
    name_of_mean,
    scattered,
)
from skmixed.inspection._models import (
    ALL_MODELS,
    choose_groups_of_factor,
    family_of,
    model_to_draw,
    predict_rows,
)
from skmixed.inspection._style import (
    BLUE,
    FAINT,
    INK,
    MAX_POINTS,
    PALETTE,
    QUIET,
    alpha_for,
    break_lines,
    choose_rows,
    label_as_text,
    make_axes,
    write_note,
)

# Groups to highlight: the fewest, the most, and how many by default.
N_HIGHLIGHTS = {"lines": (0, len(PALETTE), 3), "panels": (1, 30, 12)}
# Longer labels are broken into lines, so that small panels have room for them.
LABEL_WIDTH = 20
NO_COEFFICIENT = (
    "column={column!r} must have a coefficient, but has none in this {model}: it depends "
    "linearly on other columns, or on the groups' own effects. So there is no line along it."
)
N_POINTS = 41  # of a curve
OPTIONS = {
    "kind": [StrOptions(set(N_HIGHLIGHTS))],
    "highlight": ["array-like", Interval(Integral, 0, None, closed="left"), None],
    "max_points": MAX_POINTS,
}


@public("skmixed.inspection")
class GroupLinesDisplay:
    """Lines of y along a feature: the population's, each group's own, and the rows.

    Other features are held at their mean, and the points are what y would then be: the line
    of the row's group plus the row's residual. With a single feature this is y itself. Use
    `from_estimator` to create one; the constructor takes what is drawn.

    Parameters
    ----------
    lines : DataFrame of shape (n_groups, 4)
        Each group's own line: intercept, slope, and the lowest and highest value of the
        feature in its rows (low, high). Intercept and slope are NaN if the group has no line
        of its own.
    population : Series
        The population line: intercept, slope, low and high. Its name stands in the legend.
    points : DataFrame of shape (n_rows, 3)
        The rows: x, y and the position of the row's group in `lines`, -1 if it has no line.
    column : str, default="x"
        Name of the feature.
    target : str, default="y"
        Name of y.
    n_held : int, default=0
        Number of other features, held at their mean.
    n_other_factors : int, default=0
        Number of other grouping factors, held at their mean, too: at their average group.
    link : {"identity", "logit", "log"}, default="identity"
        What of the mean of y is a line: the mean itself, the log-odds of binary outcomes, the
        logarithm of counts. Drawn is the mean, so that lines are curves by the latter two.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel, or the only one.
    axes_ : ndarray
        All panels; of "panels" one for each group shown.
    figure_ : matplotlib Figure
        Figure that holds them.
    lines_ : LineCollection or list of Line2D
        The lines of all groups; of "panels" the own lines of the groups shown.
    population_lines_ : list of Line2D
        The population line, in each panel.
    points_ : list of PathCollection
        The rows of groups that are not highlighted, then those of each highlighted group; of
        "panels" those of each group shown.
    highlights_ : dict
        The own line (Line2D) of each highlighted group that has one, by its label; of "lines"
        only.

    See Also
    --------
    RandomEffectsDisplay : Intercepts and slopes with intervals.

    Notes
    -----
    A line is drawn over the values of the feature in the group's rows. If other columns are
    made from the feature, such as its square or its product with another, they are held at
    their mean, too, so that the line is not the whole effect of the feature.

    Of several factors one is shown. Its lines are those of its groups beside the average group
    of each other factor, and the points are without the effects of their own groups of these:
    what y would be there.

    Binary outcomes and counts: curves are the groups' probabilities or means at the modes of
    their effects, the dashed one that of a group whose effects are 0. The mean over all groups
    is closer to 1/2, or above it: see `predict_population`. Points are y as it is, whatever
    the other features are: outcomes of the second class beside 1, others beside 0, scattered
    so that they do not hide one another.

    Models whose groups differ in other ways stand beside one another on the axes of one figure:
    random slopes, the interaction model (``FixedEffectsRegressor("z")``, in R's words ``y ~ x +
    z * group``), whose population line is that of the average group, and `PooledRegressor`,
    which has one line for all groups.

    Examples
    --------
    >>> from skmixed import RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inspection import GroupLinesDisplay
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
    >>> display = GroupLinesDisplay.from_estimator(
    ...     model, X, y, groups=subject, column="Days", highlight=[309, 337]
    ... )
    >>> display.lines.loc[[309, 337]].round(1)
             intercept  slope  low  high
    Subject
    309          211.0    1.8  0.0   9.0
    337          286.3   19.1  0.0   9.0
    """

    def __init__(
        self,
        *,
        lines,
        population,
        points,
        column="x",
        target="y",
        n_held=0,
        n_other_factors=0,
        link="identity",
    ):
        self.lines = lines
        self.population = population
        self.points = points
        self.column = column
        self.target = target
        self.n_held = n_held
        self.n_other_factors = n_other_factors
        self.link = link

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        column: str,
        factor: Any = None,
        kind: str = "lines",
        highlight: Any = None,
        max_points: int | None = 5_000,
        ax: Any = None,
    ) -> Self:
        """Draw the lines of a fitted model.

        Parameters
        ----------
        estimator : estimator
            A model of this package, or a fitted search or pipeline that ends in one. It was
            fitted with groups, unless it is a `PooledRegressor`.
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The rows to show, as the estimator takes them.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict`. Rows of groups not seen in `fit` stand
            around the population line. `PooledRegressor` needs none; they then say which rows
            to highlight.
        column : str
            Feature to show, by its name in `group_coef_`: that of the DataFrame's column, or
            "x0", "x1", ...; in a pipeline a column that arrives at the model.
        factor : str or tuple, default=None
            Which of several grouping factors; needed if there are several.
        kind : {"lines", "panels"}, default="lines"
            As in `plot`.
        highlight : int or list of labels, default=None
            As in `plot`.
        max_points : int or None, default=5000
            As in `plot`.
        ax : matplotlib Axes or array of Axes, default=None
            As in `plot`.

        Returns
        -------
        GroupLinesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the model was fitted without groups or has no such factor, `column` is not one
            of its features or has no coefficient, or groups to highlight have no rows in X.
        """
        model, X = model_to_draw(cls, estimator, X, models=ALL_MODELS)
        if np.isnan(model._slope_of(column)):
            raise ValueError(NO_COEFFICIENT.format(column=column, model=type(model).__name__))
        rows = predict_rows(model, X, y, groups)
        name, labels = choose_groups_of_factor(model, rows.groups, factor)
        display = cls(
            **lines_and_points(model, column, rows._replace(groups=labels), name),
            column=column,
            target=name_of_mean(model, str(getattr(y, "name", None) or "y")),
            n_held=len(model._terms) - 1,
            n_other_factors=len(model._columns.names) - 1,
            link=LINKS.get(family_of(model), "identity"),
        )
        return display.plot(ax, kind=kind, highlight=highlight, max_points=max_points)

    @validate_params(OPTIONS, prefer_skip_nested_validation=True)
    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "lines",
        highlight: Any = None,
        max_points: int | None = 5_000,
    ) -> Self:
        """Draw the lines and the rows.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: one, or of "panels" one for each group shown. A new figure if None.
        kind : {"lines", "panels"}, default="lines"
            All lines in one panel, some of them highlighted, or a small panel for each of the
            highlighted groups.
        highlight : int or list of labels, default=None
            Groups to highlight. A number stands for so many of the larger half of the groups,
            spread evenly from the lowest to the highest slope (level, if slopes do not vary;
            mean of the rows, if there are no own lines).
            At most 6, by default 3; of "panels" at most 30, by default 12.
        max_points : int or None, default=5000
            Rows drawn as points; of more rows as many are drawn at random, the same ones at
            every call, and a note says so. The rows of highlighted groups are always drawn.

        Returns
        -------
        GroupLinesDisplay
            The display itself.
        """
        least, most, default = N_HIGHLIGHTS[kind]
        highlight = default if highlight is None else highlight
        shown = choose_groups(self.lines, self.points, highlight, least, most)
        if kind == "panels":
            return self._plot_panels(ax, shown)
        return self._plot_lines(ax, shown, max_points)

    def _plot_lines(self, ax, shown, max_points):
        (ax,) = make_axes(self, ax, size=(6.4, 4.2))
        self._draw_all(ax, shown, max_points)
        self.highlights_ = {}
        for color, group in zip(PALETTE, shown, strict=False):
            label, line = self.lines.index[group], self.lines.iloc[group]
            self.points_.append(self._draw_rows(ax, group, color))
            text = f"{self.lines.index.name or 'group'} {label_as_text(label)}"
            name = fill(text, LABEL_WIDTH)
            if _is_own(line):
                self.highlights_[label] = self._draw_line(ax, line, color, name)
            else:
                self.points_[-1].set_label(name)
        ax.set(xlabel=self.column, ylabel=self._target_label())
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        return self

    def _draw_all(self, ax, shown, max_points):
        """Draw what is not highlighted, quietly, and the population line."""
        from matplotlib.collections import LineCollection

        others = self.points[~self.points["group"].isin(shown)]
        rows = choose_rows(len(others), max_points)
        if len(rows) < len(others):
            write_note(ax, f"grey: {len(rows):,} of {len(others):,} rows")
        some = others.iloc[rows]
        look = {"s": 6, "color": FAINT, "linewidths": 0, "rasterized": True}
        alpha = alpha_for(max(len(some), 1)) / 1.5
        self.points_ = [ax.scatter(some["x"], self._heights(some), alpha=alpha, **look)]
        lines = self.lines.dropna()  # groups without rows here have no range
        width, alpha = np.clip(80 / max(len(lines), 1), [0.4, 0.25], [1.0, 0.8])
        self.lines_ = LineCollection(
            np.stack(self._curve(lines), axis=-1), colors=QUIET, linewidths=width, alpha=alpha
        )
        ax.add_collection(self.lines_)
        self.population_lines_ = [self._draw_population(ax)]

    def _plot_panels(self, ax, shown):
        n_columns = int(np.ceil(np.sqrt(len(shown))))
        axes = make_axes(
            self,
            ax,
            len(shown),
            size=(max(1.5, 5 / n_columns), max(1.5, 4 / n_columns)),
            n_columns=n_columns,
            sharex=True,
            sharey=True,
        )
        self.lines_, self.points_, self.population_lines_ = [], [], []
        for panel, group in zip(axes, shown, strict=True):
            self.points_.append(self._draw_rows(panel, group, BLUE))
            self.population_lines_.append(self._draw_population(panel))
            line = self.lines.iloc[group]
            if _is_own(line):
                self.lines_.append(self._draw_line(panel, line, BLUE, "own line"))
            label = fill(label_as_text(self.lines.index[group]), LABEL_WIDTH)
            panel.set_title(label, loc="left", fontsize="small")
            if ax is not None:
                panel.set(xlabel=self.column, ylabel=self._target_label())
        if ax is None:
            self._label_figure()
        return self

    def _label_figure(self):
        self.figure_.supxlabel(self.column)
        self.figure_.supylabel(self._target_label())
        self.figure_.legend(
            handles=[*self.lines_[:1], self.population_lines_[0]],
            loc="outside upper right",
            ncols=2,
            frameon=False,
        )

    def _draw_rows(self, ax, group, color):
        rows = self.points[self.points["group"] == group]
        look = {"s": 12, "color": color, "linewidths": 0}
        return ax.scatter(rows["x"], self._heights(rows), alpha=alpha_for(len(rows)), **look)

    def _heights(self, rows):
        """Where rows stand: those of two classes beside 0 and 1, scattered outwards."""
        if self.link != "logit":
            return rows["y"]
        return rows["y"] + (2 * rows["y"] - 1) * scattered(rows.index)

    def _draw_line(self, ax, line, color, label, **options):
        return ax.plot(
            *self._curve(line), color=color, label=label, **{"linewidth": 1.8, **options}
        )[0]

    def _curve(self, lines):
        """X and y of points along a line, or along each of a table of lines."""
        share = np.linspace(0, 1, 2 if self.link == "identity" else N_POINTS)
        ends = lines[["low", "high"]].to_numpy(dtype=float)
        x = ends[..., :1] * (1 - share) + ends[..., 1:] * share
        coef = lines[["intercept", "slope"]].to_numpy(dtype=float)
        return x, MEANS[self.link](coef[..., :1] + coef[..., 1:] * x)

    def _draw_population(self, ax):
        look = {"linewidth": 1.4, "linestyle": "--"}
        name = self.population.name or "population"
        return self._draw_line(ax, self.population, INK, name, **look)

    def _target_label(self):
        others = {"features": self.n_held, "factors": self.n_other_factors}
        held = " and ".join(what for what, n in others.items() if n)
        label = f"{self.target}, other {held} at their mean" if held else self.target
        return break_lines(label)


def _is_own(line):
    return line[["intercept", "slope"]].notna().all()
