"""What the displays have in common: colours, sizes and axes."""

from __future__ import annotations

from numbers import Integral
from textwrap import fill

import numpy as np
import pandas as pd

from skmixed._sklearn_private import Interval, check_matplotlib_support

INK, QUIET, FAINT = "0.15", "0.55", "0.8"
# Okabe and Ito's colours, told apart by colour-blind readers.
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
LIGHT_BLUE = "#9CCBE8"
# What `max_points` may be, for validate_params.
MAX_POINTS = [Interval(Integral, 1, None, closed="left"), None]
MAX_LABELS = 40
LABEL_HEIGHT, MIN_LABEL_HEIGHT = 0.2, 0.11  # inches
# Longer labels widen a new figure, and of still longer ones the middle is left out.
SHORT_LABEL, LONG_LABEL, CHARACTER_WIDTH = 14, 60, 0.08
# So many characters of a title, or of the label of an axis, are as long as a panel's side.
SIDE = 38


def make_axes(display, ax, n_panels=1, *, size, n_columns=None, **options):
    """Take the axes given, or those of a new figure, and store them on the display.

    Parameters
    ----------
    display : object
        Gets the attributes `ax_`, `axes_` and `figure_`.
    ax : Axes, array of Axes or None
        What the user gave.
    n_panels : int, default=1
        Number of panels to draw.
    size : (float, float)
        Width and height of a panel of a new figure, in inches.
    n_columns : int, default=None
        Panels beside one another in a new figure; all of them if None.
    **options : dict
        For `matplotlib.pyplot.subplots`.

    Returns
    -------
    ndarray of shape (n_panels,)
        The axes.
    """
    check_matplotlib_support(f"{type(display).__name__}.plot")
    if ax is None:
        axes = _new_axes(n_panels, size, n_columns or n_panels, options)
    else:
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != n_panels:
            raise ValueError(
                f"`ax` must hold {n_panels} axes, one for each panel, but got {len(axes)}. "
                f"Make them by matplotlib.pyplot.subplots(1, {n_panels})[1], or leave `ax` out."
            )
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    display.ax_, display.axes_, display.figure_ = axes[0], axes, axes[0].figure
    return axes


def _new_axes(n_panels, size, n_columns, options):
    import matplotlib.pyplot as plt

    n_rows = -(-n_panels // n_columns)
    figsize = (size[0] * n_columns, size[1] * n_rows)
    _, grid = plt.subplots(
        n_rows, n_columns, figsize=figsize, layout="constrained", squeeze=False, **options
    )
    axes, spare = grid.ravel()[:n_panels], grid.ravel()[n_panels:]
    for panel in spare:
        panel.remove()
    for panel in axes[-n_columns:]:  # with shared axes, some have lost their neighbour below
        panel.xaxis.set_tick_params(labelbottom=True)
    return axes


def height_for(n_groups):
    """Height of a panel with a row for each group, in inches."""
    return max(LABEL_HEIGHT * n_groups + 1.0, 2.4) if n_groups <= MAX_LABELS else 5.5


def width_for(width, labels):
    """Width of a panel beside which labels are written, in inches."""
    if len(labels) > MAX_LABELS:
        return width
    longest = max((len(_cut(label)) for label in labels), default=0)
    return width + CHARACTER_WIDTH * max(longest - SHORT_LABEL, 0)


def label_as_text(label):
    """Write a label of a group: of a time at midnight the date."""
    is_date = isinstance(label, pd.Timestamp) and label == label.normalize()
    return f"{label:%Y-%m-%d}" if is_date else str(label)


def _cut(label):
    label, half = label_as_text(label), LONG_LABEL // 2
    return label if len(label) <= LONG_LABEL else f"{label[:half]}…{label[-half + 1 :]}"


def break_lines(text):
    """Break a title, or the label of an axis, where it is longer than the panel."""
    return fill(text, SIDE)


def label_groups(ax, labels, name, order):
    """Write a label at each row, or how many rows there are if they are too many to read."""
    ax.set_ylim(-0.7, len(labels) - 0.3)
    room = ax.bbox.height / ax.figure.dpi / len(labels)
    if len(labels) <= MAX_LABELS and room >= MIN_LABEL_HEIGHT:
        ax.set_yticks(range(len(labels)), [_cut(label) for label in labels])
        ax.tick_params(axis="y", length=0)
        ax.set_ylabel(name)
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{name} ({len(labels):,}, {order})")


def write_note(ax, text):
    """Say above the axes what the picture leaves out or holds fixed."""
    ax.set_title(text, loc="right", fontsize="small", color=QUIET)


def choose_rows(n_rows, max_points):
    """Positions of the rows to draw as points: the same at every call."""
    if max_points is None or n_rows <= max_points:
        return np.arange(n_rows)
    rng = np.random.default_rng(0)
    return np.sort(rng.choice(n_rows, size=max_points, replace=False))


def alpha_for(n_points):
    """How opaque points can be without hiding one another."""
    return float(np.clip(30 / np.sqrt(n_points), 0.25, 0.7))
