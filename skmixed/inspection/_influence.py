"""Which groups and rows decide what a fit says."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np

from skmixed._estimators.influence import InfluenceMixin
from skmixed._estimators.influence_of_rows import Influence
from skmixed._estimators.leave_out import groups_to_leave_out
from skmixed._public import public
from skmixed._sklearn_private import Interval, StrOptions, validate_params
from skmixed.inspection._models import model_to_draw
from skmixed.inspection._style import (
    BLUE,
    FAINT,
    INK,
    MAX_POINTS,
    ORANGE,
    PALETTE,
    QUIET,
    alpha_for,
    break_lines,
    choose_rows,
    height_for,
    label_as_text,
    label_groups,
    make_axes,
    width_for,
    write_note,
)

MODELS = (InfluenceMixin, "a linear mixed model or a PooledRegressor")
# Groups that are shown, and rows that are labelled, if nothing else is asked for.
N_GROUPS, N_ROWS = 20, 5
# Terms whose DFBETAS are drawn: more marks in a line are not told apart.
MAX_TERMS = 5
# Cook's distances along which lines may be drawn, and how many of these.
DISTANCES, N_LINES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0), 2
# Longer labels of rows leave no room for points.
LONGEST_LABEL = 20
OPTIONS = {
    "n_labels": [Interval(Integral, 1, None, closed="left"), None],
    "max_points": MAX_POINTS,
}


@public("skmixed.inspection")
class InfluenceDisplay:
    """The groups or rows without which a fit would move most, and what would move.

    Use `from_estimator` to create one; the constructor takes what is drawn.

    Parameters
    ----------
    influence : DataFrame
        As `influence_frame` returns it, by row or by group.
    standardized_residual : Series, default=None
        Of the same rows; None if `influence` is by group.
    name : str, default="group"
        What the groups, or the rows, are called.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel, or the only one.
    axes_ : ndarray
        All panels.
    figure_ : matplotlib Figure
        Figure that holds them.
    points_ : list of PathCollection
        By group Cook's distances, and for each term DFBETAS; by row all rows, and those that
        have a label.
    lines_ : list
        By group the line to each Cook's distance (LineCollection); by row the curves of equal
        Cook's distance (Line2D).

    See Also
    --------
    ResidualsDisplay : Whether residuals look as the model assumes.

    Notes
    -----
    By group the left panel ranks Cook's distances of the fixed effects, and the right one shows
    by how many standard errors each fixed effect is higher with the group than without it.

    By row, curves join leverages h and standardised residuals r of the same Cook's distance of
    fixed and random effects, ``r^2 h / ((1 - h) p)``; labels are at the largest. A row of
    leverage 1 has no standardised residual, and is not drawn.

    There is no threshold: look for what stands apart, find out why, and fit again without it.

    Examples
    --------
    >>> from skmixed import RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inspection import InfluenceDisplay
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
    >>> display = InfluenceDisplay.from_estimator(model, X, y, groups=subject)
    >>> int(display.influence["cooks_distance"].idxmax()), len(display.axes_)
    (309, 2)
    """

    def __init__(self, *, influence, standardized_residual=None, name="group"):
        self.influence = influence
        self.standardized_residual = standardized_residual
        self.name = name

    @classmethod
    @validate_params(
        {"by": [StrOptions({"row", "group"})], **OPTIONS}, prefer_skip_nested_validation=True
    )
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        by: Literal["row", "group"] = "group",
        factor: Any = None,
        sample_weight: Any = None,
        n_labels: int | None = None,
        max_points: int | None = 5_000,
        ax: Any = None,
    ) -> Self:
        """Draw which groups or rows a fitted model hangs on.

        Parameters
        ----------
        estimator : estimator
            A linear mixed model or a `PooledRegressor`, or a fitted search or pipeline that
            ends in one.
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The rows that it was fitted to, as the estimator takes them.
        y : array-like of shape (n_rows,)
            Their target.
        groups : array-like of shape (n_rows,), optional
            Their groups, as for `fit`.
        by : {"row", "group"}, default="group"
            What is left out.
        factor : str or tuple, default=None
            With ``by="group"`` and several factors, the one whose groups are left out.
        sample_weight : array-like of shape (n_rows,), optional
            Their weights, as for `fit`.
        n_labels : int or None, default=None
            As in `plot`.
        max_points : int or None, default=5000
            As in `plot`.
        ax : matplotlib Axes or array of Axes, default=None
            As in `plot`.

        Returns
        -------
        InfluenceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            As `influence_frame` does.
        """
        model, X = model_to_draw(cls, estimator, X, models=MODELS)
        factors = groups_to_leave_out(model, by, factor, option="by")
        rows = Influence.of(model, cls.__name__, X, y, groups, sample_weight, by=by)
        if by == "row":
            standardized = rows.residuals()["standardized_residual"]
            given = {"influence": rows.of_rows(), "standardized_residual": standardized}
            display = cls(**given, name="row")
        else:
            display = cls(influence=rows.of_groups(factors[0]), name=factors[0])
        return display.plot(ax, n_labels=n_labels, max_points=max_points)

    @validate_params(OPTIONS, prefer_skip_nested_validation=True)
    def plot(
        self, ax: Any = None, *, n_labels: int | None = None, max_points: int | None = 5_000
    ) -> Self:
        """Draw the groups of the largest influence, or all rows.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: two by group, one by row. A new figure if None.
        n_labels : int or None, default=None
            How many groups are shown, those of the largest Cook's distance, or how many rows
            have a label. 20 groups, and 5 rows, if None.
        max_points : int or None, default=5000
            Rows drawn as points; of more rows as many are drawn at random, the same ones at
            every call, besides those that have a label, and a note says so.

        Returns
        -------
        InfluenceDisplay
            The display itself.
        """
        if self.standardized_residual is None:
            return self._plot_groups(ax, n_labels or N_GROUPS)
        return self._plot_rows(ax, n_labels or N_ROWS, max_points)

    @property
    def _dfbetas(self):
        """DFBETAS of the terms that have a coefficient, and their names."""
        table = self.influence.filter(regex="^dfbetas_").dropna(axis=1, how="all")
        return table.rename(columns=lambda name: name.removeprefix("dfbetas_"))

    # ------------------------------------------------------------------------------- by group

    def _plot_groups(self, ax, n_largest):
        table = self.influence.dropna(subset="cooks_distance")
        top = table["cooks_distance"].nlargest(n_largest)[::-1]
        labels, n_shown = top.index, len(top)
        width = width_for(7.6, labels) / 2
        axes = make_axes(self, ax, 2, size=(width, height_for(n_shown)))
        self._draw_distances(axes[0], top)
        self._draw_dfbetas(axes[1], self._dfbetas.loc[labels])
        label_groups(axes[0], labels, self.name, "sorted by Cook's distance")
        label_groups(axes[1], [""] * n_shown, "", "")
        axes[1].set_ylabel("")
        if n_shown < len(self.influence):
            write_note(axes[0], f"{n_shown} of {len(self.influence):,} groups")
        return self

    def _draw_distances(self, ax, top):
        rows = np.arange(len(top))
        self.lines_ = [ax.hlines(rows, 0, top, colors=FAINT, linewidth=1.6)]
        self.points_ = [ax.scatter(top, rows, s=22, color=BLUE, linewidths=0, zorder=3)]
        ax.set_xlim(left=0)
        ax.set_xlabel("Cook's distance")

    def _draw_dfbetas(self, ax, table):
        largest = table.abs().max().nlargest(MAX_TERMS).index
        rows = np.arange(len(table))
        ax.axvline(0, color=INK, linewidth=0.8)
        options = {"s": 22, "alpha": 0.8, "linewidths": 0, "zorder": 3}
        shown = table.loc[:, table.columns.isin(largest)]
        for (term, values), color in zip(shown.items(), PALETTE, strict=False):
            label = break_lines(term)
            points = ax.scatter(values, rows, color=color, label=label, **options)
            self.points_.append(points)
        ax.set_xlabel("DFBETAS: with the group less\nwithout, in standard errors")
        if len(largest) < table.shape[1]:
            write_note(ax, f"{len(largest)} of {table.shape[1]} terms: the largest")
        if len(largest):
            ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))

    # --------------------------------------------------------------------------------- by row

    def _plot_rows(self, ax, n_labels, max_points):
        (panel,) = make_axes(self, ax, size=(6.0, 4.2))
        leverage = self.influence["leverage"].to_numpy()
        residual = self.standardized_residual.to_numpy()
        distance = self.influence["cooks_distance_conditional"]
        there = np.flatnonzero(np.isfinite(residual) & np.isfinite(distance))
        top = there[np.argsort(-distance.to_numpy()[there], kind="stable")[:n_labels]]
        rows = there[choose_rows(len(there), max_points)]
        if len(rows) < len(there):
            write_note(panel, f"{len(rows):,} of {len(there):,} rows drawn")
        options = {"linewidths": 0, "rasterized": True}
        shade = {"color": BLUE, "alpha": alpha_for(max(len(rows), 1))}
        panel.axhline(0, color=INK, linewidth=0.8)
        self.points_ = [
            panel.scatter(leverage[rows], residual[rows], s=10, **shade, **options),
            panel.scatter(leverage[top], residual[top], s=16, color=ORANGE, **options),
        ]
        for row in top:
            self._write_label(panel, row, leverage[row], residual[row])
        panel.set(xlabel="leverage", ylabel="standardised residual")
        self._draw_curves(panel, leverage[there], residual[there])
        return self

    def _write_label(self, ax, row, x, y):
        text = label_as_text(self.influence.index[row])
        text = text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"
        options = {"fontsize": "small", "textcoords": "offset points", "clip_on": True}
        above = (0, 4) if y >= 0 else (0, -11)
        ax.annotate(text, (x, y), above, ha="center", color=INK, **options)

    def _draw_curves(self, ax, leverage, residual):
        """Join points of the same Cook's distance, those that are within the points' reach."""
        self.lines_, p = [], max(self._dfbetas.shape[1], 1)
        if not len(leverage):
            return
        right, top = min(1.08 * leverage.max(), 0.999), 1.15 * np.abs(residual).max()
        ax.set(xlim=(0, right or 1.0), ylim=(-top or -1.0, top or 1.0))
        at_corner = top**2 * right / ((1 - right) * p)
        h = np.linspace(0, right, 400)[1:]
        for distance in [d for d in DISTANCES if d < at_corner][-N_LINES:]:
            r = np.sqrt(distance * p * (1 - h) / h)
            for sign in (1, -1):
                options = {"color": QUIET, "linewidth": 0.8, "linestyle": "--"}
                self.lines_ += ax.plot(h, sign * r, scaley=False, **options)
            at = (right, r[-1])
            text = {"fontsize": "small", "color": QUIET, "va": "center"}
            ax.annotate(f"{distance:g}", at, (3, 0), textcoords="offset points", **text)
        if self.lines_:
            title = {"loc": "left", "fontsize": "small", "color": QUIET}
            ax.set_title("dashed: Cook's distance, with random effects", **title)
