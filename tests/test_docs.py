import re
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import pandas as pd
import pytest
import sklearn

from skmixed.datasets import make_mixed_regression

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("page", "n_blocks"), [("composition", 3), ("comparing", 2)])
def test_code_of_a_page_runs(page, n_blocks):
    X, y, groups = make_mixed_regression(200, 6, 8, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(school=groups)
    names = {"X": X, "y": y, "groups": groups, "frame": frame}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.S)
    with sklearn.config_context():
        for block in blocks:
            exec(block, names)
            sklearn.set_config(enable_metadata_routing=False)
    assert len(blocks) == n_blocks
