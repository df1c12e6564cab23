"""Errors that give the new word for an argument that was renamed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**words: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse former names of arguments: ``@renamed(old="new")``, above all other decorators."""

    def refuse_former(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def refusing(*args: P.args, **kwargs: P.kwargs) -> R:
            for former, word in words.items():
                if former in kwargs:
                    raise TypeError(
                        f"`{former}` of {function.__name__} is called `{word}` now: "
                        f"{function.__name__}(..., {word}={kwargs[former]!r})."
                    )
            return function(*args, **kwargs)

        return refusing

    return refuse_former
