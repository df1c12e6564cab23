"""lme4's lmer, in an R that stays open and fits once for each line that it is sent."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

WORKER = Path(__file__).with_name("lmer_worker.R")


def has_package(name):
    """Whether there is an R with a package."""
    return shutil.which("Rscript") is not None and not subprocess.call(
        ["Rscript", "-e", f"library({name})"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


class Lmer:
    """A model in an R of its own; a call fits it and returns the REML criterion.

    Parameters
    ----------
    formula : str
        The model.
    table : DataFrame
        Its variables, all of them numbers.
    factors : list of str
        Those that hold groups.
    file : Path
        Where the numbers are left for R.
    clock : {"elapsed", "cpu"}
        What `seconds` counts of a call: time on the wall or of the processor.
    """

    def __init__(self, formula, table, factors, file, clock="elapsed"):
        table.to_numpy(dtype=float).ravel(order="F").tofile(file)
        self.clock = clock
        names = ",".join(table.columns), ",".join(factors)
        self.process = subprocess.Popen(
            ["Rscript", WORKER, file, str(len(table)), formula, *names],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self):
        self.process.stdin.write("fit\n")
        self.process.stdin.flush()
        elapsed, cpu, criterion = map(float, self.process.stdout.readline().split())
        self.seconds = cpu if self.clock == "cpu" else elapsed
        return criterion

    def close(self):
        """End its R."""
        self.process.communicate()
