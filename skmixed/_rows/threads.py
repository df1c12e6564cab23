"""How many threads BLAS may use."""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import OpenBLASController

from skmixed._sklearn_private import get_threadpool_controller

# Whose limit is the process's: OpenBLAS as it comes with the wheels of NumPy and SciPy ...
SHARED = {"threading_layer": ["pthreads", "unknown"]}
# ... and whose limit is that of the thread that sets it. `select` takes what fits one of them.
OWN = {"threading_layer": "openmp", "internal_api": ["mkl", "flexiblas"]}


class _SharedLimit:
    """A limit of one thread, from the first that enters to the last that leaves.

    Where the limit is the process's, fits in several threads must share it: if each put back
    what it had found, the last would put back the one thread of another.

    The last to leave need not be the one that entered first, but since version 3.8
    threadpoolctl lets only one thread at a time set limits of OpenBLAS, and ignores the others
    without a word. So this takes the control from whoever has it, and keeps it no longer than
    it takes to set a limit. The other thread's own `threadpool_limits` will take it again.

    Limits that others set are put back if they are set and lifted before this one, within its
    time, or around it. If they merely overlap, as two of threadpoolctl's may, too, what remains
    is what the last to leave had found: neither knows of the other.
    """

    def __init__(self):
        self.lock, self.n_inside, self.limiter = Lock(), 0, None

    def renew_lock(self):
        """In a forked process: a thread of the parent that had the lock is not there."""
        self.lock = Lock()

    def enter(self):
        with self.lock:
            if self.n_inside == 0:
                with _control_of_openblas():
                    self.limiter = _limit_to_one(SHARED)
            self.n_inside += 1

    def leave(self):
        with self.lock:
            self.n_inside -= 1
            if self.n_inside == 0:
                with _control_of_openblas():
                    self.limiter.restore_original_limits()


_shared = _SharedLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.renew_lock)


@contextmanager
def one_blas_thread():
    """Hold BLAS to one thread inside a with-block, which may be inside another.

    The matrices are small: more threads gain little where cores are free, and where they are
    not, they wait for one another many times as long as the work takes.
    """
    _shared.enter()
    try:
        with _limit_to_one(OWN):
            yield
    finally:
        _shared.leave()


def _limit_to_one(pools):
    controller = get_threadpool_controller().select(**pools)
    return controller.limit(limits=1, user_api="blas")


@contextmanager
def _control_of_openblas():
    """Let this thread set limits inside the with-block, and any thread afterwards."""
    release = getattr(OpenBLASController, "clear_controlling_thread", lambda **_: None)
    release(force=True)
    try:
        yield
    finally:
        release(force=True)
