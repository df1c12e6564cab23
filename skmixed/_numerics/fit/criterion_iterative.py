"""The criterion of factors that are too large for dense blocks, by solves and probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion_of_factors import (
    Directions,
    Eliminated,
    FactorsCriterion,
    FactorsDerivatives,
)
from skmixed._numerics.fit.crossed import Crossed, CrossedAt
from skmixed._numerics.fit.dense_layout import fits_in_memory
from skmixed._numerics.fit.elimination_iterative import IterativeElimination
from skmixed._numerics.linalg.arrays import Array

# The key of the stream of the probes, so that it is not one that data were drawn from.
STREAM = 0x736B6D69
# Falls of the criterion that probes may hide: its values and its gradient have errors of
# their own.
HIDDEN = 0.1
# Errors are estimated themselves: probes are drawn for one that is larger by this factor.
SAFETY = 1.1
# No more probes are drawn without being asked for, nor numbers in all of them.
MOST_PROBES, MOST_NUMBERS = 256, 2**22


class TooManyProbesError(ValueError):
    """The probes do not fit in memory.

    Attributes
    ----------
    n, n_columns : int
        How many there are, and the random effects that each has a number for.
    """

    def __init__(self, n: int, n_columns: int) -> None:
        super().__init__(
            f"{n:,} random vectors for {n_columns:,} random effects take "
            f"{8e-9 * n * n_columns:.3g} GB, several times over: more than may be used."
        )
        self.n, self.n_columns = n, n_columns


@dataclass(frozen=True)
class Probes:
    """Random vectors of signs.

    Attributes
    ----------
    n : int
        How many.
    seed : int
        What they are drawn by.
    enough : float
        More are drawn where the error of the estimates, as a share of their standard error,
        is larger; infinite if there are to be n.
    """

    n: int
    seed: int
    enough: float = np.inf

    def signs(self, size: int) -> NDArray[np.int8]:
        """Draw them, shape (size, n); the same whatever was drawn elsewhere."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(STREAM,))
        bits = np.random.default_rng(sequence).integers(0, 2, (size, self.n), np.int8)
        return np.asarray(2 * bits - 1)

    def more(self, share: float, size: int) -> Probes:
        """Return as many as bring the error down from a share to what is enough."""
        if not share > self.enough:
            return self
        wanted = int(np.ceil(self.n * (SAFETY * share / self.enough) ** 2))
        most = max(self.n, MOST_NUMBERS // size)
        return replace(self, n=min(wanted, MOST_PROBES, most))


@dataclass(frozen=True)
class IterativeCriterion(FactorsCriterion):
    """REML or ML criterion of a model whose factors cross, with fixed probes.

    It is near that of `FactorsCriterion`, and differs from it alike at points that are near.

    Attributes
    ----------
    probes : Probes
        They stay the same, so that differences of the criterion have smaller errors than it.
    """

    probes: Probes

    @cached_property
    def crossed(self) -> Crossed:
        """The factors."""
        return Crossed(self.problem)

    @cached_property
    def signs(self) -> NDArray[np.int8]:
        """The probes, shape (size, n_probes)."""
        n_columns = sum(G.shape[0] * G.shape[-1] for G in self.problem.G)
        if not fits_in_memory(n_columns * self.probes.n):
            raise TooManyProbesError(self.probes.n, n_columns)
        return self.probes.signs(self.crossed.size)

    @property
    def n_dense(self) -> int:
        """No columns are left in dense blocks."""
        return 0

    @property
    def is_small(self) -> bool:
        """Evaluations are never cheap, and there is no Hessian."""
        return False

    def hides(self, value: float) -> float:
        """Return the falls of the criterion that its errors may hide."""
        return HIDDEN + super().hides(value)

    def eliminate(
        self, Lambdas: Sequence[Array], *, invert: bool = False, largest_first: bool = False
    ) -> Eliminated:
        """Eliminate the random effects; nothing hangs on the options."""
        elimination = IterativeElimination(CrossedAt.of(self.crossed, Lambdas), self.signs)
        square, reduced = elimination.reduce(self.problem.C)
        return Eliminated(self, elimination, self.problem.T - square, reduced)

    def __call__(
        self, Lambdas: Sequence[Array], *, largest_first: bool = False
    ) -> IterativeDerivatives:
        """Evaluate the criterion with its gradient."""
        return IterativeDerivatives(self.eliminate(Lambdas))


@dataclass(frozen=True)
class IterativeDerivatives(FactorsDerivatives):
    """The criterion at given Lambda, and its derivatives in Psi_f."""

    def hessian(self, directions: Directions) -> Array:
        """Return the average information, which is near the Hessian of many levels."""
        return self.average_information(directions)[0]
