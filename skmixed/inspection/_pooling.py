"""Models compared: how far each is from the best."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skmixed._public import public
from skmixed._reports.pooling_names import LOSSES, MIXED_BOOSTING, MULTILEVEL, title_regime
from skmixed.inspection._style import BLUE, INK, QUIET, break_lines, make_axes, width_for

ROW, MIN_HEIGHT = 0.34, 2.2  # inches


@public("skmixed.inspection")
class PoolingDisplay:
    """How far the models of a comparison are from the best, in known and in new groups.

    A panel for each regime and a row for each model, multilevel models in blue: a dot at the
    difference of its mean loss to that of the best model, with a bar of one paired standard
    error to either side. Made by `PoolingComparison.plot`.

    Parameters
    ----------
    summary : DataFrame
        As in `PoolingComparison`.
    score : {"rmse", "log_loss", "poisson_deviance"}, default="rmse"
        The column of the loss.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : ndarray of shape (n_regimes,)
        The panels, first known groups, then new ones.
    figure_ : matplotlib Figure
        Figure that holds them.
    bars_ : dict of (str, str) to ErrorbarContainer
        Dot and bar of each regime and model that has a score.
    """

    def __init__(self, *, summary, score="rmse"):
        self.summary = summary
        self.score = score

    def plot(self, ax: Any = None) -> Self:
        """Draw all panels.

        Parameters
        ----------
        ax : array of matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        PoolingDisplay
            The display, drawn.
        """
        models, regimes = (self.summary.index.unique(name) for name in ("model", "regime"))
        width = width_for(2 * 4.6, models) / 2  # only the first of two panels has labels
        size = (width, max(ROW * len(models) + 1.1, MIN_HEIGHT))
        axes = make_axes(self, ax, len(regimes), size=size, n_columns=2)
        self.bars_ = {}
        for position, (panel, regime) in enumerate(zip(axes, regimes, strict=True)):
            self._draw(panel, regime)
            panel.set_title(break_lines(title_regime(regime)), loc="left")
            panel.set_xlabel(f"{LOSSES[self.score]} above the best (± std error)")
            panel.set_yticks(range(len(models)), [] if position % 2 else models)
            panel.tick_params(axis="y", length=0)
            panel.locator_params(axis="x", nbins=5)
            panel.set_ylim(len(models) - 0.4, -0.6)
        return self

    def _draw(self, ax, regime):
        ax.axvline(0, color=QUIET, linewidth=1, zorder=0)
        for row, (model, scores) in enumerate(self.summary.loc[regime].iterrows()):
            if np.isnan(scores[self.score]):
                _say_that_it_failed(ax, row)
            else:
                color = BLUE if model in (*MULTILEVEL, MIXED_BOOSTING) else INK
                self.bars_[regime, model] = self._draw_scores(ax, row, scores, color)

    def _draw_scores(self, ax, row, scores, color):
        """Draw the difference to the best model; of the best one, say its error."""
        difference, std_error = scores["difference"], scores["std_error"]
        bar = ax.errorbar(difference, row, xerr=std_error, fmt="o", color=color, capsize=2)
        if difference == 0:
            ax.annotate(
                f"{LOSSES[self.score]} {scores[self.score]:.4g}",
                (0, row),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
                color=color,
            )
        return bar


def _say_that_it_failed(ax, row):
    ax.text(
        0.5,  # of the width
        row,
        "cannot predict",
        transform=ax.get_yaxis_transform(),
        ha="center",
        va="center",
        fontsize="small",
        color=QUIET,
    )
