"""`make bench`: measure everything, print one table, fail when a gate is missed.

A row whose floor is not installed here is shown as not run and fails nothing; a row that
breaks does.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tests.benchmarks import (
    activations,
    agents,
    answers,
    cards,
    engines,
    journal,
    notices,
    pages,
    serial_lines,
    simulation,
    table,
)
from tests.benchmarks.figures import Measured, NotRun, PartMissingError, Row
from tests.benchmarks.processes import say

MIN_ROUNDS = 5
DEFAULT_ROUNDS = 7
GATE_MISSED, BROKEN = 1, 2

Subject = Callable[[int], Iterator[Row]]

SUBJECTS: dict[str, Subject] = {
    "driver": cards.driver,
    "peer": cards.peer,
    "engine": engines.engine,
    "journal": journal.journal,
    "activations": activations.activations,
    "simulation": simulation.simulation,
    "agent": agents.agent,
    "answers": answers.answers,
    "notice": notices.notice,
    "serial": serial_lines.serial,
    "console": pages.console,
}


class Results:
    """The rows so far, and whether all went as it should."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._broken = False

    def measure(self, name: str, rounds: int) -> None:
        """Add the rows of one subject, as many as there are."""
        try:
            self.rows.extend(SUBJECTS[name](rounds))
        except PartMissingError as missing:
            self.rows.append(NotRun(what=name, reason=str(missing)))
        except (OSError, RuntimeError, subprocess.SubprocessError) as failed:
            reason = f"{type(failed).__name__}: {failed}"
            self.rows.append(NotRun(what=name, reason=reason))
            self._broken = True

    @property
    def exit_code(self) -> int:
        """What to tell the caller."""
        if self._broken:
            return BROKEN
        measured = (row for row in self.rows if isinstance(row, Measured))
        return 0 if all(row.gate_met for row in measured) else GATE_MISSED


def main() -> int:
    """Run what the command line asks for; returns the exit code."""
    options = _options()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: sys.exit(128 + number))
    results = Results()
    for number, name in enumerate(options.only, start=1):
        say(f"[{number}/{len(options.only)}] {name}: {options.rounds} rounds ...")
        began = time.monotonic()
        results.measure(name, options.rounds)
        say(f"    {time.monotonic() - began:.0f} s")
    shown = table.markdown if options.markdown else table.plain
    sys.stdout.write(f"{shown(results.rows)}\n")
    return results.exit_code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description="figures beside their floors, in one table"
    )
    parser.add_argument("--rounds", type=_rounds, default=DEFAULT_ROUNDS)
    parser.add_argument("--markdown", action="store_true", help="for the README")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SUBJECTS,
        default=tuple(SUBJECTS),
        metavar="SUBJECT",
        help=f"of {', '.join(SUBJECTS)}",
    )
    return parser.parse_args()


def _rounds(text: str) -> int:
    rounds = int(text)
    if rounds < MIN_ROUNDS:
        raise argparse.ArgumentTypeError(f"a median needs at least {MIN_ROUNDS}")
    return rounds


if __name__ == "__main__":
    sys.exit(main())
