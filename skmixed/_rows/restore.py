"""A model as it was, after an error."""

from __future__ import annotations

from contextlib import contextmanager


@contextmanager
def restored_on_error(model):
    """Put a model back as it was if what is done to it fails.

    Parameters
    ----------
    model : estimator
        The model.
    """
    before = vars(model).copy()
    try:
        yield
    except BaseException:
        vars(model).clear()
        vars(model).update(before)
        raise
