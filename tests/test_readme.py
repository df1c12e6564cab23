import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_prints_what_it_says():
    text = README.read_text()
    code, output = re.search(r"```python\n(.*?)```\n+```text\n(.*?)```", text, re.S).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    found, expected = (
        [line.rstrip() for line in part.splitlines()] for part in (printed.getvalue(), output)
    )
    assert found == expected


def test_links_to_files_work():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
