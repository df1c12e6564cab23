"""Triangular factors."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack, qr

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import FACTOR_ERROR


def triangular(factor: Array, *, diagonal: bool) -> Array:
    """Turn any factor F into the lower triangular one, L with L L' = F F'."""
    if diagonal:
        return np.diag(np.sqrt(np.sum(factor**2, axis=1)))
    L = np.zeros((len(factor),) * 2)
    if factor.size == 0:
        return L
    # F' = Q R, so that F F' = R' R; R has fewer rows than columns if F has few columns
    R = np.asarray(qr(factor.T, mode="r")[0])
    L[:, : len(R)] = R.T
    # turning the sign of a column leaves L L' as it is
    L *= np.where(np.diag(L) < 0, -1.0, 1.0)
    size = np.sqrt(np.sum(L**2, axis=1, keepdims=True))
    return np.where(np.abs(L) <= FACTOR_ERROR * size, 0.0, L)


def inverse_of_lower(L: Array) -> Array:
    """Inverse of a lower triangular L, of which LAPACK takes none of size 0."""
    return np.asarray(lapack.dtrtri(L, lower=1)[0]) if len(L) else L
