import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_print_what_they_say():
    blocks = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", README.read_text(), re.S)
    assert blocks
    names = {}  # each goes on from the one before
    for code, output in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        found, expected = (
            [line.rstrip() for line in part.splitlines()]
            for part in (printed.getvalue(), output)
        )
        assert found == expected


def test_links_to_files_work():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
