"""How many threads BLAS may use."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock

from sklearn.utils.parallel import _get_threadpool_controller


class _OneBlasThread:
    """A limit of one thread, from the first that enters to the last that leaves.

    The limit is the process's, so fits in several threads must share it: if each put back what
    it had found, the last would put back the one thread of another.
    """

    def __init__(self):
        self.lock, self.n_inside, self.limiter = Lock(), 0, None

    def enter(self):
        with self.lock:
            if self.n_inside == 0:
                controller = _get_threadpool_controller()
                self.limiter = controller.limit(limits=1, user_api="blas")
            self.n_inside += 1

    def leave(self):
        with self.lock:
            self.n_inside -= 1
            if self.n_inside == 0:
                self.limiter.restore_original_limits()


_shared = _OneBlasThread()


@contextmanager
def one_blas_thread():
    """Hold BLAS to one thread inside a with-block.

    The matrices are small: more threads gain little where cores are free, and where they are
    not, they wait for one another many times as long as the work takes.
    """
    _shared.enter()
    try:
        yield
    finally:
        _shared.leave()
