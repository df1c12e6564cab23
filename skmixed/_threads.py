"""How many threads BLAS may use."""

from __future__ import annotations

from sklearn.utils.parallel import _get_threadpool_controller


def one_blas_thread():
    """Hold BLAS to one thread inside a with-block.

    The matrices are small: more threads gain little where cores are free, and where they are
    not, they wait for one another many times as long as the work takes.
    """
    return _get_threadpool_controller().limit(limits=1, user_api="blas")
