"""Notes how every test ended, for whoever compares that with the matrix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = "KAQI_NOTED"  # where to; nothing is noted without it


class Notes:
    """A line for each test: how it ended, and its node id."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{os.getpid()}.tsv"
        self._ended: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test: what went wrong in any of them is what counts."""
        if self._ended.get(report.nodeid, "passed") == "passed":
            self._ended[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        """All of them."""
        lines = (f"{outcome}\t{node}\n" for node, outcome in self._ended.items())
        self._file.write_text("".join(lines), encoding="utf-8")


def begin(config: pytest.Config) -> None:
    """Note, where somebody wants to know; of several processes the one that hears of every
    test does."""
    folder = os.environ.get(FOLDER)
    if folder and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Notes(Path(folder)))


def read(folder: Path) -> dict[str, str]:
    """By node id, how each test ended; failed, where it ever did."""
    ended: dict[str, str] = {}
    for file in sorted(folder.glob("*.tsv")):
        for line in file.read_text(encoding="utf-8").splitlines():
            outcome, _, node = line.partition("\t")
            if ended.get(node, "passed") == "passed":
                ended[node] = outcome
    return ended
