"""Fitted tables as plain arrays, so that any way of storing estimators can hold them."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from skmixed._numerics.moments.moments import GroupedMoments


class PacksTables:
    """An estimator whose fitted tables are stored as arrays: skops knows no pandas."""

    def __getstate__(self):
        return {name: pack(value) for name, value in super().__getstate__().items()}

    def __setstate__(self, state):
        super().__setstate__({name: unpack(value) for name, value in state.items()})


def pack(value):
    """Turn a pandas object into a dictionary of arrays and lists; leave the rest."""
    if isinstance(value, pd.DataFrame):
        columns = value.columns.tolist()
        return {"frame": value.to_numpy(), "index": pack(value.index), "columns": columns}
    if isinstance(value, pd.Series):
        return {"series": value.to_numpy(), "index": pack(value.index), "name": value.name}
    if isinstance(value, pd.Index):
        return {"labels": value.to_numpy(), "name": value.name}
    if isinstance(value, GroupedMoments):
        return {"moments": asdict(value)}
    return value


def unpack(value):
    """Undo `pack`."""
    if not isinstance(value, dict):
        return value
    if "frame" in value:
        return pd.DataFrame(value["frame"], unpack(value["index"]), value["columns"])
    if "series" in value:
        return pd.Series(value["series"], unpack(value["index"]), name=value["name"])
    if "moments" in value:
        return GroupedMoments(**value["moments"])
    return pd.Index(value["labels"], name=value["name"]) if "labels" in value else value
