import csv

import numpy as np
import pytest
from benchmarks.timing import describe_machine, seconds_in_turn

# scripts, that find their neighbours when run by themselves
collect_ignore = ["draw.py", "scaling.py"]

RATIOS = {}


def pytest_addoption(parser):
    parser.addoption("--ratios", metavar="FILE", help="write the ratios to a CSV file")


@pytest.fixture
def record_ratio():
    """Keep a ratio for the table at the end of the run."""
    return RATIOS.__setitem__


@pytest.fixture
def median_seconds():
    """Median time of each call, taken in turn so that all see the same machine."""

    def measure(calls, rounds=7):
        seconds = seconds_in_turn(calls, rounds)
        return {name: float(np.median(values)) for name, values in seconds.items()}

    return measure


def pytest_terminal_summary(terminalreporter, config):
    for line in describe_machine():
        terminalreporter.write_line(line)
    for name, ratio in RATIOS.items():
        terminalreporter.write_line(f"{ratio:8.2f}  {name}")
    if config.getoption("ratios"):
        with open(config.getoption("ratios"), "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                [("what", "ratio"), *((name, f"{ratio:.3g}") for name, ratio in RATIOS.items())]
            )
