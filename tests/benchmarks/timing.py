"""Times of calls taken in turn, so that all of them see the same machine."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "numpy", "scipy", "pandas", "scikit-learn",
    "statsmodels", "mixedlm", "mixedlm-rs", "gpboost", "pyfixest",
)  # fmt: skip


def seconds_in_turn(calls, rounds, clock=time.perf_counter):
    """Seconds that each of the named calls takes, once in every round after a warm-up.

    A call that keeps its own clock has an attribute `seconds`.
    """
    seconds = {name: [] for name in calls}
    for taken in range(-1, rounds):
        for name, call in calls.items():
            start = clock()
            call()
            elapsed = clock() - start
            if taken >= 0:
                seconds[name].append(getattr(call, "seconds", elapsed))
    return seconds


def describe_machine():
    """Processor, cores, memory and versions, in a line each."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    models = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"{os.cpu_count()} cores, {models[0] if models else platform.processor()}",
        f"{memory:.0f} GB of memory, {platform.system()}",
        f"Python {platform.python_version()}",
        *(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
    ]


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
