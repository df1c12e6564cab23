"""Every public class and function says its public path of itself, and its examples run."""

import importlib
import inspect
import pickle
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

MODULES = [
    "skmixed",
    *(
        f"skmixed.{name}"
        for name in (
            "datasets",
            "exceptions",
            "inference",
            "inspection",
            "metrics",
            "model_selection",
            "preprocessing",
        )
    ),
]
ROOT = Path(__file__).parents[1]


def names_of(module):
    public = importlib.import_module(module)
    return getattr(public, "__all__", [name for name in vars(public) if name[0] != "_"])


# An object that two modules offer is at home in the first of them.
HOMES = {}
for module in MODULES:
    for name in names_of(module):
        HOMES.setdefault(getattr(importlib.import_module(module), name), f"{module}.{name}")
CLASSES = [thing for thing in HOMES if inspect.isclass(thing)]


@pytest.mark.parametrize("thing", HOMES, ids=HOMES.get)
def test_path(thing):
    assert f"{thing.__module__}.{thing.__qualname__}" == HOMES[thing]
    assert pickle.loads(pickle.dumps(thing)) is thing


@pytest.mark.parametrize("thing", HOMES, ids=HOMES.get)
def test_hints_are_found(thing):
    hints = typing.get_type_hints(thing)
    assert hints.keys() >= inspect.get_annotations(thing).keys()
    for _, method in inspect.getmembers(thing, inspect.isfunction):
        typing.get_type_hints(method)


@pytest.mark.parametrize("thing", [thing for thing in HOMES if not inspect.isclass(thing)])
def test_source_is_found(thing):
    assert f"def {thing.__name__}(" in inspect.getsource(thing)


def test_all_that_is_documented_is_public():
    entries = re.findall(r"^   ([\w.]+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert {f"skmixed.{entry}" for entry in entries} == set(HOMES.values())


def methods_of(cls):
    for _, method in inspect.getmembers(cls):
        function = method.fget if isinstance(method, property) else method
        if (getattr(function, "__module__", None) or "").startswith("skmixed"):
            yield function


class Collected:
    """A plugin that keeps the names of the tests that are found."""

    def pytest_collection_modifyitems(self, items):
        self.names = [item.name for item in items]


def test_every_example_is_run_once():
    listed = Collected()
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    pytest.main([*options, "--rootdir", str(ROOT), str(ROOT / "skmixed")], plugins=[listed])
    things = [*HOMES, *(method for cls in CLASSES for method in methods_of(cls))]
    expected = {
        f"{thing.__module__}.{thing.__qualname__}"
        for thing in things
        if ">>>" in (inspect.getdoc(thing) or "")
    }
    assert len(expected) > 30
    assert sorted(listed.names) == sorted(expected)


def test_submodules_load_when_asked_for():
    script = (
        "import sys, skmixed\n"
        "assert 'skmixed.inspection' not in sys.modules\n"
        "X, y, subject = skmixed.datasets.load_sleepstudy(return_X_y=True)\n"
        "model = skmixed.RandomInterceptRegressor().fit(X, y, groups=subject)\n"
        "model.score(X, y, groups=subject)\n"
        "skmixed.inspection.ResidualsDisplay\n"
        "assert 'matplotlib' not in sys.modules and 'dask' not in sys.modules\n"
        "skmixed.inference.compare_slopes\n"
        "assert {'datasets', 'inference', 'RandomSlopeRegressor'} <= set(dir(skmixed))\n"
        "assert not hasattr(skmixed, 'nothing')"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
