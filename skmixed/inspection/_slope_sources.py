"""Where features vary, and where what is known about their slopes comes from."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from skmixed._public import public
from skmixed.inspection._style import BLUE, LIGHT_BLUE, make_axes

ROW, MIN_HEIGHT = 0.34, 2.0  # inches
PANELS = {
    "Where features vary": ("within", "between"),
    "Where their slopes come from": ("from_within", "from_between"),
}


@public("skmixed.inspection")
class SlopeSourcesDisplay:
    """How much of a feature, and of the information on its slope, is within groups.

    A panel for each and a row for each feature, with a bar that is dark as far as it is within
    groups. Made by `GroupDescription.plot`. A feature may vary mostly between groups while its
    slope rests on the rows within them, since groups are few and differ in other things, too.

    Parameters
    ----------
    sources : DataFrame
        A row for each feature; columns ``within``, ``between``, ``from_within`` and
        ``from_between``, shares from 0 to 1, NaN for what does not exist.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : ndarray of shape (2,)
        The panels: features, slopes.
    figure_ : matplotlib Figure
        Figure that holds them.
    bars_ : list of (BarContainer, BarContainer)
        The dark and the light part of each panel's bars.
    """

    def __init__(self, *, sources):
        self.sources = sources

    def plot(self, ax: Any = None) -> Self:
        """Draw both panels.

        Parameters
        ----------
        ax : array of two matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        SlopeSourcesDisplay
            The display, drawn.
        """
        sources = self.sources
        size = (4.2, max(ROW * len(sources) + 1.2, MIN_HEIGHT))
        axes = make_axes(self, ax, len(PANELS), size=size)
        rows, self.bars_ = np.arange(len(sources)), []
        for panel, (title, (within, between)) in zip(axes, PANELS.items(), strict=True):
            dark = panel.barh(rows, sources[within], color=BLUE, label="within groups")
            light = panel.barh(
                rows,
                sources[between],
                left=sources[within],
                color=LIGHT_BLUE,
                label="between groups",
            )
            self.bars_.append((dark, light))
            panel.set_title(title, loc="left")
            panel.set_xlim(0, 1)
            panel.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
            panel.set_yticks(rows, sources.index if panel is axes[0] else [])
            panel.tick_params(axis="y", length=0)
            panel.set_ylim(len(sources) - 0.4, -0.6)
        axes[-1].legend(
            loc="upper right",
            bbox_to_anchor=(1, -0.12),
            ncols=2,
            frameon=False,
            fontsize="small",
        )
        return self
