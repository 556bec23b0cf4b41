"""Puts the model tests' helpers on the import path, and logs engines that were built."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "model"))

_BUILT = pytest.StashKey[list[str]]()


@pytest.fixture
def log_engines(request):
    """Takes sentences on built engines for the end of the log."""
    return request.config.stash.setdefault(_BUILT, []).append


def pytest_terminal_summary(terminalreporter, config):
    built = config.stash.get(_BUILT, [])
    if built:
        terminalreporter.section("engines built")
    for sentence in built:
        terminalreporter.write_line(sentence)
