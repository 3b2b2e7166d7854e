"""`python -m tests.soak [--cycles N] [--readers KIND ...]`: cards in and out, for as long as it takes.

Fails when memory grows by 5 MiB or more after the warm-up, or when a thread or an open file
is left behind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.ports import ReaderDirectory
from drivers.serial_line.directory import SerialDirectory
from simulator.reader import InProcessDesk
from simulator.serial_peer import SerialDesk
from tests.centre import CentreProcess
from tests.soak.cycles import Desk, soak

CYCLES = 10_000


def say(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Soak; the exit code is 1 when a gate is missed."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=tuple(READERS))
    asked = parser.parse_args(arguments)
    missed = 0
    for kind in asked.readers:
        with (
            tempfile.TemporaryDirectory(prefix="kaqi-soak-") as folder,
            CentreProcess() as centre,
            READERS[kind]() as (directory, desk),
        ):
            done = soak(
                kind,
                directory,
                desk,
                centre_address=centre.address,
                folder=Path(folder),
                cycles=asked.cycles,
                say=say,
            )
        say(f"{kind}: {done}: {', '.join(done.missed) or 'ok'}")
        missed += bool(done.missed)
    return 1 if missed else 0


@contextmanager
def in_process() -> Iterator[tuple[ReaderDirectory, Desk]]:
    """Readers in this process."""
    desk = InProcessDesk()
    yield desk, desk


@contextmanager
def on_lines() -> Iterator[tuple[ReaderDirectory, Desk]]:
    """Serial readers through our own driver."""
    desk = SerialDesk()
    yield SerialDirectory(desk.ports), desk
    desk.close()


READERS = {"inprocess": in_process, "serial": on_lines}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
