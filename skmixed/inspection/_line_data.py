"""The lines of a fitted model along one feature, the rows around them, and groups to show."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd
from scipy.special import expit

from skmixed._rows.columns import dense_column
from skmixed._rows.labels import match_groups
from skmixed._rows.reader import INTERCEPT
from skmixed.inspection._models import family_of, of_factor

# What is a line, by the distribution of y, and the mean of y that follows from it.
LINKS = {"binomial": "logit", "poisson": "log"}
MEANS = {"identity": lambda eta: eta, "logit": expit, "log": np.exp}
# How far rows of two classes are scattered, by multiples of the golden ratio.
SCATTER, GOLDEN = 0.06, (np.sqrt(5) - 1) / 2


def lines_and_points(model, column, rows, name):
    """Set the other features to their mean, and the rows around the lines.

    Parameters
    ----------
    model : estimator
        A fitted model.
    column : str
        The feature along which the lines run.
    rows : PredictedRows
        The rows to show, with the groups of one factor.
    name : str
        What these are called.

    Returns
    -------
    dict
        lines, population and points, as `GroupLinesDisplay` takes them.
    """
    x = dense_column(rows.X, model._terms.index(column)).astype(float)
    mean = pd.Series(np.asarray(rows.X.mean(axis=0)).ravel(), model._terms)
    codes, coef = _own_lines(model, rows.groups, len(x), name)
    population_coef = pd.Series([model.intercept_, *model._slopes], coef.columns)
    x_by_group = pd.Series(x).groupby(codes)
    ranges = pd.DataFrame({"low": x_by_group.min(), "high": x_by_group.max()})
    ranges = ranges.reindex(np.arange(len(coef))).set_axis(coef.index)
    lines = pd.DataFrame({**_line(coef, column, mean), **ranges})
    population = pd.Series(
        {**_line(population_coef, column, mean), "low": x.min(), "high": x.max()},
        name=model._population_name,
    )
    columns = ["intercept", "slope"]
    own = lines[columns].fillna(population[columns])
    of_code = np.vstack([own, population[columns]])  # the last is that of code -1
    on_line = of_code[codes, 0] + of_code[codes, 1] * x
    y = on_line + rows.residuals if family_of(model) is None else rows.y
    points = pd.DataFrame({"x": x, "y": y, "group": codes})
    return {"lines": lines, "population": population, "points": points}


def _own_lines(model, groups, n_rows, name):
    """Codes of the rows, and each group's own line, NaN if the model ignores groups."""
    if model._uses_groups:
        labels, coef = (of_factor(model, of, name) for of in (model.groups_, model.group_coef_))
        return match_groups(groups, labels, n_rows)[0], coef
    labels, codes = pd.Index([]), np.full(n_rows, -1)
    if groups is not None:
        _, labels = match_groups(groups, labels, n_rows)  # all of them are new
        codes, _ = match_groups(groups, labels := labels.sort_values(), n_rows)
    labels = labels.rename(name)
    return codes, pd.DataFrame(np.nan, labels, [INTERCEPT, *model._terms])


def _line(coef, column, mean):
    """Intercept and slope along a column: of the population, or of all groups in a table."""
    others = mean.drop(column)
    return {"intercept": coef[INTERCEPT] + coef[others.index] @ others, "slope": coef[column]}


def choose_groups(lines, points, highlight, least, most):
    """Positions of the groups to highlight.

    Parameters
    ----------
    lines, points : DataFrame
        As `GroupLinesDisplay` has them.
    highlight : int or list of labels
        Number of groups, or the groups.
    least, most : int
        How many there may be.

    Returns
    -------
    ndarray of int
        Positions in `lines`.
    """
    if isinstance(highlight, Integral):
        chosen = _spread_evenly(lines, points, highlight)
    else:
        chosen = lines.index.get_indexer(list(highlight))
        has_rows = np.isin(chosen, points["group"]) & (chosen >= 0)
        if not has_rows.all():
            unknown = [
                label for label, known in zip(highlight, has_rows, strict=True) if not known
            ]
            raise ValueError(
                f"highlight={unknown} must be labels of groups that were seen in fit and "
                "have rows in X."
            )
    if not least <= len(chosen) <= most:
        raise ValueError(
            f"`highlight` must be {least} to {most} groups, but got {len(chosen)}."
            + ("" if len(lines) else " Pass `groups`: there are none.")
        )
    return chosen


def _spread_evenly(lines, points, n_shown):
    """Positions of groups between the lowest and the highest line, the small ones apart."""
    of_group = points.groupby("group")["y"].agg(["size", "mean"])
    of_group = of_group.reindex(np.arange(len(lines)))
    sizes = of_group["size"].fillna(0).to_numpy()
    level = (lines["intercept"] + points["x"].mean() * lines["slope"]).to_numpy()
    level = np.where(np.isnan(level), of_group["mean"], level)
    order = np.lexsort((level, lines["slope"]))
    order = order[sizes[order] >= (np.median(sizes[sizes > 0]) if sizes.any() else 1)]
    places = np.linspace(0, len(order) - 1, min(n_shown, len(order)))
    return order[places.round().astype(int)]


def name_of_mean(model, target):
    """Name what is drawn: y, the probability of its second class, or the mean of counts."""
    family = family_of(model)
    if family == "binomial":
        return f"probability of {target} = {model.classes_.tolist()[1]}"
    return f"mean of {target}" if family else target


def scattered(rows):
    """How far rows of two classes are drawn from 0 or 1: always the same for a row."""
    return SCATTER * (np.asarray(rows) * GOLDEN % 1)
