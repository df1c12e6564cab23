"""Data sets with groups, and a seeded generator whose truth is known."""

from skmixed.datasets._generate import make_mixed_regression
from skmixed.datasets._load import load_hsb, load_mep_staff, load_penicillin, load_sleepstudy
from skmixed.datasets._load_outcomes import load_bacteria, load_epilepsy

__all__ = [
    "load_bacteria",
    "load_epilepsy",
    "load_hsb",
    "load_mep_staff",
    "load_penicillin",
    "load_sleepstudy",
    "make_mixed_regression",
]
