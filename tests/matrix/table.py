"""The table, and what it says of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from msgspec import Struct

from plugin.activation.saga import ActivationState

FOLDER = Path(__file__).parent
FAULTS = [f"F{number:02}" for number in (*range(1, 51), *range(53, 83), *range(93, 97))]
STATES = [state.value for state in ActivationState]
EVERY = "every"  # of which no row before has spoken
NEVER_STORED = "never-stored"
IMPOSSIBLE, NOT_HERE, PASSED = "impossible", "not here", "passed"
Key = tuple[str, str]


class Cell(Struct, frozen=True):
    """One fault in one state: the tests that show it there, or a reason why none does."""

    fault: str
    state: str
    shown_by: str

    @property
    def is_test(self) -> bool:
        """Whether a test shows it."""
        return "::" in self.shown_by

    @property
    def tests(self) -> re.Pattern[str]:
        """What the node ids of its tests match."""
        name = self.shown_by.format(fault=self.fault, state=self.state)
        pattern = ".*".join(map(re.escape, name.split("*")))
        cases = "" if name.endswith("]") else r"(\[.*\])?"
        return re.compile(pattern + cases)


def _rows(name: str) -> Iterator[list[str]]:
    _, *rows = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return (row.split("\t") for row in rows)


def names() -> dict[str, str]:
    """What each fault is."""
    return {fault: name for fault, name, *_ in _rows("matrix.tsv")}


@cache
def reasons() -> dict[str, tuple[str, str]]:
    """By key: whether it is impossible or not shown here, and why."""
    return {key: (kind, why) for key, kind, why in _rows("reasons.tsv")}


@cache
def cells() -> dict[Key, Cell]:
    """By fault and state. Raises ValueError where a cell is there twice."""
    ready = ActivationState.READY.value
    found = {(fault, ready): Cell(fault, ready, NEVER_STORED) for fault in FAULTS}
    for fault, _, states, shown_by in _rows("matrix.tsv"):
        others = [state for state in STATES if (fault, state) not in found]
        for state in others if states == EVERY else states.split():
            if (fault, state) in found:
                raise ValueError(f"{fault} {state} is there twice")
            found[fault, state] = Cell(fault, state, shown_by)
    return found


def judged(cell: Cell, ended: Mapping[str, str]) -> str:
    """PASSED, IMPOSSIBLE or NOT_HERE; else what is wrong with its tests, where `ended` is
    how each test of a run ended."""
    if not cell.is_test:
        kind, _ = reasons()[cell.shown_by]
        return kind
    tests = cell.tests
    outcomes = {how for node, how in ended.items() if tests.fullmatch(node)}
    if outcomes == {PASSED}:
        return PASSED
    return ", ".join(sorted(outcomes - {PASSED})) or "did not run"
