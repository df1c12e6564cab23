"""Imports go one way, from the surface to the numerics, and rooms of a floor are apart."""

import ast
import sys
from pathlib import Path

import pytest

import skmixed

HOUSE = Path(skmixed.__file__).parent
# From the ground up: a room imports from itself and from floors below it.
FLOORS = [
    {"_numerics.linalg"},
    {"_numerics.moments", "_numerics.likelihoods"},
    {"_numerics.fit"},
    {"_numerics.least_squares", "_numerics.inference"},
    {"_numerics.leave_out"},
    {
        "exceptions",
        "_public",
        "_renamed",
        "_saved_by_0_1",
        "_sklearn_private",
        "_state",
        "_warn",
    },
    {"_rows"},
    {"_reports"},
    {"_estimators"},
    {"preprocessing", "datasets", "metrics"},
    {"inspection"},
    {"_describe"},  # a description plots itself
    {"inference"},
    {"model_selection"},  # a comparison plots itself
    {"skmixed"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
ROOMS = [room for rooms in FLOORS for room in sorted(rooms)]


def room(module):
    """Name the first part of a module's path below skmixed, two parts in the numerics."""
    parts = module.split(".")[1:]
    name = ".".join(parts[:2]) if parts[:1] == ["_numerics"] else ".".join(parts[:1])
    return name if name in FLOOR else "skmixed"


def module(path):
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path):
    """Names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = {room: [] for room in ROOMS}
for path in HOUSE.rglob("*.py"):
    FILES[room(module(path))].append(path)


@pytest.mark.parametrize("here", ROOMS)
def test_imports_go_down(here):
    assert FILES[here], f"there is no {here}"
    for path in FILES[here]:
        for name in imported(path):
            there = room(name)
            if name.startswith("skmixed.") and there != here:
                assert FLOOR[there] < FLOOR[here], f"{path} imports {name}"


@pytest.mark.parametrize("here", [room for room in ROOMS if room.startswith("_numerics")])
def test_numerics_know_numpy_and_scipy_only(here):
    packages = {name.split(".")[0] for path in FILES[here] for name in imported(path)}
    assert packages <= {"numpy", "scipy", "skmixed", *sys.stdlib_module_names}
