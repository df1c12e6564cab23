"""Splitters and cross-validation for grouped data."""

from skmixed.model_selection._predict import cross_val_predict
from skmixed.model_selection._split import WithinGroupKFold, WithinGroupTimeSeriesSplit

__all__ = ["WithinGroupKFold", "WithinGroupTimeSeriesSplit", "cross_val_predict"]
