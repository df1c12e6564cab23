"""A model is changed in one step and read in one piece.

What a model has learned is in many attributes. A method that changes them is given a draft of
the model, whose attributes become those of the model at the end, in one assignment: so the
model is never half of one fit and half of another, be it after an error or an interrupt, or for
another thread. A method that reads several attributes is given the model of one moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from functools import wraps
from threading import Lock, RLock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

F = TypeVar("F", bound=Callable[..., Any])

# Locks of the models that are being changed, by their identity, each for as long as a thread
# has it. As an attribute of the model it would have to be left out of copies.
_LOCKS = WeakValueDictionary()
_FINDING_A_LOCK = Lock()


def _forget_locks():
    """Forget who has which lock: threads of a parent process are not in a forked one."""
    global _FINDING_A_LOCK
    _FINDING_A_LOCK = Lock()
    _LOCKS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


class OnePiece:
    """A model that can be had as it is at one moment."""

    def _as_it_is(self):
        """Give the model another name, by which changes made in one step are not seen."""
        return _with_attributes(self, vars(self))


def in_one_step(method: F) -> F:
    """Let a method change the model at its end, in one step, or not at all if it fails.

    Methods that change the same model wait for one another.
    """

    @wraps(method)
    def change(self, *args, **options):
        with changing_alone(self):
            before = vars(self).copy()
            draft = _with_attributes(self, before.copy())
            result = method(draft, *args, **options)
            # what others set meanwhile: parameters, metadata requests
            now = vars(self).copy()
            others = {k: v for k, v in now.items() if k not in before or v is not before[k]}
            self.__dict__ = {**vars(draft), **others}
        return self if result is draft else result

    return change


def in_one_piece(method: F) -> F:
    """Let a method see the model as it is at the call, whatever other threads do to it."""

    @wraps(method)
    def read(self, *args, **options):
        return method(self._as_it_is(), *args, **options)

    return read


@contextmanager
def changing_alone(model):
    """Have no other thread change the model inside the with-block."""
    with _FINDING_A_LOCK:
        lock = _LOCKS.setdefault(id(model), RLock())
    with lock:
        yield


def _with_attributes(model, attributes):
    other = object.__new__(type(model))
    other.__dict__ = attributes
    return other
