"""How a file of data/ is read."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd
from sklearn.utils import Bunch

Data = tuple[pd.DataFrame, pd.Series, pd.Series]
SeveralData = tuple[pd.DataFrame, pd.Series, pd.DataFrame]


def load_table(name, target, group, description, return_X_y):
    """Read a file of data/; `group` is a column, or a list of them."""
    compression = "gzip" if name.endswith(".gz") else None
    with files("skmixed.datasets").joinpath("data", name).open("rb") as file:
        frame = pd.read_csv(file, compression=compression)
    groups = group if isinstance(group, list) else [group]
    data = frame.drop(columns=[target, *groups])
    if return_X_y:
        return data, frame[target], frame[group]
    return Bunch(
        data=data,
        target=frame[target],
        groups=frame[group],
        frame=frame,
        feature_names=list(data.columns),
        target_name=target,
        DESCR=description,
        **{"group_names" if isinstance(group, list) else "group_name": group},
    )
