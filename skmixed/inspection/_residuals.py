"""Whether residuals and random effects look as the model assumes."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skmixed._public import public
from skmixed._rows.factors import is_several, take_factors
from skmixed._sklearn_private import StrOptions, check_matplotlib_support, validate_params
from skmixed.inspection._models import (
    ALL_MODELS,
    MIXED_MODELS,
    choose_groups_of_factor,
    model_to_draw,
    of_factor,
    predict_rows,
)
from skmixed.inspection._quantile_residuals import residuals_of
from skmixed.inspection._quantiles import draw_normal, draw_quantiles
from skmixed.inspection._style import (
    BLUE,
    FAINT,
    INK,
    LIGHT_BLUE,
    MAX_LABELS,
    MAX_POINTS,
    ORANGE,
    PALETTE,
    alpha_for,
    choose_rows,
    height_for,
    label_groups,
    make_axes,
    width_for,
    write_note,
)

NEEDS = {
    "groups": "the groups of the rows: pass `groups`, and of several factors `factor`",
    "random_effects": (
        "a fitted mixed model whose groups differ, given to from_estimator, and of several "
        "factors `factor`"
    ),
}
# Of several factors one must be named for the others.
WITHOUT_FACTOR = ("fitted", "qq")
KINDS = ("fitted", "groups", "qq", "random_effects")
OPTIONS = {"kind": [StrOptions({*KINDS, "panels"})], "max_points": MAX_POINTS}
# What is predicted, by the distribution of y.
FITTED = {
    None: "fitted value",
    "normal": "fitted value",
    "binomial": "fitted probability",
    "poisson": "fitted mean",
}
# Bins of fitted values whose mean residual is drawn.
N_BINS, MIN_ROWS = 20, 20


@public("skmixed.inspection")
class ResidualsDisplay:
    """Residuals against fitted values and by group; residuals and random effects as normal.

    Use `from_estimator` or `from_predictions` to create one; the constructor takes what is
    drawn.

    Parameters
    ----------
    residuals : ndarray of shape (n_rows,)
        Difference of y and its prediction, which holds the group's own effects; of binary
        outcomes and counts, and by draws, randomised quantile residuals.
    fitted : ndarray of shape (n_rows,)
        The predictions; by draws those of new groups, which are drawn.
    groups : ndarray of shape (n_rows,), default=None
        Group label of each row.
    effects : DataFrame of shape (n_groups, n_terms), default=None
        Random effects over their standard deviation; of mixed models only.
    group_name : str, default="group"
        What the groups are called.
    family : {None, "normal", "binomial", "poisson"}, default=None
        Distribution of y, if residuals are quantile residuals, which are standard normal.
    uniformity : (float, float), default=None
        Statistic and p-value of Kolmogorov and Smirnov's test that residuals are normal, over
        the residual standard deviation of linear models: a named tuple with `statistic` and
        `p_value`. None without residual degrees of freedom.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel, or the only one.
    axes_ : ndarray
        All panels.
    figure_ : matplotlib Figure
        Figure that holds them.
    points_ : dict
        By kind: the rows (PathCollection), the groups' medians (PathCollection), or the
        quantiles (of "random_effects" a list, one PathCollection for each term).
    lines_ : dict
        By kind: the mean residual along the fitted values (Line2D), the quartiles of each
        group (LineCollection), or the line of the normal distribution (Line2D).

    See Also
    --------
    sklearn.metrics.PredictionErrorDisplay : Residuals of any regressor.

    Notes
    -----
    Group effects are shrunk, the more the smaller the group, so that they have different
    variances even if the model is true. The Q-Q plot shows b_j over its standard deviation,
    the root of ``diag(random_effects_cov_) * pooling_weights_``. Bands hold each point with a
    probability of 95% if the distribution is normal; of a few dozen points one or two lie
    outside by chance.

    Differences of binary outcomes or counts and their means are far from normal even if the
    model is true. Drawn in their place are randomised quantile residuals (Dunn and Smyth): with
    the distribution F of y about its prediction, the normal quantile of a number drawn evenly
    between F(y - 1) and F(y). They are standard normal if the model is true: a mean above 0
    says that predictions are too low there, tails beyond the band that counts vary more than
    by the Poisson distribution. Of binary outcomes each residual is mostly chance: look at
    means and at groups. `sklearn.calibration.CalibrationDisplay` draws shares of the class
    against probabilities.

    These residuals take the effects of groups as known. By `n_draws` they are found by
    simulation instead, as those of Hartig's DHARMa are: y of each row is ranked among draws of
    `simulate`, each with new random effects, and a number drawn evenly within its step of
    1 / (n_draws + 1) is turned to a normal quantile. They are standard normal if the model is
    true, and say as well whether groups differ as the model says. Rows of a group share its
    effect, so its residuals may all be above 0, and they are drawn against the means of new
    groups; the band of the Q-Q plot takes them as independent, and is too narrow. A residual
    cannot be further out than draws are many: with 250, about 3.

    Kolmogorov and Smirnov's test in `uniformity` is that of independent rows with a known
    distribution, as residuals nearly are given the groups. The fit has made them smaller, so
    that it is cautious. By draws the statistic of y is ranked among those of the draws, which
    have the same groups, and all are taken less their mean and over their standard deviation:
    it tests the shape.

    References
    ----------
    Hartig, F. DHARMa: residual diagnostics for hierarchical regression models, an R package.

    Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals. Journal of Computational
    and Graphical Statistics, 5(3), 236-244. doi:10.1080/10618600.1996.10474708

    Examples
    --------
    >>> from skmixed import RandomSlopeRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inspection import ResidualsDisplay
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
    >>> display = ResidualsDisplay.from_estimator(model, X, y, groups=subject, kind="panels")
    >>> float(display.residuals.std().round(1)), len(display.axes_)
    (23.4, 4)
    """

    def __init__(
        self,
        *,
        residuals,
        fitted,
        groups=None,
        effects=None,
        group_name="group",
        family=None,
        uniformity=None,
    ):
        self.residuals = residuals
        self.fitted = fitted
        self.groups = groups
        self.effects = effects
        self.group_name = group_name
        self.family = family
        self.uniformity = uniformity

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        factor: Any = None,
        kind: str = "fitted",
        n_draws: int | None = None,
        sample_weight: Any = None,
        max_points: int | None = 5_000,
        random_state: Any = 0,
        ax: Any = None,
    ) -> Self:
        """Draw the residuals of a fitted model.

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
            Group label of each row, as for `predict`; of `PooledRegressor` for kinds "groups"
            and "panels" only.
        factor : str or tuple, default=None
            Which of several grouping factors; needed if there are several, but for kinds
            "fitted" and "qq".
        kind : {"fitted", "groups", "qq", "random_effects", "panels"}, default="fitted"
            As in `plot`.
        n_draws : int or None, default=None
            How often y is drawn from the model, for quantile residuals by simulation, such as
            250. If None, they are those of binary outcomes and counts given their groups, and
            of linear models differences. Memory is about 20 `n_draws` bytes for each row.
        sample_weight : array-like of shape (n_rows,), optional
            Exposures of counts, of which y is the rate; with `n_draws` precisions of linear
            models, too.
        max_points : int or None, default=5000
            As in `plot`.
        random_state : int, RandomState instance or None, default=0
            Draws y, and the quantile residuals within the steps of its distribution.
        ax : matplotlib Axes or array of Axes, default=None
            As in `plot`.

        Returns
        -------
        ResidualsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the model was fitted without groups, or does not have what `kind` shows; if y
            of a model of counts is no whole number; or if there are weights that residuals
            do not depend on.
        """
        model, X = model_to_draw(cls, estimator, X, models=ALL_MODELS)
        rows = predict_rows(model, X, y, groups)
        options = {"n_draws": n_draws, "sample_weight": sample_weight}
        given = residuals_of(model, rows, X, groups, random_state=random_state, **options)
        if factor is not None or not is_several(rows.groups) or kind not in WITHOUT_FACTOR:
            name, labels = choose_groups_of_factor(model, rows.groups, factor)
            given |= _groups(name, labels) | {"effects": _standardized_effects(model, name)}
        display = cls(**given)
        return display.plot(ax, kind=kind, max_points=max_points)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        groups: Any = None,
        *,
        factor: Any = None,
        kind: str = "fitted",
        max_points: int | None = 5_000,
        ax: Any = None,
    ) -> Self:
        """Draw the residuals of predictions, such as those of a cross-validation.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,)
            Target.
        y_pred : array-like of shape (n_rows,)
            Its predictions.
        groups : array-like of shape (n_rows,), default=None
            Group label of each row; needed for kinds "groups" and "panels". Of several
            factors a table with a column for each.
        factor : str, default=None
            Which of several grouping factors, for kinds "groups" and "panels".
        kind : {"fitted", "groups", "qq", "panels"}, default="fitted"
            As in `plot`, without the random effects.
        max_points : int or None, default=5000
            As in `plot`.
        ax : matplotlib Axes or array of Axes, default=None
            As in `plot`.

        Returns
        -------
        ResidualsDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        check_consistent_length(y_true, y_pred, groups)
        fitted, groups = column_or_1d(y_pred, dtype=np.float64), take_factors(groups)
        given = {"residuals": column_or_1d(y_true, dtype=np.float64) - fitted, "fitted": fitted}
        if factor is not None or not is_several(groups) or kind not in WITHOUT_FACTOR:
            given |= _groups(*choose_groups_of_factor(None, groups, factor))
        display = cls(**given)
        return display.plot(ax, kind=kind, max_points=max_points)

    @validate_params(OPTIONS, prefer_skip_nested_validation=True)
    def plot(
        self, ax: Any = None, *, kind: str = "fitted", max_points: int | None = 5_000
    ) -> Self:
        """Draw the residuals.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: one, or one for each panel. A new figure if None.
        kind : {"fitted", "groups", "qq", "random_effects", "panels"}, default="fitted"
            - "fitted": residuals against fitted values, with their mean in up to 20 bins
            - "groups": median, quartiles, and 5% and 95% quantiles of the residuals of each
              group, sorted by the median
            - "qq": quantiles of the residuals against those of the normal distribution
            - "random_effects": the same of the random effects of a mixed model over their
              standard deviation
            - "panels": all of these that can be drawn

        max_points : int or None, default=5000
            Rows drawn as points in "fitted"; of more rows as many are drawn at random, the
            same ones at every call, and a note says so.

        Returns
        -------
        ResidualsDisplay
            The display itself.
        """
        available = self._available()
        kinds = available if kind == "panels" else [kind]
        if kinds[0] not in available:
            raise ValueError(f"kind={kind!r} needs {NEEDS[kind]}.")
        size = (4.4, 3.4) if kind == "panels" else self._size(kind)
        axes = make_axes(self, ax, len(kinds), size=size, n_columns=min(len(kinds), 2))
        self.points_, self.lines_ = {}, {}
        draw = {
            "fitted": partial(self._draw_fitted, max_points=max_points),
            "groups": self._draw_groups,
            "qq": self._draw_residual_quantiles,
            "random_effects": self._draw_effect_quantiles,
        }
        for panel, name in zip(axes, kinds, strict=True):
            draw[name](panel)
        return self

    @property
    def _name(self):
        return "quantile residual" if self.family else "residual"

    def _available(self):
        no_effects = self.effects is None or self.effects.shape[1] == 0
        lacking = {"groups": self.groups is None, "random_effects": no_effects}
        return [kind for kind in KINDS if not lacking.get(kind, False)]

    def _size(self, kind):
        if kind != "groups":
            return 5.0, 3.8
        labels = pd.unique(self.groups)
        return width_for(5.0, labels), height_for(len(labels))

    def _draw_fitted(self, ax, max_points):
        rows = choose_rows(len(self.fitted), max_points)
        if len(rows) < len(self.fitted):
            write_note(ax, f"{len(rows):,} of {len(self.fitted):,} rows drawn")
        ax.axhline(0, color=INK, linewidth=0.8)
        self.points_["fitted"] = ax.scatter(
            self.fitted[rows],
            self.residuals[rows],
            s=8,
            color=BLUE,
            alpha=alpha_for(len(rows)) / 1.5,
            linewidths=0,
            rasterized=True,
        )
        means = _means_in_bins(self.fitted, self.residuals)
        (self.lines_["fitted"],) = ax.plot(*means, color=ORANGE, linewidth=1.8)
        ax.set(xlabel=FITTED[self.family], ylabel=f"{self._name} (orange: mean)")

    def _draw_groups(self, ax):
        codes, labels = pd.factorize(self.groups, use_na_sentinel=False)
        levels = [0.05, 0.25, 0.5, 0.75, 0.95]
        table = pd.Series(self.residuals).groupby(codes).quantile(levels).unstack()
        table = table.set_axis(pd.Index(labels)).sort_values(0.5)
        rows, thin = np.arange(len(table)), len(table) > MAX_LABELS
        ax.axvline(0, color=INK, linewidth=0.8, zorder=2.5)
        width = float(np.clip(150 / len(table), 0.4, 1.2)) if thin else 1.2
        ax.hlines(rows, table[0.05], table[0.95], colors=FAINT, linewidth=width)
        boxes = 1.5 * width if thin else 5
        self.lines_["groups"] = ax.hlines(
            rows, table[0.25], table[0.75], colors=LIGHT_BLUE, linewidth=boxes
        )
        size = float(np.clip(900 / len(table), 1, 6)) if thin else 16
        self.points_["groups"] = ax.scatter(
            table[0.5], rows, s=size, color=BLUE, linewidths=0, zorder=3
        )
        label_groups(ax, table.index, self.group_name, "sorted by median")
        ax.set_xlabel(f"{self._name}: median, 25-75%, 5-95%")

    def _draw_residual_quantiles(self, ax):
        mean, std_dev = 0.0, 1.0
        if self.family is None:
            mean, std_dev = self.residuals.mean(), self.residuals.std()
        self.lines_["qq"] = draw_normal(ax, len(self.residuals), mean, std_dev)
        if self.uniformity is not None:
            write_note(ax, f"Kolmogorov-Smirnov: p {_p_value(self.uniformity.p_value)}")
        self.points_["qq"] = draw_quantiles(ax, self.residuals, BLUE, "residuals")
        ax.set(xlabel="normal quantile", ylabel=self._name)

    def _draw_effect_quantiles(self, ax):
        name = "random_effects"
        columns = [column.dropna() for _, column in self.effects.items()]
        self.lines_[name] = draw_normal(ax, max(map(len, columns)), 0.0, 1.0)
        self.points_[name] = [
            draw_quantiles(ax, column.to_numpy(), color, column.name)
            for color, column in zip(cycle(PALETTE), columns, strict=False)
        ]
        ax.set(xlabel="normal quantile", ylabel="random effect / its std. dev.")
        ax.legend(handles=self.points_[name], frameon=False, handletextpad=0.1)


def _p_value(p):
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _groups(name, labels):
    labels = None if labels is None else np.asarray(labels)
    return {"groups": labels, "group_name": name}


def _standardized_effects(model, name):
    """Random effects over their standard deviation, without terms that do not vary."""
    if not isinstance(model, MIXED_MODELS[0]):
        return None
    cov = of_factor(model, model.random_effects_cov_, name)
    variances = np.diag(cov) * of_factor(model, model.pooling_weights_, name)
    effects = of_factor(model, model.random_effects_, name)
    effects = effects / np.sqrt(variances.where(variances > 0))
    return effects.dropna(axis=1, how="all")


def _means_in_bins(x, y):
    """Mean of x and y in bins of x that hold about as many rows each."""
    n_bins = int(np.clip(len(x) // MIN_ROWS, 1, N_BINS))
    order, starts = np.argsort(x), np.arange(n_bins) * len(x) // n_bins
    counts = np.diff(starts, append=len(x))
    return tuple(np.add.reduceat(column[order], starts) / counts for column in (x, y))
