"""Effects of features, or averaged predictions, with their intervals."""

from __future__ import annotations

from typing import Any, Self

import pandas as pd

from skmixed._public import public
from skmixed._reports.tests import DfMethod
from skmixed._sklearn_private import check_matplotlib_support
from skmixed.inspection._average_effects import average_effects, average_predictions
from skmixed.inspection._style import (
    BLUE,
    INK,
    height_for,
    label_as_text,
    label_groups,
    make_axes,
    width_for,
)


@public("skmixed.inspection")
class AverageEffectsDisplay:
    """Average effects of features, or averaged predictions, with intervals.

    Use `from_estimator` to create one; the constructor takes what is drawn.

    Parameters
    ----------
    frame : DataFrame
        What `average_effects` or `average_predictions` returns.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    axes_ : ndarray
        The same, in an array.
    figure_ : matplotlib Figure
        Figure that holds it.
    points_ : PathCollection
        The estimates.
    intervals_ : LineCollection
        Their intervals.

    See Also
    --------
    sklearn.inspection.PartialDependenceDisplay : Averaged predictions along a column, without
        intervals.

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_hsb
    >>> from skmixed.inspection import AverageEffectsDisplay
    >>> X, y, school = load_hsb(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=school)
    >>> at = {"catholic": [0, 1]}
    >>> display = AverageEffectsDisplay.from_estimator(model, X, at=at)
    >>> display.frame["estimate"].round(1).tolist()
    [11.9, 13.6]
    """

    def __init__(self, *, frame):
        self.frame = frame

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        variables: Any = None,
        *,
        at: Any = None,
        level: float = 0.95,
        df_method: DfMethod | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw effects of columns, or predictions at chosen values.

        Parameters
        ----------
        estimator : estimator
            As in `average_effects`.
        X : {array-like, DataFrame} of shape (n_rows, n_columns)
            Rows that are averaged over.
        variables : str, int, list of these, or dict, default=None
            Columns whose effects are drawn, as in `average_effects`.
        at : dict, default=None
            Values by column whose predictions are drawn, as in `average_predictions`.
        level : float, default=0.95
            Level of the intervals.
        df_method : {"satterthwaite", "kenward-roger", "normal"}, default=None
            As in `average_effects`.
        ax : matplotlib Axes, default=None
            Where to draw. A new figure if None.

        Returns
        -------
        AverageEffectsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If not one of `variables` and `at` is given.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if (variables is None) == (at is None):
            raise ValueError(
                "One of `variables`, for effects, and `at`, for predictions, must be given, "
                f"but got variables={variables!r} and at={at!r}."
            )
        options = {"level": level, "df_method": df_method}
        if at is None:
            return cls(frame=average_effects(estimator, X, variables, **options)).plot(ax)
        return cls(frame=average_predictions(estimator, X, at=at, **options)).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the estimates and their intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. A new figure if None.

        Returns
        -------
        AverageEffectsDisplay
            The display itself.
        """
        frame = self.frame[::-1]  # the first on top
        labels = pd.Index([_text(label) for label in frame.index])
        size = width_for(5.0, labels), height_for(len(labels))
        (ax,) = make_axes(self, ax, size=size)
        is_effect = "effect" in frame.index.names
        if is_effect:
            ax.axvline(0, color=INK, linewidth=0.8)
        rows = range(len(frame))
        self.intervals_ = ax.hlines(
            rows, frame["lower"], frame["upper"], colors=BLUE, linewidth=1.2
        )
        self.points_ = ax.scatter(frame["estimate"], rows, s=16, color=BLUE, linewidths=0)
        names = [str(name) for name in frame.index.names if name is not None]
        label_groups(ax, labels, "" if is_effect else ", ".join(names), "in order")
        ax.set_xlabel("average effect" if is_effect else "average prediction")
        return self


def _text(label):
    parts = label if isinstance(label, tuple) else (label,)
    return ": ".join(label_as_text(part) for part in parts)
