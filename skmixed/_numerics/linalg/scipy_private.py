"""What skmixed takes from SciPy that is not public: a new release breaks this file."""

from scipy.sparse._sparsetools import csc_matvecs

__all__ = ["csc_matvecs"]
