"""How much groups differ."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.stats import norm

from skmixed._public import public
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed.inspection._models import (
    MIXED_MODELS,
    SCALES,
    choose_factor,
    choose_terms,
    family_of,
    model_to_draw,
    of_factor,
)
from skmixed.inspection._style import (
    BLUE,
    FAINT,
    INK,
    LIGHT_BLUE,
    MAX_LABELS,
    QUIET,
    height_for,
    label_groups,
    make_axes,
    width_for,
)

# More marks below the histogram would run together.
MAX_RUG = 200
KIND = {"kind": [StrOptions({"caterpillar", "distribution"})]}


@public("skmixed.inspection")
class RandomEffectsDisplay:
    """Group effects with intervals, or their distribution.

    Use `from_estimator` to create one; the constructor takes what is drawn.

    Parameters
    ----------
    effects : DataFrame
        A row for each group and term; columns group, term, estimate, lower and upper, as
        `random_effects_frame` returns them.
    std_dev : Series
        Estimated standard deviation of the random effects of each term.
    level : float, default=0.95
        Level of the intervals.
    group_name : str, default="group"
        What the groups are called.
    unit : str, default=None
        Unit of the effects, for the labels.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel, or the only one.
    axes_ : ndarray of shape (n_terms,)
        All panels, one for each term.
    figure_ : matplotlib Figure
        Figure that holds them.
    lines_ : list
        For each term the intervals (a LineCollection) or the estimated normal density (a
        Line2D).
    points_ : list of PathCollection
        For each term the estimates; of "caterpillar" only.
    bars_ : list of BarContainer
        For each term the histogram; of "distribution" only.

    See Also
    --------
    ShrinkageDisplay : How far the effects are drawn to zero.

    Notes
    -----
    Group effects are shrunk, so their histogram is narrower than the estimated normal density,
    the more so the fewer rows the groups have: this is no sign of a bad fit. Effects of binary
    outcomes are on the scale of the log-odds, those of counts on that of the logarithm of the
    mean.

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inspection import RandomEffectsDisplay
    >>> model = RandomInterceptRegressor().fit(*load_sleepstudy(return_X_y=True))
    >>> display = RandomEffectsDisplay.from_estimator(model)
    >>> display.std_dev.round(1)
    (Intercept)    37.1
    dtype: float64
    """

    def __init__(self, *, effects, std_dev, level=0.95, group_name="group", unit=None):
        self.effects = effects
        self.std_dev = std_dev
        self.level = level
        self.group_name = group_name
        self.unit = unit

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        factor: Any = None,
        terms: Any = None,
        level: float = 0.95,
        kind: str = "caterpillar",
        ax: Any = None,
    ) -> Self:
        """Draw the random effects of a fitted model.

        Parameters
        ----------
        estimator : estimator
            A mixed model that was fitted with groups, or a fitted search or pipeline that
            ends in one.
        factor : str or tuple, default=None
            Which of several grouping factors; needed if there are several.
        terms : str or list of str, default=None
            Random effects to show, as in `random_effects_`; all of them if None.
        level : float, default=0.95
            Level of the intervals, between 0 and 1.
        kind : {"caterpillar", "distribution"}, default="caterpillar"
            As in `plot`.
        ax : matplotlib Axes or array of Axes, default=None
            As in `plot`.

        Returns
        -------
        RandomEffectsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the model was fitted without groups, or has no such factor or terms.
        """
        model, _ = model_to_draw(cls, estimator, models=MIXED_MODELS)
        name = choose_factor(model._columns.names, factor)
        cov = of_factor(model, model.random_effects_cov_, name)
        terms = choose_terms(of_factor(model, model.random_effects_, name), terms)
        which = {"factor": name} if model._columns.factors else {}
        effects = model.random_effects_frame(level, **which)
        variances = np.diag(cov.loc[terms, terms])
        display = cls(
            effects=effects[effects["term"].isin(terms)],
            std_dev=pd.Series(np.sqrt(variances), terms),
            level=level,
            group_name=name,
            unit=SCALES.get(family_of(model)),
        )
        return display.plot(ax, kind=kind)

    @validate_params(KIND, prefer_skip_nested_validation=True)
    def plot(self, ax: Any = None, *, kind: str = "caterpillar") -> Self:
        """Draw the effects.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw, one for each term; a new figure if None.
        kind : {"caterpillar", "distribution"}, default="caterpillar"
            Each group's effect with its interval, dark if it does not hold 0, or the
            distribution of the effects and the normal density with the estimated variance.
            Up to 40 groups are labelled, and all terms have the order of the first; more
            groups are sorted term by term.

        Returns
        -------
        RandomEffectsDisplay
            The display itself.
        """
        if kind == "caterpillar":
            return self._plot_intervals(ax)
        return self._plot_distributions(ax)

    def _plot_intervals(self, ax):
        tables = self._tables()
        n_groups = len(tables[0])
        width = width_for(4.6 if len(tables) == 1 else 3.6 * len(tables), tables[0]["group"])
        size = (width / len(tables), height_for(n_groups))
        axes = make_axes(self, ax, len(tables), size=size)
        self.lines_, self.points_, order = [], [], None
        for panel, table, term in zip(axes, tables, self.std_dev.index, strict=True):
            if order is None or n_groups > MAX_LABELS:
                order = np.argsort(table["estimate"].to_numpy(), kind="stable")
            self._draw_intervals(panel, table.iloc[order])
            panel.set_title(term, loc="left")
            panel.set_xlabel(f"{self._label} with {100 * self.level:g}% interval")
        label_groups(axes[0], table["group"].iloc[order], self.group_name, "sorted by effect")
        for panel in axes[1:]:
            label_groups(panel, [""] * n_groups, "", "")
            panel.set_ylabel("")
        return self

    def _draw_intervals(self, ax, table):
        rows = np.arange(len(table))
        clear = (table["lower"] > 0) | (table["upper"] < 0)
        thin = len(table) > MAX_LABELS
        ax.axvline(0, color=INK, linewidth=0.8, zorder=2.5)
        self.lines_.append(
            ax.hlines(
                rows,
                table["lower"],
                table["upper"],
                colors=np.where(clear, LIGHT_BLUE, FAINT),
                linewidth=np.clip(150 / len(table), 0.3, 1.2) if thin else 1.6,
            )
        )
        size = np.clip(900 / len(table), 1, 6) if thin else 20
        self.points_.append(
            ax.scatter(
                table["estimate"],
                rows,
                s=size,
                c=np.where(clear, BLUE, QUIET),
                linewidths=0,
                zorder=3,
            )
        )

    def _plot_distributions(self, ax):
        tables = self._tables()
        axes = make_axes(self, ax, len(tables), size=(4.2, 3.2))
        self.lines_, self.bars_ = [], []
        for panel, table, term in zip(axes, tables, self.std_dev.index, strict=True):
            self._draw_distribution(panel, table["estimate"].to_numpy(), self.std_dev[term])
            panel.set_title(term, loc="left")
            panel.set(xlabel=self._label, yticks=[])
            panel.spines["left"].set_visible(False)
        axes[0].set_ylabel("density")
        return self

    def _draw_distribution(self, ax, estimate, std_dev):
        _, _, bars = ax.hist(
            estimate,
            bins="auto" if np.ptp(estimate) > 0 else np.linspace(-1, 1, 42),
            density=True,
            color=FAINT,
            edgecolor="white",
            label="predicted effects",
        )
        self.bars_.append(bars)
        ends = max(3.2 * std_dev, 1.05 * np.abs(estimate).max()) or 1.0
        x = np.linspace(-ends, ends, 201)
        density = norm.pdf(x, scale=std_dev) if std_dev else np.full_like(x, np.nan)
        label = f"estimated normal,\nsd {std_dev:.3g}"
        self.lines_ += ax.plot(x, density, color=BLUE, linewidth=1.6, label=label)
        if len(estimate) <= MAX_RUG:
            ax.plot(estimate, np.zeros_like(estimate), "|", color=INK, markersize=6)
        ax.legend(frameon=False, fontsize="small", loc="upper left", handlelength=1.2)

    @property
    def _label(self):
        return f"effect ({self.unit})" if self.unit else "effect"

    def _tables(self):
        """Return the effects of each term, in the same order of groups."""
        return [self.effects[self.effects["term"] == term] for term in self.std_dev.index]
