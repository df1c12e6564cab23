"""Fitted tables and records as plain values, which any way of storing estimators can hold."""

from __future__ import annotations

import pickle
from dataclasses import fields

import numpy as np
import pandas as pd

from skmixed._estimators.around.group_means import GroupMeans
from skmixed._estimators.fitted import FittedModel, FittedRegression
from skmixed._estimators.fixed_effects_of_factors import FittedFactorEffects
from skmixed._estimators.likelihoods.fitted import (
    FittedLikelihood,
    RandomColumns,
    SumsOfRows,
)
from skmixed._estimators.several_factors import FittedFactors
from skmixed._estimators.strata import FittedStrata, Strata
from skmixed._estimators.streaming import RowsSeen
from skmixed._numerics.fit.criterion_iterative import Probes
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.inference.explained_variance import ExplainedVariance
from skmixed._numerics.least_squares.absorbed import Absorbed
from skmixed._numerics.least_squares.redundancy import Nested, Redundancy
from skmixed._numerics.likelihoods.conditional import ConditionalEffects
from skmixed._numerics.moments.cells import Cells, FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._numerics.moments.strata import StratifiedMoments
from skmixed._rows.reader import Columns
from skmixed._saved_by_0_1 import REFUSAL

# The make of the states that are stored; those of 0.1 say none.
STATE = 2
# Marks what was packed, and says what it was.
PACKED = "_skmixed_packed"
# What is stored as a dictionary of its fields: skops knows neither these nor pandas.
RECORDS = {
    record.__name__: record
    for record in (
        Absorbed,
        Cells,
        Columns,
        ConditionalEffects,
        FactorMoments,
        ExplainedVariance,
        FittedFactorEffects,
        FittedFactors,
        FittedLikelihood,
        FittedModel,
        FittedRegression,
        FittedStrata,
        GroupedMoments,
        GroupMeans,
        Nested,
        OwnLines,
        Probes,
        RandomColumns,
        Redundancy,
        RowsSeen,
        Specification,
        Strata,
        StratifiedMoments,
        SumsOfRows,
    )
}


class PacksTables:
    """An estimator whose fitted tables and records are stored as arrays, lists and numbers."""

    def __getstate__(self):
        state = {name: pack(value) for name, value in super().__getstate__().items()}
        return {**state, "_skmixed_state": STATE}

    def __setstate__(self, state):
        if state.pop("_skmixed_state", None) is None:
            raise pickle.UnpicklingError(REFUSAL)
        super().__setstate__({name: unpack(value) for name, value in state.items()})


def pack(value):
    """Turn a pandas object or a record into a dictionary of plain values; leave the rest.

    Pandas objects that would lose types on the way are left, too, as what users add may.
    """
    if isinstance(value, pd.DataFrame) and _is_plain(value.index, value.columns):
        if len(set(value.dtypes)) == 1 and isinstance(value.dtypes.iloc[0], np.dtype):
            columns = value.columns.tolist()
            parts = {"values": value.to_numpy(), "index": pack(value.index)}
            return {PACKED: "frame", **parts, "columns": columns}
    elif isinstance(value, pd.Series) and _is_plain(value.index):
        if isinstance(value.dtype, np.dtype):
            parts = {"values": value.to_numpy(), "index": pack(value.index)}
            return {PACKED: "series", **parts, "name": value.name}
    elif isinstance(value, pd.Index) and _is_plain(value):
        return {PACKED: "index", "values": value.to_numpy(), "name": value.name}
    elif type(value) in RECORDS.values():
        values = {field.name: pack(getattr(value, field.name)) for field in fields(value)}
        return {PACKED: "record", "of": type(value).__name__, "fields": values}
    elif type(value) in (tuple, list) and any(type(part) in RECORDS.values() for part in value):
        return {PACKED: type(value).__name__, "parts": [pack(part) for part in value]}
    elif type(value) is dict and PACKED not in value:
        parts = [[key, pack(part)] for key, part in value.items()]
        if any(packed is not value[key] for key, packed in parts):
            return {PACKED: "dict", "parts": parts}
    return value


def unpack(value):
    """Undo `pack`."""
    if not isinstance(value, dict) or PACKED not in value:
        return value
    kind = value[PACKED]
    if kind == "record":
        values = {name: unpack(part) for name, part in value["fields"].items()}
        return RECORDS[value["of"]](**values)
    if kind in ("tuple", "list"):
        parts = [unpack(part) for part in value["parts"]]
        return parts if kind == "list" else tuple(parts)
    if kind == "dict":
        return {key: unpack(part) for key, part in value["parts"]}
    if kind == "index":
        return pd.Index(value["values"], name=value["name"])
    index = unpack(value["index"])
    if kind == "series":
        return pd.Series(value["values"], index, name=value["name"])
    return pd.DataFrame(value["values"], index, value["columns"])


def _is_plain(*indexes):
    """Whether indexes have one level, and come back from an array as they are."""
    return all(
        not isinstance(index, pd.MultiIndex) and pd.Index(index.to_numpy()).dtype == index.dtype
        for index in indexes
    )
