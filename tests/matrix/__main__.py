"""`python -m tests.matrix`: the last ring. Compares the matrix with what passed in this run,
which the rings before have noted; the exit code is 1 when a cell that is possible has no
passing test, or one that did not pass."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from tests.matrix import noted, table
from tests.matrix.table import IMPOSSIBLE, NOT_HERE, PASSED, STATES

MARKS = {PASSED: "+", IMPOSSIBLE: ".", NOT_HERE: "?"}
WRONG = "!"


def main() -> int:
    """Print the matrix, what is wrong with it, and the sum of it."""
    folder = os.environ.get(noted.FOLDER)
    ended = noted.read(Path(folder)) if folder else {}
    found = {
        key: table.judged(cell, ended) for key, cell in sorted(table.cells().items())
    }
    say(*pictured(found), *not_here(found), *wrong(found), summary(found))
    return 1 if wrong(found) else 0


def pictured(found: dict[table.Key, str]) -> list[str]:
    """A line for each fault, a mark for each state."""
    lines = [f"{PASSED} +  {IMPOSSIBLE} .  {NOT_HERE} ?  wrong !", " ".join(STATES)]
    for fault, name in table.names().items():
        if fault in table.FAULTS:
            marks = (MARKS.get(found[fault, state], WRONG) for state in STATES)
            lines.append(f"{fault} {' '.join(marks)}  {name}")
    return lines


def not_here(found: dict[table.Key, str]) -> list[str]:
    """Every reason why something cannot be shown here, once."""
    cells, reasons = table.cells(), table.reasons()
    keys = {cells[key].shown_by for key, said in found.items() if said == NOT_HERE}
    return [f"{NOT_HERE}: {reasons[key][1]}" for key in sorted(keys)]


def wrong(found: dict[table.Key, str]) -> list[str]:
    """Every cell that is possible and has no passing test."""
    return [
        f"{fault} {state}: {table.cells()[fault, state].shown_by}: {said}"
        for (fault, state), said in found.items()
        if said not in MARKS
    ]


def summary(found: dict[table.Key, str]) -> str:
    """One line."""
    count = Counter(found.values())
    possible = len(found) - count[IMPOSSIBLE] - count[NOT_HERE]
    return (
        f"{count[PASSED]} of {possible} possible cells passed,"
        f" {count[IMPOSSIBLE]} impossible, {count[NOT_HERE]} not here"
    )


def say(*lines: str) -> None:
    """To standard output."""
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
