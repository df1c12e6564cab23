"""Whether y drawn from a fitted model looks like the y it was fitted to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from skmixed._public import public
from skmixed._rows.factors import is_several
from skmixed._sklearn_private import StrOptions, validate_params
from skmixed.inspection._models import (
    ALL_MODELS,
    choose_groups_of_factor,
    draws_as_numbers,
    family_of,
    model_to_draw,
    predict_rows,
)
from skmixed.inspection._style import BLUE, FAINT, INK, LIGHT_BLUE, make_axes, write_note

KINDS = ("distribution", "groups", "statistic")
NEEDS = {
    "groups": "the groups of the rows: pass `groups`, and of several factors `factor`",
    "statistic": "`statistic`, a function of y such as numpy.std",
}
# Probability that the band of draws holds.
LEVEL = 0.95
# Counts are drawn as bars if no more than so many differ; as a curve of so many points else.
MAX_BARS, GRID = 40, 512


@public("skmixed.inspection")
class PredictiveCheckDisplay:
    """The distribution of y, its group means and a statistic, beside those of draws.

    A model that is right draws y that look like those it was fitted to. Use `from_estimator`
    to create one; the constructor takes what is drawn.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Target: numbers; of binary outcomes 0 and 1.
    draws : ndarray of shape (n_rows, n_draws)
        The same drawn from the model.
    groups : ndarray of shape (n_rows,), default=None
        Group label of each row.
    group_name : str, default="group"
        What the groups are called.
    classes : sequence of two labels, default=None
        Names of 0 and 1, of binary outcomes.
    is_count : bool, default=False
        Whether y are counts.
    statistic : callable, default=None
        Function of an array of shape (n_rows,) that returns a number.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel, or the only one.
    axes_ : ndarray
        All panels.
    figure_ : matplotlib Figure
        Figure that holds them.
    observed_ : dict
        By kind, what is drawn of y: its density on a grid or shares, its sorted group means,
        or its statistic.
    replicated_ : dict
        By kind, the same of each draw: a row for each.
    p_value_ : float
        Share of draws, y itself among them, whose statistic is not below that of y; near 0 or
        1 if it is not like theirs. Of kind "statistic" only.

    See Also
    --------
    ResidualsDisplay : Row by row; `n_draws` ranks y among draws.

    Notes
    -----
    Coefficients and variances were estimated from the same y and count as known, so that p
    values are cautious, and those of a mean, which the model fits, are near 1/2 whatever it is
    like. Look at what is not estimated: extremes, zeros, skewness, the least group mean.

    Densities are sums of normal kernels, whose width is Silverman's for y.

    References
    ----------
    Gelman, A., Meng, X.-L. and Stern, H. (1996). Posterior predictive assessment of model
    fitness via realized discrepancies. Statistica Sinica, 6, 733-807.

    Examples
    --------
    >>> import numpy as np
    >>> from skmixed import PooledRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inspection import PredictiveCheckDisplay
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = PooledRegressor().fit(X, y)
    >>> display = PredictiveCheckDisplay.from_estimator(model, X, y, subject)
    >>> means = display.replicated_["groups"]  # of draws that know of no groups
    >>> float(np.ptp(display.observed_["groups"]).round()), round(np.ptp(means, axis=1).mean())
    (160.0, 54)
    """

    def __init__(
        self,
        *,
        y,
        draws,
        groups=None,
        group_name="group",
        classes=None,
        is_count=False,
        statistic=None,
    ):
        self.y = y
        self.draws = draws
        self.groups = groups
        self.group_name = group_name
        self.classes = classes
        self.is_count = is_count
        self.statistic = statistic

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        factor: Any = None,
        kind: str = "panels",
        statistic: Callable[[np.ndarray], float] | None = None,
        n_draws: int = 200,
        conditional: bool = False,
        sample_weight: Any = None,
        random_state: Any = 0,
        ax: Any = None,
    ) -> Self:
        """Draw y from a fitted model, and a picture of it beside y itself.

        Parameters
        ----------
        estimator : estimator
            A model of this package, or a fitted search or pipeline that ends in one. It was
            fitted with groups, unless it is a `PooledRegressor`.
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            Rows, as the estimator takes them.
        y : array-like of shape (n_rows,)
            Target.
        groups : array-like of shape (n_rows,), optional
            Group label of each row, as for `predict`; of `PooledRegressor` for their means.
        factor : str or tuple, default=None
            Which of several grouping factors has its means drawn; needed if there are several,
            but for kinds "distribution" and "statistic".
        kind : {"distribution", "groups", "statistic", "panels"}, default="panels"
            As in `plot`.
        statistic : callable, default=None
            Function of an array of shape (n_rows,), y or a draw of it, that returns a number.
            Of binary outcomes it is given 0 and 1.
        n_draws : int, default=200
            How often y is drawn; memory is 8 `n_draws` bytes for each row.
        conditional : bool, default=False
            Whether groups keep their effects, as in `simulate`.
        sample_weight : array-like of shape (n_rows,), optional
            As for `simulate`: precisions, or exposures of counts.
        random_state : int, RandomState instance or None, default=0
            Seed of the draws.
        ax : matplotlib Axes or array of Axes, default=None
            As in `plot`.

        Returns
        -------
        PredictiveCheckDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the model was fitted without groups, or what `kind` shows was not given.
        """
        model, X = model_to_draw(cls, estimator, X, models=ALL_MODELS)
        rows, family = predict_rows(model, X, y, groups), family_of(model)
        options = {"conditional": conditional, "sample_weight": sample_weight}
        draws = model.simulate(X, groups, n_draws=n_draws, random_state=random_state, **options)
        given = {"y": rows.y, "draws": draws_as_numbers(model, draws), "statistic": statistic}
        given["is_count"] = family == "poisson"
        given["classes"] = model.classes_ if family == "binomial" else None
        if factor is not None or not is_several(rows.groups) or kind in ("groups", "panels"):
            name, labels = choose_groups_of_factor(model, rows.groups, factor)
            labels = None if labels is None else np.asarray(labels)
            given |= {"groups": labels, "group_name": name}
        return cls(**given).plot(ax, kind=kind)

    @validate_params(
        {"kind": [StrOptions({*KINDS, "panels"})]}, prefer_skip_nested_validation=True
    )
    def plot(self, ax: Any = None, *, kind: str = "panels") -> Self:
        """Draw y beside its draws.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: one, or one for each panel. A new figure if None.
        kind : {"distribution", "groups", "statistic", "panels"}, default="panels"
            - "distribution": the density of y, of counts and binary outcomes shares, and the
              band that holds 95% of the draws at each point
            - "groups": the means of the groups, sorted, and the band of those of the draws
            - "statistic": a histogram of the statistic of the draws, and a line at that of y
            - "panels": all of these that can be drawn

        Returns
        -------
        PredictiveCheckDisplay
            The display itself.
        """
        lacking = {"groups": self.groups is None, "statistic": self.statistic is None}
        available = [name for name in KINDS if not lacking.get(name, False)]
        kinds = available if kind == "panels" else [kind]
        if kinds[0] not in available:
            raise ValueError(f"kind={kind!r} needs {NEEDS[kind]}.")
        axes = make_axes(self, ax, len(kinds), size=(4.4, 3.4))
        self.observed_, self.replicated_ = {}, {}
        draw = {
            "distribution": self._draw_distribution,
            "groups": self._draw_groups,
            "statistic": self._draw_statistic,
        }
        for panel, name in zip(axes, kinds, strict=True):
            draw[name](panel)
        return self

    def _keep(self, kind, observed, replicated):
        """Store what is drawn of y and of the draws; return it with the band and the median."""
        self.observed_[kind], self.replicated_[kind] = observed, replicated
        tail = (1 - LEVEL) / 2
        return observed, *np.quantile(replicated, [tail, 0.5, 1 - tail], axis=0)

    def _draw_distribution(self, ax):
        note = f"grey: {LEVEL:.0%} of {self.draws.shape[1]:,} draws"
        write_note(ax, note)
        if self.classes is not None:
            values, labels = np.arange(2), [str(label) for label in self.classes]
        elif self.is_count and self._are_few_counts():
            values = np.arange(max(self.y.max(), self.draws.max()) + 1)
            labels = None
        else:
            self._draw_density(ax)
            return
        shares = [_shares(column, len(values)) for column in (self.y, *self.draws.T)]
        observed, low, middle, high = self._keep(
            "distribution", shares[0], np.array(shares[1:])
        )
        ax.bar(values, observed, width=0.8, color=LIGHT_BLUE)
        ax.vlines(values, low, high, colors=INK, linewidth=1.2)
        ax.plot(values, middle, "o", color=INK, markersize=3)
        write_note(ax, note.replace("grey", "lines"))
        if labels is not None:
            ax.set_xticks(values, labels)
        ax.set(xlabel="count" if labels is None else "class", ylabel="share (blue: y)")

    def _are_few_counts(self):
        both = np.append(self.y, self.draws.max())
        return both.max() < MAX_BARS and not np.any(both % 1)

    def _draw_density(self, ax):
        width = _kernel_width(self.y)
        low = min(self.y.min(), self.draws.min()) - 3 * width
        high = max(self.y.max(), self.draws.max()) + 3 * width
        edges = np.linspace(low, high, GRID + 1)
        curves = [_density(column, edges, width) for column in (self.y, *self.draws.T)]
        observed, lower, middle, upper = self._keep(
            "distribution", curves[0], np.array(curves[1:])
        )
        points = (edges[1:] + edges[:-1]) / 2
        ax.fill_between(points, lower, upper, color=FAINT, linewidth=0)
        ax.plot(points, middle, color=INK, linewidth=0.8)
        ax.plot(points, observed, color=BLUE, linewidth=1.8)
        ax.set(xlabel="y", ylabel="density (blue: y)", ylim=(0, None))
        ax.set_xlim(*_reach(self.y, self.draws, width))

    def _draw_groups(self, ax):
        codes, labels = pd.factorize(self.groups, use_na_sentinel=False)
        sizes = np.bincount(codes)
        means = [
            np.sort(np.bincount(codes, column) / sizes) for column in (self.y, *self.draws.T)
        ]
        observed, low, middle, high = self._keep("groups", means[0], np.array(means[1:]))
        ranks = np.arange(1, len(labels) + 1)
        ax.fill_between(ranks, low, high, color=FAINT, linewidth=0)
        ax.plot(ranks, middle, color=INK, linewidth=0.8)
        size = float(np.clip(900 / len(labels), 2, 16))
        ax.scatter(ranks, observed, s=size, color=BLUE, linewidths=0, zorder=3)
        name = f"{self.group_name} ({len(labels):,}, sorted by mean)"
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set(xlabel=name, ylabel="group mean (blue: y)")

    def _draw_statistic(self, ax):
        values = np.array([float(self.statistic(column)) for column in self.draws.T])
        observed = float(self.statistic(self.y))
        self.observed_["statistic"], self.replicated_["statistic"] = observed, values
        n_above = np.count_nonzero(values >= observed)
        self.p_value_ = (1 + n_above) / (1 + len(values))
        ax.hist(values, bins=min(30, max(len(values) // 8, 5)), color=FAINT)
        ax.axvline(observed, color=BLUE, linewidth=1.8)
        write_note(ax, f"{n_above:,} of {len(values):,} draws at or above y")
        name = getattr(self.statistic, "__name__", "statistic")
        ax.set(xlabel=f"{name} (blue: y)", ylabel="draws")


def _shares(values, n):
    """Share of each whole number below n."""
    return np.bincount(values.astype(np.intp), minlength=n) / len(values)


def _kernel_width(y):
    """Silverman's width; where y does not vary, that of a number of its size."""
    quartiles = np.quantile(y, [0.25, 0.75])
    spreads = np.array([y.std(), np.ptp(quartiles) / 1.34])
    spread = spreads[spreads > 0].min(initial=np.inf)
    spread = spread if np.isfinite(spread) else max(abs(float(y[0])), 1.0)
    return 0.9 * spread * len(y) ** -0.2


def _reach(y, draws, margin):
    """Limits of the axis: all y, and draws but for the tails of skewed ones."""
    low, high = np.quantile(draws, [0.001, 0.999])
    return min(low, y.min()) - margin, max(high, y.max()) + margin


def _density(values, edges, width):
    """Sum of normal kernels at the middles of bins."""
    step = edges[1] - edges[0]
    counts = np.histogram(values, edges)[0] / (len(values) * step)
    return gaussian_filter1d(counts, width / step, mode="constant")
