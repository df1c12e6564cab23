"""How far group effects are drawn to the population's."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd

from skmixed._public import public
from skmixed.inspection._models import (
    choose_factor,
    choose_terms,
    model_to_draw,
    of_factor,
)
from skmixed.inspection._style import BLUE, INK, LIGHT_BLUE, MAX_LABELS, make_axes

# Groups of the same size stand side by side, at most this far apart (powers of ten).
SPREAD = 0.1
# Sizes so far apart that as many would fill the axis have a tick each.
MAX_TICKS = 7
# Over fewer decades few sizes are round on a log axis, so ticks are evenly spaced in rows.
NARROW = 0.5
# Own estimates of a few rows can be so far off that they would leave no room for the others.
FAR = 4.0


@public("skmixed.inspection")
class ShrinkageDisplay:
    """No pooling, partial pooling and complete pooling, against the size of the group.

    An arrow goes from what a group's own rows say to the group effect of the model; the line
    at 0 is what all rows say. Use `from_estimator` to create one; the constructor takes what
    is drawn.

    Parameters
    ----------
    own : DataFrame of shape (n_groups, n_terms)
        Group effects without pooling; NaN where a group's rows do not determine them.
    partial : DataFrame of shape (n_groups, n_terms)
        Group effects of the model, as in `random_effects_`.
    sizes : Series of shape (n_groups,)
        Rows (sum of weights) of each group.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel, or the only one.
    axes_ : ndarray of shape (n_terms,)
        All panels, one for each term.
    figure_ : matplotlib Figure
        Figure that holds them.
    arrows_ : list of Quiver
        For each term the arrows of the groups that have an own estimate.
    points_ : list of PathCollection
        For each term the effects of the groups that no arrow head points to: of those without
        an own estimate or, with more than 40 groups, of all.
    lines_ : list of Line2D
        For each term the line at 0, complete pooling.

    See Also
    --------
    RandomEffectsDisplay : Group effects with intervals.

    Notes
    -----
    The estimate without pooling is least squares on the group's residuals from the fixed
    effects, G_j^-1 Z_j'(y_j - X_j beta). For a random intercept it is the mean of these
    residuals, and the arrow shortens it to ``pooling_weights_`` of its length.

    Of several factors one is shown, and the groups of the others keep the effects that the
    model predicts for them: residuals are those from the fixed effects and from these. For a
    random intercept of variance psi sigma2 the arrow is shortened to psi n_j / (1 + psi n_j).

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inspection import ShrinkageDisplay
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=school)
    >>> display = ShrinkageDisplay.from_estimator(model)
    >>> display.own.head(2).round(2)
            (Intercept)
    school
    1224          -0.88
    1288           0.58
    """

    def __init__(self, *, own, partial, sizes):
        self.own = own
        self.partial = partial
        self.sizes = sizes

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, factor: Any = None, terms: Any = None, ax: Any = None
    ) -> Self:
        """Draw the shrinkage of a fitted model.

        Parameters
        ----------
        estimator : estimator
            A mixed model that was fitted with groups, or a fitted search or pipeline that
            ends in one.
        factor : str or tuple, default=None
            Which of several grouping factors; needed if there are several.
        terms : str or list of str, default=None
            Random effects to show, as in `random_effects_`; all of them if None.
        ax : matplotlib Axes or array of Axes, default=None
            As in `plot`.

        Returns
        -------
        ShrinkageDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the model was fitted without groups, or has no such factor or terms.
        """
        model, _ = model_to_draw(cls, estimator)
        name = choose_factor(model._columns.names, factor)
        effects = of_factor(model, model.random_effects_, name)
        position = [model._columns.names.index(name)] if model._columns.factors else []
        own = model._fitted.own_effects(*position).T
        own = pd.DataFrame(own, effects.index, effects.columns)
        terms, sizes = choose_terms(effects, terms), of_factor(model, model.group_sizes_, name)
        return cls(own=own[terms], partial=effects[terms], sizes=sizes).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the arrows.

        Groups of the same size stand side by side. With more than 40 groups arrows are lines
        that end in a dot, and a dot without a line is a group without an own estimate. Own
        estimates so far off that they would leave no room for the others are cut by the axis,
        which says how many.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw, one for each term; a new figure if None.

        Returns
        -------
        ShrinkageDisplay
            The display itself.
        """
        terms = list(self.own.columns)
        axes = make_axes(self, ax, len(terms), size=(5.2 if len(terms) == 1 else 4.4, 3.8))
        self.arrows_, self.points_, self.lines_ = [], [], []
        for panel, term in zip(axes, terms, strict=True):
            own, partial = self.own[term].to_numpy(), self.partial[term].to_numpy()
            self._draw_arrows(panel, own, partial)
            panel.set_title(term, loc="left")
            name, note = self.own.index.name or "group", _count_missing(panel, own)
            panel.set_xlabel(_label_sizes(panel, self.sizes, name) + note)
        axes[0].set_ylabel("effect: from own estimate to partial pooling")
        axes[-1].annotate(
            "complete\npooling",
            (1, 0),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=INK,
        )
        return self

    def _draw_arrows(self, ax, own, partial):
        x = _side_by_side(self.sizes.to_numpy(dtype=float), own)
        has_own, thin = np.isfinite(own), len(own) > MAX_LABELS
        ax.set_xscale("log")
        self.lines_.append(ax.axhline(0, color=INK, linewidth=0.8, zorder=0))
        arrows = ax.quiver(
            x[has_own],
            own[has_own],
            np.zeros(has_own.sum()),
            (partial - own)[has_own],
            angles="xy",
            scale_units="xy",
            scale=1,
            units="inches",
            width=0.009 if thin else 0.016,
            headwidth=1 if thin else 5,  # too many heads would hide one another
            minlength=1 if thin else 3,
            color=LIGHT_BLUE if thin else BLUE,
        )
        dotted = np.full(len(x), True) if thin else ~has_own
        points = ax.scatter(
            x[dotted], partial[dotted], s=3 if thin else 12, color=BLUE, linewidths=0, zorder=3
        )
        self.arrows_.append(arrows)
        self.points_.append(points)
        ax.set_ylim(_limits(own[has_own], partial))


def _side_by_side(sizes, own):
    """Position on a log axis: groups of one size stand next to one another, sorted."""
    distinct, which, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    gaps = np.diff(np.log10(distinct), prepend=-np.inf, append=np.inf)
    width = np.minimum(0.8 * np.minimum(gaps[:-1], gaps[1:]), 2 * SPREAD)
    order = np.lexsort((own, which))
    place = np.empty(len(own))
    place[order] = np.arange(len(own)) - np.repeat(np.cumsum(counts) - counts, counts)
    return sizes * 10 ** (width[which] * ((place + 0.5) / counts[which] - 0.5))


def _limits(own, partial):
    """Limits of the axis: around all effects, and the own estimates that are not far off."""
    if len(own):
        low, middle, high = np.quantile(own, [0.25, 0.5, 0.75])
        near = np.abs(own - middle) <= FAR * (high - low)
        partial = np.concatenate([partial, own[near]])
    margin = 0.05 * np.ptp(np.append(partial, 0.0)) or 1.0
    return min(partial.min(), 0.0) - margin, max(partial.max(), 0.0) + margin


def _count_missing(ax, own):
    """Say how many own estimates the axis cuts, and how many groups have none."""
    low, high = ax.get_ylim()
    counts = {
        "off the axis": np.sum((own < low) | (own > high)),
        "undetermined": np.sum(np.isnan(own)),
    }
    parts = [f"{count:,} {what}" for what, count in counts.items() if count]
    return f"\nown estimates: {', '.join(parts)}" if parts else ""


def _label_sizes(ax, sizes, name):
    """Set ticks that can be read, and return the label of the axis."""
    from matplotlib.ticker import (
        LogLocator,
        MaxNLocator,
        NullFormatter,
        NullLocator,
        StrMethodFormatter,
    )

    distinct = np.unique(sizes)
    ax.xaxis.set_minor_formatter(NullFormatter())
    if len(distinct) == 1:
        ax.xaxis.set_major_locator(NullLocator())
        ax.xaxis.set_minor_locator(NullLocator())
        return f"{name} ({distinct[0]:g} rows each, sorted)"
    decades = np.log10(distinct[-1] / distinct[0])
    if np.diff(np.log10(distinct)).min() > decades / MAX_TICKS / 2:
        ax.set_xticks(distinct)
        ax.xaxis.set_minor_locator(NullLocator())
    elif decades < NARROW:
        ax.xaxis.set_major_locator(MaxNLocator(MAX_TICKS - 2, steps=[1, 2, 5, 10]))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        fine, coarse = (1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5)
        subs = fine if decades < 1 else coarse if decades < 2 else (1,)
        ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    return f"rows per {name} (log scale)"
