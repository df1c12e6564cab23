"""Which features of the input a pipeline has made each column of."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
)


def sources_of(steps):
    """Name the features that each column is made of, as far as scikit-learn says it.

    Parameters
    ----------
    steps : Pipeline
        Fitted.

    Returns
    -------
    list of tuple of str
        For each column that comes out the features it is made of; its own name alone if the
        transformer is not one of those that are known here.
    """
    return _through(steps, [(name,) for name in _names_into(steps)])


def _through(step, sources):
    """Follow the columns through a fitted transformer."""
    if isinstance(step, str):  # "passthrough"
        return sources
    if isinstance(step, Pipeline):
        for _, each in step.steps:
            sources = _through(each, sources) if each is not None else sources
        return sources
    if isinstance(step, ColumnTransformer):
        return _through_columns(step, sources)
    if isinstance(step, PolynomialFeatures):
        return [_union(sources, np.flatnonzero(power)) for power in step.powers_]
    counts = _columns_by_feature(step)
    if counts is not None:
        return [own for own, n in zip(sources, counts, strict=True) for _ in range(n)]
    return _by_name(step, sources)


def _through_columns(step, sources):
    """Follow them through a ColumnTransformer, each to its own transformer."""
    found = {}
    for name, transformer, columns in step.transformers_:
        out = range(*step.output_indices_[name].indices(len(step.get_feature_names_out())))
        if len(out):
            taken = [sources[i] for i in _positions(step, columns)]
            found |= dict(zip(out, _through(transformer, taken), strict=True))
    return [found[i] for i in sorted(found)]


def _positions(step, columns):
    """Positions of the columns that a transformer is given."""
    positions = pd.Series(np.arange(step.n_features_in_), _names_into(step))
    first = columns.start if isinstance(columns, slice) else np.ravel(columns)[0]
    by_name = isinstance(first, str)
    return np.atleast_1d(positions.loc[columns] if by_name else positions.iloc[columns])


def _columns_by_feature(step):
    """Count the columns that each feature becomes; None if the transformer is not known."""
    if isinstance(step, OneHotEncoder):
        rare = getattr(step, "infrequent_categories_", [None] * step.n_features_in_)
        dropped = [None] * step.n_features_in_ if step.drop_idx_ is None else step.drop_idx_
        return [
            len(levels) - max(0 if few is None else len(few) - 1, 0) - (drop is not None)
            for levels, few, drop in zip(step.categories_, rare, dropped, strict=True)
        ]
    if isinstance(step, SplineTransformer):
        return [step.n_features_out_ // step.n_features_in_] * step.n_features_in_
    if isinstance(step, KBinsDiscretizer) and step.encode != "ordinal":
        return [int(n) for n in step.n_bins_]
    return None


def _by_name(step, sources):
    """Columns that keep their name, as those that are scaled, are what they were."""
    before = dict(zip(_names_into(step), sources, strict=True))
    return [before.get(name, (name,)) for name in step.get_feature_names_out()]


def _names_into(step):
    """Names of the columns that go in, as scikit-learn makes them up where there are none."""
    if isinstance(step, Pipeline) and step.steps:
        step = step.steps[0][1]
    made_up = [f"x{i}" for i in range(step.n_features_in_)]
    return list(getattr(step, "feature_names_in_", made_up))


def _union(sources, positions):
    """Features of several columns, in the order of the features."""
    features = dict.fromkeys(name for own in sources for name in own)
    used = {name for i in positions for name in sources[i]}
    return tuple(name for name in features if name in used)
