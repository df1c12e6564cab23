import contextlib
import io
import re
from fnmatch import fnmatch
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import sklearn

import skmixed
from skmixed.datasets import make_mixed_regression

DOCS = Path(__file__).parents[1] / "docs"
# A block of code, and what it prints
BLOCK = re.compile(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", re.S)
# Pages whose code works on the reader's own data, so that they cannot show what it prints
OF_A_READER = ("comparing.md",)
PAGES = [path.name for path in sorted(DOCS.glob("*.md")) if BLOCK.search(path.read_text())]

INCLUDED = [
    (path.name, included)
    for path in sorted(DOCS.glob("*.md"))
    for included in re.findall(r"```\{include\} (\S+)", path.read_text())
]


@pytest.mark.parametrize("page", PAGES)
def test_code_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {}
    if page in OF_A_READER:
        names = data_of_a_reader()
        once = partial(skmixed.compare_pooling, n_repeats=1)  # what it prints is not shown
        monkeypatch.setattr(skmixed, "compare_pooling", once)
    for code, expected in BLOCK.findall((DOCS / page).read_text()):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), sklearn.config_context():
            exec(runnable(code), names)
        if page not in OF_A_READER:
            assert lines(printed.getvalue()) == lines(expected)
    plt.close("all")


def test_links_between_pages_work():
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+\.md)[^)]*\)", page.read_text()):
            assert (DOCS / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(("page", "included"), INCLUDED)
def test_included_files_hold_something_and_are_no_pages(page, included):
    assert (DOCS / included).read_text().strip(), f"{page} includes nothing: write {included}"
    excluded = re.search(r"exclude_patterns = \[(.*?)\]", (DOCS / "conf.py").read_text(), re.S)
    patterns = re.findall(r'"(.*?)"', excluded[1])
    is_outside = included.startswith("..")
    assert is_outside or any(fnmatch(included, pattern) for pattern in patterns)


def data_of_a_reader():
    X, y, groups = make_mixed_regression(200, 6, 8, slope_variances=0.5, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(school=groups)
    level = y + groups - groups.mean()
    others = {"passed": np.where(level > 0, "yes", "no"), "visits": np.floor(np.exp(level / 4))}
    return {"X": X, "y": y, "groups": groups, "frame": frame, **others}


def runnable(code):
    """Code without what needs a server or an optional package that is not there."""
    if "import duckdb" in code and not find_spec("duckdb"):
        return ""
    return code[: code.index("sums = ")] if "spark" in code else code  # tests/test_spark.py


def lines(text):
    return [line.rstrip() for line in text.splitlines()]
