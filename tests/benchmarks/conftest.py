import time

import numpy as np
import pytest

RATIOS = {}


@pytest.fixture
def record_ratio():
    """Keep a ratio for the table at the end of the run."""
    return RATIOS.__setitem__


@pytest.fixture
def median_seconds():
    """Median time of each call, taken in turn so that all see the same machine."""

    def measure(calls, rounds=7):
        times = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
        return {name: float(np.median(values)) for name, values in times.items()}

    return measure


def pytest_terminal_summary(terminalreporter):
    for name, ratio in RATIOS.items():
        terminalreporter.write_line(f"{ratio:8.2f}  {name}")
