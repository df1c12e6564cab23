import contextlib
import io
import re
from pathlib import Path

import pandas as pd
import sklearn

from skmixed.datasets import make_mixed_regression

DOCS = Path(__file__).parents[1] / "docs"


def test_code_of_the_composition_page_runs():
    X, y, groups = make_mixed_regression(200, 6, 8, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(school=groups)
    names = {"X": X, "y": y, "groups": groups, "frame": frame}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "composition.md").read_text(), re.S)
    with sklearn.config_context():
        for block in blocks:
            exec(block, names)
            sklearn.set_config(enable_metadata_routing=False)
    assert len(blocks) == 3


def test_code_of_the_scale_page_runs_and_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "scale.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", page, re.S)
    names = {}
    for code, expected in blocks:
        if "spark" in code:  # tests/test_spark.py
            code = code[: code.index("sums = ")]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == expected
    assert len(blocks) == 7
