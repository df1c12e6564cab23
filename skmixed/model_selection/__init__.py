"""Splitters and cross-validation for grouped data."""

from skmixed.model_selection._compare_pooling import compare_pooling
from skmixed.model_selection._paired_difference import PairedDifference
from skmixed.model_selection._pooling_comparison import PoolingComparison
from skmixed.model_selection._predict import cross_val_predict
from skmixed.model_selection._split import (
    TwoWayGroupKFold,
    WithinGroupKFold,
    WithinGroupTimeSeriesSplit,
)
from skmixed.model_selection._validate import cross_validate

__all__ = [
    "PairedDifference",
    "PoolingComparison",
    "TwoWayGroupKFold",
    "WithinGroupKFold",
    "WithinGroupTimeSeriesSplit",
    "compare_pooling",
    "cross_val_predict",
    "cross_validate",
]
