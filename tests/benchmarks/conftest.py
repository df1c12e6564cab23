import pytest

RATIOS = {}


@pytest.fixture
def record_ratio():
    """Keep a ratio for the table at the end of the run."""
    return RATIOS.__setitem__


def pytest_terminal_summary(terminalreporter):
    for name, ratio in RATIOS.items():
        terminalreporter.write_line(f"{ratio:8.2f}  {name}")
