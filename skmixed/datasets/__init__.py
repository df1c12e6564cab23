"""Data sets with groups, and a seeded generator whose truth is known."""

from skmixed.datasets._generate import make_mixed_regression
from skmixed.datasets._load import load_hsb, load_mep_staff, load_penicillin, load_sleepstudy

__all__ = [
    "load_hsb",
    "load_mep_staff",
    "load_penicillin",
    "load_sleepstudy",
    "make_mixed_regression",
]
