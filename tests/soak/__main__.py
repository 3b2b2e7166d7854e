"""`python -m tests.soak [--cycles N]`: cards in and out, for as long as it takes.

Fails when memory grows by 5 MiB or more after the warm-up, or when a thread or an open file
is left behind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from simulator.reader import InProcessDesk
from tests.centre import CentreProcess
from tests.soak.cycles import soak

CYCLES = 10_000


def say(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Soak; the exit code is 1 when a gate is missed."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    cycles = parser.parse_args(arguments).cycles
    desk = InProcessDesk()
    with (
        tempfile.TemporaryDirectory(prefix="kaqi-soak-") as folder,
        CentreProcess() as centre,
    ):
        done = soak(
            "inprocess",
            desk,
            desk,
            centre_address=centre.address,
            folder=Path(folder),
            cycles=cycles,
            say=say,
        )
    say(f"{done}: {', '.join(done.missed) or 'ok'}")
    return 1 if done.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
