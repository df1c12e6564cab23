"""Which columns do not depend linearly on those before them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import GRAM_ERROR, RANK_TOLERANCE
from skmixed._numerics.linalg.triangular import inverse_of_lower


def independent(R: Array) -> NDArray[np.bool_]:
    """Which columns, by their scaled Gram matrix, do not follow from those before them.

    What is left of column i when those before it are known is v'R v, v = (-beta, 1). That has
    to be more than rounding, which R carries, makes of it: the more, the larger beta is.
    """
    L, info = lapack.dpotrf(R, lower=1, clean=1)
    if info == 0 and len(R):
        left, inverse = np.diag(L) ** 2, inverse_of_lower(L)
        noise = GRAM_ERROR * left * np.sum(inverse**2, axis=1)
        if np.all(left > np.maximum(RANK_TOLERANCE, noise)):
            return np.ones(len(R), dtype=np.bool_)
    independent = np.zeros(len(R), dtype=np.bool_)
    for i in range(len(R)):
        before = np.flatnonzero(independent)
        beta = np.linalg.solve(R[np.ix_(before, before)], R[before, i])
        noise = GRAM_ERROR * (1 + beta @ beta)
        independent[i] = R[i, i] - R[i, before] @ beta > max(RANK_TOLERANCE, noise)
    return independent
