"""Which solver a model with several factors needs: dense blocks, or solves and probes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.dense_layout import components_of_levels, fits_in_memory
from skmixed._numerics.fit.elimination import nested_order
from skmixed._numerics.fit.problem_of_factors import FactorsProblem

# With more columns in a dense block an evaluation takes longer than four seconds.
MOST_IN_A_BLOCK = 5000


def is_good_for_exact(problem: FactorsProblem) -> bool:
    """Whether the dense blocks that are left fit in memory, and take no more than seconds."""
    sizes = block_sizes(problem)
    return bool(sizes.max(initial=0) <= MOST_IN_A_BLOCK) and fits_in_memory(int(sizes @ sizes))


def block_sizes(problem: FactorsProblem) -> NDArray[np.intp]:
    """Count the columns of the dense blocks that are left when the largest is eliminated."""
    _, left = nested_order(problem)
    if len(left) < 2:
        return np.zeros(0, np.intp)
    largest = max(left, key=lambda f: problem.q[f] * problem.n_levels[f])
    others = [f for f in left if f != largest]
    components = components_of_levels(problem, largest, others)[1:]
    n = 1 + max(int(of.max()) for of in components)
    counts = [np.bincount(of, minlength=n) for of in components]
    return np.asarray(np.dot([problem.q[f] for f in others], counts))
