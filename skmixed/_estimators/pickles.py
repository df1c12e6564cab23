"""Fitted tables and records as plain values, which any way of storing estimators can hold."""

from __future__ import annotations

import pickle
from dataclasses import fields

import pandas as pd

from skmixed._estimators.fitted import FittedModel, FittedRegression
from skmixed._estimators.streaming import RowsSeen
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._rows.reader import Columns
from skmixed._saved_by_0_1 import REFUSAL

# The make of the states that are stored; those of 0.1 say none.
STATE = 2
# What is stored as a dictionary of its fields: skops knows neither these nor pandas.
RECORDS = {
    record.__name__: record
    for record in (
        Columns,
        FittedModel,
        FittedRegression,
        GroupedMoments,
        OwnLines,
        RowsSeen,
        Specification,
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
    """Turn a pandas object or a record into a dictionary of plain values; leave the rest."""
    if isinstance(value, pd.DataFrame):
        columns = value.columns.tolist()
        return {"frame": value.to_numpy(), "index": pack(value.index), "columns": columns}
    if isinstance(value, pd.Series):
        return {"series": value.to_numpy(), "index": pack(value.index), "name": value.name}
    if isinstance(value, pd.Index):
        return {"labels": value.to_numpy(), "name": value.name}
    if type(value) in RECORDS.values():
        values = {field.name: pack(getattr(value, field.name)) for field in fields(value)}
        return {"record": type(value).__name__, "fields": values}
    return value


def unpack(value):
    """Undo `pack`."""
    if not isinstance(value, dict):
        return value
    if "frame" in value:
        return pd.DataFrame(value["frame"], unpack(value["index"]), value["columns"])
    if "series" in value:
        return pd.Series(value["series"], unpack(value["index"]), name=value["name"])
    if "record" in value:
        values = {name: unpack(part) for name, part in value["fields"].items()}
        return RECORDS[value["record"]](**values)
    return pd.Index(value["labels"], name=value["name"]) if "labels" in value else value
