"""The lines of a fitted model along one feature, and the rows around them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from skmixed._rows.reader import INTERCEPT


def lines_and_points(model, column, mean, x, residual, codes):
    """Set the other features to their mean, and the rows around the lines.

    Parameters
    ----------
    model : estimator
        A fitted mixed model.
    column : str
        The feature along which the lines run.
    mean : ndarray of shape (n_features,)
        Mean of each feature.
    x, residual, codes : ndarray of shape (n_rows,)
        The feature, y less its prediction, and the position of the group, -1 if it is new.

    Returns
    -------
    dict
        lines, population and points, as `GroupLinesDisplay` takes them.
    """
    center = pd.Series(mean, model._terms).drop(column)
    lines = model.group_coef_
    population = pd.Series([model.intercept_, *model.coef_], lines.columns)
    x_by_group = pd.Series(x).groupby(codes)
    ranges = pd.DataFrame({"low": x_by_group.min(), "high": x_by_group.max()})
    ranges = ranges.reindex(np.arange(len(lines))).set_axis(lines.index)
    of_groups = pd.DataFrame(
        {
            "intercept": lines[INTERCEPT] + lines[center.index] @ center,
            "slope": lines[column],
            **ranges,
        }
    )
    of_population = pd.Series(
        {
            "intercept": population[INTERCEPT] + population[center.index] @ center,
            "slope": population[column],
            "low": x.min(),
            "high": x.max(),
        }
    )
    own = np.vstack([of_groups[["intercept", "slope"]], of_population[["intercept", "slope"]]])
    y = own[codes, 0] + own[codes, 1] * x + residual
    points = pd.DataFrame({"x": x, "y": y, "group": codes})
    return {"lines": of_groups, "population": of_population, "points": points}
