"""What skmixed takes from SciPy that is not public: a new release breaks this file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse._sparsetools import csc_matvecs, csr_matmat, csr_matmat_maxnnz

# Starts of rows, columns, and entries of a sparse matrix.
Csr = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

__all__ = ["csc_matvecs", "csr_product", "csr_product_size"]


def csr_product(
    left: Csr, right: Csr, n_columns: int, n_entries: int
) -> tuple[tuple[NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """Multiply two sparse matrices.

    Parameters
    ----------
    left, right : tuple of ndarray
        Starts of rows, columns and entries.
    n_columns : int
        Columns of the second.
    n_entries : int
        Those of `csr_product_size`. SciPy's public product counts them each time, also where
        it is numbers alone that have changed.

    Returns
    -------
    pattern : tuple of ndarray
        Starts of rows, and columns, not sorted.
    entries : ndarray
    """
    n_rows, index = len(left[0]) - 1, right[1].dtype
    indptr, indices = np.empty(n_rows + 1, index), np.empty(n_entries, index)
    entries = np.empty(n_entries, np.result_type(left[2], right[2]))
    csr_matmat(n_rows, n_columns, *left, *right, indptr, indices, entries)
    stop = int(indptr[-1])  # entries that are 0 by chance are left out
    return (indptr, indices[:stop]), entries[:stop]


def csr_product_size(left: Csr, right: Csr, n_columns: int) -> int:
    """Count the entries of a product, by the pattern of both alone."""
    return int(csr_matmat_maxnnz(len(left[0]) - 1, n_columns, *left[:2], *right[:2]))
