import csv
import time

import numpy as np
import pytest
from benchmarks.lmer import Lmer, has_package
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

    def measure(calls, rounds=7, clock=time.perf_counter):
        seconds = seconds_in_turn(calls, rounds, clock)
        return {name: float(np.median(values)) for name, values in seconds.items()}

    return measure


@pytest.fixture
def start_lmer(tmp_path):
    """Start lme4 with a formula, a table and its factors; skip without it."""
    if not has_package("lme4"):
        pytest.skip("needs R with lme4")
    started = []

    def start(formula, table, factors, clock="elapsed"):
        started.append(Lmer(formula, table, factors, tmp_path / "rows.bin", clock))
        return started[-1]

    yield start
    for lmer in started:
        lmer.close()


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
