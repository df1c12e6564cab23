"""The path by which users import a class or function, said by itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def public(module: str) -> Callable[[T], T]:
    """Name the public module of a class or function that is defined in a private one.

    Pickles, skops' trusted types and reprs then say what lasts. The decorator stands above all
    others.
    """

    def name(thing):
        if inspect.isclass(thing):
            # only the private module knows the names in the annotations
            thing.__annotations__ = inspect.get_annotations(thing, eval_str=True)
            for method in vars(thing).values():  # or doctest takes them for another module's
                method = getattr(method, "__func__", method)
                if inspect.isfunction(method):
                    method.__module__ = module
        thing.__module__ = module
        return thing

    return name
